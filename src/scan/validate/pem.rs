//! Private keys in PEM (RFC 7468, OpenSSH, PGP): from `-----BEGIN` to the end of the `END` line. One
//! that is cut off goes on as far as it looks like a key.

use std::ops::Range;

use crate::limits::SCANNED_KEY_BYTES_MIN;
use crate::scan::class::run;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const WHAT: &[u8] = b"PRIVATE KEY";
/// `PGP PRIVATE KEY BLOCK` and `OPENSSH PRIVATE KEY` are the longest in use.
const LABEL_BYTES_MAX: usize = 40;

/// How far was looked, and what was found there.
pub(in crate::scan) struct Found {
    pub(in crate::scan) looked_until: usize,
    pub(in crate::scan) key: Option<Range<usize>>,
}

/// The key whose `-----BEGIN ` stands at `start`.
pub(in crate::scan) fn find(cell: &[u8], start: usize) -> Found {
    let nothing = Found { looked_until: start, key: None };
    let Some(label) = label(cell, start + BEGIN.len()) else { return nothing };
    let body = start + BEGIN.len() + label + DASHES.len();
    let (end, is_key) = walk(cell, body);
    Found { looked_until: end, key: is_key.then_some(start..end) }
}

/// The length of a label from `start` on that names a private key and is closed by dashes.
fn label(cell: &[u8], start: usize) -> Option<usize> {
    let is_label = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let length = run(cell, start, LABEL_BYTES_MAX, is_label);
    let text = cell.get(start..start + length)?;
    let names_key = text.windows(WHAT.len()).any(|window| window == WHAT);
    (names_key && cell.get(start + length..)?.starts_with(DASHES)).then_some(length)
}

/// Where the key's lines end, and whether there is a key in them.
fn walk(cell: &[u8], body: usize) -> (usize, bool) {
    let mut at = body;
    let mut piece = 0;
    let mut is_key = false;
    while let Some(rest) = cell.get(at..)
        && let Some(here) = rest.first().copied()
    {
        if here == b'-' && rest.starts_with(END) {
            let label = label(cell, at + END.len());
            let line = END.len() + label.map_or(0, |label| label + DASHES.len());
            return (at + line, is_key);
        }
        if !is_body(here) || (here == b'-' && rest.starts_with(BEGIN)) {
            break;
        }
        piece = if is_base64(here) { piece + 1 } else { 0 };
        is_key |= piece >= SCANNED_KEY_BYTES_MIN;
        at += 1;
    }
    (at, is_key)
}

/// Lines of base64 and, before them, headers such as `DEK-Info: AES-256-CBC,00`; the backslash is
/// for line ends that are spelt `\n`.
const fn is_body(byte: u8) -> bool {
    is_base64(byte)
        || byte.is_ascii_whitespace()
        || matches!(byte, b'=' | b'-' | b':' | b',' | b'.' | b'\\' | b'(' | b')' | b'@')
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}
