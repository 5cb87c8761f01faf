//! Reads segments: where they lie, how they end, their blocks one after another, and the runs of
//! sessions across them. Memory is bounded by one block; a torn tail is an end, not an error.

mod follow;
mod sessions;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use zstd_safe::DCtx;

use crate::limits::BLOCK_RAW_BYTES_MAX;
use crate::record::block::{
    BLOCK_ALIGN, BLOCK_HEADER_BYTES, BlockError, BlockHeader, Codec, MAGIC,
};
use crate::record::segment::{
    HEADER_BYTES, SEGMENT_EXTENSION, Seal, SegmentError, SegmentHeader, TRAILER_BYTES,
    TRAILER_MAGIC, Trailer,
};

pub use self::follow::Follower;
pub use self::sessions::{
    DamageError, Entry, EntryKind, EntryReader, FindError, Flow, Listed, Progress, Wanted,
    find_session, is_segment_path, list, read, read_one,
};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a readable segment", path.display())]
    Segment {
        path: PathBuf,
        #[source]
        source: SegmentError,
    },
}

impl ReadError {
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Segment { path, .. } => path,
        }
    }
}

/// All segments below a recording directory, in the order in which they were written.
pub fn segments(dir: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let mut found = Vec::new();
    walk(dir, DEPTH_MAX, &mut found)
        .map_err(|source| ReadError::Io { path: dir.to_owned(), source })?;
    found.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(found)
}

/// One segment, open for reading.
pub struct Segment {
    pub path: PathBuf,
    pub header: SegmentHeader,
    file: File,
}

/// How a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Sealed(Trailer),
    /// By a sidecar, after an unclean stop or a failed write.
    GivenUp(Seal),
    /// It is being written, or its writer was stopped and no recorder has run since.
    Open,
}

impl Segment {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mut bytes = vec![0; HEADER_BYTES];
        let read = read_up_to(&file, &mut bytes, 0).map_err(io)?;
        bytes.truncate(read);
        let header = SegmentHeader::decode(&bytes)
            .map_err(|source| ReadError::Segment { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), header, file })
    }

    pub fn ending(&self) -> Result<Ending, ReadError> {
        let bytes = self.file_bytes()?;
        if let Some(at) = bytes.checked_sub(TRAILER_BYTES as u64) {
            let mut end = [0; TRAILER_BYTES];
            read_up_to(&self.file, &mut end, at).map_err(|source| self.io(source))?;
            if let Ok(trailer) = Trailer::decode(self.header.segment, &end)
                && trailer.valid_bytes == at
            {
                return Ok(Ending::Sealed(trailer));
            }
        }
        match std::fs::read(Seal::path(&self.path)) {
            Ok(bytes) => Seal::decode(&bytes)
                .map(Ending::GivenUp)
                .map_err(|source| ReadError::Segment { path: Seal::path(&self.path), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ending::Open),
            Err(source) => Err(ReadError::Io { path: Seal::path(&self.path), source }),
        }
    }

    pub fn file_bytes(&self) -> Result<u64, ReadError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|source| self.io(source))
    }

    /// Reads at most `to.len()` bytes at `at`.
    pub fn read_at(&self, to: &mut [u8], at: u64) -> Result<usize, ReadError> {
        read_up_to(&self.file, to, at).map_err(|source| self.io(source))
    }

    pub(super) fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}

/// Walks the blocks of one segment.
pub struct Blocks {
    segment: Segment,
    at: u64,
    /// Blocks end here at the latest; the file's end if nobody says more.
    limit: u64,
    window: Window,
    raw: Raw,
}

/// What lies at a place in a segment.
#[derive(Debug)]
pub enum Step<'a> {
    Block(Block<'a>),
    /// No block begins here: the rest of the file is zeros, or the file ends.
    Vacant,
    /// The blocks end here, cleanly.
    Trailer,
    /// Something is here that is not a whole block of this segment.
    Bad(BlockError),
}

/// One whole block. Its checksums have been verified.
#[derive(Debug)]
pub struct Block<'a> {
    pub at: u64,
    pub header: BlockHeader,
    payload: &'a [u8],
    raw: &'a mut Raw,
}

