//! Mail addresses, from their `@`. ASCII only: an address in another script is not found.

use std::ops::Range;

use crate::scan::class::{before, byte, is_escape, is_local, is_word, run, run_back};

/// RFC 5321 section 4.5.3.1.
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 255;
/// RFC 1035 section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;
/// What stands behind the `@` in names of files, as in `logo@2x.png`.
const fn is_file_ending(label: &[u8]) -> bool {
    matches!(label, b"png" | b"jpg" | b"jpeg" | b"gif" | b"svg" | b"webp" | b"css" | b"js")
}

/// The address around the `@` at `at`.
pub(in crate::scan) fn find(cell: &[u8], at: usize) -> Option<Range<usize>> {
    let local = run_back(cell, at, LOCAL_BYTES_MAX + 1, is_local);
    if local > LOCAL_BYTES_MAX {
        return None;
    }
    let mut start = at - local;
    // Neither a dot nor a sign begins an address; what is before it is not of it.
    start += run(cell, start, at - start, |byte| !is_word(byte) && byte != b'_');
    start += usize::from(is_escape(cell, start + 1));
    if start >= at || before(cell, at, 1) == b'.' || is_user_of_url(cell, start) {
        return None;
    }
    Some(start..domain(cell, at + 1)?)
}

/// The end of the longest name from `start` on that may be a domain's.
fn domain(cell: &[u8], start: usize) -> Option<usize> {
    let mut end = None;
    let mut label = start;
    loop {
        let length = run(cell, label, LABEL_BYTES_MAX + 1, |b| is_word(b) || b == b'-');
        let text = cell.get(label..label + length).unwrap_or_default();
        let fits = length <= LABEL_BYTES_MAX && label + length - start <= DOMAIN_BYTES_MAX;
        if !fits || text.is_empty() || text.starts_with(b"-") {
            return end;
        }
        // A hyphen at the end is of the sentence around.
        let trimmed = text.iter().rposition(|byte| *byte != b'-').map_or(0, |last| last + 1);
        if label > start && is_top(text.get(..trimmed).unwrap_or_default()) {
            end = Some(label + trimmed);
        }
        if trimmed < length || byte(cell, label + length) != b'.' {
            return end;
        }
        label += length + 1;
    }
}

fn is_top(label: &[u8]) -> bool {
    let is_name = label.len() >= 2 && label.iter().all(u8::is_ascii_alphabetic);
    let is_encoded =
        label.len() > 4 && label.get(..4).is_some_and(|p| p.eq_ignore_ascii_case(b"xn--"));
    (is_name && !is_file_ending(label)) || is_encoded
}

/// `ssh://git@host` names a login, not a mailbox.
fn is_user_of_url(cell: &[u8], start: usize) -> bool {
    before(cell, start, 1) == b'/' && before(cell, start, 2) == b'/'
}
