//! Names that shall mean one thing to the gateway and another to the server.

use crate::support::raw::{
    Raw, bind, close, describe, execute, extended, message, parse, query, sync, transcript,
};
use crate::world::{Account, Room};

const DELETE: &str = "DELETE FROM orders";

/// Steps that end with a Sync or are a Query, and what each is answered.
type Steps<'a> = &'a [(&'a [Vec<u8>], &'a str)];

/// One write for everything, so that nothing is settled when the next message is judged.
fn pipelined(raw: &mut Raw, name: &str, steps: Steps<'_>) {
    let bytes: Vec<u8> = steps.iter().flat_map(|(parts, _)| parts.concat()).collect();
    raw.send(&bytes);
    for (at, (_, expected)) in steps.iter().enumerate() {
        assert_eq!(transcript(&raw.until_ready()), *expected, "{name}, pipelined, step {at}");
    }
}

fn one_by_one(raw: &mut Raw, name: &str, steps: Steps<'_>) {
    for (at, (parts, expected)) in steps.iter().enumerate() {
        raw.send(&parts.concat());
        assert_eq!(transcript(&raw.until_ready()), *expected, "{name}, step {at}");
    }
}

fn both_ways(room: &Room, name: &str, steps: Steps<'_>) {
    one_by_one(&mut room.login(Account::Reader), name, steps);
    pipelined(&mut room.login(Account::Reader), name, steps);
    room.assert_unchanged(name);
}

fn run(name: &str) -> Vec<u8> {
    [bind("", name, &[]), execute("", 0)].concat()
}

#[test]
fn a_name_runs_what_was_judged_under_it() {
    let room = Room::open("names");
    let read = "SELECT 1";
    both_ways(
        &room,
        "rebinding by a refused Parse",
        &[
            (&[parse("a", read), sync()], "1 Z(I)"),
            (&[close('S', "a"), parse("a", DELETE), run("a"), sync()], "3 E(42501) Z(I)"),
            (&[run("a"), sync()], "E(26000) Z(I)"),
        ],
    );
    both_ways(
        &room,
        "a refused Parse of the unnamed statement, and its old meaning",
        &[
            (&[parse("", read), sync()], "1 Z(I)"),
            (&[parse("", DELETE), run(""), sync()], "E(42501) Z(I)"),
        ],
    );
    both_ways(
        &room,
        "a Parse that the server refuses, and a Bind to the name",
        &[
            (&[parse("b", "SELECT * FROM nowhere"), run("b"), sync()], "E(42P01) Z(I)"),
            (&[run("b"), sync()], "E(26000) Z(I)"),
            (&[parse("b", DELETE), run("b"), sync()], "E(42501) Z(I)"),
        ],
    );
    both_ways(
        &room,
        "closed and run in one batch",
        &[
            (&[parse("c", read), close('S', "c"), run("c"), sync()], "1 3 E(26000) Z(I)"),
            (&[parse("c", read), run("c"), sync()], "1 2 D C(SELECT 1) Z(I)"),
        ],
    );
}

#[test]
fn both_ways_of_preparing_share_their_names() {
    let room = Room::open("shared_names");
    both_ways(
        &room,
        "prepared by SQL, run by message",
        &[
            (&[query("PREPARE p AS SELECT 1")], "C(PREPARE) Z(I)"),
            (&[run("p"), sync()], "2 D C(SELECT 1) Z(I)"),
            (&[query("DEALLOCATE p; PREPARE p AS DELETE FROM orders")], "E(42501) Z(I)"),
            (&[run("p"), sync()], "2 D C(SELECT 1) Z(I)"),
        ],
    );
    both_ways(
        &room,
        "prepared by message, run by SQL",
        &[
            (&[parse("q", "SELECT 1"), sync()], "1 Z(I)"),
            (&[query("EXECUTE q")], "T D C(SELECT 1) Z(I)"),
            (&[query("DEALLOCATE ALL; EXECUTE q")], "C(DEALLOCATE ALL) E(26000) Z(I)"),
            (&[query("EXPLAIN ANALYZE EXECUTE unseen")], "E(42501) Z(I)"),
            (&[query("CREATE TABLE t AS EXECUTE q")], "E(42501) Z(I)"),
        ],
    );
    both_ways(
        &room,
        "a cursor of SQL, executed as a portal, and the other way round",
        &[
            (&[query("BEGIN")], "C(BEGIN) Z(T)"),
            (&[query("DECLARE c CURSOR FOR SELECT 1")], "C(DECLARE CURSOR) Z(T)"),
            (&[execute("c", 0), sync()], "D C(SELECT 1) Z(T)"),
            (&[parse("", "SELECT 2"), bind("d", "", &[]), sync()], "1 2 Z(T)"),
            (&[query("FETCH ALL FROM d")], "T D C(FETCH 1) Z(T)"),
            (&[query("DECLARE e CURSOR FOR DELETE FROM orders RETURNING 1")], "E(42501) Z(E)"),
            (&[execute("e", 0), sync()], "E(34000) Z(E)"),
            (&[query("ROLLBACK")], "C(ROLLBACK) Z(I)"),
        ],
    );
}

