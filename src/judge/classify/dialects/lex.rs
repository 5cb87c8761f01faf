//! Cuts text of MySQL, SQLite and T-SQL into tokens. Knows comments, quotes, numbers and words of
//! each; no grammar, and of keywords only their letters.
//!
//! It never gives up: where a text may be read in two ways it goes on in the way that shows more,
//! and says that it doubts. One pass, no recursion.

use crate::judge::classify::dialects::Dialect;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// `` `name` ``, `[name]`, `"name"` where that is a name.
    QuotedName,
    /// `'text'`, `"text"` where that is a text.
    Text,
    Number,
    /// `@name`, `@@name`, `?`, `:name`
    Variable,
    /// Any other byte, one at a time.
    Mark,
}

/// Offsets of a token's first byte and of the byte behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a text was cut into.
#[derive(Debug, Default)]
pub(super) struct Cut {
    pub(super) tokens: Vec<Token>,
    /// The text may be read in another way, of which the tokens show the most.
    pub(super) doubtful: bool,
    /// The tokens may show less than the server reads: something has no end.
    pub(super) lost: bool,
    /// A hint that sets variables stands in a comment.
    pub(super) hint_sets: bool,
    pub(super) non_ascii_name: bool,
}

pub(super) fn cut(text: &str, dialect: Dialect) -> Cut {
    let mut lexer = Lexer { text, dialect, at: 0, versions_open: 0, cut: Cut::default() };
    lexer.run();
    lexer.cut
}

struct Lexer<'t> {
    text: &'t str,
    dialect: Dialect,
    /// Invariant: at <= text.len(), on a character's boundary.
    at: usize,
    /// Version comments that have not been closed.
    versions_open: usize,
    cut: Cut,
}

impl<'t> Lexer<'t> {
    fn run(&mut self) {
        while let Some(first) = self.byte(self.at) {
            let start = self.at;
            if !self.skip_blank(first) {
                let (kind, end) = self.token(first);
                assert!(end > start, "the lexer stands still");
                self.cut.tokens.push(Token { kind, start, end });
                self.at = end;
            }
        }
        self.cut.lost |= self.versions_open > 0;
    }

    /// Leaves one blank or comment behind, if one begins here.
    fn skip_blank(&mut self, first: u8) -> bool {
        match self.rest() {
            [b'-', b'-', next @ ..] if self.dashes_comment(next) => self.skip_line(2),
            [b'#', ..] if self.dialect == Dialect::MySql => self.skip_line(1),
            [b'/', b'*', ..] => self.skip_comment(),
            [b'*', b'/', ..] if self.versions_open > 0 => {
                self.versions_open -= 1;
                self.at += 2;
            }
            _ if first.is_ascii() && self.is_blank(first) => self.at += 1,
            _ if !first.is_ascii() => return self.skip_strange_blank(),
            _ => return false,
        }
        true
    }

