//! The words that statements begin with, by dialect, and what such a statement does at least. A
//! word that no row knows begins a statement of which nothing is known.

use crate::judge::classify::dialects::Dialect;
use crate::model::facts::Effects;

/// What the words behind the first ones mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// `SELECT`, `VALUES`, `TABLE`; behind a `WITH` too.
    Query,
    Insert,
    Update,
    Delete,
    Merge,
    Truncate,
    Rename,
    /// `CREATE`, `ALTER`, `DROP` of something that has rows, or gives them.
    Relation(Definition),
    /// `CREATE INDEX i ON t`
    OnRelation,
    /// What it defines is code; its text reaches to the end.
    Routine,
    /// `EXPLAIN` and its like: what stands behind it is planned, or run.
    Explain,
    /// Rights: up to `TO` or `FROM`, the names of verbs are names of rights.
    Rights,
    /// `EXEC`: the name of a procedure, or code in parentheses.
    Execute,
    Set,
    Plain,
    /// Steers the statements behind it, which are not told apart here.
    Control,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    Create,
    Alter,
    Drop,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// The words of the row, by which it was found.
    pub(super) verb: &'static str,
    pub(super) effects: Effects,
    pub(super) family: Family,
}

const M: u8 = 1;
const S: u8 = 2;
const T: u8 = 4;
const ALL: u8 = M | S | T;

const fn mask(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::MySql => M,
        Dialect::Sqlite => S,
        Dialect::TSql => T,
    }
}

/// The row whose words the text begins with: `is(n, word)` tells whether its n-th word is `word`.
/// Longer rows stand before shorter ones.
pub(super) fn opening(dialect: Dialect, is: impl Fn(usize, &str) -> bool) -> Option<Opening> {
    let begins = |words: &str| words.split(' ').enumerate().all(|(n, word)| is(n, word));
    let rows = OPENINGS.iter().filter(|(dialects, ..)| dialects & mask(dialect) != 0);
    let mut rows = rows.filter(|(_, words, ..)| begins(words));
    rows.next().map(|(_, verb, effects, family)| Opening {
        verb,
        effects: effects.iter().copied().fold(Effects::NONE, Effects::union),
        family: *family,
    })
}

/// True for a word that is reserved and begins statements, wherever it stands.
pub(super) fn starts_statement(dialect: Dialect, is: impl Fn(&str) -> bool) -> bool {
    dialect == Dialect::TSql && TSQL_STARTS.iter().any(|word| is(word))
}

const TSQL_STARTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "SET",
    "EXEC",
    "EXECUTE",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "USE",
    "DECLARE",
    "PRINT",
    "IF",
    "WHILE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVE",
    "KILL",
    "SHUTDOWN",
    "WAITFOR",
    "RETURN",
    "GRANT",
    "REVOKE",
    "DENY",
    "BACKUP",
    "RESTORE",
    "DUMP",
    "LOAD",
    "DBCC",
    "BULK",
    "OPEN",
    "CLOSE",
    "FETCH",
    "DEALLOCATE",
    "RAISERROR",
    "RECONFIGURE",
    "CHECKPOINT",
    "REVERT",
    "SETUSER",
    "READTEXT",
    "WRITETEXT",
    "UPDATETEXT",
    "GOTO",
    "BREAK",
    "CONTINUE",
    "END",
    "ELSE",
    "GO",
    "DISABLE",
    "ENABLE",
];

use Definition::{Alter, Create, Drop};
use Family as F;

const READ: Effects = Effects::READ;
const CREATES: Effects = Effects::DDL_CREATE;
const ALTERS: Effects = Effects::DDL_ALTER;
const DROPS: Effects = Effects::DDL_DROP;
const GRANTS: Effects = Effects::GRANT;
const ROLES: Effects = Effects::ROLE_CHANGE;
const SETS: Effects = Effects::SESSION_SET;
const ADMIN: Effects = Effects::SERVER_ADMIN;
const FREAD: Effects = Effects::FILE_READ;
const FWRITE: Effects = Effects::FILE_WRITE;
const NET: Effects = Effects::NETWORK;
const CODE: Effects = Effects::CODE_EXEC;
const PROGRAM: Effects = Effects::PROGRAM_EXEC;
const INSERTS: Effects = Effects::INSERT;
const UPDATES: Effects = Effects::UPDATE;
const DELETES: Effects = Effects::DELETE;
const LOCKS: Effects = Effects::LOCK;
const TXN: Effects = Effects::TXN;

