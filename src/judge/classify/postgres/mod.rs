//! PostgreSQL: text to facts by the server's own grammar. Knows the language, not the wire, and
//! no session: names of prepared statements stay names, and `search_path` is not applied.

mod attributes;
mod bindings;
mod catalogue;
mod defines;
mod functions;
mod objects;
pub(in crate::judge::classify) mod parser;
mod reads;
mod session;
pub(in crate::judge::classify) mod shape;
mod tree;
mod truth;
pub(in crate::judge::classify) mod walk;
mod writes;
#[cfg(test)]
pub(in crate::judge::classify) mod tests;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Dependence, Walk};
use crate::model::command::Lexing;
use crate::model::facts::{Effects, Facts, Flags, Unknown};

/// Facts, and whether texts of the same shape have the same ones.
pub(in crate::judge::classify) struct Reading {
    pub(in crate::judge::classify) facts: Facts,
    pub(in crate::judge::classify) dependence: Dependence,
}

/// True if the session reads `text` as the grammar here does. A text without quotes and
/// backslashes has no strings that a setting could end elsewhere; in an encoding whose characters
/// may contain ASCII bytes, it must be ASCII throughout as well.
pub(in crate::judge::classify) fn reads_alike(text: &[u8], lexing: Lexing) -> bool {
    if lexing.standard_strings && lexing.safe_encoding {
        return true;
    }
    memchr::memchr2(b'\'', b'\\', text).is_none() && (lexing.safe_encoding || text.is_ascii())
}

/// Reads `text`, which the session reads alike.
pub(in crate::judge::classify) fn read(text: &[u8]) -> Reading {
    match statements(text) {
        Ok(statements) => gather(&statements, text),
        Err(why) => {
            let flags = match why {
                Unknown::NulByte => Flags::NUL_BYTE,
                Unknown::TooLarge => Flags::TOO_LARGE,
                Unknown::TooDeep => Flags::TOO_DEEP,
                Unknown::Unparsable
                | Unknown::InvalidEncoding
                | Unknown::UnsafeLexing
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
        facts.effects |= walk.statement.effects;
        facts.flags |= walk.statement.flags;
        facts.statements.push(walk.statement);
        facts.definitions.append(&mut walk.definitions);
        facts.executes.append(&mut walk.executes);
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
    if let Ok(text) = std::str::from_utf8(text) {
        facts.flags |= parser::marks(text);
    }
    if facts.unknown.is_some() {
        facts.effects |= Effects::UNKNOWN;
        dependence = Dependence::Literals;
    }
    Reading { facts, dependence }
}
