//! Checks recordings: every byte against its checksum, every sequence for gaps, every session for
//! its end. What was changed and what is missing are separate verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use crate::model::hex::hex;
use crate::record::block::{BlockHeader, BlockKind};
use crate::record::index;
use crate::record::ledger::Rest;
use crate::record::reader::{
    Blocks, Ending, Listed, ReadError, Segment, Step, is_segment_path, list,
};
use crate::record::recover::{LOCK_NAME, RecoveryRecord};
use crate::record::run::Runs;
use crate::record::segment::{Seal, TRAILER_BYTES};
use crate::record::sync::Loss;
use crate::record::{CarriedSession, SessionEnd, SessionStart};

/// What verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub segments: u64,
    pub blocks: u64,
    pub sessions: u64,
    pub sessions_open: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    /// A recorder has the directory open, so that its last segment may end anywhere.
    pub live: bool,
    /// What was changed or damaged.
    pub integrity: Vec<Finding>,
    /// What is missing, whether or not the recording says so itself.
    pub completeness: Vec<Finding>,
    /// What is worth knowing and no fault: crashes that were recovered from, clock steps.
    pub notes: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub segment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Uuid>,
    pub what: String,
}

/// Verifies a recording directory, or one segment alone.
pub fn verify(path: &Path) -> Result<Report, ReadError> {
    let mut checker = Checker::default();
    if is_segment_path(path) {
        let directory = path.parent().unwrap_or(Path::new("."));
        let (listed, refused) = list(directory)?;
        for error in refused.iter().filter(|error| error.path().with_extension("nrw") == path) {
            checker.current = name(path);
            checker.broken(None, None, error_text(error));
        }
        for segment in listed.iter().filter(|listed| listed.path == path) {
            checker.segment(segment, Position::Last)?;
        }
        // What a session does after this segment is not to be seen from here.
        checker.report.sessions_open = checker.open.len() as u64;
    } else {
        let (listed, refused) = list(path)?;
        checker.report.live = is_live(path);
        for error in refused {
            checker.current = name(error.path());
            checker.broken(None, None, error_text(&error));
        }
        for (position, segment) in listed.iter().enumerate() {
            let before = position.checked_sub(1).and_then(|before| listed.get(before));
            checker.chain(before, segment);
            let is_last = listed.get(position + 1).is_none_or(|next| !same_writer(next, segment));
            checker.segment(segment, if is_last { Position::Last } else { Position::Earlier })?;
            if is_last {
                checker.end_of_writer();
            }
        }
    }
    Ok(checker.report)
}

#[derive(Default)]
struct Checker {
    report: Report,
    /// Sessions between their start and their end, with the next number each of them must have.
    open: BTreeMap<Uuid, u64>,
    current: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Earlier,
    Last,
}

/// Where a walk through a segment stands.
struct Walk {
    next_block_seq: u64,
    last_at: BTreeMap<Uuid, u64>,
    indexed: u64,
    in_index: u64,
    carried: Carried,
}

/// What a segment says of the sessions that were open when it began, which stands first in it.
enum Carried {
    Reading(BTreeSet<Uuid>),
    Compared,
}

impl Checker {
    fn broken(&mut self, at: Option<u64>, session: Option<Uuid>, what: impl Into<String>) {
        let finding = self.finding(at, session, what.into());
        self.report.integrity.push(finding);
    }

    fn missing(&mut self, at: Option<u64>, session: Option<Uuid>, what: impl Into<String>) {
        let finding = self.finding(at, session, what.into());
        self.report.completeness.push(finding);
    }

    fn note(&mut self, at: Option<u64>, session: Option<Uuid>, what: impl Into<String>) {
        let finding = self.finding(at, session, what.into());
        self.report.notes.push(finding);
    }

    fn finding(&self, at: Option<u64>, session: Option<Uuid>, what: String) -> Finding {
        Finding { segment: self.current.clone(), at, session, what }
    }