#[derive(Default)]
struct Raw {
    context: Option<DCtx<'static>>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("bytes", &self.bytes.len()).finish()
    }
}

impl Blocks {
    /// Blocks of `segment` up to `limit`, a byte offset.
    #[must_use]
    pub fn new(segment: Segment, limit: u64) -> Self {
        let at = HEADER_BYTES as u64;
        Self { segment, at, limit, window: Window::default(), raw: Raw::default() }
    }

    /// Looks at the current place, and passes a block that is whole.
    pub fn step(&mut self) -> Result<Step<'_>, ReadError> {
        let at = self.at;
        let header = match self.header_at(at)? {
            Place::Header(header) => header,
            Place::Vacant => return Ok(Step::Vacant),
            Place::Trailer => return Ok(Step::Trailer),
            Place::Bad(error) => return Ok(Step::Bad(error)),
        };
        let from = at + BLOCK_HEADER_BYTES as u64;
        let padded = header.stored_bytes() as usize - BLOCK_HEADER_BYTES;
        let id = self.segment.header.segment;
        let stored = self.window.at(&self.segment, from, padded)?;
        let Some((payload, padding)) = stored.split_at_checked(header.payload_bytes()) else {
            self.window.forget();
            return Ok(Step::Bad(BlockError::PayloadCrc));
        };
        let short = stored.len() < padded;
        let checked = header.check_payload(id, payload);
        if short || checked.is_err() || padding.iter().any(|&byte| byte != 0) {
            self.window.forget();
            return Ok(Step::Bad(BlockError::PayloadCrc));
        }
        self.at += header.stored_bytes();
        // Asked for again, since a borrow that a branch returns cannot end in the others.
        let stored = self.window.at(&self.segment, from, padded)?;
        let payload = stored.get(..header.payload_bytes()).unwrap_or_default();
        Ok(Step::Block(Block { at, header, payload, raw: &mut self.raw }))
    }

    /// As `step`, but reads the header only and passes the payload unread.
    pub fn skim(&mut self) -> Result<Option<(u64, BlockHeader)>, ReadError> {
        let at = self.at;
        match self.header_at(at)? {
            Place::Header(header) => {
                self.at += header.stored_bytes();
                Ok(Some((at, header)))
            }
            Place::Vacant | Place::Trailer | Place::Bad(_) => Ok(None),
        }
    }

    /// Moves to the next place that has a header of this segment with a sequence number of at least
    /// `block_seq`, and says whether there is one.
    pub fn resync(&mut self, block_seq: u64) -> Result<bool, ReadError> {
        let mut at = self.at + BLOCK_ALIGN as u64;
        while at + BLOCK_HEADER_BYTES as u64 <= self.limit {
            let window = self.window.at(&self.segment, at, RESYNC_BYTES)?;
            if window.len() < BLOCK_HEADER_BYTES {
                break;
            }
            let skip = memchr::memmem::find_iter(window, MAGIC)
                .find(|position| position % BLOCK_ALIGN == 0)
                .map(|position| position as u64);
            let Some(skip) = skip else {
                at += (window.len() / BLOCK_ALIGN * BLOCK_ALIGN) as u64;
                continue;
            };
            at += skip;
            if let Place::Header(header) = self.header_at(at)?
                && header.block_seq >= block_seq
            {
                self.at = at;
                return Ok(true);
            }
            at += BLOCK_ALIGN as u64;
        }
        Ok(false)
    }

    /// Whether a whole block lies at this place.
    pub fn is_block(&mut self) -> Result<bool, ReadError> {
        let at = self.at;
        let is_block = matches!(self.step()?, Step::Block(_));
        self.at = at;
        Ok(is_block)
    }

    /// Whether a block lies further on than this place, which holds none. A segment is written from
    /// front to back: if it is being written, another look at this place will find what was
    /// written here before that block.
    pub fn is_overtaken(&mut self) -> Result<bool, ReadError> {
        let at = self.at;
        let found = self.resync(0)?;
        self.at = at;
        self.window.forget();
        Ok(found)
    }

    pub fn seek(&mut self, at: u64) {
        self.at = at;
    }

    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }

    #[must_use]
    pub const fn segment(&self) -> &Segment {
        &self.segment
    }

    pub const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    fn header_at(&mut self, at: u64) -> Result<Place, ReadError> {
        if at >= self.limit {
            return Ok(Place::Vacant);
        }
        let id = self.segment.header.segment;
        let bytes = self.window.at(&self.segment, at, BLOCK_HEADER_BYTES)?;
        let place = if bytes.starts_with(TRAILER_MAGIC) {
            Place::Trailer
        } else if bytes.iter().take(BLOCK_HEADER_BYTES).all(|&byte| byte == 0) {
            Place::Vacant
        } else if let Some(bytes) = bytes.first_chunk() {
            match BlockHeader::decode(id, bytes) {
                Ok(header) if at + header.stored_bytes() > self.limit => {
                    Place::Bad(BlockError::Length { bytes: header.block_bytes })
                }
                Ok(header) => Place::Header(header),
                Err(error) => Place::Bad(error),
            }
        } else {
            Place::Bad(BlockError::Magic)
        };
        if !matches!(place, Place::Header(_)) {
            // A writer may be at work here: look again next time.
            self.window.forget();
        }
        Ok(place)
    }
}

