//! One block: a 96-byte header and its payload, as stored. Knows bytes and checksums, not files.
//!
//! ```text
//!  0 "NBLK"        4 block_len u32    8 header crc u32  12 payload crc u32
//! 16 type u8  17 flags u8  18 codec u8  19 cipher u8    20 raw_len u32
//! 24 block_seq u64                   32 session id, 16 bytes
//! 48 session_seq u64                 56 base_unix_ns u64
//! 64 span_us u32  68 run_count u32   72 from_bot u32  76 to_bot u32
//! 80 key_id u32   84 dict_id u32     88 back_delta/8 u32  92 reserved u32
//! ```
//! Little endian; `block_len` is header and payload, and zeros pad it to eight bytes. Both checksums
//! are CRC32C that begins with the segment's id, so that a block which a bot wrote into its own
//! traffic, or one from another segment, is not taken for one of this segment's.

use uuid::Uuid;

use crate::limits::BLOCK_RAW_BYTES_MAX;
use crate::record::segment::{u32_at, u64_at, uuid_at};

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockKind {
    Data,
    SessionStart,
    SessionEnd,
    Recovery,
    Loss,
    Clock,
    Index,
    /// The sessions that were open when the segment began.
    Carried,
    /// From a later version that says it may be skipped.
    Ignorable(u8),
}

impl BlockKind {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::SessionStart => 2,
            Self::SessionEnd => 3,
            Self::Recovery => 8,
            Self::Loss => 9,
            Self::Clock => 10,
            Self::Index => 11,
            Self::Carried => 13,
            Self::Ignorable(code) => code,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Data,
            2 => Self::SessionStart,
            3 => Self::SessionEnd,
            8 => Self::Recovery,
            9 => Self::Loss,
            10 => Self::Clock,
            11 => Self::Index,
            13 => Self::Carried,
            128.. => Self::Ignorable(code),
            _ => return None,
        })
    }
}

/// How a payload is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zstd,
}

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Header and payload, without the padding.
    pub block_bytes: u32,
    pub payload_crc: u32,
    pub kind: BlockKind,
    pub codec: Codec,
    pub raw_bytes: u32,
    pub block_seq: u64,
    /// Nil for blocks that belong to no session.
    pub session: Uuid,
    pub session_seq: u64,
    pub base_unix_ns: u64,
    pub span_us: u32,
    pub run_count: u32,
    pub from_bot_bytes: u32,
    pub to_bot_bytes: u32,
    /// Bytes back to this session's previous block in the segment, 0 for its first.
    pub back_bytes: u64,
}

/// Why bytes are not a block of this segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("no block begins here")]
    Magic,
    #[error("the header's checksum does not match")]
    HeaderCrc,
    #[error("the payload's checksum does not match")]
    PayloadCrc,
    #[error("block length {bytes} cannot be")]
    Length { bytes: u32 },
    #[error("raw length {bytes} is over {BLOCK_RAW_BYTES_MAX}")]
    RawLength { bytes: u32 },
    #[error("block type {kind} is unknown")]
    Kind { kind: u8 },
    #[error("codec {codec} with cipher {cipher} is unknown")]
    Codec { codec: u8, cipher: u8 },
    #[error("the payload does not decompress to its stated length")]
    Decompress,
}

