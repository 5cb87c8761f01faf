//! The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
//! Knows no messages of PostgreSQL: it takes and gives the mechanism's own strings.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize as _;

use crate::limits::{SCRAM_FIELD_BYTES_MAX, SCRAM_ROUNDS_MAX};

const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the target's challenge is malformed")]
    Malformed,
    #[error("the target's nonce does not continue ours")]
    Nonce,
    #[error("the target asks for an extension that is mandatory and unknown")]
    Extension,
    #[error("the target asks for an impossible number of rounds")]
    Rounds,
    #[error("the target refused the proof")]
    Refused,
    #[error("the target does not know the password either")]
    Signature,
}

/// How the exchange is tied to the TLS session beneath (RFC 5802 §6).
pub enum Binding {
    /// There is no TLS, or none that could be bound to.
    Unsupported,
    /// We could, but the target did not offer it. The target fails if it did.
    NotOffered,
    /// `tls-server-end-point` (RFC 5929 §4).
    EndPoint(Vec<u8>),
}

impl Binding {
    const fn header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Unsupported | Self::NotOffered => "SCRAM-SHA-256",
            Self::EndPoint(_) => "SCRAM-SHA-256-PLUS",
        }
    }
}

/// Awaits the target's first message.
pub struct AwaitChallenge {
    binding: Binding,
    nonce: String,
    first_bare: String,
}

/// Awaits the target's proof that it knows the password too.
pub struct AwaitSignature {
    signature: [u8; KEY_BYTES],
}

/// Begins an exchange. PostgreSQL takes the user from its start-up packet and ignores the one here.
pub fn begin(binding: Binding, user: &str, nonce: String) -> (AwaitChallenge, Vec<u8>) {
    let first_bare = format!("n={user},r={nonce}");
    let message = format!("{}{first_bare}", binding.header()).into_bytes();
    (AwaitChallenge { binding, nonce, first_bare }, message)
}

impl AwaitChallenge {
    pub fn answer(
        self,
        challenge: &[u8],
        password: &[u8],
    ) -> Result<(AwaitSignature, Vec<u8>), ScramError> {
        let challenge = std::str::from_utf8(challenge).map_err(|_| ScramError::Malformed)?;
        let Challenge { nonce, salt, rounds } = Challenge::read(challenge)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let mut bound = self.binding.header().as_bytes().to_vec();
        if let Binding::EndPoint(digest) = &self.binding {
            bound.extend(digest);
        }
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let exchange = format!("{},{challenge},{without_proof}", self.first_bare);

        let mut salted = salted(password, &salt, rounds);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let client_signature = sign(stored_key.as_ref(), exchange.as_bytes());
        let server_key = sign(&salted, b"Server Key");
        salted.zeroize();
        let proof: Vec<u8> = client_key.iter().zip(client_signature).map(|(k, s)| k ^ s).collect();
        let message = format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes();
        Ok((AwaitSignature { signature: sign(&server_key, exchange.as_bytes()) }, message))
    }
}

impl AwaitSignature {
    pub fn verify(self, last: &[u8]) -> Result<(), ScramError> {
        let last = std::str::from_utf8(last).map_err(|_| ScramError::Malformed)?;
        if last.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = last.strip_prefix("v=").ok_or(ScramError::Malformed)?;
        let signature = STANDARD.decode(signature).map_err(|_| ScramError::Malformed)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&signature, &self.signature)
            .map_err(|_| ScramError::Signature)
    }
}

/// `r=<nonce>,s=<salt>,i=<rounds>`, and nothing else: extensions are not understood.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: NonZeroU32,
}

impl<'a> Challenge<'a> {
    fn read(text: &'a str) -> Result<Self, ScramError> {
        if text.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let mut fields = text.split(',');
        let mut field = |prefix| {
            fields.next().and_then(|field: &str| field.strip_prefix(prefix)).filter(|value| {
                value.len() <= SCRAM_FIELD_BYTES_MAX && value.bytes().all(|b| b.is_ascii_graphic())
            })
        };
        let nonce = field("r=").ok_or(ScramError::Malformed)?;
        let salt = field("s=").ok_or(ScramError::Malformed)?;
        let rounds = field("i=").ok_or(ScramError::Malformed)?;
        if fields.next().is_some() {
            return Err(ScramError::Extension);
        }
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        let rounds: u32 = rounds.parse().map_err(|_| ScramError::Rounds)?;
        let rounds = NonZeroU32::new(rounds)
            .filter(|rounds| rounds.get() <= SCRAM_ROUNDS_MAX)
            .ok_or(ScramError::Rounds)?;
        if salt.is_empty() {
            return Err(ScramError::Malformed);
        }
        Ok(Self { nonce, salt, rounds })
    }
}

fn salted(password: &[u8], salt: &[u8], rounds: NonZeroU32) -> [u8; KEY_BYTES] {
    let mut prepared = prepare(password);
    let mut key = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, &prepared, &mut key);
    prepared.zeroize();
    key
}

/// SASLprep (RFC 4013); like the server, a password that it cannot be applied to is used as it is.
fn prepare(password: &[u8]) -> Vec<u8> {
    let prepared = std::str::from_utf8(password).ok().and_then(|text| {
        stringprep::saslprep(text).ok().map(|prepared| prepared.as_bytes().to_vec())
    });
    prepared.unwrap_or_else(|| password.to_vec())
}

fn sign(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let mut signature = [0; KEY_BYTES];
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    signature.copy_from_slice(hmac::sign(&key, message).as_ref());
    signature
}

/// Bytes that follow from the session's random seed and a purpose, and tell nothing about it.
pub fn derive(seed: &[u8; 32], purpose: &[u8]) -> [u8; KEY_BYTES] {
    sign(seed, purpose)
}

#[cfg(test)]
mod tests;
