//! MySQL and MariaDB, SQLite, and T-SQL: text to facts by two readers. The words' reading (`scan`)
//! is the authority; the `sqlparser` crate reads the same text beside it. What one of them sees
//! counts, and where they differ in anything, the whole is unknown. Knows no wire and no session:
//! what is prepared under a name stays unseen.
//!
//! It is groundwork: no protocol carries these languages yet. Conservative on purpose; much that
//! a server accepts is unknown here.

mod calls;
mod clauses;
mod extent;
mod lex;
mod parsed;
mod scan;
mod settings;
mod truth;
pub(crate) mod twin;
mod view;
mod words;
#[cfg(test)]
mod tests;

use crate::judge::classify::dialects::parsed::Parsed;
use crate::judge::classify::dialects::scan::Scanned;
use crate::judge::classify::dialects::view::View;
use crate::limits::{PARSED_CHAIN_MAX, PARSED_TEXT_BYTES_MAX};
use crate::model::command::Lexing;
use crate::model::facts::{Access, Effects, Facts, Flags, Relation, Statement, Unknown};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// MariaDB too.
    MySql,
    Sqlite,
    TSql,
}

impl Dialect {
    pub(crate) const ALL: [Self; 3] = [Self::MySql, Self::Sqlite, Self::TSql];

    /// Tells texts of one dialect from the same texts of another in a cache.
    pub(in crate::judge::classify) const fn tag(self) -> u8 {
        match self {
            Self::MySql => 1,
            Self::Sqlite => 2,
            Self::TSql => 3,
        }
    }
}

/// What `text` does, in a session that reads it as `lexing` says.
pub(in crate::judge::classify) fn read(dialect: Dialect, lexing: Lexing, text: &[u8]) -> Facts {
    let refused = |why, flags| {
        let mut facts = Facts { flags, ..Facts::unknown(why) };
        facts.effects |= scan::loose_effects(dialect, text);
        facts
    };
    if text.len() > PARSED_TEXT_BYTES_MAX {
        return refused(Unknown::TooLarge, Flags::TOO_LARGE);
    }
    if memchr::memchr(0, text).is_some() {
        return refused(Unknown::NulByte, Flags::NUL_BYTE);
    }
    let Ok(sql) = std::str::from_utf8(text) else {
        return refused(Unknown::InvalidEncoding, Flags::NONE);
    };
    if !reads_alike(dialect, lexing, text) {
        return refused(Unknown::UnsafeLexing, Flags::NONE);
    }
    let cut = lex::cut(sql, dialect);
    let view = View::new(sql, dialect, &cut);
    let scanned = scan::statements(&view);
    let doubt = if cut.lost {
        Some(Unknown::Unparsable)
    } else if cut.doubtful || view.unbalanced {
        Some(Unknown::Disputed)
    } else {
        None
    };
    let mut facts = gather(dialect, sql, &view, scanned, doubt);
    let (effects, flags) = scan::marks(&cut);
    facts.effects |= effects;
    facts.flags |= flags;
    if changes_its_own_reading(dialect, &facts) {
        facts.unknown = facts.unknown.or(Some(Unknown::UnsafeLexing));
        facts.effects |= Effects::UNKNOWN | scan::loose_effects(dialect, text);
    }
    if cut.lost {
        facts.effects |= scan::loose_effects(dialect, text);
    }
    facts
}

/// True if a statement may change how the server reads the ones behind it in the same text: by
/// its settings, or, where each is read when its turn comes, by code that is not seen.
fn changes_its_own_reading(dialect: Dialect, facts: &Facts) -> bool {
    let before = facts.statements.len().saturating_sub(1);
    facts.statements.iter().take(before).any(|statement| {
        statement.flags.contains(Flags::SESSION_LEXING_CHANGED)
            || (dialect == Dialect::MySql && statement.effects.contains(Effects::CODE_EXEC))
    })
}

/// False if the session's settings may change what is a string here.
fn reads_alike(dialect: Dialect, lexing: Lexing, text: &[u8]) -> bool {
    let has = |byte| memchr::memchr(byte, text).is_some();
    if !lexing.safe_encoding && (!text.is_ascii() || has(b'\\') || has(b'\'') || has(b'"')) {
        return false;
    }
    lexing.standard_strings
        || match dialect {
            Dialect::MySql => !has(b'"') && !has(b'\\'),
            Dialect::TSql => !has(b'"'),
            Dialect::Sqlite => true,
        }
}

