//! What a bot sees, and what the server keeps, when a statement is refused.
//!
//! The server itself is the oracle: each scenario runs twice, once straight at the server with a
//! statement that fails there (`SELECT * FROM nowhere`), once through the gateway with one that
//! policy refuses. But for the error's code the answers must be the same words in the same order,
//! and afterwards the same data must be there.

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::raw::{
    Raw, bind, close, copy_data, copy_done, describe, error_field, execute, extended, flush,
    function_call, parse, query, sync, transcript,
};
use crate::world::{self, REFUSED};

/// Bytes of one write, and how many messages of the named type end the answer to it.
struct Step {
    bytes: Vec<u8>,
    until: u8,
    times: usize,
}

/// Sends simple queries and extended batches; reads up to as many ReadyForQuery.
fn step(parts: &[Vec<u8>], times: usize) -> Step {
    Step { bytes: parts.concat(), until: b'Z', times }
}

/// Reads up to the first message of type `until`, where no ReadyForQuery is due.
fn step_until(parts: &[Vec<u8>], until: u8) -> Step {
    Step { bytes: parts.concat(), until, times: 1 }
}

/// Plays the steps both ways and returns the words that both ways gave.
fn same_both_ways(name: &str, steps: impl Fn(&str) -> Vec<Step>) -> String {
    let mut outcomes = Vec::new();
    for version in [Version::V15, Version::V18] {
        let server = world::postgres(version);
        let direct = world::database(version, &format!("refusal_direct_{name}"));
        let endpoint = Endpoint::direct(server, Role::Cleartext, &direct, world::pki().ca());
        let through = world::database(version, &format!("refusal_through_{name}"));
        let expected = play(&endpoint, steps(FAILS)).replace("E(42P01)", "E(refused)");
        let kept = server.superuser(&direct, KEPT);

        let endpoint = world::passage().endpoint(version, Role::App, &through);
        let words = play(&endpoint, steps(REFUSED)).replace("E(42501)", "E(refused)");
        assert_eq!(words, expected, "{name}, {version:?}: answers");
        assert_eq!(server.superuser(&through, KEPT), kept, "{name}, {version:?}: data");
        outcomes.push(words);
    }
    assert_eq!(outcomes[0], outcomes[1], "{name}: both servers");
    outcomes.swap_remove(0)
}

fn play(endpoint: &Endpoint, steps: Vec<Step>) -> String {
    let mut raw = Raw::login(endpoint);
    let words: Vec<String> = steps
        .into_iter()
        .map(|step| {
            raw.send(&step.bytes);
            let answers: Vec<_> = (0..step.times).flat_map(|_| raw.until(step.until)).collect();
            transcript(&answers)
        })
        .collect();
    // Whatever came before: the session is there, and in step.
    raw.send(&[query("ROLLBACK"), query("SELECT 42")].concat());
    let (rollback, select) = (raw.until_ready(), raw.until_ready());
    assert!(transcript(&rollback).ends_with("C(ROLLBACK) Z(I)"), "{}", transcript(&rollback));
    assert_eq!(transcript(&select), "T D C(SELECT 1) Z(I)");
    words.join(" | ")
}

#[test]
fn outside_a_transaction_an_error_and_ready() {
    let words = same_both_ways("idle", |refused| {
        vec![step(&[query(refused)], 1), step(&[query(INSERT)], 1)]
    });
    assert_eq!(words, "E(refused) Z(I) | C(INSERT 0 1) Z(I)");
}

#[test]
fn inside_a_transaction_it_fails_and_nothing_of_it_stays() {
    let words = same_both_ways("transaction", |refused| {
        vec![
            step(&[query("BEGIN")], 1),
            step(&[query(INSERT)], 1),
            step(&[query(refused)], 1),
            step(&[query("SELECT 1")], 1),
            step(&[query("COMMIT")], 1),
        ]
    });
    assert_eq!(
        words,
        "C(BEGIN) Z(T) | C(INSERT 0 1) Z(T) | E(refused) Z(E) | E(25P02) Z(E) | C(ROLLBACK) Z(I)"
    );
}

