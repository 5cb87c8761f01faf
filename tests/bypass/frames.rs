//! Lies about lengths, and messages in messages.

use std::time::Duration;

use crate::support::raw::{
    Raw, bind, execute, extended, function_call, message, parse, query, sync, transcript,
};
use crate::world::{Account, Room};

const DELETE: &str = "DELETE FROM orders";
const TYPES: &[u8] = b"QPBEDCHSFdcfXp";

fn lie(tag: u8, length: u32, behind: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), behind].concat()
}

#[test]
fn a_lie_about_a_length_ends_its_session_and_smuggles_nothing() {
    let room = Room::open("lengths");
    let mut neighbour = room.login(Account::Reader);
    let evil = query(DELETE);
    for &tag in TYPES {
        for length in [0, 3, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let mut raw = room.login(Account::Writer);
            let _ = raw.try_send(&[lie(tag, length, b""), evil.clone(), evil.clone()].concat());
            let words = transcript(&raw.until_ready());
            assert!(words.starts_with("E(FATAL") || words.is_empty(), "{tag} {length}: {words}");
        }
    }
    assert_eq!(neighbour.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    room.assert_unchanged("lengths");
}

/// Each message says one length and its fields another.
#[test]
fn fields_that_do_not_fill_their_message_end_the_session() {
    let room = Room::open("fields");
    let bodies: [(u8, &[u8]); 16] = [
        (b'Q', b"SELECT 1\0Q\0\0\0\x17DELETE FROM orders\0"),
        (b'P', b"a\0SELECT 1\0\0\0Q\0\0\0\x17DELETE FROM orders\0"),
        (b'P', b"a\0SELECT 1\0\xff\xff"),
        (b'P', b"a\0SELECT 1"),
        (b'P', b"a"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"),
        (b'B', b"\0\0\0\0\0\x01\x80\0\0\0\0\0"),
        (b'B', b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0extra"),
        (b'E', b"\0\0\0\0\0\0"),
        (b'E', b"unterminated"),
        (b'D', b"X\0"),
        (b'C', b"Sa\0b\0"),
        (b'S', b"x"),
        (b'H', b"x"),
        (b'X', b"x"),
    ];
    for (tag, body) in bodies {
        let mut raw = room.login(Account::Writer);
        let _ = raw.try_send(&[message(tag, body), sync()].concat());
        let words = transcript(&raw.until_ready());
        assert!(words.starts_with("E(FATAL") || words.is_empty(), "{tag} {body:?}: {words}");
    }
    for tag in [b'p', b'v', b'!', b'G', b'Z', b'R', 0, 0x16, 0x80, 0xff] {
        let mut raw = room.login(Account::Writer);
        let _ = raw.try_send(&[message(tag, b""), query(DELETE)].concat());
        let words = transcript(&raw.until_ready());
        assert!(words.starts_with("E(FATAL") || words.is_empty(), "{tag}: {words}");
    }
    room.assert_unchanged("fields");
}

#[test]
fn messages_inside_of_data_are_data() {
    let room = Room::open("inside");
    let mut raw = room.login(Account::Reader);
    let inner = String::from_utf8(query(DELETE)).unwrap().replace('\0', "\u{1}");
    assert_eq!(raw.query(&format!("SELECT 1 AS \"{inner}\"")), "T D C(SELECT 1) Z(I)");
    // A parameter that is a whole pipeline, larger than any window.
    let pipeline = [query(DELETE), extended(DELETE), sync()].concat().repeat(4000);
    let text: String = pipeline.iter().map(|byte| char::from(byte & 0x7f)).collect();
    let text = text.replace('\0', "\n");
    let sql = "SELECT length($1::text)";
    raw.send(&[parse("", sql), bind("", "", &[&text]), execute("", 0), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "1 2 D C(SELECT 1) Z(I)");
    room.assert_unchanged("data");
}

#[test]
fn a_refusal_is_the_same_however_it_is_cut() {
    let room = Room::open("cuts");
    let whole = [
        query(DELETE),
        extended("SELECT 1"),
        parse("", DELETE),
        bind("", "", &[]),
        sync(),
        function_call(),
        query("SELECT 2"),
    ]
    .concat();
    let expected = [
        "E(42501) Z(I)",
        "1 2 T D C(SELECT 1) E(42501) Z(I)",
        "E(0A000) Z(I)",
        "T D C(SELECT 1) Z(I)",
    ];
    let read = |raw: &mut Raw| (0..4).map(|_| transcript(&raw.until_ready())).collect::<Vec<_>>();
    for cut in (1..whole.len()).step_by(5) {
        let mut raw = room.login(Account::Reader);
        raw.send(&whole[..cut]);
        raw.send(&whole[cut..]);
        assert_eq!(read(&mut raw), expected, "cut at {cut}");
    }
    let mut raw = room.login(Account::Reader);
    for byte in &whole {
        raw.send(&[*byte]);
    }
    assert_eq!(read(&mut raw), expected, "a byte at a time");
    // All of it many times over, in as few TLS records as there can be.
    raw.send(&whole.repeat(50));
    for _ in 0..50 {
        assert_eq!(read(&mut raw), expected, "in one record");
    }
    room.assert_unchanged("cuts");
}

#[test]
fn function_calls_by_number_never_arrive() {
    let room = Room::open("fast_path");
    let mut raw = room.login(Account::Open);
    // lo_create(0), lo_unlink(1), and a call whose body is cut short or says too much.
    for body in [
        &b"\0\0\x02\xcb\0\0\0\x01\0\0\0\x040000\0\0"[..],
        b"\0\0\x03\xc4\0\x01\0\x01\0\x01\0\0\0\x04\0\0\0\x01\0\0",
        b"\0\0",
        b"",
        &[0xff; 70_000],
    ] {
        raw.send(&message(b'F', body));
        assert_eq!(transcript(&raw.until_ready()), "E(0A000) Z(I)");
    }
    raw.query("BEGIN");
    raw.send(&[function_call(), query("COMMIT")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(0A000) Z(E)");
    assert_eq!(transcript(&raw.until_ready()), "C(ROLLBACK) Z(I)");
    room.assert_unchanged("calls");
}

/// Notices, notifications and errors of the server reach the bot as they are, and in their place.
#[test]
fn what_the_server_says_of_its_own_accord_passes() {
    let room = Room::open("notices");
    let mut raw = room.login(Account::Open);
    assert_eq!(
        raw.query("DO 'BEGIN RAISE NOTICE ''a''; RAISE WARNING ''b''; END'"),
        "N N C(DO) Z(I)"
    );
    assert_eq!(raw.query("LISTEN museum"), "C(LISTEN) Z(I)");
    room.login(Account::Open).query("NOTIFY museum, 'x'");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(raw.query("SELECT 1/0"), "A E(22012) Z(I)");
    // A notice that looks like a refusal is the server's, and has no rule in its words.
    let fake =
        "DO 'BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''42501'', HINT = ''Rule x''; END'";
    raw.send(&[query(fake), query("SELECT 1")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(42501) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
    // A fatal error that ends a session by the bot's own doing.
    raw.send(&query("SELECT pg_terminate_backend(pg_backend_pid())"));
    assert!(transcript(&raw.until_ready()).ends_with("E(FATAL 57P01)"));
    assert!(raw.is_finished());
}
