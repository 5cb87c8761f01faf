//! What the recorder does when the disk fails: gives the segment up where it was durable, writes what
//! it still holds to another, and if that fails as well keeps a ledger until it can record again.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::RECORDER_RETRY_MS;
use crate::model::session::SessionId;
use crate::record::block::{self, BlockKind};
use crate::record::disk;
use crate::record::ledger::{Ledger, Lost, Noted};
use crate::record::segment::{Seal, SealReason};
use crate::record::sync::{Cut, Outcome, Progress, Urgency};

use super::open::{Batch, OpenSegment, Packed, Stored, is_of_segment};
use super::{Previous, State, Synced, Writer, unix_ns, write};

impl Writer {
    /// A block that cannot be written, taken off the queue and onto the ledger.
    pub(super) fn lose(&mut self, progress: Option<&Arc<Progress>>, mut cut: Cut) {
        let (State::Failed { ledger, .. }, Some(progress)) = (&mut self.state, progress) else {
            return;
        };
        let queued = std::mem::take(&mut cut.queued_bytes);
        let (session_seq, kind) = (cut.session_seq, cut.kind);
        if kind == BlockKind::Data {
            self.shared.count_loss(1, cut.raw.len() as u64);
        }
        if ledger.note(progress, cut) == Noted::Summed && kind == BlockKind::SessionEnd {
            self.sessions.forget(progress.id);
        }
        progress.release(session_seq, queued, Outcome::Lost);
        self.shared.release(queued);
        progress.wake();
    }

    /// A write or sync failed. The page cache may have dropped what was not synced, so the segment
    /// ends where it was durable, and what is still held is written to a new one.
    pub(super) async fn fail_over(&mut self, error: &io::Error) {
        let retry = Instant::now();
        let failed = State::Failed { retry_at: retry, ledger: Ledger::default() };
        let State::Open(mut segment) = std::mem::replace(&mut self.state, failed) else { return };
        tracing::error!(%error, segment = %segment.path.display(), "segment given up");
        give_up(&segment);
        self.previous = Previous {
            segment: segment.header.segment,
            valid_bytes: segment.durable_bytes,
            next_seq: segment.header.segment_seq + 1,
        };
        let mut held = std::mem::take(&mut segment.unsynced);
        held.push(segment.take_batch(Vec::new()));
        self.sessions.roll_back(held.iter().flat_map(|batch| &batch.blocks));
        let mut fresh = match self.create() {
            Ok(fresh) => fresh,
            Err(error) => return self.fail(&error, held),
        };
        for batch in &held {
            for stored in batch.blocks.iter().filter(|stored| !is_of_segment(stored.header.kind)) {
                self.move_block(&mut fresh, batch, stored);
            }
        }
        let batch = fresh.take_batch(Vec::new());
        let done = write(Rc::clone(&fresh.file), batch, Synced::Yes).await;
        fresh.unsynced.push(done.batch);
        match done.result {
            Ok(()) => {
                let settled = fresh.settle();
                self.state = State::Open(Box::new(fresh));
                self.publish(settled);
            }
            Err(error) => {
                give_up(&fresh);
                self.previous = Previous {
                    segment: fresh.header.segment,
                    valid_bytes: fresh.durable_bytes,
                    next_seq: fresh.header.segment_seq + 1,
                };
                self.sessions.roll_back(fresh.unsynced.iter().flat_map(|batch| &batch.blocks));
                self.fail(&error, fresh.unsynced);
            }
        }
    }

    /// Gives a stored block a place in another segment. Held blocks are a few megabytes at most, and
    /// a segment is larger, so that they fit.
    fn move_block(&mut self, to: &mut OpenSegment, batch: &Batch, stored: &Stored) {
        let payload = batch.payload(stored);
        let mut header = stored.header;
        header.payload_crc = block::payload_crc(to.header.segment, payload);
        let progress = stored.progress.clone();
        self.sessions.apply(
            SessionId(header.session),
            progress.as_ref(),
            header.kind,
            header.session_seq,
            stored.loss,
        );
        let packed = Packed {
            progress,
            header,
            payload,
            urgency: Urgency::Awaited,
            queued_bytes: stored.queued_bytes,
            loss: stored.loss,
        };
        to.push(packed, Instant::now());
    }

    /// Nothing can be written. What is held is lost; the ledger remembers how much it was.
    pub(super) fn fail(&mut self, error: &io::Error, held: Vec<Batch>) {
        tracing::error!(%error, "recording failed");
        self.shared.fail(error.to_string());
        let retry_at = Instant::now() + Duration::from_millis(RECORDER_RETRY_MS);
        let ledger = match &mut self.state {
            State::Failed { ledger, .. } => std::mem::take(ledger),
            State::Open(_) => Ledger::default(),
        };
        self.state = State::Failed { retry_at, ledger };
        for batch in &held {
            for stored in &batch.blocks {
                self.lose(stored.progress.as_ref(), batch.unpack(stored));
            }
        }
        self.sessions.wake();
    }

    /// Tries to record again: a new segment that says first what is missing.
    pub(super) async fn restore(&mut self) {
        let segment = match self.create() {
            Ok(segment) => segment,
            Err(error) => {
                tracing::debug!(%error, "still cannot record");
                if let State::Failed { retry_at, .. } = &mut self.state {
                    *retry_at = Instant::now() + Duration::from_millis(RECORDER_RETRY_MS);
                }
                return;
            }
        };
        let opened = State::Open(Box::new(segment));
        let State::Failed { mut ledger, .. } = std::mem::replace(&mut self.state, opened) else {
            return;
        };
        let (sessions, rest) = ledger.take();
        for Lost { progress, start, loss, end } in sessions {
            let lost = (loss.blocks > 0).then(|| Cut::of_loss(loss, unix_ns()));
            for cut in [start, lost, end].into_iter().flatten() {
                self.store_for(progress.id, Some(&progress), cut).await;
            }
        }
        if rest.blocks > 0 {
            let raw = serde_json::to_vec(&rest).unwrap_or_default();
            self.store(Cut::of_record(BlockKind::Loss, 0, unix_ns(), raw)).await;
        }
        drop(self.flush().await);
        match &mut self.state {
            // The sum belongs to no session, so that it did not find its own way back.
            State::Failed { ledger, .. } => ledger.put_back(rest),
            State::Open(_) => {
                tracing::info!("recording again");
                self.shared.restore();
                self.sessions.wake();
            }
        }
    }
}

/// Says beside a segment that it ends where it was durable.
pub(super) fn give_up(segment: &OpenSegment) {
    let seal = Seal {
        segment: segment.header.segment,
        valid_bytes: segment.durable_bytes,
        blocks: segment.durable_blocks,
        reason: SealReason::WriteFailed,
        torn_bytes: 0,
        torn_sha256: String::new(),
        damaged: Vec::new(),
    };
    if segment.durable_bytes == 0 {
        // Not even its header is known to be there: nothing refers to it.
        drop(std::fs::remove_file(&segment.path));
    } else if let Err(error) = disk::write_small(&Seal::path(&segment.path), &seal.encode()) {
        // The next segment's predecessor fields say the same.
        tracing::warn!(%error, segment = %segment.path.display(), "segment has no seal");
    }
}
