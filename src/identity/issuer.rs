//! Issuers: whose tokens are believed, and on what terms. Knows no keys; `keys` holds those.

use std::path::PathBuf;

use openidconnect::core::{CoreJsonWebKeyType, CoreJwsSigningAlgorithm};
use openidconnect::url::{Host, Url};

use crate::model::identity::IssuerName;

/// An issuer of tokens, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    pub name: IssuerName,
    /// Compared with the `iss` claim, byte by byte.
    pub url: String,
    /// A token must be meant for one of these.
    pub audiences: Vec<String>,
    /// A token of a human who decides must be meant for one of these. Empty: for one of `audiences`.
    pub reviewer_audiences: Vec<String>,
    pub keys: KeySource,
    /// Certificates to trust when fetching keys, instead of the system's.
    pub ca: Option<PathBuf>,
    pub algorithms: Vec<Algorithm>,
    /// Most seconds since a token was issued, however long it says it lives.
    pub age_s_max: Option<u64>,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The `jwks_uri` of the issuer's discovery document.
    Discovery,
    Uri(String),
    File(PathBuf),
}

/// Signature algorithms that tokens may use. Symmetric ones and `none` have no name here, so that
/// no configuration can allow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub const NAMES: [(&'static str, Self); 9] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];
    /// What nearly every provider uses.
    pub const DEFAULT: [Self; 2] = [Self::Rs256, Self::Es256];

    /// The algorithm that headers and configuration spell `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(text, _)| *text == name).map(|(_, algorithm)| *algorithm)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(text, _)| text)
    }

    pub(super) const fn jws(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Rs384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            Self::Rs512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Ps384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            Self::Ps512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    /// The key type that this algorithm demands, and the curve where there are several.
    pub(super) const fn key(self) -> (CoreJsonWebKeyType, Option<&'static str>) {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                (CoreJsonWebKeyType::RSA, None)
            }
            Self::Es256 => (CoreJsonWebKeyType::EllipticCurve, Some("P-256")),
            Self::Es384 => (CoreJsonWebKeyType::EllipticCurve, Some("P-384")),
            Self::EdDsa => (CoreJsonWebKeyType::OctetKeyPair, Some("Ed25519")),
        }
    }
}

/// Why nothing is fetched from a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("it is not a URL")]
    NotAUrl,
    #[error("it is neither https nor http on a loopback address")]
    Insecure,
    #[error("it carries a user name, a password or a fragment")]
    Decorated,
}

/// A URL that keys may be fetched from: whoever could change them on their way could log in as
/// anybody, so plain http is for this machine only.
pub fn trustworthy_url(text: &str) -> Result<Url, UrlError> {
    let url = Url::parse(text).map_err(|_| UrlError::NotAUrl)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(UrlError::Decorated);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(UrlError::Insecure),
    }
}

/// True if the URL's host is this machine whatever a resolver says.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
