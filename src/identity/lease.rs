//! Leases: upstream secrets, fetched when a login needs them. Knows where secrets lie, not what
//! they open. A secret is handed out as `Secret` and appears in no error.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::identity::vault::{Vault, VaultError};
use crate::limits::{SECRET_BYTES_MAX, SECRET_EXEC_MS_MAX};
use crate::model::secret::Secret;
use crate::model::target::SecretSource;

/// Fetches secrets from wherever configuration says they are.
#[derive(Clone, Debug)]
pub struct Lessor {
    vault: Vault,
    /// A command that prints a secret gets this long.
    pub(super) exec_max: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("cannot read {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is not a file", path.display())]
    NotAFile { path: PathBuf },
    #[error("everybody may read or write {}: run chmod o-rwx on it", path.display())]
    FileExposed { path: PathBuf },
    #[error("the environment has no variable {name}")]
    EnvAbsent { name: String },
    #[error("the command is empty")]
    ExecEmpty,
    #[error("cannot run {program}")]
    ExecStart { program: String, source: io::Error },
    #[error("{program} failed: {status}")]
    ExecFailed { program: String, status: ExitStatus },
    #[error("{program} took longer than {} ms", most.as_millis())]
    ExecTimedOut { program: String, most: Duration },
    #[error("the secret is over {SECRET_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the secret is empty")]
    Empty,
}

impl Lessor {
    #[must_use]
    pub const fn new(vault: Vault) -> Self {
        Self { vault, exec_max: Duration::from_millis(SECRET_EXEC_MS_MAX) }
    }

    /// Reads files where it stands, which takes microseconds; waits for commands.
    pub async fn fetch(&self, source: &SecretSource) -> Result<Secret<Vec<u8>>, LeaseError> {
        match source {
            SecretSource::Vault(name) => Ok(self.vault.fetch(name)?),
            SecretSource::File(path) => from_file(path),
            SecretSource::Env(name) => from_env(name),
            SecretSource::Exec(command) => from_command(command, self.exec_max).await,
        }
    }
}

fn from_file(path: &Path) -> Result<Secret<Vec<u8>>, LeaseError> {
    let failed = |source| LeaseError::File { path: path.to_owned(), source };
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    let mut file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(LeaseError::NotAFile { path: path.to_owned() });
    }
    if about.mode() & 0o007 != 0 {
        return Err(LeaseError::FileExposed { path: path.to_owned() });
    }
    let mut buffer = buffer();
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room).map_err(failed)? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    finish(&buffer, filled)
}

fn from_env(name: &str) -> Result<Secret<Vec<u8>>, LeaseError> {
    let value =
        std::env::var_os(name).ok_or_else(|| LeaseError::EnvAbsent { name: name.to_owned() })?;
    let value = Zeroizing::new(value.into_vec());
    finish(&value, value.len())
}

/// Runs the program itself, no shell; what it writes to standard error is dropped, since a careless
/// program could put the secret there.
async fn from_command(command: &[String], most: Duration) -> Result<Secret<Vec<u8>>, LeaseError> {
    let (program, arguments) = command.split_first().ok_or(LeaseError::ExecEmpty)?;
    let failed = |source| LeaseError::ExecStart { program: program.clone(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut output = child.stdout.take();
    let work = async {
        let mut buffer = buffer();
        let mut filled = 0;
        if let Some(output) = &mut output {
            while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
                match output.read(room).await.map_err(failed)? {
                    0 => break,
                    bytes => filled += bytes,
                }
            }
        }
        if filled > SECRET_BYTES_MAX {
            return Err(LeaseError::TooLarge);
        }
        let status = child.wait().await.map_err(failed)?;
        if !status.success() {
            return Err(LeaseError::ExecFailed { program: program.clone(), status });
        }
        finish(&buffer, filled)
    };
    tokio::time::timeout(most, work)
        .await
        .map_err(|_| LeaseError::ExecTimedOut { program: program.clone(), most })?
}

/// Room for one byte more than is allowed, so that too much shows; never grows, so that no copy is
/// left behind.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1])
}

/// The secret without one newline at its end, which editors and `echo` put there.
fn finish(buffer: &[u8], filled: usize) -> Result<Secret<Vec<u8>>, LeaseError> {
    let bytes = buffer.get(..filled).unwrap_or_default();
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(LeaseError::TooLarge);
    }
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err(LeaseError::Empty);
    }
    Ok(Secret::new(bytes.to_vec()))
}
