//! Cuts a byte stream into messages. Knows tags and lengths, not meanings.
//! +-----+--------------+-----------------------+
//! | tag | length (i32) | body: length - 4 bytes |
//! +-----+--------------+-----------------------+
//! A start-up packet has no tag; `startup` reads those.

use crate::limits::MESSAGE_BYTES_MAX;
use crate::wire::Step;
use crate::wire::postgres::message::Malformed;

pub const HEADER_BYTES: usize = 5;
const LENGTH_FIELD_BYTES: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    pub body_bytes: usize,
}

impl Header {
    /// `None` while fewer than `HEADER_BYTES` bytes have come.
    pub fn read(window: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((&[tag, a, b, c, d], _)) = window.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]);
        if !(LENGTH_FIELD_BYTES..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Malformed::Length);
        }
        Ok(Some(Self { tag, body_bytes: (length - LENGTH_FIELD_BYTES) as usize }))
    }

    pub const fn total(self) -> usize {
        HEADER_BYTES + self.body_bytes
    }

    /// The body, or how many bytes it takes to have it.
    pub fn body(self, window: &[u8], bytes_max: usize) -> Result<Body<'_>, Malformed> {
        if self.total() > bytes_max {
            return Err(Malformed::TooLong);
        }
        match window.get(HEADER_BYTES..self.total()) {
            Some(body) => Ok(Body::Whole(body)),
            None => Ok(Body::Need { bytes: self.total() }),
        }
    }

    /// The body's beginning, up to `bytes_max` of the message, and whether that is all of it.
    pub fn beginning(self, window: &[u8], bytes_max: usize) -> Beginning<'_> {
        let end = self.total().min(bytes_max.max(HEADER_BYTES));
        match window.get(HEADER_BYTES..end) {
            Some(body) => Beginning::Part { body, whole: end == self.total() },
            None => Beginning::Need { bytes: end },
        }
    }
}

pub enum Body<'a> {
    Whole(&'a [u8]),
    Need { bytes: usize },
}

pub enum Beginning<'a> {
    Part { body: &'a [u8], whole: bool },
    Need { bytes: usize },
}

/// What to do with the bytes of a message whose beginning has been dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    #[default]
    None,
    Relay(usize),
    Drop(usize),
}

impl Rest {
    pub const fn relay(bytes: usize) -> Self {
        if bytes == 0 { Self::None } else { Self::Relay(bytes) }
    }

    pub const fn discard(bytes: usize) -> Self {
        if bytes == 0 { Self::None } else { Self::Drop(bytes) }
    }

    /// Deals with as much of the rest as has come; `None` at a message boundary.
    pub fn advance(&mut self, unread: &[u8]) -> Option<Step> {
        match *self {
            Self::None => None,
            Self::Relay(_) | Self::Drop(_) if unread.is_empty() => Some(Step::Need { bytes: 1 }),
            Self::Relay(left) => {
                let bytes = left.min(unread.len());
                *self = Self::relay(left - bytes);
                Some(Step::Relay { bytes })
            }
            Self::Drop(left) => {
                let bytes = left.min(unread.len());
                *self = Self::discard(left - bytes);
                Some(Step::Drop { bytes })
            }
        }
    }
}
