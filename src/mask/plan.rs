//! What is done to each column of a result: decided once a result, from the columns' origin, from
//! what the statement is known to draw on, and from what policy protects. Where something is not
//! known the stricter way is taken.

use std::sync::Arc;

use crate::judge::policy::Masks;
use crate::mask::catalogue::{self, Catalogue};
use crate::mask::cell::{Field, Format, Shape};
use crate::mask::reach::Reach;
use crate::mask::types;
use crate::model::facts::{Copy, CopyFormat, CopySource, Draws, Facts, Outputs};
use crate::model::mask::{Derived, Strategy};
use crate::wire::Column;

/// What is done to the values of one result. By default there are none, and words are only searched.
#[derive(Debug, Default)]
pub struct Plan {
    pub(super) columns: Box<[Treatment]>,
    pub(super) reach: Reach,
    /// A column is not in the catalogue.
    unknown: bool,
    /// Relations that the statement names, for answers that have no columns.
    pub(super) named: Box<[Box<str>]>,
}

/// What is done to the values of one column.
#[derive(Debug)]
pub(super) enum Treatment {
    Pass,
    /// Values that look protected are replaced where they stand.
    Search {
        manner: Manner,
    },
    /// The whole value is replaced.
    Replace {
        strategy: Strategy,
        shape: Shape,
        format: Format,
    },
    /// The value is a row or holds rows, and some of their fields are replaced.
    Within {
        shape: Shape,
        format: Format,
    },
}

/// How a value that is found inside another one may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// By a text of any length.
    Text,
    /// So that JSON stays JSON.
    Json,
    /// By as many bytes: something outside counts them.
    InPlace,
}

impl Plan {
    /// For a result with these columns of the statement with these facts.
    #[must_use]
    pub fn of(
        columns: &[Column],
        facts: Option<&Facts>,
        catalogue: Option<&Catalogue>,
        masks: &Masks,
    ) -> Self {
        let reach = match facts {
            Some(_) => Reach::of(facts, catalogue, masks),
            // Rows of nobody knows what.
            None => Reach::anything(masks),
        };
        let place = Place { facts, catalogue, masks, reach: &reach };
        let computed = columns.iter().filter(|column| column.table == 0).count();
        let treatments = columns.iter().enumerate().map(|(index, column)| {
            let shape = types::shape(column.type_oid, column.type_modifier, catalogue);
            let format = if column.binary { Format::Binary } else { Format::Text };
            place.treat(column, index, columns.len(), computed, shape, format)
        });
        let treatments = treatments.collect();
        let unknown = catalogue.is_some_and(|catalogue| {
            let stored = columns.iter().filter(|column| column.table != 0);
            let mut found = stored.map(|column| catalogue.column(column.table, column.attribute));
            found.any(|column| column == catalogue::Column::Unknown)
        });
        Self { columns: treatments, reach, unknown, ..Self::default() }
    }

    /// For the copy that a statement makes; `None` where nothing is known of its form, so that
    /// nothing of it may go on.
    #[must_use]
    pub fn of_copy(
        count: usize,
        copy: &Copy,
        facts: &Facts,
        catalogue: Option<&Catalogue>,
        masks: &Masks,
    ) -> Option<Self> {
        let reach = Reach::of(Some(facts), catalogue, masks);
        let format = match copy.format {
            CopyFormat::Text | CopyFormat::Csv => Format::Text,
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Unknown => return None,
        };
        if copy.encoding_given {
            return None;
        }
        let named = match (&copy.source, catalogue) {
            (CopySource::Relation { schema, name, columns }, Some(catalogue)) => {
                catalogue.copy_columns(schema.as_deref(), name, columns.as_deref())
            }
            (CopySource::Relation { .. } | CopySource::Query, _) => None,
        };
        let search = masks.detector().is_some();
        let unknown = reach.is_clean() || masks.derived() != Derived::Strict;
        let treatments = match named.filter(|named| named.len() == count) {
            Some(named) => named
                .into_iter()
                .map(|column| {
                    let shape = types::shape(column.type_oid, column.typmod, catalogue);
                    match column.protection {
                        Some(protection) => {
                            let strategy = protection.strategy;
                            Treatment::Replace { strategy, shape, format }
                        }
                        None => searched(&shape, format, search),
                    }
                })
                .collect(),
            None => (0..count)
                .map(|_| match (unknown, format) {
                    // Without its type a value has no other stand-in.
                    (false, _) => {
                        let (strategy, shape) = (Strategy::Null, Shape::Opaque);
                        Treatment::Replace { strategy, shape, format }
                    }
                    (true, Format::Text) if search => Treatment::Search { manner: Manner::Text },
                    (true, Format::Binary) if search => {
                        Treatment::Search { manner: Manner::InPlace }
                    }
                    (true, _) => Treatment::Pass,
                })
                .collect(),
        };
        Some(Self { columns: treatments, reach, ..Self::default() })
    }

    /// For errors and notices. `before` has been reached by what came before.
    #[must_use]
    pub fn of_words(
        facts: Option<&Facts>,
        catalogue: Option<&Catalogue>,
        masks: &Masks,
        before: &Reach,
    ) -> Self {
        let reach = Reach::of(facts, catalogue, masks).and(before.clone());
        let statements = facts.into_iter().flat_map(|facts| &facts.statements);
        let named = statements.flat_map(|it| &it.relations).map(|it| it.name.clone());
        Self { reach, named: named.collect(), ..Self::default() }
    }

