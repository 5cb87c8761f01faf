//! Holds the lexer against the server's own, and shared facts against fresh ones. For fuzz targets
//! and tests: each function takes any text, and a broken promise is a failed assertion.

use pg_query::protobuf as pg;

use crate::judge::classify::postgres::lex::{Kind, Token, Tokens};
use crate::judge::classify::postgres::walk::Dependence;
use crate::judge::classify::postgres::{parser, read, reads_alike, shape, split};
use crate::model::command::Lexing;

const BACKSLASHES: Lexing = Lexing { standard_strings: false, safe_encoding: true };

/// What the server's lexer takes, ours cuts in the same places and into the same kinds; and what
/// the grammar accepts is not disputed. Where it has a body of statements it may be: whether `END`
/// ends that body or names a column (`SELECT 2 END`) only the grammar can tell, and a dispute refuses.
pub(crate) fn lexes_alike(text: &[u8]) {
    let ours: Result<Vec<Token>, _> =
        Tokens::of(text, Lexing::default()).and_then(Iterator::collect);
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0')) else {
        assert!(ours.is_err(), "a text that no server takes was cut");
        return;
    };
    if let Some(theirs) = parser::tokens(text) {
        let theirs = alike(&theirs, text);
        assert!(ours.as_ref() == Ok(&theirs), "cut otherwise: {text:?}\n{ours:?}\n{theirs:?}");
    }
    let standard = parser::statements(text);
    if let Ok(statements) = &standard {
        let agrees = split::agrees(text.as_bytes(), Lexing::default(), statements);
        assert!(agrees || has_body(text), "disputed: {text:?}");
    }
    if text.contains('\'')
        && reads_alike(text.as_bytes(), BACKSLASHES)
        && let Ok(otherwise) = parser::statements_with_backslashes(text)
    {
        let agrees = split::agrees(text.as_bytes(), BACKSLASHES, &otherwise);
        assert!(agrees || has_body(text), "disputed with backslashes: {text:?}");
        assert!(standard == Ok(otherwise), "backslashes change what it says: {text:?}");
    }
}

fn has_body(text: &str) -> bool {
    text.to_ascii_lowercase().contains("atomic")
}

/// The server's tokens in our words.
fn alike(theirs: &[pg::ScanToken], text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut national = None;
    for token in theirs {
        let span = usize::try_from(token.start).ok().zip(usize::try_from(token.end).ok());
        let Some((start, end)) = span else { continue };
        let written = text.get(start..end).unwrap_or_default();
        if [pg::Token::SqlComment, pg::Token::CComment].contains(&token.token()) {
            continue;
        }
        if token.token() == pg::Token::Nchar && written.len() == 1 {
            national = Some(start);
            continue;
        }
        let kind = kind_of(token, written);
        match national.take() {
            Some(start) => tokens.push(Token { kind: Kind::NationalText, start, end }),
            None => tokens.push(Token { kind, start, end }),
        }
    }
    tokens
}

