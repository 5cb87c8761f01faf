//! Stand-ins of whole numbers and of floating ones.
//!
//! A pseudonym of a whole number is another of the same size class, not below zero: a permutation,
//! so that two keys of a table never meet in one. The class is whether 32 bits hold it, and not
//! which column it stands in, so that a reference of another width still finds its key. Only 16
//! bits are too few for that: there numbers may meet.

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::Shape;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::numerals;

use std::io::Write;

pub(super) fn replace(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let width = Width::of(cell.shape)?;
    let number = match strategy {
        Strategy::Null => return None,
        Strategy::Redact | Strategy::Mask | Strategy::Partial { .. } | Strategy::Year => 0,
        Strategy::Hash => {
            let number = width.read(cell)?;
            let mut draw = keys.draw(Purpose::Hash, Kind::Integer, &number.to_be_bytes());
            i64::try_from(draw.below(width.values())).ok()?
        }
        Strategy::Pseudonym => {
            let number = width.read(cell)?;
            match width {
                Width::Two => {
                    let value = number.to_be_bytes();
                    let mut draw = keys.draw(Purpose::Pseudonym, Kind::Integer, &value);
                    i64::try_from(draw.below(width.values())).ok()?
                }
                Width::Four | Width::Eight | Width::Unsigned => pseudonym(width, number, keys)?,
            }
        }
        Strategy::Fpe => encrypted(width, width.read(cell)?, keys).unwrap_or(0),
    };
    width.write(cell.format, number, out)
}

/// The stand-in of a whole number that `numeric` and `bigint` share.
pub(super) fn wide_pseudonym(number: i64, keys: &Keys) -> Option<i64> {
    pseudonym(Width::Eight, number, keys)
}

fn pseudonym(width: Width, number: i64, keys: &Keys) -> Option<i64> {
    let (tweak, bits, base) = if let Ok(number) = i32::try_from(number) {
        (if number < 0 { "-4" } else { "4" }, 31, 0)
    } else if width == Width::Unsigned {
        ("u", 31, 1 << 31)
    } else {
        (if number < 0 { "-8" } else { "8" }, 63, 0)
    };
    // The bits without the sign: of a negative number they are those of its complement.
    let plain = u64::try_from(if number < 0 { !number } else { number - base }).ok()?;
    let other = keys.permute(tweak.as_bytes(), bits, plain)?;
    i64::try_from(other).ok()?.checked_add(base)
}

/// As many digits, and the sign; `None` where there are too few.
fn encrypted(width: Width, number: i64, keys: &Keys) -> Option<i64> {
    let mut text = [0; 20];
    let mut rest = text.as_mut_slice();
    write!(rest, "{}", number.unsigned_abs()).ok()?;
    let unused = rest.len();
    let length = text.len() - unused;
    let digits = text.get_mut(..length)?;
    if length < numerals::DIGITS_MIN {
        return None;
    }
    let max = width.values() - 1 + u64::from(number < 0);
    numerals::walk(
        digits,
        |digits| keys.encrypt_digits(&[], digits),
        |digits| !digits.starts_with(b"0") && unsigned(digits).is_some_and(|it| it <= max),
    )?;
    let magnitude = i128::from(unsigned(digits)?);
    i64::try_from(if number < 0 { -magnitude } else { magnitude }).ok()
}

fn unsigned(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Two,
    Four,
    Eight,
    /// Four bytes without a sign.
    Unsigned,
}

impl Width {
    fn of(shape: &Shape) -> Option<Self> {
        if shape == &Shape::Int2 {
            Some(Self::Two)
        } else if shape == &Shape::Int4 {
            Some(Self::Four)
        } else if shape == &Shape::Int8 {
            Some(Self::Eight)
        } else {
            (shape == &Shape::Oid).then_some(Self::Unsigned)
        }
    }

    /// How many numbers from zero on it holds.
    const fn values(self) -> u64 {
        match self {
            Self::Two => 1 << 15,
            Self::Four => 1 << 31,
            Self::Eight => 1 << 63,
            Self::Unsigned => 1 << 32,
        }
    }

    fn read(self, cell: Cell<'_>) -> Option<i64> {
        match cell.format {
            Format::Text => {
                let text = std::str::from_utf8(cell.bytes).ok()?;
                // What follows is read by another grammar than the server's.
                if text.starts_with('+') {
                    return None;
                }
                match self {
                    Self::Two => text.parse::<i16>().ok().map(i64::from),
                    Self::Four => text.parse::<i32>().ok().map(i64::from),
                    Self::Eight => text.parse().ok(),
                    Self::Unsigned => text.parse::<u32>().ok().map(i64::from),
                }
            }
            Format::Binary => {
                let bytes = cell.bytes;
                match self {
                    Self::Two => bytes.try_into().ok().map(|it| i16::from_be_bytes(it).into()),
                    Self::Four => bytes.try_into().ok().map(|it| i32::from_be_bytes(it).into()),
                    Self::Eight => bytes.try_into().ok().map(i64::from_be_bytes),
                    Self::Unsigned => bytes.try_into().ok().map(|it| u32::from_be_bytes(it).into()),
                }
            }
        }
    }

    fn write(self, format: Format, number: i64, out: &mut Vec<u8>) -> Option<()> {
        match format {
            Format::Text => write!(out, "{number}").ok()?,
            Format::Binary => match self {
                Self::Two => out.extend(i16::try_from(number).ok()?.to_be_bytes()),
                Self::Four => out.extend(i32::try_from(number).ok()?.to_be_bytes()),
                Self::Eight => out.extend(number.to_be_bytes()),
                Self::Unsigned => out.extend(u32::try_from(number).ok()?.to_be_bytes()),
            },
        }
        Some(())
    }
}

pub(super) fn float(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let is_single = cell.shape == &Shape::Float4;
    let number = match strategy {
        Strategy::Null => return None,
        Strategy::Redact
        | Strategy::Mask
        | Strategy::Hash
        | Strategy::Fpe
        | Strategy::Partial { .. }
        | Strategy::Year => 0,
        Strategy::Pseudonym => {
            let value = read_float(is_single, cell)?;
            // All that are not a number are one value, and so are both zeros.
            let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
            let mut draw =
                keys.draw(Purpose::Pseudonym, Kind::Float, &value.to_bits().to_be_bytes());
            u32::try_from(draw.below(FLOAT_VALUES)).ok()?
        }
    };
    match (cell.format, is_single) {
        (Format::Text, _) => write!(out, "{number}").ok()?,
        (Format::Binary, true) => out.extend((number as f32).to_be_bytes()),
        (Format::Binary, false) => out.extend(f64::from(number).to_be_bytes()),
    }
    Some(())
}

fn read_float(is_single: bool, cell: Cell<'_>) -> Option<f64> {
    match (cell.format, is_single) {
        (Format::Text, true) => {
            std::str::from_utf8(cell.bytes).ok()?.parse::<f32>().ok().map(f64::from)
        }
        (Format::Text, false) => std::str::from_utf8(cell.bytes).ok()?.parse().ok(),
        (Format::Binary, true) => {
            cell.bytes.try_into().ok().map(|it| f32::from_be_bytes(it).into())
        }
        (Format::Binary, false) => cell.bytes.try_into().ok().map(f64::from_be_bytes),
    }
}

/// Whole numbers that both floating types hold exactly, and print without an exponent.
const FLOAT_VALUES: u64 = 1_000_000;
