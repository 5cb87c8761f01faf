//! From blocks to what a recording tells: starts, runs, exchanges, ends, and what is missing. Knows
//! which segments to look into; knows no protocol.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::limits::EXCHANGE_BYTES_MAX;
use crate::model::session::{Exchange, SessionId};
use crate::record::block::{BlockError, BlockHeader, BlockKind};
use crate::record::ledger::Rest;
use crate::record::recover::RecoveryRecord;
use crate::record::run::{Piece, RunKind, Runs};
use crate::record::segment::{SEGMENT_EXTENSION, SegmentHeader, Trailer};
use crate::record::sync::Loss;
use crate::record::{CarriedSession, ClockStep, SessionEnd, SessionStart, index};

use super::{Blocks, Ending, ReadError, Segment, Step, segments};

/// One thing that a recording tells.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Nil where it concerns no session.
    pub session: SessionId,
    /// Whose session it is; empty where no start was seen.
    pub account: &'a str,
    pub target: &'a str,
    pub unix_ns: u64,
    pub kind: EntryKind<'a>,
}

#[derive(Debug)]
pub enum EntryKind<'a> {
    Start(Box<SessionStart>),
    /// Bytes that crossed. An exchange record is never one of these.
    Run {
        kind: RunKind,
        bytes: &'a [u8],
    },
    Exchange(Box<Exchange>),
    End(SessionEnd),
    /// This session's blocks that could not be written.
    Lost(Loss),
    /// The same over sessions that are not named.
    LostElsewhere(Rest),
    Recovered(Box<RecoveryRecord>),
    ClockStep(ClockStep),
    /// Bytes of the segment at `at` that cannot be understood.
    Damaged {
        segment: Uuid,
        at: u64,
        error: DamageError,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("a run cannot be read: {0}")]
    Run(#[from] crate::record::run::RunError),
    #[error("a record cannot be read")]
    Record,
}

/// Which sessions a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    Session(SessionId),
}

/// Whether a visitor wants more.
pub type Flow = ControlFlow<()>;

/// Turns blocks into entries, and remembers whose session is whose.
#[derive(Default)]
pub struct EntryReader {
    names: HashMap<Uuid, Names>,
    /// Exchange records of which the end has not been read yet.
    partial: HashMap<Uuid, Vec<u8>>,
}

#[derive(Clone, Default)]
struct Names {
    account: String,
    target: String,
}

/// What a step of reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Read,
    /// Nothing more here, for now.
    Vacant,
    /// Nothing more here, ever.
    Finished,
    /// The visitor has seen enough.
    Enough,
}