enum Place {
    Header(BlockHeader),
    Vacant,
    Trailer,
    Bad(BlockError),
}

impl Block<'_> {
    /// The payload as the tap handed it over.
    pub fn raw(&mut self) -> Result<&[u8], BlockError> {
        match self.header.codec {
            Codec::Raw if self.payload.len() == self.header.raw_bytes as usize => Ok(self.payload),
            Codec::Raw => Err(BlockError::Decompress),
            Codec::Zstd => self.raw.decompress(self.payload, self.header.raw_bytes as usize),
        }
    }

    #[must_use]
    pub const fn session(&self) -> Uuid {
        self.header.session
    }
}

impl Raw {
    fn decompress(&mut self, payload: &[u8], raw_bytes: usize) -> Result<&[u8], BlockError> {
        let context = match &mut self.context {
            Some(context) => context,
            empty @ None => empty.insert(DCtx::try_create().ok_or(BlockError::Decompress)?),
        };
        self.bytes.clear();
        self.bytes.reserve(raw_bytes.min(BLOCK_RAW_BYTES_MAX));
        match context.decompress(&mut self.bytes, payload) {
            Ok(bytes) if bytes == raw_bytes => Ok(&self.bytes),
            Ok(_) | Err(_) => Err(BlockError::Decompress),
        }
    }
}

/// A part of the file in memory, so that small blocks do not cost two system calls each.
#[derive(Default)]
struct Window {
    from: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Bytes from `at` on: at least `bytes` of them unless the file ends before.
    fn at(&mut self, segment: &Segment, at: u64, bytes: usize) -> Result<&[u8], ReadError> {
        let held = at
            .checked_sub(self.from)
            .and_then(|skip| usize::try_from(skip).ok())
            .filter(|skip| skip.saturating_add(bytes) <= self.bytes.len());
        let skip = match held {
            Some(skip) => skip,
            None => {
                self.bytes.resize(bytes.max(WINDOW_BYTES), 0);
                let read = segment.read_at(&mut self.bytes, at)?;
                self.bytes.truncate(read);
                self.from = at;
                0
            }
        };
        let rest = self.bytes.get(skip..).unwrap_or_default();
        Ok(rest.get(..bytes).unwrap_or(rest))
    }

    fn forget(&mut self) {
        self.bytes.clear();
    }
}

fn read_up_to(file: &File, to: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION) {
            found.push(path);
        }
    }
    Ok(())
}

/// Node and writer, sequence number, and the path for names that are not ours.
fn order(path: &Path) -> (&str, u64, &Path) {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let (writer, seq) = stem.rsplit_once('-').unwrap_or((stem, ""));
    (writer, seq.parse().unwrap_or(u64::MAX), path)
}

/// Lane, year, month and day.
const DEPTH_MAX: usize = 4;
const WINDOW_BYTES: usize = 256 * 1024;
const RESYNC_BYTES: usize = 64 * 1024;
