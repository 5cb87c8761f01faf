//! One ring and what stands in line for it. Knows submission, waiting and reaping; operations and
//! connections are the shard's.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, squeue};

use crate::limits::{CHUNK_BYTES, RING_ENTRIES};

pub(in crate::io) struct Ring {
    ring: IoUring,
    /// What did not fit the submission queue, in order.
    backlog: VecDeque<squeue::Entry>,
    /// Completions taken from the kernel and not yet acted on.
    reaped: Vec<cqueue::Entry>,
    gathering: Gathering,
}

/// How many completions a wait hopes for. Under load, a turn for each is a turn too many, and those
/// that submitting brings about at once are worth none. A lone client's small answers hope for
/// nothing: the kernel's timer for it costs more than the turn that it may save. Its bulk does, or
/// each piece of it would be a turn.
struct Gathering {
    /// The kernel can stop hoping after a while (Linux 6.12).
    supported: bool,
    /// Operations in line that nearly always complete while they are submitted.
    at_once: u32,
    /// Bytes that those carry.
    at_once_bytes: usize,
    /// Completions a turn beyond those, over the last turns, in 16ths.
    a_turn_16: u32,
}

impl Gathering {
    fn hoped_for(&self, timeout_ns: Option<u64>) -> u32 {
        if !self.supported || timeout_ns.is_some_and(|ns| ns <= u64::from(GATHERING_US) * 1_000) {
            return 1;
        }
        let lone = self.a_turn_16 < GATHERING_FROM_16;
        if lone && self.at_once_bytes < BULK_BYTES {
            return 1;
        }
        let more = if lone { 1 } else { (self.a_turn_16 * 2 / 16).min(GATHERED_MAX) };
        self.at_once + more
    }

    fn learn(&mut self, reaped: usize, at_once: u32) {
        let reaped = u32::try_from(reaped).unwrap_or(u32::MAX).min(GATHERED_MAX * 4);
        let beyond = reaped.saturating_sub(at_once);
        if beyond == 0 && at_once > 0 {
            // A turn that did not wait says nothing of those that do.
            return;
        }
        self.a_turn_16 = (self.a_turn_16 * 15 + beyond * 16) / 16;
    }
}

impl Ring {
    /// A ring of this thread: no other may submit to it or wait on it.
    pub(in crate::io) fn new(entries: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .dontfork()
            .setup_clamp()
            .setup_submit_all()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(entries * COMPLETIONS_A_SUBMISSION)
            .build(entries)?;
        let supported = ring.params().is_feature_min_timeout();
        Ok(Self {
            ring,
            backlog: VecDeque::new(),
            reaped: Vec::with_capacity(entries as usize),
            gathering: Gathering { supported, at_once: 0, at_once_bytes: 0, a_turn_16: 0 },
        })
    }

    /// Puts an operation in line; `wait` submits it.
    ///
    /// # Safety
    /// All memory that the entry points to stays valid and, where the kernel writes it, unused by
    /// anyone else, until the completion with the entry's user data has been reaped.
    pub(in crate::io) unsafe fn push(&mut self, entry: squeue::Entry) {
        self.backlog.push_back(entry);
        self.fill();
    }

    /// Submits all that is in line and waits for a completion, at most `timeout_ns`.
    pub(in crate::io) fn wait(&mut self, timeout_ns: Option<u64>) -> io::Result<()> {
        self.fill();
        while !self.backlog.is_empty() {
            tolerate(self.ring.submit())?;
            self.reap();
            self.fill();
        }
        let timeout_ns = if self.reaped.is_empty() { timeout_ns } else { Some(0) };
        let hoped_for = self.gathering.hoped_for(timeout_ns);
        let at_once = std::mem::take(&mut self.gathering.at_once);
        self.gathering.at_once_bytes = 0;
        let submitter = self.ring.submitter();
        let timeout = timeout_ns.map(|ns| Timespec::from(Duration::from_nanos(ns)));
        let mut args = SubmitArgs::new();
        if hoped_for > 1 {
            args = args.min_wait_usec(GATHERING_US);
        }
        let result = match &timeout {
            None if hoped_for == 1 => submitter.submit_and_wait(1),
            None => submitter.submit_with_args(hoped_for as usize, &args),
            Some(timeout) => {
                submitter.submit_with_args(hoped_for as usize, &args.timespec(timeout))
            }
        };
        tolerate(result)?;
        self.reap();
        self.gathering.learn(self.reaped.len(), at_once);
        Ok(())
    }

    /// Notes that an operation in line will complete as soon as it is submitted, as a send of
    /// `bytes` does whose peer reads.
    pub(in crate::io) const fn expect_at_once(&mut self, bytes: usize) {
        self.gathering.at_once += 1;
        self.gathering.at_once_bytes = self.gathering.at_once_bytes.saturating_add(bytes);
    }

    /// The completions of the last `wait`; hand the emptied list back with `recycle`.
    pub(in crate::io) fn take_reaped(&mut self) -> Vec<cqueue::Entry> {
        std::mem::take(&mut self.reaped)
    }

    pub(in crate::io) fn recycle(&mut self, mut reaped: Vec<cqueue::Entry>) {
        reaped.clear();
        if self.reaped.is_empty() {
            self.reaped = reaped;
        }
    }

    pub(in crate::io) const fn kernel(&self) -> &IoUring {
        &self.ring
    }

    fn fill(&mut self) {
        let mut queue = self.ring.submission();
        while let Some(entry) = self.backlog.pop_front() {
            // SAFETY: `push` demanded of its caller that the entry's memory stays valid.
            if unsafe { queue.push(&entry) }.is_err() {
                return self.backlog.push_front(entry);
            }
        }
    }

    fn reap(&mut self) {
        self.reaped.extend(self.ring.completion());
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("backlog", &self.backlog.len()).finish_non_exhaustive()
    }
}

/// The timeout, a signal, and a completion queue that wants emptying first are not failures.
fn tolerate(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}

/// How long a wait hopes for more than one completion. A turn costs a tenth of it.
const GATHERING_US: u32 = 50;
/// From two completions a turn on, waiting for more of them pays; below, it would only delay.
const GATHERING_FROM_16: u32 = 2 * 16;
const GATHERED_MAX: u32 = 32;
/// So much to send in one turn is bulk, of which more is on its way.
const BULK_BYTES: usize = CHUNK_BYTES / 4;
/// Multishot accepts and cancelled operations complete in bursts; an overflow costs system calls.
const COMPLETIONS_A_SUBMISSION: u32 = 8;
const _: () = assert!(RING_ENTRIES * COMPLETIONS_A_SUBMISSION <= 65_536);

#[cfg(test)]
mod tests;
