//! Stand-ins of `numeric`. Its binary format counts in ten thousands; everything is done on the
//! decimal text, which stands in `out` for the while, and turned back at the end.
//!
//! ```text
//! | groups u16 | weight i16 | sign u16 | scale u16 | group u16 (0 to 9999) ...
//! ```
//! The first group counts `10000 ^ weight`; the scale is how many decimals are shown.

use std::io::Write;

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::integer;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::numerals;

pub(super) fn replace(
    strategy: Strategy,
    whole_digits: Option<u32>,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = out.len();
    match strategy {
        Strategy::Null => return None,
        Strategy::Redact | Strategy::Mask | Strategy::Partial { .. } | Strategy::Year => {
            out.push(b'0');
        }
        Strategy::Hash => {
            let decimal = Decimal::read(cell, out)?;
            let mut draw = decimal.draw(Purpose::Hash, keys, out)?;
            let number = fitting(draw.below(HASH_VALUES), whole_digits);
            out.truncate(start);
            write!(out, "{number}").ok()?;
        }
        Strategy::Pseudonym => {
            let decimal = Decimal::read(cell, out)?;
            pseudonym(&decimal, whole_digits, keys, out)?;
        }
        Strategy::Fpe => {
            let decimal = Decimal::read(cell, out)?;
            if decimal.is_special() || encrypt(&decimal, keys, out).is_none() {
                out.truncate(start);
                out.push(b'0');
            }
        }
    }
    match cell.format {
        Format::Text => Some(()),
        Format::Binary => encode(start, out),
    }
}

/// Equal numbers have equal stand-ins, however many zeros they show. A whole number has that of an
/// integer column, unless its own column is too narrow for it.
fn pseudonym(
    decimal: &Decimal,
    whole_digits: Option<u32>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = decimal.start;
    let scale = decimal.decimals(out).len().min(SCALE_MAX);
    let whole = decimal.whole(out).and_then(|text| text.parse::<i64>().ok());
    let number = match whole {
        Some(whole) if decimal.significant(out).is_empty() => {
            u64::try_from(integer::wide_pseudonym(whole, keys)?).ok()?
        }
        Some(_) | None => {
            let digits = decimal.point.saturating_sub(start).clamp(6, 18);
            let values = 10_u64.checked_pow(u32::try_from(digits).ok()?)?;
            decimal.draw(Purpose::Pseudonym, keys, out)?.below(values)
        }
    };
    let number = fitting(number, whole_digits);
    out.truncate(start);
    write!(out, "{number}").ok()?;
    if scale > 0 {
        out.push(b'.');
        out.resize(out.len() + scale, b'0');
    }
    Some(())
}

/// The last digits of `number`, as many as the column takes.
fn fitting(number: u64, whole_digits: Option<u32>) -> u64 {
    let end = whole_digits.and_then(|digits| 10_u64.checked_pow(digits));
    end.and_then(|end| number.checked_rem(end)).unwrap_or(number)
}

fn encrypt(decimal: &Decimal, keys: &Keys, out: &mut [u8]) -> Option<()> {
    // A lone zero before the point is no digit of the number.
    let is_fraction = decimal.whole(out)?.trim_start_matches('-') == "0";
    let from = if is_fraction { decimal.point } else { decimal.start };
    numerals::encrypt_within(keys, out.get_mut(from..)?, !is_fraction)
}

/// Where in `out` the parts of a decimal text stand: sign and digits, a point, digits.
struct Decimal {
    start: usize,
    /// Where the point is, or the end.
    point: usize,
}

impl Decimal {
    fn read(cell: Cell<'_>, out: &mut Vec<u8>) -> Option<Self> {
        let start = out.len();
        match cell.format {
            Format::Text => {
                check(cell.bytes)?;
                out.extend_from_slice(cell.bytes);
            }
            Format::Binary => decode(cell.bytes, out)?,
        }
        let text = out.get(start..)?;
        let point = start + text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
        Some(Self { start, point })
    }

    fn is_special(&self) -> bool {
        self.start == self.point
    }

    fn whole<'a>(&self, out: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(out.get(self.start..self.point)?).ok()
    }

    fn decimals<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        out.get(self.point + 1..).unwrap_or_default()
    }

    /// The decimals without the zeros behind them.
    fn significant<'a>(&self, out: &'a [u8]) -> &'a [u8] {
        let decimals = self.decimals(out);
        let zeros = decimals.iter().rev().take_while(|byte| **byte == b'0').count();
        decimals.get(..decimals.len() - zeros).unwrap_or_default()
    }

    fn draw<'a>(
        &self,
        purpose: Purpose,
        keys: &'a Keys,
        out: &[u8],
    ) -> Option<super::keys::Draw<'a>> {
        let mut digest = keys.digest(purpose, Kind::Numeric);
        digest.update(out.get(self.start..self.point)?);
        digest.update(b".");
        digest.update(self.significant(out));
        Some(digest.finish())
    }
}

