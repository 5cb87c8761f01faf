//! Cancel requests: for whom they are, and what waits for them.

use super::*;

#[test]
fn a_cancel_request_for_an_idle_session_does_nothing() {
    let house = House::new();
    let mut visit = house.open();
    visit.handle(Input::CancelRequested);
    assert!(visit.seen.cancelled.is_empty());
    assert_eq!(visit.event_names(), ["cancel"]);
    visit.bot(&pg::q("SELECT 1"));
    assert_eq!(visit.seen.got(), "Q");
}

#[test]
fn the_statement_behind_a_cancel_request_waits_until_it_is_delivered() {
    let house = House::new();
    let mut visit = house.open();
    visit.bot(&pg::q("SELECT count(*) FROM slow"));
    visit.handle(Input::CancelRequested);
    let [key] = &visit.seen.cancelled[..] else { panic!("nothing was to be cancelled") };
    assert_eq!((key.process_id, &key.secret[..]), (42, &TARGET_KEY[..]));
    visit.target(&[pg::error("57014"), pg::z(b'I')].concat());
    visit.bot(&pg::q("SELECT 2"));
    assert_eq!(visit.seen.got(), "Q", "the cancel could hit the second statement");
    assert!(!visit.session.wants(Leg::Downstream));
    visit.handle(Input::CancelDone);
    assert_eq!(visit.seen.got(), "Q Q");
    assert!(visit.session.wants(Leg::Downstream));
}

#[test]
fn the_bots_key_is_not_the_targets() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    visit.target(&target_login());
    let key = visit.seen.key.unwrap();
    assert_eq!(key.process_id, 42);
    assert_ne!(key.secret, TARGET_KEY);
}

#[test]
fn a_connection_that_brings_a_cancel_key_ends_with_it() {
    for inside_tls in [true, false] {
        let house = House::new();
        let mut visit = house.visit();
        if inside_tls {
            visit.bot(&pg::ssl_request());
        }
        visit.bot(&pg::packet(80_877_102, &[0, 0, 0, 42, 9, 8, 7, 6]));
        assert_eq!(visit.seen.acts.last(), Some(&"deliver cancel"));
        let key = visit.seen.key.as_ref().unwrap();
        assert_eq!((key.process_id, &key.secret[..]), (42, &[9, 8, 7, 6][..]));
        assert_eq!(visit.seen.closed, Some(CloseReason::CancelDelivered));
        drop(visit);
        assert!(house.told().is_empty());
    }
}

#[test]
fn an_errand_says_the_key_to_the_target_and_ends_when_the_target_does() {
    let house = House::new();
    let key = CancelKey { process_id: 42, secret: TARGET_KEY.to_vec() };
    let now = Now { unix_ns: 1, mono_ns: 1 };
    let peer = "127.0.0.1:5000".parse().unwrap();
    let session = Session::errand(Protocol::Postgres, key, peer, now);
    let mut visit = house.visit_by(session, now);
    assert_eq!(visit.session.state(), "cancel");
    visit.handle(Input::Connected { login: pg::plain_login(), catalogue: None });
    let request = pg::packet(80_877_102, &[&[0, 0, 0, 42], &TARGET_KEY[..]].concat());
    assert_eq!(visit.seen.to(Leg::Upstream), request);
    assert!(visit.session.wants(Leg::Upstream));
    visit.handle(Input::Eof { leg: Leg::Upstream });
    assert_eq!(visit.seen.closed, Some(CloseReason::TargetClosed));
    assert!(visit.seen.events.is_empty());
}
