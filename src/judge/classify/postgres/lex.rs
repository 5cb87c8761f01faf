//! Cuts statement text into tokens where the server's lexer cuts it. Knows quotes, comments,
//! numbers and operators; no keyword, no grammar, and not what a literal's escapes stand for.
//!
//! It is written beside the server's own lexer, not after it, to be held against what that one
//! reads. What it has no rule for it refuses; it may take a text that the server would refuse
//! (a wrong escape, say), never the other way round. One pass, no recursion, no allocation.

use memchr::memmem;

use crate::model::command::Lexing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// `"name"`
    QuotedName,
    /// `U&"name"`
    UnicodeName,
    /// `'text'`, where a backslash is a character like any other.
    Text,
    /// `E'text'`, and `'text'` where the session's settings make it one.
    EscapeText,
    /// `N'text'`
    NationalText,
    /// `U&'text'`
    UnicodeText,
    /// `$tag$text$tag$`
    DollarText,
    /// `B'01'`, `X'1F'`
    Bits,
    /// Digits alone, in any base.
    Integer,
    /// With a point or an exponent.
    Real,
    /// `$1`
    Parameter,
    Operator,
    /// `( ) [ ] , ; :  . :: .. :=`
    Punctuation,
    /// A byte that no statement has outside of quotes.
    Stray,
}

/// Offsets of a token's first byte and of the byte behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// As it is written in the text that it was read from.
    pub(super) fn written(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// True for this keyword, or for the name that is spelt like it. `word` is lower case.
    pub(super) fn is_word(self, text: &[u8], word: &[u8]) -> bool {
        self.kind == Kind::Word && self.written(text).eq_ignore_ascii_case(word)
    }

    pub(super) fn is_mark(self, text: &[u8], mark: u8) -> bool {
        self.kind == Kind::Punctuation && self.written(text) == [mark]
    }
}

/// Why a text cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    ZeroByte,
    InvalidEncoding,
    /// A comment or a quote has no end.
    Unterminated,
    /// Letters grown together with a number: `1a`, `0x`.
    Number,
    /// A literal that the session's settings forbid.
    Forbidden,
}

/// The tokens of a text, in order; after a refusal there are no more.
pub(super) struct Tokens<'t> {
    text: &'t [u8],
    standard_strings: bool,
    /// Invariant: signs_end <= text.len(), at <= text.len().
    at: usize,
    /// Until here, operator characters are single signs: found out once for a whole run of them.
    signs_end: usize,
}

impl<'t> Tokens<'t> {
    /// Tokens of `text` in a session that reads strings as `lexing` says.
    pub(super) fn of(text: &'t [u8], lexing: Lexing) -> Result<Self, Refusal> {
        if memchr::memchr(0, text).is_some() {
            return Err(Refusal::ZeroByte);
        }
        if std::str::from_utf8(text).is_err() {
            return Err(Refusal::InvalidEncoding);
        }
        Ok(Self { text, standard_strings: lexing.standard_strings, at: 0, signs_end: 0 })
    }

    fn token(&mut self, first: u8) -> Result<Token, Refusal> {
        let start = self.at;
        let (kind, end) = match class(first) {
            Class::Letter => self.word(start)?,
            Class::Digit => self.number(start)?,
            Class::Quote if self.standard_strings => (Kind::Text, self.doubling(start + 1)?),
            Class::Quote => (Kind::EscapeText, self.escaping(start + 1)?),
            Class::DoubleQuote => (Kind::QuotedName, self.closing(start + 1, b'"')?),
            Class::Dollar => self.dollar(start)?,
            Class::Operator => (Kind::Operator, self.operator(start)),
            Class::Point if self.byte(start + 1).is_some_and(|next| next.is_ascii_digit()) => {
                self.number(start)?
            }
            Class::Point | Class::Colon | Class::Punctuation => {
                let double = match (first, self.byte(start + 1)) {
                    (b'.', Some(b'.')) | (b':', Some(b':' | b'=')) => 1,
                    _ => 0,
                };
                (Kind::Punctuation, start + 1 + double)
            }
            Class::Space | Class::Other => (Kind::Stray, start + 1),
        };
        self.at = end;
        Ok(Token { kind, start, end })
    }

    /// Leaves white space and comments behind.
    fn skip_blanks(&mut self) -> Result<(), Refusal> {
        loop {
            match self.from(self.at) {
                [byte, ..] if is_space(*byte) => self.at += 1,
                [b'-', b'-', ..] => self.at = self.line_end(self.at),
                [b'/', b'*', ..] => self.at = self.comment_end(self.at)?,
                _ => return Ok(()),
            }
        }
    }

    /// Where the line that `at` is in ends: either of the two characters ends one.
    fn line_end(&self, at: usize) -> usize {
        memchr::memchr2(b'\n', b'\r', self.from(at)).map_or(self.text.len(), |length| at + length)
    }

