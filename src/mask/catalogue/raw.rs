//! What was read of a database's catalogue, before any policy is asked. Knows how columns come
//! from one another, not which of them matter.

/// Everything that was read, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    pub relations: Vec<Relation>,
    /// Those that users and extensions made; the server's own are known by their numbers.
    pub types: Vec<Type>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: Box<str>,
    pub name: Box<str>,
    pub kind: Kind,
    /// By attribute number, dropped ones included.
    pub columns: Vec<Attribute>,
    /// What it is a partition of, or inherits from.
    pub parents: Vec<u32>,
    /// What it is computed from: relations and their columns. Column 0 is the relation itself.
    pub reads: Vec<(u32, i16)>,
    /// It may hold whole rows of what it reads, so that `reads` does not name every column.
    pub whole_rows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Table,
    /// A table whose rows lie in others.
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    /// Where the server keeps the large values of another relation.
    Overflow,
    /// Sequences and composite types.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub number: i16,
    pub name: Box<str>,
    pub type_oid: u32,
    pub typmod: i32,
    pub dropped: bool,
    /// The server keeps values of other columns in it.
    pub samples: bool,
    pub source: Source,
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are stored.
    Own,
    /// They are those of one column elsewhere; column 0 is the whole row.
    Bare { relation: u32, number: i16 },
    /// An expression over what the relation reads.
    Computed,
    /// An expression over other columns of the same row.
    Generated(Vec<i16>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    pub oid: u32,
    pub info: TypeInfo,
}

/// A type that is not the server's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    pub name: Box<str>,
    pub kind: TypeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// Made by an extension; only the name tells what it is.
    Base,
    /// Answers name the base type in its place, but arrays and composites do not.
    Domain {
        base: u32,
        /// What the domain declares of it.
        typmod: i32,
    },
    Enum {
        labels: Box<[Box<str>]>,
    },
    Array {
        element: u32,
    },
    Composite {
        /// Its table or view, or the entry that stands for the type itself: `Catalogue::column`
        /// with column 0 tells which fields are protected.
        relation: u32,
        fields: Box<[Field]>,
    },
    Range {
        subtype: u32,
    },
    Multirange {
        range: u32,
    },
}

/// A field of a composite type, in order, without dropped ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Box<str>,
    pub type_oid: u32,
    pub typmod: i32,
}

/// The first number that is given to what users make; the server's own have lower ones.
pub const USER_OID_FIRST: u32 = 16_384;

impl Raw {
    /// Schema, relation and name of every column that a policy can speak of.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let relations = self.relations.iter().filter(|relation| relation.is_named_by_rules());
        relations.flat_map(|relation| {
            let columns = relation.columns.iter().filter(|column| !column.dropped);
            columns.map(|column| (&*relation.schema, &*relation.name, &*column.name))
        })
    }
}

impl Relation {
    /// Policies speak of what holds rows under a name of its own.
    pub(super) const fn is_named_by_rules(&self) -> bool {
        match self.kind {
            Kind::Table
            | Kind::Partitioned
            | Kind::View
            | Kind::MaterializedView
            | Kind::Foreign => true,
            Kind::Overflow | Kind::Other => false,
        }
    }
}
