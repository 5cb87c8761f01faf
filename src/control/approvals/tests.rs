use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::identity::{Bearer, ClaimRule, Group, Pattern};
use crate::model::approval::{HoldTerms, Reviewer};
use crate::model::identity::{ClaimValue, Claims, Principal};
use crate::model::session::SessionId;
use crate::model::time::unix_ms;

struct Desk {
    dir: tempfile::TempDir,
    approvals: Approvals,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(&dir.path().join("state.db"), EventQueue::discarding());
        let desk = Self { dir, approvals: approvals.unwrap() };
        desk.approvals.set_people(people());
        desk
    }

    /// As after a restart.
    fn again(mut self) -> Self {
        let path = self.dir.path().join("state.db");
        self.approvals = Approvals::open(&path, EventQueue::discarding()).unwrap();
        self.approvals.set_people(people());
        self
    }

    /// Files a request for a session at `place`; what the session hears.
    fn file(&self, request: &HoldRequest, place: u128) -> Receiver<(ApprovalId, Decision)> {
        let (sender, heard) = channel();
        let tell = Box::new(move |id, decision| sender.send((id, decision)).is_ok());
        self.approvals.file(request, Waiter { place, tell });
        heard
    }

    /// The state that the request has then, or why the word does not count.
    fn decide(&self, id: ApprovalId, human: &Human, approve: bool) -> String {
        let reason = (!approve).then(|| "no".to_owned());
        let seen = matches!(human.known, Known::Bearer(_));
        let hash = seen.then(|| self.hash(id));
        let asked = DecideRequest { id: id.to_string(), approve, hash, reason };
        match self.approvals.decide(&asked, human) {
            Ok(line) => line.state.word().to_owned(),
            Err(why) => why.to_string(),
        }
    }

    fn line(&self, id: ApprovalId) -> Option<ApprovalLine> {
        self.approvals.show(&id.to_string(), &human("root", 0)).unwrap()
    }

    fn state(&self, id: ApprovalId) -> &'static str {
        self.line(id).map_or("none", |line| line.state.word())
    }

    fn hash(&self, id: ApprovalId) -> String {
        self.line(id).map_or_else(String::new, |line| line.hash[..8].to_owned())
    }
}

fn people() -> People {
    let dba = Group {
        name: "dba".into(),
        users: vec!["alice".into(), "bob".into(), "1003".into()],
        rules: ["okta", "entra"].map(|issuer| rule(issuer, "groups", "dba")).into(),
    };
    People::new(vec![dba], None)
}

fn rule(issuer: &str, claim: &str, pattern: &str) -> ClaimRule {
    let claims = vec![(claim.to_owned(), vec![Pattern::parse(pattern).unwrap()])];
    ClaimRule { issuer: issuer.into(), claims }
}

fn human(name: &str, uid: u32) -> Human {
    Human::local(uid, name.to_owned(), uid == 0)
}

/// The bearer of a token of `issuer`, whose claims are these beside `groups`.
fn bearer(issuer: &str, subject: &str, claims: &[(&str, &str)]) -> Human {
    let text =
        |(name, value): &(&str, &str)| ((*name).to_owned(), ClaimValue::Text((*value).to_owned()));
    let mut claims: Claims = claims.iter().map(text).collect();
    let groups = ClaimValue::List(vec!["staff".to_owned(), "dba".to_owned()]);
    claims.entry("groups".to_owned()).or_insert(groups);
    let claims = Arc::new(claims);
    Human::bearer(Bearer { issuer: issuer.into(), subject: subject.into(), claims })
}

/// A request that `digest` tells from others, for two of the group.
fn request(digest: u8, quorum: u16) -> HoldRequest {
    let claims = BTreeMap::from([("actor".to_owned(), ClaimValue::Text("Carol".to_owned()))]);
    let plain = sample();
    let principal = Principal {
        account: "ci".into(),
        issuer: "github".into(),
        claims: Arc::new(claims),
        ..(*plain.principal).clone()
    };
    let reviewers = [Reviewer::Group("dba".to_owned()), Reviewer::User("carol".to_owned())].into();
    let terms = HoldTerms { reviewers, quorum, ..(*plain.terms).clone() };
    HoldRequest {
        digest: [digest; 32],
        principal: Arc::new(principal),
        terms: Arc::new(terms),
        ..plain
    }
}