fn kind_of(token: &pg::ScanToken, written: &str) -> Kind {
    let first = written.bytes().next().unwrap_or_default();
    let kinds = [
        (pg::Token::Usconst, Kind::UnicodeText),
        (pg::Token::Uident, Kind::UnicodeName),
        (pg::Token::Bconst, Kind::Bits),
        (pg::Token::Xconst, Kind::Bits),
        (pg::Token::Iconst, Kind::Integer),
        (pg::Token::Param, Kind::Parameter),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(theirs, _)| *theirs == token.token()) {
        return *kind;
    }
    if token.token() == pg::Token::Fconst {
        let based =
            matches!(written.as_bytes(), [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
        let real = written.contains('.') || (!based && written.contains(['e', 'E']));
        return if real { Kind::Real } else { Kind::Integer };
    }
    if token.token() == pg::Token::Sconst {
        return match first {
            b'\'' => Kind::Text,
            b'$' => Kind::DollarText,
            _ => Kind::EscapeText,
        };
    }
    if token.token() == pg::Token::Ident && first == b'"' {
        return Kind::QuotedName;
    }
    if token.token() == pg::Token::Ident || token.keyword_kind() != pg::KeywordKind::NoKeyword {
        return Kind::Word;
    }
    match first {
        b'(' | b')' | b'[' | b']' | b',' | b';' | b':' | b'.' => Kind::Punctuation,
        _ if b"~!@#^&|`?+-*/%<>=".contains(&first) => Kind::Operator,
        _ => Kind::Stray,
    }
}

/// Two texts of one normal form have the same facts, where the first one's are shared at all. The
/// second is made from the first: other literals, other blanks, longer and shorter lists.
pub(crate) fn shares_rightly(seed: u64, text: &[u8]) {
    let mut shape_of_text = Vec::new();
    if shape::of(text, &mut shape_of_text).is_none() {
        return;
    }
    let Some(other) = variant(seed, text) else { return };
    let mut shape_of_other = Vec::new();
    let shaped = shape::of(&other, &mut shape_of_other);
    if shaped.is_none() || shape_of_text != shape_of_other {
        return;
    }
    let (one, two) = (read(text), read(&other));
    let same = || format!("{:?}", one.facts) == format!("{:?}", two.facts);
    let written = String::from_utf8_lossy(&other);
    assert!(one.dependence == two.dependence, "shared one way only: {written}");
    assert!(one.dependence == Dependence::Literals || same(), "shared and different: {written}");
}

/// `text` with other literals and blanks, in an order that `seed` chooses.
fn variant(seed: u64, text: &[u8]) -> Option<Vec<u8>> {
    let mut random = seed | 1;
    let mut choose = move |choices: &[&'static [u8]]| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = usize::try_from(random >> 8).unwrap_or_default() % choices.len().max(1);
        choices.get(place).copied().unwrap_or_default()
    };
    let mut other = Vec::new();
    for token in Tokens::of(text, Lexing::default()).ok()? {
        let token = token.ok()?;
        let written = token.written(text);
        other.extend_from_slice(choose(BLANKS));
        let literals = match token.kind {
            Kind::Text | Kind::EscapeText => TEXTS,
            Kind::Integer => INTEGERS,
            Kind::Real => REALS,
            Kind::Parameter => PARAMETERS,
            Kind::DollarText => DOLLARS,
            Kind::Word
            | Kind::QuotedName
            | Kind::UnicodeName
            | Kind::NationalText
            | Kind::UnicodeText
            | Kind::Bits
            | Kind::Operator
            | Kind::Punctuation
            | Kind::Stray => {
                other.extend_from_slice(written);
                continue;
            }
        };
        other.extend_from_slice(choose(literals));
        while choose(&[b"", b"", b"", b","]) == b"," {
            other.extend_from_slice(b", ");
            other.extend_from_slice(choose(literals));
        }
    }
    Some(other)
}

const BLANKS: &[&[u8]] = &[b" ", b" ", b"\n", b"\t", b" /* a /* ' */ */ ", b" -- ' \r", b" --\n"];
const TEXTS: &[&[u8]] =
    &[b"''", b"'x'", b"'%'", b"'role'", b"'it''s'", b"'\\'", b"E'\\''", b"'t'", b"'a' \n 'b'"];
const INTEGERS: &[&[u8]] = &[b"0", b"1", b"2", b"7", b"0007", b"2147483647", b"2147483648"];
const REALS: &[&[u8]] = &[b"0.0", b".5", b"1.", b"1e3", b"2147483648", b"1_0.5e-1_0"];
const PARAMETERS: &[&[u8]] = &[b"$1", b"$2", b"$65535", b"$0"];
const DOLLARS: &[&[u8]] = &[b"$$x$$", b"$a$'$a$", b"$$$$"];
