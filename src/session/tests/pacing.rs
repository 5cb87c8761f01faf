//! Statements a minute: who is refused, what the bot hears, what is recorded and what is told.

use super::*;
use crate::model::time::NS_PER_S;

impl House {
    /// Whose bots may make so many statements a minute.
    fn paced(per_minute: u32) -> Self {
        Self { bucket: Some(Arc::new(Bucket::new(per_minute))), ..Self::new() }
    }
}

impl Visit<'_> {
    fn later(&mut self, seconds: u64) {
        self.now.mono_ns += seconds * NS_PER_S;
        self.now.unix_ns += seconds * NS_PER_S;
    }

    /// What the bot hears when it asks for `text`, which the target would answer.
    fn hears(&mut self, text: &str) -> String {
        self.exchange(&pg::q(text), &one_row())
    }

    fn exchange(&mut self, sent: &[u8], answer: &[u8]) -> String {
        self.seen.forwarded.clear();
        self.bot(sent);
        if !self.seen.got().is_empty() {
            self.target(answer);
        }
        self.seen.heard()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.seen.to(Leg::Downstream)).into_owned()
    }
}

const RAN: &str = "T D C Z(I)";
const REFUSED: &str = "E(53400) Z(I)";

#[test]
fn a_statement_too_many_is_refused_and_told_when_to_come_again() {
    let house = House::paced(2);
    let mut visit = house.open();
    assert_eq!(visit.hears("SELECT 1"), RAN);
    assert_eq!(visit.hears("SELECT 2"), RAN);
    assert_eq!(visit.hears("SELECT 3"), REFUSED);
    assert!(visit.said().contains("too many statements within a minute"), "{}", visit.said());
    let hint = "Try again in 30 s; limits.statements of ci@shop is 2 a minute.";
    assert!(visit.said().contains(hint), "{}", visit.said());
    visit.later(30);
    assert_eq!(visit.hears("SELECT 4"), RAN);
    assert_eq!(visit.hears("SELECT 5"), REFUSED);
}

#[test]
fn sessions_of_one_connection_share_what_there_is() {
    let house = House::paced(3);
    let (mut one, mut other) = (house.open(), house.open());
    assert_eq!(one.hears("SELECT 1"), RAN);
    assert_eq!(other.hears("SELECT 1"), RAN);
    assert_eq!(one.hears("SELECT 1"), RAN);
    assert_eq!(other.hears("SELECT 1"), REFUSED);
    assert_eq!(one.hears("SELECT 1"), REFUSED);
    assert_eq!(house.open().hears("SELECT 1"), REFUSED, "nor does a new login get more");
}

#[test]
fn each_statement_of_a_text_counts_and_a_text_runs_whole_or_not_at_all() {
    let house = House::paced(4);
    let mut visit = house.open();
    let two = [one_row(), one_row()].concat();
    let answer = [&two[..one_row().len() - 6], &one_row()].concat();
    assert_eq!(
        visit.exchange(&pg::q("SELECT 1; SELECT 2; SELECT 3;"), &answer),
        "T D C T D C Z(I)"
    );
    assert_eq!(visit.hears("SELECT 1; SELECT 2"), REFUSED);
    assert_eq!(visit.hears("SELECT 1"), RAN, "what was refused took nothing");
    visit.later(600);
    assert_eq!(visit.hears("SELECT 1; SELECT 2; SELECT 3; SELECT 4; SELECT 5"), "E(54000) Z(I)");
    assert!(visit.said().contains("the text has 5 statements, and 4 may run a minute"));
}

#[test]
fn a_text_that_is_not_understood_counts_its_parts() {
    let house = House::paced(4);
    let mut visit = house.open();
    assert_eq!(visit.hears("BOGUS 1; BOGUS 2; BOGUS 3;\n"), "E(42501) Z(I)");
    assert_eq!(visit.hears("SELECT 1"), RAN, "statements that policy denies count as well");
    assert_eq!(visit.hears("SELECT 1"), REFUSED);
    assert_eq!(visit.hears("DROP TABLE t"), REFUSED, "whatever policy would say");
}

#[test]
fn preparing_is_free_and_each_run_counts() {
    let house = House::paced(2);
    let mut visit = house.open();
    let prepare = [pg::p("s", "SELECT 1"), pg::p("t", "SELECT 2"), pg::sync()].concat();
    assert_eq!(visit.exchange(&prepare, &[pg::ok("11"), pg::z(b'I')].concat()), "1 1 Z(I)");
    let run = [pg::b("", "s"), pg::e(""), pg::sync()].concat();
    let ran = [pg::ok("2"), pg::row(), pg::done("SELECT 1"), pg::z(b'I')].concat();
    assert_eq!(visit.exchange(&run, &ran), "2 D C Z(I)");
    assert_eq!(visit.exchange(&run, &ran), "2 D C Z(I)");
    // As after any refusal, the target is made to fail in the same place.
    let failed = [pg::error("42601"), pg::z(b'I')].concat();
    assert_eq!(visit.exchange(&run, &failed), REFUSED);
    assert_eq!(visit.seen.got(), "P! S");
    assert_eq!(visit.exchange(&prepare, &[pg::ok("11"), pg::z(b'I')].concat()), "1 1 Z(I)");
    let unseen = [pg::b("", "never"), pg::e(""), pg::sync()].concat();
    assert_eq!(visit.exchange(&unseen, &failed), REFUSED, "not a reason to prepare anew");
}

