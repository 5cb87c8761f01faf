//! Stand-ins of byte strings, in both of their text forms, and of bit strings.

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::Shape;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::text::hex_digit;

pub(super) fn replace(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let form = Form::of(cell);
    let purpose = match strategy {
        Strategy::Null => return None,
        Strategy::Redact | Strategy::Partial { .. } | Strategy::Fpe | Strategy::Year => {
            form.write(std::iter::empty(), out);
            return Some(());
        }
        Strategy::Mask => {
            let mut length = 0;
            form.read(cell.bytes, |_| length += 1)?;
            form.write(std::iter::repeat_n(0, length), out);
            return Some(());
        }
        Strategy::Hash => Purpose::Hash,
        Strategy::Pseudonym => Purpose::Pseudonym,
    };
    let mut digest = keys.digest(purpose, Kind::Bytes);
    let (mut piece, mut held) = ([0; 64], 0);
    form.read(cell.bytes, |byte| {
        if let Some(to) = piece.get_mut(held) {
            (*to, held) = (byte, held + 1);
        }
        if held == piece.len() {
            digest.update(&piece);
            held = 0;
        }
    })?;
    digest.update(piece.get(..held).unwrap_or_default());
    let bytes: [u8; 32] = digest.finish().bytes();
    form.write(bytes.into_iter(), out);
    Some(())
}

#[derive(Clone, Copy)]
enum Form {
    Raw,
    /// `\x` and two digits a byte.
    Hex,
    /// Printable bytes as they are, others as a backslash and three octal digits.
    Escape,
}

impl Form {
    fn of(cell: Cell<'_>) -> Self {
        match cell.format {
            Format::Binary => Self::Raw,
            Format::Text if cell.bytes.starts_with(b"\\x") => Self::Hex,
            Format::Text => Self::Escape,
        }
    }

    fn read(self, text: &[u8], mut each: impl FnMut(u8)) -> Option<()> {
        match self {
            Self::Raw => text.iter().for_each(|byte| each(*byte)),
            Self::Hex => {
                let (pairs, rest) = text.strip_prefix(b"\\x")?.as_chunks::<2>();
                if !rest.is_empty() {
                    return None;
                }
                for [high, low] in pairs {
                    each((nibble(*high)? << 4) | nibble(*low)?);
                }
            }
            Self::Escape => {
                let mut rest = text;
                while let [first, after @ ..] = rest {
                    rest = match (first, after) {
                        (b'\\', [b'\\', after @ ..]) => {
                            each(b'\\');
                            after
                        }
                        (
                            b'\\',
                            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..],
                        ) => {
                            each(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                            after
                        }
                        (b'\\', _) => return None,
                        (byte, after) => {
                            each(*byte);
                            after
                        }
                    };
                }
            }
        }
        Some(())
    }

    fn write(self, bytes: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
        match self {
            Self::Raw => out.extend(bytes),
            Self::Hex => {
                out.extend_from_slice(b"\\x");
                for byte in bytes {
                    out.extend([byte >> 4, byte & 15].map(hex_digit));
                }
            }
            Self::Escape => {
                for byte in bytes {
                    out.push(b'\\');
                    out.extend([byte >> 6, (byte >> 3) & 7, byte & 7].map(|digit| b'0' + digit));
                }
            }
        }
    }
}

pub(super) const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Zeros. A `bit` has the length that its type declares, which is no secret; a `varbit` has one of
/// its own.
pub(super) fn bits(strategy: Strategy, cell: Cell<'_>, out: &mut Vec<u8>) -> Option<()> {
    let keeps_length = match strategy {
        Strategy::Null => return None,
        Strategy::Mask => true,
        Strategy::Redact
        | Strategy::Hash
        | Strategy::Pseudonym
        | Strategy::Fpe
        | Strategy::Partial { .. }
        | Strategy::Year => cell.shape == &Shape::Bit,
    };
    match cell.format {
        Format::Text => {
            if !cell.bytes.iter().all(|byte| matches!(byte, b'0' | b'1')) {
                return None;
            }
            let length = if keeps_length { cell.bytes.len() } else { 0 };
            out.resize(out.len() + length, b'0');
        }
        Format::Binary => {
            let (count, content) = cell.bytes.split_first_chunk::<4>()?;
            let bits = usize::try_from(i32::from_be_bytes(*count)).ok()?;
            if content.len() != bits.div_ceil(8) {
                return None;
            }
            out.extend_from_slice(if keeps_length { count } else { &[0; 4] });
            out.resize(out.len() + if keeps_length { content.len() } else { 0 }, 0);
        }
    }
    Some(())
}