#[test]
fn a_savepoint_survives_the_refusal() {
    let words = same_both_ways("savepoint", |refused| {
        vec![
            step(&[query("BEGIN"), query(INSERT), query("SAVEPOINT s")], 3),
            step(&[query(INSERT), query(refused)], 2),
            step(&[query("ROLLBACK TO s"), query("COMMIT")], 2),
        ]
    });
    assert!(words.ends_with("E(refused) Z(E) | C(ROLLBACK) Z(T) C(COMMIT) Z(I)"), "{words}");
}

#[test]
fn in_a_failed_transaction_the_server_answers_itself() {
    let words = same_both_ways("failed", |refused| {
        vec![
            step(&[query("BEGIN"), query("SELECT 1/0")], 2),
            step(&[query(refused)], 1),
            step(&[query("ROLLBACK")], 1),
        ]
    });
    assert_eq!(words, "C(BEGIN) Z(T) E(22012) Z(E) | E(25P02) Z(E) | C(ROLLBACK) Z(I)");
}

#[test]
fn simple_queries_in_one_write_are_answered_in_order() {
    let words = same_both_ways("queued", |refused| {
        vec![step(&[query(INSERT), query(refused), query("SELECT 1"), query(refused)], 4)]
    });
    assert_eq!(words, "C(INSERT 0 1) Z(I) E(refused) Z(I) T D C(SELECT 1) Z(I) E(refused) Z(I)");
}

#[test]
fn what_stood_before_it_in_the_batch_is_undone() {
    let words = same_both_ways("batch", |refused| {
        vec![step(&[extended(INSERT), extended(refused), extended(INSERT), sync()], 1)]
    });
    assert_eq!(words, "1 2 n C(INSERT 0 1) E(refused) Z(I)");
}

#[test]
fn batches_behind_it_are_carried_out() {
    let words = same_both_ways("batches", |refused| {
        vec![step(
            &[
                [extended(INSERT), sync()].concat(),
                [extended(refused), sync()].concat(),
                [extended(INSERT), sync()].concat(),
            ],
            3,
        )]
    });
    assert_eq!(words, "1 2 n C(INSERT 0 1) Z(I) E(refused) Z(I) 1 2 n C(INSERT 0 1) Z(I)");
}

#[test]
fn in_a_transaction_of_the_extended_protocol_it_fails_too() {
    let words = same_both_ways("extended_transaction", |refused| {
        vec![
            step(&[extended("BEGIN"), extended(INSERT), extended(refused), sync()], 1),
            step(&[extended("COMMIT"), sync()], 1),
        ]
    });
    assert_eq!(
        words,
        "1 2 n C(BEGIN) 1 2 n C(INSERT 0 1) E(refused) Z(E) | 1 2 n C(ROLLBACK) Z(I)"
    );
}

#[test]
fn a_flush_brings_the_answer_before_any_sync() {
    let words = same_both_ways("flush", |refused| {
        vec![
            step_until(&[parse("", "SELECT 1"), describe('S', ""), flush()], b'T'),
            step_until(&[parse("", refused), flush()], b'E'),
            step(&[describe('S', ""), flush(), sync()], 1),
        ]
    });
    assert_eq!(words, "1 t T | E(refused) | Z(I)");
}

#[test]
fn names_behind_it_in_the_batch_are_not_made() {
    let words = same_both_ways("names", |refused| {
        vec![
            step(&[parse("a", "SELECT 1"), parse("b", refused), parse("c", "SELECT 3"), sync()], 1),
            step(&[bind("", "a", &[]), execute("", 0), sync()], 1),
            step(&[bind("", "b", &[]), execute("", 0), sync()], 1),
            step(&[bind("", "c", &[]), execute("", 0), sync()], 1),
            step(&[parse("b", "SELECT 2"), bind("", "b", &[]), execute("", 0), sync()], 1),
        ]
    });
    assert_eq!(
        words,
        "1 E(refused) Z(I) | 2 D C(SELECT 1) Z(I) | E(26000) Z(I) | E(26000) Z(I) \
         | 1 2 D C(SELECT 1) Z(I)"
    );
}