    /// A segment must name the one before it, and where that one ends.
    fn chain(&mut self, before: Option<&Listed>, segment: &Listed) {
        self.current = name(&segment.path);
        let header = &segment.header;
        if header.path(Path::new("")).file_name() != segment.path.file_name() {
            self.broken(None, None, "the segment does not belong under this name");
        }
        let Some(before) = before.filter(|before| same_writer(before, segment)) else {
            // Whatever came before may have been removed by retention; only the first has none.
            if !header.predecessor.is_nil() || header.segment_seq != 0 {
                self.missing(
                    None,
                    None,
                    format!(
                        "the first segment here is number {}; those before it are not here",
                        header.segment_seq
                    ),
                );
            }
            return;
        };
        if header.segment_seq != before.header.segment_seq + 1 {
            self.missing(
                None,
                None,
                format!(
                    "segment {} follows {}: those between are not here",
                    header.segment_seq, before.header.segment_seq
                ),
            );
        } else if header.predecessor != before.header.segment {
            self.broken(None, None, "the segment names another predecessor than the one here");
        } else if header.predecessor_valid_bytes != before.limit {
            self.broken(
                None,
                None,
                format!(
                    "the predecessor ends at {}, but ended at {} when this segment began",
                    before.limit, header.predecessor_valid_bytes
                ),
            );
        }
    }

    fn segment(&mut self, listed: &Listed, position: Position) -> Result<(), ReadError> {
        self.current = name(&listed.path);
        self.report.segments += 1;
        let mut blocks = Blocks::new(Segment::open(&listed.path)?, listed.limit);
        let mut walk = Walk {
            next_block_seq: 0,
            last_at: BTreeMap::new(),
            indexed: 0,
            in_index: 0,
            carried: Carried::Reading(BTreeSet::new()),
        };
        let mut looked_again_at = None;
        loop {
            let at = blocks.at();
            if looked_again_at != Some(at) && !blocks.is_block()? {
                if blocks.is_overtaken()? {
                    looked_again_at = Some(at);
                    continue;
                }
                let is_growing = listed.ending == Ending::Open && position == Position::Last;
                if is_growing && self.report.live {
                    break;
                }
            }
            match blocks.step()? {
                Step::Block(mut block) => {
                    let header = block.header;
                    match block.raw() {
                        Ok(raw) => self.block(&mut walk, at, &header, raw),
                        Err(error) => self.broken(Some(at), None, error.to_string()),
                    }
                    continue;
                }
                Step::Vacant if at >= listed.limit => break,
                Step::Vacant if listed.ending == Ending::Open => {
                    if position == Position::Earlier || !blocks.resync(walk.next_block_seq)? {
                        break;
                    }
                    self.broken(Some(at), None, "blocks are missing here, and more follow");
                    continue;
                }
                Step::Trailer if listed.ending == Ending::Open && self.report.live => break,
                Step::Vacant => self.broken(Some(at), None, "zeros where a block should be"),
                Step::Trailer => self.broken(Some(at), None, "a trailer where a block should be"),
                Step::Bad(error) => {
                    let what = error.to_string();
                    if !self.is_tail(&mut blocks, &walk, listed, position)? {
                        self.broken(Some(at), None, what);
                    }
                }
            }
            blocks.seek(at);
            if !blocks.resync(0)? {
                break;
            }
        }
        self.compare_carried(&mut walk);
        self.ending(listed, position, &walk, blocks.at());
        Ok(())
    }

    /// Whether bytes that are no block are merely what a stopped writer left at the end.
    fn is_tail(
        &self,
        blocks: &mut Blocks,
        walk: &Walk,
        listed: &Listed,
        position: Position,
    ) -> Result<bool, ReadError> {
        if listed.ending != Ending::Open || position == Position::Earlier {
            return Ok(false);
        }
        let at = blocks.at();
        // Only a seal shortens a file, so that these are a trailer's bytes.
        if blocks.segment().file_bytes()? == at + TRAILER_BYTES as u64 {
            return Ok(false);
        }
        let more = blocks.resync(walk.next_block_seq)?;
        blocks.seek(at);
        Ok(!more)
    }

    fn block(&mut self, walk: &mut Walk, at: u64, header: &BlockHeader, raw: &[u8]) {
        self.report.blocks += 1;
        self.report.raw_bytes += u64::from(header.raw_bytes);
        self.report.stored_bytes += header.stored_bytes();
        if header.block_seq != walk.next_block_seq {
            let expected = walk.next_block_seq;
            self.broken(
                Some(at),
                None,
                format!("block {} stands where {expected} should", header.block_seq),
            );
        }
        walk.next_block_seq = header.block_seq.saturating_add(1);
        if !header.session.is_nil() {
            walk.indexed += 1;
            let before = walk.last_at.insert(header.session, at);
            let back = before.map_or(0, |before| at - before);
            if header.back_bytes != back {
                let what = "the distance to the session's block before does not fit";
                self.broken(Some(at), Some(header.session), what);
            }
        }
        self.content(walk, at, header, raw);
    }

