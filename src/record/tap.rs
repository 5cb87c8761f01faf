//! A session's end of the recorder. Appending is a copy into the session's open block; a cut hands
//! the block to the recorder through a bounded queue. Never blocks, reads no clock, and is the only
//! place where a `Recorded` is made.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::limits::{
    BLOCK_RAW_BYTES, CUT_AGE_MS, EXCHANGE_BYTES_MAX, GROUP_WINDOW_MS, RECORDER_QUEUE_BYTES_MAX,
    RUN_BYTES_MAX, SESSION_QUEUE_BYTES_MAX, TAP_BUFFERS_KEPT, TAP_BYTES_SMALL,
};
use crate::model::session::{CloseReason, Exchange, Parameter, Totals};
use crate::model::time::{NS_PER_MS, Now};
use crate::record::block::BlockKind;
use crate::record::run::{self, Flow, Piece, RUN_HEADER_BYTES_MAX, RunKind};
use crate::record::sync::{
    Cut, Loss, Message, Permit, Progress, Queue, RecordFailure, Shared, Urgency,
};
use crate::record::{Durability, OnFailure, SessionEnd, SessionStart};

/// Tells a worker that a session which waited for the recorder can go on.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The proof that bytes have been handed to the recorder. Only a tap makes one.
#[must_use]
#[derive(Debug)]
pub struct Recorded {
    session_seq: u64,
    wait: Wait,
}

/// Whether the mode lets these bytes go on before they are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Never,
    UntilDurable,
}

/// A worker's end of the recorder: opens taps and keeps their buffers. Stays on its thread.
pub struct WorkerLink {
    link: Rc<Link>,
}

struct Link {
    worker_id: u16,
    shared: Arc<Shared>,
    queue: Queue,
    waker: Waker,
    returns: SyncSender<Vec<u8>>,
    returned: Receiver<Vec<u8>>,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    /// Exchange records are rendered here first.
    scratch: Vec<u8>,
}

impl WorkerLink {
    pub(super) fn new(worker_id: u16, shared: Arc<Shared>, queue: Queue, waker: Waker) -> Self {
        let (returns, returned) = sync_channel(2 * TAP_BUFFERS_KEPT);
        let kept = RefCell::new(Kept::default());
        Self { link: Rc::new(Link { worker_id, shared, queue, waker, returns, returned, kept }) }
    }

    /// Begins a session's recording. Its end is reserved in the queue here, so that it always fits.
    pub fn open(&self, now: Now, start: &SessionStart) -> Result<Tap, RecordFailure> {
        let link = Rc::clone(&self.link);
        if link.shared.on_failure == OnFailure::Close
            && let Some(failure) = link.shared.failure()
        {
            return Err(failure);
        }
        let raw = serde_json::to_vec(start).map_err(|_| RecordFailure::Render)?;
        let permit = link.queue.clone().try_reserve_owned().map_err(|_| RecordFailure::Overrun)?;
        let about = (start.account.as_str(), start.target.as_str(), now.unix_ns);
        let waker = Arc::clone(&link.waker);
        let progress = Progress::new(start.session, about, waker, link.returns.clone());
        let mut tap = Tap {
            link,
            progress: Arc::new(progress),
            open: Open::default(),
            next_seq: 0,
            loss: Loss::default(),
            end: Some(permit),
        };
        let cut = Cut::of_record(BlockKind::SessionStart, tap.take_seq(), now.unix_ns, raw);
        tap.send(cut).map_err(|_| RecordFailure::Overrun)?;
        Ok(tap)
    }

    /// How much earlier than it must be a block is cut when others are cut anyway: the recorder
    /// wakes for the first, and takes the rest for little.
    #[must_use]
    pub fn cut_early_ns(&self) -> u64 {
        cut_age_ms(self.link.shared.durability) * NS_PER_MS / 2
    }

    #[must_use]
    pub fn worker_id(&self) -> u16 {
        self.link.worker_id
    }
}

/// A session's recording while it runs. Dropped without `end`, it ends as a defect.
pub struct Tap {
    link: Rc<Link>,
    progress: Arc<Progress>,
    open: Open,
    next_seq: u64,
    /// Blocks that found the queue full although the session was told to wait.
    loss: Loss,
    /// The queue's place for the end; taken when the end is sent.
    end: Option<Permit>,
}

