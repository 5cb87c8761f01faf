//! Reviewers who come by a token, and all who only seem to.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::control::api::ApprovalLine;
use crate::control::approvals::tests::sample;
use crate::control::approvals::{People, Waiter};
use crate::identity::tests::{Signer, b64, issuer, shared};
use crate::identity::{Account, ClaimRule, Gate, Group, Issuer, KeyRing, KeySet, Pattern};
use crate::limits::REVIEW_TOKEN_AGE_S_MAX;
use crate::model::approval::{Decision, HoldRequest, HoldTerms, Reviewer};

/// A gateway whose `dba` are the tokens of `okta` with that group; `ci` is the issuer of bots, and
/// `okta` has one too.
struct House {
    served: Served,
    okta: Signer,
    ci: Signer,
}

impl House {
    fn new() -> Self {
        Self::of(|issuer| issuer)
    }

    fn of(edit: impl Fn(Issuer) -> Issuer) -> Self {
        Self::with(Served::start(Flotilla::new()), edit)
    }

    fn with(served: Served, edit: impl Fn(Issuer) -> Issuer) -> Self {
        let (okta, ci) = (Signer::es256(), Signer::rs256());
        let ring = KeyRing::new(&[shared(edit(issuer("okta"))), shared(issuer("ci"))], None);
        for (slot, signer) in ring.slots().iter().zip([&okta, &ci]) {
            let set = json!({ "keys": [signer.jwk(Some("k1"))] }).to_string();
            slot.install(KeySet::parse(set.as_bytes(), now_s()).unwrap());
        }
        let rule = |issuer: &str, claim: &str, pattern: &str| ClaimRule {
            issuer: issuer.into(),
            claims: vec![(claim.to_owned(), vec![Pattern::parse(pattern).unwrap()])],
        };
        let rules = vec![rule("ci", "repository", "acme/*"), rule("okta", "sub", "robot")];
        let account = Account { name: "deploy".into(), rules };
        let rules = vec![rule("okta", "groups", "dba")];
        let group = Group { name: "dba".into(), users: Vec::new(), rules };
        let people = People::new(vec![group], Some(Gate::new(&ring, [account])));
        served.approvals.set_people(people);
        Self { served, okta, ci }
    }

    /// A token of okta for a human of the group, as `edit` leaves it.
    fn token(&self, edit: impl FnOnce(&mut Value)) -> String {
        let mut claims = human_claims();
        edit(&mut claims);
        self.okta.token("k1", &claims)
    }

    fn file(&self) -> ApprovalLine {
        let request = request();
        let tell = Box::new(|_, _: Decision| true);
        self.served.approvals.file(&request, Waiter { place: 1, tell });
        let root = Human::local(0, "root".to_owned(), true);
        self.served.approvals.show(&request.id.to_string(), &root).unwrap().unwrap()
    }

    fn state(&self, line: &ApprovalLine) -> ApprovalState {
        let root = Human::local(0, "root".to_owned(), true);
        self.served.approvals.show(&line.id, &root).unwrap().unwrap().state
    }

    /// The status of an answer to a request with these headers.
    fn ask(&self, request: &str, headers: &str) -> (u16, String) {
        let request = request.replacen("\r\n", &format!("\r\n{headers}"), 1);
        let answer = self.served.raw_tcp(&request);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer}")), answer)
    }

    fn ask_as(&self, request: &str, token: &str) -> (u16, String) {
        self.ask(request, &format!("authorization: Bearer {token}\r\n"))
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn human_claims() -> Value {
    json!({
        "iss": "https://okta.example", "sub": "u1", "aud": "narrows", "exp": now_s() + 600,
        "iat": now_s(), "groups": ["staff", "dba"], "email": "alice@acme.example",
    })
}

fn request() -> HoldRequest {
    let plain = sample();
    let reviewers = [Reviewer::Group("dba".to_owned())].into();
    HoldRequest {
        digest: [0xab; 32],
        terms: Arc::new(HoldTerms { reviewers, ..(*plain.terms).clone() }),
        unix_ns: now_s() * 1_000_000_000,
        ..plain
    }
}

fn approve(line: &ApprovalLine) -> String {
    let body = json!({ "id": line.id, "approve": true, "hash": &line.hash[..12] });
    post("/v1/approvals/decide", &body.to_string())
}

#[test]
fn a_human_with_a_token_lists_shows_and_approves() {
    let house = House::new();
    let line = house.file();
    let token = house.token(|_| ());
    let (code, answer) = house.ask_as(&get("/v1/approvals?state=pending&limit=3"), &token);
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains(&line.id), "{answer}");
    let (code, answer) = house.ask_as(&get(&format!("/v1/approvals/{}", line.id)), &token);
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains("UPDATE t SET"), "{answer}");
    let (code, answer) = house.ask_as(&approve(&line), &token);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(house.state(&line), ApprovalState::Used);
    let (code, _) = house.ask_as(&approve(&line), &token);
    assert_eq!(code, 409, "once");
    let events = house.served.finish();
    let by = "okta/u1 (alice@acme.example)";
    assert_eq!(events, [("approval.decide".to_owned(), by.to_owned())]);
}

