//! What a byte is, and where a value may begin and end. Knows ASCII; a byte outside it parts words.
//!
//! Positions outside the cell read as NUL, which is none of the classes.

use std::ops::Range;

/// The byte at `at`.
pub(super) fn byte(cell: &[u8], at: usize) -> u8 {
    cell.get(at).copied().unwrap_or_default()
}

/// The byte `back` places before `at`.
pub(super) fn before(cell: &[u8], at: usize, back: usize) -> u8 {
    at.checked_sub(back).map_or(0, |at| byte(cell, at))
}

/// How many bytes from `at` on are of a class, at most `most`.
pub(super) fn run(cell: &[u8], at: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = cell.get(at..).unwrap_or_default();
    let rest = rest.get(..most).unwrap_or(rest);
    rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len())
}

/// The same before `end`.
pub(super) fn run_back(cell: &[u8], end: usize, most: usize, is: impl Fn(u8) -> bool) -> usize {
    let front = cell.get(..end).unwrap_or_default();
    let front = front.get(front.len().saturating_sub(most)..).unwrap_or(front);
    front.iter().rev().position(|byte| !is(*byte)).unwrap_or(front.len())
}

pub(super) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

pub(super) fn is_word(byte: u8) -> bool {
    class(byte) & WORD != 0
}

/// Of base64url, and of most tokens.
pub(super) fn is_token(byte: u8) -> bool {
    class(byte) & TOKEN != 0
}

/// Of the local part of a mail address.
pub(super) fn is_local(byte: u8) -> bool {
    class(byte) & LOCAL != 0
}

/// Of the user and the password in a URL: RFC 3986 section 3.2.1, widened by what people write
/// without encoding it.
pub(super) fn is_user_info(byte: u8) -> bool {
    class(byte) & USER_INFO != 0
}

const WORD: u8 = 1;
const TOKEN: u8 = 2;
const LOCAL: u8 = 4;
const USER_INFO: u8 = 8;

/// One load where several comparisons would be.
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        if let (_, [slot, ..]) = classes.split_at_mut(byte as usize) {
            *slot = classes_of(byte);
        }
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

const fn classes_of(byte: u8) -> u8 {
    let mut classes = 0;
    if byte.is_ascii_alphanumeric() {
        classes |= WORD | TOKEN | LOCAL;
    }
    if matches!(byte, b'_' | b'-') {
        classes |= TOKEN;
    }
    if matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'&' | b'~' | b'!' | b'#') {
        classes |= LOCAL;
    }
    let parts = matches!(byte, b'/' | b'@' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\');
    if byte.is_ascii_graphic() && !parts || byte >= 0x80 {
        classes |= USER_INFO;
    }
    classes
}

/// True if no word goes on into `start`. The letter of an escape such as `\n` is not of a word.
pub(super) fn begins(cell: &[u8], start: usize) -> bool {
    !is_word(before(cell, start, 1)) || is_escape(cell, start)
}

/// The same for values of which `-` and `_` may be part.
pub(super) fn begins_token(cell: &[u8], start: usize) -> bool {
    !is_token(before(cell, start, 1)) || is_escape(cell, start)
}

/// True if `start` stands behind an escape such as `\n`, spelt as in JSON.
pub(super) fn is_escape(cell: &[u8], start: usize) -> bool {
    matches!(before(cell, start, 1), b'n' | b'r' | b't') && before(cell, start, 2) == b'\\'
}

/// True if the digits in `range` are not a part of a longer number or identifier such as
/// `1.4111`, `2024-4111` or `4111_2`.
pub(super) fn stands_alone(cell: &[u8], range: &Range<usize>) -> bool {
    let joins = |byte| matches!(byte, b'-' | b'_' | b'.');
    let left = joins(before(cell, range.start, 1)) && is_digit(before(cell, range.start, 2));
    let right = joins(byte(cell, range.end)) && is_digit(byte(cell, range.end + 1));
    begins(cell, range.start) && !is_word(byte(cell, range.end)) && !left && !right
}
