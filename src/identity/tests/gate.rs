use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::{NOW_S, Signer, at, b64, issuer, shared};
use crate::identity::{
    Account, Admitted, Algorithm, ClaimRule, Gate, Issuer, KeyRing, KeySet, Malformed, Pattern,
    Rejection,
};
use crate::limits::{KEYS_STALE_S_MAX, TOKEN_BYTES_MAX, TOKEN_DEPTH_MAX, TOKEN_MEMBERS_MAX};
use crate::model::identity::ClaimValue;

struct House {
    gate: Gate,
}

fn account(name: &str, issuer: &str, claims: &[(&str, &str)]) -> Account {
    let claims = claims
        .iter()
        .map(|(name, pattern)| ((*name).to_owned(), vec![Pattern::parse(pattern).unwrap()]))
        .collect();
    Account { name: name.into(), rules: vec![ClaimRule { issuer: issuer.into(), claims }] }
}

/// A gate of one issuer, `ci`, with the given keys and two accounts.
fn house_of(issuer: Issuer, keys: &[Value]) -> House {
    let ring = KeyRing::new(&[shared(issuer)], None);
    let set = json!({ "keys": keys }).to_string();
    ring.slots()[0].install(KeySet::parse(set.as_bytes(), NOW_S).unwrap());
    let accounts = [
        account("deploy", "ci", &[("repository", "acme/shop"), ("ref", "refs/tags/v*")]),
        account("nobody", "ci", &[("repository", "acme/none")]),
    ];
    let gate = Gate::new(&ring, accounts);
    House { gate }
}

fn house(signer: &Signer) -> House {
    house_of(issuer("ci"), &[signer.jwk(Some("k1"))])
}

