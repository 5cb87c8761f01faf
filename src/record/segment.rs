//! A segment's own bytes: the file header, the trailer of a sealed one, the sidecar of one that an
//! unclean stop left unsealed, and names. Knows no blocks.
//!
//! ```text
//! header, 4096 bytes
//!   0 "NRWREC1\n"   8 major u16, minor u16   12 header length u32
//!  16 flags that a reader must know u64      24 flags that it may ignore u64
//!  32 node id, 16 bytes   48 writer u16   50 lane u8   51 hash u8   52 block alignment u32
//!  56 segment id, 16 bytes                   72 segment_seq u64
//!  80 created_unix_ns u64  88 created_mono_ns u64  96 boot id, 16 bytes
//! 112 predecessor's id, 16 bytes  128 its valid length u64  136 its last leaf hash, 32 bytes
//! 168 first leaf index u64  176 frontier length u32  184 tagged fields .. 4092 crc u32
//! trailer, 64 bytes
//!   0 "NRWEND1\n"   8 index_at u64  16 index_bytes u64  24 blocks u64  32 leaves u64
//!  40 valid length u64  48 sessions left open u64  56 reserved u32  60 crc u32
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub node: Uuid,
    pub node_name: String,
    pub software: String,
    pub writer: u16,
    pub segment: Uuid,
    /// Gap-free over the life of a node's writer.
    pub segment_seq: u64,
    pub created_unix_ns: u64,
    pub created_mono_ns: u64,
    pub boot: Uuid,
    /// Nil in the first segment.
    pub predecessor: Uuid,
    pub predecessor_valid_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    pub index_at: u64,
    pub index_bytes: u64,
    pub blocks: u64,
    /// Where the blocks end and the trailer begins.
    pub valid_bytes: u64,
    /// Sessions whose end is to be found in a later segment.
    pub open_sessions: u64,
}

/// What stands in for the trailer of a segment that was not sealed by its writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub segment: Uuid,
    pub valid_bytes: u64,
    pub blocks: u64,
    pub reason: SealReason,
    /// Bytes after the last whole block; they are kept beside the segment.
    pub torn_bytes: u64,
    /// SHA-256 of the torn bytes, lower-case hexadecimal; empty where there are none.
    pub torn_sha256: String,
    /// Ranges inside the valid bytes that hold no whole block.
    pub damaged: Vec<Damage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealReason {
    /// The writer stopped without sealing.
    UncleanStop,
    /// The writer gave the segment up after a failed write or sync.
    WriteFailed,
}

/// A range of a file that holds no whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    pub at: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    #[error("the file is too short for a segment")]
    Short,
    #[error("the file does not begin as a segment does")]
    Magic,
    #[error("version {major} is not known")]
    Version { major: u16 },
    #[error("the file needs features {flags:#x}, which are not known")]
    Flags { flags: u64 },
    #[error("the checksum does not match")]
    Crc,
    #[error("the segment has the last number that there is")]
    Last,
    #[error("the node name is not valid text")]
    Text,
    #[error("the seal cannot be read")]
    Seal,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(HEADER_MAGIC);
        out.extend_from_slice(&MAJOR.to_le_bytes());
        out.extend_from_slice(&MINOR.to_le_bytes());
        out.extend_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(self.node.as_bytes());
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&[LANE_MASKED, HASH_NONE]);
        out.extend_from_slice(&(super::block::BLOCK_ALIGN as u32).to_le_bytes());
        out.extend_from_slice(self.segment.as_bytes());
        for field in [self.segment_seq, self.created_unix_ns, self.created_mono_ns] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(self.boot.as_bytes());
        out.extend_from_slice(self.predecessor.as_bytes());
        out.extend_from_slice(&self.predecessor_valid_bytes.to_le_bytes());
        out.resize(FIELDS_AT, 0);
        push_field(&mut out, FIELD_NODE_NAME, &self.node_name);
        push_field(&mut out, FIELD_SOFTWARE, &self.software);
        out.resize(HEADER_CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SegmentError> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(SegmentError::Short)?;
        if !bytes.starts_with(HEADER_MAGIC) {
            return Err(SegmentError::Magic);
        }
        let checked = bytes.get(..HEADER_CRC_AT).unwrap_or_default();
        if crc32c::crc32c(checked) != u32_at(bytes, HEADER_CRC_AT) {
            return Err(SegmentError::Crc);
        }
        let [low, high, ..] = u32_at(bytes, 8).to_le_bytes();
        let major = u16::from_le_bytes([low, high]);
        if major != MAJOR {
            return Err(SegmentError::Version { major });
        }
        let flags = u64_at(bytes, 16);
        if flags != 0 {
            return Err(SegmentError::Flags { flags });
        }
        let segment_seq = u64_at(bytes, 72);
        if segment_seq == u64::MAX {
            return Err(SegmentError::Last);
        }
        let [low, high, ..] = u32_at(bytes, 48).to_le_bytes();
        let fields = bytes.get(FIELDS_AT..HEADER_CRC_AT).unwrap_or_default();
        Ok(Self {
            node: uuid_at(bytes, 32),
            node_name: field(fields, FIELD_NODE_NAME)?,
            software: field(fields, FIELD_SOFTWARE)?,
            writer: u16::from_le_bytes([low, high]),
            segment: uuid_at(bytes, 56),
            segment_seq,
            created_unix_ns: u64_at(bytes, 80),
            created_mono_ns: u64_at(bytes, 88),
            boot: uuid_at(bytes, 96),
            predecessor: uuid_at(bytes, 112),
            predecessor_valid_bytes: u64_at(bytes, 128),
        })
    }

    /// Where the segment lies below the recording directory.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        let seconds = i64::try_from(self.created_unix_ns / 1_000_000_000).unwrap_or(0);
        let day = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let node = self.node.simple().to_string();
        let node8 = node.get(..8).unwrap_or(&node);
        dir.join(LANE_NAME).join(day.strftime("%Y/%m/%d").to_string()).join(format!(
            "seg-{node8}-w{}-{:010}.{SEGMENT_EXTENSION}",
            self.writer, self.segment_seq
        ))
    }
}

