//! Commands and answers of an open session.

use super::*;

fn rows(tag: &str, rows: usize) -> Vec<u8> {
    [pg::columns(), pg::row().repeat(rows), pg::done(tag), pg::z(b'I')].concat()
}

#[test]
fn an_allowed_command_and_its_answer_cross_unchanged() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!(visit.seen.to(Leg::Upstream), pg::q("SELECT 1"));
    assert_eq!(visit.session.state(), "active");
    visit.target(&one_row());
    assert_eq!(visit.seen.to(Leg::Downstream), one_row());
    assert_eq!(visit.session.state(), "idle");
    assert_eq!(visit.seen.concluded, [false]);
}

#[test]
fn a_denied_command_reaches_nobody_and_is_recorded_as_withheld() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("DROP TABLE customers"));
    assert_eq!(visit.seen.to(Leg::Upstream), b"");
    assert_eq!(visit.seen.heard(), "E(42501) Z(I)");
    let words = visit.seen.to(Leg::Downstream);
    assert!(memchr::memmem::find(&words, b"no drops").is_some());
    assert!(memchr::memmem::find(&words, b"Rule reads/drops; session ").is_some());
    assert_eq!(visit.event_names(), ["statement"]);
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!(visit.seen.to(Leg::Upstream), pg::q("SELECT 1"));
    drop(visit);
    let told = house.only();
    assert_eq!(told.of(RunKind::Withheld), pg::q("DROP TABLE customers"));
    let forwarded = told.of(RunKind::Forwarded);
    assert!(memchr::memmem::find(&forwarded, b"DROP").is_none());
}

#[test]
fn behind_a_command_in_flight_a_denied_one_fails_in_its_place() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&[pg::q("SELECT 1"), pg::q("DROP TABLE t"), pg::q("SELECT 2")].concat());
    assert_eq!(visit.seen.got(), "Q Q! Q");
    assert_eq!(visit.seen.heard(), "", "the refusal does not overtake the first answer");
    let refused = [pg::error("42601"), pg::z(b'I')].concat();
    visit.target(&[one_row(), refused, one_row()].concat());
    assert_eq!(visit.seen.heard(), "T D C Z(I) E(42501) Z(I) T D C Z(I)");
}

#[test]
fn every_statement_has_one_record_with_its_verdict_rule_rows_and_bytes() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT 1"));
    visit.target(&rows("SELECT 3", 3));
    visit.bot(&pg::q("DROP TABLE t"));
    visit.bot(&pg::q("SELECT nothing"));
    visit.target(&[pg::error("42703"), pg::z(b'I')].concat());
    visit.bot(&[pg::p("s", "SELECT 2"), pg::b("", "s"), pg::e(""), pg::sync()].concat());
    let answers = [pg::ok("12"), pg::row().repeat(2), pg::done("SELECT 2"), pg::z(b'I')];
    visit.target(&answers.concat());
    visit.bot(&pg::frame(b'X', b""));
    assert_eq!(visit.seen.closed, Some(CloseReason::BotFinished));
    assert_eq!(visit.seen.concluded, [false, true, false, false]);
    let totals = visit.session.totals();
    assert_eq!((totals.exchanges, totals.denied, totals.rows), (4, 1, 5));
    drop(visit);
    let told = house.only();
    let brief = |exchange: &Exchange| {
        let Exchange { number, text, verdict, rule, rows, error, .. } = exchange.clone();
        (number, text, verdict, rule, rows, error.unwrap_or_default())
    };
    let row = |number, text: &str, verdict: &str, rule: &str, rows, error: &str| {
        let owned = str::to_owned;
        (number, owned(text), owned(verdict), owned(rule), rows, owned(error))
    };
    assert_eq!(
        told.exchanges.iter().map(brief).collect::<Vec<_>>(),
        [
            row(1, "SELECT 1", "allow", "reads/reads", 3, ""),
            row(2, "DROP TABLE t", "deny", "reads/drops", 0, "42501"),
            row(3, "SELECT nothing", "allow", "reads/reads", 0, "42703"),
            row(4, "SELECT 2", "allow", "reads/reads", 2, ""),
        ]
    );
    assert_eq!(told.exchanges[0].answer_bytes, rows("SELECT 3", 3).len() as u64);
    assert_eq!(told.exchanges[0].latency_us, 1000, "a millisecond passed between two inputs");
    assert_eq!(told.exchanges[0].tag.as_deref(), Some("SELECT 3"));
    assert_eq!(told.exchanges[0].effects, ["read"]);
    assert_eq!(told.end(), "bot_finished");
}

