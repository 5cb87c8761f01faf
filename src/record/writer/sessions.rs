//! Which sessions are open, as of the last block that was given a place; what a new segment says of
//! them; and the way back when blocks that had a place were not written after all.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::session::SessionId;
use crate::record::CarriedSession;
use crate::record::block::BlockKind;
use crate::record::sync::{Loss, Progress};

use super::open::Stored;

#[derive(Default)]
pub(super) struct Sessions(HashMap<Uuid, OpenSession>);

struct OpenSession {
    next_seq: u64,
    about: About,
}

enum About {
    Live(Arc<Progress>),
    /// Left open by a recorder before this one.
    Inherited(CarriedSession),
}

impl Sessions {
    pub fn carry(&mut self, session: &CarriedSession) {
        let about = About::Inherited(session.clone());
        self.0.insert(session.session.0, OpenSession { next_seq: session.next_seq, about });
    }

    pub fn apply(
        &mut self,
        id: SessionId,
        progress: Option<&Arc<Progress>>,
        kind: BlockKind,
        session_seq: u64,
        loss: Option<Loss>,
    ) {
        let next_seq = session_seq + loss.map_or(1, |loss| loss.blocks);
        match (kind, progress) {
            (BlockKind::SessionEnd, _) => self.forget(id),
            (BlockKind::SessionStart | BlockKind::Data | BlockKind::Loss, Some(progress)) => {
                self.set(progress, next_seq);
            }
            (
                BlockKind::SessionStart
                | BlockKind::Data
                | BlockKind::Loss
                | BlockKind::Recovery
                | BlockKind::Clock
                | BlockKind::Index
                | BlockKind::Carried
                | BlockKind::Ignorable(_),
                _,
            ) => {}
        }
    }

    /// Undoes what `apply` did for blocks that turned out not to be durable.
    pub fn roll_back<'a>(&mut self, held: impl DoubleEndedIterator<Item = &'a Stored>) {
        for stored in held.rev() {
            let Some(progress) = &stored.progress else { continue };
            match stored.header.kind {
                BlockKind::SessionStart => self.forget(progress.id),
                BlockKind::Data
                | BlockKind::SessionEnd
                | BlockKind::Loss
                | BlockKind::Recovery
                | BlockKind::Clock
                | BlockKind::Index
                | BlockKind::Carried
                | BlockKind::Ignorable(_) => self.set(progress, stored.header.session_seq),
            }
        }
    }

    pub fn forget(&mut self, id: SessionId) {
        self.0.remove(&id.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn wake(&self) {
        for session in self.0.values() {
            match &session.about {
                About::Live(progress) => progress.wake(),
                About::Inherited(_) => {}
            }
        }
    }

    /// The payloads of a new segment's CARRIED blocks.
    pub fn carried(&self) -> Vec<Vec<u8>> {
        let mut sessions: Vec<_> = self
            .0
            .values()
            .map(|session| match &session.about {
                About::Live(progress) => CarriedSession {
                    session: progress.id,
                    next_seq: session.next_seq,
                    account: progress.account.to_string(),
                    target: progress.target.to_string(),
                    started_unix_ns: progress.started_unix_ns,
                },
                About::Inherited(carried) => {
                    CarriedSession { next_seq: session.next_seq, ..carried.clone() }
                }
            })
            .collect();
        sessions.sort_by_key(|session| session.session);
        // Plain text and numbers: rendering cannot fail.
        sessions
            .chunks(CARRIED_A_BLOCK)
            .map(|part| serde_json::to_vec(part).unwrap_or_default())
            .collect()
    }

    fn set(&mut self, progress: &Arc<Progress>, next_seq: u64) {
        let about = About::Live(Arc::clone(progress));
        self.0.entry(progress.id.0).or_insert(OpenSession { next_seq: 0, about }).next_seq =
            next_seq;
    }
}

/// Keeps a block small whatever the names' lengths.
const CARRIED_A_BLOCK: usize = 256;
