//! Recognises stand-ins. Who writes one back would replace a true value by it.
//!
//! Labels, digests, addresses and stars are known by their form alone; a pseudonym of letters, a
//! number or a date looks like a true one and is not recognised.

use super::text::DIGEST_HEX;
use super::text::DIGEST_PREFIX;
use super::text::EMAIL_HEX;
use super::text::EMAIL_PREFIX;
use super::text::EMAIL_SUFFIX;
use super::text::LABEL;
use super::text::trimmed;

/// Whether `text`, one whole value, is a stand-in that was put in a value's place.
pub fn is_ours(text: &[u8]) -> bool {
    let text = trimmed(text);
    let bare = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    is_label(bare) || is_keyed(bare) || is_starred(bare) || is_element(bare)
}

/// The label, or what a narrow column left of it.
fn is_label(text: &[u8]) -> bool {
    text.len() >= LABEL_BYTES_MIN && LABEL.starts_with(text)
}

fn is_keyed(text: &[u8]) -> bool {
    if let Some(digits) = text.strip_prefix(DIGEST_PREFIX) {
        return is_hex(digits, DIGEST_HEX);
    }
    let Some(rest) = text.strip_prefix(EMAIL_PREFIX) else { return false };
    is_hex(rest.strip_suffix(EMAIL_SUFFIX).unwrap_or(rest), EMAIL_HEX)
}

fn is_element(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"<redacted") else { return false };
    match rest.strip_prefix(b">").and_then(|rest| rest.strip_suffix(b"</redacted>")) {
        Some(inside) => is_keyed(inside),
        None => rest == b"/>",
    }
}

fn is_hex(text: &[u8], digits: usize) -> bool {
    text.len() == digits && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// One block of stars, separators within it allowed, that is at least as long as what stands around
/// it: half of a value at most is kept.
fn is_starred(text: &[u8]) -> bool {
    let Some(first) = text.iter().position(|byte| *byte == b'*') else { return false };
    let last = text.iter().rposition(|byte| *byte == b'*').unwrap_or(first);
    let block = text.get(first..=last).unwrap_or_default();
    let stars = block.iter().filter(|byte| **byte == b'*').count();
    let kept = text.iter().filter(|byte| !is_separator(**byte) && is_start(**byte)).count() - stars;
    stars >= kept
        && block.iter().all(|byte| *byte == b'*' || is_separator(*byte))
        // Fewer in a row are a list's mark, a wildcard, a schedule.
        && block.windows(STARS_MIN).any(|row| row.iter().all(|byte| *byte == b'*'))
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/' | b':' | b'(' | b')')
}

/// Whether a character begins here.
const fn is_start(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

const STARS_MIN: usize = 3;
/// Fewer characters of the label are somebody's own word.
const LABEL_BYTES_MIN: usize = 5;
