//! Issuers' key sets: snapshots that `control` replaces whole and workers read without waiting.
//! Fetches nothing. A worker that misses a key leaves a wish; `control` fulfils it.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet};
use openidconnect::{JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyUse};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::identity::issuer::{Algorithm, Issuer};
use crate::limits::{
    ISSUER_KEYS_MAX, KEY_MISS_REMEMBERED_S, KEY_MISSES_MAX, RSA_MODULUS_BITS_MAX,
    RSA_MODULUS_BITS_MIN,
};
use crate::model::identity::IssuerName;

/// The key sets of all issuers. Shared by workers, which read, and `control`, which writes.
pub struct KeyRing {
    slots: Vec<Arc<KeySlot>>,
    changed: Arc<Notify>,
}

impl KeyRing {
    /// Slots of issuers that `previous` knows on the same terms keep their keys.
    #[must_use]
    pub fn new(issuers: &[Arc<Issuer>], previous: Option<&Self>) -> Self {
        let changed = previous.map_or_else(Arc::default, |ring| Arc::clone(&ring.changed));
        let slot = |issuer: &Arc<Issuer>| {
            previous
                .and_then(|ring| ring.slots.iter().find(|slot| slot.issuer == *issuer))
                .map_or_else(
                    || Arc::new(KeySlot::new(Arc::clone(issuer), Arc::clone(&changed))),
                    Arc::clone,
                )
        };
        Self { slots: issuers.iter().map(slot).collect(), changed }
    }

    /// Returns once any issuer's keys were replaced, or this ring by the next, since the last
    /// return. For one who waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Says that the next ring has taken this one's place.
    pub fn retire(&self) {
        self.changed.notify_one();
    }

    #[must_use]
    pub fn slots(&self) -> &[Arc<KeySlot>] {
        &self.slots
    }

    /// Grows whenever any issuer's keys are replaced. A worker that was told `UnknownKey` may try
    /// once more when it has grown.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.slots.iter().map(|slot| slot.generation.load(Ordering::Acquire)).sum()
    }

    /// How every issuer's keys are, for metrics and `narrows status`.
    #[must_use]
    pub fn status(&self) -> Vec<KeyStatus> {
        self.slots.iter().map(|slot| slot.status()).collect()
    }
}

/// One issuer's place in the ring.
pub struct KeySlot {
    issuer: Arc<Issuer>,
    keys: ArcSwapOption<KeySet>,
    generation: AtomicU64,
    /// The ring's; slots that outlive their ring share it with the next.
    changed: Arc<Notify>,
    wish: Notify,
    misses: Mutex<Misses>,
    failure: Mutex<Option<Failure>>,
}

/// The state of one issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyStatus {
    pub issuer: String,
    pub url: String,
    pub keys: usize,
    pub fetched_unix_s: Option<u64>,
    /// Set only while the last attempt failed.
    pub failed_unix_s: Option<u64>,
    pub error: Option<String>,
}

#[derive(Clone)]
struct Failure {
    unix_s: u64,
    error: String,
}

