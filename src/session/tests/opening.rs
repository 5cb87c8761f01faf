//! The order of opening, and what may leave before it is over.

use super::*;
use crate::limits;

#[test]
fn the_target_hears_nothing_before_the_token_is_admitted() {
    let house = House::new();
    let mut visit = house.visit();
    visit.attended = false;
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&start_up());
    visit.bot(&password());
    assert_eq!(visit.seen.acts, ["tls", "verify"]);
    assert_eq!(visit.seen.logins, [("ci".to_owned(), "shop".to_owned(), TOKEN.to_vec())]);
    visit.handle(Input::Admitted(Box::new(house.admission())));
    assert_eq!(visit.seen.acts, ["tls", "verify", "connect"]);
    assert_eq!(visit.seen.to(Leg::Upstream), b"");
    visit.handle(Input::Connected { login: pg::plain_login(), catalogue: None });
    let expected = pg::startup(0x0003_0000, &[("user", "leased"), ("database", "shop")]);
    assert_eq!(visit.seen.to(Leg::Upstream), expected);
    assert_eq!(visit.session.state(), "target login");
}

#[test]
fn the_bot_hears_that_it_is_in_when_the_target_has_let_it_in() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    assert_eq!(visit.seen.heard(), "R", "the request for a password");
    visit.target(&pg::frame(b'R', &[0; 4]));
    assert_eq!(visit.seen.heard(), "R R");
    assert_eq!(visit.event_names(), ["started"]);
    visit.target(&[pg::settings(), pg::z(b'I')].concat());
    assert_eq!(visit.seen.heard(), "R R S S S Z(I)");
}

#[test]
fn nothing_is_recorded_of_a_login_that_does_not_open() {
    let house = House::new();
    let mut visit = house.visit();
    visit.knock();
    visit.target(&pg::severe("28P01", "FATAL"));
    assert_eq!(visit.seen.closed, Some(CloseReason::TargetLoginFailed));
    assert!(visit.seen.forwarded.is_empty());
    drop(visit);
    assert!(house.told().is_empty());
}

#[test]
fn tokens_and_passwords_stand_in_no_recording() {
    let house = House::new();
    let mut visit = house.visit();
    visit.upstream_tls = true;
    visit.knock();
    // The target asks for the password in the clear, which it may inside TLS.
    visit.target(b"S");
    visit.target(&pg::frame(b'R', &[0, 0, 0, 3]));
    let got = visit.seen.to(Leg::Upstream);
    assert!(memchr::memmem::find(&got, UPSTREAM_PASSWORD).is_some(), "the target got no password");
    visit.target(&target_login());
    visit.bot(&pg::q("SELECT 'a marker in the open'"));
    visit.target(&one_row());
    visit.handle(Input::Eof { leg: Leg::Downstream });
    assert_eq!(visit.seen.closed, Some(CloseReason::BotVanished));
    drop(visit);
    assert!(house.holds(b"a marker in the open"), "the search finds nothing at all");
    assert!(!house.holds(TOKEN));
    assert!(!house.holds(UPSTREAM_PASSWORD));
    assert!(!house.holds(&TARGET_KEY), "the target's cancel key");
}

#[test]
fn a_target_that_refuses_is_not_quoted() {
    let refusals = [
        pg::severe("28P01", "FATAL"),
        pg::severe("28000", "FATAL"),
        pg::severe("XX000", "PANIC"),
        pg::frame(b'R', &[0, 0, 0, 7]),
        b"HTTP/1.1 400 Bad Request".to_vec(),
    ];
    for refusal in refusals {
        let house = House::new();
        let mut visit = house.visit();
        visit.knock();
        visit.seen.greeted.clear();
        visit.target(&refusal);
        assert_eq!(visit.seen.closed, Some(CloseReason::TargetLoginFailed));
        let words = visit.seen.to(Leg::Downstream);
        assert_eq!(visit.seen.heard(), "E(28000)");
        assert!(memchr::memmem::find(&words, b"the target refused the connection").is_some());
        assert!(memchr::memmem::find(&words, b"server says").is_none());
    }
}

