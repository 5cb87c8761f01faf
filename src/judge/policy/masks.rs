//! The masks of policies: which columns and which kinds of values are protected, and how they are
//! replaced. Knows names and patterns; columns are told apart by whoever reads a catalogue.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::judge::policy::compile::{Library, Policy};
use crate::judge::policy::document::{MaskDocument, Mode, StrategyDocument, Texts, WritesWord};
use crate::judge::policy::glob::Glob;
use crate::judge::policy::problem::{Fault, nearest};
use crate::judge::policy::values::{Patterns, Values};
use crate::model::entity::{Entity, EntitySet};
use crate::model::mask::{Derived, Protection, Strategy};
use crate::model::target::PolicyName;
use crate::model::verdict::RuleRef;
use crate::scan::Detector;

/// One `[[policy.NAME.mask]]`.
#[derive(Debug)]
pub(super) struct MaskRule {
    columns: Vec<ColumnPattern>,
    pub(super) entities: EntitySet,
    protection: Protection,
}

#[derive(Debug)]
struct ColumnPattern {
    written: Box<str>,
    /// `None` is any.
    schema: Option<Glob>,
    table: Glob,
    column: Glob,
}

impl ColumnPattern {
    /// `column` needs a table before it, a table may have a schema; the parts are patterns.
    fn read(written: &str) -> Option<Self> {
        let mut parts = written.rsplitn(3, '.').map(Glob::new);
        let (column, table) = (parts.next()?, parts.next()?);
        Some(Self { written: written.into(), schema: parts.next(), table, column })
    }

    fn matches(&self, schema: &str, table: &str, column: &str) -> bool {
        self.column.matches(column)
            && self.table.matches(table)
            && self.schema.as_ref().is_none_or(|pattern| pattern.matches(schema))
    }
}

impl MaskRule {
    pub(super) fn compile(
        policy: &PolicyName,
        id: &Arc<str>,
        written: &MaskDocument,
        lists: &BTreeMap<String, Vec<String>>,
        values: &Values<'_>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut columns = Vec::new();
        for text in texts("columns", written.columns.as_ref(), lists, faults) {
            match ColumnPattern::read(&text) {
                Some(pattern) => columns.push(pattern),
                None => faults.push(Fault::NoTable { pattern: text }),
            }
        }
        let names = texts("detect", written.detect.as_ref(), lists, faults);
        let entities = values.named(&names, faults);
        if written.columns.is_none() && written.detect.is_none() {
            faults.push(Fault::MasksNothing);
        }
        let rule = RuleRef { policy: Arc::clone(policy), rule: Arc::clone(id) };
        Self { columns, entities, protection: Protection { strategy: strategy(written.how), rule } }
    }
}

const fn strategy(written: StrategyDocument) -> Strategy {
    match written {
        StrategyDocument::Null => Strategy::Null,
        StrategyDocument::Redact => Strategy::Redact,
        StrategyDocument::Mask => Strategy::Mask,
        StrategyDocument::Hash => Strategy::Hash,
        StrategyDocument::Pseudonym => Strategy::Pseudonym,
        StrategyDocument::Fpe => Strategy::Fpe,
        StrategyDocument::Year => Strategy::Year,
        StrategyDocument::Partial(kept) => {
            Strategy::Partial { keep_first: kept.keep_first, keep_last: kept.keep_last }
        }
    }
}

fn texts(
    key: &'static str,
    written: Option<&Texts>,
    lists: &BTreeMap<String, Vec<String>>,
    faults: &mut Vec<Fault>,
) -> Vec<String> {
    let Some(written) = written else { return Vec::new() };
    let mut texts = Vec::new();
    for text in written.iter() {
        match text.strip_prefix('@') {
            None => texts.push(text.to_owned()),
            Some(list) => match lists.get(list) {
                Some(members) => texts.extend(members.iter().cloned()),
                None => faults.push(Fault::NoSuchList {
                    name: list.to_owned(),
                    nearest: nearest(list, lists.keys().map(String::as_str)),
                }),
            },
        }
    }
    if texts.is_empty() {
        faults.push(Fault::EmptyList { condition: key });
    }
    texts
}

/// A pattern that a mask names columns by.
#[derive(Clone, Copy, Debug)]
pub struct MaskPattern<'m> {
    pattern: &'m ColumnPattern,
    rule: &'m RuleRef,
}

impl<'m> MaskPattern<'m> {
    /// As the policy has it.
    #[must_use]
    pub fn written(&self) -> &'m str {
        &self.pattern.written
    }

    #[must_use]
    pub const fn rule(&self) -> &'m RuleRef {
        self.rule
    }

    /// It speaks of one table, and so of databases that have it. Others look for columns wherever
    /// they may be.
    #[must_use]
    pub fn names_a_table(&self) -> bool {
        let schema = self.pattern.schema.as_ref();
        !self.pattern.table.has_star() && schema.is_none_or(|it| it.is_any() || !it.has_star())
    }

    /// Whether it names any of these columns: schema, table, column.
    #[must_use]
    pub fn matches_any<'n>(
        &self,
        mut columns: impl Iterator<Item = (&'n str, &'n str, &'n str)>,
    ) -> bool {
        columns.any(|(schema, table, column)| self.matches(schema, table, column))
    }

    pub(super) fn matches(&self, schema: &str, table: &str, column: &str) -> bool {
        self.pattern.matches(schema, table, column)
    }
}

