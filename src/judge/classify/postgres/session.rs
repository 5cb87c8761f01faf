//! Statements about the session, the server and transactions.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::reads;
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, text};
use crate::model::facts::{Access, Draws, Effects, Flags, Outputs};

impl Walked for pg::VariableSetStmt {
    fn walk(&self, walk: &mut Walk) {
        let verb = match self.kind() {
            pg::VariableSetKind::VarReset | pg::VariableSetKind::VarResetAll => "RESET",
            pg::VariableSetKind::VarSetValue
            | pg::VariableSetKind::VarSetDefault
            | pg::VariableSetKind::VarSetCurrent
            | pg::VariableSetKind::VarSetMulti
            | pg::VariableSetKind::Undefined => "SET",
        };
        let setting = match self.kind() {
            // All settings go back to what the login gave them, those about text included.
            pg::VariableSetKind::VarResetAll => {
                Setting { effects: Effects::SESSION_SET, flags: Flags::SESSION_LEXING_CHANGED }
            }
            pg::VariableSetKind::VarSetMulti => transaction_setting(&self.name),
            pg::VariableSetKind::VarSetValue
            | pg::VariableSetKind::VarSetDefault
            | pg::VariableSetKind::VarSetCurrent
            | pg::VariableSetKind::VarReset
            | pg::VariableSetKind::Undefined => Setting::of(&self.name),
        };
        walk.commands(verb, setting.effects);
        walk.flag(setting.flags);
        self.args.walk(walk);
    }
}

/// What it means to change a setting.
struct Setting {
    effects: Effects,
    flags: Flags,
}

impl Setting {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let flags = match name.as_str() {
            "standard_conforming_strings" | "backslash_quote" | "client_encoding" => {
                Flags::SESSION_LEXING_CHANGED
            }
            _ => Flags::NONE,
        };
        let effects = match name.as_str() {
            "role" | "session_authorization" => Effects::ROLE_CHANGE,
            name if name.ends_with("preload_libraries") => {
                Effects::SESSION_SET | Effects::CODE_EXEC
            }
            name if ADMINISTRATIVE.contains(&name) => Effects::SESSION_SET | Effects::SERVER_ADMIN,
            _ => Effects::SESSION_SET,
        };
        Self { effects, flags }
    }
}

/// Settings that switch off checks, triggers or the server's own record of what was done.
const ADMINISTRATIVE: &[&str] = &[
    "allow_system_table_mods",
    "dynamic_library_path",
    "ignore_checksum_failure",
    "ignore_invalid_pages",
    "ignore_system_indexes",
    "log_duration",
    "log_error_verbosity",
    "log_min_duration_statement",
    "log_min_error_statement",
    "log_min_messages",
    "log_statement",
    "lo_compat_privileges",
    "session_replication_role",
    "track_activities",
    "zero_damaged_pages",
];

/// `SET TRANSACTION` and `SET SESSION CHARACTERISTICS`.
fn transaction_setting(name: &str) -> Setting {
    let effects = if name.starts_with("TRANSACTION") {
        Effects::TXN
    } else {
        Effects::SESSION_SET | Effects::TXN
    };
    Setting { effects, flags: Flags::NONE }
}

/// The setting that every row of a query over `pg_settings` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SettingName(Box<str>);

impl SettingName {
    /// Told for one shape of query only, the one that `pg_dump` sends:
    /// `SELECT ... FROM pg_settings WHERE name = 'constant' AND ...`, and nothing else to it.
    pub(super) fn selected(select: &pg::SelectStmt) -> Option<Self> {
        let [pg::Node { node: Some(NodeEnum::RangeVar(relation)) }] = select.from_clause.as_slice()
        else {
            return None;
        };
        let settings = relation.relname == "pg_settings"
            && matches!(relation.schemaname.as_str(), "" | "pg_catalog")
            && relation.catalogname.is_empty()
            && relation.alias.is_none();
        let plain = select.op() == pg::SetOperation::SetopNone
            && select.with_clause.is_none()
            && select.into_clause.is_none()
            && select.distinct_clause.is_empty()
            && select.group_clause.is_empty()
            && select.having_clause.is_none()
            && select.window_clause.is_empty()
            && select.values_lists.is_empty()
            && select.sort_clause.is_empty()
            && select.limit_count.is_none()
            && select.limit_offset.is_none()
            && select.locking_clause.is_empty();
        if !settings || !plain {
            return None;
        }
        let condition = select.where_clause.as_deref()?;
        let demanded = match &condition.node {
            Some(NodeEnum::BoolExpr(both)) if both.boolop() == pg::BoolExprType::AndExpr => {
                both.args.iter().find_map(name_demanded)
            }
            Some(_) | None => name_demanded(condition),
        };
        demanded.map(|name| Self(name.into()))
    }

    /// True if `target` is `set_config(name, ...)` itself, nothing around it.
    pub(super) fn is_of(target: &pg::Node) -> bool {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return false };
        match target.val.as_ref().and_then(|value| value.node.as_ref()) {
            Some(NodeEnum::FuncCall(call)) => {
                target.indirection.is_empty() && call.args.first().is_some_and(is_name_column)
            }
            Some(_) | None => false,
        }
    }
}

/// The constant of `name = 'constant'`.
fn name_demanded(condition: &pg::Node) -> Option<&str> {
    let Some(NodeEnum::AExpr(equation)) = &condition.node else { return None };
    let [operator] = equation.name.as_slice() else { return None };
    let equals = equation.kind() == pg::AExprKind::AexprOp && text(operator) == Some("=");
    if equals && equation.lexpr.as_deref().is_some_and(is_name_column) {
        string(equation.rexpr.as_deref()?)
    } else {
        None
    }
}

