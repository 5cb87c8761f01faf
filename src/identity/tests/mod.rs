//! Real keys, real signatures; time is an argument.

mod gate;
mod keys;
mod lease;
mod rules;
mod vault;

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::identity::{Algorithm, Issuer, KeySource};
use crate::model::time::{NS_PER_S, Now};

/// 2026-01-01T00:00:00Z.
pub const NOW_S: u64 = 1_767_225_600;

pub fn at(unix_s: u64) -> Now {
    Now { unix_ns: unix_s * NS_PER_S, mono_ns: 0 }
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn issuer(name: &str) -> Issuer {
    Issuer {
        name: name.into(),
        url: format!("https://{name}.example"),
        audiences: vec!["narrows".into(), "narrows-eu".into()],
        reviewer_audiences: Vec::new(),
        keys: KeySource::Discovery,
        ca: None,
        algorithms: Algorithm::NAMES.iter().map(|(_, algorithm)| *algorithm).collect(),
        age_s_max: None,
    }
}

pub fn shared(issuer: Issuer) -> Arc<Issuer> {
    Arc::new(issuer)
}

/// A signer of each kind that providers use.
pub enum Signer {
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    pub fn rs256() -> Self {
        Self::Rs256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn ps256() -> Self {
        Self::Ps256(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn es384() -> Self {
        Self::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub fn eddsa() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair, padding| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &random, bytes, &mut signature).unwrap();
            signature
        };
        match self {
            Self::Rs256(pair) => rsa(pair, &RSA_PKCS1_SHA256),
            Self::Ps256(pair) => rsa(pair, &RSA_PSS_SHA256),
            Self::Es256(pair) | Self::Es384(pair) => {
                pair.sign(&random, bytes).unwrap().as_ref().to_vec()
            }
            Self::EdDsa(pair) => pair.sign(bytes).as_ref().to_vec(),
        }
    }

    /// The public key as providers publish it.
    pub fn jwk(&self, key_id: Option<&str>) -> Value {
        let mut jwk = match self {
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let info: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
                let (_, info) = SubjectPublicKeyInfo::from_der(info.as_ref()).unwrap();
                let Ok(PublicKey::RSA(rsa)) = info.parsed() else { panic!("not RSA") };
                json!({ "kty": "RSA", "n": b64(rsa.modulus), "e": b64(rsa.exponent) })
            }
            Self::Es256(pair) | Self::Es384(pair) => {
                let curve = if matches!(self, Self::Es256(_)) { "P-256" } else { "P-384" };
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y) })
            }
            Self::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key()) })
            }
        };
        jwk["use"] = json!("sig");
        if let Some(key_id) = key_id {
            jwk["kid"] = json!(key_id);
        }
        jwk
    }

    /// A token with a usual header.
    pub fn token(&self, key_id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "kid": key_id, "typ": "JWT" });
        self.token_with(&header.to_string(), &claims.to_string())
    }

    /// A correctly signed token of any header and payload.
    pub fn token_with(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }
}
