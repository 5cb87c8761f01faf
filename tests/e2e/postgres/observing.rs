//! What operators and auditors are told: metrics, audit events, a tail that follows; and that no
//! secret is among it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::endpoint::Endpoint;
use crate::support::gateway::EVENTS;
use crate::support::postgres::{Role, Version};
use crate::support::process::{eventually, free_port};
use crate::support::raw::{Raw, transcript};
use crate::world::{self, REFUSED};

#[test]
fn metrics_count_sessions_and_statements_by_verdict() {
    let port = free_port();
    let passage = world::altered_passage(&[], |config| with_metrics(&config, port));
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    for _ in 0..3 {
        raw.query("SELECT 1");
    }
    raw.query(REFUSED);
    let wrong = Endpoint { password: "not a token".to_owned(), ..endpoint };
    Raw::tls(wrong.port, &wrong.ca).authenticate(&wrong);
    let sessions = passage.gateway.json(&["sessions"]).remove(0);
    let bytes = |name: &str| sessions["sessions"][0][name].as_u64().unwrap();
    let (to_bot, to_target) = (bytes("downstream_bytes"), bytes("upstream_bytes"));
    // Four answers with a row description, a row and so on; three short statements.
    assert!(to_bot > 4 * 50 && (3 * 14..3 * 40).contains(&to_target), "{to_bot} {to_target}");
    let page = scrape(port);
    for (name, value) in [
        (r#"narrows_statements_total{verdict="allow"}"#, 3.0),
        (r#"narrows_statements_total{verdict="deny"}"#, 1.0),
        (r#"narrows_sessions{target="shop-app-v15"}"#, 1.0),
        ("narrows_logins_refused_total", 1.0),
        ("narrows_defects_total", 0.0),
        ("narrows_recorder_failed", 0.0),
        ("narrows_exchange_duration_seconds_count", 4.0),
    ] {
        assert_eq!(sample(&page, name), Some(value), "{name}:\n{page}");
    }
    assert!(
        sample(&page, r#"narrows_leg_bytes_total{leg="downstream",direction="sent"}"#) > Some(0.0)
    );
}

#[test]
fn events_tell_logins_sessions_and_statements() {
    let passage = world::altered_passage(&[], |config| with_events(&config));
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.query("SELECT 'an event'");
    raw.query(REFUSED);
    drop(raw);
    let wrong = Endpoint { password: "not a token".to_owned(), ..endpoint };
    Raw::tls(wrong.port, &wrong.ca).authenticate(&wrong);
    let codes = [
        "login.accepted",
        "session.start",
        "stmt.run",
        "stmt.blocked",
        "session.end",
        "login.refused",
    ];
    eventually("an event of each kind", Duration::from_secs(5), || {
        let events = passage.gateway.events();
        codes.iter().all(|code| events.iter().any(|event| is(event, code)))
    });
    let events = passage.gateway.events();
    let find = |code: &str| events.iter().find(|event| is(event, code)).unwrap();
    let (run, blocked) = (find("stmt.run"), find("stmt.blocked"));
    assert_eq!(run["query_info"]["query_string"], "SELECT 'an event'");
    assert_eq!(blocked["query_info"]["query_string"], REFUSED);
    assert_eq!(blocked["policy"]["uid"], "baseline/no-drops");
    assert_eq!(run["actor"]["user"]["name"], "shop-bot");
    assert_eq!(find("login.accepted")["user"]["name"], "shop-bot");
    assert_eq!(
        find("session.end")["metadata"]["correlation_uid"],
        run["metadata"]["correlation_uid"]
    );
    for (code, class) in [("login.accepted", 3002), ("login.refused", 3002), ("stmt.run", 6005)] {
        assert_eq!(find(code)["class_uid"], class, "{code}");
    }
    let numbers: Vec<u64> =
        events.iter().map(|event| event["metadata"]["sequence"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn no_secret_lies_in_any_file() {
    let mut passage = world::altered_passage(&[], |config| {
        with_events(&config).replace("workers   = 2", "workers = 2\nlog = { level = \"trace\" }")
    });
    let mut secrets = Vec::new();
    for role in Role::ALL {
        for version in [Version::V15, Version::V18] {
            let endpoint = passage.endpoint(version, role, "shop");
            Raw::login(&endpoint).query("SELECT 'nothing to hide'");
            secrets.push(endpoint.password.rsplit('.').next().unwrap().to_owned());
        }
        secrets.push(role.password());
    }
    // Refused tokens are nobody's business either.
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let forged = Endpoint { password: world::oidc().forged(), ..endpoint };
    let refused = transcript(&Raw::tls(forged.port, &forged.ca).authenticate(&forged));
    assert_eq!(refused, "E(FATAL 28P01)");
    secrets.push(forged.password.rsplit('.').next().unwrap().to_owned());
    assert!(passage.gateway.terminate().success());

    // Recordings are compressed: what they say is exported beside them.
    let told = passage.gateway.json(&["tail", "-n", "100000"]);
    let started = told.iter().filter(|line| line["event"] == "session_start");
    let mut exported = String::new();
    for session in started.map(|line| line["session"].as_str().unwrap()) {
        for direction in ["from-bot", "to-bot"] {
            let raw = ["export", session, "--format", "raw", "--direction", direction];
            let output = passage.gateway.command(&raw);
            assert!(output.status.success());
            exported.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        exported.push_str(&passage.gateway.stdout(&["export", session]));
    }
    assert_eq!(exported.matches("nothing to hide").count() / 3, 12, "all of it was recorded");
    let mut searched = vec![("the export".to_owned(), exported.into_bytes())];
    searched.push(("the log".to_owned(), passage.gateway.log().into_bytes()));
    for path in files(&passage.gateway.state_dir()) {
        searched.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    assert!(searched.iter().any(|(name, _)| name.ends_with("events.jsonl")));
    for secret in &secrets {
        assert!(secret.len() > 12);
        for (name, bytes) in &searched {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{name} has a secret: {secret}");
        }
    }
}

#[test]
fn a_tail_that_follows_shows_a_statement_within_a_second() {
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    let tail = passage.gateway.follow(&["tail", "-f"]);
    raw.query("SELECT 'it has begun'");
    eventually("the tail begins", Duration::from_secs(10), || tail.log().contains("it has begun"));
    let mut lags: Vec<Duration> = (0..5)
        .map(|n| {
            let sql = format!("SELECT 'live {n}'");
            raw.query(&sql);
            let answered = Instant::now();
            eventually(&sql, Duration::from_secs(5), || tail.log().contains(&sql));
            answered.elapsed()
        })
        .collect();
    lags.sort();
    // Of the five the middle one: other tests have the machine as well.
    assert!(lags[2] < Duration::from_secs(1), "{lags:?}");
    let log = tail.log();
    let line = log.lines().find(|line| line.contains("live 3")).unwrap();
    assert!(line.contains("shop-bot@shop-app-v15") && line.contains("allow"), "{line}");
}

fn with_metrics(config: &str, port: u16) -> String {
    let socket = r#"admin     = { socket = "STATE/admin.sock" }"#;
    assert!(config.contains(socket));
    let both = format!(r#"admin = {{ socket = "STATE/admin.sock", bind = "127.0.0.1:{port}" }}"#);
    config.replace(socket, &both)
}

/// Every statement becomes an event, in a file of the state folder.
fn with_events(config: &str) -> String {
    let every = r#"policies        = ["baseline"]
audit           = { statements = "all" }"#;
    let config = config.replace(r#"policies        = ["baseline"]"#, every);
    config + EVENTS
}

fn scrape(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn sample(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

fn is(event: &Value, code: &str) -> bool {
    event["metadata"]["event_code"] == code
}

/// Every regular file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}