/// What the policies of a connection protect, together.
#[derive(Clone, Debug)]
pub struct Masks {
    rules: Vec<Arc<MaskRule>>,
    /// The strictest that any of the policies asks for.
    derived: Derived,
    guards_writes: bool,
    /// By entity, how a value of its is replaced.
    entities: Box<[Option<Protection>]>,
    patterns: Patterns,
    detector: Option<Arc<Detector>>,
}

impl Masks {
    /// Whether a column is protected. Names are as the database has them.
    #[must_use]
    pub fn column(&self, schema: &str, table: &str, column: &str) -> Option<Protection> {
        let matching = self.rules.iter().filter(|rule| {
            rule.columns.iter().any(|pattern| pattern.matches(schema, table, column))
        });
        let strictest = matching.min_by_key(|rule| rule.protection.strategy)?;
        Some(strictest.protection.clone())
    }

    /// Some column may be protected.
    #[must_use]
    pub fn has_columns(&self) -> bool {
        self.rules.iter().any(|rule| !rule.columns.is_empty())
    }

    /// Every pattern for columns, with its rule.
    pub fn patterns(&self) -> impl Iterator<Item = MaskPattern<'_>> {
        self.rules.iter().flat_map(|rule| {
            let of_rule = |pattern| MaskPattern { pattern, rule: &rule.protection.rule };
            rule.columns.iter().map(of_rule)
        })
    }

    /// The same values are replaced in the same way.
    #[must_use]
    pub fn protects_alike(&self, other: &Self) -> bool {
        let columns = |masks: &Self| -> Vec<(String, Strategy)> {
            let patterns = masks.rules.iter().flat_map(|rule| {
                let strategy = rule.protection.strategy;
                rule.columns.iter().map(move |pattern| (pattern.written.to_string(), strategy))
            });
            patterns.collect()
        };
        let strategy = |masks: &Self, entity| masks.entity(entity).map(|it| it.strategy);
        let strategies = |masks: &Self| -> Vec<Option<Strategy>> {
            Entity::ALL.iter().map(|entity| strategy(masks, *entity)).collect()
        };
        // Their numbers are of their configuration.
        let own = |masks: &Self| -> Vec<(String, Strategy)> {
            let patterns = (0..).map(Entity::Own).zip(masks.patterns.as_slice());
            let protected = patterns.filter_map(|(entity, pattern)| {
                Some((pattern.source().to_owned(), strategy(masks, entity)?))
            });
            let mut protected: Vec<_> = protected.collect();
            protected.sort_unstable();
            protected
        };
        self.derived == other.derived
            && self.guards_writes == other.guards_writes
            && strategies(self) == strategies(other)
            && own(self) == own(other)
            && columns(self) == columns(other)
    }

    #[must_use]
    pub fn entity(&self, entity: Entity) -> Option<&Protection> {
        self.entities.get(entity.index())?.as_ref()
    }

    /// Finds the values that are protected by what they look like; `None` where none are.
    #[must_use]
    pub fn detector(&self) -> Option<&Arc<Detector>> {
        self.detector.as_ref()
    }

    #[must_use]
    pub const fn derived(&self) -> Derived {
        self.derived
    }

    /// Statements that take protected values elsewhere are denied.
    #[must_use]
    pub const fn guards_writes(&self) -> bool {
        self.guards_writes
    }
}

impl Library {
    /// What the policies of these names protect; `None` where they protect nothing. A policy that
    /// only observes protects nothing.
    #[must_use]
    pub fn masks(&self, names: &[PolicyName]) -> Option<Arc<Masks>> {
        let policies = names.iter().filter_map(|name| self.policies.get(name));
        let enforced = policies.filter(|it| it.mode == Mode::Enforce && !it.masks.is_empty());
        let enforced: Vec<&Arc<Policy>> = enforced.collect();
        if enforced.is_empty() {
            return None;
        }
        let rules: Vec<_> = enforced.iter().flat_map(|policy| policy.masks.clone()).collect();
        let entities: Box<[Option<Protection>]> = Entity::every()
            .map(|entity| {
                let matching = rules.iter().filter(|rule| rule.entities.contains(entity));
                let strictest = matching.min_by_key(|rule| rule.protection.strategy)?;
                Some(strictest.protection.clone())
            })
            .collect();
        let wanted = rules.iter().fold(EntitySet::NONE, |all, rule| all.union(rule.entities));
        let detector = self.patterns.detector(wanted);
        Some(Arc::new(Masks {
            rules,
            derived: enforced.iter().map(|policy| policy.derived).min().unwrap_or_default(),
            guards_writes: enforced.iter().any(|policy| policy.writes == WritesWord::Deny),
            entities,
            patterns: self.patterns.clone(),
            detector,
        }))
    }
}
