//! Commands that wait for a human: what crosses meanwhile, what ends the waiting, and what an
//! approval is good for.

use super::*;
use crate::model::approval::{ApprovalId, Decision};

const UPDATE: &str = "UPDATE customers SET name = 'x' WHERE id = 1";

/// The request that the last held command made, on record.
fn filed(visit: &mut Visit<'_>) -> ApprovalId {
    let id = visit.seen.held.last().expect("nothing is held").id;
    visit.handle(Input::Decided { id, decision: Decision::Filed { number: id } });
    id
}

fn approved(visit: &mut Visit<'_>, id: ApprovalId) {
    visit.handle(Input::Decided {
        id,
        decision: Decision::Approved { number: id, by: "alice".into() },
    });
}

/// Lets the session's deadline pass.
fn deadline(visit: &mut Visit<'_>) {
    visit.now.mono_ns = visit.session.deadline_ns().expect("nothing is awaited");
    visit.handle(Input::DeadlinePassed);
}

#[test]
fn nothing_crosses_until_a_human_has_approved() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    assert_eq!((visit.seen.got().as_str(), visit.seen.heard().as_str()), ("", ""));
    assert_eq!(visit.session.state(), "held");
    let id = filed(&mut visit);
    assert_eq!(visit.seen.heard(), "N");
    approved(&mut visit, id);
    assert_eq!(visit.seen.to(Leg::Upstream), pg::q(UPDATE));
    visit.target(&[pg::done("UPDATE 1"), pg::z(b'I')].concat());
    assert_eq!(visit.seen.heard(), "N C Z(I)");
    assert_eq!(visit.event_names(), ["asked", "used"]);
    assert_eq!(visit.session.deadline_ns(), None);
    drop(visit);
    let exchange = house.only().exchanges.remove(0);
    assert_eq!((exchange.verdict.as_str(), exchange.rule.as_str()), ("allow", "reads/updates"));
    assert_eq!(exchange.approval.unwrap(), format!("{id} approved by alice"));
}

#[test]
fn the_request_says_whose_command_it_is_and_on_what_terms() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let request = visit.seen.held.remove(0);
    assert_eq!(&*request.text, UPDATE.as_bytes());
    assert_eq!((&*request.principal.account, &*request.target), ("ci", "shop"));
    assert_eq!((&*request.database, request.rule.as_str()), ("shop", "reads/updates"));
    assert_eq!((request.terms.quorum, request.terms.stands_ms), (1, 600_000));
    assert!(!request.in_transaction && request.effects.contains(&"update"));
}

#[test]
fn a_rejection_and_its_reason_reach_the_bot_and_the_session_goes_on() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&[pg::q(UPDATE), pg::q("SELECT 1")].concat());
    let id = filed(&mut visit);
    assert_eq!(visit.seen.got(), "", "what stands behind it waits as well");
    let decision = Decision::Rejected { by: "bob".into(), reason: "not on a Friday".into() };
    visit.handle(Input::Decided { id, decision });
    assert_eq!(visit.seen.heard(), "N E(42501) Z(I)");
    let words = visit.seen.to(Leg::Downstream);
    assert!(memchr::memmem::find(&words, b"not on a Friday").is_some());
    assert_eq!(visit.seen.to(Leg::Upstream), pg::q("SELECT 1"));
    assert_eq!(visit.seen.left, []);
}

#[test]
fn the_bot_is_told_that_it_waits_and_in_the_end_to_come_again() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    deadline(&mut visit);
    deadline(&mut visit);
    assert_eq!(visit.seen.heard(), "N N N");
    deadline(&mut visit);
    assert_eq!(visit.seen.heard(), "N N N E(42501) Z(I)");
    let words = visit.seen.to(Leg::Downstream);
    assert!(memchr::memmem::find(&words, id.to_string().as_bytes()).is_some());
    assert_eq!(visit.seen.left, [(id, false)]);
    approved(&mut visit, id);
    assert_eq!(visit.seen.got(), "", "who comes too late finds nobody");
    assert_eq!(visit.seen.returned, [id], "and the approval is not lost");
}

#[test]
fn where_nobody_keeps_the_request_it_is_refused() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = visit.seen.held[0].id;
    deadline(&mut visit);
    assert_eq!((visit.seen.heard().as_str(), visit.seen.got().as_str()), ("E(42501) Z(I)", ""));
    assert_eq!(visit.seen.left, [(id, true)]);
}

#[test]
fn a_cancel_request_takes_the_command_back() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    visit.handle(Input::CancelRequested);
    assert_eq!(visit.seen.heard(), "N E(57014) Z(I)");
    assert_eq!((visit.seen.left.as_slice(), visit.seen.cancelled.len()), (&[(id, true)][..], 0));
}

#[test]
fn a_bot_that_leaves_takes_its_command_with_it() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    assert!(visit.session.wants(Leg::Downstream), "it could not be noticed otherwise");
    visit.handle(Input::Eof { leg: Leg::Downstream });
    assert_eq!(visit.seen.left, [(id, true)]);
    drop(visit);
    let told = house.only();
    assert_eq!((told.end(), told.exchanges[0].verdict.as_str()), ("bot_vanished", "hold"));
}

