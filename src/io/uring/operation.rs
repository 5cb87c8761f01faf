//! What a completion belongs to, in the 64 bits that the kernel hands back. Knows the packing.

use crate::io::slots::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Accept(Key),
    Connect(Key),
    Receive(Key),
    Send(Key),
    /// A cancellation's own result, which says nothing that the cancelled operation does not.
    Cancel,
    Wake,
}

impl Operation {
    pub(super) const fn token(self) -> u64 {
        match self {
            Self::Accept(key) => key.pack(ACCEPT),
            Self::Connect(key) => key.pack(CONNECT),
            Self::Receive(key) => key.pack(RECEIVE),
            Self::Send(key) => key.pack(SEND),
            Self::Cancel => (CANCEL as u64) << 56,
            Self::Wake => (WAKE as u64) << 56,
        }
    }

    /// `None` for a token that `token` never made.
    pub(super) const fn from_token(token: u64) -> Option<Self> {
        let (tag, key) = Key::unpack(token);
        Some(match tag {
            ACCEPT => Self::Accept(key),
            CONNECT => Self::Connect(key),
            RECEIVE => Self::Receive(key),
            SEND => Self::Send(key),
            CANCEL => Self::Cancel,
            WAKE => Self::Wake,
            _ => return None,
        })
    }
}

const ACCEPT: u8 = 1;
const CONNECT: u8 = 2;
const RECEIVE: u8 = 3;
const SEND: u8 = 4;
const CANCEL: u8 = 5;
const WAKE: u8 = 6;