    /// No row has anything replaced.
    #[must_use]
    pub fn passes_rows(&self) -> bool {
        self.columns.iter().all(|treatment| matches!(treatment, Treatment::Pass))
    }

    /// Something in the answer is not in the catalogue.
    #[must_use]
    pub const fn met_unknown(&self) -> bool {
        self.unknown || self.reach.met_unknown()
    }
}

struct Place<'a> {
    facts: Option<&'a Facts>,
    catalogue: Option<&'a Catalogue>,
    masks: &'a Masks,
    reach: &'a Reach,
}

impl Place<'_> {
    fn treat(
        &self,
        column: &Column,
        index: usize,
        count: usize,
        computed: usize,
        shape: Shape,
        format: Format,
    ) -> Treatment {
        let search = self.masks.detector().is_some();
        if !self.masks.has_columns() {
            return searched(&shape, format, search);
        }
        let Some(catalogue) = self.catalogue else { return strict(shape, format) };
        if column.table != 0 {
            return match catalogue.column(column.table, column.attribute) {
                catalogue::Column::Free if shape.holds_protected() => {
                    Treatment::Within { shape, format }
                }
                catalogue::Column::Free => searched(&shape, format, search),
                catalogue::Column::Protected(protection) => {
                    Treatment::Replace { strategy: protection.strategy, shape, format }
                }
                catalogue::Column::Row(row) => {
                    let fields: Arc<[Field]> = row
                        .fields
                        .iter()
                        .map(|field| Field {
                            type_oid: field.type_oid,
                            shape: types::shape(field.type_oid, field.typmod, Some(catalogue)),
                            protection: field.strategy,
                        })
                        .collect();
                    Treatment::Within { shape: Shape::Composite(fields), format }
                }
                catalogue::Column::Unknown => strict(shape, format),
            };
        }
        let is_free = self.masks.derived() != Derived::Strict
            || self.reach.is_clean()
            || self.draws_on_nothing(index, count, computed);
        if is_free { searched(&shape, format, search) } else { strict(shape, format) }
    }

    /// The computed column at `index` provably holds nothing of a protected one.
    fn draws_on_nothing(&self, index: usize, count: usize, computed: usize) -> bool {
        let Some(facts) = self.facts else { return false };
        let harmless = |draws: &Draws| self.reach.allows(draws, self.facts, self.catalogue);
        let [statement] = facts.statements.as_slice() else {
            // Which of several statements it is cannot be told.
            return facts.statements.iter().all(|statement| match &statement.outputs {
                Outputs::Each(each) => each.iter().all(harmless),
                Outputs::All(draws) => harmless(draws),
                Outputs::Unknown => false,
            });
        };
        match &statement.outputs {
            Outputs::Each(each) if each.len() == count => each.get(index).is_some_and(harmless),
            Outputs::Each(each) => computed <= count && each.iter().all(harmless),
            Outputs::All(draws) => harmless(draws),
            Outputs::Unknown => false,
        }
    }
}

/// The strictest that a type can bear without looking like a value.
fn strict(shape: Shape, format: Format) -> Treatment {
    let can_say_so = matches!(shape, Shape::Text { .. } | Shape::Json | Shape::Jsonb);
    let strategy = if can_say_so { Strategy::Redact } else { Strategy::Null };
    Treatment::Replace { strategy, shape, format }
}

/// A value is searched where its type can hold a text that is not its own.
fn searched(shape: &Shape, format: Format, search: bool) -> Treatment {
    if !search {
        return Treatment::Pass;
    }
    match (shape, format) {
        (Shape::Text { max_chars: None, pads: false }, _) => {
            Treatment::Search { manner: Manner::Text }
        }
        (Shape::Json, _) | (Shape::Jsonb, _) => Treatment::Search { manner: Manner::Json },
        (Shape::Array(element, _), _) => match searched(element, format, search) {
            Treatment::Pass => Treatment::Pass,
            Treatment::Search { .. } | Treatment::Replace { .. } | Treatment::Within { .. } => {
                Treatment::Search { manner: Manner::InPlace }
            }
        },
        (
            Shape::Text { .. }
            | Shape::Xml
            | Shape::Composite(_)
            | Shape::TsVector
            | Shape::TsQuery
            | Shape::Range
            | Shape::Multirange
            | Shape::Opaque,
            _,
        ) => Treatment::Search { manner: Manner::InPlace },
        (
            Shape::Bytea
            | Shape::Bool
            | Shape::Int2
            | Shape::Int4
            | Shape::Int8
            | Shape::Oid
            | Shape::Float4
            | Shape::Float8
            | Shape::Numeric { .. }
            | Shape::Money
            | Shape::Date
            | Shape::Time
            | Shape::Timetz
            | Shape::Timestamp
            | Shape::Timestamptz
            | Shape::Interval
            | Shape::Uuid
            | Shape::Inet
            | Shape::Cidr
            | Shape::Macaddr
            | Shape::Macaddr8
            | Shape::Bit
            | Shape::Varbit
            | Shape::Point
            | Shape::Line
            | Shape::Lseg
            | Shape::Box
            | Shape::Path
            | Shape::Polygon
            | Shape::Circle
            | Shape::Enum(_),
            _,
        ) => Treatment::Pass,
    }
}
