//! Keys of the development issuer: a folder of private keys, the newest of which signs. For trying
//! Narrows out; a real issuer keeps its keys where nobody can copy them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::JsonWebKeyId;
use openidconnect::core::{CoreJsonCurveType, CoreJsonWebKey, CoreJsonWebKeySet};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

/// The folder in which a development issuer keeps its keys and its URL.
#[derive(Clone, Debug)]
pub struct DevFolder {
    path: PathBuf,
}

/// What a development issuer signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DevAlgorithm {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "ES256")]
    Es256,
}

#[derive(Debug, thiserror::Error)]
pub enum DevKeyError {
    #[error("cannot use {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} holds no key; run narrows dev-issuer first", path.display())]
    NoKey { path: PathBuf },
    #[error("{} holds no URL; run narrows dev-issuer first, or pass --issuer", path.display())]
    NoUrl { path: PathBuf },
    #[error("{} is not a key of the development issuer", path.display())]
    BadKey { path: PathBuf },
    #[error("a key cannot be made or used")]
    Crypto,
    #[error("the claims cannot be written")]
    Claims(#[source] serde_json::Error),
}

impl DevFolder {
    /// The folder, made if it is not there.
    pub fn at(path: &Path) -> Result<Self, DevKeyError> {
        let folder = Self { path: path.to_owned() };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| folder.failed(source))?;
        Ok(folder)
    }

    /// Makes a key that signs from now on. Older ones stay in the key set until they are deleted.
    pub fn add_key(&self, algorithm: DevAlgorithm) -> Result<DevKey, DevKeyError> {
        let next = self.key_files()?.len() + 1;
        let (name, pkcs8) = match algorithm {
            DevAlgorithm::Rs256 => {
                let pair =
                    RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| DevKeyError::Crypto)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| DevKeyError::Crypto)?;
                ("RS256", Zeroizing::new(der.as_ref().to_vec()))
            }
            DevAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| DevKeyError::Crypto)?;
                let der = pair.to_pkcs8v1().map_err(|_| DevKeyError::Crypto)?;
                ("ES256", Zeroizing::new(der.as_ref().to_vec()))
            }
        };
        // Key sets are cached by others, so no two folders may give two keys the same id.
        let unique = uuid::Uuid::now_v7().simple();
        let path = self.path.join(format!("dev-{next:04}-{unique}-{name}.{KEY_EXTENSION}"));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&pkcs8))
            .map_err(|source| self.failed(source))?;
        DevKey::read(&path)
    }

    /// Where the issuer was last served, so that tokens can be minted for it.
    pub fn set_url(&self, url: &str) -> Result<(), DevKeyError> {
        fs::write(self.path.join(URL_FILE), url).map_err(|source| self.failed(source))
    }

    pub fn url(&self) -> Result<String, DevKeyError> {
        fs::read_to_string(self.path.join(URL_FILE))
            .map_err(|_| DevKeyError::NoUrl { path: self.path.clone() })
    }

    pub fn has_key(&self) -> Result<bool, DevKeyError> {
        Ok(!self.key_files()?.is_empty())
    }

    pub fn newest_key(&self) -> Result<DevKey, DevKeyError> {
        let files = self.key_files()?;
        let newest = files.last().ok_or_else(|| DevKeyError::NoKey { path: self.path.clone() })?;
        DevKey::read(newest)
    }

    /// The public halves of all keys, read anew each time.
    pub fn key_set(&self) -> Result<CoreJsonWebKeySet, DevKeyError> {
        let files = self.key_files()?;
        let keys: Result<Vec<CoreJsonWebKey>, DevKeyError> =
            files.iter().map(|path| DevKey::read(path)?.public()).collect();
        Ok(CoreJsonWebKeySet::new(keys?))
    }

    /// Oldest first: names begin with a counter.
    fn key_files(&self) -> Result<Vec<PathBuf>, DevKeyError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|source| self.failed(source))? {
            let path = entry.map_err(|source| self.failed(source))?.path();
            if path.extension().is_some_and(|extension| extension == KEY_EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn failed(&self, source: io::Error) -> DevKeyError {
        DevKeyError::Folder { path: self.path.clone(), source }
    }
}

/// A private key and the key id under which its public half is published.
pub struct DevKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl DevKey {
    fn read(path: &Path) -> Result<Self, DevKeyError> {
        let bad = || DevKeyError::BadKey { path: path.to_owned() };
        let id = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(bad)?.to_owned();
        let pkcs8 = fs::read(path)
            .map_err(|source| DevKeyError::Folder { path: path.to_owned(), source })?;
        let pkcs8 = Zeroizing::new(pkcs8);
        let pair = if id.ends_with("RS256") {
            Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&pkcs8).map_err(|_| bad())?))
        } else {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8);
            Pair::Ec(Box::new(pair.map_err(|_| bad())?))
        };
        Ok(Self { id, pair })
    }

    /// A token with exactly these claims.
    pub fn mint(
        &self,
        claims: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String, DevKeyError> {
        let algorithm = match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        };
        let header = serde_json::json!({ "alg": algorithm, "typ": "JWT", "kid": self.id });
        let claims = serde_json::to_vec(claims).map_err(DevKeyError::Claims)?;
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, DevKeyError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .map_err(|_| DevKeyError::Crypto)?;
                Ok(signature)
            }
            Pair::Ec(pair) => {
                let signature = pair.sign(&random, bytes).map_err(|_| DevKeyError::Crypto)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }

    fn public(&self) -> Result<CoreJsonWebKey, DevKeyError> {
        let info: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| DevKeyError::Crypto)?;
        let (_, info) =
            SubjectPublicKeyInfo::from_der(info.as_ref()).map_err(|_| DevKeyError::Crypto)?;
        let key_id = Some(JsonWebKeyId::new(self.id.clone()));
        match info.parsed().map_err(|_| DevKeyError::Crypto)? {
            PublicKey::RSA(rsa) => {
                let modulus = without_leading_zeros(rsa.modulus);
                let exponent = without_leading_zeros(rsa.exponent);
                Ok(CoreJsonWebKey::new_rsa(modulus, exponent, key_id))
            }
            PublicKey::EC(point) => {
                // Uncompressed: 0x04, then both coordinates.
                let coordinates = point.data().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = CoreJsonCurveType::P256;
                Ok(CoreJsonWebKey::new_ec(x.to_vec(), y.to_vec(), curve, key_id))
            }
            PublicKey::DSA(_)
            | PublicKey::GostR3410(_)
            | PublicKey::GostR3410_2012(_)
            | PublicKey::Unknown(_) => Err(DevKeyError::Crypto),
        }
    }
}

fn without_leading_zeros(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|byte| *byte == 0).collect()
}

const KEY_EXTENSION: &str = "pk8";
const URL_FILE: &str = "issuer.url";
