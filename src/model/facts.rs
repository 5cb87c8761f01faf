//! What a command does, as far as its text tells: effects on objects, and what could not be told.

use crate::limits::DRAWN_COLUMNS_MAX;

/// Declares a set of named bits, so that names in policies and in output have one source.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $index:literal => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(u32);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self(1 << $index);)*
            pub const NONE: Self = Self(0);
            const NAMES: &'static [(&'static str, Self)] = &[$(($text, Self::$bit)),*];

            /// The single bit that configuration spells `name`.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::NAMES.iter().find(|(text, _)| *text == name).map(|(_, bit)| *bit)
            }

            /// All names that configuration may use, in bit order.
            pub fn all_names() -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().map(|(text, _)| *text)
            }

            /// Names of the bits that are set, in bit order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(_, bit)| self.contains(*bit)).map(|(text, _)| *text)
            }

            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            #[must_use]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// True if every bit that is set here is set in `allowed`, and at least one is.
            #[must_use]
            pub const fn only(self, allowed: Self) -> bool {
                self.0 != 0 && self.0 & !allowed.0 == 0
            }

            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;
            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.names()).finish()
            }
        }
    };
}

bit_set! {
    /// What running the command does.
    Effects {
        READ = 0 => "read",
        INSERT = 1 => "insert",
        UPDATE = 2 => "update",
        DELETE = 3 => "delete",
        TRUNCATE = 4 => "truncate",
        DDL_CREATE = 5 => "ddl_create",
        DDL_ALTER = 6 => "ddl_alter",
        DDL_DROP = 7 => "ddl_drop",
        GRANT = 8 => "grant",
        ROLE_CHANGE = 9 => "role_change",
        SESSION_SET = 10 => "session_set",
        SERVER_ADMIN = 11 => "server_admin",
        FILE_READ = 12 => "file_read",
        FILE_WRITE = 13 => "file_write",
        PROGRAM_EXEC = 14 => "program_exec",
        NETWORK = 15 => "network",
        /// Runs code that the text does not show: DO, CALL, dynamic SQL, a function that is not one
        /// of the server's own.
        CODE_EXEC = 16 => "code_exec",
        COPY_IN = 17 => "copy_in",
        COPY_OUT = 18 => "copy_out",
        LOCK = 19 => "lock",
        TXN = 20 => "txn",
        EXPLAIN = 21 => "explain",
        KILL = 22 => "kill",
        NOTIFY = 23 => "notify",
        /// Could not be told. Only a rule that names it can allow it.
        UNKNOWN = 31 => "unknown",
    }
}

bit_set! {
    /// Properties of the text that rules may ask for.
    Flags {
        NO_WHERE = 0 => "no_where",
        CONST_TRUE_WHERE = 1 => "const_true_where",
        MULTI_STATEMENT = 2 => "multi_stmt",
        CTE_WRITE = 3 => "cte_write",
        RETURNING = 4 => "returning",
        INTO_TABLE = 5 => "into_table",
        UNICODE_ESCAPE = 6 => "unicode_escape",
        DOLLAR_QUOTE = 7 => "dollar_quote",
        NON_ASCII_IDENTIFIER = 8 => "non_ascii_ident",
        NUL_BYTE = 9 => "nul_byte",
        TOO_LARGE = 10 => "too_large",
        TOO_DEEP = 11 => "too_deep",
        /// Changes a setting that changes how later text is read.
        SESSION_LEXING_CHANGED = 12 => "session_lexing_changed",
        DANGEROUS_FUNCTION = 13 => "dangerous_function",
        CATALOG_SENSITIVE = 14 => "catalog_sensitive",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    Read,
    Write,
    /// Created, altered or dropped.
    Define,
}

/// An object that a statement names, spelt as the server would fold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Relation {
    /// As written; `None` leaves it to the search path.
    pub schema: Option<Box<str>>,
    pub name: Box<str>,
    pub access: Access,
}

#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// The command's verb in the standard's words, upper case: `SELECT`, `CREATE TABLE`.
    pub verb: &'static str,
    pub effects: Effects,
    pub flags: Flags,
    pub relations: Vec<Relation>,
    /// Functions called, or made to be called.
    pub functions: Vec<Function>,
    pub code: Code,
    /// What the columns of the result may hold. Of a statement that is prepared, declared or
    /// copied out: of the result that it will have.
    pub outputs: Outputs,
    /// What the statement puts where it can be read later: in a table, a view, a setting.
    pub assigned: Draws,
    /// Columns that are mentioned behind a qualifier, and what it stands for.
    pub spelt: Vec<Spelling>,
    /// Of a `COPY` that speaks to the client.
    pub copy: Option<Box<Copy>>,
}

/// `t.x` in a text. Where `t` has no column `x` the server takes it for a function of a row of `t`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    pub column: Box<str>,
    /// The relations that the qualifier may stand for, schema and name; none where that is not known.
    pub of: Vec<(Option<Box<str>>, Box<str>)>,
}

/// What a value may be made of, as far as stored values go. What decides whether there is a value
/// at all (`WHERE`, `GROUP BY`, `HAVING`) does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Draws {
    /// No stored value: constants, parameters, counts of rows, the clock.
    Nothing,
    /// Columns with these names, in order and each once, of the relations that the statement names.
    /// `t.x` counts as a column `x` though it may be the function `x` of a row of `t`, so a name
    /// that is no column of theirs stands for anything.
    Columns(Box<[Box<str>]>),
    #[default]
    Anything,
}

