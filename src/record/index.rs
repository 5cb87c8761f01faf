//! A sealed segment's footer index: where each session's blocks lie. Knows its bytes, not files.
//!
//! ```text
//! a session:  id, 16 bytes | block count u32 | count times { offset/8 u32, base_unix_ns u64, session_seq u64 }
//! ```
//! An INDEX block's raw payload is a series of these. A session may stand in more than one.

use uuid::Uuid;

use crate::limits::{BLOCK_RAW_BYTES, BLOCK_RAW_BYTES_MAX};
use crate::record::block::BLOCK_ALIGN;
use crate::record::segment::{u32_at, u64_at, uuid_at};

/// One block of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub session: Uuid,
    pub at: u64,
    pub base_unix_ns: u64,
    pub session_seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index ends {missing} bytes too early")]
pub struct IndexError {
    missing: usize,
}

/// The raw payloads of the INDEX blocks. Sorts the entries by session and offset.
pub(super) fn encode(entries: &mut [IndexEntry]) -> Vec<Vec<u8>> {
    entries.sort_by_key(|entry| (entry.session, entry.at));
    let mut payloads = Vec::new();
    let mut raw = Vec::new();
    for session in entries.chunk_by(|a, b| a.session == b.session) {
        for part in session.chunks(PART_ENTRIES) {
            if !raw.is_empty() && raw.len() + part_bytes(part.len()) > BLOCK_RAW_BYTES {
                payloads.push(std::mem::take(&mut raw));
            }
            encode_part(part, &mut raw);
        }
    }
    if !raw.is_empty() {
        payloads.push(raw);
    }
    payloads
}

/// The entries of one INDEX block's raw payload.
pub fn decode(mut raw: &[u8]) -> Result<Vec<IndexEntry>, IndexError> {
    let mut entries = Vec::new();
    while !raw.is_empty() {
        let (head, rest) = split(raw, HEAD_BYTES)?;
        let session = uuid_at(head, 0);
        let count = u32_at(head, 16) as usize;
        let (list, rest) = split(rest, count.saturating_mul(ENTRY_BYTES))?;
        entries.extend(list.chunks_exact(ENTRY_BYTES).map(|entry| IndexEntry {
            session,
            at: u64::from(u32_at(entry, 0)) * BLOCK_ALIGN as u64,
            base_unix_ns: u64_at(entry, 4),
            session_seq: u64_at(entry, 12),
        }));
        raw = rest;
    }
    Ok(entries)
}

/// The most that an index of this many entries can take in the file, block headers included.
pub(super) const fn bytes_max(entries: usize, sessions: usize) -> u64 {
    let raw = part_bytes(entries) + (sessions + entries / PART_ENTRIES) * HEAD_BYTES;
    // A payload is closed before it is full, by at most one part.
    let blocks = raw / (BLOCK_RAW_BYTES - part_bytes(PART_ENTRIES)) + 1;
    (raw + blocks * (super::block::BLOCK_HEADER_BYTES + BLOCK_ALIGN)) as u64
}

fn encode_part(part: &[IndexEntry], raw: &mut Vec<u8>) {
    let Some(first) = part.first() else { return };
    raw.extend_from_slice(first.session.as_bytes());
    raw.extend_from_slice(&(part.len() as u32).to_le_bytes());
    for entry in part {
        let place = u32::try_from(entry.at / BLOCK_ALIGN as u64).unwrap_or(u32::MAX);
        raw.extend_from_slice(&place.to_le_bytes());
        raw.extend_from_slice(&entry.base_unix_ns.to_le_bytes());
        raw.extend_from_slice(&entry.session_seq.to_le_bytes());
    }
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), IndexError> {
    bytes.split_at_checked(at).ok_or(IndexError { missing: at.saturating_sub(bytes.len()) })
}

const fn part_bytes(entries: usize) -> usize {
    HEAD_BYTES + entries * ENTRY_BYTES
}

const HEAD_BYTES: usize = 20;
const ENTRY_BYTES: usize = 20;
/// Entries of one session that stand together.
const PART_ENTRIES: usize = 1024;
const _: () = assert!(part_bytes(PART_ENTRIES) < BLOCK_RAW_BYTES);
const _: () = assert!(BLOCK_RAW_BYTES <= BLOCK_RAW_BYTES_MAX);

#[cfg(test)]
mod tests;
