//! What a failed recorder remembers: for each session how much is lost, and its start and end, so
//! that the recording can say so when the disk comes back. Bounded; what does not fit is summed up.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::LOSSES_MAX;
use crate::record::block::BlockKind;
use crate::record::sync::{Cut, Loss, Progress};

#[derive(Default)]
pub(super) struct Ledger {
    sessions: HashMap<Uuid, Lost>,
    rest: Rest,
}

/// One session's losses.
pub(super) struct Lost {
    pub progress: Arc<Progress>,
    pub start: Option<Cut>,
    pub loss: Loss,
    pub end: Option<Cut>,
}

/// The sum over sessions that the ledger had no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    pub blocks: u64,
    pub runs: u64,
    pub raw_bytes: u64,
}

/// What became of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// Its loss, or itself, will be written when the disk is back.
    Kept,
    /// Only the sum will.
    Summed,
}

impl Ledger {
    /// Takes a block that cannot be written. Starts and ends are kept; of others, the size.
    pub fn note(&mut self, progress: &Arc<Progress>, cut: Cut) -> Noted {
        let Some(lost) = self.entry(progress) else {
            self.rest.add(&cut);
            return Noted::Summed;
        };
        match cut.kind {
            BlockKind::SessionStart => lost.start = Some(cut),
            BlockKind::SessionEnd => lost.end = Some(cut),
            BlockKind::Data
            | BlockKind::Recovery
            | BlockKind::Loss
            | BlockKind::Clock
            | BlockKind::Index
            | BlockKind::Carried
            | BlockKind::Ignorable(_) => {
                match cut.loss {
                    Some(loss) => lost.loss.merge(loss),
                    None => lost.loss.add(cut.session_seq, cut.run_count, cut.raw.len()),
                }
                lost.progress.return_buffer(cut.raw);
            }
        }
        Noted::Kept
    }

    /// Everything noted, to be written.
    pub fn take(&mut self) -> (Vec<Lost>, Rest) {
        let rest = std::mem::take(&mut self.rest);
        let mut sessions: Vec<_> = std::mem::take(&mut self.sessions).into_values().collect();
        sessions.sort_by_key(|lost| lost.progress.id);
        (sessions, rest)
    }

    pub fn put_back(&mut self, rest: Rest) {
        self.rest.blocks += rest.blocks;
        self.rest.runs += rest.runs;
        self.rest.raw_bytes += rest.raw_bytes;
    }

    fn entry(&mut self, progress: &Arc<Progress>) -> Option<&mut Lost> {
        let id = progress.id.0;
        if !self.sessions.contains_key(&id) && self.sessions.len() >= LOSSES_MAX {
            return None;
        }
        Some(self.sessions.entry(id).or_insert_with(|| Lost {
            progress: Arc::clone(progress),
            start: None,
            loss: Loss::default(),
            end: None,
        }))
    }
}

impl Rest {
    fn add(&mut self, cut: &Cut) {
        let alone = Loss {
            first_session_seq: cut.session_seq,
            blocks: 1,
            runs: u64::from(cut.run_count),
            raw_bytes: cut.raw.len() as u64,
        };
        let loss = cut.loss.unwrap_or(alone);
        self.blocks += loss.blocks;
        self.runs += loss.runs;
        self.raw_bytes += loss.raw_bytes;
    }
}
