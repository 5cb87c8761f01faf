//! Writes a text's normal form: its tokens with one blank between each two, words in lower case,
//! every literal replaced by one of its kind, and lists of literals cut to their first. Texts of
//! one normal form share their facts, unless a literal had a say in them.
//!
//! A wrong replacement would be a bypass. So literals keep what the grammar tells them apart by:
//! an integer of 32 bits stays one, a string in dollars stays one. What a literal's contents might
//! turn into an error, or what is spelt in an unusual way, is copied as it is; and a text whose
//! names can be changed by a literal (`U&".." UESCAPE '!'`) has no normal form at all.

use crate::judge::classify::postgres::lex::{Kind, Token, Tokens};
use crate::model::command::Lexing;

/// Writes the normal form of `text` to `shape`; `None` if it has none.
pub(in crate::judge::classify) fn of(text: &[u8], shape: &mut Vec<u8>) -> Option<()> {
    shape.clear();
    let mut writer = Writer { shape, place: Place::Elsewhere, float: Float::Elsewhere };
    for token in Tokens::of(text, Lexing::default()).ok()? {
        writer.write(token.ok()?, text)?;
    }
    Some(())
}

struct Writer<'s> {
    shape: &'s mut Vec<u8>,
    place: Place,
    float: Float,
}

/// Where a list of literals may be cut.
#[derive(Clone, Copy)]
enum Place {
    Elsewhere,
    /// Behind `IN`.
    In,
    /// Behind `IN (`.
    InList,
    /// Behind an item of the list that has this stand-in.
    Item(&'static [u8]),
    /// Behind the comma after it; the normal form was `end` bytes long before the comma.
    ItemComma {
        stand_in: &'static [u8],
        end: usize,
    },
    /// Behind `VALUES`.
    Values,
    /// Within a row of literals that begins at `start`, behind another, if there is one.
    Row {
        start: usize,
        previous: Option<Row>,
    },
    /// Behind a row.
    Rows(Row),
    /// Behind a row and a comma.
    RowComma(Row),
}

/// A row of literals in the normal form.
#[derive(Clone, Copy)]
struct Row {
    start: usize,
    end: usize,
    /// Behind the row, and behind the mark that there were more like it.
    behind: usize,
}

/// `float(54)` is the one place where the grammar of queries refuses by a number's value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Float {
    Elsewhere,
    Word,
    Parenthesis,
}

/// Stands behind the one item or row that stands for several. No token contains it: a text with
/// this byte outside of quotes has no normal form.
const MORE: u8 = 0x01;