#[test]
fn a_rejection_needs_its_reason_and_gives_it_on_one_line() {
    let house = House::new();
    let line = house.file();
    let token = house.token(|_| ());
    let reject = |reason: &str| {
        let body = json!({ "id": line.id, "approve": false, "reason": reason });
        house.ask_as(&post("/v1/approvals/decide", &body.to_string()), &token).0
    };
    assert_eq!(reject(" \n"), 400);
    assert_eq!(reject("no\0t on a\r\nFriday"), 200);
    let root = Human::local(0, "root".to_owned(), true);
    let line = house.served.approvals.show(&line.id, &root).unwrap().unwrap();
    assert_eq!(line.reason.as_deref(), Some("no t on a  Friday"));
    house.served.finish();
}

#[test]
fn a_token_that_is_wrong_in_any_way_decides_nothing_and_is_told_nothing() {
    let house = House::of(|issuer| Issuer {
        reviewer_audiences: vec!["narrows-review".to_owned()],
        ..issuer
    });
    let line = house.file();
    let good = house.token(|claims| claims["aud"] = json!("narrows-review"));
    let of = |edit: &dyn Fn(&mut Value)| {
        house.token(|claims| {
            claims["aud"] = json!("narrows-review");
            edit(claims);
        })
    };
    let old_s = now_s() - REVIEW_TOKEN_AGE_S_MAX - 61;
    let mut bot = human_claims();
    bot["iss"] = json!("https://ci.example");
    bot["repository"] = json!("acme/shop");
    let mut stolen = human_claims();
    stolen["aud"] = json!("narrows-review");
    let unsigned =
        format!("{}.{}.", b64(json!({"alg": "none"}).to_string()), b64(stolen.to_string()));
    let mut tampered = good.clone();
    tampered.truncate(good.len() - 4);
    tampered.push_str("AAAA");
    for (token, what) in [
        (house.token(|_| ()), "an audience for bots"),
        (of(&|claims| claims["iat"] = json!(old_s)), "an old login"),
        (of(&|claims| drop(claims.as_object_mut().unwrap().remove("iat"))), "no date"),
        (of(&|claims| claims["iat"] = json!(now_s() + 600)), "of tomorrow"),
        (of(&|claims| claims["exp"] = json!(now_s() - 61)), "expired"),
        (of(&|claims| claims["sub"] = json!("robot")), "a service account that has the group too"),
        (of(&|claims| claims["iss"] = json!("https://evil.example")), "a strange issuer"),
        (house.ci.token("k1", &bot), "a bot"),
        (house.ci.token("k1", &stolen), "another issuer's key"),
        (unsigned, "no signature"),
        (tampered, "a changed signature"),
        ("a.b.c".to_owned(), "no token"),
    ] {
        let (code, answer) = house.ask_as(&approve(&line), &token);
        assert_eq!(code, 401, "{what}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer}");
        let told = answer.contains("not one of a human who may decide");
        assert!(told, "{what}: {answer}");
    }
    // Who is believed and is of no group is told so, and sees nothing.
    let stranger = of(&|claims| claims["groups"] = json!(["staff"]));
    for asked in [approve(&line), get("/v1/approvals"), get(&format!("/v1/approvals/{}", line.id))]
    {
        assert_eq!(house.ask_as(&asked, &stranger).0, 403);
    }
    assert_eq!(house.state(&line), ApprovalState::Pending);
    assert_eq!(house.ask_as(&approve(&line), &good).0, 200);
    let refused = house.served.finish();
    let refused = refused.iter().filter(|(code, _)| code == "login.refused").count();
    assert_eq!(refused, 12, "auditors hear of each");
}

#[test]
fn a_token_is_one_header_and_comes_from_no_page() {
    let house = House::new();
    let line = house.file();
    let token = house.token(|_| ());
    let bearer = format!("authorization: Bearer {token}\r\n");
    for (headers, code) in [
        (String::new(), 401),
        (format!("{bearer}{bearer}"), 401),
        (format!("authorization: Basic {token}\r\n"), 401),
        (format!("authorization: {token}\r\n"), 401),
        (format!("cookie: token={token}\r\n"), 401),
        (format!("{bearer}origin: http://evil.example\r\n"), 403),
        (format!("{bearer}origin: null\r\n"), 403),
        (format!("{bearer}sec-fetch-site: same-origin\r\n"), 403),
    ] {
        assert_eq!(house.ask(&approve(&line), &headers).0, code, "{headers}");
    }
    let by_address = get(&format!("/v1/approvals?access_token={token}"));
    assert_eq!(house.ask(&by_address, "").0, 401);
    let preflight = "OPTIONS /v1/approvals/decide HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                     origin: http://evil.example\r\n\
                     access-control-request-headers: authorization\r\n\r\n";
    let (code, answer) = house.ask(preflight, "");
    assert_eq!(code, 403);
    assert!(!answer.to_ascii_lowercase().contains("access-control-allow"), "{answer}");
    assert_eq!(house.state(&line), ApprovalState::Pending);
    house.served.finish();
}

