//! Holds both readings against each other, and the reading of a text against that of the same text
//! with more blanks in it. For fuzz targets and tests: each takes any text, and a broken promise
//! is a failed assertion.

use crate::judge::classify::dialects::lex::{self, Kind};
use crate::judge::classify::dialects::view::View;
use crate::judge::classify::dialects::{Dialect, parsed, read, scan};
use crate::limits::PARSED_TEXT_BYTES_MAX;
use crate::model::command::Lexing;
use crate::model::facts::{Access, Effects, Facts};

/// Any text. The tokens stand in order, within the text; facts have `UNKNOWN` exactly when
/// something is; and what blanks and comments between tokens change is never that an effect goes
/// unseen. `seed` chooses the blanks.
pub(crate) fn scans_soundly(dialect: Dialect, seed: u64, text: &[u8]) {
    let facts = read(dialect, Lexing::default(), text);
    assert!(facts.effects.contains(Effects::UNKNOWN) == facts.unknown.is_some(), "half unknown");
    let Ok(sql) = std::str::from_utf8(text) else { return };
    if sql.contains('\0') || sql.len() > PARSED_TEXT_BYTES_MAX {
        return;
    }
    let mut behind = 0;
    for token in lex::cut(sql, dialect).tokens {
        assert!(behind <= token.start && token.start < token.end, "{token:?} is out of order");
        assert!(sql.get(token.start..token.end).is_some(), "{token:?} cuts a character");
        behind = token.end;
    }
    writes_are_seen(dialect, sql, &facts);
    if let Some(spaced) = spaced(dialect, seed, sql) {
        let other = read(dialect, Lexing::default(), spaced.as_bytes());
        let seen = other.effects.contains(facts.effects.without(Effects::UNKNOWN));
        assert!(
            seen || other.unknown.is_some(),
            "{:?} in {sql:?}\n{:?} in {spaced:?}",
            facts.effects,
            other.effects
        );
    }
}

/// What the grammar says is written, the facts say too, wherever nothing is unknown.
fn writes_are_seen(dialect: Dialect, sql: &str, facts: &Facts) {
    if facts.unknown.is_some() {
        return;
    }
    let parsed = parsed::statements(dialect, sql);
    assert!(parsed.is_ok(), "known and not parsed: {sql:?}");
    let parsed = parsed.unwrap_or_default();
    let cut = lex::cut(sql, dialect);
    let scanned = scan::statements(&View::new(sql, dialect, &cut));
    assert!(scanned.len() == parsed.len(), "known, and disputed: {sql:?}");
    for (scanned, parsed) in scanned.iter().zip(&parsed) {
        if scanned.statement.effects.contains(Effects::EXPLAIN) {
            continue;
        }
        let relations = &scanned.statement.relations;
        let written = || relations.iter().filter(|one| one.access != Access::Read);
        for name in &parsed.written {
            let Some(last) = name.last().map(|last| last.to_lowercase()) else { continue };
            let mut aliases = parsed.aliases.iter().chain(&parsed.ctes);
            let alias = aliases.any(|alias| alias.to_lowercase() == last);
            let seen = written().any(|one| alias || one.name.to_lowercase() == last);
            assert!(seen, "{name:?} is written unseen: {sql:?}");
        }
    }
}

/// `sql` with more blanks and comments between its tokens.
fn spaced(dialect: Dialect, seed: u64, sql: &str) -> Option<String> {
    let cut = lex::cut(sql, dialect);
    if cut.lost || cut.doubtful {
        return None;
    }
    let mut random = seed | 1;
    let mut spaced = String::new();
    let mut behind: Option<(usize, Kind)> = None;
    for token in cut.tokens {
        // Two marks may be one operator, and an `N` before a text belongs to it.
        let apart = behind.is_some_and(|(end, kind)| {
            end < token.start || (kind != Kind::Mark && token.kind == Kind::Mark)
        });
        if let Some((end, _)) = behind {
            spaced.push_str(sql.get(end..token.start)?);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if apart {
            let place = usize::try_from(random >> 8).unwrap_or_default() % BLANKS.len();
            spaced.push_str(BLANKS.get(place)?);
        }
        spaced.push_str(sql.get(token.start..token.end)?);
        behind = Some((token.end, token.kind));
    }
    Some(spaced)
}

const BLANKS: &[&str] =
    &["", "", " ", "\n", "\t", " /* x */ ", "/**/", "/*'*/", " -- '\n", " --\n"];
