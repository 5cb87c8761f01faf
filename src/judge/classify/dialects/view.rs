//! A text's tokens with the questions that all readers here ask of them: is this word that one,
//! how deep in parentheses does it stand, what name do these tokens make. Knows no statement.

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::lex::{Cut, Kind, Token};

pub(super) struct View<'t> {
    pub(super) text: &'t str,
    pub(super) dialect: Dialect,
    pub(super) tokens: &'t [Token],
    /// How many parentheses are open around each token. Those that open and close count as outside.
    depths: Vec<usize>,
    pub(super) unbalanced: bool,
}

/// A dotted name, by the position of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) parts: Vec<String>,
    /// Behind its last token.
    pub(super) end: usize,
}

impl Name {
    pub(super) fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    pub(super) fn is_one(&self, word: &str) -> bool {
        self.parts.len() == 1 && self.last().eq_ignore_ascii_case(word)
    }
}

impl<'t> View<'t> {
    pub(super) fn new(text: &'t str, dialect: Dialect, cut: &'t Cut) -> Self {
        let mut open = 0_usize;
        let mut unbalanced = false;
        let mut depths = Vec::with_capacity(cut.tokens.len());
        for token in &cut.tokens {
            let byte = mark(text, *token);
            if byte == Some(b')') {
                unbalanced |= open == 0;
                open = open.saturating_sub(1);
            }
            depths.push(open);
            open += usize::from(byte == Some(b'('));
        }
        Self { text, dialect, tokens: &cut.tokens, depths, unbalanced: unbalanced || open > 0 }
    }

    pub(super) fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    pub(super) fn depth(&self, at: usize) -> usize {
        self.depths.get(at).copied().unwrap_or_default()
    }

    pub(super) fn written(&self, at: usize) -> &'t str {
        let token = self.tokens.get(at);
        token.and_then(|token| self.text.get(token.start..token.end)).unwrap_or_default()
    }

    /// True for this word, unquoted.
    pub(super) fn is(&self, at: usize, word: &str) -> bool {
        self.kind(at) == Some(Kind::Word) && self.written(at).eq_ignore_ascii_case(word)
    }

    pub(super) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        self.kind(at) == Some(Kind::Word)
            && words.iter().any(|word| self.written(at).eq_ignore_ascii_case(word))
    }

    pub(super) fn is_mark(&self, at: usize, byte: u8) -> bool {
        self.tokens.get(at).and_then(|token| mark(self.text, *token)) == Some(byte)
    }

    /// The word before `at`, if one stands there.
    pub(super) fn follows(&self, at: usize, words: &[&str]) -> bool {
        at.checked_sub(1).is_some_and(|before| self.is_any(before, words))
    }

    pub(super) fn follows_mark(&self, at: usize, byte: u8) -> bool {
        at.checked_sub(1).is_some_and(|before| self.is_mark(before, byte))
    }

    /// True if a point stands before the token, which makes a part of a name of any word.
    pub(super) fn is_qualified(&self, at: usize) -> bool {
        at.checked_sub(1).is_some_and(|before| self.is_mark(before, b'.'))
    }

    /// Behind the parenthesis that closes the one at `at`.
    pub(super) fn behind_parentheses(&self, at: usize, end: usize) -> usize {
        let depth = self.depth(at);
        let closes = |place: &usize| self.is_mark(*place, b')') && self.depth(*place) == depth;
        (at + 1..end).find(closes).map_or(end, |place| place + 1)
    }

    /// Without quotes.
    pub(super) fn name_part(&self, at: usize) -> Option<String> {
        let written = self.written(at);
        match self.kind(at)? {
            Kind::Word => Some(written.to_owned()),
            Kind::QuotedName => Some(unquoted(written)),
            // SQLite takes a text for a name where only a name can stand.
            Kind::Text if self.dialect == Dialect::Sqlite => Some(unquoted(written)),
            Kind::Text | Kind::Number | Kind::Variable | Kind::Mark => None,
        }
    }

    /// The dotted name that begins at `at`, points at its beginning and empty parts included.
    pub(super) fn name(&self, at: usize, end: usize) -> Option<Name> {
        let mut parts = Vec::new();
        let mut place = at;
        while place < end && self.is_mark(place, b'.') {
            place += 1;
        }
        parts.push(self.name_part(place).filter(|_| place < end)?);
        place += 1;
        while place < end && self.is_mark(place, b'.') {
            place += 1;
            while place < end && self.is_mark(place, b'.') {
                parts.push(String::new());
                place += 1;
            }
            // `DELETE FROM t.*`
            if place < end && self.is_mark(place, b'*') {
                place += 1;
                break;
            }
            let Some(part) = self.name_part(place).filter(|_| place < end) else { break };
            parts.push(part);
            place += 1;
        }
        Some(Name { parts, end: place })
    }
}

fn mark(text: &str, token: Token) -> Option<u8> {
    match token.kind {
        Kind::Mark => text.as_bytes().get(token.start).copied(),
        Kind::Word | Kind::QuotedName | Kind::Text | Kind::Number | Kind::Variable => None,
    }
}

fn unquoted(written: &str) -> String {
    let mut letters = written.chars();
    let open = letters.next();
    let inside = letters.as_str();
    let close = match open {
        Some('[') => ']',
        Some(quote) => quote,
        None => return String::new(),
    };
    let inside = inside.strip_suffix(close).unwrap_or(inside);
    inside.replace(&[close, close].iter().collect::<String>(), &close.to_string())
}