    fn is_blank(&mut self, byte: u8) -> bool {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => true,
            0x0b => {
                self.cut.doubtful |= self.dialect == Dialect::Sqlite;
                true
            }
            // T-SQL takes every control character for a blank; the others refuse them.
            0..=0x1f | 0x7f => {
                self.cut.doubtful = true;
                true
            }
            _ => false,
        }
    }

    /// A character beyond ASCII that is no letter may be a blank to a server.
    fn skip_strange_blank(&mut self) -> bool {
        let Some(letter) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) else {
            return false;
        };
        self.cut.doubtful = true;
        if letter.is_alphanumeric() {
            return false;
        }
        self.at += letter.len_utf8();
        true
    }

    /// MySQL wants a blank or a control character behind the dashes.
    fn dashes_comment(&self, behind: &[u8]) -> bool {
        match (self.dialect, behind.first()) {
            (Dialect::MySql, Some(next)) => *next <= b' ' || *next == 0x7f,
            (Dialect::MySql | Dialect::Sqlite | Dialect::TSql, _) => true,
        }
    }

    /// To the line's end. Other characters than the line feed end one for some readers: what is
    /// behind them is shown.
    fn skip_line(&mut self, opener: usize) {
        let from = self.at + opener;
        let line = self.text.get(from..).unwrap_or_default();
        let end = line.find(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']);
        let Some(end) = end else {
            self.at = self.text.len();
            return;
        };
        let behind = line.get(end..).unwrap_or_default();
        self.cut.doubtful |= !behind.starts_with('\n') && !behind.starts_with("\r\n");
        self.at = from + end;
    }

    fn skip_comment(&mut self) {
        if self.dialect == Dialect::MySql {
            let version = match self.rest() {
                [b'/', b'*', b'!', ..] => 3,
                [b'/', b'*', b'M' | b'm', b'!', ..] => 4,
                _ => 0,
            };
            if version > 0 {
                // Which servers read what is inside depends on their version.
                let digits = self.rest().iter().skip(version);
                let digits = digits.take(6).take_while(|byte| byte.is_ascii_digit()).count();
                self.cut.doubtful = true;
                self.versions_open += 1;
                self.at += version + digits;
                return;
            }
        }
        let start = self.at;
        self.at = self.comment_end(start + 2);
        let comment = self.text.get(start..self.at).unwrap_or_default();
        if self.dialect == Dialect::MySql && comment.starts_with("/*+") {
            let sets = comment.to_ascii_lowercase().contains("set_var");
            self.cut.hint_sets |= sets;
            self.cut.doubtful |= sets;
        }
    }

    fn comment_end(&mut self, from: usize) -> usize {
        let mut open = 1_usize;
        let mut at = from;
        loop {
            match self.text.as_bytes().get(at..) {
                None | Some([]) => {
                    self.cut.lost = true;
                    return self.text.len();
                }
                Some([b'*', b'/', ..]) => {
                    open -= 1;
                    at += 2;
                    if open == 0 {
                        return at;
                    }
                }
                Some([b'/', b'*', ..]) if self.dialect == Dialect::TSql => {
                    open += 1;
                    at += 2;
                }
                Some([b'/', b'*', ..]) => {
                    // One reader's nested comment is another one's end.
                    self.cut.doubtful = true;
                    at += 1;
                }
                Some(_) => at += 1,
            }
        }
    }

    fn token(&mut self, first: u8) -> (Kind, usize) {
        let start = self.at;
        match (first, self.dialect) {
            (b'\'', _) => (Kind::Text, self.quoted(start + 1, b'\'', true)),
            (b'"', Dialect::MySql) => (Kind::Text, self.quoted(start + 1, b'"', true)),
            (b'"', Dialect::Sqlite | Dialect::TSql) => {
                (Kind::QuotedName, self.quoted(start + 1, b'"', true))
            }
            (b'`', Dialect::MySql | Dialect::Sqlite) => {
                (Kind::QuotedName, self.quoted(start + 1, b'`', true))
            }
            (b'[', Dialect::TSql) => (Kind::QuotedName, self.quoted(start + 1, b']', true)),
            (b'[', Dialect::Sqlite) => (Kind::QuotedName, self.quoted(start + 1, b']', false)),
            (b'0'..=b'9', _) => self.number(start),
            (b'.', _) if self.byte(start + 1).is_some_and(|next| next.is_ascii_digit()) => {
                // Behind a name this may be the point between it and a name of digits.
                let grown = self.cut.tokens.last().is_some_and(|last| last.end == start);
                self.cut.doubtful |= grown;
                self.number(start)
            }
            (b'@' | b'#', Dialect::TSql) => (Kind::Word, self.word_end(start + 1)),
            (b'@' | b':' | b'?' | b'$', _) => self.variable(start),
            _ if is_word(first) => self.word(start),
            // Escapes of ODBC, of clients, or of nobody.
            (b'{' | b'}' | b'\\' | b'`' | b'[' | b']' | b'#', _) => {
                self.cut.doubtful = true;
                (Kind::Mark, start + 1)
            }
            _ => (Kind::Mark, start + 1),
        }
    }

    fn word(&mut self, start: usize) -> (Kind, usize) {
        let end = self.word_end(start);
        let word = self.text.get(start..end).unwrap_or_default();
        if !word.is_ascii() {
            self.cut.doubtful = true;
            self.cut.non_ascii_name = true;
        }
        // `_gbk'...'`: bytes that are read in another character set than the text's.
        let introduces = word.starts_with('_') && self.byte(end) == Some(b'\'');
        self.cut.doubtful |= introduces && !self.text.is_ascii();
        (Kind::Word, end)
    }

    fn word_end(&self, start: usize) -> usize {
        let more = |byte: &u8| {
            is_word(*byte)
                || byte.is_ascii_digit()
                || *byte == b'$'
                || (self.dialect == Dialect::TSql && matches!(byte, b'@' | b'#'))
        };
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.char_indices().find(|(_, letter)| match u8::try_from(*letter) {
            Ok(byte) if byte.is_ascii() => !more(&byte),
            Ok(_) | Err(_) => !letter.is_alphanumeric(),
        });
        end.map_or(self.text.len(), |(length, _)| start + length)
    }

    fn variable(&mut self, start: usize) -> (Kind, usize) {
        let sigils = self.rest().iter().take(2).take_while(|byte| **byte == b'@').count().max(1);
        let mut end = self.word_end(start + sigils);
        let named = end > start + sigils;
        match (self.byte(start), self.dialect) {
            (Some(b'?'), _) => {
                let digits = self.rest().iter().skip(1).take_while(|byte| byte.is_ascii_digit());
                let end = start + 1 + digits.count();
                return (Kind::Variable, end);
            }
            (Some(b'$'), Dialect::MySql) => {
                self.cut.doubtful = true;
                return (Kind::Word, end);
            }
            // A price, or what begins one.
            (Some(b'$'), Dialect::TSql) => {
                self.cut.doubtful |= self.byte(start + 1).is_some_and(is_word);
                return (Kind::Mark, start + 1);
            }
            // Names of parameters may have colons and parentheses inside.
            (Some(b'$'), Dialect::Sqlite) => {
                self.cut.doubtful |= !named || matches!(self.byte(end), Some(b':' | b'('));
            }
            (Some(b':'), Dialect::Sqlite) if named => {}
            (Some(b':'), _) => return (Kind::Mark, start + 1),
            // `@'name'` and `'user'@'host'`.
            _ if !named => return (Kind::Mark, start + 1),
            _ => {}
        }
        while sigils == 2 && self.byte(end) == Some(b'.') {
            end = self.word_end(end + 1);
        }
        (Kind::Variable, end)
    }

    fn number(&mut self, start: usize) -> (Kind, usize) {
        let digits = |at: usize| {
            let rest = self.text.as_bytes().get(at..).unwrap_or_default();
            at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = match self.rest() {
            [b'0', b'x' | b'X', rest @ ..] => {
                start + 2 + rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
            }
            _ => {
                let mut end = digits(start);
                if self.byte(end) == Some(b'.') {
                    end = digits(end + 1);
                }
                let exponent = match self.text.as_bytes().get(end..) {
                    Some([b'e' | b'E', b'+' | b'-', digit, ..]) if digit.is_ascii_digit() => 2,
                    Some([b'e' | b'E', digit, ..]) if digit.is_ascii_digit() => 1,
                    // `1e` is a number there.
                    Some([b'e' | b'E', ..]) if self.dialect == Dialect::TSql => 1,
                    _ => 0,
                };
                if exponent > 0 { digits(end + exponent) } else { end }
            }
        };
        end = end.max(start + 1);
        // `1union`: two tokens to some, a name to others. The word is shown.
        self.cut.doubtful |= self.byte(end).is_some_and(|next| is_word(next) || next == b'$');
        (Kind::Number, end)
    }

    /// Behind the quote that closes what begins at `at`.
    fn quoted(&mut self, from: usize, quote: u8, doubles: bool) -> usize {
        let escapes = self.dialect == Dialect::MySql && quote != b'`';
        let bytes = self.text.as_bytes();
        let mut at = from;
        loop {
            match bytes.get(at..) {
                None | Some([]) => {
                    self.cut.lost = true;
                    return self.text.len();
                }
                Some([b'\\', _, ..]) if escapes => at += 2,
                Some([one, two, ..]) if *one == quote && *two == quote && doubles => at += 2,
                Some([one, ..]) if *one == quote => return at + 1,
                Some(_) => at += 1,
            }
            // An escape may have kept the first byte of a longer character.
            while at < bytes.len() && !self.text.is_char_boundary(at) {
                at += 1;
            }
        }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// The words of `text`, whatever stands around them: in quotes, in comments, grown together with
/// numbers. For texts of which it is not known what is what.
pub(super) fn loose_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    text.split(move |byte| !is_letter(byte)).filter(|word| !word.is_empty())
}