/// A request that anybody who operates Narrows may decide.
pub(in crate::control) fn sample() -> HoldRequest {
    HoldRequest {
        id: ApprovalId(uuid::Uuid::now_v7()),
        digest: [0; 32],
        session: SessionId(uuid::Uuid::now_v7()),
        exchange: 1,
        principal: Arc::new(Principal {
            account: "deploy".into(),
            issuer: "ci".into(),
            subject: "repo:acme/shop".into(),
            token_id: None,
            expires_unix_s: 0,
            claims: Arc::default(),
        }),
        target: "shop".into(),
        database: "shop".into(),
        peer: "127.0.0.1:5000".parse().unwrap(),
        text: b"UPDATE t SET a = 1 WHERE b = 2".as_slice().into(),
        parameters: Vec::new(),
        effects: vec!["update"],
        rule: "p/updates".to_owned(),
        in_transaction: false,
        terms: Arc::new(HoldTerms {
            reviewers: Arc::default(),
            quorum: 1,
            stands_ms: 600_000,
            wait_ms: 55_000,
            in_transaction: true,
        }),
        unix_ns: 1_700_000_000_000_000_000,
        planning: None,
    }
}

fn filed(id: ApprovalId) -> (ApprovalId, Decision) {
    (id, Decision::Filed { number: id })
}

#[test]
fn an_approval_lets_the_waiting_session_go_on_and_is_used_up() {
    let desk = Desk::new();
    let request = request(1, 1);
    let heard = desk.file(&request, 1);
    assert_eq!(heard.recv().unwrap(), filed(request.id));
    assert_eq!(desk.decide(request.id, &human("alice", 1001), true), "used");
    let approved = Decision::Approved { number: request.id, by: "alice".to_owned() };
    assert_eq!(heard.recv().unwrap().1, approved);
    let refused = desk.decide(request.id, &human("bob", 1002), true);
    assert_eq!(refused, "the request is used");
}

#[test]
fn a_quorum_is_of_distinct_humans() {
    let desk = Desk::new();
    let request = request(1, 2);
    let heard = desk.file(&request, 1);
    let alice = human("alice", 1001);
    assert_eq!(desk.decide(request.id, &alice, true), "pending");
    assert_eq!(desk.decide(request.id, &alice, true), "alice has approved it already");
    assert_eq!(desk.decide(request.id, &human("dora", 1003), true), "used");
    let told = heard.iter().take(2).last().unwrap();
    assert_eq!(told.1, Decision::Approved { number: request.id, by: "alice, dora".to_owned() });
}

#[test]
fn a_human_who_is_in_two_of_its_groups_and_named_besides_counts_once() {
    let desk = Desk::new();
    let users = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let group = |name: &str, names: &[&str]| Group {
        name: name.into(),
        users: users(names),
        rules: [].into(),
    };
    let groups = vec![group("dba", &["alice"]), group("security", &["alice", "bob"])];
    desk.approvals.set_people(People::new(groups, None));
    let plain = request(1, 2);
    let reviewers = ["group:dba", "group:security", "user:alice"];
    let reviewers = reviewers.map(|text| Reviewer::parse(text).unwrap()).into();
    let terms = Arc::new(HoldTerms { reviewers, ..(*plain.terms).clone() });
    let request = HoldRequest { terms, ..plain };
    let _heard = desk.file(&request, 1);
    let alice = human("alice", 1001);
    assert_eq!(desk.decide(request.id, &alice, true), "pending");
    assert_eq!(desk.decide(request.id, &alice, true), "alice has approved it already");
    assert_eq!(desk.state(request.id), "pending");
    assert_eq!(desk.decide(request.id, &human("bob", 1002), true), "used");
}