impl Writer<'_> {
    fn write(&mut self, token: Token, text: &[u8]) -> Option<()> {
        let written = token.written(text);
        let stand_in = match token.kind {
            Kind::Stray | Kind::UnicodeName | Kind::UnicodeText => return None,
            _ if self.float == Float::Parenthesis => None,
            Kind::Word | Kind::QuotedName | Kind::Bits | Kind::Operator | Kind::Punctuation => None,
            Kind::Text => Some(&b"'?'"[..]),
            Kind::NationalText => Some(&b"N'?'"[..]),
            Kind::DollarText => Some(&b"$$?$$"[..]),
            Kind::EscapeText => plain_escapes(written).then_some(&b"'?'"[..]),
            Kind::Real => Some(&b"0.0"[..]),
            Kind::Integer => integer(written),
            Kind::Parameter => parameter(written).then_some(&b"$1"[..]),
        };
        self.float = match (self.float, written) {
            (_, word) if word.eq_ignore_ascii_case(b"float") => Float::Word,
            (Float::Word, b"(") => Float::Parenthesis,
            (Float::Elsewhere | Float::Word | Float::Parenthesis, _) => Float::Elsewhere,
        };
        if let Some(stand_in) = stand_in
            && let Place::ItemComma { stand_in: last, end } = self.place
            && stand_in == last
        {
            self.shape.truncate(end);
            self.mark_more();
            self.place = Place::Item(stand_in);
            return Some(());
        }
        if !self.shape.is_empty() {
            self.shape.push(b' ');
        }
        let start = self.shape.len();
        match stand_in {
            Some(stand_in) => self.shape.extend_from_slice(stand_in),
            None => self.shape.extend_from_slice(written),
        }
        if token.kind == Kind::Word {
            self.shape.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        }
        self.place = self.place_behind(token, start, stand_in);
        Some(())
    }

    /// Where the writer is behind the token that it wrote at `start`.
    fn place_behind(
        &mut self,
        token: Token,
        start: usize,
        stand_in: Option<&'static [u8]>,
    ) -> Place {
        let written = self.shape.get(start..).unwrap_or_default();
        if token.kind == Kind::Word {
            match written {
                b"in" => return Place::In,
                b"values" => return Place::Values,
                _ => {}
            }
        }
        let mark = match (token.kind, written) {
            (Kind::Punctuation, [mark]) => *mark,
            _ => 0,
        };
        match (self.place, mark) {
            (Place::In, b'(') => Place::InList,
            (Place::InList, _) => stand_in.map_or(Place::Elsewhere, Place::Item),
            (Place::Item(stand_in), b',') => {
                Place::ItemComma { stand_in, end: start.saturating_sub(1) }
            }
            (Place::ItemComma { .. }, _) => stand_in.map_or(Place::Elsewhere, Place::Item),
            (Place::Values, b'(') => Place::Row { start, previous: None },
            (Place::RowComma(row), b'(') => Place::Row { start, previous: Some(row) },
            (Place::Row { start, previous }, b')') => self.row(start, previous),
            (Place::Row { .. }, _) if stand_in.is_some() || is_constant(token.kind, written) => {
                self.place
            }
            (Place::Rows(row), b',') => Place::RowComma(row),
            (
                Place::Elsewhere
                | Place::In
                | Place::Item(_)
                | Place::Values
                | Place::Row { .. }
                | Place::Rows(_)
                | Place::RowComma(_),
                _,
            ) => Place::Elsewhere,
        }
    }

    /// Ends the row that began at `start`. One like the row before it is taken out again.
    fn row(&mut self, start: usize, previous: Option<Row>) -> Place {
        let end = self.shape.len();
        if let Some(previous) = previous
            && self.shape.get(previous.start..previous.end) == self.shape.get(start..end)
        {
            self.shape.truncate(previous.behind);
            self.mark_more();
            return Place::Rows(Row { behind: self.shape.len(), ..previous });
        }
        Place::Rows(Row { start, end, behind: end })
    }

    fn mark_more(&mut self) {
        if self.shape.last() != Some(&MORE) {
            self.shape.push(MORE);
        }
    }
}

/// What a row of literals may have beside literals.
fn is_constant(kind: Kind, written: &[u8]) -> bool {
    match kind {
        Kind::Word => matches!(written, b"null" | b"true" | b"false" | b"default"),
        Kind::Punctuation => written == b",",
        Kind::Operator => matches!(written, b"-" | b"+"),
        Kind::Bits | Kind::Integer | Kind::EscapeText | Kind::Parameter => true,
        Kind::QuotedName
        | Kind::UnicodeName
        | Kind::Text
        | Kind::NationalText
        | Kind::UnicodeText
        | Kind::DollarText
        | Kind::Real
        | Kind::Stray => false,
    }
}

/// True if no escape in a string can be a wrong one: they are of one character each.
fn plain_escapes(written: &[u8]) -> bool {
    let mut bytes = written.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !matches!(bytes.next(), Some(b'\\' | b'\'' | b'n' | b'r' | b't')) {
            return false;
        }
    }
    true
}

/// The stand-in of a whole number in the plainest spelling. The grammar tells integers of 32 bits
/// from other numbers.
fn integer(written: &[u8]) -> Option<&'static [u8]> {
    if !written.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let fits = written.len() < ALWAYS_FITS
        || std::str::from_utf8(written).is_ok_and(|digits| digits.parse::<i32>().is_ok());
    Some(if fits { b"0" } else { b"0.0" })
}

/// A number of fewer digits has 32 bits.
const ALWAYS_FITS: usize = 10;

/// True for a parameter that a message could carry; of longer numbers some are refused.
fn parameter(written: &[u8]) -> bool {
    matches!(written, [b'$', b'1'..=b'9', more @ ..] if more.len() < 5)
}

#[cfg(test)]
mod tests;
