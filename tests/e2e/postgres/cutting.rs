//! A result that has more rows than its connection gives: what the bot sees, what becomes of the
//! statement at the server, and what is kept.

use std::sync::OnceLock;

use crate::support::postgres::{Role, Version};
use crate::support::raw::{Raw, error_field, extended, flush, query, sync, transcript};
use crate::world::{self, Passage};

/// A gateway that gives three rows.
fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(|| limited("rows = 3"))
}

fn limited(limits: &str) -> Passage {
    let policies = "policies        = [\"baseline\"]";
    let limits = format!("{policies}\nlimits = {{ {limits} }}");
    world::altered_passage(&[], |config: String| config.replace(policies, &limits))
}

/// Runs `test` at both servers, each with a database of its own.
fn at_both(name: &str, test: impl Fn(Version, &str, &mut Raw)) {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, &format!("cut_{name}"));
        let mut raw = Raw::login(&passage().endpoint(version, Role::App, &database));
        test(version, &database, &mut raw);
        assert_eq!(raw.query("SELECT 42"), "T D C(SELECT 1) Z(I)", "{name}: the session goes on");
    }
}

#[test]
fn an_endless_result_ends_in_an_error_and_stops_at_the_server() {
    at_both("endless", |version, database, raw| {
        raw.send(&query("SELECT generate_series(1, 2000000000)"));
        let answers = raw.until_ready();
        assert_eq!(transcript(&answers), "T D D D E(54000) Z(I)");
        let error = answers.iter().find(|message| message.tag == b'E').unwrap();
        assert!(error_field(error, b'M').unwrap().contains("more than 3 rows"));
        assert!(error_field(error, b'H').unwrap().contains("limits.rows"));
        let running = "SELECT count(*) FROM pg_stat_activity \
                       WHERE state = 'active' AND query LIKE 'SELECT generate_series(1, 2000%'";
        assert_eq!(world::postgres(version).superuser(database, running).trim(), "0");
    });
}

#[test]
fn a_result_of_just_as_many_rows_is_whole() {
    at_both("whole", |_, _, raw| {
        let words = raw.query("SELECT generate_series(1, 3)");
        assert_eq!(words, "T D D D C(SELECT 3) Z(I)");
    });
}

#[test]
fn a_transaction_fails_and_nothing_of_it_stays() {
    at_both("transaction", |version, database, raw| {
        let server = world::postgres(version);
        let before = server.superuser(database, KEPT);
        assert_eq!(raw.query("BEGIN"), "C(BEGIN) Z(T)");
        assert_eq!(raw.query(INSERT), "T D D D E(54000) Z(E)");
        assert_eq!(raw.query("SELECT 1"), "E(25P02) Z(E)");
        assert_eq!(raw.query("COMMIT"), "C(ROLLBACK) Z(I)");
        assert_eq!(server.superuser(database, KEPT), before);
    });
}

#[test]
fn an_open_batch_is_undone() {
    at_both("batch", |version, database, raw| {
        let server = world::postgres(version);
        let before = server.superuser(database, KEPT);
        raw.send(&[extended(INSERT), flush()].concat());
        assert_eq!(transcript(&raw.until(b'E')), "1 2 T D D D E(54000)");
        raw.send(&[extended("SELECT 1"), sync()].concat());
        assert_eq!(transcript(&raw.until_ready()), "Z(I)");
        assert_eq!(server.superuser(database, KEPT), before);
    });
}

#[test]
fn the_rest_of_a_batch_and_of_a_text_is_withheld() {
    at_both("rest", |_, _, raw| {
        raw.send(
            &[extended("SELECT generate_series(1, 9)"), extended("SELECT 1"), sync()].concat(),
        );
        assert_eq!(transcript(&raw.until_ready()), "1 2 T D D D E(54000) Z(I)");
        let words = raw.query("SELECT generate_series(1, 9); SELECT 1");
        assert_eq!(words, "T D D D E(54000) Z(I)");
    });
}

#[test]
fn batches_behind_it_are_carried_out() {
    at_both("behind", |_, _, raw| {
        let batch = |text| [extended(text), sync()].concat();
        raw.send(&[batch("SELECT generate_series(1, 9)"), batch("SELECT 1")].concat());
        assert_eq!(transcript(&raw.until_ready()), "1 2 T D D D E(54000) Z(I)");
        assert_eq!(transcript(&raw.until_ready()), "1 2 T D C(SELECT 1) Z(I)");
    });
}

#[test]
fn lines_of_a_copy_count_as_rows() {
    at_both("copy", |_, _, raw| {
        let words = raw.query("COPY (SELECT generate_series(1, 2000000000)) TO STDOUT");
        assert_eq!(words, "H d d d E(54000) Z(I)");
    });
}

#[test]
fn bytes_are_limited_like_rows() {
    let passage = limited("bytes = \"1KiB\"");
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "cut_bytes");
        let mut raw = Raw::login(&passage.endpoint(version, Role::App, &database));
        // Rows of 316 bytes behind a description of 66.
        raw.send(&query("SELECT repeat('x', 300), generate_series(1, 2000000000)"));
        let answers = raw.until_ready();
        assert_eq!(transcript(&answers), "T D D D E(54000) Z(I)");
        let error = answers.iter().find(|message| message.tag == b'E').unwrap();
        assert!(error_field(error, b'M').unwrap().contains("more than 1024 bytes"));
        assert!(error_field(error, b'H').unwrap().contains("limits.bytes"));
        assert_eq!(raw.query("SELECT repeat('x', 2000)"), "T E(54000) Z(I)");
        assert_eq!(raw.query("SELECT 42"), "T D C(SELECT 1) Z(I)");
    }
}

/// Gives five rows back.
const INSERT: &str =
    "INSERT INTO orders (customer_id) SELECT 7 FROM generate_series(1, 5) RETURNING id";
/// What could have changed.
const KEPT: &str = "SELECT count(*) FROM orders";
