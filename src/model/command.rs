//! Commands: text in a language, as a bot sent it.

/// The language that a command is written in; it chooses the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    PostgresSql,
}

/// Session settings that change how command text is read. Facts are cached per lexing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lexing {
    /// `standard_conforming_strings`: with it off, a backslash escapes inside `'...'`.
    pub standard_strings: bool,
    /// The client encoding is one in which no byte of a character can be mistaken for ASCII.
    pub safe_encoding: bool,
}

impl Default for Lexing {
    fn default() -> Self {
        Self { standard_strings: true, safe_encoding: true }
    }
}