#[test]
fn only_reviewers_decide_and_nobody_on_work_of_their_own() {
    let desk = Desk::new();
    let request = request(1, 1);
    let _heard = desk.file(&request, 1);
    let refused = |human: Human| desk.decide(request.id, &human, true);
    assert_eq!(refused(human("eve", 1009)), "eve is not among its reviewers");
    assert_eq!(refused(human("root", 0)), "root is not among its reviewers");
    assert!(refused(human("carol", 1004)).starts_with("carol stands behind the request"));
    assert_eq!(desk.state(request.id), "pending");
}

#[test]
fn one_rejection_is_enough_and_sticks() {
    let desk = Desk::new();
    let first = request(1, 2);
    let heard = desk.file(&first, 1);
    assert_eq!(desk.decide(first.id, &human("bob", 1002), false), "rejected");
    let rejected = Decision::Rejected { by: "bob".to_owned(), reason: "no".to_owned() };
    assert_eq!(heard.iter().take(2).last().unwrap().1, rejected);
    assert_eq!(desk.file(&request(1, 2), 2).recv().unwrap().1, rejected);
    let other = request(2, 2);
    assert_eq!(desk.file(&other, 3).recv().unwrap(), filed(other.id));
}

#[test]
fn what_was_approved_meanwhile_runs_once_when_it_comes_again() {
    let desk = Desk::new();
    let first = request(1, 1);
    let heard = desk.file(&first, 1);
    drop(heard.recv());
    desk.approvals.leave(first.id, 1, false);
    assert_eq!(desk.decide(first.id, &human("alice", 1001), true), "approved");
    let desk = desk.again();
    let second = request(1, 1);
    let heard = desk.file(&second, 2);
    let approved = Decision::Approved { number: first.id, by: "alice".to_owned() };
    assert_eq!(heard.recv().unwrap(), (second.id, approved));
    let third = request(1, 1);
    assert_eq!(desk.file(&third, 3).recv().unwrap(), filed(third.id), "once");
}

#[test]
fn requests_survive_a_restart_and_equal_ones_share_a_number() {
    let desk = Desk::new();
    let first = request(1, 1);
    drop(desk.file(&first, 1));
    let desk = desk.again();
    let second = request(1, 1);
    let heard = desk.file(&second, 2);
    assert_eq!(heard.recv().unwrap(), (second.id, Decision::Filed { number: first.id }));
    assert_eq!(desk.decide(first.id, &human("alice", 1001), true), "used");
    let approved = Decision::Approved { number: first.id, by: "alice".to_owned() };
    assert_eq!(heard.recv().unwrap().1, approved);
}

#[test]
fn what_a_bot_took_back_cannot_be_approved() {
    let desk = Desk::new();
    let request = request(1, 1);
    let _heard = desk.file(&request, 1);
    desk.approvals.leave(request.id, 1, true);
    assert_eq!(desk.decide(request.id, &human("alice", 1001), true), "the request is cancelled");
}

#[test]
fn one_bot_cannot_fill_the_desk() {
    let desk = Desk::new();
    let answers: Vec<_> =
        (1..=6).map(|n| desk.file(&request(n, 1), n.into()).recv().unwrap().1).collect();
    assert!(matches!(answers[4], Decision::Filed { .. }));
    assert!(matches!(answers[5], Decision::Unavailable { .. }));
}

#[test]
fn a_decision_on_another_request_than_was_looked_at_does_not_count() {
    let desk = Desk::new();
    let request = request(0xab, 1);
    let _heard = desk.file(&request, 1);
    let decide = |hash: &str| {
        let hash = Some(hash.to_owned());
        let asked = DecideRequest { id: request.id.to_string(), approve: true, hash, reason: None };
        desk.approvals.decide(&asked, &human("alice", 1001))
    };
    assert!(matches!(decide("cdcd").unwrap_err(), Undecided::OtherHash));
    assert!(matches!(decide("").unwrap_err(), Undecided::OtherHash));
    assert_eq!(decide("abab").unwrap().state, ApprovalState::Used);
}

