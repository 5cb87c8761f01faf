//! Passwords in URLs: `scheme://user:password@host`.

use std::ops::Range;

use crate::limits::SCANNED_PASSWORD_BYTES_MAX;
use crate::scan::class::{byte, is_user_info, is_word, run, run_back};

/// The password before the `@` at `at`. One that itself holds an `@` goes on to the last one.
pub(in crate::scan) fn find(cell: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at - run_back(cell, at, SCANNED_PASSWORD_BYTES_MAX, is_user_info);
    let scheme = cell.get(..start)?.strip_suffix(b"://")?;
    if !scheme.last().is_some_and(|byte| is_word(*byte)) {
        return None;
    }
    let colon = cell.get(start..at)?.iter().position(|byte| *byte == b':')?;
    let password = start + colon + 1;
    let rest = run(cell, at, SCANNED_PASSWORD_BYTES_MAX, |b| {
        (is_user_info(b) && !matches!(b, b'?' | b'#')) || b == b'@'
    });
    let last = cell.get(at..at + rest)?.iter().rposition(|byte| *byte == b'@')?;
    let end = at + last;
    let host = byte(cell, end + 1);
    let is_masked = cell.get(password..end)?.iter().all(|byte| *byte == b'*');
    (!is_masked && (is_word(host) || host == b'[')).then_some(password..end)
}
