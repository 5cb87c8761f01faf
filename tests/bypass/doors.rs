//! Before the session: strangers without a token, and bots with somebody else's.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::endpoint::Endpoint;
use crate::support::raw::{
    GSSENC_REQUEST, Raw, SSL_REQUEST, cancel_request, message, password, query, startup,
    startup_version, transcript,
};
use crate::world::{Account, Room, oidc, world};

fn endpoint() -> Endpoint {
    world().endpoint(Account::Reader, "shop")
}

/// What may come back before TLS: consent, refusal, a fatal error. Never a question.
fn answers(raw: &mut Raw) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(byte) = raw.read_byte() {
        bytes.push(byte);
    }
    bytes
}

#[test]
fn no_first_bytes_open_a_session_or_a_question() {
    let endpoint = endpoint();
    let start = startup(&[("user", "reader"), ("database", "shop")]);
    let token = password(&endpoint.password);
    let cases: [(&str, Vec<u8>); 15] = [
        ("a token before TLS", [start.clone(), token.clone()].concat()),
        ("a start-up behind SSLRequest", [&SSL_REQUEST[..], &start].concat()),
        ("a token behind SSLRequest", [&SSL_REQUEST[..], &start, &token].concat()),
        ("one byte behind SSLRequest", [&SSL_REQUEST[..], b"\x16"].concat()),
        ("SSLRequest twice", [SSL_REQUEST, SSL_REQUEST].concat()),
        ("GSSENC twice", [GSSENC_REQUEST, GSSENC_REQUEST].concat()),
        ("GSSENC, then a start-up", [&GSSENC_REQUEST[..], &start].concat()),
        ("a query", query("SELECT 1")),
        ("a length of nothing", vec![0; 8]),
        ("a negative length", vec![0xff; 12]),
        ("10,001 bytes", [&10_001_u32.to_be_bytes()[..], &[0, 3, 0, 0], &[b'x'; 9_993]].concat()),
        ("protocol 2", startup_version(0x0002_0000, &[("user", "reader")])),
        ("a cancel request that is cut", cancel_request(1, b"abcd")[..13].to_vec()),
        ("a cancel request without a key", cancel_request(1, b"")),
        ("a cancel request with a long key", cancel_request(1, &[7; 257])),
    ];
    for (name, bytes) in cases {
        let mut raw = Raw::plain(endpoint.port);
        let _ = raw.try_send(&bytes);
        if name.ends_with("that is cut") {
            drop(raw);
            continue;
        }
        let said = answers(&mut raw);
        // `R` is a question, `Z` a session. Errors are read as errors by the first byte alone.
        let polite = said.iter().all(|byte| b"SN".contains(byte)) || said.contains(&b'E');
        assert!(polite && !said.starts_with(b"R"), "{name}: {said:?}");
        assert!(!said.windows(5).any(|window| window == b"R\0\0\0\x08"), "{name}: {said:?}");
    }
    Raw::login(&endpoint);
}

#[test]
fn inside_of_tls_the_start_up_is_as_strict() {
    let endpoint = endpoint();
    let start = startup(&[("user", "reader"), ("database", "shop")]);
    let huge = message(b'p', &vec![b'a'; 64 * 1024]);
    let unterminated = message(b'p', endpoint.password.as_bytes());
    let trailing = message(b'p', &[endpoint.password.as_bytes(), b"\0x\0"].concat());
    let cases: [(&str, Vec<u8>); 12] = [
        ("SSLRequest again", SSL_REQUEST.to_vec()),
        ("GSSENC inside of TLS", GSSENC_REQUEST.to_vec()),
        ("a query instead of a token", [start.clone(), query("SELECT 1")].concat()),
        ("a password of 64 KiB", [start.clone(), huge].concat()),
        ("a password that has no end", [start.clone(), unterminated].concat()),
        ("a password with more behind it", [start.clone(), trailing].concat()),
        ("an empty password", [start.clone(), password("")].concat()),
        (
            "a password of 2 GiB",
            [&start[..], &[b'p', 0x7f, 0xff, 0xff, 0xff], &[b'a'; 9000]].concat(),
        ),
        ("no user", startup(&[("database", "shop")])),
        ("an empty user", startup(&[("user", ""), ("database", "shop")])),
        ("two start-ups", [start.clone(), start.clone()].concat()),
        ("10,001 bytes", startup(&[("user", &"u".repeat(9_988))])),
    ];
    for (name, bytes) in cases {
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let _ = raw.try_send(&bytes);
        let words = transcript(&raw.until_ready());
        assert!(!words.contains('Z') && !words.contains('K'), "{name}: {words}");
    }
    for alpn in [&[][..], &[b"http/1.1".as_slice()], &[b"postgresql2".as_slice()]] {
        let mut raw = Raw::direct_tls(endpoint.port, &endpoint.ca, alpn);
        let _ = raw.try_send(&start);
        let words = transcript(&raw.until_ready());
        assert!(!words.contains('R'), "direct TLS with {alpn:?}: {words}");
    }
    // The token and what shall run are on their way together; the session is as any other.
    let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
    let early = [start, password(&endpoint.password), query("DELETE FROM orders")].concat();
    raw.send(&early);
    assert!(transcript(&raw.until_ready()).ends_with("Z(I)"));
    assert_eq!(transcript(&raw.until_ready()), "E(42501) Z(I)");
}