#[test]
fn a_pipeline_fails_where_the_statement_is_that_is_too_many() {
    let house = House::paced(1);
    let mut visit = house.open();
    let three =
        [pg::pbe("SELECT 1"), pg::pbe("SELECT 2"), pg::pbe("SELECT 3"), pg::sync()].concat();
    visit.bot(&three);
    assert_eq!(visit.seen.got(), "P B E P P! S", "the refused one is never bound");
    let first = [pg::ok("12"), pg::row(), pg::done("SELECT 1"), pg::ok("1")].concat();
    visit.target(&[first, pg::error("42601"), pg::z(b'I')].concat());
    assert_eq!(visit.seen.heard(), "1 2 D C 1 E(53400) Z(I)");
    assert_eq!(visit.seen.concluded, [false, true]);
}

#[test]
fn a_refusal_fails_the_transaction_which_can_still_be_ended() {
    let house = House::paced(2);
    let mut visit = house.open();
    let begun = [pg::done("BEGIN"), pg::z(b'T')].concat();
    assert_eq!(visit.exchange(&pg::q("BEGIN"), &begun), "C Z(T)");
    let row = [pg::row(), pg::done("SELECT 1"), pg::z(b'T')].concat();
    assert_eq!(visit.exchange(&pg::q("SELECT 1"), &row), "D C Z(T)");
    let failed = [pg::error("42601"), pg::z(b'E')].concat();
    assert_eq!(visit.exchange(&pg::q("SELECT 2"), &failed), "E(53400) Z(E)");
    let ended = [pg::done("ROLLBACK"), pg::z(b'I')].concat();
    assert_eq!(visit.exchange(&pg::q("ROLLBACK"), &ended), "C Z(I)");
    // It counted all the same, and outside of a transaction it is a statement like any other.
    assert_eq!(visit.exchange(&pg::q("ROLLBACK"), &ended), REFUSED);
    visit.later(30);
    assert_eq!(visit.hears("SELECT 1"), REFUSED);
    visit.later(30);
    assert_eq!(visit.hears("SELECT 1"), RAN);
}

#[test]
fn only_a_plain_end_of_a_transaction_goes_on() {
    for (text, passes) in [
        ("COMMIT", true),
        ("END", true),
        ("ABORT", true),
        ("ROLLBACK; SELECT 1", false),
        ("ROLLBACK TO SAVEPOINT s", false),
        ("PREPARE TRANSACTION 'x'", false),
        ("SELECT 1", false),
    ] {
        let house = House::paced(2);
        let mut visit = house.open();
        let begun = [pg::done("BEGIN"), pg::z(b'T')].concat();
        assert_eq!(visit.exchange(&pg::q("BEGIN; SELECT 1"), &begun), "C Z(T)");
        let ended = [pg::done("COMMIT"), pg::z(b'I')].concat();
        let failed = [pg::error("42601"), pg::z(b'E')].concat();
        let heard = visit.exchange(&pg::q(text), if passes { &ended } else { &failed });
        assert_eq!(heard == "C Z(I)", passes, "{text}: {heard}");
    }
}

#[test]
fn every_refusal_is_recorded_and_one_a_minute_is_told() {
    let house = House::paced(1);
    let mut visit = house.open();
    assert_eq!(visit.hears("SELECT 1"), RAN);
    for _ in 0..100 {
        assert_eq!(visit.hears("SELECT 2"), REFUSED);
    }
    assert_eq!(visit.event_names(), ["statement"]);
    visit.later(61);
    assert_eq!(visit.hears("SELECT 3"), RAN);
    assert_eq!(visit.event_names(), ["statement", "untold"]);
    assert!(matches!(visit.seen.events[1].what, What::RefusalsUntold { count: 99 }));
    for _ in 0..10 {
        assert_eq!(visit.hears("SELECT 4"), REFUSED);
    }
    visit.bot(&pg::frame(b'X', b""));
    let names = ["statement", "untold", "statement", "untold", "ended"];
    assert_eq!(visit.event_names(), names, "the end tells what is left");
    assert!(matches!(visit.seen.events[3].what, What::RefusalsUntold { count: 9 }));
    let told = house.only();
    let refused = told.exchanges.iter().filter(|it| it.rule == "narrows/limits.statements");
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.len(), 110);
    assert!(refused.iter().all(|it| it.verdict == "deny" && it.error.as_deref() == Some("53400")));
}

#[test]
fn a_reload_gives_a_session_its_connections_new_limit() {
    let house = House::paced(1);
    let mut visit = house.open();
    assert_eq!(visit.hears("SELECT 1"), RAN);
    assert_eq!(visit.hears("SELECT 1"), REFUSED);
    let policy = || house.policy("reads");
    let bucket = house.bucket.clone();
    visit.handle(Input::PolicyChanged { policy: policy(), config_version: "v2".into(), bucket });
    assert_eq!(visit.hears("SELECT 1"), REFUSED, "the limit is the same, and so is the bucket");
    let (policy, config_version) = (policy(), "v3".into());
    visit.handle(Input::PolicyChanged { policy, config_version, bucket: None });
    assert_eq!(visit.hears("SELECT 1"), RAN);
}
