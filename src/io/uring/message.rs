//! The gather list of one send, at an address that stays. Knows pointers and lengths.

use crate::io::outbox::Outbox;
use crate::limits::SEND_PIECES_MAX;

/// Boxed by its connection: the kernel is given its address.
#[derive(Debug)]
pub(super) struct Message {
    header: libc::msghdr,
    pieces: [libc::iovec; SEND_PIECES_MAX],
}

impl Message {
    pub(super) fn boxed() -> Box<Self> {
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: a msghdr is integers and pointers, for which zero is a value.
        let header = unsafe { std::mem::zeroed::<libc::msghdr>() };
        Box::new(Self { header, pieces: [empty; SEND_PIECES_MAX] })
    }

    /// Points at what the outbox holds. The result is good while the box and the chunks live.
    pub(super) fn gather(&mut self, outbox: &Outbox) -> *const libc::msghdr {
        let mut count = 0;
        for (slot, piece) in self.pieces.iter_mut().zip(outbox.pieces()) {
            // The kernel only reads through the pointer when sending.
            slot.iov_base = piece.as_ptr().cast_mut().cast();
            slot.iov_len = piece.len();
            count += 1;
        }
        self.header.msg_iov = self.pieces.as_mut_ptr();
        self.header.msg_iovlen = count;
        &raw const self.header
    }
}
