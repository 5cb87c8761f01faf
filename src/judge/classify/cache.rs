//! Facts by text, within a bound of bytes. Knows neither languages nor what facts mean.
//! Lookup compares whole texts; the hash is keyed at random, so that nobody can choose texts
//! that fall together.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::model::facts::{
    Copy, CopySource, Draws, Facts, ForceQuote, Outputs, Spelling, Statement,
};

/// Two generations: new and used entries live in the young one; when that holds half of the
/// bound, it becomes the old one, and what was old and unused is dropped at once.
///
/// Invariant: each generation weighs at most half of the bound.
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    generation_bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            young: Generation::default(),
            old: Generation::default(),
            generation_bytes_max: bytes_max / 2,
        }
    }

    pub(super) fn find(&mut self, text: &[u8]) -> Option<Arc<Facts>> {
        if let Some(facts) = self.young.facts.get(text) {
            return Some(Arc::clone(facts));
        }
        let (text, facts) = self.old.facts.remove_entry(text)?;
        self.keep(text, Arc::clone(&facts));
        Some(facts)
    }

    pub(super) fn insert(&mut self, text: &[u8], facts: Arc<Facts>) {
        self.keep(text.into(), facts);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.young.bytes + self.old.bytes
    }

    fn keep(&mut self, text: Box<[u8]>, facts: Arc<Facts>) {
        let bytes = weight(&text, &facts);
        if bytes > self.generation_bytes_max {
            return;
        }
        if self.young.bytes + bytes > self.generation_bytes_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.facts.insert(text, facts);
        assert!(self.young.bytes <= self.generation_bytes_max, "a generation is over its bound");
    }
}

#[derive(Default)]
struct Generation {
    facts: HashMap<Box<[u8]>, Arc<Facts>, RandomState>,
    bytes: usize,
}

/// About what an entry costs in memory.
fn weight(text: &[u8], facts: &Facts) -> usize {
    let statements: usize = facts
        .statements
        .iter()
        .map(|statement| {
            let relations: usize = statement
                .relations
                .iter()
                .map(|relation| {
                    NAME_BYTES * 2
                        + relation.name.len()
                        + relation.schema.as_ref().map_or(0, |s| s.len())
                })
                .sum();
            let functions: usize = statement
                .functions
                .iter()
                .map(|function| {
                    NAME_BYTES * 2
                        + function.name.len()
                        + function.schema.as_ref().map_or(0, |s| s.len())
                })
                .sum();
            size_of_val(statement) + relations + functions + lineage(statement)
        })
        .sum();
    let names: usize =
        facts.executes.iter().chain(&facts.fetches).map(|name| NAME_BYTES + name.len()).sum();
    ENTRY_BYTES
        + text.len()
        + size_of::<Facts>()
        + statements
        + names
        + facts.definitions.len() * NAME_BYTES * 2
}

/// What a statement's outputs, assignments and copying cost beside the statement itself.
fn lineage(statement: &Statement) -> usize {
    let outputs = match &statement.outputs {
        Outputs::Unknown => 0,
        Outputs::Each(each) => {
            each.iter().map(|draws| size_of::<Draws>() + drawn(draws)).sum::<usize>()
        }
        Outputs::All(draws) => drawn(draws),
    };
    let spelt: usize = statement.spelt.iter().map(spelling).sum();
    outputs + spelt + drawn(&statement.assigned) + statement.copy.as_deref().map_or(0, copied)
}

fn spelling(spelling: &Spelling) -> usize {
    let of = spelling.of.iter().map(|(schema, name)| {
        NAME_BYTES * 2 + name.len() + schema.as_ref().map_or(0, |schema| schema.len())
    });
    size_of_val(spelling) + spelling.column.len() + of.sum::<usize>()
}

fn drawn(draws: &Draws) -> usize {
    match draws {
        Draws::Columns(columns) => names(columns),
        Draws::Nothing | Draws::Anything => 0,
    }
}

fn copied(copy: &Copy) -> usize {
    let source = match &copy.source {
        CopySource::Relation { schema, name, columns } => {
            name.len()
                + schema.as_ref().map_or(0, |schema| schema.len())
                + columns.as_deref().map_or(0, names)
        }
        CopySource::Query => 0,
    };
    let quoted = match &copy.force_quote {
        ForceQuote::Columns(columns) => names(columns),
        ForceQuote::No | ForceQuote::All => 0,
    };
    size_of::<Copy>() + NAME_BYTES * 3 + copy.null.len() + source + quoted
}

fn names(names: &[Box<str>]) -> usize {
    names.iter().map(|name| NAME_BYTES + name.len()).sum()
}

/// A name's pointer, length and allocation.
const NAME_BYTES: usize = 40;
/// A slot in the table, at its usual load, and two allocations' overhead.
const ENTRY_BYTES: usize = 96;