impl Trailer {
    pub(super) fn encode(&self, segment: Uuid) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend_from_slice(TRAILER_MAGIC);
        for field in
            [self.index_at, self.index_bytes, self.blocks, 0, self.valid_bytes, self.open_sessions]
        {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(segment.as_bytes()), &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(segment: Uuid, bytes: &[u8]) -> Result<Self, SegmentError> {
        let bytes = bytes.first_chunk::<TRAILER_BYTES>().ok_or(SegmentError::Short)?;
        if !bytes.starts_with(TRAILER_MAGIC) {
            return Err(SegmentError::Magic);
        }
        let checked = bytes.get(..TRAILER_CRC_AT).unwrap_or_default();
        let crc = crc32c::crc32c_append(crc32c::crc32c(segment.as_bytes()), checked);
        if crc != u32_at(bytes, TRAILER_CRC_AT) {
            return Err(SegmentError::Crc);
        }
        Ok(Self {
            index_at: u64_at(bytes, 8),
            index_bytes: u64_at(bytes, 16),
            blocks: u64_at(bytes, 24),
            valid_bytes: u64_at(bytes, 40),
            open_sessions: u64_at(bytes, 48),
        })
    }
}

impl Seal {
    /// The sidecar's path for a segment's.
    #[must_use]
    pub fn path(segment: &Path) -> PathBuf {
        segment.with_extension("seal")
    }

    /// One line of JSON, and one with its checksum.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Numbers, an id and plain text: this cannot fail.
        let mut out = serde_json::to_vec(self).unwrap_or_default();
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(format!("\n{crc:08x}\n").as_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SegmentError> {
        let text = std::str::from_utf8(bytes).map_err(|_| SegmentError::Seal)?;
        let (json, rest) = text.split_once('\n').ok_or(SegmentError::Seal)?;
        if rest != format!("{:08x}\n", crc32c::crc32c(json.as_bytes())) {
            return Err(SegmentError::Seal);
        }
        serde_json::from_str(json).map_err(|_| SegmentError::Seal)
    }
}

/// The same name always gives the same id, so that a node needs no file to remember it.
pub(super) fn node_id(name: &str) -> Uuid {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let mut id = [0; 16];
    for (to, from) in id.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

fn push_field(out: &mut Vec<u8>, tag: u16, text: &str) {
    let text = text.get(..text.floor_char_boundary(FIELD_BYTES_MAX)).unwrap_or_default();
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The text of the field with this tag; empty where there is none. Tag 0 ends the fields.
fn field(mut fields: &[u8], wanted: u16) -> Result<String, SegmentError> {
    while let Some((&[t0, t1, l0, l1], rest)) = fields.split_first_chunk::<4>() {
        let tag = u16::from_le_bytes([t0, t1]);
        let Some((text, rest)) = rest.split_at_checked(u16::from_le_bytes([l0, l1]).into()) else {
            return Err(SegmentError::Short);
        };
        if tag == wanted {
            return String::from_utf8(text.to_vec()).map_err(|_| SegmentError::Text);
        }
        if tag == 0 {
            break;
        }
        fields = rest;
    }
    Ok(String::new())
}

/// Little-endian numbers at fixed places. The places are constants inside fixed-size arrays; a
/// place outside reads as zero.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes)
}

pub(super) fn uuid_at(bytes: &[u8], at: usize) -> Uuid {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(Uuid::nil(), Uuid::from_bytes)
}

pub(super) const HEADER_BYTES: usize = 4096;
pub(super) const TRAILER_BYTES: usize = 64;
pub(super) const TRAILER_MAGIC: &[u8; 8] = b"NRWEND1\n";
pub(super) const LANE_NAME: &str = "masked";
pub(super) const SEGMENT_EXTENSION: &str = "nrw";
const HEADER_MAGIC: &[u8; 8] = b"NRWREC1\n";
const MAJOR: u16 = 1;
const MINOR: u16 = 0;
const LANE_MASKED: u8 = 0;
/// No tree of hashes is kept yet.
const HASH_NONE: u8 = 0;
const FIELDS_AT: usize = 184;
const HEADER_CRC_AT: usize = HEADER_BYTES - 4;
const TRAILER_CRC_AT: usize = TRAILER_BYTES - 4;
const FIELD_NODE_NAME: u16 = 1;
const FIELD_SOFTWARE: u16 = 2;
const FIELD_BYTES_MAX: usize = 256;
const _: () = assert!(SEGMENT_BYTES_MIN < SEGMENT_BYTES_MAX);
const _: () = assert!(FIELDS_AT + 2 * (4 + FIELD_BYTES_MAX) < HEADER_CRC_AT);

#[cfg(test)]
mod tests;
