//! Which functions and procedures a statement calls, whose they are, and what they do beyond
//! computing. A name with parentheses behind it is a call, unless it is a reserved word or stands
//! where a relation is defined or written; a name with a schema before it is never the server's.

use std::ops::Range;
use std::sync::LazyLock;

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::lex::Kind;
use crate::judge::classify::dialects::view::{Name, View};
use crate::limits::DISTINCT_NAMES_CHECKED;
use crate::model::facts::{Body, Code, Effects, Flags, Function, Origin, Statement};

/// Adds what the statement in `range` calls.
pub(super) fn read(
    view: &View,
    range: Range<usize>,
    not_calls: &[usize],
    statement: &mut Statement,
) {
    // Values in a `PRAGMA` are words.
    if view.dialect == Dialect::Sqlite && view.is(range.start, "PRAGMA") {
        return;
    }
    let defines = view.is_any(range.start, &["CREATE", "ALTER"]);
    for at in range.clone() {
        let named = matches!(view.kind(at), Some(Kind::Word | Kind::QuotedName | Kind::Text));
        if !named || !view.is_mark(at + 1, b'(') || not_calls.contains(&at) || at + 1 >= range.end {
            continue;
        }
        let qualified = view.is_qualified(at) || view.follows_mark(at, b':');
        let quoted = view.kind(at) != Some(Kind::Word);
        if !qualified && !quoted && is_no_call(view, at, defines) {
            continue;
        }
        let Some(name) = view.name_part(at) else { continue };
        let schema = qualified.then(|| schema(view, at, range.start));
        // A quoted name passes by the words of the grammar that some functions are.
        let quoted = quoted && view.dialect != Dialect::Sqlite;
        call(view.dialect, schema, &name, quoted, statement);
    }
}

/// What stands before the point, or points, before `at`.
fn schema(view: &View, at: usize, start: usize) -> String {
    let mut parts = Vec::new();
    let mut place = at;
    while place > start && (view.is_mark(place - 1, b'.') || view.is_mark(place - 1, b':')) {
        place -= 1;
        if place > start
            && let Some(part) = view.name_part(place - 1)
        {
            parts.push(part.to_lowercase());
            place -= 1;
        }
    }
    parts.reverse();
    parts.join(".")
}

fn is_no_call(view: &View, at: usize, defines: bool) -> bool {
    let is = |words: &[&str]| view.is_any(at, words);
    if is(RESERVED) || (view.dialect != Dialect::TSql && is(RESERVED_ELSEWHERE)) {
        return true;
    }
    if view.dialect == Dialect::TSql && is(RESERVED_IN_TSQL) {
        return true;
    }
    if view.dialect == Dialect::MySql && is(RESERVED_IN_MYSQL) {
        return true;
    }
    // `count(*) OVER (...)`, `FILTER (...)`, `WITHIN GROUP (...)`
    let behind_call = view.follows_mark(at, b')') && is(&["OVER", "FILTER", "AGAINST"]);
    // `AS x (a, b)`; in a definition it is the expression of a column.
    let alias = view.follows(at, &["AS"]) && !defines;
    // Names of keys, and of the tables that they refer to.
    let of_key = defines
        && view.follows(at, &["KEY", "INDEX", "UNIQUE", "REFERENCES", "PARTITION"])
        && !view.is(at - 1, "IN");
    let conflict = view.is(at, "CONFLICT") && view.follows(at, &["ON"]);
    behind_call || alias || of_key || conflict
}

/// `EXEC`, `CALL`, `PREPARE` and `EXECUTE`, at `lead`.
pub(super) fn execute(view: &View, lead: usize, end: usize, statement: &mut Statement) {
    if view.dialect == Dialect::MySql && !view.is(lead, "CALL") {
        statement.code = Code::Unnamed;
        return;
    }
    let mut at = lead + 1;
    // `EXEC @result = p`
    if view.is_mark(at + 1, b'=') && view.written(at).starts_with('@') {
        at += 2;
    }
    if !procedure(view, at, end, statement) {
        statement.code = Code::Unnamed;
    }
    let remote = |at: usize| view.is(at, "AT") && view.follows_mark(at, b')');
    if (at..end).any(remote) {
        statement.effects |= Effects::NETWORK;
    }
}

