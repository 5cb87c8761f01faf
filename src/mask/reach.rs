//! How far a statement reaches into what is protected: by the names in its text, which tell too much
//! rather than too little (a name is taken for every relation that bears it), and by the code that
//! it runs and does not show.

use crate::judge::policy::Masks;
use crate::mask::catalogue::{Catalogue, Touch};
use crate::model::facts::{Access, Body, Code, Draws, Effects, Facts, Origin, Spelling, Statement};

/// What an answer may be made of, beside columns whose origin is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing protected.
    #[default]
    Clean,
    /// Protected columns of these names.
    Columns(Vec<Box<str>>),
    /// Anything.
    Anything {
        /// Because of a relation that the catalogue does not have, perhaps not yet.
        unknown: bool,
    },
}

impl Reach {
    /// Of what no statement at hand accounts for: the end of a transaction, where constraints and
    /// triggers that were put off speak of any row.
    #[must_use]
    pub fn anything(masks: &Masks) -> Self {
        if masks.has_columns() { Self::Anything { unknown: false } } else { Self::Clean }
    }

    #[must_use]
    pub fn of(facts: Option<&Facts>, catalogue: Option<&Catalogue>, masks: &Masks) -> Self {
        if !masks.has_columns() {
            return Self::Clean;
        }
        // Words that answer no statement come from nowhere in particular.
        let Some(facts) = facts else { return Self::Clean };
        let Some(catalogue) = catalogue else { return Self::Anything { unknown: true } };
        // Nor is it known what is fetched from a cursor that nobody saw being declared.
        if facts.unknown.is_some() || !facts.fetches.is_empty() {
            return Self::Anything { unknown: false };
        }
        Self::of_all(facts, catalogue)
    }

    /// Of all statements of a text together.
    pub(super) fn of_all(facts: &Facts, catalogue: &Catalogue) -> Self {
        let statements = facts.statements.iter();
        statements.fold(Self::Clean, |reach, it| reach.and(Self::of_statement(it, catalogue)))
    }

    pub(super) fn of_statement(statement: &Statement, catalogue: &Catalogue) -> Self {
        let hidden = statement.code == Code::Unnamed
            || statement.effects.intersects(HIDING)
            || statement.functions.iter().any(|function| {
                function.origin == Origin::Elsewhere || function.body == Body::Given
            });
        let start = if hidden { Self::Anything { unknown: false } } else { Self::Clean };
        let touched = statement.relations.iter().map(|relation| {
            match catalogue.touch(relation.schema.as_deref(), &relation.name) {
                Touch::None => Self::Clean,
                Touch::Protected { columns, .. } => Self::Columns(columns.to_vec()),
                // What is about to be made is not known yet, and holds nothing.
                Touch::Unknown if relation.access == Access::Define => Self::Clean,
                Touch::Unknown => Self::Anything { unknown: true },
            }
        });
        touched.fold(start, Self::and)
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Clean, reach) | (reach, Self::Clean) => reach,
            (Self::Anything { unknown: one }, Self::Anything { unknown: other }) => {
                Self::Anything { unknown: one || other }
            }
            (Self::Anything { unknown }, Self::Columns(_))
            | (Self::Columns(_), Self::Anything { unknown }) => Self::Anything { unknown },
            (Self::Columns(mut names), Self::Columns(others)) => {
                names.extend(others);
                Self::Columns(names)
            }
        }
    }

    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::Clean)
    }

    #[must_use]
    pub const fn met_unknown(&self) -> bool {
        matches!(self, Self::Anything { unknown: true })
    }

    /// What is made of `draws` provably holds nothing protected.
    pub(super) fn allows(
        &self,
        draws: &Draws,
        facts: Option<&Facts>,
        catalogue: Option<&Catalogue>,
    ) -> bool {
        match (self, draws) {
            (Self::Clean, _) | (Self::Columns(_), Draws::Nothing) => true,
            (Self::Anything { .. }, Draws::Nothing) => facts.is_some_and(|it| !hides(it)),
            (Self::Columns(protected), Draws::Columns(names)) => names
                .iter()
                .all(|name| !protected.contains(name) && is_column(name, facts, catalogue)),
            (Self::Columns(_) | Self::Anything { .. }, Draws::Columns(_) | Draws::Anything) => {
                false
            }
        }
    }
}

/// What reads in ways that no name in the text tells of.
const HIDING: Effects = Effects::CODE_EXEC.union(Effects::FILE_READ).union(Effects::NETWORK);

fn hides(facts: &Facts) -> bool {
    let mut statements = facts.statements.iter();
    facts.unknown.is_some()
        || !facts.fetches.is_empty()
        || facts.effects.intersects(HIDING)
        || statements.any(|statement| statement.effects.intersects(HIDING))
}

/// `t.name` may also call a function of that name; only what is a column of a relation that the
/// statement names is one.
fn is_column(name: &str, facts: Option<&Facts>, catalogue: Option<&Catalogue>) -> bool {
    let (Some(facts), Some(catalogue)) = (facts, catalogue) else { return false };
    let mut relations = facts.statements.iter().flat_map(|statement| &statement.relations);
    let mut spelt = facts.statements.iter().flat_map(|statement| &statement.spelt);
    relations.any(|relation| catalogue.has_column(relation.schema.as_deref(), &relation.name, name))
        && spelt.all(|it| *it.column != *name || is_spelt_out(it, catalogue))
}

/// Whatever the qualifier may stand for has such a column, so that it calls nothing.
fn is_spelt_out(spelling: &Spelling, catalogue: &Catalogue) -> bool {
    let mut of = spelling.of.iter();
    !spelling.of.is_empty()
        && of.all(|(schema, name)| {
            catalogue.all_have_column(schema.as_deref(), name, &spelling.column)
        })
}
