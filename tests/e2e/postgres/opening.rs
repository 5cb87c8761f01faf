//! The first bytes of a connection, and logins: what is let in, what is turned away and how.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::process::eventually;
use crate::support::raw::{
    GSSENC_REQUEST, Raw, SSL_REQUEST, error_field, query, startup, startup_version, transcript,
};
use crate::world;

fn endpoint() -> Endpoint {
    world::passage().endpoint(Version::V15, Role::App, "shop")
}

#[test]
fn every_kind_of_upstream_login_opens() {
    for version in [Version::V15, Version::V18] {
        for role in Role::ALL {
            let mut raw = Raw::login(&world::passage().endpoint(version, role, "shop"));
            raw.send(&query("SELECT current_user"));
            let answers = raw.until_ready();
            let row = answers.iter().find(|message| message.tag == b'D').unwrap();
            assert!(row.body.ends_with(role.name().as_bytes()), "{version:?} as {}", role.name());
        }
    }
}

#[test]
fn without_tls_nobody_is_asked_for_a_token() {
    let mut raw = Raw::plain(endpoint().port);
    raw.send(&startup(&[("user", "shop-bot"), ("database", "shop")]));
    assert_eq!(transcript(&raw.until_ready()), "E(FATAL 28000)");
}

#[test]
fn bytes_behind_an_ssl_request_end_the_connection() {
    let mut raw = Raw::plain(endpoint().port);
    raw.send(&[&SSL_REQUEST[..], &startup(&[("user", "shop-bot")])].concat());
    assert!(matches!(raw.read_byte(), None | Some(b'S')));
    assert_eq!(raw.read_byte(), None);
}

#[test]
fn gss_encryption_is_declined_once_and_tls_follows() {
    let mut raw = Raw::plain(endpoint().port);
    raw.send(&GSSENC_REQUEST);
    assert_eq!(raw.read_byte(), Some(b'N'));
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.read_byte(), Some(b'S'));
}

#[test]
fn direct_tls_needs_the_protocol_name() {
    let endpoint = endpoint();
    let mut raw = Raw::direct_tls(endpoint.port, &endpoint.ca, &[b"postgresql"]);
    let answers = raw.authenticate(&endpoint);
    assert_eq!(answers.last().unwrap().tag, b'Z', "{}", transcript(&answers));
    let mut nameless = Raw::direct_tls(endpoint.port, &endpoint.ca, &[]);
    let _ = nameless.try_send(&startup(&[("user", "shop-bot")]));
    assert_eq!(nameless.read(), None, "no protocol name, no session");
}

#[test]
fn newer_protocols_are_negotiated_exactly_once() {
    let endpoint = endpoint();
    let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
    let parameters = [
        ("user", endpoint.user.as_str()),
        ("database", "shop"),
        ("_pq_.test_protocol_negotiation", "1"),
        ("_pq_.another", "1"),
    ];
    raw.send(&startup_version(0x0003_270f, &parameters));
    let first = raw.read().unwrap();
    assert_eq!(first.tag, b'v');
    let (numbers, names) = first.body.split_at(8);
    assert!([[0, 3, 0, 0], [0, 3, 0, 2]].iter().any(|minor| numbers.starts_with(minor)));
    assert_eq!(&numbers[4..], [0, 0, 0, 2]);
    assert_eq!(names, b"_pq_.test_protocol_negotiation\0_pq_.another\0");
    assert_eq!(raw.read().unwrap().tag, b'R', "then the token is asked for, and no second 'v'");
}