#[test]
fn a_bot_is_turned_away_in_one_text_and_the_reason_is_told_elsewhere() {
    let house = House::new();
    let mut visit = house.visit();
    visit.attended = false;
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&start_up());
    visit.bot(&password());
    visit.seen.greeted.clear();
    let reason = "the key is unknown".to_owned();
    visit.handle(Input::TurnedAway { reason, close: CloseReason::LoginRefused });
    assert_eq!(visit.seen.heard(), "E(28P01)");
    assert!(memchr::memmem::find(&visit.seen.to(Leg::Downstream), b"key").is_none());
    assert_eq!(visit.event_names(), ["login refused"]);
    assert_eq!(visit.seen.closed, Some(CloseReason::LoginRefused));
    assert_eq!(visit.seen.to(Leg::Upstream), b"");
}

#[test]
fn a_database_that_the_connection_does_not_open_is_refused() {
    let house = House::new();
    let mut visit = house.visit();
    visit.attended = false;
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&pg::startup(0x0003_0000, &[("user", "ci"), ("database", "payroll")]));
    visit.seen.greeted.clear();
    visit.bot(&password());
    visit.handle(Input::Admitted(Box::new(house.admission())));
    assert_eq!(visit.seen.heard(), "E(42501)");
    assert_eq!(visit.seen.closed, Some(CloseReason::LoginRefused));
    assert_eq!(visit.event_names(), ["login refused"]);
}

#[test]
fn a_bot_that_waits_for_its_target_is_not_read() {
    let house = House::new();
    let mut visit = house.visit();
    visit.attended = false;
    assert!(visit.session.wants(Leg::Downstream));
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&start_up());
    assert!(visit.session.wants(Leg::Downstream));
    visit.bot(&password());
    assert!(!visit.session.wants(Leg::Downstream), "verifying");
    visit.handle(Input::Admitted(Box::new(house.admission())));
    assert!(!visit.session.wants(Leg::Downstream), "connecting");
    visit.handle(Input::Connected { login: pg::plain_login(), catalogue: None });
    assert!(!visit.session.wants(Leg::Downstream), "logging in");
    assert!(visit.session.wants(Leg::Upstream));
    visit.target(&target_login());
    assert!(visit.session.wants(Leg::Downstream));
}

#[test]
fn commands_that_came_with_the_password_wait_for_the_target() {
    let house = House::new();
    let mut visit = house.visit();
    visit.bot(&pg::ssl_request());
    visit.bot(&start_up());
    visit.bot(&[password(), pg::q("SELECT 1"), pg::q("DROP TABLE t")].concat());
    let expected = pg::startup(0x0003_0000, &[("user", "leased"), ("database", "shop")]);
    assert_eq!(visit.seen.to(Leg::Upstream), expected);
    visit.seen = Seen::default();
    visit.target(&target_login());
    assert_eq!(visit.seen.got(), "Q Q!");
}

#[test]
fn a_deadline_stands_until_the_session_is_open() {
    let house = House::new();
    let mut visit = house.visit();
    let accepted = visit.now;
    assert_eq!(visit.session.deadline_ns(), Some(accepted.after_ms(limits::LOGIN_MS_MAX)));
    visit.knock();
    let shown = visit.now;
    assert_eq!(visit.session.deadline_ns(), Some(shown.after_ms(limits::DIAL_MS_MAX)));
    visit.target(&target_login());
    assert_eq!(visit.session.deadline_ns(), None);
}

#[test]
fn tls_towards_the_target_begins_before_anything_is_said_there() {
    let house = House::new();
    let mut visit = house.visit();
    visit.attended = false;
    visit.bot(&pg::ssl_request());
    visit.handle(Input::TlsStarted { leg: Leg::Downstream, facts: TlsFacts::default() });
    visit.bot(&start_up());
    visit.bot(&password());
    visit.handle(Input::Admitted(Box::new(house.admission())));
    let login = UpstreamLogin { tls: true, ..pg::plain_login() };
    visit.handle(Input::Connected { login, catalogue: None });
    assert_eq!(visit.seen.to(Leg::Upstream), pg::ssl_request());
    visit.seen.greeted.clear();
    visit.target(b"S");
    assert_eq!(visit.seen.acts.last(), Some(&"tls"));
    assert_eq!(visit.seen.to(Leg::Upstream), b"");
    visit.handle(Input::TlsStarted { leg: Leg::Upstream, facts: TlsFacts::default() });
    let expected = pg::startup(0x0003_0000, &[("user", "leased"), ("database", "shop")]);
    assert_eq!(visit.seen.to(Leg::Upstream), expected);
}
