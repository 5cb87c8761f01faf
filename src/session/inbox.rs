//! The unread bytes of one leg, offered to the machine as one slice.
//!
//! Received chunks pass through untouched as long as messages end where chunks end or the machine
//! can stream what is cut; only a remainder that must be seen whole is assembled in `head`.

use crate::io::buf::Chunk;

#[derive(Default)]
pub(super) struct Inbox {
    /// The beginning of a message that did not fit its chunk. Empty, or all there is unread.
    head: Vec<u8>,
    /// Unread only while `head` is empty.
    chunk: Option<Chunk>,
    /// The machine wants nothing from this leg until something else has happened.
    waiting: bool,
}

impl Inbox {
    pub(super) fn push(&mut self, chunk: Chunk) {
        match self.chunk.take() {
            None if self.head.is_empty() => self.chunk = Some(chunk),
            None => self.head.extend_from_slice(&chunk),
            Some(rest) => {
                self.head.extend_from_slice(&rest);
                self.head.extend_from_slice(&chunk);
            }
        }
    }

    /// Takes the first `bytes` unread bytes; fewer if there are fewer.
    pub(super) fn take(&mut self, bytes: usize) -> Chunk {
        if let Some(chunk) = self.chunk.take() {
            let cut = bytes.min(chunk.len());
            if cut < chunk.len() {
                self.chunk = Some(chunk.slice(cut..chunk.len()));
                return chunk.slice(0..cut);
            }
            return chunk;
        }
        if bytes >= self.head.len() {
            return Chunk::from(std::mem::take(&mut self.head));
        }
        let rest = self.head.split_off(bytes);
        Chunk::from(std::mem::replace(&mut self.head, rest))
    }

    /// The machine needs `bytes` bytes in all: keeps what is here out of the buffer pool.
    pub(super) fn assemble(&mut self, bytes: usize) {
        self.waiting = false;
        if let Some(chunk) = self.chunk.take() {
            // Room for the whole message only as it arrives: a length is a claim, not yet bytes.
            self.head.reserve(bytes.min(chunk.len().saturating_mul(2)));
            self.head.extend_from_slice(&chunk);
        }
    }

    pub(super) fn wait(&mut self) {
        self.assemble(0);
        self.waiting = true;
    }

    pub(super) fn resume(&mut self) {
        self.waiting = false;
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.chunk.as_deref().unwrap_or(&self.head)
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting
    }
}