/// The block being filled. Holds no buffer while it has no runs.
struct Open {
    raw: Vec<u8>,
    base: Now,
    last_mono_ns: u64,
    run_count: u32,
    from_bot_bytes: u32,
    to_bot_bytes: u32,
    urgency: Urgency,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            raw: Vec::new(),
            base: Now { unix_ns: 0, mono_ns: 0 },
            last_mono_ns: 0,
            run_count: 0,
            from_bot_bytes: 0,
            to_bot_bytes: 0,
            urgency: Urgency::Gathered,
        }
    }
}

impl Tap {
    /// Records bytes that cross, before they cross.
    pub fn append(
        &mut self,
        kind: RunKind,
        now: Now,
        bytes: &[u8],
    ) -> Result<Recorded, RecordFailure> {
        self.check()?;
        let wait = wait_for(self.link.shared.durability, kind);
        let mut rest = bytes;
        loop {
            let (head, tail) = rest.split_at(rest.len().min(RUN_BYTES_MAX));
            let piece = if tail.is_empty() { Piece::Last } else { Piece::Continued };
            let session_seq = self.put(kind, piece, wait, now, head)?;
            if tail.is_empty() {
                return Ok(Recorded { session_seq, wait });
            }
            rest = tail;
        }
    }

    /// Records what an exchange came to.
    pub fn exchange(&mut self, now: Now, exchange: &Exchange) -> Result<Recorded, RecordFailure> {
        let mut scratch = std::mem::take(&mut self.link.kept.borrow_mut().scratch);
        scratch.clear();
        let rendered = render(exchange, &mut scratch);
        let recorded = rendered.and_then(|()| self.append(RunKind::Exchange, now, &scratch));
        self.link.kept.borrow_mut().scratch = scratch;
        recorded
    }

    /// Hands the open runs to the recorder. With a full queue they stay open, and stay due.
    pub fn cut(&mut self) {
        if self.open.raw.is_empty() {
            return;
        }
        let cut = self.take_open();
        if let Err(cut) = self.send(cut) {
            self.put_back(cut);
        }
    }

    /// The session's last word. `durable` still answers for what was appended before.
    pub fn end(&mut self, now: Now, reason: CloseReason, totals: Totals) {
        self.finish(now.unix_ns, reason, Some(totals));
    }

    /// Whether what `recorded` proves may go on. Cuts the open block if that is what it lies in;
    /// the worker is woken when the answer has changed.
    pub fn durable(&mut self, recorded: &Recorded) -> Result<bool, RecordFailure> {
        if recorded.wait == Wait::Never {
            return Ok(true);
        }
        if recorded.session_seq >= self.next_seq {
            self.cut();
        }
        if self.progress.is_durable(recorded.session_seq) {
            return self.check().map(|()| true);
        }
        self.check()?;
        // A recorder that failed after this look wakes the worker as well.
        Ok(self.link.shared.failure().is_some())
    }

    /// Whether the worker must stop receiving for this session. The worker is woken when that ends.
    #[must_use]
    pub fn congested(&self) -> bool {
        let open = self.open.raw.len();
        if self.link.shared.queued_bytes() >= RECORDER_QUEUE_BYTES_MAX || open > BLOCK_RAW_BYTES {
            self.progress.wish_to_be_woken();
            self.link.shared.press();
            return true;
        }
        self.progress.is_full(open, SESSION_QUEUE_BYTES_MAX)
    }

    /// When the open runs must be cut, on the monotonic clock; `None` while there are none.
    #[must_use]
    pub fn next_cut_ns(&self) -> Option<u64> {
        let age_ns = cut_age_ms(self.link.shared.durability) * NS_PER_MS;
        (!self.open.raw.is_empty()).then(|| self.open.base.mono_ns.saturating_add(age_ns))
    }