#[test]
fn what_is_no_start_up_is_turned_away() {
    let endpoint = endpoint();
    let long = "x".repeat(20_000);
    let cases: [(&str, Vec<u8>); 5] = [
        ("protocol 2", startup_version(0x0002_0000, &[("user", "shop-bot")])),
        ("protocol 4", startup_version(0x0004_0000, &[("user", "shop-bot")])),
        ("oversized", startup(&[("user", "shop-bot"), ("application_name", &long)])),
        ("a length below its own size", vec![0, 0, 0, 3, 0, 3, 0, 0]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
    ];
    for (name, bytes) in cases {
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let _ = raw.try_send(&bytes);
        let answers = raw.until_ready();
        assert!(answers.len() <= 1, "{name}: {}", transcript(&answers));
        assert!(answers.iter().all(|answer| answer.tag == b'E'), "{name}");
    }
    Raw::login(&endpoint);
}

#[test]
fn dangerous_start_up_parameters_are_refused() {
    let endpoint = endpoint();
    for (name, value) in [
        ("options", "-c session_preload_libraries=evil"),
        ("session_authorization", "postgres"),
        ("role", "postgres"),
        ("replication", "database"),
        ("search_path", "evil, public"),
    ] {
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        raw.send(&startup(&[("user", &endpoint.user), ("database", "shop"), (name, value)]));
        let mut answers = vec![raw.read().unwrap()];
        if answers[0].tag == b'R' {
            raw.send(&crate::support::raw::password(&endpoint.password));
            answers.extend(raw.until_ready());
        }
        let last = answers.last().unwrap();
        assert_eq!(last.tag, b'E', "{name}: {}", transcript(&answers));
    }
}

#[test]
fn every_bad_token_gets_one_answer_and_its_own_line_in_the_log() {
    let (passage, oidc) = (world::own_passage("group"), world::oidc());
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let bad = [
        ("expired", oidc.mint(&json!({"iat": now - 9000, "exp": now - 7200}))),
        ("not yet valid", oidc.mint(&json!({"nbf": now + 7200, "exp": now + 9000}))),
        ("another audience", oidc.token_for("shop-bot", "urn:elsewhere")),
        ("another issuer", oidc.mint(&json!({"iss": "https://localhost:1/"}))),
        ("a stranger's signature", oidc.forged()),
        ("no matching account", oidc.token("other-bot")),
        ("unsigned", oidc.mint_header(&json!({"alg": "none"}))),
        ("no token", "not a token".to_owned()),
    ];
    let mut answers = Vec::new();
    let mut reasons = Vec::new();
    for (name, token) in bad {
        let before = passage.gateway.log().len();
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let messages = raw.authenticate(&Endpoint { password: token.clone(), ..endpoint.clone() });
        let error = messages.last().unwrap();
        assert_eq!(transcript(&messages), "E(FATAL 28P01)", "{name}");
        answers.push(error_field(error, b'M').unwrap());
        let patience = std::time::Duration::from_secs(5);
        crate::support::process::eventually(name, patience, || {
            passage.gateway.log().len() > before
        });
        let log = passage.gateway.log()[before..].to_owned();
        assert!(token.len() < 40 || !log.contains(&token[..40]), "{name}: a token in the log");
        reasons.push(log.chars().filter(|c| c.is_alphabetic()).collect::<String>());
    }
    // Confusing the algorithm must not open either, whatever reason it is filed under.
    let confused = oidc.mint_header(&json!({"alg": "HS256"}));
    let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
    let messages = raw.authenticate(&Endpoint { password: confused, ..endpoint.clone() });
    assert_eq!(transcript(&messages), "E(FATAL 28P01)");

    answers.dedup();
    assert_eq!(answers.len(), 1, "one text for the bot: {answers:?}");
    let count = reasons.len();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons.len(), count, "reasons can be told apart: {reasons:#?}");
    Raw::login(&endpoint);
}

#[test]
fn an_account_is_lent_to_its_own_claims_and_has_its_own_policy() {
    let reader = Endpoint { password: world::oidc().token("reader-bot"), ..endpoint() };
    let mut raw = Raw::tls(reader.port, &reader.ca);
    assert_eq!(transcript(&raw.authenticate(&reader)), "E(FATAL 28P01)", "as shop-bot");

    let reader = Endpoint { user: "reader-bot".to_owned(), ..reader };
    let mut raw = Raw::login(&reader);
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    assert_eq!(raw.query("INSERT INTO orders (customer_id) VALUES (1)"), "E(42501) Z(I)");
    assert_eq!(raw.query("SELECT nothing_that_is_known()"), "E(42501) Z(I)");

    let elsewhere = Endpoint { database: "postgres".to_owned(), ..reader };
    let mut raw = Raw::tls(elsewhere.port, &elsewhere.ca);
    let words = transcript(&raw.authenticate(&elsewhere));
    assert!(words.starts_with("E(FATAL"), "a database that it may not open: {words}");
}

#[test]
fn keys_rotate_and_a_vanished_key_set_is_outlived() {
    // A provider of its own, since the key set is everybody's.
    let oidc = crate::support::oidc::OidcProvider::start(world::pki());
    let passage = world::Passage::start_with("group", &oidc);
    let way = |token: String| Endpoint {
        password: token,
        ..passage.endpoint(Version::V15, Role::App, "shop")
    };
    let old = way(oidc.token("shop-bot"));
    Raw::login(&old);
    // An issuer is asked for its keys at most once in ten seconds.
    thread::sleep(Duration::from_secs(11));
    oidc.rotate(true);
    Raw::login(&old);
    let new = way(oidc.token("shop-bot"));
    // The unknown key id makes the gateway fetch, while the login waits; on a busy machine the key may
    // come too late for the first one.
    eventually("the new key is fetched", Duration::from_secs(30), || {
        let mut raw = Raw::tls(new.port, &new.ca);
        raw.authenticate(&new).last().is_some_and(|last| last.tag == b'Z')
    });

    oidc.outage(true);
    oidc.rotate(true);
    let newest = way(oidc.token("shop-bot"));
    Raw::login(&new);
    let words = transcript(&Raw::tls(newest.port, &newest.ca).authenticate(&newest));
    assert_eq!(words, "E(FATAL 28P01)", "a key that nobody could fetch");
    Raw::login(&new);
    Raw::login(&old);
    oidc.outage(false);
    eventually("keys are fetched again", Duration::from_secs(30), || {
        let mut raw = Raw::tls(newest.port, &newest.ca);
        raw.authenticate(&newest).last().is_some_and(|last| last.tag == b'Z')
    });
}
