//! Telephone numbers in international notation (E.164). National notations look like too many other
//! things to be told by content.

use std::ops::Range;

use crate::scan::class::{before, byte, is_digit, is_word};

/// E.164 section 6: fifteen digits at most. No country's numbers have fewer than eight in all.
const DIGITS_MIN: usize = 8;
const DIGITS_MAX: usize = 15;

/// The number that begins with the `+` at `plus`.
pub(in crate::scan) fn find(cell: &[u8], plus: usize) -> Option<Range<usize>> {
    let left = before(cell, plus, 1);
    // No country's code begins with a zero, and most offsets of time do.
    if !matches!(byte(cell, plus + 1), b'1'..=b'9') {
        return None;
    }
    if is_word(left) || matches!(left, b'+' | b'/' | b'.' | b'_' | b')' | b']') {
        return None;
    }
    let mut digits = [0_u8; DIGITS_MAX];
    let mut count = 0;
    let mut dots = 0;
    let mut at = plus + 1;
    let mut end = at;
    loop {
        let here = byte(cell, at);
        if is_digit(here) {
            *digits.get_mut(count)? = here;
            count += 1;
            end = at + 1;
        } else if at > end + 1 || !is_between(here) {
            break;
        }
        dots += usize::from(here == b'.' && is_digit(byte(cell, at + 1)));
        at += 1;
    }
    let next = byte(cell, end);
    let is_whole = !is_word(next) && !matches!(next, b'_' | b'/' | b'=' | b'+');
    // One dot is a decimal point.
    (is_whole && dots != 1 && is_assigned(digits.get(..count)?)).then_some(plus..end)
}

/// Between groups; two of them may meet, as in `) `.
const fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'(' | b')')
}

/// Country code and length. North America and Russia have one length and rules for what follows.
fn is_assigned(digits: &[u8]) -> bool {
    match digits {
        [b'1', rest @ ..] => match rest {
            [area @ b'2'..=b'9', _, _, b'2'..=b'9', ..] => rest.len() == 10 && *area != b'0',
            _ => false,
        },
        [b'7', rest @ ..] => rest.len() == 10 && matches!(rest.first(), Some(b'3'..=b'9')),
        [b'2'..=b'9', ..] => digits.len() >= DIGITS_MIN,
        _ => false,
    }
}
