//! An append-only file of lines that something else may rotate away. Knows offsets, inodes and the
//! sequence number that the last line bears; not what the lines say.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::limits::EVENT_FILE_TAIL_BYTES;

pub struct EventFile {
    path: PathBuf,
    /// Remembers the sequence where the file cannot: after a rotation it is empty.
    sequence_path: PathBuf,
    file: File,
    identity: Identity,
    /// Bytes of the lines last given to `append` that are already in the file.
    appended_bytes: usize,
    /// The part of `appended_bytes` that is whole lines; less only after a write that failed.
    whole_bytes: usize,
    /// The sequence number last written beside the file.
    sequence: u64,
    unsynced: bool,
}

/// Which file a path stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Pipes and terminals are neither read back, nor rotated, nor synced.
    regular: bool,
}

impl EventFile {
    /// Opens or makes the file; also the sequence number that the next line bears.
    pub fn open(path: &Path) -> io::Result<(Self, u64)> {
        let mut sequence_name = path.as_os_str().to_owned();
        sequence_name.push(".sequence");
        let sequence_path = PathBuf::from(sequence_name);
        let (mut file, identity) = open_append(path)?;
        let mut next_sequence = 1;
        if identity.regular {
            let last = last_sequence(&mut file)?;
            next_sequence = last.saturating_add(1).max(remembered_sequence(&sequence_path));
        }
        let file = Self {
            path: path.to_owned(),
            sequence_path,
            file,
            identity,
            appended_bytes: 0,
            whole_bytes: 0,
            sequence: 0,
            unsynced: false,
        };
        Ok((file, next_sequence))
    }

    /// Opens the path anew if it no longer stands for the open file, or if asked to.
    pub fn follow(&mut self, reopen: bool) -> io::Result<()> {
        if !self.identity.regular {
            return Ok(());
        }
        let rotated = match std::fs::metadata(&self.path) {
            Ok(metadata) => Identity::of(&metadata) != self.identity,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        if rotated || reopen {
            let opened = open_append(&self.path)?;
            // What went to the old file should not be lost with it, but a disk that fails must not
            // keep us from leaving it.
            if let Err(error) = self.file.sync_data() {
                tracing::error!(%error, "cannot sync the event file that was rotated away");
            }
            (self.file, self.identity) = opened;
            self.appended_bytes = self.whole_bytes;
        }
        Ok(())
    }

    /// Appends `lines`. After an error it is called with the same lines again and goes on from
    /// where it stopped, in a new file from the beginning of the line.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        while let Some(rest) = lines.get(self.appended_bytes..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => self.appended_bytes += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.retreat_to_line_start(lines);
                    return Err(error);
                }
            }
            self.unsynced = true;
        }
        (self.appended_bytes, self.whole_bytes) = (0, 0);
        Ok(())
    }

    /// Makes what was appended durable, and remembers the next line's sequence number beside it.
    pub fn sync(&mut self, next_sequence: u64) -> io::Result<()> {
        if !self.unsynced || !self.identity.regular {
            return Ok(());
        }
        self.file.sync_data()?;
        if self.sequence != next_sequence {
            let mut beside = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(FILE_MODE)
                .open(&self.sequence_path)?;
            // Overwritten in place: always as long, so that no moment leaves less than a number.
            beside.write_all(format!("{next_sequence:020}\n").as_bytes())?;
            self.sequence = next_sequence;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Takes the beginning of a line that could not be written whole out of the file again, so that
    /// a reader sees whole lines only. Where that fails too, the rest follows once it can.
    fn retreat_to_line_start(&mut self, lines: &[u8]) {
        let done = lines.get(..self.appended_bytes).unwrap_or_default();
        self.whole_bytes = done.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn_bytes = (self.appended_bytes - self.whole_bytes) as u64;
        if torn_bytes == 0 || !self.identity.regular {
            return;
        }
        let kept = self.file.metadata().map(|m| m.len().saturating_sub(torn_bytes));
        if kept.and_then(|bytes| self.file.set_len(bytes)).is_ok() {
            self.appended_bytes = self.whole_bytes;
        }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), regular: metadata.is_file() }
    }
}

fn open_append(path: &Path) -> io::Result<(File, Identity)> {
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)?;
    let metadata = file.metadata()?;
    let identity = Identity::of(&metadata);
    if identity.regular && metadata.len() > 0 {
        // A line that a crash tore must not swallow the next one.
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok((file, identity))
}

/// The sequence number of the last whole line in the file, 0 where there is none.
fn last_sequence(file: &mut File) -> io::Result<u64> {
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(EVENT_FILE_TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(EVENT_FILE_TAIL_BYTES).read_to_end(&mut tail)?;
    let sequence = tail.rsplit(|byte| *byte == b'\n').find_map(|line| {
        let record: Line = serde_json::from_slice(line).ok()?;
        Some(record.metadata.sequence)
    });
    Ok(sequence.unwrap_or(0))
}

/// The next line's number, as an earlier process left it beside the file; 1 where none did.
fn remembered_sequence(path: &Path) -> u64 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1)
}

#[derive(serde::Deserialize)]
struct Line {
    metadata: LineMetadata,
}

#[derive(serde::Deserialize)]
struct LineMetadata {
    sequence: u64,
}

/// Readable by the group that the log shipper belongs to, by nobody else.
const FILE_MODE: u32 = 0o640;