#[test]
fn the_store_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let mode = std::fs::metadata(desk.dir.path().join("state.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_token_votes_by_its_group_and_never_as_a_local_user() {
    let desk = Desk::new();
    let request = request(1, 1);
    let _heard = desk.file(&request, 1);
    let stranger = bearer("okta", "u9", &[("groups", "staff"), ("preferred_username", "alice")]);
    let refused = desk.decide(request.id, &stranger, true);
    assert_eq!(refused, "okta/u9 (alice) is not among its reviewers");
    // An issuer that no group names, whatever it claims.
    let other = bearer("elsewhere", "alice", &[]);
    assert_eq!(desk.decide(request.id, &other, true), "elsewhere/alice is not among its reviewers");
    let named = bearer("okta", "carol", &[("groups", "staff")]);
    assert!(desk.decide(request.id, &named, true).ends_with("not among its reviewers"));
    assert_eq!(desk.decide(request.id, &bearer("okta", "u1", &[]), true), "used");
    assert_eq!(desk.line(request.id).unwrap().votes[0].by, "okta/u1");
}

#[test]
fn a_quorum_is_not_met_by_one_human_of_two_directories() {
    let desk = Desk::new();
    let request = request(1, 2);
    let _heard = desk.file(&request, 1);
    // May all be the same Alice.
    assert_eq!(desk.decide(request.id, &human("alice", 1001), true), "pending");
    let okta = bearer("okta", "u1", &[("email", "alice@acme.example")]);
    assert_eq!(desk.decide(request.id, &okta, true), "pending");
    assert!(desk.decide(request.id, &okta, true).ends_with("has approved it already"));
    let entra = bearer("entra", "7f", &[("preferred_username", "alice")]);
    assert_eq!(desk.decide(request.id, &entra, true), "pending");
    // As the same subject with other claims.
    let renamed = bearer("okta", "u1", &[("email", "bob@acme.example")]);
    assert!(desk.decide(request.id, &renamed, true).ends_with("has approved it already"));
    assert_eq!(desk.decide(request.id, &bearer("okta", "u2", &[]), true), "used");
}

#[test]
fn nobody_decides_on_own_work_by_any_name_of_a_token() {
    let desk = Desk::new();
    let request = request(1, 1);
    let _heard = desk.file(&request, 1);
    for claims in [
        [("email", "carol@acme.example")],
        [("preferred_username", "CAROL")],
        [("login", "carol")],
        [("nickname", "Carol")],
    ] {
        let refused = desk.decide(request.id, &bearer("okta", "u3", &claims), true);
        assert!(refused.contains("stands behind the request"), "{claims:?}: {refused}");
        // Neither may she wave it away.
        let refused = desk.decide(request.id, &bearer("okta", "u3", &claims), false);
        assert!(refused.contains("stands behind the request"), "{claims:?}: {refused}");
    }
    let by_subject = desk.decide(request.id, &bearer("okta", "carol", &[]), true);
    assert!(by_subject.contains("stands behind the request"), "{by_subject}");
    assert_eq!(desk.state(request.id), "pending");
}

#[test]
fn an_approval_by_a_token_says_what_was_looked_at() {
    let desk = Desk::new();
    let request = request(0xab, 1);
    let _heard = desk.file(&request, 1);
    let decide = |hash: Option<&str>| {
        let hash = hash.map(str::to_owned);
        let asked = DecideRequest { id: request.id.to_string(), approve: true, hash, reason: None };
        desk.approvals.decide(&asked, &bearer("okta", "u1", &[]))
    };
    assert!(matches!(decide(None).unwrap_err(), Undecided::NoHash));
    assert!(matches!(decide(Some("abababa")).unwrap_err(), Undecided::NoHash));
    assert!(matches!(decide(Some("abababac")).unwrap_err(), Undecided::OtherHash));
    assert_eq!(decide(Some("abababab")).unwrap().state, ApprovalState::Used);
}

#[test]
fn a_reviewer_sees_what_names_him_and_nothing_else() {
    let desk = Desk::new();
    let ours = request(1, 1);
    let mut theirs = request(2, 1);
    let terms = HoldTerms {
        reviewers: vec![Reviewer::Group("security".to_owned())].into(),
        ..(*theirs.terms).clone()
    };
    theirs.terms = Arc::new(terms);
    let (_one, _other) = (desk.file(&ours, 1), desk.file(&theirs, 2));
    for human in [human("alice", 1001), bearer("okta", "u1", &[])] {
        let seen = desk.approvals.list(&Page::default(), &human).unwrap();
        assert_eq!(seen.len(), 1, "{human:?}");
        assert_eq!(seen[0].id, ours.id.to_string());
        assert_eq!(desk.approvals.show(&theirs.id.to_string(), &human).unwrap(), None);
    }
    assert_eq!(desk.approvals.list(&Page::default(), &human("root", 0)).unwrap().len(), 2);
}

#[test]
fn pages_follow_one_another_until_there_are_no_more() {
    let desk = Desk::new();
    let mut ids = Vec::new();
    for n in 1..=12 {
        let request = request(n, 1);
        let _heard = desk.file(&request, 1);
        desk.approvals.leave(request.id, 1, n % 4 != 0);
        ids.push(request.id.to_string());
    }
    ids.reverse();
    let root = human("root", 0);
    let list = |page: Page| -> Vec<String> {
        let lines = desk.approvals.list(&page, &root).unwrap();
        lines.into_iter().map(|line| line.id).collect()
    };
    let first = list(Page { limit: 5, ..Page::default() });
    assert_eq!(first, ids[..5]);
    let before = ApprovalId::parse(&first[4]);
    assert_eq!(list(Page { limit: 20, before, state: None }), ids[5..]);
    let pending = Some(ApprovalState::Pending);
    assert_eq!(list(Page { state: pending, before, limit: 20 }), [&ids[8]; 1].map(String::clone));
}

#[test]
fn an_approval_that_reached_nobody_is_there_for_who_comes_next_and_for_one() {
    let desk = Desk::new();
    let first = request(1, 1);
    let _heard = desk.file(&first, 1);
    assert_eq!(desk.decide(first.id, &human("alice", 1001), true), "used");
    desk.approvals.take_back(first.id);
    assert_eq!(desk.state(first.id), "approved");
    let second = request(1, 1);
    let heard = desk.file(&second, 2);
    let approved = Decision::Approved { number: first.id, by: "alice".to_owned() };
    assert_eq!(heard.recv().unwrap(), (second.id, approved));
    let third = request(1, 1);
    assert_eq!(desk.file(&third, 3).recv().unwrap(), filed(third.id), "once");
    desk.approvals.take_back(third.id);
    assert_eq!(desk.state(third.id), "pending", "only what was given can come back");
}

#[test]
fn what_has_long_been_over_is_deleted_and_what_stands_is_not() {
    let desk = Desk::new();
    let old = |n: u8| {
        let mut request = request(n, 1);
        let seconds = unix_ms() / 1_000 - 31 * 24 * 3_600;
        let then = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        request.id = ApprovalId(uuid::Uuid::new_v7(then));
        let _heard = desk.file(&request, n.into());
        request.id
    };
    let (over, waits, rejected) = (old(1), old(2), old(3));
    desk.approvals.leave(over, 1, true);
    assert_eq!(desk.decide(rejected, &human("bob", 1002), false), "rejected");
    let recent = request(4, 1);
    let _heard = desk.file(&recent, 4);
    desk.approvals.leave(recent.id, 4, true);
    let forget = |at_ms: u64| {
        desk.approvals.lock().store.forget(at_ms).unwrap();
        [over, waits, rejected, recent.id].map(|id| desk.state(id))
    };
    let standing = ["cancelled", "pending", "rejected", "cancelled"];
    assert_eq!(forget(unix_ms()), standing, "while their answers stand");
    assert_eq!(forget(unix_ms() + 700_000), ["none", "pending", "none", "cancelled"]);
}

/// A desk by clocks that the test sets.
fn desk_by(clock: &Arc<Mutex<clock::Reading>>) -> Desk {
    let desk = Desk::new();
    desk.approvals.lock().clock = clock_of(clock);
    desk
}

fn clock_of(clock: &Arc<Mutex<clock::Reading>>) -> Clock {
    let clock = Arc::clone(clock);
    Clock::reading(move || *clock.lock().unwrap())
}

const HOUR_MS: u64 = 3_600_000;

#[test]
fn a_clock_that_is_set_back_lets_nothing_stand_for_longer() {
    let noon = clock::Reading { wall_ms: 400_000 * HOUR_MS, steady_ms: 0 };
    let clock = Arc::new(Mutex::new(noon));
    let desk = desk_by(&clock);
    let (waits, granted) = (request(1, 1), request(2, 1));
    let _heard = (desk.file(&waits, 1), desk.file(&granted, 2));
    desk.approvals.leave(granted.id, 2, false);
    assert_eq!(desk.decide(granted.id, &human("alice", 1001), true), "approved");
    // They stand for ten minutes. Nine pass while the wall clock goes back by an hour.
    let set = |wall_ms: u64, steady_ms: u64| {
        *clock.lock().unwrap() = clock::Reading { wall_ms, steady_ms };
        desk.approvals.tick();
        [waits.id, granted.id].map(|id| desk.state(id))
    };
    assert_eq!(set(noon.wall_ms - HOUR_MS, 540_000), ["pending", "approved"]);
    assert_eq!(set(noon.wall_ms - HOUR_MS + 60_001, 600_001), ["expired", "expired"]);
    assert_eq!(desk.decide(waits.id, &human("bob", 1002), true), "the request is expired");
    let again = request(2, 1);
    assert_eq!(desk.file(&again, 3).recv().unwrap(), filed(again.id), "another request");
}

#[test]
fn a_clock_that_jumps_forward_ends_what_stands_and_brings_nothing_back() {
    let noon = clock::Reading { wall_ms: 400_000 * HOUR_MS, steady_ms: 0 };
    let clock = Arc::new(Mutex::new(noon));
    let desk = desk_by(&clock);
    let first = request(1, 1);
    let heard = desk.file(&first, 1);
    clock.lock().unwrap().wall_ms += HOUR_MS;
    desk.approvals.tick();
    let told = heard.iter().take(2).last().unwrap().1;
    assert_eq!(told, Decision::Unavailable { reason: "nobody decided in time" });
    *clock.lock().unwrap() = clock::Reading { steady_ms: 1_000, ..noon };
    assert_eq!(desk.decide(first.id, &human("alice", 1001), true), "the request is expired");
    // What is asked by the clock as it is now stands as long as any other.
    let second = request(1, 1);
    let _heard = desk.file(&second, 2);
    clock.lock().unwrap().steady_ms += 599_000;
    desk.approvals.tick();
    assert_eq!(desk.decide(second.id, &human("alice", 1001), true), "used");
}

#[test]
fn a_clock_that_was_set_back_while_nobody_looked_lets_nothing_stand_for_longer() {
    let noon = clock::Reading { wall_ms: unix_ms() + HOUR_MS, steady_ms: 0 };
    let clock = Arc::new(Mutex::new(noon));
    let desk = desk_by(&clock);
    let request = request(1, 1);
    drop(desk.file(&request, 1));
    // The next process begins an hour earlier.
    let desk = desk.again();
    let left_ms = desk.line(request.id).unwrap().expires_unix_ms - unix_ms();
    assert!((590_000..=600_000).contains(&left_ms), "{left_ms}");
    let early = clock::Reading { wall_ms: unix_ms(), steady_ms: 0 };
    let clock = Arc::new(Mutex::new(early));
    desk.approvals.lock().clock = clock_of(&clock);
    desk.approvals.tick();
    assert_eq!(desk.state(request.id), "pending");
    clock.lock().unwrap().steady_ms += 600_001;
    desk.approvals.tick();
    assert_eq!(desk.state(request.id), "expired");
}
