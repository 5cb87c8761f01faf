//! The ring of buffers that the kernel receives into. Knows which chunks it has lent and publishes
//! them; what comes back is the pool's.
//!
//! +-------------+-----------+----------+---------------------------+
//! | address u64 | bytes u32 | id u16   | unused u16, or in the first |
//! |             |           |          | entry: the ring's tail      |
//! +-------------+-----------+----------+---------------------------+

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::io::buf::{BufferId, Mapping, Pool};
use crate::io::uring::ring::Ring;
use crate::limits::{CHUNK_BYTES, CHUNKS_PER_WORKER, RING_LENT_FIRST};

/// The kernel reads the entries until the ring is gone: whoever owns both drops the ring first.
#[derive(Debug)]
pub(in crate::io) struct Lending {
    entries: Mapping,
    /// Entries written since the beginning, modulo 2^16.
    tail: u16,
    /// How many chunks to keep lent.
    target: usize,
    supply: Supply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Supply {
    Enough,
    /// A receive found no chunk since the last `top_up`.
    Dry,
}

impl Lending {
    /// Registers an empty ring of buffers with `ring` under `GROUP`.
    ///
    /// # Safety
    /// `ring` is dropped before what is returned.
    pub(in crate::io) unsafe fn register(ring: &Ring) -> io::Result<Self> {
        let entries = Mapping::new(CAPACITY * size_of::<BufRingEntry>())?;
        let address = entries.base().as_ptr() as u64;
        // SAFETY: the mapping holds CAPACITY zeroed entries, is page-aligned, and outlives the
        // ring, which the caller of this function keeps.
        unsafe {
            ring.kernel().submitter().register_buf_ring_with_flags(
                address,
                CAPACITY as u16,
                GROUP,
                0,
            )?;
        }
        Ok(Self { entries, tail: 0, target: RING_LENT_FIRST, supply: Supply::Enough })
    }

    /// Lends spare chunks of the pool until `target` are lent, and publishes them at once.
    pub(in crate::io) fn top_up(&mut self, pool: &Pool) {
        if self.supply == Supply::Dry && pool.receivable() > 0 {
            self.target = self.target.saturating_mul(2).min(CAPACITY);
        }
        self.supply = Supply::Enough;
        let before = self.tail;
        while pool.lent() < self.target {
            let Some((id, address)) = pool.lend() else { break };
            self.write(id, address);
        }
        if self.tail != before {
            self.publish();
        }
    }

    /// The kernel found no chunk: lend more from now on, if the pool has more.
    pub(in crate::io) fn ran_dry(&mut self) {
        self.supply = Supply::Dry;
    }

    fn write(&mut self, id: BufferId, address: NonNull<u8>) {
        let slot = usize::from(self.tail) % CAPACITY;
        // SAFETY: slot < CAPACITY, so the entry lies in the mapping and is aligned. The kernel
        // does not read it before `publish`, for at most CAPACITY chunks exist to be lent; the
        // fields are set one by one because the first entry's last two bytes are the tail.
        let entry = unsafe { &mut *self.entries.base().cast::<BufRingEntry>().as_ptr().add(slot) };
        entry.set_addr(address.as_ptr() as u64);
        entry.set_len(CHUNK_BYTES as u32);
        entry.set_bid(id.0);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the mapping begins with the first entry, whose tail field is an aligned u16
        // that kernel and program share; no reference to the entry is alive.
        let tail = unsafe {
            let first = self.entries.base().cast::<BufRingEntry>().as_ptr();
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

/// The buffer group that receives select from.
pub(in crate::io) const GROUP: u16 = 0;
const CAPACITY: usize = CHUNKS_PER_WORKER.next_power_of_two();
const _: () = assert!(CAPACITY <= 32_768);
const _: () = assert!(size_of::<BufRingEntry>() == 16);