    fn content(&mut self, walk: &mut Walk, at: u64, header: &BlockHeader, raw: &[u8]) {
        let session = header.session;
        if header.kind != BlockKind::Carried {
            self.compare_carried(walk);
        }
        match header.kind {
            BlockKind::SessionStart => {
                self.parsed::<SessionStart>(at, session, raw);
                self.report.sessions += 1;
                if self.open.insert(session, header.session_seq.saturating_add(1)).is_some() {
                    self.broken(Some(at), Some(session), "the session starts twice");
                }
                if header.session_seq != 0 {
                    self.missing(Some(at), Some(session), "blocks before the start are missing");
                }
            }
            BlockKind::Data => {
                self.sequence(at, header, 1);
                if let Some(error) = Runs::new(raw).find_map(Result::err) {
                    self.broken(Some(at), Some(session), error.to_string());
                }
            }
            BlockKind::SessionEnd => {
                self.parsed::<SessionEnd>(at, session, raw);
                self.sequence(at, header, 1);
                self.open.remove(&session);
            }
            BlockKind::Loss if session.is_nil() => {
                if let Some(rest) = self.parsed::<Rest>(at, session, raw) {
                    self.missing(
                        Some(at),
                        None,
                        format!(
                            "{} blocks ({} bytes) of sessions not named could not be written",
                            rest.blocks, rest.raw_bytes
                        ),
                    );
                }
            }
            BlockKind::Loss => {
                let Some(loss) = self.parsed::<Loss>(at, session, raw) else { return };
                self.sequence(at, header, loss.blocks);
                self.missing(
                    Some(at),
                    Some(session),
                    format!(
                        "{} blocks ({} runs, {} bytes) could not be written",
                        loss.blocks, loss.runs, loss.raw_bytes
                    ),
                );
            }
            BlockKind::Carried => {
                let carried = self.parsed::<Vec<CarriedSession>>(at, session, raw);
                for session in carried.unwrap_or_default() {
                    self.takes_over(walk, at, &session);
                }
            }
            BlockKind::Recovery => self.recovery(at, raw),
            BlockKind::Clock => self.clock(at, raw),
            BlockKind::Index => match index::decode(raw) {
                Ok(entries) => walk.in_index += entries.len() as u64,
                Err(error) => self.broken(Some(at), None, error.to_string()),
            },
            BlockKind::Ignorable(_) => {}
        }
    }

    fn recovery(&mut self, at: u64, raw: &[u8]) {
        if let Some(record) = self.parsed::<RecoveryRecord>(at, Uuid::nil(), raw) {
            let torn = record.seals.iter().map(|seal| seal.torn_bytes);
            self.note(
                Some(at),
                None,
                format!(
                    "recovered from an unclean stop: {} sessions ended, {} torn bytes kept",
                    record.sessions_ended,
                    torn.fold(0, u64::saturating_add)
                ),
            );
        }
    }