    /// Memory that the open block holds.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        self.open.raw.capacity()
    }

    fn put(
        &mut self,
        kind: RunKind,
        piece: Piece,
        wait: Wait,
        now: Now,
        bytes: &[u8],
    ) -> Result<u64, RecordFailure> {
        if self.open.raw.len() >= BLOCK_RAW_BYTES {
            self.cut();
            if !self.open.raw.is_empty() {
                self.overrun()?;
            }
        }
        if self.open.raw.is_empty() {
            self.open.base = now;
            self.open.last_mono_ns = now.mono_ns;
        }
        self.make_room(bytes.len() + RUN_HEADER_BYTES_MAX);
        let open = &mut self.open;
        let dt_us = now.mono_ns.saturating_sub(open.last_mono_ns) / 1_000;
        // Advancing by whole microseconds keeps rounding from adding up.
        open.last_mono_ns += dt_us * 1_000;
        run::encode(&mut open.raw, dt_us, kind, piece, bytes);
        open.run_count += 1;
        if wait == Wait::UntilDurable {
            open.urgency = Urgency::Awaited;
        }
        let bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match kind.flow() {
            Flow::FromBot => open.from_bot_bytes = open.from_bot_bytes.saturating_add(bytes),
            Flow::ToBot => open.to_bot_bytes = open.to_bot_bytes.saturating_add(bytes),
            Flow::ToTarget | Flow::Record => {}
        }
        let session_seq = self.next_seq;
        if self.open.raw.len() >= BLOCK_RAW_BYTES {
            self.cut();
        }
        Ok(session_seq)
    }

    /// The queue has no place for a full block. It is let go only where the mode says so.
    fn overrun(&mut self) -> Result<(), RecordFailure> {
        match self.link.shared.on_failure {
            OnFailure::Close => Err(RecordFailure::Overrun),
            OnFailure::Continue => {
                let cut = self.take_open();
                self.loss.add(cut.session_seq, cut.run_count, cut.raw.len());
                self.link.keep(cut.raw);
                Ok(())
            }
        }
    }

    fn make_room(&mut self, bytes: usize) {
        let raw = &mut self.open.raw;
        if raw.capacity() - raw.len() >= bytes {
            return;
        }
        let wanted = raw.len() + bytes;
        let mut roomy = self.link.buffer(wanted);
        roomy.extend_from_slice(raw);
        let old = std::mem::replace(raw, roomy);
        self.link.keep(old);
    }

    fn take_seq(&mut self) -> u64 {
        let session_seq = self.next_seq;
        self.next_seq += 1;
        session_seq
    }

    fn take_open(&mut self) -> Cut {
        let open = std::mem::take(&mut self.open);
        let span_us = open.last_mono_ns.saturating_sub(open.base.mono_ns) / 1_000;
        Cut {
            kind: BlockKind::Data,
            session_seq: self.take_seq(),
            raw: open.raw,
            base_unix_ns: open.base.unix_ns,
            span_us: u32::try_from(span_us).unwrap_or(u32::MAX),
            run_count: open.run_count,
            from_bot_bytes: open.from_bot_bytes,
            to_bot_bytes: open.to_bot_bytes,
            urgency: open.urgency,
            base_mono_ns: open.base.mono_ns,
            queued_bytes: 0,
            loss: None,
        }
    }

    fn put_back(&mut self, cut: Cut) {
        self.next_seq = cut.session_seq;
        self.open = Open {
            base: Now { unix_ns: cut.base_unix_ns, mono_ns: cut.base_mono_ns },
            last_mono_ns: cut.base_mono_ns + u64::from(cut.span_us) * 1_000,
            raw: cut.raw,
            run_count: cut.run_count,
            from_bot_bytes: cut.from_bot_bytes,
            to_bot_bytes: cut.to_bot_bytes,
            urgency: cut.urgency,
        };
    }

    fn send(&mut self, mut cut: Cut) -> Result<(), Cut> {
        let Ok(place) = self.link.queue.try_reserve() else { return Err(cut) };
        self.count(&mut cut);
        let loss = take_loss(&mut self.loss);
        place.send(Message::Block { session: Arc::clone(&self.progress), loss, cut });
        Ok(())
    }

    fn count(&self, cut: &mut Cut) {
        cut.queued_bytes = cut.raw.len();
        self.progress.queue(cut.queued_bytes);
        self.link.shared.queue(cut.queued_bytes);
    }

    fn finish(&mut self, unix_ns: u64, reason: CloseReason, totals: Option<Totals>) {
        let Some(permit) = self.end.take() else { return };
        let mut data = (!self.open.raw.is_empty()).then(|| self.take_open());
        let record = SessionEnd { reason: reason.code().to_owned(), totals };
        // Two plain fields: this cannot fail, and an empty record would still end the session.
        let raw = serde_json::to_vec(&record).unwrap_or_default();
        let mut end = Cut::of_record(BlockKind::SessionEnd, self.take_seq(), unix_ns, raw);
        data.iter_mut().for_each(|cut| self.count(cut));
        self.count(&mut end);
        let loss = take_loss(&mut self.loss);
        permit.send(Message::End { session: Arc::clone(&self.progress), loss, data, end });
    }

    fn check(&self) -> Result<(), RecordFailure> {
        if self.link.shared.on_failure == OnFailure::Continue {
            return Ok(());
        }
        if self.progress.has_lost() {
            return Err(RecordFailure::Disk);
        }
        self.link.shared.failure().map_or(Ok(()), Err)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let unix_ns = self.open.base.unix_ns.max(self.progress.started_unix_ns);
        self.finish(unix_ns, CloseReason::Defect, None);
    }
}

