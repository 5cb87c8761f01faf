//! Conditions of a rule over facts and text. A condition is asked for a side: where its rule
//! denies, what could match does; where it allows, only what certainly does.

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;

use crate::judge::policy::glob::Glob;
use crate::judge::policy::text::Text;
use crate::model::entity::EntitySet;
use crate::model::facts::{Access, Body, Code, Effects, Facts, Flags, Function, Origin, Relation};

/// Which mistake a condition must not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
    Only,
    None,
}

#[derive(Debug)]
pub(super) enum Condition {
    Effects(Quantifier, Effects),
    Flags(Quantifier, Flags),
    /// `access: None` is all of them. The quantifier is `Any` or `Only`.
    Objects {
        access: Option<Access>,
        quantifier: Quantifier,
        patterns: Vec<ObjectPattern>,
    },
    Functions {
        quantifier: Quantifier,
        patterns: Vec<FunctionPattern>,
    },
    Verbs(Vec<Box<str>>),
    Keywords {
        words: Vec<Box<str>>,
        search: AhoCorasick,
    },
    Matches {
        patterns: Vec<Box<str>>,
        search: Regex,
    },
    /// Any of them is in the text, or in what it is bound to.
    Entities {
        names: Box<[Box<str>]>,
        entities: EntitySet,
    },
}

impl Condition {
    pub(super) fn holds(&self, side: Side, facts: &Facts, text: &Text<'_>) -> bool {
        match self {
            Self::Effects(quantifier, effects) => match quantifier {
                Quantifier::Any => facts.effects.intersects(*effects),
                Quantifier::All => facts.effects.contains(*effects),
                Quantifier::Only => facts.effects.only(*effects),
                Quantifier::None => !facts.effects.intersects(*effects),
            },
            Self::Flags(quantifier, flags) => match quantifier {
                Quantifier::Any => facts.flags.intersects(*flags),
                Quantifier::All => facts.flags.contains(*flags),
                Quantifier::Only => facts.flags.only(*flags),
                Quantifier::None => !facts.flags.intersects(*flags),
            },
            Self::Objects { access, quantifier, patterns } => {
                let relations = facts.statements.iter().flat_map(|s| &s.relations);
                let relevant = relations.filter(|r| access.is_none_or(|access| r.access == access));
                fits(*quantifier, side, relevant, |relation| {
                    patterns.iter().any(|pattern| pattern.matches(side, relation))
                })
            }
            Self::Functions { quantifier: Quantifier::Only, .. }
                if side == Side::Allow && !names_its_code(facts) =>
            {
                false
            }
            Self::Functions { quantifier, patterns } => {
                let functions = facts.statements.iter().flat_map(|s| &s.functions);
                fits(*quantifier, side, functions, |function| {
                    patterns.iter().any(|pattern| pattern.matches(side, function))
                })
            }
            Self::Verbs(verbs) => {
                let mut statements = facts.statements.iter().map(|statement| statement.verb);
                let listed = |verb: &str| verbs.iter().any(|listed| **listed == *verb);
                match side {
                    Side::Deny => statements.any(listed),
                    Side::Allow => !facts.statements.is_empty() && statements.all(listed),
                }
            }
            Self::Keywords { search, .. } => search.is_match(text.bytes()),
            Self::Matches { search, .. } => search.is_match(text.bytes()),
            // Only rules that deny or hold ask for them.
            Self::Entities { entities, .. } => {
                text.entities().intersects(*entities) || text.is_cut()
            }
        }
    }
}

/// True if the functions that are named are all the code that is run and not shown. A list of
/// functions says nothing of a `DO`, nor of what could not be told.
pub(super) fn names_its_code(facts: &Facts) -> bool {
    facts.unknown.is_none() && facts.statements.iter().all(|s| s.code == Code::Named)
}

/// `only` over nothing holds where a rule allows: there is nothing that it would not cover.
fn fits<T>(
    quantifier: Quantifier,
    side: Side,
    mut items: impl Iterator<Item = T>,
    matches: impl Fn(&T) -> bool,
) -> bool {
    match quantifier {
        Quantifier::Any => items.any(|item| matches(&item)),
        Quantifier::None => !items.any(|item| matches(&item)),
        Quantifier::Only | Quantifier::All => match side {
            Side::Allow => items.all(|item| matches(&item)),
            Side::Deny => {
                let mut count = 0_usize;
                let all = items.all(|item| {
                    count += 1;
                    matches(&item)
                });
                all && count > 0
            }
        },
    }
}

/// `schema.name`, both with stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectPattern {
    pub(super) schema: Glob,
    pub(super) name: Glob,
}

impl ObjectPattern {
    /// An unqualified name is whatever `search_path` makes of it. Where a rule denies, it may be
    /// the one in the pattern's schema; where a rule allows, it may be one in any other schema,
    /// so only a pattern for every schema covers it. A relation called `*` is a whole schema.
    fn matches(&self, side: Side, relation: &Relation) -> bool {
        let schema = match (&relation.schema, side) {
            (Some(schema), _) => self.schema.matches(schema),
            (None, Side::Deny) => true,
            (None, Side::Allow) => self.schema.is_any(),
        };
        let name = match (&*relation.name, side) {
            ("*", Side::Deny) => true,
            ("*", Side::Allow) => self.name.is_any(),
            (name, _) => self.name.matches(name),
        };
        schema && name
    }
}

impl std::fmt::Display for ObjectPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema.as_str(), self.name.as_str())
    }
}

/// `name` or `schema.name`, with stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionPattern {
    pub(super) schema: Option<Glob>,
    pub(super) name: Glob,
}

impl FunctionPattern {
    /// A pattern without a schema means any schema where a rule denies; where it allows, it means
    /// the server's own functions and whatever `search_path` makes of an unqualified name. An
    /// unqualified name of one of the server's own counts as written with `pg_catalog`.
    ///
    /// A function that runs what it is given is allowed only by a pattern that spells its name:
    /// `pg_catalog.*` is not meant to allow any code at all.
    fn matches(&self, side: Side, function: &Function) -> bool {
        let schema = match (&function.schema, function.origin) {
            (Some(schema), _) => Some(&**schema),
            (None, Origin::Server) => Some(SERVERS_OWN),
            (None, Origin::Elsewhere) => None,
        };
        let in_schema = match (&self.schema, schema, side) {
            (Some(_), Some(_), Side::Deny) if function.schema.is_none() => true,
            (Some(pattern), Some(schema), _) => pattern.matches(schema),
            (Some(_), None, Side::Deny) | (None, _, Side::Deny) | (None, None, Side::Allow) => true,
            (Some(pattern), None, Side::Allow) => pattern.is_any(),
            (None, Some(schema), Side::Allow) => schema == SERVERS_OWN,
        };
        let spelt = match (side, function.body) {
            (Side::Allow, Body::Given) => self.name.as_str() == &*function.name,
            (Side::Allow, Body::Own) | (Side::Deny, _) => true,
        };
        in_schema && spelt && self.name.matches(&function.name)
    }
}

/// The schema of the server's own functions.
pub(super) const SERVERS_OWN: &str = "pg_catalog";

impl std::fmt::Display for FunctionPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{}.{}", schema.as_str(), self.name.as_str()),
            None => f.write_str(self.name.as_str()),
        }
    }
}
