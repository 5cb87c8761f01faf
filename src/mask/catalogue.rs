//! Which columns of a database are protected, by the numbers that its answers bear and by name.
//! Built off the path from what was read of the server's own catalogue and from what policy says;
//! looked up on the path. Knows neither how it is read nor who asks.
//!
//! What it does not know it says it does not: whoever asks takes the stricter way.

mod build;
mod cell;
mod raw;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::model::mask::{Protection, Strategy};
use crate::model::verdict::RuleRef;

pub use cell::Cell;
pub use raw::{
    Attribute, Field, Kind, Raw, Relation, Source, Type, TypeInfo, TypeKind, USER_OID_FIRST,
};

/// One database under one policy. Immutable; shared as a whole.
#[derive(Debug)]
pub struct Catalogue {
    /// Nothing could be read.
    unreadable: bool,
    protections: Box<[Protection]>,
    relations: HashMap<u32, Known, RandomState>,
    /// Oids by name, whatever the schema.
    names: HashMap<Box<str>, Named, RandomState>,
    types: HashMap<u32, TypeInfo, RandomState>,
}

/// A column of an answer, by table and attribute number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column<'a> {
    /// Not known, so perhaps protected.
    Unknown,
    Free,
    Protected(&'a Protection),
    /// A whole row, some of whose fields are protected.
    Row(&'a RowShape),
}

/// A whole row as one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowShape {
    /// In the order in which they stand in the value, without dropped ones.
    pub fields: Box<[RowField]>,
    pub strictest: Protection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowField {
    pub type_oid: u32,
    pub typmod: i32,
    pub strategy: Option<Strategy>,
}

/// A relation that a statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch<'a> {
    /// None of its columns is protected.
    None,
    /// No such relation is known, or one of its columns is not.
    Unknown,
    Protected {
        strictest: &'a Protection,
        columns: &'a [Box<str>],
    },
}

/// A column as `COPY` puts it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyColumn {
    pub type_oid: u32,
    pub typmod: i32,
    pub protection: Option<Protection>,
}

/// What is known of one column; a number is a place in `Catalogue::protections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Unknown,
    Protected(u32),
}

#[derive(Debug)]
struct Known {
    /// `COPY` takes it by name.
    copied: bool,
    /// By attribute number, from 1 on.
    states: Box<[State]>,
    /// As `COPY` goes through them.
    columns: Box<[KnownColumn]>,
    row: Row,
}

#[derive(Debug)]
struct KnownColumn {
    number: i16,
    name: Box<str>,
    type_oid: u32,
    typmod: i32,
    generated: bool,
}

#[derive(Debug)]
enum Row {
    Free,
    Unknown,
    Protected(RowShape),
}

/// The relations of one name.
#[derive(Debug, Default)]
struct Named {
    every: Together,
    schemas: Vec<(Box<str>, Together)>,
}

/// Relations that a statement may mean, taken as one.
#[derive(Debug, Default)]
struct Together {
    oids: Vec<u32>,
    unknown: bool,
    strictest: Option<u32>,
    columns: Vec<Box<str>>,
}

impl Catalogue {
    /// `protect` is asked once for each column: schema, relation, column.
    #[must_use]
    pub fn build(raw: &Raw, protect: &dyn Fn(&str, &str, &str) -> Option<Protection>) -> Self {
        build::build(raw, protect)
    }