    fn clock(&mut self, at: u64, raw: &[u8]) {
        if let Some(step) = self.parsed::<super::ClockStep>(at, Uuid::nil(), raw) {
            self.note(
                Some(at),
                None,
                format!("the wall clock was set by {} ms", step.step_ns / 1_000_000),
            );
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(
        &mut self,
        at: u64,
        session: Uuid,
        raw: &[u8],
    ) -> Option<T> {
        let parsed = serde_json::from_slice(raw);
        if let Err(error) = &parsed {
            let what = format!("a record cannot be read: {error}");
            self.broken(Some(at), (!session.is_nil()).then_some(session), what);
        }
        parsed.ok()
    }

    /// A block takes `count` numbers of its session's sequence.
    fn sequence(&mut self, at: u64, header: &BlockHeader, count: u64) {
        let session = Some(header.session);
        let next = header.session_seq.saturating_add(count);
        match self.open.insert(header.session, next) {
            Some(expected) if expected < header.session_seq => {
                let missing = header.session_seq - expected;
                self.missing(Some(at), session, format!("{missing} blocks are missing before"));
            }
            Some(expected) if expected > header.session_seq => {
                self.broken(Some(at), session, "the session's blocks are out of order");
            }
            Some(_) => {}
            None => self.missing(Some(at), session, "the session's start is missing"),
        }
    }

    fn takes_over(&mut self, walk: &mut Walk, at: u64, carried: &CarriedSession) {
        let id = carried.session.0;
        match &mut walk.carried {
            Carried::Reading(seen) => {
                seen.insert(id);
            }
            Carried::Compared => {
                return self.broken(Some(at), Some(id), "a session is taken over too late");
            }
        }
        match self.open.insert(id, carried.next_seq) {
            Some(expected) if expected < carried.next_seq => {
                let missing = carried.next_seq - expected;
                let what = format!("{missing} blocks are missing before this segment");
                self.missing(Some(at), Some(id), what);
            }
            Some(expected) if expected > carried.next_seq => {
                let what = "the segment before has more of this session than this one knows of";
                self.broken(Some(at), Some(id), what);
            }
            Some(_) | None => {}
        }
    }

    /// A session that was open must have been taken over.
    fn compare_carried(&mut self, walk: &mut Walk) {
        let Carried::Reading(seen) = std::mem::replace(&mut walk.carried, Carried::Compared) else {
            return;
        };
        let vanished: Vec<_> =
            self.open.keys().filter(|session| !seen.contains(session)).copied().collect();
        for session in vanished {
            self.open.remove(&session);
            self.missing(None, Some(session), "the session stops before this segment");
        }
    }

    fn ending(&mut self, listed: &Listed, position: Position, walk: &Walk, end: u64) {
        match &listed.ending {
            Ending::Sealed(trailer) => {
                if trailer.blocks != walk.next_block_seq {
                    self.broken(
                        None,
                        None,
                        format!(
                            "the trailer counts {} blocks, and there are {}",
                            trailer.blocks, walk.next_block_seq
                        ),
                    );
                }
                if walk.in_index != walk.indexed {
                    self.broken(None, None, "the index does not list every block");
                }
                if end != trailer.valid_bytes {
                    self.broken(Some(end), None, "the blocks do not reach the trailer");
                }
            }
            Ending::GivenUp(seal) => {
                for damage in &seal.damaged {
                    self.broken(
                        Some(damage.at),
                        None,
                        format!("{} bytes were found damaged after an unclean stop", damage.bytes),
                    );
                }
                if seal.blocks != walk.next_block_seq && seal.damaged.is_empty() {
                    self.broken(None, None, "the seal counts other blocks than there are");
                }
                if !torn_fits(&listed.path, seal) {
                    self.broken(None, None, "the torn bytes are not those that the seal names");
                }
            }
            Ending::Open if position == Position::Last && self.report.live => {}
            Ending::Open if position == Position::Last => {
                self.missing(
                    None,
                    None,
                    "the segment was not sealed, and no recorder has run since",
                );
            }
            Ending::Open if self.report.live => {
                self.note(None, None, "ends where its successor says");
            }
            Ending::Open => self.broken(None, None, "has neither a trailer nor a seal"),
        }
    }

    /// After a writer's last segment, sessions may be open only while it runs.
    fn end_of_writer(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.report.sessions_open += open.len() as u64;
        if !self.report.live {
            for session in open.into_keys() {
                self.missing(None, Some(session), "the session has no end");
            }
        }
    }
}

fn same_writer(a: &Listed, b: &Listed) -> bool {
    a.header.node == b.header.node && a.header.writer == b.header.writer
}

/// Whether a recorder holds the directory's lock.
fn is_live(dir: &Path) -> bool {
    std::fs::File::open(dir.join(LOCK_NAME))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// An error with its causes on one line.
fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether the bytes kept beside a segment are those that its seal names.
fn torn_fits(path: &Path, seal: &Seal) -> bool {
    if seal.torn_bytes == 0 {
        return true;
    }
    std::fs::read(path.with_extension("torn")).is_ok_and(|torn| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &torn);
        hex(digest.as_ref()) == seal.torn_sha256
    })
}

#[cfg(test)]
mod tests;
