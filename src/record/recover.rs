//! Puts a recording directory in order after an unclean stop: finds where each unsealed segment
//! ends, says so in a sidecar, keeps torn bytes beside it, and lists the sessions that were cut off.
//! Never changes a segment.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::hex::hex;
use crate::record::block::{BlockHeader, BlockKind};
use crate::record::disk::write_small;
use crate::record::reader::{Blocks, Ending, ReadError, Segment, Step, segments};
use crate::record::segment::{Damage, HEADER_BYTES, Seal, SealReason};
use crate::record::sync::Loss;
use crate::record::{CarriedSession, SessionStart};

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("a segment cannot be read")]
    Read(#[from] ReadError),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What a RECOVERY block says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// One for each segment that was found unsealed.
    pub seals: Vec<Seal>,
    /// Sessions whose end was written by the recovery.
    pub sessions_ended: u64,
}

/// What the next recorder begins with.
#[derive(Default)]
pub(crate) struct Repaired {
    pub next_seq: u64,
    pub last_segment: Uuid,
    pub last_valid_bytes: u64,
    pub record: Option<RecoveryRecord>,
    pub open_sessions: Vec<CarriedSession>,
}

/// Repairs `dir` and finds the end of the chain of `node`'s segments. The caller holds the lock.
pub(crate) fn repair(dir: &Path, node: Uuid) -> Result<Repaired, RecoverError> {
    let mut repaired = Repaired::default();
    let mut seals = Vec::new();
    let mut last = None;
    let mut chain: Vec<Segment> = Vec::new();
    for path in segments(dir)? {
        match Segment::open(&path) {
            Ok(segment) if segment.header.node == node => chain.push(segment),
            Ok(_) => {}
            // Created, and not yet written when the power went: nothing is lost with it.
            Err(ReadError::Segment { .. }) if is_blank(&path)? => {
                std::fs::remove_file(&path)
                    .map_err(|source| RecoverError::Write { path, source })?;
            }
            Err(error @ ReadError::Segment { .. }) => {
                tracing::error!(%error, "segment header is damaged");
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (position, segment) in chain.iter().enumerate() {
        let header = segment.header.clone();
        let ending = segment.ending()?;
        let claimed = chain
            .get(position + 1)
            .filter(|next| next.header.predecessor == header.segment)
            .map(|next| next.header.predecessor_valid_bytes);
        let (valid_bytes, may_have_open) = match &ending {
            Ending::Sealed(trailer) => (trailer.valid_bytes, trailer.open_sessions > 0),
            Ending::GivenUp(seal) => (seal.valid_bytes, true),
            Ending::Open => {
                let seal = find_end(&segment.path, claimed)?;
                let valid_bytes = seal.valid_bytes;
                write(&Seal::path(&segment.path), &seal.encode())?;
                seals.push(seal);
                (valid_bytes, true)
            }
        };
        repaired.next_seq = header.segment_seq + 1;
        repaired.last_segment = header.segment;
        repaired.last_valid_bytes = valid_bytes;
        last = may_have_open.then_some((segment.path.clone(), valid_bytes));
    }
    if let Some((path, valid_bytes)) = last {
        repaired.open_sessions = open_sessions(&path, valid_bytes)?;
    }
    if !seals.is_empty() || !repaired.open_sessions.is_empty() {
        let sessions_ended = repaired.open_sessions.len() as u64;
        repaired.record = Some(RecoveryRecord { seals, sessions_ended });
    }
    Ok(repaired)
}

/// Scans an unsealed segment for its end. `claimed` is what its successor says, if there is one.
fn find_end(path: &Path, claimed: Option<u64>) -> Result<Seal, RecoverError> {
    let segment = Segment::open(path)?;
    let file_bytes = segment.file_bytes()?;
    let limit = claimed.unwrap_or(file_bytes).min(file_bytes);
    let mut seal = Seal {
        segment: segment.header.segment,
        valid_bytes: HEADER_BYTES as u64,
        blocks: 0,
        reason: if claimed.is_some() { SealReason::WriteFailed } else { SealReason::UncleanStop },
        torn_bytes: 0,
        torn_sha256: String::new(),
        damaged: Vec::new(),
    };
    let mut blocks = Blocks::new(segment, limit);
    let mut next_seq = 0;
    loop {
        let step = blocks.step()?;
        let in_order = match &step {
            Step::Block(block) => block.header.block_seq == next_seq,
            Step::Vacant | Step::Trailer | Step::Bad(_) => false,
        };
        if let (Step::Block(_), true) = (&step, in_order) {
            next_seq = next_seq.saturating_add(1);
            seal.blocks += 1;
            seal.valid_bytes = blocks.at();
            continue;
        }
        // Something else lies here. It is damage if a later block follows, and the tail if not.
        blocks.seek(seal.valid_bytes);
        let at = seal.valid_bytes;
        if !blocks.resync(next_seq)? {
            break;
        }
        seal.damaged.push(Damage { at, bytes: blocks.at() - at });
        next_seq = match blocks.skim()? {
            Some((found, header)) => {
                blocks.seek(found);
                header.block_seq
            }
            None => break,
        };
        seal.valid_bytes = blocks.at();
    }
    if claimed.is_none() {
        keep_torn(blocks.segment(), &mut seal)?;
    }
    Ok(seal)
}

/// Copies what follows the last whole block, up to the last byte that is not zero.
fn keep_torn(segment: &Segment, seal: &mut Seal) -> Result<(), RecoverError> {
    let mut torn = Vec::new();
    let mut part = vec![0; PART_BYTES];
    let mut at = seal.valid_bytes;
    let mut last = 0;
    loop {
        let read = segment.read_at(&mut part, at)?;
        let bytes = part.get(..read).unwrap_or_default();
        if read == 0 {
            break;
        }
        torn.extend_from_slice(bytes);
        if let Some(position) = bytes.iter().rposition(|&byte| byte != 0) {
            last = torn.len() - read + position + 1;
        } else if torn.len() - last > TORN_ZEROS_MAX {
            // A writer leaves no gap this wide between the bytes of one batch.
            torn.truncate(last);
        }
        at += read as u64;
    }
    torn.truncate(last);
    if !torn.is_empty() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &torn);
        seal.torn_sha256 = hex(digest.as_ref());
        seal.torn_bytes = torn.len() as u64;
        write(&segment.path.with_extension("torn"), &torn)?;
    }
    Ok(())
}

/// Sessions that the segment leaves open.
fn open_sessions(path: &Path, valid_bytes: u64) -> Result<Vec<CarriedSession>, RecoverError> {
    let mut blocks = Blocks::new(Segment::open(path)?, valid_bytes);
    let mut open = BTreeMap::new();
    let mut next_seq = 0;
    loop {
        match blocks.step()? {
            Step::Block(mut block) => {
                let header = block.header;
                next_seq = header.block_seq.saturating_add(1);
                if matters(header.kind) {
                    note(&mut open, &header, block.raw().unwrap_or_default());
                } else if header.kind == BlockKind::Data
                    && let Some(session) = open.get_mut(&header.session)
                {
                    session.next_seq = header.session_seq.saturating_add(1);
                }
            }
            Step::Bad(_) => {
                if !blocks.resync(next_seq)? {
                    break;
                }
            }
            Step::Vacant | Step::Trailer => break,
        }
    }
    Ok(open.into_values().collect())
}

const fn matters(kind: BlockKind) -> bool {
    matches!(
        kind,
        BlockKind::SessionStart | BlockKind::SessionEnd | BlockKind::Carried | BlockKind::Loss
    )
}

fn note(open: &mut BTreeMap<Uuid, CarriedSession>, header: &BlockHeader, raw: &[u8]) {
    if header.kind == BlockKind::Carried {
        let carried: Vec<CarriedSession> = serde_json::from_slice(raw).unwrap_or_default();
        open.extend(carried.into_iter().map(|session| (session.session.0, session)));
    } else if header.kind == BlockKind::SessionEnd {
        open.remove(&header.session);
    } else if header.kind == BlockKind::Loss {
        if let (Some(session), Ok(loss)) =
            (open.get_mut(&header.session), serde_json::from_slice::<Loss>(raw))
        {
            session.next_seq = loss.first_session_seq.saturating_add(loss.blocks);
        }
    } else if let Ok(start) = serde_json::from_slice::<SessionStart>(raw) {
        let session = CarriedSession {
            session: start.session,
            next_seq: header.session_seq.saturating_add(1),
            account: start.account,
            target: start.target,
            started_unix_ns: header.base_unix_ns,
        };
        open.insert(header.session, session);
    }
}

fn is_blank(path: &Path) -> Result<bool, RecoverError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let file = std::fs::File::open(path).map_err(io)?;
    io::Read::read_to_end(&mut io::Read::take(file, HEADER_BYTES as u64), &mut head).map_err(io)?;
    Ok(head.iter().all(|&byte| byte == 0))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RecoverError> {
    write_small(path, bytes).map_err(|source| RecoverError::Write { path: path.to_owned(), source })
}

/// Time since the machine started; 0 where the kernel does not say.
pub(super) fn uptime_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let Some((seconds, hundredths)) =
        text.split_whitespace().next().and_then(|first| first.split_once('.'))
    else {
        return 0;
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(seconds) * 1_000_000_000 + number(hundredths) * 10_000_000
}

/// The kernel's name for this run of the machine; nil where it does not say.
pub(super) fn boot_id() -> Uuid {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(Uuid::nil())
}

pub(super) const LOCK_NAME: &str = "recorder.lock";
const PART_BYTES: usize = 1024 * 1024;
const TORN_ZEROS_MAX: usize = 4 * PART_BYTES;

#[cfg(test)]
mod tests;
