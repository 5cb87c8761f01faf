//! What operators do while bots are at work: end sessions, bound them, stop.

use std::time::{Duration, Instant};

use crate::support::postgres::{Role, Version};
use crate::support::process::{accepts, eventually};
use crate::support::raw::{Raw, query, transcript};
use crate::world;

#[test]
fn a_killed_session_hears_why_and_then_the_end() {
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.query("SELECT 'about to be killed'");
    let sessions = passage.gateway.json(&["sessions"]).remove(0);
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let id = sessions[0]["id"].as_str().unwrap();
    raw.send(&query("SELECT pg_sleep(1.5)"));
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    passage.gateway.stdout(&["kill", "--session", id]);
    assert_eq!(transcript(&raw.until_ready()), "E(FATAL 57P01)");
    assert!(raw.is_finished(), "an orderly end, or the client would lose the message");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    // What the server has begun is its own; then it finds the session over.
    let there = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1.5)'";
    eventually("the server's session is over", Duration::from_secs(10), || {
        world::postgres(Version::V15).superuser("shop", there) == "0"
    });
    Raw::login(&endpoint);
}

#[test]
fn an_account_is_ended_at_once_and_no_other() {
    let passage = world::own_passage("group");
    let mut shop: Vec<Raw> = [Version::V15, Version::V18, Version::V15]
        .map(|version| Raw::login(&passage.endpoint(version, Role::App, "shop")))
        .into();
    let mut reader = Raw::login(&passage.reader());
    let asked = Instant::now();
    let told = passage.gateway.stdout(&["kill", "--account", "shop-bot"]);
    assert!(told.contains("3 sessions"), "{told}");
    for raw in &mut shop {
        assert_eq!(transcript(&raw.until_ready()), "E(FATAL 57P01)");
        assert!(raw.is_finished());
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(reader.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    let nobody = passage.gateway.command(&["kill", "--account", "shop-bot"]);
    assert_eq!(nobody.status.code(), Some(1), "nobody is left to be ended");
}

#[test]
fn a_connection_has_as_many_sessions_as_it_may() {
    let passage = world::altered_passage(&[], |config| {
        let plain = r#"policies        = ["baseline"]"#;
        assert!(config.contains(plain));
        config.replace(plain, &format!("{plain}\nlimits = {{ sessions = 3 }}"))
    });
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut sessions: Vec<Raw> = (0..3).map(|_| Raw::login(&endpoint)).collect();
    let refuse = || transcript(&Raw::tls(endpoint.port, &endpoint.ca).authenticate(&endpoint));
    assert_eq!(refuse(), "E(FATAL 53300)");
    assert_eq!(refuse(), "E(FATAL 53300)", "what was refused is not counted");
    Raw::login(&passage.endpoint(Version::V15, Role::Md5, "shop"));
    for raw in &mut sessions {
        assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    }
    drop(sessions.pop());
    eventually("a place is free again", Duration::from_secs(5), || {
        let answers = Raw::tls(endpoint.port, &endpoint.ca).authenticate(&endpoint);
        answers.last().is_some_and(|last| last.tag == b'Z')
    });
}

#[test]
fn a_stop_lets_go_of_idle_sessions_and_ends_well() {
    let mut passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.query("SELECT 'before the stop'");
    assert!(passage.gateway.terminate().success());
    assert_eq!(transcript(&raw.until_ready()), "E(FATAL 57P01)");
    assert!(raw.is_finished());
    passage.gateway.stdout(&["verify"]);
    assert!(passage.gateway.stdout(&["grep", "before the stop"]).contains("before the stop"));
}

#[test]
fn a_stop_waits_for_statements_and_transactions() {
    let mut passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let (mut busy, mut idle) = (Raw::login(&endpoint), Raw::login(&endpoint));
    let mut halfway = Raw::login(&endpoint);
    assert_eq!(halfway.query("BEGIN"), "C(BEGIN) Z(T)");
    busy.send(&query("SELECT pg_sleep(2)"));
    std::thread::sleep(Duration::from_millis(300));
    passage.gateway.signal("TERM");
    assert_eq!(transcript(&idle.until_ready()), "E(FATAL 57P01)");
    assert!(idle.is_finished());
    eventually("nobody new comes in", Duration::from_secs(1), || !accepts(endpoint.port));
    assert_eq!(halfway.query("SELECT 1"), "T D C(SELECT 1) Z(T)");
    assert_eq!(transcript(&busy.until_ready()), "T D C(SELECT 1) Z(I)");
    assert_eq!(halfway.query("COMMIT"), "C(COMMIT) Z(I)");
    for raw in [&mut busy, &mut halfway] {
        assert_eq!(transcript(&raw.until_ready()), "E(FATAL 57P01)");
        assert!(raw.is_finished());
    }
    assert!(passage.gateway.terminate().success());
    passage.gateway.stdout(&["verify"]);
}
