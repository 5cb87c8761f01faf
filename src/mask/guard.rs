//! Statements that would carry protected values past the masks: into another table, a view, a
//! setting, a copy that cannot be read; and those that would write a stand-in back as if it were
//! the value.

use std::sync::Arc;

use crate::judge::policy::Masks;
use crate::mask::catalogue::{Catalogue, Touch};
use crate::mask::cell;
use crate::mask::reach::Reach;
use crate::model::facts::{
    Access, Code, CopyDirection, CopyFormat, Draws, Effects, Facts, Statement,
};
use crate::model::mask::Protection;
use crate::model::session::Parameter;
use crate::model::verdict::RuleRef;

/// Why a statement is denied for the sake of what is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The rule that protects, or ours where it is any of them.
    pub rule: RuleRef,
    pub message: Arc<str>,
}

/// Effects that show values to nobody but the bot, and so past the masks.
const SHOWING: Effects = Effects::READ
    .union(Effects::TXN)
    .union(Effects::LOCK)
    .union(Effects::EXPLAIN)
    .union(Effects::COPY_OUT)
    .union(Effects::DELETE)
    .union(Effects::TRUNCATE)
    .union(Effects::DDL_DROP);

/// What speaks against a statement that policy allows.
#[must_use]
pub fn objection(
    facts: &Facts,
    text: &[u8],
    parameters: &[Parameter],
    catalogue: Option<&Catalogue>,
    masks: &Masks,
) -> Option<Objection> {
    if let Some(message) = unreadable_copy(facts) {
        return Some(ours("copy-form", message));
    }
    if !masks.has_columns() || !masks.guards_writes() {
        return None;
    }
    if facts.unknown.is_some() {
        return Some(ours("unknown", "it cannot be told whether it moves protected values"));
    }
    let Some(catalogue) = catalogue else {
        return Some(ours("catalogue-unreadable", "what is protected could not be read yet"));
    };
    facts.statements.iter().find_map(|statement| of_statement(statement, facts, catalogue)).or_else(
        || {
            let writes = facts.effects.intersects(WRITING);
            (writes && holds_stand_in(text, parameters)).then(|| {
                ours("written-back", "it writes a stand-in for a protected value, not the value")
            })
        },
    )
}

const WRITING: Effects = Effects::INSERT.union(Effects::UPDATE);

fn of_statement(statement: &Statement, facts: &Facts, catalogue: &Catalogue) -> Option<Objection> {
    if statement.code == Code::Unnamed {
        return Some(ours("hidden-code", "it runs code that could move protected values"));
    }
    if let Some(protection) = renamed_schema(statement, catalogue) {
        return Some(by(protection, "it changes the definition of what is protected"));
    }
    let mut first: Option<&Protection> = None;
    // What is run by name stands beside the statement that runs it and may keep its rows.
    let runs_named = !facts.executes.is_empty();
    let named = facts.statements.iter().filter(|_| runs_named).flat_map(|it| &it.relations);
    for relation in statement.relations.iter().chain(named) {
        let Touch::Protected { strictest, .. } =
            catalogue.touch(relation.schema.as_deref(), &relation.name)
        else {
            continue;
        };
        first = first.or(Some(strictest));
        let reshapes = Effects::DDL_ALTER.union(Effects::DDL_CREATE);
        if relation.access == Access::Define && statement.effects.intersects(reshapes) {
            return Some(by(strictest, "it changes the definition of what is protected"));
        }
    }
    let reach = if runs_named {
        Reach::of_all(facts, catalogue)
    } else {
        Reach::of_statement(statement, catalogue)
    };
    let moving = moved_by(statement);
    if reach.is_clean() || moving.is_empty() && statement.assigned == Draws::Nothing {
        return None;
    }
    // What it puts elsewhere is made of nothing protected.
    if moving.without(ASSIGNING).is_empty()
        && reach.allows(&statement.assigned, Some(facts), Some(catalogue))
    {
        return None;
    }
    first.map(|protection| by(protection, "it would put protected values where no mask is"))
}

/// Rules may name a schema, so that under another name nothing in it would be protected.
fn renamed_schema<'a>(statement: &Statement, catalogue: &'a Catalogue) -> Option<&'a Protection> {
    if !statement.effects.intersects(Effects::DDL_ALTER) {
        return None;
    }
    let mut whole = statement.relations.iter().filter(|it| &*it.name == "*");
    whole.find_map(|it| catalogue.protection_within(it.schema.as_deref().unwrap_or_default()))
}

/// Effects by which a value could get elsewhere. Locks do that where they are taken by number.
fn moved_by(statement: &Statement) -> Effects {
    let numbered = statement.functions.iter().any(|function| function.name.contains("advisory"));
    let showing = if numbered { SHOWING.without(Effects::LOCK) } else { SHOWING };
    statement.effects.without(showing)
}

/// Effects whose values `Statement::assigned` tells of.
const ASSIGNING: Effects =
    Effects::INSERT.union(Effects::UPDATE).union(Effects::DDL_CREATE).union(Effects::COPY_IN);

fn unreadable_copy(facts: &Facts) -> Option<&'static str> {
    let copies = facts.statements.iter().filter_map(|statement| statement.copy.as_deref());
    let mut out = copies.filter(|copy| copy.direction == CopyDirection::ToClient);
    let first = out.next()?;
    if out.next().is_some() {
        return Some("several copies in one text cannot be told apart; send them one by one");
    }
    (first.encoding_given || first.format == CopyFormat::Unknown)
        .then_some("a copy with this option cannot be searched for protected values")
}

/// A quoted text or a parameter that looks like what we put in the place of a value.
fn holds_stand_in(text: &[u8], parameters: &[Parameter]) -> bool {
    // Which pieces are inside quotes is not asked: comments and escapes can shift that.
    let mut quoted = text.split(|byte| matches!(byte, b'\'' | b'$'));
    // Some drivers send text in binary format, where it is the same bytes.
    let mut values = parameters.iter().filter_map(Parameter::bytes);
    quoted.any(cell::is_ours) || values.any(|value| cell::is_ours(&value))
}

fn ours(rule: &str, message: &str) -> Objection {
    Objection { rule: RuleRef::built_in(rule), message: message.into() }
}

fn by(protection: &Protection, message: &str) -> Objection {
    Objection { rule: protection.rule.clone(), message: message.into() }
}
