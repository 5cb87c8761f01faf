//! How the session reads text, as far as the target has said, and whether that still holds when
//! the next text reaches it. Knows settings by name, not the commands that change them.
//!
//! A server reports changed settings with ReadyForQuery, so a text that is sent right behind a
//! command that may change them has to wait, or counts as unreadable.

use crate::model::command::Lexing;
use crate::wire::postgres::startup::encoding_key;

#[derive(Default)]
pub struct LexingState {
    backslash_escapes: bool,
    /// `None` until the target has named its encoding; then nothing is known to be safe.
    safe_encoding: Option<bool>,
    /// The settings were unusual at some time, so that a rollback or a reset may bring that back.
    unusual_once: bool,
    /// A command that may change them is under way.
    in_flight: bool,
}

impl LexingState {
    pub fn reported(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.backslash_escapes = value != b"on",
            b"client_encoding" => self.safe_encoding = Some(is_safe(value)),
            _ => return,
        }
        self.unusual_once |= self.backslash_escapes || self.safe_encoding == Some(false);
    }

    pub fn change_sent(&mut self) {
        self.in_flight = true;
    }

    /// Everything that was sent has been answered, and what changed has been reported.
    pub fn settled(&mut self) {
        self.in_flight = false;
    }

    /// What was sent but not answered may change how the next text is read.
    pub fn in_doubt(&self) -> bool {
        self.in_flight || self.unusual_once
    }

    pub fn now(&self) -> Lexing {
        Lexing {
            standard_strings: !self.backslash_escapes,
            safe_encoding: self.safe_encoding.unwrap_or(false),
        }
    }

    /// What is to be assumed while it is in doubt.
    pub fn doubtful(&self) -> Lexing {
        Lexing { safe_encoding: false, ..self.now() }
    }
}

/// Every byte of a character beyond ASCII has its high bit set. An encoding that is not known to
/// be so is taken for one that hides quotes and backslashes in second bytes.
fn is_safe(value: &[u8]) -> bool {
    const WHOLE: &[&[u8]] =
        &[b"utf8", b"unicode", b"sqlascii", b"muleinternal", b"koi8r", b"koi8u", b"koi8"];
    const FAMILIES: &[&[u8]] = &[b"latin", b"iso8859", b"win", b"euc"];
    let key = encoding_key(value);
    WHOLE.contains(&key.as_slice()) || FAMILIES.iter().any(|family| key.starts_with(family))
}