type Row = (u8, &'static str, &'static [Effects], Family);

#[rustfmt::skip]
const OPENINGS: &[Row] = &[
    // The data language.
    (ALL, "SELECT", &[READ], F::Query),
    (M | S, "VALUES", &[READ], F::Query),
    (M, "TABLE", &[READ], F::Query),
    (ALL, "INSERT", &[INSERTS], F::Insert),
    (M | S, "REPLACE", &[INSERTS, DELETES], F::Insert),
    (T, "UPDATE STATISTICS", &[ADMIN], F::Plain),
    (ALL, "UPDATE", &[UPDATES], F::Update),
    (M, "DELETE HISTORY", &[DELETES], F::Control),
    (ALL, "DELETE", &[DELETES], F::Delete),
    (T, "MERGE", &[], F::Merge),
    (M | T, "TRUNCATE", &[Effects::TRUNCATE], F::Truncate),
    (M, "LOAD DATA", &[INSERTS, FREAD, Effects::COPY_IN], F::Insert),
    (M, "LOAD XML", &[INSERTS, FREAD, Effects::COPY_IN], F::Insert),
    (M, "LOAD INDEX", &[ADMIN], F::Plain),
    (M | T, "LOAD", &[FREAD, ADMIN], F::Control),
    (M, "IMPORT TABLE", &[CREATES, FREAD], F::Control),
    (M, "HANDLER", &[READ], F::Control),
    (M, "DO", &[READ], F::Plain),
    (T, "BULK INSERT", &[INSERTS, FREAD, NET, Effects::COPY_IN], F::Insert),
    (T, "COPY INTO", &[INSERTS, FREAD, NET, Effects::COPY_IN], F::Control),
    (T, "READTEXT", &[READ], F::Plain),
    (T, "WRITETEXT", &[UPDATES], F::Control),
    (T, "UPDATETEXT", &[UPDATES], F::Control),
    // Definitions.
    (ALL, "CREATE TABLE", &[CREATES], F::Relation(Create)),
    (ALL, "CREATE VIEW", &[CREATES], F::Relation(Create)),
    (M | T, "CREATE SEQUENCE", &[CREATES], F::Relation(Create)),
    (T, "CREATE SYNONYM", &[CREATES], F::Relation(Create)),
    (ALL, "CREATE INDEX", &[CREATES], F::OnRelation),
    (T, "CREATE STATISTICS", &[CREATES], F::OnRelation),
    (ALL, "CREATE TRIGGER", &[CREATES, CODE], F::Routine),
    (M | T, "CREATE PROCEDURE", &[CREATES, CODE], F::Routine),
    (T, "CREATE PROC", &[CREATES, CODE], F::Routine),
    (M | T, "CREATE FUNCTION", &[CREATES, CODE], F::Routine),
    (M, "CREATE PACKAGE", &[CREATES, CODE], F::Routine),
    (M, "CREATE EVENT", &[CREATES, CODE], F::Routine),
    (T, "CREATE AGGREGATE", &[CREATES, CODE], F::Routine),
    (T, "CREATE ASSEMBLY", &[CREATES, CODE, FREAD, PROGRAM], F::Routine),
    (M | T, "CREATE DATABASE", &[CREATES, ADMIN], F::Plain),
    (M | T, "CREATE SCHEMA", &[CREATES], F::Plain),
    (M | T, "CREATE USER", &[CREATES, ROLES], F::Plain),
    (M | T, "CREATE ROLE", &[CREATES, ROLES], F::Plain),
    (T, "CREATE LOGIN", &[CREATES, ROLES, ADMIN], F::Plain),
    (T, "CREATE CREDENTIAL", &[CREATES, ROLES, ADMIN], F::Plain),
    (T, "CREATE TYPE", &[CREATES], F::Plain),
    (M, "CREATE SERVER", &[CREATES, NET, ADMIN], F::Plain),
    (ALL, "ALTER TABLE", &[ALTERS], F::Relation(Alter)),
    (M | T, "ALTER VIEW", &[ALTERS], F::Relation(Alter)),
    (M | T, "ALTER SEQUENCE", &[ALTERS], F::Relation(Alter)),
    (T, "ALTER INDEX", &[ALTERS], F::OnRelation),
    (M | T, "ALTER PROCEDURE", &[ALTERS, CODE], F::Routine),
    (T, "ALTER PROC", &[ALTERS, CODE], F::Routine),
    (M | T, "ALTER FUNCTION", &[ALTERS, CODE], F::Routine),
    (T, "ALTER TRIGGER", &[ALTERS, CODE], F::Routine),
    (M, "ALTER EVENT", &[ALTERS, CODE], F::Routine),
    (T, "ALTER ASSEMBLY", &[ALTERS, CODE, FREAD, PROGRAM], F::Routine),
    (M | T, "ALTER DATABASE", &[ALTERS, ADMIN], F::Plain),
    (M | T, "ALTER SCHEMA", &[ALTERS], F::Plain),
    (M | T, "ALTER USER", &[ALTERS, ROLES], F::Plain),
    (T, "ALTER ROLE", &[ALTERS, ROLES, GRANTS], F::Plain),
    (T, "ALTER LOGIN", &[ALTERS, ROLES, ADMIN], F::Plain),
    (T, "ALTER SERVER", &[ALTERS, ROLES, GRANTS, ADMIN], F::Plain),
    (T, "ALTER AUTHORIZATION", &[ALTERS, GRANTS], F::Plain),
    (M, "ALTER SERVER", &[ALTERS, NET, ADMIN], F::Plain),
    (M, "ALTER INSTANCE", &[ADMIN], F::Plain),
    (ALL, "DROP TABLE", &[DROPS], F::Relation(Drop)),
    (ALL, "DROP VIEW", &[DROPS], F::Relation(Drop)),
    (M, "DROP TABLES", &[DROPS], F::Relation(Drop)),
    (M | T, "DROP SEQUENCE", &[DROPS], F::Relation(Drop)),
    (T, "DROP SYNONYM", &[DROPS], F::Relation(Drop)),
    (S, "DROP INDEX", &[DROPS], F::Relation(Drop)),
    (M | T, "DROP INDEX", &[DROPS], F::OnRelation),
    (ALL, "DROP TRIGGER", &[DROPS, CODE], F::Plain),
    (M | T, "DROP PROCEDURE", &[DROPS, CODE], F::Plain),
    (T, "DROP PROC", &[DROPS, CODE], F::Plain),
    (M | T, "DROP FUNCTION", &[DROPS, CODE], F::Plain),
    (M, "DROP EVENT", &[DROPS, CODE], F::Plain),
    (T, "DROP ASSEMBLY", &[DROPS, CODE], F::Plain),
    (M | T, "DROP DATABASE", &[DROPS, ADMIN], F::Plain),
    (M | T, "DROP SCHEMA", &[DROPS], F::Plain),
    (M | T, "DROP USER", &[DROPS, ROLES], F::Plain),
    (M | T, "DROP ROLE", &[DROPS, ROLES], F::Plain),
    (T, "DROP LOGIN", &[DROPS, ROLES, ADMIN], F::Plain),
    (M, "DROP SERVER", &[DROPS, NET, ADMIN], F::Plain),
    // Of something that no row above has.
    (ALL, "CREATE", &[CREATES, ADMIN], F::Control),
    (ALL, "ALTER", &[ALTERS, ADMIN], F::Control),
    (M, "DROP PREPARE", &[SETS], F::Plain),
    (ALL, "DROP", &[DROPS, ADMIN], F::Control),
    (M, "RENAME TABLE", &[ALTERS], F::Rename),
    (M, "RENAME TABLES", &[ALTERS], F::Rename),
    (M, "RENAME USER", &[ALTERS, ROLES], F::Plain),
    (M, "RENAME", &[ALTERS], F::Control),
    (T, "ENABLE TRIGGER", &[ALTERS, CODE], F::Control),
    (T, "DISABLE TRIGGER", &[ALTERS, CODE], F::Control),
    // Rights.
    (M | T, "GRANT", &[GRANTS], F::Rights),
    (M | T, "REVOKE", &[GRANTS], F::Rights),
    (T, "DENY", &[GRANTS], F::Rights),
    (T, "SETUSER", &[ROLES], F::Plain),
    (T, "REVERT", &[ROLES], F::Plain),
    // Code.
    (M, "CALL", &[CODE], F::Execute),
    (M, "PREPARE", &[CODE], F::Execute),
    (M, "EXECUTE", &[CODE], F::Execute),
    (M, "DEALLOCATE PREPARE", &[SETS], F::Plain),
    (T, "EXECUTE AS", &[ROLES], F::Plain),
    (T, "EXEC AS", &[ROLES], F::Plain),
    (T, "EXECUTE", &[CODE], F::Execute),
    (T, "EXEC", &[CODE], F::Execute),
    (M, "INSTALL", &[CODE, FREAD, ADMIN], F::Plain),
    (M, "UNINSTALL", &[CODE, ADMIN], F::Plain),
    // The session.
    (M, "SET PASSWORD", &[ROLES], F::Set),
    (M, "SET ROLE", &[ROLES], F::Set),
    (M, "SET DEFAULT ROLE", &[ROLES, GRANTS], F::Set),
    (M | T, "SET TRANSACTION", &[TXN], F::Plain),
    (M, "SET SESSION TRANSACTION", &[SETS, TXN], F::Plain),
    (M, "SET LOCAL TRANSACTION", &[SETS, TXN], F::Plain),
    (M, "SET STATEMENT", &[SETS], F::Control),
    (M | T, "SET", &[SETS], F::Set),
    (M | T, "USE", &[SETS], F::Plain),
    (T, "DECLARE", &[SETS], F::Control),
    (T, "PRINT", &[READ], F::Plain),
    (T, "RAISERROR", &[READ], F::Plain),
    (T, "THROW", &[READ], F::Plain),
    (T, "WAITFOR", &[READ], F::Plain),
    (T, "OPEN", &[READ], F::Control),
    (T, "FETCH", &[READ], F::Control),
    (T, "CLOSE", &[READ], F::Control),
    (T, "DEALLOCATE", &[READ], F::Control),
    (M | S, "START TRANSACTION", &[TXN], F::Plain),
    (M, "START SLAVE", &[ADMIN, NET], F::Plain),
    (M, "START REPLICA", &[ADMIN, NET], F::Plain),
    (M, "START", &[ADMIN, NET], F::Control),
    (T, "BEGIN TRAN", &[TXN], F::Plain),
    (T, "BEGIN TRANSACTION", &[TXN], F::Plain),
    (T, "BEGIN DISTRIBUTED", &[TXN, NET], F::Plain),
    (T, "SAVE", &[TXN], F::Plain),
    (M | S, "BEGIN", &[TXN], F::Plain),
    (S, "END", &[TXN], F::Plain),
    (ALL, "COMMIT", &[TXN], F::Plain),
    (ALL, "ROLLBACK", &[TXN], F::Plain),
    (M | S, "SAVEPOINT", &[TXN], F::Plain),
    (M | S, "RELEASE", &[TXN], F::Plain),
    (M, "XA", &[TXN], F::Plain),
    // Looking.
    (M, "SHOW", &[READ], F::Plain),
    (M, "HELP", &[READ], F::Plain),
    (M, "DESCRIBE", &[READ], F::Explain),
    (M, "DESC", &[READ], F::Explain),
    (M | S, "EXPLAIN", &[Effects::EXPLAIN], F::Explain),
    (M, "ANALYZE TABLE", &[ADMIN], F::Plain),
    (M, "ANALYZE LOCAL", &[ADMIN], F::Plain),
    (M, "ANALYZE NO_WRITE_TO_BINLOG", &[ADMIN], F::Plain),
    (M, "ANALYZE", &[Effects::EXPLAIN], F::Explain),
    // The server.
    (S, "ANALYZE", &[ADMIN], F::Plain),
    (S, "PRAGMA", &[], F::Set),
    (S, "ATTACH", &[FREAD, FWRITE, SETS], F::Plain),
    (S, "DETACH", &[SETS], F::Plain),
    (S, "VACUUM", &[ADMIN], F::Plain),
    (S, "REINDEX", &[ADMIN], F::Plain),
    (M, "LOCK", &[LOCKS], F::Plain),
    (M, "UNLOCK", &[LOCKS], F::Plain),
    (M | T, "KILL", &[Effects::KILL], F::Plain),
    (M | T, "SHUTDOWN", &[ADMIN], F::Plain),
    (M, "RESTART", &[ADMIN], F::Plain),
    (M, "FLUSH", &[ADMIN], F::Plain),
    (M, "RESET", &[ADMIN], F::Plain),
    (M, "PURGE", &[ADMIN], F::Plain),
    (M, "OPTIMIZE", &[ADMIN], F::Plain),
    (M, "REPAIR", &[ADMIN], F::Plain),
    (M, "CHECK", &[ADMIN], F::Plain),
    (M, "CHECKSUM", &[READ], F::Plain),
    (M, "CACHE", &[ADMIN], F::Plain),
    (M, "CHANGE", &[ADMIN, NET], F::Plain),
    (M, "STOP", &[ADMIN, NET], F::Plain),
    (M, "BINLOG", &[ADMIN, CODE], F::Plain),
    (M, "CLONE", &[ADMIN, NET, FWRITE], F::Plain),
    (M, "BACKUP", &[ADMIN, FWRITE], F::Plain),
    (M, "SIGNAL", &[READ], F::Plain),
    (M, "RESIGNAL", &[READ], F::Plain),
    (M, "GET", &[SETS], F::Control),
    (T, "BACKUP", &[ADMIN, FWRITE, NET], F::Plain),
    (T, "RESTORE", &[ADMIN, FREAD, NET, DROPS], F::Plain),
    (T, "DUMP", &[ADMIN, FWRITE], F::Plain),
    (T, "DBCC", &[ADMIN], F::Plain),
    (T, "RECONFIGURE", &[ADMIN], F::Plain),
    (T, "CHECKPOINT", &[ADMIN], F::Plain),
    // Several statements, or parts of one.
    (T, "BEGIN", &[], F::Control),
    (T, "END", &[], F::Control),
    (T, "IF", &[], F::Control),
    (T, "ELSE", &[], F::Control),
    (T, "WHILE", &[], F::Control),
    (T, "RETURN", &[], F::Control),
    (T, "GOTO", &[], F::Control),
    (T, "BREAK", &[], F::Control),
    (T, "CONTINUE", &[], F::Control),
    (T, "GO", &[], F::Control),
];

