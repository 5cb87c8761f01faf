//! Settings that change how text is read or who reads it, before the gateway has noticed.

use crate::support::raw::{Raw, bind, execute, extended, parse, query, startup, sync, transcript};
use crate::world::{Account, Room, world};

/// With standard strings, two strings. Without, one string and a statement.
const BACKSLASH: &str = r"SELECT '\', '; DELETE FROM orders; --'";
/// In UTF-8, one string. In SJIS the backslash belongs to the character before it.
const SECOND_BYTE: &str = "SELECT E'\u{c1}\\'; DELETE FROM orders; --'";

/// Without quotes, so that it is read alike in every session.
const LAST: &str = "SELECT 4711";

/// Every way to send `then` right behind the changes, unanswered.
fn races(changes: &[&str], then: &str) -> Vec<Vec<u8>> {
    let all: String = changes.join("; ");
    let simple: Vec<u8> = changes.iter().flat_map(|sql| query(sql)).collect();
    let batches: Vec<u8> =
        changes.iter().flat_map(|sql| [extended(sql), sync()].concat()).collect();
    let batch: Vec<u8> = changes.iter().flat_map(|sql| extended(sql)).collect();
    let last = changes.last().unwrap();
    let (first, rest) = (parse("later", last), [bind("", "later", &[]), execute("", 0)].concat());
    let before: Vec<u8> = changes[..changes.len() - 1].iter().flat_map(|sql| query(sql)).collect();
    let end = [query("ROLLBACK"), query(LAST)].concat();
    [
        [simple.clone(), query(then)].concat(),
        [simple, extended(then), sync()].concat(),
        [query(&all), query(then)].concat(),
        [batches.clone(), query(then)].concat(),
        [batches, extended(then), sync()].concat(),
        [batch.clone(), extended(then), sync()].concat(),
        [batch, query(then), sync()].concat(),
        [before, first, sync(), rest, sync(), query(then)].concat(),
    ]
    .into_iter()
    .map(|bytes| [bytes, end.clone()].concat())
    .collect()
}

/// Reads until the session has said its last word.
fn to_the_end(raw: &mut Raw) -> String {
    let mut words = Vec::new();
    loop {
        let answers = raw.until_ready();
        let ended = answers.iter().any(|it| it.tag == b'D' && it.body.ends_with(b"4711"));
        words.push(transcript(&answers));
        if ended || answers.last().is_none_or(|last| last.tag != b'Z') {
            return words.join(" | ");
        }
    }
}

#[test]
fn no_text_overtakes_a_change_of_how_it_is_read() {
    let room = Room::open("reading");
    let off = "SET standard_conforming_strings = off";
    let on = "SET standard_conforming_strings = on";
    let by_function = "SELECT set_config('standard_conforming_strings', 'off', false)";
    let computed = "SELECT set_config('standard_' || 'conforming_strings', 'off', false)";
    let cases: &[(&str, &[&str], &str)] = &[
        ("SET", &[off], BACKSLASH),
        ("SET LOCAL", &["BEGIN", "SET LOCAL standard_conforming_strings = off"], BACKSLASH),
        ("set_config", &[by_function], BACKSLASH),
        ("a rollback to it", &[off, "BEGIN", on, "ROLLBACK"], BACKSLASH),
        ("a savepoint", &["BEGIN", off, "SAVEPOINT s", on, "ROLLBACK TO s"], BACKSLASH),
        (
            "the end of SET LOCAL",
            &[off, "BEGIN", "SET LOCAL standard_conforming_strings = on", "COMMIT"],
            BACKSLASH,
        ),
        (
            "EXECUTE",
            &[
                "PREPARE p AS SELECT set_config('standard_conforming_strings', 'off', false)",
                "EXECUTE p",
            ],
            BACKSLASH,
        ),
        ("a computed name", &[computed], BACKSLASH),
        ("an encoding", &["SET client_encoding = 'SJIS'"], SECOND_BYTE),
        ("names", &["SET NAMES 'SJIS'"], SECOND_BYTE),
        (
            "an encoding by function",
            &["SELECT set_config('client_encoding', 'SJIS', false)"],
            SECOND_BYTE,
        ),
        (
            "an encoding, rolled back to",
            &["SET client_encoding = 'SJIS'", "BEGIN", "SET client_encoding = 'UTF8'", "ROLLBACK"],
            SECOND_BYTE,
        ),
    ];
    for (name, changes, then) in cases {
        for (way, bytes) in races(changes, then).into_iter().enumerate() {
            let mut raw = room.login(Account::Reader);
            raw.send(&bytes);
            let words = to_the_end(&mut raw);
            assert!(!words.contains("DELETE"), "{name}, way {way}: {words}");
        }
        room.assert_unchanged(name);
    }
}