/// As the server writes it: no exponent, no spaces, no zeros in front.
fn check(text: &[u8]) -> Option<()> {
    if SPECIALS.iter().any(|(_, name)| *name == text) {
        return Some(());
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, decimals) = digits.split_at(point);
    let decimals = decimals.strip_prefix(b".").unwrap_or(b"0");
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let leads_well = whole == b"0" || !whole.starts_with(b"0");
    (is_number(whole) && is_number(decimals) && leads_well).then_some(())
}

fn decode(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (header, content) = cell.split_first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    let count = usize::from(u16::from_be_bytes([a, b]));
    let weight = i32::from(i16::from_be_bytes([c, d]));
    let sign = u16::from_be_bytes([e, f]);
    let scale = usize::from(u16::from_be_bytes([g, h]));
    let (groups, rest) = content.as_chunks::<2>();
    if groups.len() != count || !rest.is_empty() {
        return None;
    }
    if let Some((_, name)) = SPECIALS.iter().find(|(code, _)| *code == sign) {
        out.extend_from_slice(name);
        return Some(());
    }
    let wholes = usize::try_from(weight + 1).unwrap_or(0);
    // Eight bytes can claim a hundred thousand zeros; who makes them all would be kept busy.
    if sign & !NEGATIVE != 0 || wholes > count + SPARE_GROUPS || scale / 4 > count + SPARE_GROUPS {
        return None;
    }
    if sign == NEGATIVE {
        out.push(b'-');
    }
    let group = |at: i32| {
        let group = usize::try_from(at).ok().and_then(|at| groups.get(at));
        u16::from_be_bytes(group.copied().unwrap_or_default())
    };
    if groups.iter().any(|group| u16::from_be_bytes(*group) > 9999) {
        return None;
    }
    let digits_from = out.len();
    for at in 0..=weight {
        write!(out, "{:04}", group(at)).ok()?;
    }
    let written = out.get(digits_from..)?;
    let zeros = written.iter().take_while(|byte| **byte == b'0').count();
    out.drain(digits_from..digits_from + zeros);
    if out.len() == digits_from {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut at = weight + 1;
        if weight < -1 {
            // Groups before the first one are zeros.
            at = 0;
            let zeros = usize::try_from(-1 - weight).ok()?.saturating_mul(4);
            out.resize((out.len() + zeros).min(end), b'0');
        }
        while out.len() < end {
            write!(out, "{:04}", group(at)).ok()?;
            at += 1;
        }
        out.truncate(end);
    }
    Some(())
}

/// Turns the decimal text from `start` on into the binary format.
fn encode(start: usize, out: &mut Vec<u8>) -> Option<()> {
    let end = out.len();
    let text = out.get(start..end)?;
    let is_negative = text.starts_with(b"-");
    let first = start + usize::from(is_negative);
    let point = start + text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let scale = end.saturating_sub(point + 1);
    // Digits are counted from the point, in fours: in front of it and behind it.
    let wholes = (point - first).div_ceil(4);
    let parts = scale.div_ceil(4);
    let header = out.len();
    out.extend([0; 8]);
    let (mut weight, mut leading) = (i16::try_from(wholes).ok()? - 1, true);
    for group in 0..wholes + parts {
        let mut value = 0;
        for place in 0..4 {
            // In front: the place's distance from the point; behind: past the point itself.
            let digit = if group < wholes {
                point.checked_sub((wholes - group) * 4 - place).filter(|at| *at >= first)
            } else {
                Some(point + 1 + (group - wholes) * 4 + place).filter(|at| *at < end)
            };
            let digit = digit.and_then(|at| out.get(at)).map_or(0, |digit| digit - b'0');
            value = value * 10 + u16::from(digit);
        }
        if leading && value == 0 {
            weight = weight.checked_sub(1)?;
            continue;
        }
        leading = false;
        out.extend(value.to_be_bytes());
    }
    while out.len() > header + 8 && out.ends_with(&[0, 0]) {
        out.truncate(out.len() - 2);
    }
    let groups = u16::try_from((out.len() - header - 8) / 2).ok()?;
    let (weight, sign) = match groups {
        0 => (0, 0),
        _ => (weight, if is_negative { NEGATIVE } else { 0 }),
    };
    let fields = [
        groups.to_be_bytes(),
        weight.to_be_bytes(),
        sign.to_be_bytes(),
        u16::try_from(scale).ok()?.to_be_bytes(),
    ];
    let place = out.get_mut(header..header + 8)?;
    place.iter_mut().zip(fields.iter().flatten()).for_each(|(to, from)| *to = *from);
    out.drain(start..header);
    Some(())
}

const NEGATIVE: u16 = 0x4000;
const SPECIALS: [(u16, &[u8]); 3] =
    [(0xc000, b"NaN"), (0xd000, b"Infinity"), (0xf000, b"-Infinity")];
/// Zeros that a number may have beyond its own groups: a thousand digits.
const SPARE_GROUPS: usize = 256;
/// Zeros that a pseudonym shows behind its point.
const SCALE_MAX: usize = 38;
const HASH_VALUES: u64 = 1_000_000_000_000_000;
