//! International bank account numbers (ISO 13616): a country's length and kinds of characters, and
//! the check digits. Upper or lower case, grouped by spaces or not.

use std::ops::Range;

use crate::scan::class::{before, byte, is_word};

/// The longest in the registry.
const CHARACTERS_MAX: usize = 33;

/// The number that begins with the letter at `start`.
pub(in crate::scan) fn find(cell: &[u8], start: usize) -> Option<Range<usize>> {
    let structure = structure_in([byte(cell, start), byte(cell, start + 1)])?;
    if is_word(before(cell, start, 1)) {
        return None;
    }
    let mut text = [0_u8; CHARACTERS_MAX];
    let total = 4 + structure.iter().map(|(count, _)| count).sum::<usize>();
    let is_grouped = byte(cell, start + 4) == b' ';
    let mut at = start;
    for (index, slot) in text.get_mut(..total)?.iter_mut().enumerate() {
        if is_grouped && index > 0 && index % 4 == 0 {
            if byte(cell, at) != b' ' {
                return None;
            }
            at += 1;
        }
        let character = byte(cell, at).to_ascii_uppercase();
        if !is_word(character) {
            return None;
        }
        *slot = character;
        at += 1;
    }
    let text = text.get(..total)?;
    let is_whole = !is_word(byte(cell, at)) && byte(cell, at) != b'_';
    (is_whole && is_structured(text.get(4..)?, structure) && has_check_digits(text))
        .then_some(start..at)
}

fn structure_in([first, second]: [u8; 2]) -> Option<Structure> {
    let letter = |byte: u8| usize::from(byte.to_ascii_uppercase()).checked_sub(usize::from(b'A'));
    let index = letter(first)? * LETTERS + letter(second)?;
    let place = PLACES.get(index).copied().filter(|place| *place > 0)?;
    STRUCTURES.get(usize::from(place) - 1).map(|(_, structure)| *structure)
}

fn is_structured(account: &[u8], structure: Structure) -> bool {
    let mut rest = account;
    structure.iter().all(|(count, kind)| {
        let Some((part, after)) = rest.split_at_checked(*count) else { return false };
        rest = after;
        part.iter().all(|character| match kind {
            Kind::Digit => character.is_ascii_digit(),
            Kind::Letter => character.is_ascii_uppercase(),
            Kind::Either => true,
        })
    })
}