impl Draws {
    /// What a value of both may be made of.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Nothing, draws) | (draws, Self::Nothing) => draws.clone(),
            (Self::Anything, _) | (_, Self::Anything) => Self::Anything,
            (Self::Columns(ours), Self::Columns(theirs)) => {
                Self::columns(ours.iter().chain(theirs).cloned().collect())
            }
        }
    }

    /// Columns with these names, in any order; anything, if they are too many to keep.
    #[must_use]
    pub fn columns(mut names: Vec<Box<str>>) -> Self {
        names.sort_unstable();
        names.dedup();
        match names.len() {
            0 => Self::Nothing,
            1..=DRAWN_COLUMNS_MAX => Self::Columns(names.into()),
            _ => Self::Anything,
        }
    }
}

/// What the columns of a statement's result may be made of. One whose origin the server tells
/// needs none of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// There is no result, or none that was looked into.
    #[default]
    Unknown,
    /// One for each column, in order.
    Each(Box<[Draws]>),
    /// Any column without an origin.
    All(Draws),
}

/// How a `COPY` speaks to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub direction: CopyDirection,
    pub source: CopySource,
    pub format: CopyFormat,
    pub delimiter: u8,
    /// What stands for NULL, as written in the rows.
    pub null: Box<[u8]>,
    pub quote: u8,
    pub escape: u8,
    /// The first line has names.
    pub header: bool,
    pub force_quote: ForceQuote,
    /// The rows may be in another encoding than the session's.
    pub encoding_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    FromClient,
    ToClient,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySource {
    Relation {
        schema: Option<Box<str>>,
        name: Box<str>,
        /// `None` stands for all, in the order of the table.
        columns: Option<Box<[Box<str>]>>,
    },
    Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
    /// An option was not understood: nothing else that is said of the rows can be relied on.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForceQuote {
    No,
    All,
    Columns(Box<[Box<str>]>),
}

/// A function that a statement names, spelt as the server would fold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// As written; `None` leaves it to the search path.
    pub schema: Option<Box<str>>,
    pub name: Box<str>,
    pub origin: Origin,
    pub body: Body,
}

impl std::fmt::Display for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Whose a function is, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// One of the server's own. What it does is among the statement's effects.
    Server,
    /// A user's or an extension's: it may do anything.
    Elsewhere,
}

/// Where the code is that a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// In the function.
    Own,
    /// In what it is given: whoever calls it writes the code.
    Given,
}

/// Where the code is that a statement runs and does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    /// In the functions that it names, if it runs any.
    #[default]
    Named,
    /// Elsewhere as well, under no name that a rule could ask for: `DO`, `CREATE FUNCTION`.
    Unnamed,
}

/// Why a command could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The server's grammar does not accept the text. The server would refuse it too.
    Unparsable,
    TooLarge,
    TooDeep,
    NulByte,
    InvalidEncoding,
    /// The session reads text in a way that the classifier does not follow.
    UnsafeLexing,
    /// Two readers of the text do not find the same statements in it.
    Disputed,
    /// A statement kind that no list of ours knows.
    UnlistedStatement,
    /// Runs a prepared statement or cursor that was not seen being made.
    UnseenName,
    /// The classifier itself failed: a defect, or no file descriptors left.
    NotClassified,
}

impl Unknown {
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unparsable => "the text is not valid SQL",
            Self::TooLarge => "the text is too large to be parsed",
            Self::TooDeep => "the text is nested too deeply",
            Self::NulByte => "the text contains a zero byte",
            Self::InvalidEncoding => "the text is not valid UTF-8",
            Self::UnsafeLexing => "the session's settings change how text is read",
            Self::Disputed => "two readers of the text do not find the same statements in it",
            Self::UnlistedStatement => "the kind of statement is not known",
            Self::UnseenName => "it runs a statement that was not seen being prepared",
            Self::NotClassified => "the classifier could not be asked",
        }
    }
}

/// A name that a command binds to code for later use in the same session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// `PREPARE name AS ...`
    Statement(Box<str>),
    /// `DECLARE name CURSOR FOR ...`
    Cursor(Box<str>),
}

/// Everything the judge knows about one command text. Cached and shared.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Union over all statements; has `UNKNOWN` exactly when `unknown` is set.
    pub effects: Effects,
    pub flags: Flags,
    pub statements: Vec<Statement>,
    pub unknown: Option<Unknown>,
    /// Identifies texts of one shape: those that differ in blanks and literals. Never a reason to
    /// allow anything.
    pub fingerprint: u64,
    pub definitions: Vec<Definition>,
    /// Names that the text runs without showing what they stand for: `EXECUTE name`.
    pub executes: Vec<Box<str>>,
    /// Cursors and portals whose rows it takes and of which nothing else is known: `FETCH name`.
    pub fetches: Vec<Box<str>>,
}

impl Facts {
    /// Facts of a command of which nothing is known but `why`.
    #[must_use]
    pub fn unknown(why: Unknown) -> Self {
        Self { effects: Effects::UNKNOWN, unknown: Some(why), ..Self::default() }
    }

    /// Facts of a command that may be either of two: everything that one of them may do.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.effects |= other.effects;
        both.flags |= other.flags;
        both.statements.extend(other.statements.iter().cloned());
        both.unknown = self.unknown.or(other.unknown);
        both.fingerprint = self.fingerprint.rotate_left(1) ^ other.fingerprint;
        both.definitions.extend(other.definitions.iter().cloned());
        both.executes.extend(other.executes.iter().cloned());
        both.fetches.extend(other.fetches.iter().cloned());
        both
    }
}
