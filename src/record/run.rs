//! Runs: what a DATA block is made of. Knows their bytes and kinds, not what they mean.
//!
//! ```text
//! +---------------+------+-------------+-----------+
//! | dt_us varint  | kind | len varint  | len bytes |
//! +---------------+------+-------------+-----------+
//! ```
//! `dt_us` counts from the run before; the first counts from the block's base time. Bit 7 of `kind`
//! says that the next run of the same kind continues this one.

use crate::limits::{BLOCK_RAW_BYTES_MAX, RUN_BYTES_MAX};

/// What a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// From the bot, passed on to the target unchanged.
    Forwarded,
    /// To the bot, as delivered to it.
    Delivered,
    /// An exchange record, JSON.
    Exchange,
    /// Said to the target by the gateway, such as what takes a refused command's place.
    SaidUpstream,
    /// Said to the bot by the gateway, such as a refusal.
    SaidDownstream,
    /// From the bot, and never passed on.
    Withheld,
}

impl RunKind {
    pub const fn code(self) -> u8 {
        match self {
            Self::Forwarded => 0,
            Self::Delivered => 1,
            Self::Exchange => 5,
            Self::SaidUpstream => 9,
            Self::SaidDownstream => 10,
            Self::Withheld => 11,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Forwarded,
            1 => Self::Delivered,
            5 => Self::Exchange,
            9 => Self::SaidUpstream,
            10 => Self::SaidDownstream,
            11 => Self::Withheld,
            _ => return None,
        })
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Delivered => "delivered",
            Self::Exchange => "exchange",
            Self::SaidUpstream => "said_upstream",
            Self::SaidDownstream => "said_downstream",
            Self::Withheld => "withheld",
        }
    }

    /// Whose bytes these are.
    #[must_use]
    pub const fn flow(self) -> Flow {
        match self {
            Self::Forwarded | Self::Withheld => Flow::FromBot,
            Self::Delivered | Self::SaidDownstream => Flow::ToBot,
            Self::SaidUpstream => Flow::ToTarget,
            Self::Exchange => Flow::Record,
        }
    }
}

/// The direction in which a run's bytes crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    FromBot,
    ToBot,
    ToTarget,
    /// Crossed nothing: a record about an exchange.
    Record,
}

/// Whether the next run of the same kind belongs to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Last,
    Continued,
}

/// One decoded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Microseconds since the block's base time.
    pub at_us: u64,
    pub kind: RunKind,
    pub piece: Piece,
    pub bytes: &'a [u8],
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("run is cut off {missing} bytes before its end")]
    CutOff { missing: usize },
    #[error("run kind {kind} is unknown")]
    UnknownKind { kind: u8 },
    #[error("run of {bytes} bytes is over {RUN_BYTES_MAX}")]
    TooLong { bytes: u64 },
    #[error("number is longer than ten bytes")]
    NumberTooLong,
}

/// Appends one run to `out`. `bytes` fits into a run.
pub fn encode(out: &mut Vec<u8>, dt_us: u64, kind: RunKind, piece: Piece, bytes: &[u8]) {
    push_varint(out, dt_us);
    out.push(match piece {
        Piece::Last => kind.code(),
        Piece::Continued => kind.code() | CONTINUED,
    });
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The runs of a DATA block's raw payload. Ends after the first error.
pub struct Runs<'a> {
    rest: &'a [u8],
    at_us: u64,
}

impl<'a> Runs<'a> {
    #[must_use]
    pub const fn new(raw: &'a [u8]) -> Self {
        Self { rest: raw, at_us: 0 }
    }

    fn decode(&mut self) -> Result<Run<'a>, RunError> {
        let dt_us = self.varint()?;
        let Some((&tag, rest)) = self.rest.split_first() else {
            return Err(RunError::CutOff { missing: 1 });
        };
        self.rest = rest;
        let code = tag & !CONTINUED;
        let kind = RunKind::from_code(code).ok_or(RunError::UnknownKind { kind: code })?;
        let piece = if tag & CONTINUED == 0 { Piece::Last } else { Piece::Continued };
        let bytes = self.varint()?;
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        if length > RUN_BYTES_MAX {
            return Err(RunError::TooLong { bytes });
        }
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else {
            return Err(RunError::CutOff { missing: length - self.rest.len() });
        };
        self.rest = rest;
        self.at_us = self.at_us.saturating_add(dt_us);
        Ok(Run { at_us: self.at_us, kind, piece, bytes })
    }

    fn varint(&mut self) -> Result<u64, RunError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                return Err(RunError::CutOff { missing: 1 });
            };
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RunError::NumberTooLong)
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Result<Run<'a>, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let run = self.decode();
        if run.is_err() {
            self.rest = &[];
        }
        Some(run)
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const CONTINUED: u8 = 0x80;
/// Two varints and the kind.
pub const RUN_HEADER_BYTES_MAX: usize = 10 + 1 + 10;
const _: () = assert!(RUN_BYTES_MAX + RUN_HEADER_BYTES_MAX < BLOCK_RAW_BYTES_MAX);

#[cfg(test)]
mod tests;