impl Link {
    fn buffer(&self, bytes: usize) -> Vec<u8> {
        let mut kept = self.kept.borrow_mut();
        while let Ok(buffer) = self.returned.try_recv() {
            kept.keep(buffer);
        }
        let (list, capacity) = if bytes <= TAP_BYTES_SMALL {
            (&mut kept.small, TAP_BYTES_SMALL)
        } else {
            (&mut kept.large, LARGE_BYTES)
        };
        list.pop().unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    fn keep(&self, buffer: Vec<u8>) {
        self.kept.borrow_mut().keep(buffer);
    }
}

impl Kept {
    fn keep(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        let list = match buffer.capacity() {
            TAP_BYTES_SMALL => &mut self.small,
            LARGE_BYTES => &mut self.large,
            _ => return,
        };
        if list.len() < TAP_BUFFERS_KEPT {
            list.push(buffer);
        }
    }
}

/// The age at which an open block must be cut.
const fn cut_age_ms(durability: Durability) -> u64 {
    match durability {
        Durability::Async => CUT_AGE_MS,
        Durability::Group | Durability::Request | Durability::Strict => GROUP_WINDOW_MS / 2,
    }
}

const fn wait_for(durability: Durability, kind: RunKind) -> Wait {
    match (durability, kind) {
        (Durability::Async | Durability::Group, _) | (_, RunKind::Exchange | RunKind::Withheld) => {
            Wait::Never
        }
        (Durability::Request, RunKind::Delivered | RunKind::SaidDownstream) => Wait::Never,
        (Durability::Request, RunKind::Forwarded | RunKind::SaidUpstream)
        | (
            Durability::Strict,
            RunKind::Forwarded
            | RunKind::SaidUpstream
            | RunKind::Delivered
            | RunKind::SaidDownstream,
        ) => Wait::UntilDurable,
    }
}

/// Renders an exchange; one that is too large keeps the beginning of its text, which `text_bytes`
/// shows, and sizes instead of parameters.
fn render(exchange: &Exchange, out: &mut Vec<u8>) -> Result<(), RecordFailure> {
    serde_json::to_writer(&mut *out, exchange).map_err(|_| RecordFailure::Render)?;
    if out.len() <= EXCHANGE_BYTES_MAX {
        return Ok(());
    }
    out.clear();
    serde_json::to_writer(&mut *out, &shortened(exchange)).map_err(|_| RecordFailure::Render)
}

/// `exchange` with the beginning of its text, sizes in place of long parameters, and one size in
/// place of all parameters past the first few thousand.
fn shortened(exchange: &Exchange) -> Exchange {
    let mut short = exchange.clone();
    let text_bytes = short.text.floor_char_boundary(SHORT_TEXT_BYTES);
    short.text.truncate(text_bytes);
    let bytes_of = |parameter: &Parameter| match parameter {
        Parameter::Null => 0,
        Parameter::Text(text) => text.len() as u64,
        Parameter::Binary(hex) => hex.len() as u64 / 2,
        Parameter::Long(bytes) => *bytes,
    };
    let past = short.parameters.iter().skip(SHORT_PARAMETERS).map(bytes_of).sum();
    if short.parameters.len() > SHORT_PARAMETERS {
        short.parameters.truncate(SHORT_PARAMETERS);
        short.parameters.push(Parameter::Long(past));
    }
    for parameter in &mut short.parameters {
        let bytes = bytes_of(parameter);
        if bytes > SHORT_PARAMETER_BYTES {
            *parameter = Parameter::Long(bytes);
        }
    }
    short
}

const SHORT_TEXT_BYTES: usize = EXCHANGE_BYTES_MAX / 8;
const SHORT_PARAMETERS: usize = 4096;
const SHORT_PARAMETER_BYTES: u64 = 64;

fn take_loss(loss: &mut Loss) -> Option<Loss> {
    (loss.blocks > 0).then(|| std::mem::take(loss))
}

const LARGE_BYTES: usize = BLOCK_RAW_BYTES + RUN_BYTES_MAX + RUN_HEADER_BYTES_MAX;