#[test]
fn a_text_that_the_target_will_not_prepare_has_one_record_as_well() {
    let house = House::new();
    let mut visit = house.open();
    let refused = [pg::error("42703"), pg::z(b'I')].concat();
    visit.bot(&[pg::p("s", "SELECT 1"), pg::p("t", "SELECT nothing"), pg::sync()].concat());
    visit.target(&[pg::ok("1"), refused.clone()].concat());
    visit.bot(&[pg::pbe("SELECT nobody"), pg::sync()].concat());
    visit.target(&refused);
    visit.bot(&[pg::b("", "s"), pg::e(""), pg::sync()].concat());
    visit.target(&[pg::ok("2"), pg::row(), pg::done("SELECT 1"), pg::z(b'I')].concat());
    assert_eq!(visit.session.totals().exchanges, 3);
    visit.bot(&pg::frame(b'X', b""));
    drop(visit);
    let told = house.only();
    let brief = |exchange: &Exchange| {
        let Exchange { number, text, rule, error, .. } = exchange.clone();
        (number, text, rule, error.unwrap_or_default())
    };
    let row = |number, text: &str, error: &str| {
        (number, text.to_owned(), "reads/reads".to_owned(), error.to_owned())
    };
    assert_eq!(
        told.exchanges.iter().map(brief).collect::<Vec<_>>(),
        [
            row(1, "SELECT nothing", "42703"),
            row(2, "SELECT nobody", "42703"),
            row(3, "SELECT 1", "")
        ]
    );
}

#[test]
fn what_crosses_is_what_was_recorded_in_the_same_order() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    visit.target(&target_login());
    visit.bot(&[pg::q("SELECT 1"), pg::q("DROP TABLE t"), pg::q("SELECT 2")].concat());
    visit.target(&one_row());
    visit.bot(&[pg::pbe("SELECT 3"), pg::sync()].concat());
    visit.target(&[pg::error("42601"), pg::z(b'I'), one_row()].concat());
    visit.target(&[pg::ok("12"), pg::row(), pg::done("SELECT 1"), pg::z(b'I')].concat());
    visit.bot(&pg::q("DROP TABLE t"));
    visit.handle(Input::End(CloseReason::Killed));
    let Visit { seen, .. } = visit;
    let told = house.only();
    assert!(told.crossed() == seen.forwarded);
    assert_eq!((told.starts, told.end()), (1, "killed"));
}

#[test]
fn a_new_policy_judges_the_next_statement() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&[pg::p("s", "SELECT 1"), pg::q("SELECT 1")].concat());
    visit.target(&[pg::ok("1"), one_row()].concat());
    let policy = house.policy("closed");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    visit.seen = Seen::default();
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!((visit.seen.got(), visit.seen.heard()), (String::new(), "E(42501) Z(I)".into()));
    visit.bot(&[pg::b("", "s"), pg::e(""), pg::sync()].concat());
    assert_eq!(visit.seen.got(), "P! S", "what was prepared before is judged by the new policy");
    visit.target(&[pg::error("42601"), pg::z(b'I')].concat());
    let policy = house.policy("reads");
    visit.handle(Input::PolicyChanged { policy, config_version: "v3".into(), bucket: None });
    visit.seen = Seen::default();
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!(visit.seen.got(), "Q");
}

#[test]
fn a_policy_that_changes_while_the_target_is_awaited_judges_the_first_statement() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    let policy = house.policy("closed");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    visit.target(&target_login());
    visit.seen = Seen::default();
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!(visit.seen.heard(), "E(42501) Z(I)");
    assert_eq!(visit.session.admission().unwrap().config_version.as_ref(), "v2");
}

#[test]
fn rows_larger_than_anything_held_stream_through() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT 1"));
    let value = vec![b'x'; 1_000_000];
    let mut body = vec![0, 1];
    body.extend((value.len() as u32).to_be_bytes());
    body.extend(&value);
    let row = pg::frame(b'D', &body);
    visit.target(&pg::columns());
    for piece in row.chunks(16 * 1024) {
        let before = visit.seen.to(Leg::Downstream).len();
        visit.target(piece);
        assert_eq!(visit.seen.to(Leg::Downstream).len() - before, piece.len(), "bytes were held");
    }
    visit.target(&[pg::done("SELECT 1"), pg::z(b'I')].concat());
    assert!(visit.seen.to(Leg::Downstream).ends_with(&pg::z(b'I')));
    assert_eq!(visit.seen.concluded, [false]);
}