#[test]
fn no_token_opens_what_it_is_not_for() {
    let endpoint = endpoint();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let good = &endpoint.password;
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let twin = oidc().mint(&json!({"repository": "acme/reader"}));
    let twin: Vec<_> = twin.split('.').collect();
    let cases = [
        ("another account's", "stranger", good.clone()),
        ("a stranger's", "reader", oidc().token("reader-bot")),
        ("another target", "reader@liar", good.clone()),
        ("no target", "reader@", good.clone()),
        ("no such account", "root", good.clone()),
        ("two accounts", "reader,open", good.clone()),
        ("an account's glob", "*", good.clone()),
        ("another case", "READER", good.clone()),
        ("a space behind", "reader ", good.clone()),
        ("expired", "reader", oidc().mint(&json!({"iat": now - 9000, "exp": now - 3600}))),
        ("never expires", "reader", oidc().mint(&json!({"exp": "never"}))),
        ("expires in another age", "reader", oidc().mint(&json!({"exp": 1e300}))),
        ("unsigned", "reader", oidc().mint_header(&json!({"alg": "none"}))),
        ("no signature", "reader", format!("{header}.{claims}.")),
        ("HS256 with the public key", "reader", oidc().mint_header(&json!({"alg": "HS256"}))),
        ("another's claims", "stranger", format!("{header}.{}.{signature}", twin[1])),
        ("forged", "reader", oidc().forged()),
        (
            "an own key inside",
            "reader",
            oidc().mint_header(&json!({"jwk": {"kty": "oct", "k": "YQ"}, "kid": null})),
        ),
        (
            "an own key set",
            "reader",
            oidc().mint_header(&json!({"kid": "x", "jku": "https://localhost:1/"})),
        ),
        ("four parts", "reader", format!("{good}.{signature}")),
        ("twice", "reader", format!("{good} {good}")),
        ("a file's name", "reader", "file:///etc/passwd".to_owned()),
        ("the target's password", "reader", crate::support::postgres::Role::App.password()),
    ];
    for (name, user, token) in cases {
        let attempt = Endpoint { user: user.to_owned(), password: token, ..endpoint.clone() };
        let mut raw = Raw::tls(attempt.port, &attempt.ca);
        let words = transcript(&raw.authenticate(&attempt));
        assert_eq!(words, "E(FATAL 28P01)", "{name}");
        assert!(raw.is_finished(), "{name}");
    }
    Raw::login(&Endpoint { user: "reader@shop".to_owned(), ..endpoint });
}

#[test]
fn cancel_requests_with_guessed_keys_cancel_nothing() {
    let room = Room::open("cancels");
    let mut raw = room.login(Account::Open);
    let (pid, secret) = raw.key.clone().unwrap();
    raw.send(&query("SELECT pg_sleep(1.5)"));
    let port = endpoint().port;
    let started = Instant::now();
    let near: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
    let mut sent = 0;
    while started.elapsed() < Duration::from_millis(700) {
        for key in [&near[..], &[0; 4], &[0xff; 4], &secret[..3], &[&secret[..], &[0]].concat()] {
            let mut guess = Raw::plain(port);
            let _ = guess.try_send(&cancel_request(pid, key));
            assert_eq!(guess.read_byte(), None, "a cancel request is never answered");
            sent += 1;
        }
    }
    assert!(sent > 50, "only {sent} requests");
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
    // A flood does not close the door to logins, nor to the true key once it has ebbed.
    let mut raw = room.login(Account::Open);
    let (pid, secret) = raw.key.clone().unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    raw.send(&query("SELECT pg_sleep(20)"));
    std::thread::sleep(Duration::from_millis(200));
    let mut cancel = Raw::plain(port);
    cancel.send(&cancel_request(pid, &secret));
    assert!(transcript(&raw.until_ready()).ends_with("E(57014) Z(I)"));
}
