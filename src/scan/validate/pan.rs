//! Payment card numbers: contiguous or in the groups that are printed on cards, of a known issuer,
//! of a length that it issues, with a valid check digit.
//!
//! One in ten numbers has a valid check digit. A column of numbers without any meaning holds some
//! that cannot be told from a card's; that is for rules about columns.

use std::ops::Range;

use crate::scan::class::{before, byte, is_digit, run, stands_alone};

const DIGITS_MIN: usize = 12;
const DIGITS_MAX: usize = 19;

/// As printed on some cards.
const FOURS_AND_SUFFIX: &[usize] = &[4, 4, 4, 4, 3];
/// As printed by American Express and by Diners Club.
const SIX_AND_FIVE: &[usize] = &[4, 6, 5];
const SIX_AND_FOUR: &[usize] = &[4, 6, 4];

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
    if byte(cell, start + 9) != separator {
        return shaped(cell, start, separator, SIX_AND_FIVE)
            .or_else(|| shaped(cell, start, separator, SIX_AND_FOUR));
    }
    let suffixed = (byte(cell, start + 19) == separator)
        .then(|| shaped(cell, start, separator, FOURS_AND_SUFFIX));
    suffixed.flatten().or_else(|| fours(cell, start, separator))
}

/// Four groups of four, as on most cards.
fn fours(cell: &[u8], start: usize, separator: u8) -> Option<Range<usize>> {
    let text = cell.get(start..).and_then(|rest| rest.first_chunk::<19>())?;
    let [a, b, c, d, x, e, f, g, h, y, i, j, k, l, z, m, n, o, p] = *text;
    let digits = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p];
    let is_shaped =
        [x, y, z] == [separator; 3] && digits.iter().fold(true, |all, byte| all & is_digit(*byte));
    let range = start..start + text.len();
    let is_whole = is_shaped && stands_alone(cell, &range) && !follows_a_group(cell, start);
    (is_whole && is_card(&digits)).then_some(range)
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
        for _ in 0..*size {
            let here = byte(cell, at);
            if !is_digit(here) {
                return None;
            }
            *digits.get_mut(count)? = here;
            count += 1;
            at += 1;
        }
    }
    let range = start..at;
    let is_whole = stands_alone(cell, &range) && !follows_a_group(cell, start);
    (is_whole && is_card(digits.get(..count)?)).then_some(range)
}

/// `1234 ` before the number: it is the middle of a longer row of fours.
fn follows_a_group(cell: &[u8], start: usize) -> bool {
    before(cell, start, 1) == b' '
        && (2..=5).all(|back| is_digit(before(cell, start, back)))
        && !is_digit(before(cell, start, 6))
}

fn is_card(digits: &[u8]) -> bool {
    let is_uniform = digits.windows(2).all(|pair| pair.first() == pair.last());
    has_check_digit(digits) && is_issued(digits) && !is_uniform
}

/// First and last of the numbers' first six digits, and the lengths that are issued, as bits; by the
/// first digit.
const ISSUERS: [&[(u32, u32, u32)]; 10] = [
    &[],
    &[
        // JCB
        (180_000, 180_099, lengths(&[15])),
    ],
    &[
        // Mastercard
        (222_100, 272_099, lengths(&[16])),
        // JCB
        (213_100, 213_199, lengths(&[15])),
        // Mir
        (220_000, 220_499, lengths(&[16, 17, 18, 19])),
    ],
    &[
        // American Express
        (340_000, 349_999, lengths(&[15])),
        (370_000, 379_999, lengths(&[15])),
        // Diners Club
        (300_000, 305_999, lengths(&[14, 16])),
        (309_500, 309_599, lengths(&[14, 16])),
        (360_000, 369_999, lengths(&[14, 16])),
        (380_000, 399_999, lengths(&[14, 16])),
        // JCB
        (352_800, 358_999, lengths(&[16, 19])),
    ],
    &[
        // Visa
        (400_000, 499_999, lengths(&[13, 16, 19])),
    ],
    &[
        // Mastercard
        (510_000, 559_999, lengths(&[16])),
        // Maestro
        (501_800, 501_899, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        (502_000, 502_099, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        (503_800, 503_899, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        (589_300, 589_399, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        // RuPay
        (508_500, 508_999, lengths(&[16])),
    ],
    &[
        // Discover, and what it took over
        (601_100, 601_199, lengths(&[16, 19])),
        (644_000, 659_999, lengths(&[16, 19])),
        // UnionPay
        (620_000, 629_999, lengths(&[16, 17, 18, 19])),
        // Maestro
        (630_400, 630_499, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        (675_900, 675_999, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        (676_100, 676_399, lengths(&[12, 13, 14, 15, 16, 17, 18, 19])),
        // RuPay
        (606_985, 607_984, lengths(&[16])),
        (608_001, 608_500, lengths(&[16])),
    ],
    &[],
    &[
        // UnionPay
        (810_000, 817_199, lengths(&[16, 19])),
        // RuPay
        (817_200, 817_204, lengths(&[16])),
        (819_700, 820_199, lengths(&[16])),
    ],
    &[
        // Troy
        (979_200, 979_289, lengths(&[16])),
    ],
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
    let issuers = digits.first().and_then(|first| ISSUERS.get(usize::from(first - b'0')));
    issuers
        .iter()
        .flat_map(|issuers| issuers.iter())
        .any(|(low, high, lengths)| (*low..=*high).contains(&first) && lengths & length != 0)
}

/// ISO/IEC 7812-1 annex B.
fn has_check_digit(digits: &[u8]) -> bool {
    let mut sum = 0;
    let mut rest = digits;
    while let [front @ .., doubled, single] = rest {
        let digit = u32::from(doubled - b'0');
        sum += 2 * digit - if digit > 4 { 9 } else { 0 } + u32::from(single - b'0');
        rest = front;
    }
    sum += rest.first().map_or(0, |single| u32::from(single - b'0'));
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
