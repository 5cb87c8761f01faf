//! US social security numbers with their dashes: area, group, serial.

use std::ops::Range;

use crate::scan::class::{before, begins, byte, is_digit, is_word};

/// `ddd-dd-dddd`
const BYTES: usize = 11;
/// Printed in advertisements and never valid since.
const ADVERTISED: &[&[u8]] = &[b"078-05-1120", b"219-09-9999"];

/// The number that begins at `start`.
pub(in crate::scan) fn find(cell: &[u8], start: usize) -> Option<Range<usize>> {
    let text = cell.get(start..)?.first_chunk::<BYTES>()?;
    let [a, b, c, b'-', d, e, b'-', rest @ ..] = text else { return None };
    if ![a, b, c, d, e].into_iter().chain(rest).all(|byte| is_digit(*byte)) {
        return None;
    }
    let area = [*a, *b, *c];
    let is_issued = &area != b"000" && &area != b"666" && *a != b'9';
    let is_complete = [*d, *e] != *b"00" && rest != b"0000";
    let range = start..start + BYTES;
    (is_issued && is_complete && !ADVERTISED.contains(&text.as_slice()) && is_whole(cell, &range))
        .then_some(range)
}

/// Not the middle of a stock number such as `AB-123-45-6789` or `123-45-6789-X`.
fn is_whole(cell: &[u8], range: &Range<usize>) -> bool {
    let joins = |byte| matches!(byte, b'-' | b'_' | b'.');
    let left = joins(before(cell, range.start, 1)) && is_word(before(cell, range.start, 2));
    let right = joins(byte(cell, range.end)) && is_word(byte(cell, range.end + 1));
    // A sentence may go on without a space behind its full stop; a number does not.
    let sentence = byte(cell, range.end) == b'.' && !is_digit(byte(cell, range.end + 1));
    begins(cell, range.start) && !is_word(byte(cell, range.end)) && !left && (!right || sentence)
}