#[test]
fn a_suspended_portal_before_it_has_given_its_rows() {
    let words = same_both_ways("portal", |refused| {
        vec![step(
            &[
                parse("", "SELECT generate_series(1, 5)"),
                bind("p", "", &[]),
                execute("p", 2),
                parse("", refused),
                execute("p", 2),
                close('P', "p"),
                sync(),
            ],
            1,
        )]
    });
    assert_eq!(words, "1 2 D D s E(refused) Z(I)");
}

#[test]
fn a_copy_before_it_is_complete_or_undone() {
    let words = same_both_ways("copy", |refused| {
        let row = |id: &str| copy_data(&format!("{id}\tN. N.\t{id}@example.org\t000-00-0000\n"));
        vec![
            step_until(&[query(COPY)], b'G'),
            step(&[row("900"), copy_done(), query(refused)], 2),
            step(&[query("BEGIN")], 1),
            step_until(&[query(COPY)], b'G'),
            step(&[row("901"), copy_done(), query(refused), query("COMMIT")], 3),
        ]
    });
    assert!(words.ends_with("C(COPY 1) Z(T) E(refused) Z(E) C(ROLLBACK) Z(I)"), "{words}");
}

#[test]
fn one_refused_statement_refuses_its_whole_message() {
    let server = world::postgres(Version::V15);
    let database = world::database(Version::V15, "refusal_several");
    let before = server.superuser(&database, KEPT);
    let endpoint = world::passage().endpoint(Version::V15, Role::App, &database);
    let mut raw = Raw::login(&endpoint);
    let refused = format!("{REFUSED} /* several */");
    assert_eq!(raw.query(&format!("{INSERT}; {refused}; {INSERT}")), "E(42501) Z(I)");
    assert_eq!(raw.query("BEGIN"), "C(BEGIN) Z(T)");
    assert_eq!(raw.query(&format!("{INSERT}; COMMIT; {refused}")), "E(42501) Z(E)");
    assert_eq!(raw.query("COMMIT"), "C(ROLLBACK) Z(I)");
    assert_eq!(server.superuser(&database, KEPT), before);
    let seen = server.log().contains("/* several */");
    assert!(!seen, "nothing of what is refused reaches the server");
}

#[test]
fn the_error_says_what_and_why() {
    let endpoint = world::passage().endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    for statement in [query(REFUSED), [extended(REFUSED), sync()].concat()] {
        for transaction in [false, true] {
            if transaction {
                raw.query("BEGIN");
            }
            raw.send(&statement);
            let answers = raw.until_ready();
            let error = answers.iter().find(|message| message.tag == b'E').unwrap();
            let field = |letter| error_field(error, letter);
            assert_eq!(field(b'S').as_deref(), Some("ERROR"));
            assert_eq!(field(b'V').as_deref(), Some("ERROR"));
            assert_eq!(field(b'C').as_deref(), Some("42501"));
            assert!(field(b'M').unwrap().contains("dropping and truncating need a migration"));
            assert!(field(b'H').is_some_and(|hint| !hint.is_empty()));
            raw.query("ROLLBACK");
        }
    }
}

#[test]
fn function_calls_by_number_are_refused() {
    let endpoint = world::passage().endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.send(&[function_call(), query("SELECT 1")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(0A000) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
}

#[test]
fn a_refused_copy_never_begins() {
    let endpoint = world::passage().endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query("COPY orders TO PROGRAM 'true'"), "E(42501) Z(I)");
    assert_eq!(raw.query("COPY orders FROM '/etc/passwd'"), "E(42501) Z(I)");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}

/// Fails where the server reads it, as a refusal by policy does.
const FAILS: &str = "SELECT * FROM nowhere";
const INSERT: &str = "INSERT INTO orders (customer_id) VALUES (7)";
const COPY: &str = "COPY customers (id, name, email, ssn) FROM STDIN";
/// What could have changed.
const KEPT: &str = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers), \
                    (SELECT count(*) FROM order_items)";
