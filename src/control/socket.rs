//! The admin socket's place in the file system. Knows locks, modes and left-overs of earlier
//! processes; not what is said over the socket.
//!
//! The socket is bound under a private name, given its mode and only then moved to its place: at
//! no moment can it be reached with another mode. A lock beside it tells a left-over from a socket
//! in use, whatever way its owner died.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("cannot make the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("another narrows serves {}; stop it, or give this one its own node.admin.socket", path.display())]
    InUse { path: PathBuf },
    #[error("{} is there and is no socket; move it away", path.display())]
    NotASocket { path: PathBuf },
    #[error("{} is longer than a socket's name may be (about 90 characters)", path.display())]
    TooLong { path: PathBuf },
    #[error("cannot bind {}", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

/// Who can connect to the socket. What they may ask is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The gateway's own user, and root.
    Operator,
    /// Reviewers are among them.
    LocalUsers,
}

impl Reach {
    const fn mode(self) -> u32 {
        match self {
            Self::Operator => 0o600,
            Self::LocalUsers => 0o666,
        }
    }
}

/// A bound admin socket. Dropping it removes the socket, if it is still this one.
#[derive(Debug)]
pub struct AdminSocket {
    pub listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Held, not read.
    _lock: File,
}

impl AdminSocket {
    pub fn bind(path: &Path, reach: Reach) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Bind { path: path.to_owned(), source };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(parent)
                .map_err(|source| SocketError::Directory { path: parent.to_owned(), source })?;
        }
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(SocketError::NotASocket { path: path.to_owned() });
            }
            // Nobody holds the lock, so a socket that is there is a left-over: it is replaced.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let private = beside(path, ".d");
        let inner = private.join("s");
        remove_left_overs(&private, &inner).map_err(failed)?;
        DirBuilder::new().mode(0o700).create(&private).map_err(failed)?;
        let bound = UnixListener::bind(&inner).and_then(|listener| {
            std::fs::set_permissions(&inner, Permissions::from_mode(reach.mode()))?;
            let inode = std::fs::symlink_metadata(&inner)?.ino();
            std::fs::rename(&inner, path)?;
            Ok((listener, inode))
        });
        remove_left_overs(&private, &inner).map_err(failed)?;
        let (listener, inode) = bound.map_err(|source| {
            // The standard library refuses a name that does not fit before it asks the kernel.
            if source.kind() == io::ErrorKind::InvalidInput {
                SocketError::TooLong { path: path.to_owned() }
            } else {
                failed(source)
            }
        })?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), inode, _lock: lock })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "cannot remove the admin socket");
        }
    }
}

/// The lock file stays when its holder ends: to remove it would let two hold two of them.
fn lock(path: &Path) -> Result<File, SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(LOCK_MODE)
        .open(beside(path, ".lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SocketError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn remove_left_overs(private: &Path, inner: &Path) -> io::Result<()> {
    for result in [std::fs::remove_file(inner), std::fs::remove_dir(private)] {
        match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(ending);
    PathBuf::from(name)
}

const LOCK_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o750;

#[cfg(test)]
mod tests;
