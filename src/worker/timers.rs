//! When sessions are to be looked at: for a deadline, or to cut a recording. Entries are never
//! removed early: one that is no longer true when it comes up is dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::worker::mailbox::Address;

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Address)>>,
}

impl Timers {
    pub(super) fn set(&mut self, due_ns: u64, at: Address) {
        self.heap.push(Reverse((due_ns, at)));
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// The next address whose time has come.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<Address> {
        let Reverse((due, at)) = self.heap.peek().copied()?;
        if due > now_ns {
            return None;
        }
        self.heap.pop();
        Some(at)
    }
}

#[cfg(test)]
mod tests;
