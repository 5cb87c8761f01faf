//! The names of sensitive values that a policy can use: those that are built in, and patterns of its
//! own. Knows how patterns are numbered; `scan` knows what they may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::judge::policy::document::PatternDocument;
use crate::judge::policy::problem::{Fault, nearest};
use crate::limits::SCANNED_PATTERNS_MAX;
use crate::model::entity::{Entity, EntitySet};
use crate::scan::{Detector, Pattern};

/// The patterns of all policies, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<Arc<Pattern>>);

impl Patterns {
    pub(super) fn as_slice(&self) -> &[Arc<Pattern>] {
        &self.0
    }

    /// Looks for these, and for nothing else: of values that overlap, only one is found.
    pub(super) fn detector(&self, wanted: EntitySet) -> Option<Arc<Detector>> {
        (!wanted.is_empty()).then(|| Arc::new(Detector::new(wanted, &self.0)))
    }

    /// The same pattern has the same number, whichever policy has it.
    fn number(&mut self, pattern: Pattern) -> Option<Entity> {
        let known = self.0.iter().position(|known| **known == pattern);
        let index = known.unwrap_or(self.0.len());
        if index >= SCANNED_PATTERNS_MAX {
            return None;
        }
        if known.is_none() {
            self.0.push(Arc::new(pattern));
        }
        u8::try_from(index).ok().map(Entity::Own)
    }
}

/// What one policy calls its own values.
#[derive(Debug, Default)]
pub(super) struct Values<'d>(BTreeMap<&'d str, Entity>);

impl<'d> Values<'d> {
    pub(super) fn compile(
        written: &'d [PatternDocument],
        patterns: &mut Patterns,
        mut blame: impl FnMut(&str, Fault),
    ) -> Self {
        let mut values = Self::default();
        for PatternDocument { name, expression } in written {
            if !is_name(name) || Entity::named(name).is_some() {
                blame(name, Fault::BadPatternName);
            }
            match Pattern::new(name, expression) {
                Ok(pattern) => match patterns.number(pattern) {
                    Some(entity) if values.0.insert(name, entity).is_none() => {}
                    Some(_) => blame(name, Fault::DuplicateId),
                    None => blame(name, Fault::TooManyPatterns),
                },
                Err(reason) => {
                    blame(name, Fault::Unsearchable { pattern: expression.clone(), reason });
                    // What refers to it is not at fault.
                    values.0.insert(name, Entity::Own(0));
                }
            }
        }
        values
    }

    /// The entities of these names.
    pub(super) fn named(&self, names: &[String], faults: &mut Vec<Fault>) -> EntitySet {
        let mut entities = EntitySet::NONE;
        for name in names {
            match self.0.get(&**name).copied().or_else(|| Entity::named(name)) {
                Some(entity) => entities = entities.with(entity),
                None => {
                    let known = Entity::ALL.iter().filter_map(|entity| entity.name());
                    let nearest = nearest(name, known.chain(self.0.keys().copied()));
                    let name = name.clone();
                    faults.push(Fault::NoSuchName { kind: "entity", name, nearest });
                }
            }
        }
        entities
    }

    /// What the policy calls them.
    pub(super) fn names(&self, entities: EntitySet) -> Box<[Box<str>]> {
        let own = |entity| self.0.iter().find(|(_, own)| **own == entity).map(|(name, _)| *name);
        let name = |entity: Entity| entity.name().or_else(|| own(entity)).unwrap_or_default();
        entities.iter().map(|entity| name(entity).into()).collect()
    }
}

/// As the built-in names are made, with dashes too.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}