impl BlockHeader {
    /// Writes header, payload and padding.
    pub(super) fn encode(&self, segment: Uuid, payload: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.block_bytes.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let codec = match self.codec {
            Codec::Raw => 0,
            Codec::Zstd => 1,
        };
        out.extend_from_slice(&[self.kind.code(), 0, codec, 0]);
        out.extend_from_slice(&self.raw_bytes.to_le_bytes());
        out.extend_from_slice(&self.block_seq.to_le_bytes());
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.session_seq.to_le_bytes());
        out.extend_from_slice(&self.base_unix_ns.to_le_bytes());
        for field in [self.span_us, self.run_count, self.from_bot_bytes, self.to_bot_bytes] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&[0; 8]);
        let back = u32::try_from(self.back_bytes / BLOCK_ALIGN as u64).unwrap_or(0);
        out.extend_from_slice(&back.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let crc = header_crc(segment, out.get(at..).unwrap_or_default());
        if let Some(place) = out.get_mut(at + CRC_AT..at + CRC_AT + 4) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(BLOCK_ALIGN), 0);
    }

    pub(super) fn decode(
        segment: Uuid,
        bytes: &[u8; BLOCK_HEADER_BYTES],
    ) -> Result<Self, BlockError> {
        if !bytes.starts_with(MAGIC) {
            return Err(BlockError::Magic);
        }
        if header_crc(segment, bytes) != u32_at(bytes, CRC_AT) {
            return Err(BlockError::HeaderCrc);
        }
        let block_bytes = u32_at(bytes, 4);
        if block_bytes < BLOCK_HEADER_BYTES as u32 || block_bytes > BLOCK_BYTES_MAX {
            return Err(BlockError::Length { bytes: block_bytes });
        }
        let raw_bytes = u32_at(bytes, 20);
        if raw_bytes > BLOCK_RAW_BYTES_MAX as u32 {
            return Err(BlockError::RawLength { bytes: raw_bytes });
        }
        let [kind, _flags, codec, cipher] = u32_at(bytes, 16).to_le_bytes();
        let codec = match (codec, cipher) {
            (0, 0) => Codec::Raw,
            (1, 0) => Codec::Zstd,
            _ => return Err(BlockError::Codec { codec, cipher }),
        };
        Ok(Self {
            block_bytes,
            payload_crc: u32_at(bytes, 12),
            kind: BlockKind::from_code(kind).ok_or(BlockError::Kind { kind })?,
            codec,
            raw_bytes,
            block_seq: u64_at(bytes, 24),
            session: uuid_at(bytes, 32),
            session_seq: u64_at(bytes, 48),
            base_unix_ns: u64_at(bytes, 56),
            span_us: u32_at(bytes, 64),
            run_count: u32_at(bytes, 68),
            from_bot_bytes: u32_at(bytes, 72),
            to_bot_bytes: u32_at(bytes, 76),
            back_bytes: u64::from(u32_at(bytes, 88)) * BLOCK_ALIGN as u64,
        })
    }

    /// Bytes that the block takes in the file.
    #[must_use]
    pub const fn stored_bytes(&self) -> u64 {
        (self.block_bytes as u64).next_multiple_of(BLOCK_ALIGN as u64)
    }

    #[must_use]
    pub const fn payload_bytes(&self) -> usize {
        self.block_bytes as usize - BLOCK_HEADER_BYTES
    }

    pub(super) fn check_payload(&self, segment: Uuid, payload: &[u8]) -> Result<(), BlockError> {
        if payload_crc(segment, payload) == self.payload_crc {
            Ok(())
        } else {
            Err(BlockError::PayloadCrc)
        }
    }
}

pub(super) fn payload_crc(segment: Uuid, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(seed(segment), payload)
}

/// Of everything in the header but the checksum itself.
fn header_crc(segment: Uuid, header: &[u8]) -> u32 {
    let before = header.get(..CRC_AT).unwrap_or_default();
    let after = header.get(CRC_AT + 4..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c_append(seed(segment), before), after)
}

fn seed(segment: Uuid) -> u32 {
    crc32c::crc32c(segment.as_bytes())
}

pub(super) const MAGIC: &[u8; 4] = b"NBLK";
pub(super) const BLOCK_HEADER_BYTES: usize = 96;
pub(super) const BLOCK_ALIGN: usize = 8;
/// A payload is never larger than its raw bytes: else it is stored raw.
pub(super) const BLOCK_BYTES_MAX: u32 = (BLOCK_HEADER_BYTES + BLOCK_RAW_BYTES_MAX) as u32;
const CRC_AT: usize = 8;