/// Words that do something wherever they stand unquoted: mostly reserved ones, so that nothing
/// else can be called by them.
#[rustfmt::skip]
const TELLING: &[(u8, &str, Effects)] = &[
    (ALL, "SELECT", READ),
    (ALL, "INSERT", INSERTS),
    (ALL, "UPDATE", UPDATES),
    (ALL, "DELETE", DELETES),
    (M | S, "REPLACE", INSERTS.union(DELETES)),
    (M | T, "TRUNCATE", Effects::TRUNCATE),
    (ALL, "CREATE", CREATES),
    (ALL, "ALTER", ALTERS),
    (ALL, "DROP", DROPS),
    (M, "RENAME", ALTERS),
    (M | T, "GRANT", GRANTS),
    (M | T, "REVOKE", GRANTS),
    (T, "DENY", GRANTS),
    (M, "CALL", CODE),
    (T, "EXEC", CODE),
    (T, "EXECUTE", CODE),
    (M, "OUTFILE", FWRITE),
    (M, "DUMPFILE", FWRITE),
    (M, "INFILE", FREAD),
    (M, "LOAD", FREAD),
    (M | T, "KILL", Effects::KILL),
    (T, "SHUTDOWN", ADMIN),
    (T, "BACKUP", ADMIN.union(FWRITE)),
    (T, "RESTORE", ADMIN.union(FREAD)),
    (T, "BULK", FREAD),
    (T, "RECONFIGURE", ADMIN),
    (T, "DBCC", ADMIN),
    (T, "OPENROWSET", FREAD.union(NET)),
    (T, "OPENDATASOURCE", FREAD.union(NET)),
    (T, "OPENQUERY", NET.union(CODE)),
    (T, "SETUSER", ROLES),
    (T, "WRITETEXT", UPDATES),
    (T, "UPDATETEXT", UPDATES),
];

/// What an unquoted word does wherever it stands.
pub(super) fn telling(dialect: Dialect, is: impl Fn(&str) -> bool) -> Effects {
    let rows =
        TELLING.iter().filter(|(dialects, word, _)| dialects & mask(dialect) != 0 && is(word));
    rows.fold(Effects::NONE, |effects, (.., more)| effects | *more)
}

/// What words of a text do of which it is not known what is what: all that any statement which
/// begins with one of them does.
pub(super) fn loosely_telling(dialect: Dialect, word: &[u8]) -> Effects {
    let is = |listed: &str| word.eq_ignore_ascii_case(listed.as_bytes());
    let rows = OPENINGS.iter().filter(|(dialects, words, ..)| {
        dialects & mask(dialect) != 0 && !words.contains(' ') && is(words)
    });
    rows.flat_map(|(_, _, effects, _)| effects.iter())
        .fold(telling(dialect, is), |effects, more| effects | *more)
}
