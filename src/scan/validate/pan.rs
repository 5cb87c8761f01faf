//! Payment card numbers: contiguous or in the groups that are printed on cards, of a known issuer,
//! of a length that it issues, with a valid check digit.
//!
//! One in ten numbers has a valid check digit. A column of numbers without any meaning holds some
//! that cannot be told from a card's; that is for rules about columns.

use std::ops::Range;

use crate::scan::class::{before, byte, is_digit, run, stands_alone};

const DIGITS_MIN: usize = 12;
const DIGITS_MAX: usize = 19;

/// As printed on most cards, with a suffix or without.
const FOURS: &[&[usize]] = &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4]];
/// As printed by American Express and by Diners Club.
const SIXES: &[&[usize]] = &[&[4, 6, 5], &[4, 6, 4]];

/// The number that begins with the digit at `start` and has no separators.
pub(in crate::scan) fn contiguous(cell: &[u8], start: usize) -> Option<Range<usize>> {
    let count = run(cell, start, DIGITS_MAX + 1, is_digit);
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&count) {
        return None;
    }
    let range = start..start + count;
    let digits = cell.get(range.clone())?;
    // Trade item numbers have a check digit of their own, and nobody issues cards so short any
    // more: where both fit, it is an item.
    let is_item = count <= 13 && is_trade_item(digits);
    (!is_item && is_card(digits) && stands_alone(cell, &range)).then_some(range)
}

/// The number that begins with the digit at `start` and is grouped.
pub(in crate::scan) fn grouped(cell: &[u8], start: usize) -> Option<Range<usize>> {
    let separator = byte(cell, start + 4);
    if !matches!(separator, b' ' | b'-') {
        return None;
    }
    let shapes = if byte(cell, start + 9) == separator { FOURS } else { SIXES };
    shapes.iter().find_map(|shape| shaped(cell, start, separator, shape))
}

fn shaped(cell: &[u8], start: usize, separator: u8, shape: &[usize]) -> Option<Range<usize>> {
    let mut digits = [0_u8; DIGITS_MAX];
    let mut count = 0;
    let mut at = start;
    for (index, size) in shape.iter().enumerate() {
        if index > 0 {
            if byte(cell, at) != separator {
                return None;
            }
            at += 1;
        }
        let group = cell.get(at..at + size)?;
        if !group.iter().all(|byte| is_digit(*byte)) {
            return None;
        }
        digits.get_mut(count..count + size)?.copy_from_slice(group);
        count += size;
        at += size;
    }
    let range = start..at;
    let is_whole = stands_alone(cell, &range) && !follows_a_group(cell, start);
    (is_whole && is_card(digits.get(..count)?)).then_some(range)
}

/// `1234 ` before the number: it is the middle of a longer row of fours.
fn follows_a_group(cell: &[u8], start: usize) -> bool {
    let is_four = (2..=5).all(|back| is_digit(before(cell, start, back)));
    before(cell, start, 1) == b' ' && is_four && !is_digit(before(cell, start, 6))
}

fn is_card(digits: &[u8]) -> bool {
    let is_uniform = digits.windows(2).all(|pair| pair.first() == pair.last());
    has_check_digit(digits) && is_issued(digits) && !is_uniform
}

/// First and last of the numbers' first six digits, and the lengths that are issued, as bits. The
/// most common first.
const ISSUERS: &[(u32, u32, u32)] = &[
    // Visa
    (400_000, 499_999, lengths(&[13, 16, 19])),
    // Mastercard
    (222_100, 272_099, lengths(&[16])),
    (510_000, 559_999, lengths(&[16])),
    // American Express
    (340_000, 349_999, lengths(&[15])),
    (370_000, 379_999, lengths(&[15])),
    // Discover, and what it took over
    (601_100, 601_199, lengths(&[16, 19])),
    (644_000, 659_999, lengths(&[16, 19])),
    // Diners Club
    (300_000, 305_999, lengths(&[14, 16])),
    (309_500, 309_599, lengths(&[14, 16])),
    (360_000, 369_999, lengths(&[14, 16])),
    (380_000, 399_999, lengths(&[14, 16])),
    // JCB
    (180_000, 180_099, lengths(&[15])),
    (213_100, 213_199, lengths(&[15])),
    (352_800, 358_999, lengths(&[16, 19])),
    // UnionPay
    (620_000, 629_999, lengths(&[16, 17, 18, 19])),
    (810_000, 817_199, lengths(&[16, 19])),
    // Maestro
    (501_800, 501_899, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (502_000, 502_099, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (503_800, 503_899, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (589_300, 589_399, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (630_400, 630_499, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (675_900, 675_999, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    (676_100, 676_399, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
    // Mir
    (220_000, 220_499, lengths(&[16, 17, 18, 19])),
    // RuPay
    (508_500, 508_999, lengths(&[16])),
    (606_985, 607_984, lengths(&[16])),
    (608_001, 608_500, lengths(&[16])),
    (817_200, 817_204, lengths(&[16])),
    (819_700, 820_199, lengths(&[16])),
    // Troy
    (979_200, 979_289, lengths(&[16])),
];

const fn lengths(all: &[usize]) -> u32 {
    let mut bits = 0;
    let mut rest = all;
    while let [length, others @ ..] = rest {
        bits |= 1 << *length;
        rest = others;
    }
    bits
}

fn is_issued(digits: &[u8]) -> bool {
    let first = digits.iter().take(6).fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    let length = 1_u32 << digits.len();
    ISSUERS
        .iter()
        .any(|(low, high, lengths)| (*low..=*high).contains(&first) && lengths & length != 0)
}

/// ISO/IEC 7812-1 annex B.
fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            let doubled = digit << (index % 2);
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The check digit of EAN-13 and UPC-A (GS1 General Specifications section 7.9).
fn is_trade_item(digits: &[u8]) -> bool {
    let weighted = digits.iter().rev().enumerate();
    let sum: u32 = weighted
        .map(|(index, byte)| u32::from(byte - b'0') * if index % 2 == 1 { 3 } else { 1 })
        .sum();
    sum.is_multiple_of(10)
}