    /// What stands in until something could be read: everything may be protected.
    #[must_use]
    pub fn unreadable() -> Self {
        let rule = RuleRef::built_in("catalogue-unreadable");
        Self {
            unreadable: true,
            protections: Box::new([Protection { strategy: Strategy::Null, rule }]),
            relations: HashMap::default(),
            names: HashMap::default(),
            types: HashMap::default(),
        }
    }

    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// The column `number` of the relation `table`, as an answer's description names them.
    #[must_use]
    pub fn column(&self, table: u32, number: i16) -> Column<'_> {
        let Some(known) = self.relations.get(&table) else {
            let own = table != 0 && table < USER_OID_FIRST;
            return if own && !self.unreadable { Column::Free } else { Column::Unknown };
        };
        let index = match usize::try_from(number) {
            Ok(0) => {
                return match &known.row {
                    Row::Free => Column::Free,
                    Row::Unknown => Column::Unknown,
                    Row::Protected(shape) => Column::Row(shape),
                };
            }
            Ok(number) => number - 1,
            // The server's own columns: where a row lies, which transaction wrote it.
            Err(_) => return Column::Free,
        };
        match known.states.get(index) {
            None | Some(State::Unknown) => Column::Unknown,
            Some(State::Free) => Column::Free,
            Some(State::Protected(place)) => {
                self.protections.get(*place as usize).map_or(Column::Unknown, Column::Protected)
            }
        }
    }

    /// The relation that `name` may mean, in any schema unless one is given: what a search path
    /// makes of a name is not believed.
    #[must_use]
    pub fn touch(&self, schema: Option<&str>, name: &str) -> Touch<'_> {
        if self.unreadable {
            return self
                .protections
                .first()
                .map_or(Touch::Unknown, |strictest| Touch::Protected { strictest, columns: &[] });
        }
        let Some(together) = self.named(schema, name) else { return Touch::Unknown };
        let strictest = together.strictest.and_then(|place| self.protections.get(place as usize));
        match strictest {
            Some(strictest) => Touch::Protected { strictest, columns: &together.columns },
            None if together.unknown => Touch::Unknown,
            None => Touch::None,
        }
    }

    /// Some relation of this name has a column `column`.
    #[must_use]
    pub fn has_column(&self, schema: Option<&str>, name: &str, column: &str) -> bool {
        let oids = self.named(schema, name).map(|together| together.oids.as_slice());
        let mut known = oids.unwrap_or_default().iter().filter_map(|oid| self.relations.get(oid));
        known.any(|known| known.columns.iter().any(|known| *known.name == *column))
    }

    /// Relations of this name are known, and all of them have a column `column`.
    #[must_use]
    pub fn all_have_column(&self, schema: Option<&str>, name: &str, column: &str) -> bool {
        let oids = self.named(schema, name).map(|together| together.oids.as_slice());
        let oids = oids.unwrap_or_default();
        let mut known = oids.iter().map(|oid| self.relations.get(oid));
        !oids.is_empty()
            && known.all(|known| {
                known.is_some_and(|it| it.columns.iter().any(|it| *it.name == *column))
            })
    }

    /// What protects something in a schema.
    #[must_use]
    pub fn protection_within(&self, schema: &str) -> Option<&Protection> {
        let mut schemas = self.names.values().flat_map(|named| &named.schemas);
        schemas.find_map(|(known, together)| {
            let place = together.strictest.filter(|_| **known == *schema)?;
            self.protections.get(place as usize)
        })
    }

    /// Types from `USER_OID_FIRST` on.
    #[must_use]
    pub fn type_of(&self, oid: u32) -> Option<&TypeInfo> {
        self.types.get(&oid)
    }

    /// What `COPY name (named…) TO` puts out. Where several schemas have such a relation, a place
    /// is as strict as the strictest of them; `None` where they do not agree in their columns, and
    /// where nothing like it is known.
    #[must_use]
    pub fn copy_columns(
        &self,
        schema: Option<&str>,
        name: &str,
        named: Option<&[Box<str>]>,
    ) -> Option<Vec<CopyColumn>> {
        let mut agreed: Option<Vec<CopyColumn>> = None;
        for oid in &self.named(schema, name)?.oids {
            let known = self.relations.get(oid).filter(|known| known.copied);
            let Some(known) = known else { continue };
            let columns = match self.copied(known, named) {
                Copied::Columns(columns) => columns,
                // The server refuses to copy this one, so it is not the one that is meant.
                Copied::NoSuchColumn => continue,
                Copied::Unknown => return None,
            };
            agreed = Some(match agreed {
                None => columns,
                Some(others) => stricter_of(others, columns)?,
            });
        }
        agreed
    }

    fn named(&self, schema: Option<&str>, name: &str) -> Option<&Together> {
        let named = self.names.get(name)?;
        match schema {
            // Each session's own schema for what is temporary answers to the second.
            None | Some(TEMPORARY) => Some(&named.every),
            Some(schema) => {
                let mut schemas = named.schemas.iter();
                schemas.find(|(known, _)| **known == *schema).map(|(_, together)| together)
            }
        }
    }

    fn copied(&self, known: &Known, named: Option<&[Box<str>]>) -> Copied {
        let chosen: Option<Vec<&KnownColumn>> = match named {
            None => Some(known.columns.iter().filter(|column| !column.generated).collect()),
            Some(names) => names
                .iter()
                .map(|name| known.columns.iter().find(|column| column.name == *name))
                .collect(),
        };
        let Some(chosen) = chosen else { return Copied::NoSuchColumn };
        let columns = chosen.into_iter().map(|column| {
            let state = usize::try_from(column.number - 1).ok().and_then(|at| known.states.get(at));
            let protection = match state {
                None | Some(State::Unknown) => return None,
                Some(State::Free) => None,
                Some(State::Protected(place)) => Some(self.protections.get(*place as usize)?),
            };
            Some(CopyColumn {
                type_oid: column.type_oid,
                typmod: column.typmod,
                protection: protection.cloned(),
            })
        });
        columns.collect::<Option<_>>().map_or(Copied::Unknown, Copied::Columns)
    }
}

enum Copied {
    Columns(Vec<CopyColumn>),
    NoSuchColumn,
    Unknown,
}

fn stricter_of(a: Vec<CopyColumn>, b: Vec<CopyColumn>) -> Option<Vec<CopyColumn>> {
    if a.len() != b.len() {
        return None;
    }
    let both = a.into_iter().zip(b).map(|(a, b)| {
        let protection = match (a.protection, b.protection) {
            (Some(a), Some(b)) => Some(if b.strategy < a.strategy { b } else { a }),
            (a, b) => a.or(b),
        };
        // A value cannot be replaced without knowing its type.
        let same = a.type_oid == b.type_oid;
        (same || protection.is_none()).then_some(CopyColumn { protection, ..a })
    });
    both.collect()
}

const TEMPORARY: &str = "pg_temp";

/// What a column is protected by that holds samples of others.
fn samples_protection() -> Protection {
    let rule = RuleRef::built_in("catalogue-samples");
    Protection { strategy: Strategy::Null, rule }
}

#[cfg(test)]
mod tests;