#[test]
fn a_refusal_in_front_of_it_stops_what_is_behind() {
    let room = Room::open("behind");
    both_ways(
        &room,
        "batches",
        &[
            (&[parse("a", "SELECT 1"), sync()], "1 Z(I)"),
            (
                &[run("a"), parse("", DELETE), run("a"), describe('S', "a"), sync()],
                "2 D C(SELECT 1) E(42501) Z(I)",
            ),
            (&[query(DELETE)], "E(42501) Z(I)"),
            (&[query(DELETE)], "E(42501) Z(I)"),
            (&[run("a"), sync()], "2 D C(SELECT 1) Z(I)"),
        ],
    );
    // The unfinished batch of a refusal swallows a simple query, as the server's would.
    let mut raw = room.login(Account::Reader);
    raw.send(&[extended(DELETE), query("SELECT 1"), sync(), query("SELECT 2")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(42501) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
}

/// The server cuts names at 63 bytes, in SQL between characters, and compares what is left.
#[test]
fn long_names_are_not_mistaken_for_one_another() {
    let room = Room::open("long_names");
    let mut raw = room.login(Account::Reader);
    for bytes in [64, 65, 200, 60_000] {
        let long = "n".repeat(bytes);
        for (message, code) in [
            (parse(&long, "SELECT 1"), "0A000"),
            (bind("", &long, &[]), "26000"),
            (bind(&long, "", &[]), "26000"),
            (execute(&long, 0), "34000"),
        ] {
            raw.send(&[message, sync()].concat());
            assert_eq!(transcript(&raw.until_ready()), format!("E({code}) Z(I)"), "{bytes} bytes");
        }
    }
    let fits = "n".repeat(63);
    raw.send(&[parse(&fits, "SELECT 1"), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "1 Z(I)");
    // With a notice that the name was cut.
    assert_eq!(raw.query(&format!("EXECUTE {fits}nnn")), "N T D C(SELECT 1) Z(I)");
    for (one, other) in [("é", "ā"), ("\u{20ac}", "\u{20ad}"), ("\u{1f600}", "\u{1f601}")] {
        let (one, other) =
            (format!("{}{one}", "é".repeat(31)), format!("{}{other}", "é".repeat(31)));
        let words = raw.query(&format!("PREPARE \"{one}\" AS SELECT 1"));
        assert!(words.ends_with("C(PREPARE) Z(I)"), "{words}");
        let words = raw.query(&format!("PREPARE \"{other}\" AS DELETE FROM orders"));
        assert_eq!(words, "E(42501) Z(I)");
        assert!(!raw.query(&format!("EXECUTE \"{other}\"")).contains("DELETE"));
        raw.query("DEALLOCATE ALL");
    }
    room.assert_unchanged("long names");
}

#[test]
fn ten_thousand_names_are_too_many_and_no_more() {
    let room = Room::open("many_names");
    let mut raw = room.login(Account::Reader);
    let mut words = Vec::new();
    for hundred in 0..100 {
        let batch: Vec<u8> = (0..100)
            .flat_map(|n| [parse(&format!("n{hundred}-{n}"), "SELECT 1"), sync()].concat())
            .collect();
        raw.send(&batch);
        words.extend((0..100).map(|_| transcript(&raw.until_ready())));
    }
    // Those on their way come on top, here a hundred at most.
    let made = words.iter().filter(|word| *word == "1 Z(I)").count();
    assert!((4096..4096 + 100).contains(&made), "{made} names");
    assert_eq!(words.iter().filter(|word| *word == "E(54000) Z(I)").count(), 10_000 - made);
    raw.send(
        &[run("n0-0"), sync(), run("n99-99"), sync(), parse("n99-99", DELETE), sync()].concat(),
    );
    assert_eq!(transcript(&raw.until_ready()), "2 D C(SELECT 1) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "E(26000) Z(I)");
    assert!(transcript(&raw.until_ready()).starts_with("E("));
    assert_eq!(raw.query("DEALLOCATE ALL"), "C(DEALLOCATE ALL) Z(I)");
    raw.send(&[parse("again", "SELECT 1"), run("again"), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "1 2 D C(SELECT 1) Z(I)");
}

#[test]
fn sixty_five_thousand_parameters_are_counted_as_the_server_counts_them() {
    let room = Room::open("parameters");
    let mut raw = room.login(Account::Reader);
    let many = vec!["1"; 65_535];
    raw.send(&[parse("", "SELECT 1"), bind("", "", &many), execute("", 0), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "1 E(08P01) Z(I)");
    // A count without what it counts.
    let body = [b"\0\0\0\0".as_slice(), &[0xff, 0xff], &[0, 0]].concat();
    let mut liar = room.login(Account::Reader);
    liar.send(&[parse("", "SELECT 1"), message(b'B', &body), execute("", 0), sync()].concat());
    let words = transcript(&liar.until_ready());
    assert!(words.contains("E(") && !words.contains("C("), "{words}");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}
