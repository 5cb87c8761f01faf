//! Shapes of digits, as shifts of bit masks: bit `n` is byte `n` of a block of 64 bytes. Knows no
//! vectors; whoever has them makes the masks.
//!
//! A shift takes what it lacks from the block before, so every shape is noticed at its end, wherever
//! blocks part it. What is `inline(always)` here becomes part of a function with vectors, and the
//! closures that it is given with it.

use crate::scan::Places;
use crate::scan::class::before;
use crate::scan::literal::MARK_BYTES;

pub(super) const BLOCK: usize = 64;
/// A block, and what a mark that begins at its last byte goes on to.
pub(super) const WINDOW: usize = BLOCK + MARK_BYTES - 1;

/// Shows all of `cell`, block by block and with its offset. Behind the last bytes are NULs, which are
/// of no shape. There is one call of `block`, so that it becomes part of the loop.
#[inline(always)]
pub(super) fn blocks(cell: &[u8], mut block: impl FnMut(&[u8; WINDOW], usize)) {
    let whole = cell.len().checked_sub(WINDOW).map_or(0, |rest| rest / BLOCK + 1) * BLOCK;
    let rest = cell.get(whole..).unwrap_or_default();
    let mut padded = [0; 2 * BLOCK + MARK_BYTES - 1];
    if let Some(front) = padded.get_mut(..rest.len()) {
        front.copy_from_slice(rest);
    }
    let mut offset = 0;
    while offset < cell.len() {
        let from = if offset < whole { cell.get(offset..) } else { padded.get(offset - whole..) };
        let Some(window) = from.and_then(|from| from.first_chunk::<WINDOW>()) else { break };
        block(window, offset);
        offset += BLOCK;
    }
}

/// What a block leaves to the next one: the last bits of each mask. They are kept moved down, which
/// also keeps the compiler from shifts over two registers; those are slow on some processors.
#[derive(Clone, Copy, Default)]
struct Masks {
    digits: u64,
    /// The last of so many digits, as are the others.
    two: u64,
    three: u64,
    four: u64,
    six: u64,
    twelve: u64,
    dashes: u64,
    /// Separators behind four digits.
    groups: u64,
}

pub(super) struct Shapes<'c> {
    cell: &'c [u8],
    last: Masks,
}

impl<'c> Shapes<'c> {
    pub(super) fn new(cell: &'c [u8]) -> Self {
        Self { cell, last: Masks::default() }
    }

    /// A block with these digits must be shown to `next`.
    #[inline(always)]
    pub(super) fn concern(&self, digits: u64) -> bool {
        digits | self.last.digits != 0
    }

    #[inline(always)]
    pub(super) fn next(
        &mut self,
        (digits, dashes, spaces): (u64, u64, u64),
        letters: impl FnOnce() -> u64,
        offset: usize,
        places: &mut impl Places,
    ) {
        let last = self.last;
        let two = digits & moved(digits, last.digits, 1);
        let three = two & moved(digits, last.digits, 2);
        let four = two & moved(two, last.two, 2);
        let six = four & moved(two, last.two, 4);
        let twelve = six & moved(six, last.six, 6);
        let groups = (dashes | spaces) & moved(four, last.four, 1);

        let runs = twelve & !moved(twelve, last.twelve, 1);
        each(runs, |bit| places.digits((offset + bit).saturating_sub(11)));
        let fours = groups & moved(groups, last.groups, 5) & moved(groups, last.groups, 10);
        each(fours, |bit| places.groups((offset + bit).saturating_sub(14)));
        let sixes = (dashes | spaces) & moved(six, last.six, 1) & moved(groups, last.groups, 7);
        each(sixes, |bit| places.groups((offset + bit).saturating_sub(11)));
        let serials = dashes
            & moved(two, last.two, 1)
            & moved(dashes, last.dashes, 3)
            & moved(three, last.three, 4)
            & !moved(digits, last.digits, 7);
        each(serials, |bit| places.dashes((offset + bit).saturating_sub(6)));

        if two != 0 {
            self.countries((two, digits, letters()), offset, places);
        }
        // A block without digits parts all shapes.
        self.last = if digits == 0 {
            Masks::default()
        } else {
            Masks {
                digits: kept(digits),
                two: kept(two),
                three: kept(three),
                four: kept(four),
                six: kept(six),
                twelve: kept(twelve),
                dashes: kept(dashes),
                groups: kept(groups),
            }
        };
    }

    #[inline(always)]
    fn countries(
        &self,
        (two, digits, letters): (u64, u64, u64),
        offset: usize,
        places: &mut impl Places,
    ) {
        let (letters_before, words_before) =
            if two & 0b1111 == 0 { (0, 0) } else { self.letters_before(offset) };
        let countries = two
            & moved(letters, letters_before, 2)
            & moved(letters, letters_before, 3)
            & !moved(letters | digits, words_before, 4);
        each(countries, |bit| places.country((offset + bit).saturating_sub(3)));
    }

    /// Letters, and letters and digits, among the four bytes before `offset`, as a block before would
    /// have them.
    fn letters_before(&self, offset: usize) -> (u64, u64) {
        (1..=4).fold((0, 0), |(letters, words), back| {
            let byte = before(self.cell, offset, back);
            let bit = 1 << (KEPT as usize - back);
            let letter = if byte.is_ascii_alphabetic() { bit } else { 0 };
            let digit = if byte.is_ascii_digit() { bit } else { 0 };
            (letters | letter, words | letter | digit)
        })
    }
}

/// Bits of a mask that the next block can ask for.
const KEPT: u32 = 16;

#[inline]
const fn kept(mask: u64) -> u64 {
    mask >> (u64::BITS - KEPT)
}

/// A mask moved on by `places`, with what the block before left of it.
#[inline]
const fn moved(mask: u64, last: u64, places: u32) -> u64 {
    assert!(places <= KEPT);
    mask << places | last >> (KEPT - places)
}

#[inline(always)]
pub(super) fn each(mut mask: u64, mut place: impl FnMut(usize)) {
    while mask != 0 {
        place(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}