#[test]
fn a_reviewer_by_token_operates_nothing() {
    let house = House::new();
    let token = house.token(|_| ());
    for asked in [get("/v1/status"), get("/v1/sessions"), post("/v1/kill", "\"all\"")] {
        assert_eq!(house.ask_as(&asked, &token).0, 403);
    }
    // A request that names nobody waits for the operator, whom no token makes.
    let mut filed = request();
    filed.terms = Arc::new(HoldTerms { reviewers: Arc::default(), ..(*filed.terms).clone() });
    let tell = Box::new(|_, _: Decision| true);
    house.served.approvals.file(&filed, Waiter { place: 1, tell });
    let body = json!({ "id": filed.id.to_string(), "approve": true, "hash": "abababab" });
    let asked = post("/v1/approvals/decide", &body.to_string());
    assert_eq!(house.ask_as(&asked, &token).0, 403);
    house.served.finish();
}

#[test]
fn what_is_too_large_too_much_or_not_understood_is_refused() {
    let house = House::new();
    let line = house.file();
    let token = house.token(|_| ());
    let long =
        json!({ "id": line.id, "approve": false, "reason": "x".repeat(ADMIN_BODY_BYTES_MAX) });
    let forged = json!({ "id": line.id, "approve": true, "hash": &line.hash, "by": "bob" });
    let decide = |body: &Value| post("/v1/approvals/decide", &body.to_string());
    for (asked, code) in [
        (decide(&long), 413),
        (decide(&forged), 400),
        (decide(&json!([])), 400),
        (decide(&json!({ "id": "apr_0", "approve": true, "hash": &line.hash })), 404),
        (get("/v1/approvals?limit=-1"), 400),
        (get("/v1/approvals?before=apr_x"), 400),
        (get("/v1/approvals?state=any"), 400),
        (get("/v1/approvals?limit=1000000"), 200),
        (get("/v1/approvals/apr_../decide"), 404),
        (post("/v1/approvals", ""), 405),
        (get("/v1/approvals/decide"), 405),
    ] {
        assert_eq!(house.ask_as(&asked, &token).0, code, "{asked}");
    }
    let huge = "A".repeat(ADMIN_HEAD_BYTES_MAX);
    let answer = house.served.raw_tcp(&get("/v1/approvals").replacen(
        "\r\n",
        &format!("\r\nauthorization: Bearer {huge}\r\n"),
        1,
    ));
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(house.state(&line), ApprovalState::Pending);
    house.served.finish();
}

#[test]
fn keys_that_are_not_at_hand_make_the_reviewer_ask_again() {
    let house = House::new();
    let unknown_key = house.okta.token("k2", &human_claims());
    let (code, answer) = house.ask_as(&get("/v1/approvals"), &unknown_key);
    assert_eq!(code, 503);
    assert!(answer.to_ascii_lowercase().contains("retry-after: 2"), "{answer}");
    house.served.finish();
}

#[test]
fn over_tls_the_command_line_asks_and_plain_text_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, issued.cert.pem()).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let served = Served::start_with(Flotilla::new(), Some(Arc::new(tls)));
    let house = House::with(served, |issuer| issuer);
    let line = house.file();
    let url = format!("https://localhost:{}", house.served.address.port());
    let token = house.token(|_| ());
    let client = Client::at(&url, &token, Some(&ca)).unwrap();
    assert_eq!(client.approvals("state=pending").unwrap().requests[0].id, line.id);
    let asked = api::DecideRequest {
        id: line.id.clone(),
        approve: true,
        hash: Some(line.hash.clone()),
        reason: None,
    };
    assert_eq!(client.decide(&asked).unwrap().state, ApprovalState::Used);
    assert!(matches!(client.status(), Err(ClientError::Refused { status: 403, .. })));
    let answer = house.served.raw_tcp(&get("/healthz"));
    assert!(!answer.contains("200"), "{answer}");
    assert!(matches!(
        Client::at("http://gateway.example:7070", &token, None),
        Err(ClientError::Address { .. })
    ));
    house.served.finish();
}

#[test]
fn an_address_that_others_reach_needs_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let bound = Admin::bind(
        &dir.path().join("admin.sock"),
        Some("0.0.0.0:0".parse().unwrap()),
        None,
        Reach::Operator,
    );
    assert!(matches!(bound.err().unwrap(), AdminError::Exposed { .. }));
}

#[test]
fn clients_that_stall_keep_no_reviewer_out_for_long() {
    let house = House::new();
    let mut stalled: Vec<_> = (0..ADMIN_CONNECTIONS_MAX)
        .map(|_| std::net::TcpStream::connect(house.served.address).unwrap())
        .collect();
    for stream in &mut stalled {
        stream.write_all(b"POST /v1/approvals/decide HTTP/1.1\r\nhost: x\r\n").unwrap();
    }
    let token = house.token(|_| ());
    let asked = std::time::Instant::now();
    assert_eq!(house.ask_as(&get("/v1/approvals"), &token).0, 200);
    assert!(asked.elapsed() < Duration::from_millis(2 * ADMIN_REQUEST_MS_MAX));
    house.served.finish();
}
