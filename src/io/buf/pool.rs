//! The chunks of one worker: one mapping cut into equal buffers. Knows which buffer is free, lent
//! to the kernel, being written or shared by how many; not what is in it.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::io::buf::chunk::{Chunk, ChunkMut};
use crate::io::buf::mapping::Mapping;
use crate::limits::{CHUNK_BYTES, CHUNKS_FOR_WRITING, CHUNKS_FREE_LOW, CHUNKS_PER_WORKER};

/// A handle on one worker's chunks; clones share them. The memory lives as long as any handle,
/// chunk or driver that uses it.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Rc<Shared>,
}

/// Which buffer of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) struct BufferId(pub(in crate::io) u16);

/// Invariant: a buffer is in exactly one place: in `spare` (use 0), lent to the kernel (`LENT`),
/// or held by one `ChunkMut` or by as many `Chunk`s as its use says.
#[derive(Debug)]
pub(super) struct Shared {
    mapping: Mapping,
    uses: Box<[Cell<u32>]>,
    /// Last in, first out: the warmest buffer is used next.
    spare: RefCell<Vec<u16>>,
    lent: Cell<usize>,
}

impl Pool {
    /// Maps the chunks of one worker.
    pub fn new() -> io::Result<Self> {
        const { assert!(CHUNKS_PER_WORKER <= u16::MAX as usize) };
        let mapping = Mapping::new(CHUNKS_PER_WORKER * CHUNK_BYTES)?;
        let spare = (0..CHUNKS_PER_WORKER as u16).rev().collect();
        let uses = (0..CHUNKS_PER_WORKER).map(|_| Cell::new(0)).collect();
        let shared = Shared { mapping, uses, spare: RefCell::new(spare), lent: Cell::new(0) };
        Ok(Self { shared: Rc::new(shared) })
    }

    /// A chunk to write into, or `None` when all are in use.
    #[must_use]
    pub fn take(&self) -> Option<ChunkMut> {
        let id = self.shared.spare.borrow_mut().pop()?;
        self.shared.set_uses(id, 1);
        Some(ChunkMut::new(Rc::clone(&self.shared), id))
    }

    /// Copies `bytes` into a chunk of the pool while enough are free, else into memory of its own.
    #[must_use]
    pub fn copy_in(&self, bytes: &[u8]) -> Chunk {
        if !self.is_low()
            && let Some(mut chunk) = self.take()
            && let Some(room) = chunk.get_mut(..bytes.len())
        {
            room.copy_from_slice(bytes);
            return chunk.freeze(bytes.len());
        }
        Chunk::from(bytes.to_vec())
    }

    /// Chunks that nobody holds, whether spare or lent to the kernel to receive into.
    #[must_use]
    pub fn free(&self) -> usize {
        self.shared.spare.borrow().len() + self.shared.lent.get()
    }

    /// Fewer than a quarter are free: copy out what stays, and give the chunk back.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.free() < CHUNKS_FREE_LOW
    }

    /// Spare chunks that receiving may use; some stay behind for writers.
    pub(in crate::io) fn receivable(&self) -> usize {
        self.shared.spare.borrow().len().saturating_sub(CHUNKS_FOR_WRITING)
    }

    /// A chunk to receive into.
    pub(in crate::io) fn take_to_receive(&self) -> Option<ChunkMut> {
        if self.receivable() == 0 { None } else { self.take() }
    }

    /// Gives a spare chunk to the kernel, which may write into it from now on.
    pub(in crate::io) fn lend(&self) -> Option<(BufferId, NonNull<u8>)> {
        if self.receivable() == 0 {
            return None;
        }
        let id = self.shared.spare.borrow_mut().pop()?;
        self.shared.set_uses(id, LENT);
        self.shared.lent.set(self.shared.lent.get() + 1);
        Some((BufferId(id), self.shared.address(id)))
    }

    /// Takes back a chunk that the kernel said it is done with. `None` if it was not lent.
    pub(in crate::io) fn reclaim(&self, id: BufferId) -> Option<ChunkMut> {
        let uses = self.shared.uses.get(usize::from(id.0))?;
        if uses.get() != LENT {
            return None;
        }
        uses.set(1);
        self.shared.lent.set(self.shared.lent.get() - 1);
        Some(ChunkMut::new(Rc::clone(&self.shared), id.0))
    }

    pub(in crate::io) fn lent(&self) -> usize {
        self.shared.lent.get()
    }
}

impl Shared {
    /// Where a buffer begins. Every id comes from `spare`, which `Pool::new` fills, so the
    /// address lies `CHUNK_BYTES` or more before the mapping's end.
    pub(super) fn address(&self, id: u16) -> NonNull<u8> {
        let offset = usize::from(id) * CHUNK_BYTES;
        assert!(offset < self.mapping.bytes());
        // SAFETY: the offset is within the mapping, as asserted.
        unsafe { self.mapping.base().add(offset) }
    }

    /// One more `Chunk` shares the buffer.
    pub(super) fn share(&self, id: u16) {
        if let Some(uses) = self.uses.get(usize::from(id)) {
            assert!(uses.get() > 0 && uses.get() < LENT - 1);
            uses.set(uses.get() + 1);
        }
    }

    /// One holder less; the last one makes the buffer spare.
    pub(super) fn release(&self, id: u16) {
        if let Some(uses) = self.uses.get(usize::from(id)) {
            assert!(uses.get() > 0 && uses.get() < LENT);
            uses.set(uses.get() - 1);
            if uses.get() == 0 {
                self.spare.borrow_mut().push(id);
            }
        }
    }

    fn set_uses(&self, id: u16, count: u32) {
        if let Some(uses) = self.uses.get(usize::from(id)) {
            uses.set(count);
        }
    }
}

const LENT: u32 = u32::MAX;