/// The procedure whose name begins at `at`.
pub(super) fn procedure(view: &View, at: usize, end: usize, statement: &mut Statement) -> bool {
    let Some(name) = view.name(at, end).filter(|name| !name.last().starts_with('@')) else {
        return false;
    };
    let lower = name.last().to_lowercase();
    let meaning = meaning(view.dialect, &lower);
    statement.effects |= meaning.effects | Effects::CODE_EXEC;
    if !meaning.effects.is_empty() {
        statement.flags |= Flags::DANGEROUS_FUNCTION;
    }
    if name.parts.len() > 3 {
        statement.effects |= Effects::NETWORK;
    }
    let before = name.parts.len().saturating_sub(1);
    let schema = name.parts.get(..before).unwrap_or_default().join(".").to_lowercase();
    let schema = Some(schema).filter(|schema| !schema.is_empty()).map(Into::into);
    let body = if lower == "sp_executesql" { Body::Given } else { meaning.body };
    let function = Function { schema, name: lower.into(), origin: Origin::Elsewhere, body };
    push(function, statement);
    true
}

fn call(
    dialect: Dialect,
    schema: Option<String>,
    name: &str,
    quoted: bool,
    statement: &mut Statement,
) {
    let lower = name.to_lowercase();
    let meaning = meaning(dialect, &lower);
    statement.effects |= meaning.effects;
    if !meaning.effects.without(ORDINARY).is_empty() || STALLING.contains(&lower.as_str()) {
        statement.flags |= Flags::DANGEROUS_FUNCTION;
    }
    let own = schema.is_none() && !quoted && is_known(dialect, &lower);
    if !own {
        statement.effects |= Effects::CODE_EXEC;
    }
    let function = Function {
        schema: schema.map(Into::into),
        name: lower.into(),
        origin: if own { Origin::Server } else { Origin::Elsewhere },
        body: meaning.body,
    };
    push(function, statement);
}

fn push(function: Function, statement: &mut Statement) {
    let functions = &mut statement.functions;
    if functions.len() >= DISTINCT_NAMES_CHECKED || !functions.contains(&function) {
        functions.push(function);
    }
}

/// True for the name of a function of the server's own that stands where a relation can. In T-SQL
/// a user's function may stand there by the name of one that computes a value.
pub(super) fn is_servers(view: &View, at: usize, name: &Name) -> bool {
    let lower = name.last().to_lowercase();
    name.parts.len() == 1
        && view.kind(at) == Some(Kind::Word)
        && match view.dialect {
            Dialect::MySql | Dialect::Sqlite => is_known(view.dialect, &lower),
            Dialect::TSql => GIVE_ROWS.contains(&lower.as_str()),
        }
}

const GIVE_ROWS: &[&str] = &[
    "string_split",
    "generate_series",
    "openjson",
    "openxml",
    "openrowset",
    "opendatasource",
    "openquery",
    "freetexttable",
    "containstable",
    "changetable",
    "regexp_matches",
    "regexp_split_to_table",
];

fn is_known(dialect: Dialect, lower: &str) -> bool {
    let names = match dialect {
        Dialect::MySql => &KNOWN_IN_MYSQL,
        Dialect::Sqlite => &KNOWN_IN_SQLITE,
        Dialect::TSql => &KNOWN_IN_TSQL,
    };
    names.binary_search(&lower).is_ok()
}

static KNOWN_IN_MYSQL: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(include_str!("known_mysql.txt")));
static KNOWN_IN_SQLITE: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(include_str!("known_sqlite.txt")));
static KNOWN_IN_TSQL: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(include_str!("known_tsql.txt")));

