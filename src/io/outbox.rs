//! What a connection still has to send. Knows order and how far the kernel got, no socket.

use std::collections::VecDeque;

use crate::io::buf::{Chunk, Pool};
use crate::limits::CHUNK_WORTH_PINNING_BYTES;

/// Invariant: head < length of the first chunk (0 if there is none); bytes is what is left in all.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    head: usize,
    bytes: usize,
}

/// When a chunk will be handed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prospect {
    /// In this turn.
    Now,
    /// When the send before it is through, or the connection is there.
    Waits,
}

impl Outbox {
    /// Queues a chunk, or a copy of its bytes: nobody knows how long a stuck reader keeps it, so
    /// the pool gets it back where it is short, or where few bytes would wait in a whole chunk.
    pub(super) fn push(&mut self, chunk: Chunk, pool: &Pool, prospect: Prospect) {
        if chunk.is_empty() {
            return;
        }
        let wasteful = prospect == Prospect::Waits && chunk.len() <= CHUNK_WORTH_PINNING_BYTES;
        self.bytes += chunk.len();
        self.chunks.push_back(if wasteful || pool.is_low() { chunk.unpin() } else { chunk });
    }

    /// The kernel took `sent` bytes: drops the chunks that are through.
    pub(super) fn advance(&mut self, sent: usize) {
        assert!(sent <= self.bytes);
        self.bytes -= sent;
        self.head += sent;
        while let Some(first) = self.chunks.front() {
            if self.head < first.len() {
                break;
            }
            self.head -= first.len();
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.head = 0;
        }
    }

    /// Must not be called while the kernel holds pieces of this.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.head = 0;
        self.bytes = 0;
    }

    /// What is to be sent, in order. Stays in memory until `advance` passes it.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut head = self.head;
        self.chunks.iter().map(move |chunk| {
            let piece = chunk.get(head..).unwrap_or_default();
            head = 0;
            piece
        })
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

#[cfg(test)]
mod tests;
