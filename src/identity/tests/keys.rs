use std::sync::Arc;

use serde_json::{Value, json};

use super::{NOW_S, Signer, b64, issuer, shared};
use crate::identity::{Issuer, KeyRing, KeySet, KeySetError};
use crate::limits::{ISSUER_KEYS_MAX, KEY_MISS_REMEMBERED_S, KEY_MISSES_MAX};

fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), NOW_S)
}

#[test]
fn keys_that_could_not_check_a_signature_are_left_out() {
    let mut for_encryption = Signer::rs256().jwk(Some("enc"));
    for_encryption["use"] = json!("enc");
    let rsa = |bits: usize| json!({ "kty": "RSA", "n": b64(vec![0xff; bits / 8]), "e": "AQAB" });
    let unusable = [
        json!({ "kty": "oct", "k": b64("a shared secret"), "kid": "hmac" }),
        json!({ "kty": "FUTURE", "z": "1" }),
        json!({ "kty": "EC", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "e": "AQAB" }),
        for_encryption,
        rsa(1024),
        rsa(8192),
    ];
    for key in unusable {
        assert_eq!(parse(std::slice::from_ref(&key)).unwrap().len(), 0, "{key}");
        let beside = [key, Signer::es256().jwk(Some("good"))];
        assert_eq!(parse(&beside).unwrap().len(), 1);
    }
    assert_eq!(parse(&[rsa(2048), rsa(4096)]).unwrap().len(), 2);
}

#[test]
fn a_set_of_too_many_keys_or_of_another_shape_is_refused() {
    let key = Signer::es256().jwk(None);
    assert_eq!(parse(&vec![key.clone(); ISSUER_KEYS_MAX]).unwrap().len(), ISSUER_KEYS_MAX);
    let refused = parse(&vec![key; ISSUER_KEYS_MAX + 1]).unwrap_err();
    assert!(matches!(refused, KeySetError::TooManyKeys { .. }));
    for text in ["", "[]", "{}", "{\"keys\": 1}", "<html>"] {
        let refused = KeySet::parse(text.as_bytes(), NOW_S).unwrap_err();
        assert!(matches!(refused, KeySetError::NotAKeySet(_)), "{text}");
    }
    assert!(parse(&[]).unwrap().is_empty(), "an issuer may publish that it trusts no key");
}

#[test]
fn a_reload_keeps_keys_of_issuers_that_did_not_change() {
    let (same, changed) = (issuer("same"), issuer("changed"));
    let before = KeyRing::new(&[shared(same.clone()), shared(changed.clone())], None);
    for slot in before.slots() {
        slot.install(parse(&[Signer::es256().jwk(Some("k"))]).unwrap());
    }
    let changed = Issuer { url: "https://elsewhere.example".into(), ..changed };
    let after =
        KeyRing::new(&[shared(changed), shared(same), shared(issuer("new"))], Some(&before));
    let keys: Vec<usize> = after.status().iter().map(|status| status.keys).collect();
    assert_eq!(keys, [0, 1, 0]);
}

#[test]
fn the_status_tells_failure_until_the_next_success() {
    let ring = KeyRing::new(&[shared(issuer("ci"))], None);
    let slot = &ring.slots()[0];
    assert_eq!(ring.status()[0].fetched_unix_s, None);
    assert_eq!(ring.generation(), 0);
    slot.fetch_failed(NOW_S, "connection refused".into());
    assert_eq!(ring.status()[0].error.as_deref(), Some("connection refused"));
    assert_eq!(ring.status()[0].failed_unix_s, Some(NOW_S));
    slot.install(parse(&[Signer::es256().jwk(Some("k"))]).unwrap());
    let status = &ring.status()[0];
    assert_eq!((status.keys, status.fetched_unix_s), (1, Some(NOW_S)));
    assert_eq!((status.error.clone(), status.failed_unix_s), (None, None));
    assert_eq!(ring.generation(), 1);
}

/// True if a wish stands; takes it.
fn wished(ring: &Arc<KeyRing>) -> bool {
    let mut wish = std::pin::pin!(ring.slots()[0].wished());
    let waker = std::task::Waker::noop();
    wish.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready()
}

#[test]
fn a_missing_key_is_wished_for_once_in_a_while() {
    let ring = Arc::new(KeyRing::new(&[shared(issuer("ci"))], None));
    let slot = &ring.slots()[0];
    assert!(!wished(&ring));
    slot.wish(Some("k1"), NOW_S);
    assert!(wished(&ring));
    slot.wish(Some("k1"), NOW_S + 1);
    assert!(!wished(&ring), "the same key again, a moment later");
    slot.wish(Some("k2"), NOW_S + 1);
    assert!(wished(&ring), "another key");
    slot.wish(Some("k1"), NOW_S + KEY_MISS_REMEMBERED_S);
    assert!(wished(&ring), "the same key, a while later");
}

#[test]
fn a_flood_of_key_ids_takes_no_more_room() {
    let ring = Arc::new(KeyRing::new(&[shared(issuer("ci"))], None));
    let slot = &ring.slots()[0];
    for number in 0..10 * KEY_MISSES_MAX {
        slot.wish(Some(&number.to_string()), NOW_S);
    }
    assert_eq!(slot.remembered_misses(), KEY_MISSES_MAX);
    assert!(wished(&ring));
    assert!(!wished(&ring), "one wish stands for all of them");
}
