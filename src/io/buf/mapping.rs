//! One anonymous mapping of memory. Knows how to get it and give it back.

use std::io;
use std::ptr::NonNull;

/// Zeroed, page-aligned memory that stays where it is until dropped and is not inherited by
/// child processes: a fork must not turn pages that the kernel writes into copies.
#[derive(Debug)]
pub(in crate::io) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    pub(in crate::io) fn new(bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory
        // that anyone else owns; the result is checked before use.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let Some(base) = NonNull::new(address.cast::<u8>()) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let mapping = Self { base, bytes };
        // SAFETY: the range is exactly the mapping made above; the advice changes no content.
        if unsafe { libc::madvise(address, bytes, libc::MADV_DONTFORK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    pub(in crate::io) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(in crate::io) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and bytes are those of the one mmap in `new`; `self` owns the mapping, and
        // whoever handed out pointers into it keeps a count on its owner.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.bytes);
        }
    }
}
