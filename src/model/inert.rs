//! Text from strangers, made harmless for whatever shows it. Knows which characters act upon a
//! terminal or a reader; not who shows them.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with the characters that `acts` names shown by their codes.
#[must_use]
pub fn escape_where(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&acts) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            harmless if !acts(harmless) => safe.push(harmless),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // Writing to a String cannot fail.
            ascii @ '\0'..='\u{7f}' => {
                let _ = write!(safe, "\\x{:02x}", u32::from(ascii));
            }
            other => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(other));
            }
        }
    }
    Cow::Owned(safe)
}

/// Whether a character does more than stand there. Control characters of both sets, marks of direction, separators of lines, characters without
/// width, and tags.
#[must_use]
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}