    /// Behind the comment that begins at `at`; comments nest.
    fn comment_end(&self, at: usize) -> Result<usize, Refusal> {
        let mut open = 1_usize;
        let mut at = at + 2;
        while open > 0 {
            at += memchr::memchr2(b'*', b'/', self.from(at)).ok_or(Refusal::Unterminated)?;
            match self.from(at) {
                [b'/', b'*', ..] => {
                    open += 1;
                    at += 2;
                }
                [b'*', b'/', ..] => {
                    open -= 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        Ok(at)
    }

    /// A word, unless it is the beginning of a literal or of a quoted name.
    fn word(&self, start: usize) -> Result<(Kind, usize), Refusal> {
        let quoted = match self.byte(start + 1) {
            Some(b'\'' | b'&') => self.from(start),
            Some(_) | None => &[],
        };
        match quoted {
            [b'e' | b'E', b'\'', ..] => return Ok((Kind::EscapeText, self.escaping(start + 2)?)),
            [b'n' | b'N', b'\'', ..] => {
                let end = if self.standard_strings {
                    self.doubling(start + 2)?
                } else {
                    self.escaping(start + 2)?
                };
                return Ok((Kind::NationalText, end));
            }
            [b'b' | b'B' | b'x' | b'X', b'\'', ..] => {
                let end = self.continued(start + 2, |tokens, at| {
                    let length = memchr::memchr(b'\'', tokens.from(at));
                    Ok(at + length.ok_or(Refusal::Unterminated)? + 1)
                })?;
                return Ok((Kind::Bits, end));
            }
            [b'u' | b'U', b'&', b'\'', ..] if !self.standard_strings => {
                return Err(Refusal::Forbidden);
            }
            [b'u' | b'U', b'&', b'\'', ..] => {
                return Ok((Kind::UnicodeText, self.doubling(start + 3)?));
            }
            [b'u' | b'U', b'&', b'"', ..] => {
                return Ok((Kind::UnicodeName, self.closing(start + 3, b'"')?));
            }
            _ => {}
        }
        let length = self.from(start).iter().take_while(|byte| continues_word(**byte)).count();
        Ok((Kind::Word, start + length))
    }

    /// Behind the string whose contents begin at `at`, two quotes in a row being one inside.
    fn doubling(&self, at: usize) -> Result<usize, Refusal> {
        self.continued(at, |tokens, at| tokens.closing(at, b'\''))
    }

    /// Behind the string whose contents begin at `at`, a backslash keeping what follows it.
    fn escaping(&self, at: usize) -> Result<usize, Refusal> {
        self.continued(at, |tokens, at| {
            let mut at = at;
            loop {
                let length = memchr::memchr2(b'\\', b'\'', tokens.from(at));
                at += length.ok_or(Refusal::Unterminated)?;
                match tokens.from(at) {
                    [b'\'', b'\'', ..] | [b'\\', _, ..] => at += 2,
                    [b'\'', ..] => return Ok(at + 1),
                    _ => return Err(Refusal::Unterminated),
                }
            }
        })
    }

    /// Behind the quote that closes what begins at `at`, two of them in a row being one inside.
    fn closing(&self, at: usize, quote: u8) -> Result<usize, Refusal> {
        let mut at = at;
        loop {
            let length = memchr::memchr(quote, self.from(at)).ok_or(Refusal::Unterminated)?;
            at += length + 1;
            if self.byte(at) != Some(quote) {
                return Ok(at);
            }
            at += 1;
        }
    }

    /// Behind a string and whatever continues it: another one, a line or more further down, with
    /// nothing but space and `--` comments between them. It is read as the first one is.
    fn continued(
        &self,
        at: usize,
        part: impl Fn(&Self, usize) -> Result<usize, Refusal>,
    ) -> Result<usize, Refusal> {
        let mut end = part(self, at)?;
        while let Some(next) = self.continuation(end) {
            end = part(self, next)?;
        }
        Ok(end)
    }

    /// Where the contents begin of the string that continues the one that ended at `at`.
    fn continuation(&self, at: usize) -> Option<usize> {
        let mut at = at;
        let mut lines = 0;
        loop {
            match self.from(at) {
                [b'\'', ..] if lines > 0 => return Some(at + 1),
                [b'\n' | b'\r', ..] => {
                    lines += 1;
                    at += 1;
                }
                [byte, ..] if is_space(*byte) => at += 1,
                [b'-', b'-', ..] => at = self.line_end(at),
                _ => return None,
            }
        }
    }

    /// A parameter, a string in dollars, or a dollar alone.
    fn dollar(&self, start: usize) -> Result<(Kind, usize), Refusal> {
        let behind = self.from(start + 1);
        let digits = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            // Servers before version 16, and the grammar here, let a word begin right behind it.
            return Ok((Kind::Parameter, start + 1 + digits));
        }
        let tag = behind.iter().take_while(|byte| continues_word(**byte) && **byte != b'$').count();
        if behind.get(tag) != Some(&b'$') {
            return Ok((Kind::Stray, start + 1));
        }
        let inside = start + tag + 2;
        let delimiter = self.text.get(start..inside).unwrap_or_default();
        let length = memmem::find(self.from(inside), delimiter).ok_or(Refusal::Unterminated)?;
        Ok((Kind::DollarText, inside + length + delimiter.len()))
    }

    fn number(&self, start: usize) -> Result<(Kind, usize), Refusal> {
        let based: Option<fn(u8) -> bool> = match self.from(start) {
            [b'0', b'x' | b'X', ..] => Some(|byte| byte.is_ascii_hexdigit()),
            [b'0', b'o' | b'O', ..] => Some(|byte| matches!(byte, b'0'..=b'7')),
            [b'0', b'b' | b'B', ..] => Some(|byte| matches!(byte, b'0' | b'1')),
            _ => None,
        };
        if let Some(is_digit) = based {
            let end = self.digits(start + 2, is_digit);
            return if end == start + 2 {
                Err(Refusal::Number)
            } else {
                Ok((Kind::Integer, self.unless_grown(end)?))
            };
        }
        let mut kind = Kind::Integer;
        let mut end = self.decimal(start);
        match self.from(end) {
            // `1..2` is a range.
            [b'.', b'.', ..] => return Ok((kind, end)),
            [b'.', ..] => {
                kind = Kind::Real;
                end = self.decimal(end + 1);
            }
            _ => {}
        }
        let exponent = match self.from(end) {
            [b'e' | b'E', b'+' | b'-', ..] => 2,
            [b'e' | b'E', digit, ..] if digit.is_ascii_digit() => 1,
            _ => 0,
        };
        if exponent > 0 {
            kind = Kind::Real;
            let from = end + exponent;
            end = self.decimal(from);
            if end == from {
                return Err(Refusal::Number);
            }
        }
        Ok((kind, self.unless_grown(end)?))
    }

    /// Behind the decimal digits at `at`, where an underscore may stand between two.
    fn decimal(&self, at: usize) -> usize {
        match self.byte(at) {
            Some(byte) if byte.is_ascii_digit() => self.digits(at, |byte| byte.is_ascii_digit()),
            Some(_) | None => at,
        }
    }

    /// Behind the digits at `at`, each of which may have an underscore before it.
    fn digits(&self, at: usize, is_digit: fn(u8) -> bool) -> usize {
        let mut at = at;
        loop {
            match self.from(at) {
                [byte, ..] if is_digit(*byte) => at += 1,
                [b'_', byte, ..] if is_digit(*byte) => at += 2,
                _ => return at,
            }
        }
    }

    /// `end`, if the number that ends there is not grown together with a word.
    fn unless_grown(&self, end: usize) -> Result<usize, Refusal> {
        match self.byte(end) {
            Some(next) if starts_word(next) => Err(Refusal::Number),
            Some(_) | None => Ok(end),
        }
    }

    /// Behind the operator at `start`: all operator characters in a row, short of a comment. One
    /// that ends in a sign keeps it only if it has a character that the SQL standard's operators
    /// lack; so `a=-1` is an equation, and `a @- b` an operator.
    fn operator(&mut self, start: usize) -> usize {
        if start < self.signs_end {
            return start + 1;
        }
        let mut end = start;
        let mut may_keep_sign = false;
        let mut behind_last_other = start;
        loop {
            match self.from(end) {
                [b'-', b'-', ..] | [b'/', b'*', ..] => break,
                [byte, ..] if class(*byte) == Class::Operator => {
                    end += 1;
                    if !matches!(byte, b'+' | b'-') {
                        behind_last_other = end;
                    }
                    may_keep_sign |= matches!(
                        byte,
                        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'
                    );
                }
                _ => break,
            }
        }
        if may_keep_sign {
            return end;
        }
        self.signs_end = end;
        behind_last_other.max(start + 1)
    }

    fn from(&self, at: usize) -> &'t [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Token, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.skip_blanks().and_then(|()| {
            let first = self.byte(self.at);
            first.map(|first| self.token(first)).transpose()
        });
        if next.is_err() {
            self.at = self.text.len();
        }
        next.transpose()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Digit,
    Quote,
    DoubleQuote,
    Dollar,
    Operator,
    Point,
    Colon,
    Punctuation,
    Other,
}

/// Looked up, not decided: a branch for each byte costs more than everything else here.
fn class(byte: u8) -> Class {
    static CLASSES: [Class; 256] = {
        let mut classes = [Class::Other; 256];
        let mut rest: &mut [Class] = &mut classes;
        let mut byte = 0_u8;
        while let Some((class, behind)) = rest.split_first_mut() {
            *class = class_of(byte);
            byte = byte.wrapping_add(1);
            rest = behind;
        }
        classes
    };
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Space,
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        b'\'' => Class::Quote,
        b'"' => Class::DoubleQuote,
        b'$' => Class::Dollar,
        b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
        | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
        b'.' => Class::Point,
        b':' => Class::Colon,
        b'(' | b')' | b'[' | b']' | b',' | b';' => Class::Punctuation,
        _ => Class::Other,
    }
}

fn is_space(byte: u8) -> bool {
    class(byte) == Class::Space
}

fn starts_word(byte: u8) -> bool {
    class(byte) == Class::Letter
}

fn continues_word(byte: u8) -> bool {
    matches!(class(byte), Class::Letter | Class::Digit | Class::Dollar)
}

#[cfg(test)]
mod tests;