#[test]
fn an_approval_does_not_outlast_the_token_or_the_policy() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    visit.now.unix_ns = 1_700_000_601 * 1_000_000_000;
    approved(&mut visit, id);
    assert_eq!((visit.seen.heard().as_str(), visit.seen.got().as_str()), ("N E(42501) Z(I)", ""));

    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    let policy = house.policy("closed");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    approved(&mut visit, id);
    assert_eq!((visit.seen.heard().as_str(), visit.seen.got().as_str()), ("N E(42501) Z(I)", ""));
}

#[test]
fn text_parameters_and_settings_make_another_request() {
    let digest = |before: &[&str], command: &[u8]| {
        let house = House::new();
        let mut visit = house.open();
        for text in before {
            visit.bot(&pg::q(text));
            visit.target(&[pg::done("SET"), pg::z(b'I')].concat());
        }
        visit.bot(command);
        visit.seen.held.last().expect("nothing is held").digest
    };
    let bound = |value: &str| {
        let size = [&[0, 0, 0, 1, 0, 0, 0, value.len() as u8][..], value.as_bytes()].concat();
        let bind = pg::frame(b'B', &[b"\0\0", &size[..], &[0, 0]].concat());
        [pg::p("", "UPDATE t SET a = 1 WHERE b = $1"), bind].concat()
    };
    let plain = digest(&[], &pg::q(UPDATE));
    assert_eq!(plain, digest(&[], &pg::q(UPDATE)));
    assert_eq!(plain, digest(&["SELECT 1"], &pg::q(UPDATE)));
    assert_ne!(plain, digest(&[], &pg::q(&format!("{UPDATE} "))));
    assert_ne!(plain, digest(&["SET search_path = other"], &pg::q(UPDATE)));
    assert_ne!(plain, digest(&["INSERT INTO t DEFAULT VALUES", "SET a.b = 1"], &pg::q(UPDATE)));
    assert_eq!(digest(&[], &bound("1")), digest(&[], &bound("1")));
    assert_ne!(digest(&[], &bound("1")), digest(&[], &bound("2")));
}

#[test]
fn what_is_only_prepared_is_not_held_and_what_runs_of_it_is() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&[pg::p("s", UPDATE), pg::b("", "s"), pg::e(""), pg::sync()].concat());
    assert_eq!(visit.seen.got(), "P");
    let id = filed(&mut visit);
    approved(&mut visit, id);
    assert_eq!(visit.seen.got(), "P B E S");
}

#[test]
fn what_cannot_be_shown_whole_is_refused_at_once() {
    let house = House::new();
    let mut visit = house.open();
    let long = format!("UPDATE t SET a = '{}' WHERE b = 1", "x".repeat(70_000));
    visit.bot(&pg::q(&long));
    assert!(visit.seen.held.is_empty());
    assert_eq!(visit.seen.heard(), "E(42501) Z(I)");
}

#[test]
fn an_approval_given_by_one_is_not_enough_where_two_are_asked_for_by_now() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q(UPDATE));
    let id = filed(&mut visit);
    let policy = house.policy("stricter");
    visit.handle(Input::PolicyChanged { policy, config_version: "v2".into(), bucket: None });
    approved(&mut visit, id);
    assert_eq!((visit.seen.heard().as_str(), visit.seen.got().as_str()), ("N E(42501) Z(I)", ""));
}

#[test]
fn where_a_rule_says_so_nothing_waits_inside_a_transaction() {
    let house = House::new();
    let mut visit = house.open();
    let truncate = "TRUNCATE customers";
    visit.bot(&pg::q("BEGIN"));
    visit.target(&[pg::done("BEGIN"), pg::z(b'T')].concat());
    visit.bot(&pg::q(truncate));
    assert_eq!((visit.seen.held.len(), visit.session.state() == "held"), (0, false));
    let sent = visit.seen.to(Leg::Upstream);
    assert_eq!(memchr::memmem::find(&sent, b"TRUNCATE"), None);

    let mut visit = house.open();
    visit.bot(&pg::q(truncate));
    assert_eq!(visit.seen.held.len(), 1, "outside it waits");
}

#[test]
fn a_wall_clock_that_jumps_changes_neither_the_wait_nor_its_notices() {
    let house = House::new();
    let heard = |jumps: [i64; 4]| {
        let mut visit = house.open();
        let begun_ns = visit.now.mono_ns;
        visit.bot(&pg::q(UPDATE));
        filed(&mut visit);
        let mut waited = Vec::new();
        for jump_s in jumps {
            visit.now.unix_ns = visit.now.unix_ns.saturating_add_signed(jump_s * 1_000_000_000);
            if visit.session.deadline_ns().is_some() {
                deadline(&mut visit);
                waited.push((visit.now.mono_ns - begun_ns) / 1_000_000_000);
            }
        }
        (waited, visit.seen.heard(), visit.seen.left.len())
    };
    let still = heard([0; 4]);
    assert_eq!(still, (vec![10, 20, 25], "N N N E(42501) Z(I)".to_owned(), 1));
    assert_eq!(heard([-86_400, 86_400, -3_600, 0]), still);
    assert_eq!(heard([86_400, -86_400, 86_400, 0]), still);
}
