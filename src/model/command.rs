//! Commands: text in a language, as a bot sent it.

/// The language that a command is written in; it chooses the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    PostgresSql,
    /// MariaDB's too.
    MySql,
    Sqlite,
    TSql,
}

impl Language {
    /// By the names that configuration uses.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("postgresql", Self::PostgresSql),
        ("mysql", Self::MySql),
        ("sqlite", Self::Sqlite),
        ("tsql", Self::TSql),
    ];
}

/// Session settings that change how command text is read. Facts are cached per lexing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lexing {
    /// Quotes and backslashes mean what they do by default. In PostgreSQL that is
    /// `standard_conforming_strings`: with it off, a backslash escapes inside `'...'`. In MySQL,
    /// neither `ANSI_QUOTES` nor `NO_BACKSLASH_ESCAPES` is in `sql_mode`; in T-SQL,
    /// `QUOTED_IDENTIFIER` is on.
    pub standard_strings: bool,
    /// The client encoding is one in which no byte of a character can be mistaken for ASCII.
    pub safe_encoding: bool,
}

impl Default for Lexing {
    fn default() -> Self {
        Self { standard_strings: true, safe_encoding: true }
    }
}