fn names(list: &'static str) -> Vec<&'static str> {
    list.lines().filter(|line| !line.starts_with('#')).collect()
}

struct Meaning {
    effects: Effects,
    body: Body,
}

fn meaning(dialect: Dialect, lower: &str) -> Meaning {
    let (exact, families) = match dialect {
        Dialect::MySql => (MYSQL, MYSQL_FAMILIES),
        Dialect::Sqlite => (SQLITE, SQLITE_FAMILIES),
        Dialect::TSql => (TSQL, TSQL_FAMILIES),
    };
    let exact = exact.iter().filter(|(names, _)| names.split(' ').any(|name| name == lower));
    let families = families.iter().filter(|(prefix, _)| lower.starts_with(prefix));
    let effects =
        exact.chain(families).fold(Effects::NONE, |effects, (_, more)| effects.union(*more));
    let body = if effects.contains(Effects::CODE_EXEC) { Body::Given } else { Body::Own };
    Meaning { effects, body }
}

type Row = (&'static str, Effects);

const FREAD: Effects = Effects::FILE_READ;
const FWRITE: Effects = Effects::FILE_WRITE;
const NET: Effects = Effects::NETWORK;
const CODE: Effects = Effects::CODE_EXEC;
const PROGRAM: Effects = Effects::PROGRAM_EXEC;
const ADMIN: Effects = Effects::SERVER_ADMIN;
const ROLES: Effects = Effects::ROLE_CHANGE.union(Effects::GRANT);

/// Effects that ordinary applications have by functions.
const ORDINARY: Effects = Effects::LOCK.union(Effects::INSERT).union(Effects::UPDATE);
const STALLING: &[&str] = &[
    "sleep",
    "benchmark",
    "master_pos_wait",
    "source_pos_wait",
    "wait_for_executed_gtid_set",
    "randomblob",
    "zeroblob",
];

const MYSQL: &[Row] = &[
    ("load_file", FREAD),
    ("sys_exec sys_eval sys_bineval do_system", PROGRAM),
    ("sys_get sys_set", ADMIN),
    ("get_lock release_lock release_all_locks", Effects::LOCK),
    ("nextval", Effects::INSERT),
    ("setval", Effects::UPDATE),
    ("http_get http_post http_put http_delete", NET),
    ("group_replication_set_as_primary asynchronous_connection_failover_add_source", ADMIN),
];
const MYSQL_FAMILIES: &[Row] = &[
    ("lib_mysqludf_", PROGRAM),
    ("group_replication_", ADMIN),
    ("asynchronous_connection_failover_", ADMIN),
    ("audit_log_", ADMIN),
    ("keyring_", ADMIN),
    ("firewall_", ADMIN),
    ("mysql_firewall_", ADMIN),
    ("load_rewrite_rules", ADMIN),
];

const SQLITE: &[Row] = &[
    ("load_extension", FREAD.union(CODE)),
    ("readfile lsdir fsdir csv zipfile", FREAD),
    ("writefile", FWRITE),
    ("edit", PROGRAM.union(FREAD)),
    ("fts3_tokenizer", CODE),
    ("eval", CODE),
    ("sqlite_dbpage sqlite_dbdata", FREAD),
];
const SQLITE_FAMILIES: &[Row] = &[];

const TSQL: &[Row] = &[
    ("openrowset opendatasource", FREAD.union(NET)),
    ("openquery", NET.union(CODE)),
    ("xp_cmdshell", PROGRAM),
    ("sp_executesql sp_prepare sp_prepexec sp_execute sp_cursoropen sp_cursorprepexec", CODE),
    ("sp_msforeachtable sp_msforeachdb sp_execute_remote sp_describe_first_result_set", CODE),
    ("sp_execute_external_script", PROGRAM),
    ("sp_configure sp_trace_create sp_serveroption sp_addmessage sp_procoption", ADMIN),
    ("sp_attach_db sp_attach_single_file_db sp_detach_db sp_create_plan_guide", ADMIN),
    ("sp_rename sp_recompile sp_changeobjectowner sp_bindrule", Effects::DDL_ALTER),
    ("sp_addlinkedserver sp_addlinkedsrvlogin sp_addserver sp_testlinkedserver", NET.union(ADMIN)),
    ("sp_addextendedproc", ADMIN.union(CODE)),
    ("sp_send_dbmail sp_invoke_external_rest_endpoint", NET),
    ("sp_addlogin sp_adduser sp_grantlogin sp_grantdbaccess sp_password sp_changedbowner", ROLES),
    ("sp_addrolemember sp_addsrvrolemember sp_droprolemember sp_dropsrvrolemember", ROLES),
    ("sp_setapprole sp_control_plan_guide sp_droplogin sp_dropuser", ROLES),
    ("xp_dirtree xp_fileexist xp_subdirs xp_fixeddrives xp_getfiledetails", FREAD.union(NET)),
    ("fn_get_audit_file fn_xe_file_target_read_file fn_trace_gettable", FREAD.union(NET)),
    ("sp_getapplock sp_releaseapplock", Effects::LOCK),
    ("sp_set_session_context", Effects::SESSION_SET),
    ("xp_create_subdir xp_delete_file xp_delete_files xp_copy_file xp_copy_files", FWRITE),
];
const TSQL_FAMILIES: &[Row] = &[
    ("sp_oa", PROGRAM),
    ("xp_", ADMIN),
    ("sp_add_job", CODE.union(PROGRAM).union(ADMIN)),
    ("sp_update_job", CODE.union(PROGRAM).union(ADMIN)),
    ("sp_start_job", CODE.union(PROGRAM).union(ADMIN)),
    ("sp_attach_schedule", ADMIN),
];

/// Words that no function can be called by, for all of the dialects reserve them.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "ADD", "ALL", "ALTER", "AND", "AS", "BETWEEN", "BY", "CASE", "CHECK", "CONSTRAINT", "CREATE",
    "DEFAULT", "DELETE", "DISTINCT", "DROP", "ELSE", "EXISTS", "FOREIGN", "FROM", "GROUP", "HAVING",
    "IN", "INDEX", "INTO", "IS", "JOIN", "LIKE", "NOT", "NULL", "ON", "OR", "ORDER", "PRIMARY",
    "REFERENCES", "SELECT", "SET", "TABLE", "THEN", "TO", "UNION", "UNIQUE", "UPDATE", "VALUES",
    "WHEN", "WHERE", "EXCEPT", "INTERSECT", "WITH", "KEY",
];
const RESERVED_ELSEWHERE: &[&str] =
    &["USING", "LIMIT", "PARTITION", "COLLATE", "ANY", "SOME", "RETURNING", "OFFSET"];
const RESERVED_IN_TSQL: &[&str] = &[
    "ANY",
    "SOME",
    "TOP",
    "OVER",
    "OPTION",
    "COLLATE",
    "EXEC",
    "EXECUTE",
    "INSERT",
    "MERGE",
    "PERCENT",
    "IF",
    "WHILE",
    "RETURN",
    "PRINT",
    "RAISERROR",
    "PIVOT",
    "UNPIVOT",
    "TABLESAMPLE",
    "USING",
    "APPLY",
    "OUTPUT",
];
const RESERVED_IN_MYSQL: &[&str] = &[
    "MATCH",
    "OVER",
    "ROW",
    "FORCE",
    "IGNORE",
    "USE",
    "LATERAL",
    "FULLTEXT",
    "XOR",
    "DIV",
    "RLIKE",
    "REGEXP",
    "OF",
    "INT",
    "BY",
    "RANGE",
    "LINEAR",
    "CHARACTER",
];