/// ISO 7064, MOD 97-10: the number with its first four characters at the end, letters as 10 to 35.
fn has_check_digits(text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_at_checked(4) else { return false };
    // 00, 01 and 99 leave the same remainders as 97, 98 and 02, and are never issued.
    if matches!(first.get(2..), Some(b"00" | b"01" | b"99")) {
        return false;
    }
    let remainder = rest.iter().chain(first).fold(0_u32, |sum, character| match character {
        b'0'..=b'9' => (sum * 10 + u32::from(character - b'0')) % 97,
        letter => (sum * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    remainder == 1
}

/// Counts of characters and their kinds, in order.
type Structure = &'static [(usize, Kind)];

#[derive(Clone, Copy)]
enum Kind {
    Digit,
    Letter,
    Either,
}

use Kind::{Digit as N, Either as C, Letter as A};

const LETTERS: usize = 26;

/// Of each two letters, the place in the table plus one: words with digits behind two letters are
/// common, and few of them begin with a country.
const PLACES: [u8; LETTERS * LETTERS] = {
    let mut places = [0; LETTERS * LETTERS];
    let mut rest = STRUCTURES;
    let mut place = 0;
    while let [(country, _), others @ ..] = rest {
        let [first, second] = **country;
        let index = (first - b'A') as usize * LETTERS + (second - b'A') as usize;
        place += 1;
        if let (_, [slot, ..]) = places.split_at_mut(index) {
            *slot = place;
        }
        rest = others;
    }
    places
};

/// What follows the check digits, by country (the registry's `n`, `a` and `c`).
const STRUCTURES: &[(&[u8; 2], Structure)] = &[
    (b"AD", &[(8, N), (12, C)]),
    (b"AE", &[(19, N)]),
    (b"AL", &[(8, N), (16, C)]),
    (b"AT", &[(16, N)]),
    (b"AZ", &[(4, A), (20, C)]),
    (b"BA", &[(16, N)]),
    (b"BE", &[(12, N)]),
    (b"BG", &[(4, A), (6, N), (8, C)]),
    (b"BH", &[(4, A), (14, C)]),
    (b"BI", &[(23, N)]),
    (b"BR", &[(23, N), (1, A), (1, C)]),
    (b"BY", &[(4, C), (4, N), (16, C)]),
    (b"CH", &[(5, N), (12, C)]),
    (b"CR", &[(18, N)]),
    (b"CY", &[(8, N), (16, C)]),
    (b"CZ", &[(20, N)]),
    (b"DE", &[(18, N)]),
    (b"DJ", &[(23, N)]),
    (b"DK", &[(14, N)]),
    (b"DO", &[(4, C), (20, N)]),
    (b"EE", &[(16, N)]),
    (b"EG", &[(25, N)]),
    (b"ES", &[(20, N)]),
    (b"FI", &[(14, N)]),
    (b"FK", &[(2, A), (12, N)]),
    (b"FO", &[(14, N)]),
    (b"FR", &[(10, N), (11, C), (2, N)]),
    (b"GB", &[(4, A), (14, N)]),
    (b"GE", &[(2, A), (16, N)]),
    (b"GI", &[(4, A), (15, C)]),
    (b"GL", &[(14, N)]),
    (b"GR", &[(7, N), (16, C)]),
    (b"GT", &[(24, C)]),
    (b"HN", &[(4, A), (20, N)]),
    (b"HR", &[(17, N)]),
    (b"HU", &[(24, N)]),
    (b"IE", &[(4, A), (14, N)]),
    (b"IL", &[(19, N)]),
    (b"IQ", &[(4, A), (15, N)]),
    (b"IS", &[(22, N)]),
    (b"IT", &[(1, A), (10, N), (12, C)]),
    (b"JO", &[(4, A), (4, N), (18, C)]),
    (b"KW", &[(4, A), (22, C)]),
    (b"KZ", &[(3, N), (13, C)]),
    (b"LB", &[(4, N), (20, C)]),
    (b"LC", &[(4, A), (24, C)]),
    (b"LI", &[(5, N), (12, C)]),
    (b"LT", &[(16, N)]),
    (b"LU", &[(3, N), (13, C)]),
    (b"LV", &[(4, A), (13, C)]),
    (b"LY", &[(21, N)]),
    (b"MC", &[(10, N), (11, C), (2, N)]),
    (b"MD", &[(20, C)]),
    (b"ME", &[(18, N)]),
    (b"MK", &[(3, N), (10, C), (2, N)]),
    (b"MN", &[(16, N)]),
    (b"MR", &[(23, N)]),
    (b"MT", &[(4, A), (5, N), (18, C)]),
    (b"MU", &[(4, A), (19, N), (3, A)]),
    (b"NI", &[(4, A), (20, N)]),
    (b"NL", &[(4, A), (10, N)]),
    (b"NO", &[(11, N)]),
    (b"OM", &[(3, N), (16, C)]),
    (b"PK", &[(4, A), (16, C)]),
    (b"PL", &[(24, N)]),
    (b"PS", &[(4, A), (21, C)]),
    (b"PT", &[(21, N)]),
    (b"QA", &[(4, A), (21, C)]),
    (b"RO", &[(4, A), (16, C)]),
    (b"RS", &[(18, N)]),
    (b"RU", &[(14, N), (15, C)]),
    (b"SA", &[(2, N), (18, C)]),
    (b"SC", &[(4, A), (20, N), (3, A)]),
    (b"SD", &[(14, N)]),
    (b"SE", &[(20, N)]),
    (b"SI", &[(15, N)]),
    (b"SK", &[(20, N)]),
    (b"SM", &[(1, A), (10, N), (12, C)]),
    (b"SO", &[(19, N)]),
    (b"ST", &[(21, N)]),
    (b"SV", &[(4, A), (20, N)]),
    (b"TL", &[(19, N)]),
    (b"TN", &[(20, N)]),
    (b"TR", &[(6, N), (16, C)]),
    (b"UA", &[(6, N), (19, C)]),
    (b"VA", &[(18, N)]),
    (b"VG", &[(4, A), (16, N)]),
    (b"XK", &[(16, N)]),
    (b"YE", &[(4, A), (4, N), (18, C)]),
];
