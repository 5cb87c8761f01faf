//! The vault file: upstream secrets, encrypted by age (age-encryption.org/v1) to one X25519 key.
//! The key lies beside it and is readable by its owner alone; whoever has both has the secrets.
//! The plaintext is JSON: `{"version": 1, "secrets": {"name": "base64"}}`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::limits::{SECRET_BYTES_MAX, VAULT_BYTES_MAX};
use crate::model::secret::Secret;

/// A vault by its two paths; every call reads the file anew, so that nothing stays in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    file: PathBuf,
    key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no vault yet at {}", path.display())]
    Absent { path: PathBuf },
    #[error("the vault cannot be opened without its key, which is missing at {}", path.display())]
    KeyAbsent { path: PathBuf },
    #[error("others may read {}: run chmod 0400 on it and replace the vault's secrets", path.display())]
    KeyExposed { path: PathBuf },
    #[error("{} holds no age X25519 identity", path.display())]
    KeyUnreadable { path: PathBuf },
    #[error("{} cannot be decrypted with {}", file.display(), key.display())]
    Decrypt { file: PathBuf, key: PathBuf, source: age::DecryptError },
    #[error("the vault cannot be encrypted")]
    Encrypt(#[source] age::EncryptError),
    #[error("{} is not a vault of a version that is known here", path.display())]
    Contents { path: PathBuf },
    #[error("{} is over {VAULT_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("the secret is empty")]
    SecretEmpty,
    #[error("the secret is over {SECRET_BYTES_MAX} bytes")]
    SecretTooLarge,
    #[error("the vault has no secret {name}")]
    NoSecret { name: String },
}

/// What `set` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    New,
    Replaced,
}

impl Vault {
    #[must_use]
    pub const fn new(file: PathBuf, key: PathBuf) -> Self {
        Self { file, key }
    }

    /// The vault in its usual place.
    #[must_use]
    pub fn in_state_dir(state_dir: &Path) -> Self {
        Self::new(state_dir.join("vault.age"), state_dir.join("vault.key"))
    }

    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Stores a secret under `name`, and makes the vault and its key where there are none.
    pub fn set(&self, name: &str, secret: &Secret<Vec<u8>>) -> Result<Stored, VaultError> {
        secret.with(|bytes| match bytes.len() {
            0 => Err(VaultError::SecretEmpty),
            1..=SECRET_BYTES_MAX => Ok(()),
            _ => Err(VaultError::SecretTooLarge),
        })?;
        let _held = self.hold()?;
        let (identity, mut contents) = match self.open() {
            Ok(opened) => opened,
            Err(VaultError::Absent { .. }) => (self.key_for_new_vault()?, Contents::empty()),
            Err(other) => return Err(other),
        };
        let entry = secret.with(|bytes| Entry(Secret::new(STANDARD.encode(bytes))));
        let replaced = contents.secrets.insert(name.to_owned(), entry).is_some();
        self.write(&identity, &contents)?;
        Ok(if replaced { Stored::Replaced } else { Stored::New })
    }

    pub fn remove(&self, name: &str) -> Result<(), VaultError> {
        let _held = self.hold()?;
        let (identity, mut contents) = self.open()?;
        if contents.secrets.remove(name).is_none() {
            return Err(VaultError::NoSecret { name: name.to_owned() });
        }
        self.write(&identity, &contents)
    }

    /// Names, in order. A vault that is not there yet has none.
    pub fn names(&self) -> Result<Vec<String>, VaultError> {
        match self.open() {
            Ok((_, contents)) => Ok(contents.secrets.into_keys().collect()),
            Err(VaultError::Absent { .. }) => Ok(Vec::new()),
            Err(other) => Err(other),
        }
    }

    pub fn fetch(&self, name: &str) -> Result<Secret<Vec<u8>>, VaultError> {
        let (_, contents) = self.open()?;
        let entry = contents
            .secrets
            .get(name)
            .ok_or_else(|| VaultError::NoSecret { name: name.to_owned() })?;
        let secret = entry.0.with(|text| STANDARD.decode(text));
        secret.map(Secret::new).map_err(|_| VaultError::Contents { path: self.file.clone() })
    }