impl EntryReader {
    /// Reads one block and shows what is in it.
    pub fn step(
        &mut self,
        blocks: &mut Blocks,
        wanted: Wanted,
        visit: &mut impl FnMut(Entry<'_>) -> Flow,
    ) -> Result<Progress, ReadError> {
        let segment = blocks.segment().header.segment;
        let at = blocks.at();
        let error = match blocks.step()? {
            Step::Vacant => return Ok(Progress::Vacant),
            Step::Trailer => return Ok(Progress::Finished),
            Step::Bad(error) => return Ok(self.damaged(segment, at, error.into(), visit)),
            Step::Block(mut block) => {
                let header = block.header;
                let is_wanted = match wanted {
                    Wanted::All => true,
                    Wanted::Session(id) => {
                        header.session == id.0 || header.kind == BlockKind::Carried
                    }
                };
                if !is_wanted {
                    return Ok(Progress::Read);
                }
                match block.raw() {
                    Ok(raw) => match self.open(&header, raw, visit) {
                        Ok(ControlFlow::Continue(())) => return Ok(Progress::Read),
                        Ok(ControlFlow::Break(())) => return Ok(Progress::Enough),
                        Err(error) => error,
                    },
                    Err(error) => error.into(),
                }
            }
        };
        // The block is passed already: what follows can still be read.
        match self.damaged(segment, at, error, visit) {
            Progress::Enough => Ok(Progress::Enough),
            Progress::Read | Progress::Vacant | Progress::Finished => Ok(Progress::Read),
        }
    }

    fn damaged(
        &self,
        segment: Uuid,
        at: u64,
        error: DamageError,
        visit: &mut impl FnMut(Entry<'_>) -> Flow,
    ) -> Progress {
        let kind = EntryKind::Damaged { segment, at, error };
        let entry = Entry { session: NOBODY, account: "", target: "", unix_ns: 0, kind };
        if visit(entry).is_break() { Progress::Enough } else { Progress::Vacant }
    }

    fn open(
        &mut self,
        header: &BlockHeader,
        raw: &[u8],
        visit: &mut impl FnMut(Entry<'_>) -> Flow,
    ) -> Result<Flow, DamageError> {
        let kind = match header.kind {
            BlockKind::Data => return self.data(header, raw, visit),
            BlockKind::Carried => {
                for session in record::<Vec<CarriedSession>>(raw)? {
                    let names = Names { account: session.account, target: session.target };
                    self.names.insert(session.session.0, names);
                }
                return Ok(ControlFlow::Continue(()));
            }
            BlockKind::Index | BlockKind::Ignorable(_) => return Ok(ControlFlow::Continue(())),
            BlockKind::SessionStart => {
                let start = record::<SessionStart>(raw)?;
                let names = Names { account: start.account.clone(), target: start.target.clone() };
                self.names.insert(header.session, names);
                EntryKind::Start(Box::new(start))
            }
            BlockKind::SessionEnd => EntryKind::End(record(raw)?),
            BlockKind::Loss if header.session.is_nil() => EntryKind::LostElsewhere(record(raw)?),
            BlockKind::Loss => EntryKind::Lost(record(raw)?),
            BlockKind::Recovery => EntryKind::Recovered(Box::new(record(raw)?)),
            BlockKind::Clock => EntryKind::ClockStep(record(raw)?),
        };
        let ended = matches!(kind, EntryKind::End(_));
        let flow = visit(self.entry(header.session, header.base_unix_ns, kind));
        if ended {
            self.names.remove(&header.session);
            self.partial.remove(&header.session);
        }
        Ok(flow)
    }

    fn data(
        &mut self,
        header: &BlockHeader,
        raw: &[u8],
        visit: &mut impl FnMut(Entry<'_>) -> Flow,
    ) -> Result<Flow, DamageError> {
        for run in Runs::new(raw) {
            let run = run?;
            let unix_ns = header.base_unix_ns.saturating_add(run.at_us.saturating_mul(1_000));
            let kind = if run.kind == RunKind::Exchange {
                let Some(exchange) = self.join(header.session, run.piece, run.bytes)? else {
                    continue;
                };
                EntryKind::Exchange(Box::new(exchange))
            } else {
                EntryKind::Run { kind: run.kind, bytes: run.bytes }
            };
            if visit(self.entry(header.session, unix_ns, kind)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The exchange that these bytes complete, if they do.
    fn join(
        &mut self,
        session: Uuid,
        piece: Piece,
        bytes: &[u8],
    ) -> Result<Option<Exchange>, DamageError> {
        if piece == Piece::Last && !self.partial.contains_key(&session) {
            return record(bytes).map(Some);
        }
        let whole = self.partial.entry(session).or_default();
        whole.extend_from_slice(bytes);
        if piece == Piece::Continued {
            if whole.len() > JOINED_BYTES_MAX {
                self.partial.remove(&session);
                return Err(DamageError::Record);
            }
            return Ok(None);
        }
        let whole = self.partial.remove(&session).unwrap_or_default();
        record(&whole).map(Some)
    }

    fn entry<'a>(&'a self, session: Uuid, unix_ns: u64, kind: EntryKind<'a>) -> Entry<'a> {
        let (account, target) = self
            .names
            .get(&session)
            .map_or(("", ""), |names| (names.account.as_str(), names.target.as_str()));
        Entry { session: SessionId(session), account, target, unix_ns, kind }
    }
}

/// A segment in its place among the others.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: PathBuf,
    pub header: SegmentHeader,
    /// Where its blocks end; a live segment's limit is the end of its file.
    pub limit: u64,
    pub ending: Ending,
    /// When the next segment of the same writer was begun.
    pub until_unix_ns: Option<u64>,
}

/// The readable segments below `dir` in order, and those that are not. What a successor says about
/// a segment's end counts where the segment itself does not say it.
pub fn list(dir: &Path) -> Result<(Vec<Listed>, Vec<ReadError>), ReadError> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut refused = Vec::new();
    for path in segments(dir)? {
        let segment = match Segment::open(&path) {
            Ok(segment) => segment,
            Err(error @ ReadError::Segment { .. }) => {
                refused.push(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let ending = match segment.ending() {
            Ok(ending) => ending,
            Err(error @ ReadError::Segment { .. }) => {
                refused.push(error);
                Ending::Open
            }
            Err(error) => return Err(error),
        };
        let limit = match &ending {
            Ending::Sealed(trailer) => trailer.valid_bytes,
            Ending::GivenUp(seal) => seal.valid_bytes,
            Ending::Open => segment.file_bytes()?,
        };
        if let Some(before) = listed.last_mut()
            && before.header.node == segment.header.node
            && before.header.writer == segment.header.writer
        {
            before.until_unix_ns = Some(segment.header.created_unix_ns);
            if before.ending == Ending::Open && segment.header.predecessor == before.header.segment
            {
                before.limit = before.limit.min(segment.header.predecessor_valid_bytes);
            }
        }
        let header = segment.header;
        listed.push(Listed { path, header, limit, ending, until_unix_ns: None });
    }
    Ok((listed, refused))
}

/// Shows everything that is wanted, in the order in which it was written.
pub fn read(
    dir: &Path,
    wanted: Wanted,
    visit: &mut impl FnMut(Entry<'_>) -> Flow,
) -> Result<(), ReadError> {
    let (listed, _) = list(dir)?;
    let mut reader = EntryReader::default();
    for segment in &listed {
        if is_before(segment, wanted) {
            continue;
        }
        if read_one(&mut reader, segment, wanted, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Shows what one segment has.
pub fn read_one(
    reader: &mut EntryReader,
    segment: &Listed,
    wanted: Wanted,
    visit: &mut impl FnMut(Entry<'_>) -> Flow,
) -> Result<Flow, ReadError> {
    let mut blocks = Blocks::new(Segment::open(&segment.path)?, segment.limit);
    if let (Wanted::Session(id), Ending::Sealed(trailer)) = (wanted, &segment.ending)
        && let Some(places) = places(&mut blocks, trailer, id)?
    {
        for place in places {
            blocks.seek(place);
            if reader.step(&mut blocks, wanted, visit)? == Progress::Enough {
                return Ok(ControlFlow::Break(()));
            }
        }
        return Ok(ControlFlow::Continue(()));
    }
    let mut looked_again_at = None;
    loop {
        let at = blocks.at();
        if looked_again_at != Some(at) && !blocks.is_block()? {
            if blocks.is_overtaken()? {
                looked_again_at = Some(at);
                continue;
            }
            if segment.ending == Ending::Open {
                // A torn tail, or a block that is being written.
                return Ok(ControlFlow::Continue(()));
            }
        }
        match reader.step(&mut blocks, wanted, visit)? {
            Progress::Read => {}
            Progress::Enough => return Ok(ControlFlow::Break(())),
            Progress::Finished => return Ok(ControlFlow::Continue(())),
            Progress::Vacant => {
                blocks.seek(at);
                if !blocks.resync(0)? {
                    return Ok(ControlFlow::Continue(()));
                }
            }
        }
    }
}

/// Where a session's blocks lie, by the footer index; `None` if that cannot be read.
fn places(
    blocks: &mut Blocks,
    trailer: &Trailer,
    id: SessionId,
) -> Result<Option<Vec<u64>>, ReadError> {
    let start = blocks.at();
    blocks.seek(trailer.index_at);
    let mut found = Vec::new();
    while blocks.at() < trailer.index_at + trailer.index_bytes {
        let Step::Block(mut block) = blocks.step()? else {
            blocks.seek(start);
            return Ok(None);
        };
        let Ok(Ok(entries)) = block.raw().map(index::decode) else {
            blocks.seek(start);
            return Ok(None);
        };
        found.extend(entries.iter().filter(|entry| entry.session == id.0).map(|entry| entry.at));
    }
    found.sort_unstable();
    Ok(Some(found))
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no session in {} has an id that begins or ends with {wanted}", dir.display())]
    Unknown { wanted: String, dir: PathBuf },
    #[error("{wanted} fits {} sessions, such as {first} and {second}", count)]
    Ambiguous { wanted: String, count: usize, first: SessionId, second: SessionId },
}

/// The session whose id begins, or ends, with `wanted`.
pub fn find_session(dir: &Path, wanted: &str) -> Result<SessionId, FindError> {
    let wanted = wanted.to_ascii_lowercase();
    let fits = |id: &Uuid| {
        let text = id.as_hyphenated().to_string();
        text.starts_with(&wanted) || text.ends_with(&wanted)
    };
    let mut found: Vec<SessionId> = Vec::new();
    for listed in list(dir)?.0 {
        let mut blocks = Blocks::new(Segment::open(&listed.path)?, listed.limit);
        loop {
            match blocks.skim()? {
                Some((_, header)) => {
                    let id = SessionId(header.session);
                    if !header.session.is_nil() && fits(&header.session) && !found.contains(&id) {
                        found.push(id);
                    }
                }
                None => {
                    if !blocks.resync(0)? {
                        break;
                    }
                }
            }
        }
    }
    let count = found.len();
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(FindError::Unknown { wanted, dir: dir.to_owned() }),
        [first, second, ..] => {
            Err(FindError::Ambiguous { wanted, count, first: *first, second: *second })
        }
    }
}

/// Whether everything in a segment is older than the wanted session, whose id tells its start.
fn is_before(segment: &Listed, wanted: Wanted) -> bool {
    let Wanted::Session(id) = wanted else { return false };
    let (Some(until), Some(start)) = (segment.until_unix_ns, id.0.get_timestamp()) else {
        return false;
    };
    let (seconds, _) = start.to_unix();
    until / 1_000_000_000 + CLOCK_SLACK_S < seconds
}

fn record<T: serde::de::DeserializeOwned>(raw: &[u8]) -> Result<T, DamageError> {
    serde_json::from_slice(raw).map_err(|_| DamageError::Record)
}

/// Whether a path names a segment rather than a directory of them.
#[must_use]
pub fn is_segment_path(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION)
}

const NOBODY: SessionId = SessionId(Uuid::nil());
/// An exchange record is written below `EXCHANGE_BYTES_MAX`, but for its parameters' sizes.
const JOINED_BYTES_MAX: usize = 8 * EXCHANGE_BYTES_MAX;
/// A wall clock that was set back by less than this hides no session.
const CLOCK_SLACK_S: u64 = 3600;