/// Holds both readings together.
fn gather(
    dialect: Dialect,
    text: &str,
    view: &View,
    scanned: Vec<Scanned>,
    doubt: Option<Unknown>,
) -> Facts {
    let mut facts = Facts::default();
    let mut unknown = doubt.or_else(|| scanned.iter().find_map(|scanned| scanned.doubt));
    for Scanned { statement, .. } in scanned {
        facts.effects |= statement.effects;
        facts.flags |= statement.flags;
        facts.statements.push(statement);
    }
    if facts.statements.len() > 1 {
        facts.flags |= Flags::MULTI_STATEMENT;
    }
    if chain(view) > PARSED_CHAIN_MAX {
        facts.flags |= Flags::TOO_DEEP;
        unknown = Some(Unknown::TooDeep);
    } else {
        match parsed::statements(dialect, text) {
            Ok(parsed) => {
                if !agree(&mut facts, &parsed, dialect) {
                    unknown = unknown.or(Some(Unknown::Disputed));
                }
            }
            Err(why) => {
                if why == Unknown::TooDeep {
                    facts.flags |= Flags::TOO_DEEP;
                }
                unknown = unknown.or(Some(why));
            }
        }
    }
    facts.unknown = unknown;
    if unknown.is_some() {
        facts.effects |= Effects::UNKNOWN;
    }
    facts
}

/// True if both found the same statements. What the grammar's reading has more is added.
fn agree(facts: &mut Facts, parsed: &[Parsed], dialect: Dialect) -> bool {
    let mut agreed = facts.statements.len() == parsed.len();
    for parsed in parsed.iter().skip(facts.statements.len()) {
        facts.effects |= parsed.effects;
    }
    for (statement, parsed) in facts.statements.iter_mut().zip(parsed) {
        agreed &= parsed.verbs.contains(&statement.verb);
        if statement.effects.contains(Effects::EXPLAIN) {
            // What is planned is read by the words alone, which do not take it for run.
            agreed &= parsed.named.iter().all(|name| names(statement, name, dialect, true));
            continue;
        }
        agreed &= statement.effects.contains(parsed.effects);
        statement.effects |= parsed.effects;
        for name in &parsed.written {
            let aliased = is_alias(statement, name, parsed);
            agreed &= aliased || names(statement, name, dialect, false);
        }
        let written = statement.relations.iter().filter(|one| one.access != Access::Read);
        for relation in written.filter(|one| *one.name != *"*") {
            agreed &= is_named(relation, parsed);
        }
        for name in &parsed.named {
            let [.., last] = name.as_slice() else { continue };
            let cte =
                name.len() == 1 && parsed.ctes.iter().any(|cte| cte.eq_ignore_ascii_case(last));
            let alias = name.len() == 1
                && parsed.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(last));
            if !cte
                && !alias
                && !names(statement, name, dialect, true)
                && !is_function(statement, last)
            {
                let name = view::Name { parts: name.clone(), end: 0 };
                statement.relations.extend(scan::spellings(dialect, &name, Access::Read));
                statement.effects |= Effects::READ;
            }
        }
        if parsed.const_true_where {
            statement.flags |= Flags::CONST_TRUE_WHERE;
        }
        facts.effects |= statement.effects;
        facts.flags |= statement.flags;
    }
    agreed
}

/// True if the words' reading names this relation, as one that is read or as one that is changed.
fn names(statement: &Statement, name: &[String], dialect: Dialect, read: bool) -> bool {
    let name = view::Name { parts: name.to_vec(), end: 0 };
    scan::spellings(dialect, &name, Access::Read).iter().all(|spelt| {
        statement.relations.iter().any(|known| {
            known.name == spelt.name
                && known.schema == spelt.schema
                && (read || known.access != Access::Read)
        })
    })
}

/// True if the words' reading found what is written behind the name, which is an alias or a query's.
fn is_alias(statement: &Statement, name: &[String], parsed: &Parsed) -> bool {
    let [alias] = name else { return false };
    let writes = statement.relations.iter().any(|known| known.access != Access::Read);
    let cte = parsed.ctes.iter().any(|cte| cte.eq_ignore_ascii_case(alias));
    writes && (cte || parsed.aliases.iter().any(|known| known.eq_ignore_ascii_case(alias)))
}

/// True if the grammar's reading names the relation at all.
fn is_named(relation: &Relation, parsed: &Parsed) -> bool {
    let mut named = parsed.named.iter().chain(&parsed.written).chain(&parsed.into);
    named.any(|name| {
        name.last().is_some_and(|last| last.to_lowercase() == relation.name.to_lowercase())
    })
}

fn is_function(statement: &Statement, name: &str) -> bool {
    statement.functions.iter().any(|function| function.name.eq_ignore_ascii_case(name))
}

/// How deep the tree of the text can be at most: operators and words make chains that lean to one
/// side, parentheses nest. A comma begins anew.
fn chain(view: &View) -> usize {
    let mut open: Vec<usize> = vec![0];
    let mut sum = 0_usize;
    let mut deepest = 0;
    let set_operators = ["UNION", "EXCEPT", "INTERSECT"];
    for at in 0..view.tokens.len() {
        let levels = open.len();
        let Some(top) = open.last_mut() else { break };
        if view.is_mark(at, b'(') {
            open.push(0);
        } else if view.is_mark(at, b')') {
            if levels > 1 {
                sum -= *top;
                open.pop();
            }
        } else if view.is_mark(at, b',') || view.is_mark(at, b';') {
            sum -= *top;
            *top = 0;
        } else if view.is_any(at, &set_operators) {
            // Their chain goes on behind commas.
            sum += 1;
        } else {
            *top += 1;
            sum += 1;
        }
        deepest = deepest.max(sum + open.len());
    }
    deepest
}