fn is_name_column(node: &pg::Node) -> bool {
    match &node.node {
        Some(NodeEnum::ColumnRef(column)) => {
            matches!(column.fields.as_slice(), [field] if text(field) == Some("name"))
        }
        Some(_) | None => false,
    }
}

fn string(node: &pg::Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(pg::AConst { val: Some(pg::a_const::Val::Sval(text)), .. })) => {
            Some(&text.sval)
        }
        Some(_) | None => None,
    }
}

impl Walk {
    /// `set_config(name, ...)`: what `SET` does, in an expression. A name that is computed may be
    /// any, unless the query has only rows about the one that is `selected`.
    pub(super) fn set_config(&mut self, name: Option<&pg::Node>, selected: Option<SettingName>) {
        self.read_literal();
        let literal = name.and_then(string);
        let setting = literal.or(selected.as_ref().map(|selected| &*selected.0)).map_or(
            Setting {
                effects: Effects::SESSION_SET | Effects::ROLE_CHANGE | Effects::SERVER_ADMIN,
                flags: Flags::SESSION_LEXING_CHANGED,
            },
            Setting::of,
        );
        self.has(setting.effects);
        self.flag(setting.flags);
    }
}

impl Walked for pg::VariableShowStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("SHOW", Effects::READ);
        // What a setting was made of is asked where it is set.
        walk.statement.outputs = Outputs::All(Draws::Nothing);
    }
}

impl Walked for pg::DiscardStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("DISCARD", Effects::SESSION_SET);
        if self.target() == pg::DiscardMode::DiscardAll {
            walk.flag(Flags::SESSION_LEXING_CHANGED);
        }
    }
}

impl Walked for pg::TransactionStmt {
    fn walk(&self, walk: &mut Walk) {
        let verb = match self.kind() {
            pg::TransactionStmtKind::TransStmtBegin => "BEGIN",
            pg::TransactionStmtKind::TransStmtStart => "START TRANSACTION",
            pg::TransactionStmtKind::TransStmtCommit => "COMMIT",
            pg::TransactionStmtKind::TransStmtRollback => "ROLLBACK",
            pg::TransactionStmtKind::TransStmtSavepoint => "SAVEPOINT",
            pg::TransactionStmtKind::TransStmtRelease => "RELEASE",
            pg::TransactionStmtKind::TransStmtRollbackTo => "ROLLBACK TO",
            pg::TransactionStmtKind::TransStmtPrepare => "PREPARE TRANSACTION",
            pg::TransactionStmtKind::TransStmtCommitPrepared => "COMMIT PREPARED",
            pg::TransactionStmtKind::TransStmtRollbackPrepared => "ROLLBACK PREPARED",
            pg::TransactionStmtKind::Undefined => {
                walk.unlisted();
                return;
            }
        };
        walk.commands(verb, Effects::TXN);
        self.options.walk(walk);
    }
}

impl Walked for pg::ConstraintsSetStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("SET CONSTRAINTS", Effects::TXN);
        // Names of constraints, spelt like relations.
        for _ in &self.constraints {
            walk.passed();
        }
    }
}

/// The weakest lock is the one that every reader takes and keeps until its transaction ends.
impl Walked for pg::LockStmt {
    fn walk(&self, walk: &mut Walk) {
        let effects = if self.mode == ACCESS_SHARE { Effects::READ } else { Effects::LOCK };
        walk.commands("LOCK", effects);
        walk.with_access(Access::Read, |walk| self.relations.walk(walk));
    }
}

/// `AccessShareLock`, as the server numbers its locks.
const ACCESS_SHARE: i32 = 1;

impl Walked for pg::DoStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("DO", Effects::CODE_EXEC);
        self.args.walk(walk);
    }
}

impl Walked for pg::CallStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CALL", Effects::NONE);
        if let Some(call) = &self.funccall {
            walk.procedure(&call.funcname);
            reads::call_parts(call, walk);
        }
        self.outargs.walk(walk);
    }
}

impl Walked for pg::VacuumStmt {
    fn walk(&self, walk: &mut Walk) {
        let verb = if self.is_vacuumcmd { "VACUUM" } else { "ANALYZE" };
        walk.commands(verb, Effects::SERVER_ADMIN);
        self.options.walk(walk);
        walk.with_access(Access::Define, |walk| self.rels.walk(walk));
    }
}

/// Statements that are said by a verb, their effects and the access to what they name.
macro_rules! plain {
    ($($node:ident $verb:literal $effects:expr, $access:ident { $($field:ident)* })*) => {
        $(impl Walked for pg::$node {
            fn walk(&self, walk: &mut Walk) {
                walk.commands($verb, $effects);
                walk.with_access(Access::$access, |_walk| { $(self.$field.walk(_walk);)* });
            }
        })*
    };
}
pub(super) use plain;

plain! {
    AlterSystemStmt "ALTER SYSTEM" Effects::SERVER_ADMIN, Define { setstmt }
    NotifyStmt "NOTIFY" Effects::NOTIFY, Read {}
    ListenStmt "LISTEN" Effects::NOTIFY, Read {}
    UnlistenStmt "UNLISTEN" Effects::NOTIFY, Read {}
    ClusterStmt "CLUSTER" Effects::SERVER_ADMIN | Effects::LOCK, Define { relation params }
    ReindexStmt "REINDEX" Effects::SERVER_ADMIN | Effects::LOCK, Define { relation params }
    CheckPointStmt "CHECKPOINT" Effects::SERVER_ADMIN, Define {}
    LoadStmt "LOAD" Effects::CODE_EXEC | Effects::FILE_READ, Define {}
}
