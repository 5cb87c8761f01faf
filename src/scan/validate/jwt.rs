//! JSON web tokens (RFC 7515, RFC 7516) in their compact form: a header that names an algorithm, and
//! two or four parts behind it.

use std::ops::Range;

use crate::limits::SCANNED_HEADER_BYTES_MAX;
use crate::scan::class::{begins_token, byte, is_token, run};

/// The token that begins at `start`.
pub(in crate::scan) fn find(cell: &[u8], start: usize) -> Option<Range<usize>> {
    if !begins_token(cell, start) {
        return None;
    }
    let part = |at| run(cell, at, usize::MAX, is_token);
    let header = run(cell, start, SCANNED_HEADER_BYTES_MAX, is_token);
    let mut end = start + header;
    if byte(cell, end) != b'.' || !names_algorithm(cell.get(start..end)?) {
        return None;
    }
    // An encrypted token's key may be empty, and so may a signature.
    let second = part(end + 1);
    end += 1 + second;
    if byte(cell, end) != b'.' {
        return None;
    }
    let third = part(end + 1);
    end += 1 + third;
    if second == 0 && third == 0 {
        return None;
    }
    for _ in 0..2 {
        let next = part(end + 1);
        if byte(cell, end) != b'.' || next == 0 {
            break;
        }
        end += 1 + next;
    }
    Some(start..end)
}

/// True if `"alg"` or `"enc"` stands in what base64url says.
fn names_algorithm(header: &[u8]) -> bool {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut last = 0_u64;
    header.iter().any(|character| {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held < 8 {
            return false;
        }
        held -= 8;
        last = (last << 8 | u64::from(bits >> held & 0xff)) & MEMBER_MASK;
        last == ALGORITHM || last == ENCRYPTION
    })
}

const MEMBER_MASK: u64 = (1 << 40) - 1;
const ALGORITHM: u64 = member(b"\"alg\"");
const ENCRYPTION: u64 = member(b"\"enc\"");

const fn member(name: &[u8; 5]) -> u64 {
    let [a, b, c, d, e] = *name;
    u64::from_be_bytes([0, 0, 0, a, b, c, d, e])
}
