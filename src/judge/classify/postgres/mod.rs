//! PostgreSQL: text to facts by the server's own grammar. Knows the language, not the wire, and
//! no session: names of prepared statements stay names, and `search_path` is not applied.

mod attributes;
mod bindings;
mod catalogue;
mod copying;
mod defines;
mod functions;
mod lex;
mod lineage;
mod objects;
mod operators;
pub(in crate::judge::classify) mod parser;
mod reads;
mod session;
pub(in crate::judge::classify) mod shape;
mod split;
mod tree;
mod truth;
pub(crate) mod twin;
pub(in crate::judge::classify) mod walk;
mod writes;
#[cfg(test)]
pub(in crate::judge::classify) mod tests;

use crate::judge::classify::postgres::lex::{Kind, Tokens};
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Dependence, Walk};
use crate::model::command::Lexing;
use crate::model::facts::{Effects, Facts, Flags, Unknown};

/// Facts, and whether texts of the same shape have the same ones.
pub(in crate::judge::classify) struct Reading {
    pub(in crate::judge::classify) facts: Facts,
    pub(in crate::judge::classify) dependence: Dependence,
}

/// True if the session reads `text` as the grammar here does, which knows strings by the standard
/// and UTF-8 alone. With backslashes that escape, a text is read alike up to the first string that
/// has one; in an encoding whose characters may contain ASCII bytes, only if it is ASCII and has
/// neither quotes nor backslashes.
pub(in crate::judge::classify) fn reads_alike(text: &[u8], lexing: Lexing) -> bool {
    if lexing.standard_strings && lexing.safe_encoding {
        return true;
    }
    let has_backslash = memchr::memchr(b'\\', text).is_some();
    if !lexing.safe_encoding {
        return text.is_ascii() && !has_backslash && memchr::memchr(b'\'', text).is_none();
    }
    let Ok(tokens) = Tokens::of(text, Lexing::default()) else { return !has_backslash };
    tokens.into_iter().all(|token| {
        token.is_ok_and(|token| match token.kind {
            Kind::Text | Kind::NationalText => memchr::memchr(b'\\', token.written(text)).is_none(),
            // Such a session refuses them.
            Kind::UnicodeText => false,
            Kind::Word
            | Kind::QuotedName
            | Kind::UnicodeName
            | Kind::EscapeText
            | Kind::DollarText
            | Kind::Bits
            | Kind::Integer
            | Kind::Real
            | Kind::Parameter
            | Kind::Operator
            | Kind::Punctuation
            | Kind::Stray => true,
        })
    })
}

/// Reads `text`, which the session reads alike.
pub(in crate::judge::classify) fn read(text: &[u8]) -> Reading {
    match statements(text) {
        Ok(statements) if split::agrees(text, Lexing::default(), &statements) => {
            gather(&statements, text)
        }
        Ok(_) => {
            let facts = Facts::unknown(Unknown::Disputed);
            Reading { facts, dependence: Dependence::Literals }
        }
        Err(why) => {
            let flags = match why {
                Unknown::NulByte => Flags::NUL_BYTE,
                Unknown::TooLarge => Flags::TOO_LARGE,
                Unknown::TooDeep => Flags::TOO_DEEP,
                Unknown::Unparsable
                | Unknown::InvalidEncoding
                | Unknown::UnsafeLexing
                | Unknown::Disputed
                | Unknown::UnlistedStatement
                | Unknown::UnseenName
                | Unknown::NotClassified => Flags::NONE,
            };
            let facts = Facts { flags, ..Facts::unknown(why) };
            Reading { facts, dependence: Dependence::Literals }
        }
    }
}

fn statements(text: &[u8]) -> Result<Vec<pg_query::protobuf::RawStmt>, Unknown> {
    if memchr::memchr(0, text).is_some() {
        return Err(Unknown::NulByte);
    }
    let text = std::str::from_utf8(text).map_err(|_| Unknown::InvalidEncoding)?;
    parser::statements(text)
}

fn gather(statements: &[pg_query::protobuf::RawStmt], text: &[u8]) -> Reading {
    let mut facts = Facts::default();
    let mut dependence = Dependence::Shape;
    for statement in statements {
        let mut walk = Walk::new();
        statement.walk(&mut walk);
        walk.settle_attributes();
        walk.settle_assigned();
        walk.settle_spelt();
        facts.effects |= walk.statement.effects;
        facts.flags |= walk.statement.flags;
        facts.statements.push(walk.statement);
        facts.definitions.append(&mut walk.definitions);
        facts.executes.append(&mut walk.executes);
        facts.fetches.append(&mut walk.fetches);
        // A name that was not seen can be resolved later; the other reasons cannot.
        if facts.unknown.is_none() || facts.unknown == Some(Unknown::UnseenName) {
            facts.unknown = walk.unknown.or(facts.unknown);
        }
        if walk.dependence == Dependence::Literals {
            dependence = Dependence::Literals;
        }
    }
    if facts.statements.len() > 1 {
        facts.flags |= Flags::MULTI_STATEMENT;
    }
    facts.flags |= marks(text);
    if facts.unknown.is_some() {
        facts.effects |= Effects::UNKNOWN;
        dependence = Dependence::Literals;
    }
    Reading { facts, dependence }
}

/// Ways of writing that hide words from whoever searches the text for them.
fn marks(text: &[u8]) -> Flags {
    let plain = text.is_ascii()
        && memchr::memchr(b'$', text).is_none()
        && memchr::memmem::find(text, b"U&").is_none()
        && memchr::memmem::find(text, b"u&").is_none();
    let mut flags = Flags::NONE;
    if plain {
        return flags;
    }
    for token in Tokens::of(text, Lexing::default()).into_iter().flatten().flatten() {
        match token.kind {
            Kind::DollarText => flags |= Flags::DOLLAR_QUOTE,
            Kind::UnicodeName | Kind::UnicodeText => flags |= Flags::UNICODE_ESCAPE,
            Kind::Word | Kind::QuotedName if !token.written(text).is_ascii() => {
                flags |= Flags::NON_ASCII_IDENTIFIER;
            }
            Kind::Word
            | Kind::QuotedName
            | Kind::Text
            | Kind::EscapeText
            | Kind::NationalText
            | Kind::Bits
            | Kind::Integer
            | Kind::Real
            | Kind::Parameter
            | Kind::Operator
            | Kind::Punctuation
            | Kind::Stray => {}
        }
    }
    flags
}
