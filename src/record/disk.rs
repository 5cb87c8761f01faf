//! The recorder's files. They are written by plain calls, which only copy into the page cache: a
//! ring would hand each to a kernel thread, and that costs more than the copy. Syncs, which wait for
//! the disk, go through io_uring, or by plain calls where the kernel or the container refuses it.
//! Knows files and errors, not what is written.

use std::fs::OpenOptions;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

#[cfg(test)]
pub(super) mod trial;

/// How the recorder's thread runs, and what its syncs go through.
pub(super) enum Driver {
    Ring(tokio_uring::Runtime),
    Plain(tokio::runtime::Runtime),
    #[cfg(test)]
    Trial(tokio::runtime::Runtime, trial::Faults),
}

/// Opens files.
#[derive(Clone)]
pub(super) enum Disk {
    Ring,
    Plain,
    #[cfg(test)]
    Trial(trial::Faults),
}

/// One segment, open for writing.
pub(super) struct File {
    plain: std::fs::File,
    way: Way,
}

enum Way {
    Ring(tokio_uring::fs::File),
    Plain,
    #[cfg(test)]
    Trial(trial::Faults),
}

impl Disk {
    /// io_uring if the kernel grants a ring, plain calls if not.
    pub fn choose() -> io::Result<Driver> {
        match tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)) {
            Ok(runtime) => Ok(Driver::Ring(runtime)),
            Err(refused) => {
                tracing::info!(%refused, "recording without io_uring");
                Self::plain()
            }
        }
    }

    pub fn plain() -> io::Result<Driver> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().map(Driver::Plain)
    }

    /// Creates a file of `bytes`, all of them allocated, and makes its name durable.
    pub fn create(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let way = |plain: &std::fs::File| {
            Ok::<Way, io::Error>(match self {
                Self::Ring => Way::Ring(tokio_uring::fs::File::from_std(plain.try_clone()?)),
                Self::Plain => Way::Plain,
                #[cfg(test)]
                Self::Trial(faults) => {
                    faults.create()?;
                    Way::Trial(faults.clone())
                }
            })
        };
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        let plain =
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE_OPEN).open(path)?;
        let made = allocate(&plain, bytes)
            .and_then(|()| sync_directories(parent))
            .and_then(|()| way(&plain));
        let way = made.inspect_err(|_| {
            // An empty file would look like a segment that a crash cut short.
            drop(std::fs::remove_file(path));
        })?;
        Ok(File { plain, way })
    }
}

impl Driver {
    pub fn disk(&self) -> Disk {
        match self {
            Self::Ring(_) => Disk::Ring,
            Self::Plain(_) => Disk::Plain,
            #[cfg(test)]
            Self::Trial(_, faults) => Disk::Trial(faults.clone()),
        }
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Ring(runtime) => runtime.block_on(future),
            Self::Plain(runtime) => runtime.block_on(future),
            #[cfg(test)]
            Self::Trial(runtime, _) => runtime.block_on(future),
        }
    }
}

impl File {
    /// Writes all of `bytes` at `at`.
    pub fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match &self.way {
            Way::Ring(_) | Way::Plain => self.plain.write_all_at(bytes, at),
            #[cfg(test)]
            Way::Trial(faults) => faults.write().and_then(|()| self.plain.write_all_at(bytes, at)),
        }
    }

    /// Makes written bytes durable. An error is final: what was written since may be gone.
    pub async fn sync(&self) -> io::Result<()> {
        match &self.way {
            Way::Ring(ring) => ring.sync_data().await,
            Way::Plain => self.plain.sync_data(),
            #[cfg(test)]
            Way::Trial(faults) => faults.sync().and_then(|()| self.plain.sync_data()),
        }
    }

    /// Ends the file at `bytes` and takes everybody's right to write it.
    pub fn seal(&self, bytes: u64) -> io::Result<()> {
        self.plain.set_len(bytes)?;
        self.plain.sync_all()?;
        self.plain.set_permissions(std::fs::Permissions::from_mode(FILE_MODE_SEALED))
    }
}

/// Writes a small file at once and makes it durable, name included.
pub(super) fn write_small(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE_SEALED)
        .open(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn allocate(file: &std::fs::File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        // Such a file system may run out of space inside a segment; that is handled as well.
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
        Err(errno) => Err(errno.into()),
    }
}

/// A new file's directory may itself be new: year, month and day lie above it.
fn sync_directories(parent: &Path) -> io::Result<()> {
    parent.ancestors().take(DATE_LEVELS).try_for_each(sync_directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::fs::File::open(path)?.sync_all()
}

const RING_ENTRIES: u32 = 16;
const FILE_MODE_OPEN: u32 = 0o640;
const FILE_MODE_SEALED: u32 = 0o440;
/// Day, month, year, lane and the recording directory.
const DATE_LEVELS: usize = 5;
