//! How arrays and composites quote what they hold as text.

use std::borrow::Cow;

/// The characters that end an item and those that force quotes around one.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// Items are quoted with `\` in front of quotes.
    Array { delimiter: u8 },
    /// Items are quoted with quotes and `\` doubled.
    Composite,
}

/// One item, and what follows it.
pub(super) enum Item<'a> {
    Null,
    Value(Cow<'a, [u8]>),
}

impl Style {
    /// Reads an item up to what ends it.
    pub(super) fn read(self, text: &[u8]) -> Option<(Item<'_>, &[u8])> {
        if let Some(rest) = text.strip_prefix(b"\"") {
            let (value, rest) = self.quoted(rest)?;
            return Some((Item::Value(value), rest));
        }
        let end = text.iter().position(|byte| self.ends(*byte)).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        // The server quotes what holds one of them.
        if value.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
            return None;
        }
        let item = match self {
            Self::Array { .. } if value.is_empty() => return None,
            Self::Array { .. } if value.eq_ignore_ascii_case(b"NULL") => Item::Null,
            Self::Composite if value.is_empty() => Item::Null,
            Self::Array { .. } | Self::Composite => Item::Value(Cow::Borrowed(value)),
        };
        Some((item, rest))
    }

    /// Behind the opening quote.
    fn quoted(self, text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
        let mut value = Vec::new();
        let mut rest = text;
        loop {
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let (before, after) = rest.split_at(plain);
            let (literal, after) = match (after, self) {
                ([b'\\', literal, after @ ..], _) => (literal, after),
                ([b'"', b'"', after @ ..], Self::Composite) => (&b'"', after),
                ([b'"', after @ ..], _) if value.is_empty() => {
                    return Some((Cow::Borrowed(before), after));
                }
                ([b'"', after @ ..], _) => {
                    value.extend_from_slice(before);
                    return Some((Cow::Owned(value), after));
                }
                (_, _) => return None,
            };
            value.extend_from_slice(before);
            value.push(*literal);
            rest = after;
        }
    }

    const fn ends(self, byte: u8) -> bool {
        match self {
            Self::Array { delimiter } => byte == delimiter || matches!(byte, b'{' | b'}'),
            Self::Composite => matches!(byte, b',' | b'(' | b')'),
        }
    }

    /// Puts quotes around what was written from `start` on, if it needs them.
    pub(super) fn quote(self, start: usize, out: &mut Vec<u8>) {
        let written = out.get(start..).unwrap_or_default();
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
        let is_escaped = |byte: &u8| matches!(byte, b'"' | b'\\');
        let reads_as_null = match self {
            Self::Array { .. } => written.eq_ignore_ascii_case(b"NULL"),
            Self::Composite => false,
        };
        let needs_quotes = written.is_empty()
            || reads_as_null
            || written.iter().any(|byte| self.ends(*byte) || is_space(byte) || is_escaped(byte));
        if !needs_quotes {
            return;
        }
        let escaped = written.iter().filter(|byte| is_escaped(byte)).count();
        let mut read = out.len();
        out.resize(read + escaped + 2, b'"');
        let mut write = out.len() - 1;
        // From the back, so that nothing is overwritten before it is moved.
        while read > start {
            read -= 1;
            let byte = out.get(read).copied().unwrap_or_default();
            write -= 1;
            put(out, write, byte);
            if is_escaped(&byte) {
                write -= 1;
                let escape = match self {
                    Self::Array { .. } => b'\\',
                    Self::Composite => byte,
                };
                put(out, write, escape);
            }
        }
        put(out, start, b'"');
    }
}

fn put(out: &mut [u8], at: usize, byte: u8) {
    if let Some(to) = out.get_mut(at) {
        *to = byte;
    }
}
