//! The site's own key, from which stand-ins for protected values are made. It is drawn once and
//! lies in the state folder, readable by its owner alone. Whoever has it can try out which value a
//! stand-in belongs to; whoever loses it gets other stand-ins from then on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::model::secret::Secret;

const KEY_BYTES: usize = 32;
const FILE: &str = "mask.key";
const OWNER_ONLY: u32 = 0o400;

#[derive(Debug, thiserror::Error)]
pub enum SiteKeyError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("others may read {}: run chmod 0400 on it", path.display())]
    Exposed { path: PathBuf },
    #[error("{} does not hold {KEY_BYTES} bytes; restore it, or remove it for a new one", path.display())]
    Length { path: PathBuf },
    #[error("the system gives no random bytes")]
    Random,
}

/// The key of the node whose state lies in `state_dir`; drawn now if there is none yet.
pub fn site_key(state_dir: &Path) -> Result<Secret<[u8; KEY_BYTES]>, SiteKeyError> {
    let path = state_dir.join(FILE);
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => draw(&path),
        Err(source) => Err(SiteKeyError::Read { path, source }),
    }
}

fn read(mut file: File, path: &Path) -> Result<Secret<[u8; KEY_BYTES]>, SiteKeyError> {
    let failed = |source| SiteKeyError::Read { path: path.to_owned(), source };
    if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
        return Err(SiteKeyError::Exposed { path: path.to_owned() });
    }
    let mut key = [0; KEY_BYTES];
    let ends = |file: &mut File| file.read(&mut [0]).is_ok_and(|bytes| bytes == 0);
    if file.read_exact(&mut key).is_err() || !ends(&mut file) {
        return Err(SiteKeyError::Length { path: path.to_owned() });
    }
    Ok(Secret::new(key))
}

/// Whole under its name or not there: a key that is half written would be another one.
fn draw(path: &Path) -> Result<Secret<[u8; KEY_BYTES]>, SiteKeyError> {
    let failed = |source| SiteKeyError::Write { path: path.to_owned(), source };
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| SiteKeyError::Random)?;
    let draft = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&draft)
        .map_err(failed)?;
    file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)?;
    Ok(Secret::new(key))
}
