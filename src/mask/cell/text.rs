//! Stand-ins of text. Characters are counted as UTF-8; text of another encoding is counted in
//! bytes, and only stars, labels and digests stand in for it.
//!
//! A pseudonym of an e-mail address is an address that nobody has; of other text, each letter and
//! digit becomes another of its kind, and the rest stays. All letters hang on the whole text.

use crate::model::mask::Strategy;

use super::keys::Draw;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::numerals;

pub(super) const LABEL: &[u8] = b"[redacted]";
pub(super) const EMAIL_PREFIX: &[u8] = b"u-";
pub(super) const EMAIL_SUFFIX: &[u8] = b"@pseudonym.invalid";
pub(super) const DIGEST_PREFIX: &[u8] = b"h-";
pub(super) const EMAIL_HEX: usize = 12;
pub(super) const DIGEST_HEX: usize = 16;

pub(super) fn replace(
    strategy: Strategy,
    max_chars: Option<u32>,
    pads: bool,
    cell: &[u8],
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let start = out.len();
    let content = if pads { trimmed(cell) } else { cell };
    match strategy {
        Strategy::Null => return None,
        Strategy::Redact | Strategy::Year => out.extend_from_slice(LABEL),
        Strategy::Mask => stars(content, out),
        Strategy::Partial { keep_first, keep_last } => {
            partial(usize::from(keep_first), usize::from(keep_last), content, out);
        }
        Strategy::Hash => {
            digest(&mut keys.draw(Purpose::Hash, Kind::Text, content), out);
        }
        Strategy::Pseudonym => pseudonym(max_chars, content, keys, out),
        Strategy::Fpe => {
            out.extend_from_slice(content);
            let written = out.get_mut(start..).unwrap_or_default();
            if numerals::encrypt_within(keys, written, false).is_none() {
                out.truncate(start);
                out.extend_from_slice(LABEL);
            }
        }
    }
    if let Some(max_chars) = max_chars {
        fit(max_chars as usize, pads, start, out);
    }
    Some(())
}

/// As many stars as there are characters.
pub(super) fn stars(text: &[u8], out: &mut Vec<u8>) {
    out.resize(out.len() + chars(text), b'*');
}

/// `h-` and 16 hexadecimal digits.
pub(super) fn digest(draw: &mut Draw<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(DIGEST_PREFIX);
    hex(draw, DIGEST_HEX, out);
}

pub(super) fn chars(text: &[u8]) -> usize {
    // Counting all bytes that do not continue a character is right for valid text only.
    match std::str::from_utf8(text) {
        Ok(text) => text.chars().count(),
        Err(_) => text.len(),
    }
}

pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let spaces = text.iter().rev().take_while(|byte| **byte == b' ').count();
    text.get(..text.len() - spaces).unwrap_or_default()
}

fn hex(draw: &mut Draw<'_>, digits: usize, out: &mut Vec<u8>) {
    for _ in 0..digits / 2 {
        let byte = draw.byte();
        out.extend([byte >> 4, byte & 15].map(hex_digit));
    }
}

pub(super) const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

/// Cuts to what the type allows, and fills up.
fn fit(max_chars: usize, pads: bool, start: usize, out: &mut Vec<u8>) {
    let written = out.get(start..).unwrap_or_default();
    let count = chars(written);
    if count > max_chars {
        let cut = match std::str::from_utf8(written) {
            Ok(text) => text.char_indices().nth(max_chars).map_or(text.len(), |(at, _)| at),
            Err(_) => max_chars,
        };
        out.truncate(start + cut);
    } else if pads {
        out.resize(out.len() + max_chars - count, b' ');
    }
}

/// What groups the digits of numbers that people write. It says nothing, and forms want it.
fn is_separator(char: char) -> bool {
    matches!(char, ' ' | '-' | '.' | '/' | ':' | '(' | ')')
}

/// Keeps the ends, but never more than half of what is not a separator.
fn partial(keep_first: usize, keep_last: usize, text: &[u8], out: &mut Vec<u8>) {
    let Ok(text) = std::str::from_utf8(text) else { return stars(text, out) };
    let total = text.chars().filter(|char| !is_separator(*char)).count();
    let keep_last = keep_last.min(total / 2);
    let keep_first = keep_first.min(total / 2 - keep_last);
    let mut at = 0;
    for char in text.chars() {
        let stays = if total == 0 {
            // A text of separators alone would stand there as it is.
            false
        } else if is_separator(char) {
            true
        } else {
            at += 1;
            at <= keep_first || at > total - keep_last
        };
        let char = if stays { char } else { '*' };
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn pseudonym(max_chars: Option<u32>, text: &[u8], keys: &Keys, out: &mut Vec<u8>) {
    let Ok(text) = std::str::from_utf8(text) else {
        return digest(&mut keys.draw(Purpose::Pseudonym, Kind::Text, text), out);
    };
    if is_email(text) {
        let mut draw = email(text, keys);
        out.extend_from_slice(EMAIL_PREFIX);
        hex(&mut draw, EMAIL_HEX, out);
        let whole = EMAIL_PREFIX.len() + EMAIL_HEX + EMAIL_SUFFIX.len();
        if max_chars.is_none_or(|max| whole <= max as usize) {
            out.extend_from_slice(EMAIL_SUFFIX);
        }
        return;
    }
    let mut draw = keys.draw(Purpose::Pseudonym, Kind::Text, text.as_bytes());
    for char in text.chars() {
        let other = if char.is_numeric() {
            char::from(b'0' + draw.byte() % 10)
        } else if char.is_uppercase() {
            char::from(b'A' + draw.byte() % 26)
        } else if char.is_ascii() && !char.is_ascii_lowercase() {
            char
        } else {
            // What stands outside of ASCII may be a letter of a script that this build has no
            // table for; none of it stays.
            char::from(b'a' + draw.byte() % 26)
        };
        out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Addresses that differ in the case of letters reach the same person.
fn email<'a>(text: &str, keys: &'a Keys) -> Draw<'a> {
    let mut digest = keys.digest(Purpose::Pseudonym, Kind::Email);
    for piece in text.as_bytes().chunks(64) {
        let mut lower = [0; 64];
        let Some(lower) = lower.get_mut(..piece.len()) else { continue };
        lower.copy_from_slice(piece);
        lower.make_ascii_lowercase();
        digest.update(lower);
    }
    digest.finish()
}

/// The shape of an address: what a mail server would say to it is not asked.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let name = domain.trim_matches('.');
    text.len() <= EMAIL_BYTES_MAX
        && !local.is_empty()
        && name.len() == domain.len()
        && name.contains('.')
        && !domain.contains('@')
        && !text.contains(|char: char| char.is_whitespace() || char.is_control())
}

/// A path of RFC 5321 §4.5.3.1.3 is at most 256 octets, its local part 64 more.
const EMAIL_BYTES_MAX: usize = 320;
