//! What a bot writes for the eyes of the operator: into the recording, into the log.

use std::time::Duration;

use crate::support::endpoint::Endpoint;
use crate::support::process::eventually;
use crate::support::raw::{Raw, password, query, startup, transcript};
use crate::world::{Account, Room, world};

/// Clears the screen, sets the title, asks the terminal a question, turns the text around.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[6n\u{9b}31m\u{202e}\u{8}\r";

fn assert_harmless(what: &str, shown: &str) {
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    let found = shown.lines().find(|line| line.contains(acts));
    assert_eq!(found, None, "{what}");
}

#[test]
fn nothing_that_a_bot_writes_acts_upon_a_terminal() {
    let room = Room::open("screens");
    let endpoint = world().endpoint(Account::Open, &room.database);
    let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
    raw.send(&startup(&[
        ("user", &endpoint.user),
        ("database", &endpoint.database),
        ("application_name", &format!("{EVIL}application")),
    ]));
    raw.send(&password(&endpoint.password));
    assert!(transcript(&raw.until_ready()).ends_with("Z(I)"));
    for sql in [
        format!("SELECT 'screens-allowed{EVIL}' AS \"{EVIL}\""),
        format!("DROP TABLE \"screens-refused{EVIL}\n2026-01-01 forged line\""),
        format!("SELECT '{EVIL}'::int -- screens-failed"),
        format!("DO 'BEGIN RAISE NOTICE ''screens-notice {EVIL}''; END'"),
    ] {
        raw.send(&query(&sql));
        raw.until_ready();
    }
    for mark in ["screens-allowed", "screens-refused", "screens-failed", "screens-notice"] {
        world().recorded(mark);
    }
    let lines = world().recorded("screens-allowed");
    let session = lines[0]["session"].as_str().unwrap();
    let gateway = &world().gateway;
    let shown = gateway.stdout(&["tail", "-n", "100000"]);
    assert!(shown.contains("screens-refused"));
    assert!(!shown.lines().any(|line| line.starts_with("2026-01-01 forged")), "a forged line");
    assert_harmless("tail", &shown);
    assert_harmless("tail --full", &gateway.stdout(&["tail", "-n", "100000", "--full"]));
    assert_harmless("grep", &gateway.stdout(&["grep", "screens-"]));
    assert_harmless("play", &gateway.stdout(&["play", session]));
    assert_harmless("sessions", &gateway.stdout(&["sessions"]));
    assert_harmless("status", &gateway.stdout(&["status"]));
    assert_harmless("log", &gateway.log());
    let raw_escape = |json: &str| json.contains(['\u{1b}', '\u{7}', '\u{8}']);
    let json = gateway.json(&["tail", "-n", "100000"]);
    assert!(!json.iter().any(|line| raw_escape(&line.to_string())));
    room.assert_unchanged("screens");
}

#[test]
fn no_login_forges_a_line_of_the_log() {
    let endpoint = world().endpoint(Account::Open, "shop");
    let names = [
        "open\n2026-01-01T00:00:00Z  INFO narrows: forged login of root".to_owned(),
        "open\r\nforged".to_owned(),
        format!("open{EVIL}"),
        "open\" reason=\"forged\" x=\"".to_owned(),
        "u".repeat(9_000),
    ];
    for name in &names {
        let attempt = Endpoint { user: name.clone(), ..endpoint.clone() };
        let mut raw = Raw::tls(attempt.port, &attempt.ca);
        let words = transcript(&raw.authenticate(&attempt));
        assert!(words.starts_with("E(FATAL"), "{name}: {words}");
    }
    let attempt = Endpoint { database: format!("shop\nforged{EVIL}"), ..endpoint };
    let words = transcript(&Raw::tls(attempt.port, &attempt.ca).authenticate(&attempt));
    assert!(words.ends_with("E(FATAL 3D000)"), "{words}");
    eventually("the refusals are logged", Duration::from_secs(5), || {
        world().gateway.log().matches("login refused").count() >= names.len()
    });
    let log = world().gateway.log();
    assert_harmless("log", &log);
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01") || line.starts_with("forged")));
    assert!(!log.lines().any(|line| line.len() > 4_096), "a line without end");
}
