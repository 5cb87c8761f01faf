//! The pass byte by byte. Slow and plain: it names every place that could be one, so that what the
//! vectors leave out is seen by comparing.

use crate::scan::Places;
use crate::scan::class::{byte, is_digit, is_word};
use crate::scan::literal::{MARK_BYTES, Marks};

pub(super) fn pass(marks: &Marks, cell: &[u8], places: &mut impl Places) {
    let mut last = 0;
    for (at, here) in cell.iter().copied().enumerate() {
        match here {
            b'@' | b'+' => places.anchor(at),
            b'0'..=b'9' if !is_digit(last) => {
                places.digits(at);
                places.groups(at);
                places.dashes(at);
            }
            b'A'..=b'Z' | b'a'..=b'z' if !is_word(last) && is_country(cell, at) => {
                places.country(at);
            }
            _ => {}
        }
        if let Some(mark) = cell.get(at..).and_then(|rest| rest.first_chunk::<MARK_BYTES>())
            && marks.candidates(*mark) | marks.own_candidates(*mark) != 0
        {
            places.anchor(at);
        }
        last = here;
    }
}

fn is_country(cell: &[u8], at: usize) -> bool {
    byte(cell, at + 1).is_ascii_alphabetic()
        && is_digit(byte(cell, at + 2))
        && is_digit(byte(cell, at + 3))
}