/// What `DO` runs is not read, and may have changed how the next text is read.
#[test]
fn no_text_overtakes_code_that_nobody_reads() {
    let room = Room::open("unread_code");
    let code =
        "DO 'BEGIN PERFORM set_config(''standard_conforming_strings'', ''off'', false); END'";
    let then = r"SELECT '\', '; DROP TABLE order_items; --'";
    for (way, bytes) in races(&[code], then).into_iter().enumerate() {
        let mut raw = room.login(Account::Open);
        raw.send(&bytes);
        let words = to_the_end(&mut raw);
        assert!(!words.contains("DROP"), "way {way}: {words}");
        room.assert_unchanged(&format!("way {way}: {words}"));
    }
}

/// A session whose role or database has unusual settings from the beginning.
#[test]
fn a_session_that_begins_unusual_is_read_as_it_is() {
    let room = Room::open("unusual");
    let set = format!("ALTER DATABASE {} SET standard_conforming_strings = off", room.database);
    crate::world::server().superuser("postgres", &set);
    let mut raw = room.login(Account::Reader);
    assert_eq!(raw.query(BACKSLASH), "E(42501) Z(I)");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    // Pipelined behind what makes it usual, and unusual again.
    raw.send(
        &[
            query("BEGIN"),
            query("SET LOCAL standard_conforming_strings = on"),
            query("COMMIT"),
            query(BACKSLASH),
            query("RESET ALL"),
            query(BACKSLASH),
            query("DISCARD ALL"),
            query(BACKSLASH),
            query(LAST),
        ]
        .concat(),
    );
    let mut words = Vec::new();
    for _ in 0..9 {
        words.push(transcript(&raw.until_ready()));
    }
    let words = words.join(" | ");
    assert!(!words.contains("DELETE"), "{words}");
    room.assert_unchanged(&words);
}

#[test]
fn the_start_up_packet_sets_nothing_that_matters() {
    let room = Room::open("start_up");
    let endpoint = world().endpoint(Account::Reader, &room.database);
    let evil: &[(&str, &str)] = &[
        ("options", "-c standard_conforming_strings=off"),
        ("options", "-crole=postgres"),
        ("OPTIONS", "-c session_preload_libraries=evil"),
        ("options", "--search_path=evil"),
        ("role", "postgres"),
        ("Role", "postgres"),
        ("session_authorization", "postgres"),
        ("search_path", "evil, public"),
        ("standard_conforming_strings", "off"),
        ("backslash_quote", "on"),
        ("client_encoding", "SJIS"),
        ("Client_Encoding", "GBK"),
        ("replication", "true"),
        ("replication", "on"),
        ("replication", "1"),
        ("replication", "database"),
        ("replication", "yes"),
        ("default_transaction_read_only", "off"),
        ("session_replication_role", "replica"),
        ("local_preload_libraries", "evil"),
        ("user", "postgres"),
        ("USER", "postgres"),
        ("database", "postgres"),
        ("DateStyle", "ISO\nroot"),
        ("TimeZone", "UTC\u{0}role"),
        ("statement_timeout", "1'; DROP TABLE orders; --"),
        ("application_name", "x\u{0}role\u{0}postgres"),
    ];
    for (name, value) in evil {
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let parameters = [
            ("user", endpoint.user.as_str()),
            ("database", endpoint.database.as_str()),
            (name, value),
        ];
        raw.send(&startup(&parameters));
        let first = raw.read();
        if first.as_ref().is_some_and(|first| first.tag == b'R') {
            raw.send(&crate::support::raw::password(&endpoint.password));
            let answers = raw.until_ready();
            let words = transcript(&answers);
            assert!(words.contains("E(FATAL") && !words.contains('Z'), "{name}={value}: {words}");
        } else {
            assert_eq!(first.map(|first| first.tag), Some(b'E'), "{name}={value}");
        }
    }
    room.assert_unchanged("start-up packets");
}