impl KeySlot {
    fn new(issuer: Arc<Issuer>, changed: Arc<Notify>) -> Self {
        Self {
            issuer,
            keys: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            changed,
            wish: Notify::new(),
            misses: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Replaces the keys whole.
    pub fn install(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
        *lock(&self.failure) = None;
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    /// Notes that keys could not be fetched; those at hand stay.
    pub fn fetch_failed(&self, unix_s: u64, error: String) {
        *lock(&self.failure) = Some(Failure { unix_s, error });
    }

    /// Returns once a worker has missed a key since the last return.
    pub async fn wished(&self) {
        self.wish.notified().await;
    }

    #[must_use]
    pub const fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    #[must_use]
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.keys.load_full()
    }

    #[must_use]
    pub fn status(&self) -> KeyStatus {
        let keys = self.keys();
        let failure = lock(&self.failure).clone();
        KeyStatus {
            issuer: self.issuer.name.to_string(),
            url: self.issuer.url.clone(),
            keys: keys.as_ref().map_or(0, |keys| keys.keys.len()),
            fetched_unix_s: keys.map(|keys| keys.fetched_unix_s),
            failed_unix_s: failure.as_ref().map(|failure| failure.unix_s),
            error: failure.map(|failure| failure.error),
        }
    }

    /// Asks for fresh keys, unless the same key was asked for a moment ago. Never waits: a wish
    /// that meets another one in the making is dropped, for the other one does.
    pub(super) fn wish(&self, key_id: Option<&str>, unix_s: u64) {
        let Ok(mut misses) = self.misses.try_lock() else { return };
        if misses.note(key_id, unix_s) {
            self.wish.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn remembered_misses(&self) -> usize {
        lock(&self.misses).recent.len()
    }

    pub(super) fn name(&self) -> IssuerName {
        Arc::clone(&self.issuer.name)
    }
}

/// Key ids that were missed lately: peers choose them, so they are hashed and few.
#[derive(Default)]
struct Misses {
    hasher: foldhash::fast::RandomState,
    recent: VecDeque<(u64, u64)>,
}

impl Misses {
    /// True if the key was not missed within the last while.
    fn note(&mut self, key_id: Option<&str>, unix_s: u64) -> bool {
        let hash = self.hasher.hash_one(key_id);
        self.recent.retain(|(_, at_s)| unix_s.saturating_sub(*at_s) < KEY_MISS_REMEMBERED_S);
        if self.recent.iter().any(|(missed, _)| *missed == hash) {
            return false;
        }
        if self.recent.len() == KEY_MISSES_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((hash, unix_s));
        true
    }
}

/// The keys of one issuer as of one moment, only those that can check a signature.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    pub fetched_unix_s: u64,
}

/// A key, described by the crate that read it. Signatures are checked by the provider that TLS uses:
/// a worker waits for the check, and this one is several times quicker.
#[derive(Debug)]
pub struct Key {
    jwk: CoreJsonWebKey,
    curve: Option<String>,
    public: Public,
}

#[derive(Debug)]
enum Public {
    /// Both without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point (SEC 1, section 2.3.3).
    Ec(Vec<u8>),
    Ed(Vec<u8>),
}

#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    #[error("the answer is not a key set")]
    NotAKeySet(#[source] serde_json::Error),
    #[error("{keys} keys are more than {ISSUER_KEYS_MAX}")]
    TooManyKeys { keys: usize },
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Keys of kinds that are not known here, symmetric keys,
    /// keys for encryption and RSA keys of odd sizes are left out; an empty set is a valid answer.
    pub fn parse(text: &[u8], fetched_unix_s: u64) -> Result<Self, KeySetError> {
        let set: CoreJsonWebKeySet =
            serde_json::from_slice(text).map_err(KeySetError::NotAKeySet)?;
        if set.keys().len() > ISSUER_KEYS_MAX {
            return Err(KeySetError::TooManyKeys { keys: set.keys().len() });
        }
        let keys = set.keys().iter().filter_map(Key::usable).collect();
        Ok(Self { keys, fetched_unix_s })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn with_id(&self, key_id: Option<&str>) -> impl Iterator<Item = &Key> {
        self.keys
            .iter()
            .filter(move |key| key_id.is_none() || key.jwk.key_id().map(|id| id.as_str()) == key_id)
    }
}

impl Key {
    fn usable(jwk: &CoreJsonWebKey) -> Option<Self> {
        let parameters = serde_json::to_value(jwk).and_then(serde_json::from_value).ok()?;
        let public = Public::of(&parameters)?;
        let signs = jwk.key_use().is_none_or(JsonWebKeyUse::allows_signature);
        signs.then(|| Self { jwk: jwk.clone(), curve: parameters.crv, public })
    }

    /// True if the key is of the kind that `algorithm` demands and is not reserved for another.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        let (kind, curve) = algorithm.key();
        let open_to_it = match self.jwk.signing_alg() {
            JsonWebKeyAlgorithm::Unspecified => true,
            JsonWebKeyAlgorithm::Algorithm(jws) => *jws == algorithm.jws(),
            JsonWebKeyAlgorithm::Unsupported => false,
        };
        open_to_it
            && *self.jwk.key_type() == kind
            && curve.is_none_or(|curve| self.curve.as_deref() == Some(curve))
    }

    /// True if `signature` is this key's over `signed`. A key that does not fit verifies nothing.
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let rsa = |parameters| match &self.public {
            Public::Rsa { modulus: n, exponent: e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }
            Public::Ec(_) | Public::Ed(_) => false,
        };
        let curve = |verification: &'static dyn VerificationAlgorithm| match &self.public {
            Public::Ec(bytes) | Public::Ed(bytes) => {
                UnparsedPublicKey::new(verification, bytes).verify(signed, signature).is_ok()
            }
            Public::Rsa { .. } => false,
        };
        self.fits(algorithm)
            && match algorithm {
                Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
                Algorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
                Algorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
                Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
                Algorithm::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384),
                Algorithm::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512),
                Algorithm::Es256 => curve(&ECDSA_P256_SHA256_FIXED),
                Algorithm::Es384 => curve(&ECDSA_P384_SHA384_FIXED),
                Algorithm::EdDsa => curve(&ED25519),
            }
    }
}

/// Parameters of a key that the crate keeps to itself, in base64url.
#[derive(Deserialize)]
struct Parameters {
    kty: String,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Public {
    fn of(key: &Parameters) -> Option<Self> {
        match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = without_leading_zeros(&decode(key.n.as_deref())?);
                let exponent = without_leading_zeros(&decode(key.e.as_deref())?);
                let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
                (RSA_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX)
                    .contains(&bits)
                    .then_some(Self::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => point(key, 32).map(Self::Ec),
            ("EC", Some("P-384")) => point(key, 48).map(Self::Ec),
            ("OKP", Some("Ed25519")) => decode(key.x.as_deref()).map(Self::Ed),
            _ => None,
        }
    }
}

/// RFC 7518, section 6.2.1.2: coordinates have the curve's full length.
fn point(key: &Parameters, coordinate_bytes: usize) -> Option<Vec<u8>> {
    const UNCOMPRESSED: u8 = 4;
    let (x, y) = (decode(key.x.as_deref())?, decode(key.y.as_deref())?);
    (x.len() == coordinate_bytes && y.len() == coordinate_bytes)
        .then(|| [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat())
}

fn decode(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// A poisoned lock means that a reader of plain values panicked; the values are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