    fn open(&self) -> Result<(x25519::Identity, Contents), VaultError> {
        let sealed = match read_bounded(&self.file) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VaultError::Absent { path: self.file.clone() });
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(VaultError::TooLarge { path: self.file.clone() });
            }
            Err(source) => return Err(VaultError::Read { path: self.file.clone(), source }),
        };
        let identity = self.read_key()?;
        let plain = age::decrypt(&identity, &sealed).map_err(|source| VaultError::Decrypt {
            file: self.file.clone(),
            key: self.key.clone(),
            source,
        })?;
        let plain = Zeroizing::new(plain);
        // The parser's own error could quote what it read.
        let contents: Contents = serde_json::from_slice(&plain)
            .map_err(|_| VaultError::Contents { path: self.file.clone() })?;
        if contents.version != Contents::VERSION {
            return Err(VaultError::Contents { path: self.file.clone() });
        }
        Ok((identity, contents))
    }

    fn read_key(&self) -> Result<x25519::Identity, VaultError> {
        let path = || self.key.clone();
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::NotFound {
                return VaultError::KeyAbsent { path: path() };
            }
            VaultError::Read { path: path(), source }
        };
        let mut file = File::open(&self.key).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(VaultError::KeyExposed { path: path() });
        }
        let mut text = Zeroizing::new(String::with_capacity(KEY_BYTES_MAX));
        Read::by_ref(&mut file)
            .take(KEY_BYTES_MAX as u64)
            .read_to_string(&mut text)
            .map_err(failed)?;
        text.lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .and_then(|line| line.parse().ok())
            .ok_or_else(|| VaultError::KeyUnreadable { path: path() })
    }

    /// The key at hand, or a new one. A key without a vault may be one that the operator placed.
    fn key_for_new_vault(&self) -> Result<x25519::Identity, VaultError> {
        match self.read_key() {
            Err(VaultError::KeyAbsent { .. }) => {}
            other => return other,
        }
        let identity = x25519::Identity::generate();
        let failed = |source| VaultError::Write { path: self.key.clone(), source };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&self.key)
            .map_err(failed)?;
        let text = identity.to_string();
        writeln!(file, "# key of the Narrows vault; public key: {}", identity.to_public())
            .and_then(|()| writeln!(file, "{}", text.expose_secret()))
            .and_then(|()| file.sync_all())
            .and_then(|()| give_to_owner_of_folder(&self.key))
            .map_err(failed)?;
        Ok(identity)
    }

    /// Readers see the old file or the new one, never a part.
    fn write(&self, identity: &x25519::Identity, contents: &Contents) -> Result<(), VaultError> {
        let failed = |source| VaultError::Write { path: self.file.clone(), source };
        let mut plain = Zeroizing::new(Vec::new());
        serde_json::to_writer(&mut *plain, contents).map_err(|error| failed(error.into()))?;
        let sealed = age::encrypt(&identity.to_public(), &plain).map_err(VaultError::Encrypt)?;
        let folder = folder_of(&self.file);
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.as_file().set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
        file.write_all(&sealed).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        give_to_owner_of_folder(file.path()).map_err(failed)?;
        file.persist(&self.file).map_err(|error| failed(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// Keeps two writers from overwriting each other's change, until the file is dropped.
    fn hold(&self) -> Result<File, VaultError> {
        let path = self.file.with_extension("lock");
        let failed = |source| VaultError::Write { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder_of(&path)).map_err(failed)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        give_to_owner_of_folder(&path).map_err(failed)?;
        Ok(file)
    }
}

/// Secrets are put in by root as often as not; the service that reads them owns the folder.
fn give_to_owner_of_folder(path: &Path) -> io::Result<()> {
    let folder = fs::metadata(folder_of(path))?;
    if fs::metadata(path)?.uid() == folder.uid() {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(folder.uid()), Some(folder.gid()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(VAULT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > VAULT_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    secrets: BTreeMap<String, Entry>,
}

impl Contents {
    const VERSION: u32 = 1;

    const fn empty() -> Self {
        Self { version: Self::VERSION, secrets: BTreeMap::new() }
    }
}

/// A secret in base64.
struct Entry(Secret<String>);

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.with(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// An identity is 74 characters; the rest is room for comments.
const KEY_BYTES_MAX: usize = 4096;