fn claims() -> Value {
    json!({
        "iss": "https://ci.example", "sub": "repo:acme/shop", "aud": "narrows", "jti": "t-1",
        "exp": NOW_S + 600, "nbf": NOW_S, "iat": NOW_S,
        "repository": "acme/shop", "ref": "refs/tags/v1.2",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

impl House {
    fn try_token(&self, token: &str) -> Result<Admitted, Rejection> {
        self.gate.admit("deploy", token.as_bytes(), at(NOW_S))
    }

    fn rejects(&self, token: &str) -> Rejection {
        self.try_token(token).expect_err("the token was admitted")
    }
}

#[test]
fn every_algorithm_of_the_list_admits_its_own_tokens() {
    let signers =
        [Signer::rs256(), Signer::ps256(), Signer::es256(), Signer::es384(), Signer::eddsa()];
    for signer in signers {
        let house = house(&signer);
        let admitted = house.try_token(&signer.token("k1", &claims())).unwrap();
        let principal = admitted.principal;
        assert_eq!(&*principal.account, "deploy");
        assert_eq!(&*principal.issuer, "ci");
        assert_eq!(&*principal.subject, "repo:acme/shop");
        assert_eq!(principal.token_id.as_deref(), Some("t-1"));
        assert_eq!(principal.expires_unix_s, NOW_S + 600);
        assert_eq!(admitted.target_hint, None);
    }
}

#[test]
fn a_user_name_may_carry_a_target() {
    let signer = Signer::es256();
    let token = signer.token("k1", &claims());
    let admit = |user: &str| house(&signer).gate.admit(user, token.as_bytes(), at(NOW_S));
    assert_eq!(admit("deploy@shop-db").unwrap().target_hint.as_deref(), Some("shop-db"));
    assert_eq!(admit("deploy@a@b").unwrap().target_hint.as_deref(), Some("a@b"));
    assert_eq!(admit("@shop-db").unwrap_err(), Rejection::AccountUnknown);
    assert_eq!(admit("").unwrap_err(), Rejection::AccountUnknown);
    assert_eq!(admit("Deploy").unwrap_err(), Rejection::AccountUnknown);
}

#[test]
fn an_account_takes_only_tokens_that_match_its_rules() {
    let signer = Signer::es256();
    let house = house(&signer);
    let mismatch =
        |account: &str| Rejection::AccountMismatch { issuer: "ci".into(), account: account.into() };
    let other_ref = signer.token("k1", &with("ref", json!("refs/heads/v1")));
    assert_eq!(house.rejects(&other_ref), mismatch("deploy"));
    let no_ref = signer.token("k1", &without("ref"));
    assert_eq!(house.rejects(&no_ref), mismatch("deploy"));
    let token = signer.token("k1", &claims());
    let refused = house.gate.admit("nobody", token.as_bytes(), at(NOW_S)).unwrap_err();
    assert_eq!(refused, mismatch("nobody"));
}

#[test]
fn a_rule_of_one_issuer_is_not_met_by_the_token_of_another() {
    let (ours, theirs) = (Signer::es256(), Signer::es256());
    let ring = KeyRing::new(&[shared(issuer("ci")), shared(issuer("lab"))], None);
    for (slot, signer) in ring.slots().iter().zip([&ours, &theirs]) {
        let set = json!({ "keys": [signer.jwk(Some("k1"))] }).to_string();
        slot.install(KeySet::parse(set.as_bytes(), NOW_S).unwrap());
    }
    let gate = Gate::new(&ring, [account("deploy", "ci", &[("repository", "acme/shop")])]);
    let admit = |token: String| gate.admit("deploy", token.as_bytes(), at(NOW_S));

    let of_lab = theirs.token("k1", &with("iss", json!("https://lab.example")));
    assert!(matches!(admit(of_lab).unwrap_err(), Rejection::AccountMismatch { .. }));
    // The same key id in both sets: the issuer that the token names chooses the key.
    let forged = theirs.token("k1", &claims());
    assert_eq!(admit(forged).unwrap_err(), Rejection::Signature { issuer: "ci".into() });
    assert!(admit(ours.token("k1", &claims())).is_ok());
}

#[test]
fn each_claim_that_is_wrong_has_its_own_reason() {
    let signer = Signer::es256();
    let strict = Issuer { age_s_max: Some(3600), ..issuer("ci") };
    let house = house_of(strict, &[signer.jwk(Some("k1"))]);
    let ci = || "ci".into();
    let table = [
        (with("iss", json!("https://ci.example/")), Rejection::IssuerUnknown),
        (with("aud", json!("others")), Rejection::Audience { issuer: ci() }),
        (with("aud", json!([])), Rejection::Audience { issuer: ci() }),
        (with("exp", json!(NOW_S - 60)), Rejection::Expired { issuer: ci(), ago_s: 60 }),
        (with("nbf", json!(NOW_S + 61)), Rejection::NotYetValid { issuer: ci(), in_s: 61 }),
        (with("iat", json!(NOW_S + 61)), Rejection::IssuedInFuture { issuer: ci(), in_s: 61 }),
        (
            with("iat", json!(NOW_S - 3661)),
            Rejection::TooOld { issuer: ci(), age_s: 3661, age_s_max: 3600 },
        ),
        (without("iat"), Malformed::Claim("iat").into()),
        (without("exp"), Malformed::Claim("exp").into()),
        (without("aud"), Malformed::Claim("aud").into()),
        (without("sub"), Malformed::Claim("sub").into()),
        (without("iss"), Malformed::Claim("iss").into()),
        (with("iss", json!(["https://ci.example"])), Malformed::Claim("iss").into()),
        (with("exp", json!("never")), Malformed::Claim("exp").into()),
        (with("exp", json!(-1)), Malformed::Claim("exp").into()),
        (with("exp", json!(1e300)), Malformed::Claim("exp").into()),
        (with("nbf", json!(null)), Malformed::Claim("nbf").into()),
        (with("aud", json!(["narrows", 1])), Malformed::Claim("aud").into()),
    ];
    for (claims, reason) in table {
        assert_eq!(house.rejects(&signer.token("k1", &claims)), reason, "{claims}");
    }
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let signer = Signer::es256();
    let strict = Issuer { age_s_max: Some(3600), ..issuer("ci") };
    let house = house_of(strict, &[signer.jwk(Some("k1"))]);
    for claims in [
        with("exp", json!(NOW_S - 59)),
        with("exp", json!((NOW_S as f64) + 0.5)),
        with("nbf", json!(NOW_S + 60)),
        with("iat", json!(NOW_S + 60)),
        with("iat", json!(NOW_S - 3660)),
        with("aud", json!(["others", "narrows-eu"])),
    ] {
        assert!(house.try_token(&signer.token("k1", &claims)).is_ok(), "{claims}");
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let signer = Signer::rs256();
    let jwk = signer.jwk(Some("k1"));
    let house = house_of(issuer("ci"), std::slice::from_ref(&jwk));
    let header = json!({ "alg": "HS256", "kid": "k1" }).to_string();
    let signed = format!("{}.{}", b64(header), b64(claims().to_string()));
    for secret in [jwk["n"].as_str().unwrap().to_owned(), jwk.to_string()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let token = format!("{signed}.{}", b64(hmac::sign(&key, signed.as_bytes())));
        assert_eq!(house.rejects(&token), Rejection::AlgorithmUnsupported);
    }
}

#[test]
fn an_unsigned_token_is_refused_however_it_spells_none() {
    let house = house(&Signer::es256());
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": algorithm, "kid": "k1" }).to_string();
        for signature in ["", "AAAA"] {
            let token = format!("{}.{}.{signature}", b64(&header), b64(claims().to_string()));
            assert_eq!(house.rejects(&token), Rejection::AlgorithmUnsupported, "{algorithm}");
        }
    }
}

#[test]
fn an_algorithm_outside_the_issuers_list_is_refused() {
    let signer = Signer::eddsa();
    let narrow = Issuer { algorithms: Algorithm::DEFAULT.to_vec(), ..issuer("ci") };
    let house = house_of(narrow, &[signer.jwk(Some("k1"))]);
    let refused = house.rejects(&signer.token("k1", &claims()));
    let reason = Rejection::AlgorithmRefused { issuer: "ci".into(), algorithm: Algorithm::EdDsa };
    assert_eq!(refused, reason);
}

#[test]
fn a_key_serves_only_the_algorithm_that_it_fits() {
    let signer = Signer::es256();
    let mut reserved = Signer::rs256().jwk(Some("reserved"));
    reserved["alg"] = json!("RS512");
    let keys = [signer.jwk(Some("k1")), Signer::rs256().jwk(Some("rsa")), reserved];
    let house = house_of(issuer("ci"), &keys);
    let unfit = |key_id: &str, algorithm: &str| {
        let header = json!({ "alg": algorithm, "kid": key_id }).to_string();
        house.rejects(&signer.token_with(&header, &claims().to_string()))
    };
    let reason = |algorithm| Rejection::KeyUnfit { issuer: "ci".into(), algorithm };
    assert_eq!(unfit("rsa", "ES256"), reason(Algorithm::Es256));
    assert_eq!(unfit("k1", "RS256"), reason(Algorithm::Rs256));
    assert_eq!(unfit("k1", "ES384"), reason(Algorithm::Es384));
    assert_eq!(unfit("reserved", "RS256"), reason(Algorithm::Rs256));
}

#[test]
fn every_changed_byte_breaks_the_signature() {
    let signer = Signer::es256();
    let house = house(&signer);
    let token = signer.token("k1", &claims());
    let other = Signer::es256().token("k1", &claims());
    assert_eq!(house.rejects(&other), Rejection::Signature { issuer: "ci".into() });
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(house.try_token(&changed).is_err(), "byte {at}");
    }
    let signed = token.rsplit_once('.').unwrap().0;
    assert_eq!(house.rejects(&format!("{signed}.")), Rejection::Signature { issuer: "ci".into() });
}

#[test]
fn keys_that_a_token_brings_along_are_ignored() {
    let signer = Signer::es256();
    let house = house(&signer);
    let attacker = Signer::es256();
    let bring = |key_id: &str| {
        let header = json!({
            "alg": "ES256", "kid": key_id, "jwk": attacker.jwk(Some(key_id)),
            "jku": "https://attacker.example/jwks", "x5u": "https://attacker.example/cert",
        });
        house.rejects(&attacker.token_with(&header.to_string(), &claims().to_string()))
    };
    assert_eq!(bring("k1"), Rejection::Signature { issuer: "ci".into() });
    assert_eq!(bring("theirs"), Rejection::UnknownKey { issuer: "ci".into() });
}

#[test]
fn a_token_without_key_id_is_tried_against_every_fitting_key() {
    let signer = Signer::es256();
    let keys = [
        Signer::rs256().jwk(Some("a")),
        Signer::es256().jwk(Some("b")),
        Signer::es256().jwk(None),
        signer.jwk(Some("d")),
    ];
    let house = house_of(issuer("ci"), &keys);
    let header = json!({ "alg": "ES256" }).to_string();
    assert!(house.try_token(&signer.token_with(&header, &claims().to_string())).is_ok());
    let stranger = Signer::es256().token_with(&header, &claims().to_string());
    assert_eq!(house.rejects(&stranger), Rejection::Signature { issuer: "ci".into() });
}

#[test]
fn a_header_that_demands_more_is_refused() {
    let signer = Signer::es256();
    let house = house(&signer);
    let table = [
        (r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#, Malformed::CriticalHeader),
        (r#"{"alg":"ES256","kid":"k1","crit":null}"#, Malformed::CriticalHeader),
        (r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#, Malformed::Type),
        (r#"{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}"#, Malformed::Type),
        (r#"{"alg":"ES256","kid":"k1","typ":"dpop+jwt"}"#, Malformed::Type),
        (r#"{"alg":"ES256","kid":"k1","typ":7}"#, Malformed::Type),
        (r#"{"alg":"ES256","kid":7}"#, Malformed::Header),
        (r#"{"alg":["ES256"],"kid":"k1"}"#, Malformed::Header),
        (r#"{"kid":"k1"}"#, Malformed::Header),
        (r#"{"alg":"none","alg":"ES256","kid":"k1"}"#, Malformed::DuplicateName),
        (r#"["ES256"]"#, Malformed::NotAnObject),
        (r#"{"alg":"ES256"} x"#, Malformed::NotJson),
    ];
    for (header, reason) in table {
        let token = signer.token_with(header, &claims().to_string());
        assert_eq!(house.rejects(&token), Rejection::Malformed(reason), "{header}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt", "application/JWT"] {
        let header = json!({ "alg": "ES256", "kid": "k1", "typ": kind }).to_string();
        let token = signer.token_with(&header, &claims().to_string());
        assert!(house.try_token(&token).is_ok(), "{kind}");
    }
}

#[test]
fn two_readings_of_one_payload_are_refused() {
    let signer = Signer::es256();
    let house = house(&signer);
    let header = json!({ "alg": "ES256", "kid": "k1" }).to_string();
    let payload = |extra: &str| {
        let text = claims().to_string();
        format!("{},{extra}}}", text.strip_suffix('}').unwrap())
    };
    let table = [
        (r#""sub":"root""#, Malformed::DuplicateName),
        (r#""\u0073ub":"root""#, Malformed::DuplicateName),
        (r#""deep":{"a":1,"a":2}"#, Malformed::DuplicateName),
        (r#""a.b":"one","a":{"b":"two"}"#, Malformed::ClaimCollision),
    ];
    for (extra, reason) in table {
        let token = signer.token_with(&header, &payload(extra));
        assert_eq!(house.rejects(&token), Rejection::Malformed(reason), "{extra}");
    }
}

#[test]
fn the_work_that_a_token_can_cause_is_bounded() {
    let signer = Signer::es256();
    let house = house(&signer);
    let nested = |depth: usize| {
        let value = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        signer.token("k1", &with("deep", value))
    };
    assert!(house.try_token(&nested(TOKEN_DEPTH_MAX - 1)).is_ok());
    assert_eq!(house.rejects(&nested(TOKEN_DEPTH_MAX)), Malformed::TooDeep.into());
    let brackets = "[".repeat(TOKEN_BYTES_MAX / 2);
    let deepest = format!("{}.{}.", b64(r#"{"alg":"ES256"}"#), b64(brackets));
    assert_eq!(house.rejects(&deepest), Malformed::TooDeep.into());

    let many = signer.token("k1", &with("many", json!(vec![1; TOKEN_MEMBERS_MAX])));
    assert_eq!(house.rejects(&many), Malformed::TooManyMembers.into());
    let long = "A".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(house.rejects(&long), Malformed::TooLong.into());
    let full = "A".repeat(TOKEN_BYTES_MAX);
    assert_eq!(house.rejects(&full), Malformed::NotThreeParts.into());
}

#[test]
fn what_is_no_token_is_called_malformed() {
    let house = house(&Signer::es256());
    let header = b64(r#"{"alg":"ES256"}"#);
    let table = [
        ("", Malformed::NotThreeParts),
        ("a.b", Malformed::NotThreeParts),
        ("a.b.c.d.e", Malformed::NotThreeParts),
        ("..", Malformed::NotJson),
        ("!.b.c", Malformed::NotBase64),
        ("secret", Malformed::NotThreeParts),
    ];
    for (token, reason) in table {
        assert_eq!(house.rejects(token), Rejection::Malformed(reason), "{token}");
    }
    let padded = format!("{header}=.{}.", b64("{}"));
    assert_eq!(house.rejects(&padded), Malformed::NotBase64.into());
    let binary = house.gate.admit("deploy", &[0xff; 40], at(NOW_S)).unwrap_err();
    assert_eq!(binary, Malformed::NotThreeParts.into());
}

#[test]
fn keys_that_are_missing_or_old_are_told_apart() {
    let signer = Signer::es256();
    let ring = KeyRing::new(&[shared(issuer("ci"))], None);
    let gate = Gate::new(&ring, [account("deploy", "ci", &[("repository", "acme/shop")])]);
    let token = signer.token("k1", &with("exp", json!(NOW_S + 10 * KEYS_STALE_S_MAX)));
    let admit = |now_s| gate.admit("deploy", token.as_bytes(), at(now_s));
    let absent = admit(NOW_S).unwrap_err();
    assert_eq!(absent, Rejection::KeysAbsent { issuer: "ci".into() });
    assert!(absent.awaits_keys());

    let set = json!({ "keys": [signer.jwk(Some("k1"))] }).to_string();
    ring.slots()[0].install(KeySet::parse(set.as_bytes(), NOW_S).unwrap());
    assert!(admit(NOW_S).is_ok());
    ring.slots()[0].fetch_failed(NOW_S + 400, "down".into());
    assert!(admit(NOW_S + KEYS_STALE_S_MAX).is_ok(), "an issuer that is down keeps its keys");
    let stale = admit(NOW_S + KEYS_STALE_S_MAX + 1).unwrap_err();
    let age_s = KEYS_STALE_S_MAX + 1;
    assert_eq!(stale, Rejection::KeysStale { issuer: "ci".into(), age_s });
    let unknown = signer.token("k2", &claims());
    let unknown = gate.admit("deploy", unknown.as_bytes(), at(NOW_S)).unwrap_err();
    assert_eq!(unknown, Rejection::UnknownKey { issuer: "ci".into() });
}

#[test]
fn nested_claims_are_flattened_and_shapeless_ones_left_out() {
    let signer = Signer::es256();
    let house = house(&signer);
    let mut claims = claims();
    claims["kubernetes.io"] = json!({ "namespace": "prod", "pod": { "name": "job-1" } });
    claims["groups"] = json!(["dba", 7, true, null, { "x": 1 }]);
    claims["admin"] = json!(true);
    claims["nothing"] = json!(null);
    claims["empty"] = json!({});
    let admitted = house.try_token(&signer.token("k1", &claims)).unwrap();
    let found = &admitted.principal.claims;
    let text = |name: &str| match found.get(name) {
        Some(ClaimValue::Text(text)) => Some(text.as_str()),
        Some(ClaimValue::List(_)) | None => None,
    };
    assert_eq!(text("kubernetes.io.namespace"), Some("prod"));
    assert_eq!(text("kubernetes.io.pod.name"), Some("job-1"));
    assert_eq!(text("admin"), Some("true"));
    let groups = ["dba", "7", "true"].map(String::from).to_vec();
    assert_eq!(found.get("groups"), Some(&ClaimValue::List(groups)));
    assert!(!found.contains_key("nothing") && !found.contains_key("empty"));
}

#[test]
fn no_reason_quotes_the_token() {
    let signer = Signer::es256();
    let house = house(&signer);
    let marked = "CANARY-7f3a";
    let mut tokens: Vec<String> = ["iss", "aud", "exp", "nbf", "iat", "repository"]
        .iter()
        .map(|name| signer.token("k1", &with(name, json!(marked))))
        .collect();
    tokens.push(signer.token(marked, &claims()));
    tokens.push(marked.to_owned());
    let header = json!({ "alg": marked, "kid": marked, "typ": marked }).to_string();
    tokens.push(signer.token_with(&header, &json!({ marked: marked }).to_string()));
    for token in tokens {
        let rejection = house.rejects(&token);
        let said = format!("{rejection} {rejection:?} {}", rejection.code());
        assert!(!said.contains(marked), "{said}");
    }
}
