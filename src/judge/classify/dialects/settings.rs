//! Statements that change how a session or a server goes on: which settings they name, and what
//! those mean. Knows also which relations hold what the server itself goes by.

use std::ops::Range;

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::lex::Kind;
use crate::judge::classify::dialects::view::{Name, View};
use crate::judge::classify::dialects::words::{Family, Opening};
use crate::model::facts::{Code, Effects, Flags, Statement};

/// Adds what the settings mean that the statement in `range` names.
pub(super) fn read(
    view: &View,
    range: Range<usize>,
    lead: usize,
    opening: Opening,
    statement: &mut Statement,
) {
    if opening.family == Family::Plain && view.is(lead, "USE") {
        return;
    }
    if opening.family == Family::Plain && view.is(lead, "VACUUM") {
        // `VACUUM INTO 'file'`
        if range.clone().any(|at| view.is(at, "INTO")) {
            statement.effects |= Effects::FILE_WRITE;
        }
        return;
    }
    if opening.family != Family::Set {
        return;
    }
    if view.dialect == Dialect::Sqlite {
        pragma(view, lead, range.end, statement);
        return;
    }
    for at in lead..range.end {
        let written = view.written(at);
        let named = match view.kind(at) {
            Some(Kind::Word) => written,
            Some(Kind::Variable) => written.trim_start_matches('@'),
            Some(Kind::QuotedName) => written.trim_matches(['`', '"', '[', ']']),
            Some(Kind::Text | Kind::Number | Kind::Mark) | None => continue,
        };
        let last = named.rsplit('.').next().unwrap_or_default();
        let is = |words: &[&str]| words.iter().any(|word| last.eq_ignore_ascii_case(word));
        if is(LEXING) {
            statement.flags |= Flags::SESSION_LEXING_CHANGED;
        }
        let scope = named.split('.').next().unwrap_or_default();
        let global = ["GLOBAL", "PERSIST", "PERSIST_ONLY"];
        if view.dialect == Dialect::MySql
            && (is(&global) || global.iter().any(|word| scope.eq_ignore_ascii_case(word)))
        {
            statement.effects |= Effects::SERVER_ADMIN;
        }
        if is(ADMINISTRATION) {
            statement.effects |= Effects::SERVER_ADMIN;
        }
        if is(&["init_connect", "init_slave", "init_replica"]) {
            statement.effects |= Effects::CODE_EXEC;
            statement.code = Code::Unnamed;
        }
    }
}

const LEXING: &[&str] = &[
    "sql_mode",
    "names",
    "charset",
    "character",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "quoted_identifier",
    "ansi_defaults",
    "parseonly",
    "noexec",
    "fmtonly",
];
const ADMINISTRATION: &[&str] = &["sql_log_bin", "sql_log_off", "gtid_next", "sql_safe_updates"];

/// A `PRAGMA`: those listed answer a question, if they are given no value or the name of what is
/// asked about.
fn pragma(view: &View, lead: usize, end: usize, statement: &mut Statement) {
    let Some(name) = view.name(lead + 1, end) else { return };
    let lower = name.last().to_lowercase();
    let given = view.is_mark(name.end, b'=') || view.is_mark(name.end, b'(');
    let asks =
        QUESTIONS.contains(&lower.as_str()) || (!given && READABLE.contains(&lower.as_str()));
    if asks {
        statement.effects |= Effects::READ;
        return;
    }
    statement.effects |= Effects::SESSION_SET;
    if lower == "writable_schema" || lower == "trusted_schema" {
        statement.effects |= Effects::SERVER_ADMIN | Effects::DDL_ALTER;
    }
    if !SESSION_ONLY.contains(&lower.as_str()) {
        statement.effects |= Effects::SERVER_ADMIN;
    }
    if lower == "temp_store_directory" || lower == "data_store_directory" {
        statement.effects |= Effects::FILE_WRITE;
    }
}

const QUESTIONS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "database_list",
    "collation_list",
    "function_list",
    "module_list",
    "pragma_list",
    "compile_options",
    "integrity_check",
    "quick_check",
];
const READABLE: &[&str] = &[
    "user_version",
    "schema_version",
    "application_id",
    "foreign_keys",
    "journal_mode",
    "page_size",
    "page_count",
    "freelist_count",
    "encoding",
    "busy_timeout",
    "cache_size",
    "synchronous",
    "data_version",
];
const SESSION_ONLY: &[&str] = &[
    "foreign_keys",
    "busy_timeout",
    "cache_size",
    "case_sensitive_like",
    "query_only",
    "recursive_triggers",
    "temp_store",
    "mmap_size",
    "defer_foreign_keys",
    "read_uncommitted",
    "automatic_index",
    "cell_size_check",
    "analysis_limit",
    "reverse_unordered_selects",
    "threads",
    "soft_heap_limit",
];

/// True for relations that hold credentials.
pub(super) fn is_sensitive(dialect: Dialect, name: &Name) -> bool {
    let last = name.last().to_lowercase();
    let names: &[&str] = match dialect {
        Dialect::MySql => {
            &["user", "global_priv", "authentication_string", "servers", "proxies_priv"]
        }
        Dialect::Sqlite => &[],
        Dialect::TSql => &[
            "sql_logins",
            "syslogins",
            "sysxlogins",
            "sysusers",
            "linked_logins",
            "credentials",
            "sysremotelogins",
            "asymmetric_keys",
            "symmetric_keys",
        ],
    };
    let before = name.parts.len().checked_sub(2).and_then(|at| name.parts.get(at));
    let in_mysql = before.is_some_and(|schema| schema.eq_ignore_ascii_case("mysql"));
    names.contains(&last.as_str()) && (dialect != Dialect::MySql || in_mysql)
}

/// True for relations by which the server goes.
pub(super) fn is_system(dialect: Dialect, name: &Name) -> bool {
    let last = name.last().to_lowercase();
    let before = name.parts.split_last().map(|(_, before)| before).unwrap_or_default();
    let within = |schemas: &[&str]| {
        before.iter().any(|part| schemas.iter().any(|schema| part.eq_ignore_ascii_case(schema)))
    };
    match dialect {
        Dialect::MySql => within(&["mysql", "sys", "performance_schema", "information_schema"]),
        Dialect::Sqlite => last.starts_with("sqlite_"),
        Dialect::TSql => within(&["sys", "master", "msdb", "model", "information_schema"]),
    }
}

/// What it means where a table is kept: with another server, or in a file that the text names.
pub(super) fn storage(view: &View, at: usize) -> Effects {
    if view.dialect != Dialect::MySql {
        return Effects::NONE;
    }
    let engine = view.follows(at, &["ENGINE"])
        || (view.follows_mark(at, b'=') && at > 1 && view.is(at - 2, "ENGINE"));
    let given = view.is_mark(at + 1, b'=') || view.kind(at + 1) == Some(Kind::Text);
    if (engine && view.is_any(at, &["FEDERATED", "FEDERATEDX", "SPIDER", "CONNECT", "S3"]))
        || (given && view.is(at, "CONNECTION"))
    {
        return Effects::NETWORK;
    }
    if given && view.is_any(at, &["DIRECTORY", "FILE_NAME"]) {
        return Effects::FILE_READ | Effects::FILE_WRITE;
    }
    Effects::NONE
}
