//! A run of bytes, counted: pooled or owned. Knows its length and who shares it.

use std::fmt;
use std::ops::{Bound, Deref, DerefMut, RangeBounds};
use std::rc::Rc;

use bytes::Bytes;

use crate::io::buf::pool::Shared;
use crate::limits::CHUNK_BYTES;

/// Bytes that cannot change. Clones and slices are cheap and share the same memory; a pooled
/// buffer goes back to its pool when the last of them is dropped.
#[derive(Clone)]
pub struct Chunk(Origin);

#[derive(Clone)]
enum Origin {
    Pooled(Pooled),
    Owned(Bytes),
}

/// Invariant: start + len <= CHUNK_BYTES.
struct Pooled {
    shared: Rc<Shared>,
    id: u16,
    start: u32,
    len: u32,
}

/// A whole buffer of the pool that one holder may write.
pub struct ChunkMut {
    shared: Rc<Shared>,
    id: u16,
}

impl Chunk {
    /// The same memory, narrowed. A range that reaches past the end is cut at the end.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        let end = end.min(self.len());
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let start = start.min(end);
        match &self.0 {
            Origin::Owned(bytes) => Self(Origin::Owned(bytes.slice(start..end))),
            Origin::Pooled(pooled) => {
                let mut narrowed = pooled.clone();
                // Both fit: end <= len <= CHUNK_BYTES.
                narrowed.start += start as u32;
                narrowed.len = (end - start) as u32;
                Self(Origin::Pooled(narrowed))
            }
        }
    }

    /// The same bytes without a hold on the pool: copied out if pooled, shared if already owned.
    #[must_use]
    pub fn unpin(&self) -> Self {
        match &self.0 {
            Origin::Owned(bytes) => Self(Origin::Owned(bytes.clone())),
            Origin::Pooled(pooled) => Self(Origin::Owned(Bytes::copy_from_slice(pooled.bytes()))),
        }
    }

    #[must_use]
    pub const fn is_pooled(&self) -> bool {
        matches!(self.0, Origin::Pooled(_))
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Origin::Owned(bytes) => bytes,
            Origin::Pooled(pooled) => pooled.bytes(),
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Origin::Owned(Bytes::from(bytes)))
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self(Origin::Owned(bytes))
    }
}

/// Says how much and whose, never what: chunks carry what peers sent.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.is_pooled() { "pooled" } else { "owned" };
        write!(f, "Chunk({} bytes, {origin})", self.len())
    }
}

impl Pooled {
    fn bytes(&self) -> &[u8] {
        let address = self.shared.address(self.id);
        // SAFETY: start + len <= CHUNK_BYTES keeps the slice in this buffer; the mapping is
        // zeroed, so all of it is initialised; the buffer's count includes `self`, so it is
        // neither lent to the kernel nor held by a `ChunkMut`: nobody writes it.
        unsafe {
            let start = address.as_ptr().add(self.start as usize);
            std::slice::from_raw_parts(start, self.len as usize)
        }
    }
}

impl Clone for Pooled {
    fn clone(&self) -> Self {
        self.shared.share(self.id);
        Self { shared: Rc::clone(&self.shared), id: self.id, start: self.start, len: self.len }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.shared.release(self.id);
    }
}

impl ChunkMut {
    /// The buffer's count must have been set to one for this holder.
    pub(super) const fn new(shared: Rc<Shared>, id: u16) -> Self {
        Self { shared, id }
    }

    /// Ends the writing: the first `len` bytes become a chunk to share.
    #[must_use]
    pub fn freeze(self, len: usize) -> Chunk {
        let shared = Rc::clone(&self.shared);
        let id = self.id;
        // The use that `self` counts for passes on to the chunk.
        shared.share(id);
        drop(self);
        // The minimum fits: CHUNK_BYTES is far below u32::MAX.
        let len = len.min(CHUNK_BYTES) as u32;
        Chunk(Origin::Pooled(Pooled { shared, id, start: 0, len }))
    }
}

impl Deref for ChunkMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as in `deref_mut`.
        unsafe { std::slice::from_raw_parts(self.shared.address(self.id).as_ptr(), CHUNK_BYTES) }
    }
}

impl DerefMut for ChunkMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: the buffer is CHUNK_BYTES of the zeroed mapping, and its count of one is this
        // holder's: `take` and `reclaim` hand out a buffer once, and only `freeze` makes it shared.
        unsafe {
            std::slice::from_raw_parts_mut(self.shared.address(self.id).as_ptr(), CHUNK_BYTES)
        }
    }
}

impl Drop for ChunkMut {
    fn drop(&mut self) {
        self.shared.release(self.id);
    }
}

impl fmt::Debug for ChunkMut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkMut({CHUNK_BYTES} bytes)")
    }
}
