//! Tokens and keys that their issuers marked with a prefix: what must follow it.

use std::ops::Range;

use crate::limits::SCANNED_TOKEN_BYTES_MAX;
use crate::scan::class::{begins, begins_token, byte, is_token, is_word, run};

/// What follows a prefix.
#[derive(Clone, Copy, Debug)]
pub(in crate::scan) enum Body {
    /// Letters and digits, so many at least and at most.
    Words(usize, usize),
    /// The same with `-` and `_`.
    Tokens(usize, usize),
    /// Hexadecimal digits, exactly so many.
    Hex(usize),
    /// Capitals and digits, exactly so many.
    Capitals(usize),
    /// Thirty letters and digits, and their checksum in six.
    Checked,
    /// Parts of exactly so many, with a separator between them.
    Parts(usize, u8, usize),
    /// Letters and digits with dashes, of which a part is digits.
    Dashed,
}

pub(in crate::scan) const UNBOUNDED: usize = SCANNED_TOKEN_BYTES_MAX;

/// The token that begins at `start` with a prefix of `prefix` bytes.
pub(in crate::scan) fn find(
    cell: &[u8],
    start: usize,
    prefix: usize,
    body: Body,
) -> Option<Range<usize>> {
    let from = start + prefix;
    let (length, may_join) = match body {
        Body::Words(least, most) => {
            (bounded(run(cell, from, most + 1, is_word), least, most)?, false)
        }
        Body::Tokens(least, most) => {
            (bounded(run(cell, from, most + 1, is_token), least, most)?, true)
        }
        Body::Hex(count) => {
            (bounded(run(cell, from, count + 1, |b| b.is_ascii_hexdigit()), count, count)?, false)
        }
        Body::Capitals(count) => {
            (bounded(run(cell, from, count + 1, is_capital), count, count)?, false)
        }
        Body::Checked => (checked(cell, from)?, false),
        Body::Parts(first, separator, second) => {
            let is_part = |b| is_token(b) && b != separator;
            bounded(run(cell, from, first + 1, is_part), first, first)?;
            if byte(cell, from + first) != separator {
                return None;
            }
            bounded(run(cell, from + first + 1, second + 1, is_token), second, second)?;
            (first + 1 + second, true)
        }
        Body::Dashed => (dashed(cell, from)?, true),
    };
    let end = from + length;
    let begins = if may_join { begins_token(cell, start) } else { begins(cell, start) };
    (begins && !is_word(byte(cell, end))).then_some(start..end)
}

fn bounded(length: usize, least: usize, most: usize) -> Option<usize> {
    (least..=most).contains(&length).then_some(length)
}

const fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn dashed(cell: &[u8], from: usize) -> Option<usize> {
    let length = run(cell, from, UNBOUNDED, |b| is_word(b) || b == b'-');
    let text = cell.get(from..from + length)?;
    (length >= 10 && text.iter().any(u8::is_ascii_digit)).then_some(length)
}

/// GitHub's tokens end in the CRC-32 of what is between prefix and checksum, in base 62.
fn checked(cell: &[u8], from: usize) -> Option<usize> {
    const RANDOM: usize = 30;
    const CHECKSUM: usize = 6;
    let text = cell.get(from..from + RANDOM + CHECKSUM)?;
    if !text.iter().all(|byte| is_word(*byte)) {
        return None;
    }
    let (random, checksum) = text.split_at_checked(RANDOM)?;
    let stated = checksum.iter().try_fold(0_u64, |sum, character| {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'A'..=b'Z' => character - b'A' + 10,
            b'a'..=b'z' => character - b'a' + 36,
            _ => return None,
        };
        Some(sum * 62 + u64::from(digit))
    })?;
    (stated == u64::from(crc32(random))).then_some(text.len())
}

/// CRC-32 of IEEE 802.3, bit by bit: thirty bytes, and only behind a prefix.
pub(in crate::scan) fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}
