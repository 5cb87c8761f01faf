//! What the `sqlparser` crate makes of a text, reduced to what the words' reading is held against:
//! how many statements of which kind, what they write, what they read. It accepts much that no
//! server does and refuses much that servers accept, so it only ever adds doubt.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterTableOperation, Delete, Expr, FromTable, Insert, Merge, ObjectName, ObjectType, Query,
    RenameTableNameKind, Select, SetExpr, Statement, TableFactor, TableObject, TableWithJoins,
    Update, Visit, Visitor, With,
};
use sqlparser::dialect::{Dialect as Grammar, MsSqlDialect, MySqlDialect, SQLiteDialect};
use sqlparser::parser::{Parser, ParserError};

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::truth;
use crate::limits::PARSED_NESTING_MAX;
use crate::model::facts::{Effects, Unknown};

/// One statement.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Verbs that such a statement can have.
    pub(super) verbs: &'static [&'static str],
    pub(super) effects: Effects,
    /// Names that it writes or defines, aliases as they are written.
    pub(super) written: Vec<Vec<String>>,
    /// All names of relations in it, written ones and `WITH` queries included.
    pub(super) named: Vec<Vec<String>>,
    pub(super) ctes: Vec<String>,
    /// Other names that it gives to relations and queries.
    pub(super) aliases: Vec<String>,
    /// What `SELECT ... INTO` names.
    pub(super) into: Vec<Vec<String>>,
    /// The condition of its `UPDATE` or `DELETE` selects every row.
    pub(super) const_true_where: bool,
}

pub(super) fn statements(dialect: Dialect, text: &str) -> Result<Vec<Parsed>, Unknown> {
    let grammar: &dyn Grammar = match dialect {
        Dialect::MySql => &MySqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::TSql => &MsSqlDialect {},
    };
    let parser = Parser::new(grammar).with_recursion_limit(PARSED_NESTING_MAX);
    let statements = parser.try_with_sql(text).and_then(|mut parser| parser.parse_statements());
    match statements {
        Ok(statements) => Ok(statements.iter().map(Parsed::of).collect()),
        Err(ParserError::RecursionLimitExceeded) => Err(Unknown::TooDeep),
        Err(ParserError::TokenizerError(_) | ParserError::ParserError(_)) => {
            Err(Unknown::Unparsable)
        }
    }
}

impl Parsed {
    fn of(statement: &Statement) -> Self {
        let mut parsed = Self { verbs: verbs(statement), ..Self::default() };
        let _: ControlFlow<()> = statement.visit(&mut parsed);
        parsed
    }

    fn writes(&mut self, effects: Effects, names: impl IntoIterator<Item = Vec<String>>) {
        self.effects |= effects;
        self.written.extend(names);
    }

    fn insert(&mut self, insert: &Insert) {
        let name = match &insert.table {
            TableObject::TableName(name) => Some(parts(name)),
            TableObject::TableFunction(_) | TableObject::TableQuery(_) => None,
        };
        self.writes(Effects::INSERT, name);
    }

    fn update(&mut self, update: &Update) {
        let name = of_factor(&update.table.relation);
        self.writes(Effects::UPDATE, name);
        self.const_true_where |= update.selection.as_ref().is_some_and(truth::selects_all);
    }

    fn delete(&mut self, delete: &Delete) {
        let from = match &delete.from {
            FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => from,
        };
        let names: Vec<Vec<String>> = if delete.tables.is_empty() {
            from.iter().filter_map(|table| of_factor(&table.relation)).collect()
        } else {
            delete.tables.iter().map(parts).collect()
        };
        self.writes(Effects::DELETE, names);
        self.const_true_where |= delete.selection.as_ref().is_some_and(truth::selects_all);
    }

    fn merge(&mut self, merge: &Merge) {
        self.writes(Effects::NONE, of_factor(&merge.table));
    }

    fn with(&mut self, with: Option<&With>) {
        let ctes = with.into_iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.value.clone()));
    }
}

impl Visitor for Parsed {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        if let Statement::Insert(insert) = statement {
            self.insert(insert);
        } else if let Statement::Update(update) = statement {
            self.update(update);
        } else if let Statement::Delete(delete) = statement {
            self.delete(delete);
        } else if let Statement::Merge(merge) = statement {
            self.merge(merge);
        } else if let Statement::Truncate(truncate) = statement {
            let names = truncate.table_names.iter().map(|target| parts(&target.name));
            self.writes(Effects::TRUNCATE, names);
        } else if let Statement::CreateTable(create) = statement {
            self.writes(Effects::DDL_CREATE, [parts(&create.name)]);
        } else if let Statement::CreateView(create) = statement {
            self.writes(Effects::DDL_CREATE, [parts(&create.name)]);
        } else if let Statement::CreateIndex(create) = statement {
            self.writes(Effects::DDL_CREATE, [parts(&create.table_name)]);
        } else if let Statement::AlterTable(alter) = statement {
            self.writes(Effects::DDL_ALTER, [parts(&alter.name)]);
            for operation in &alter.operations {
                if let AlterTableOperation::RenameTable { table_name } = operation {
                    let (RenameTableNameKind::As(name) | RenameTableNameKind::To(name)) =
                        table_name;
                    self.writes(Effects::DDL_ALTER, [parts(name)]);
                }
            }
        } else if let Statement::RenameTable(pairs) = statement {
            let names =
                pairs.iter().flat_map(|pair| [parts(&pair.old_name), parts(&pair.new_name)]);
            self.writes(Effects::DDL_ALTER, names);
        } else if let Statement::Drop { object_type, names, table, .. } = statement {
            let kinds = [ObjectType::Table, ObjectType::View, ObjectType::Sequence];
            let names = match (object_type, table) {
                (ObjectType::Index, Some(table)) => vec![parts(table)],
                (ObjectType::Index, None) => names.iter().map(parts).collect(),
                (kind, _) if kinds.contains(kind) => names.iter().map(parts).collect(),
                _ => Vec::new(),
            };
            self.writes(Effects::DDL_DROP, names);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.with(query.with.as_ref());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.effects |= Effects::READ;
        let targets = select.into.iter().flat_map(|into| &into.targets);
        self.into.extend(targets.filter_map(|target| {
            if let Expr::Identifier(ident) = target {
                return Some(vec![ident.value.clone()]);
            }
            let Expr::CompoundIdentifier(idents) = target else { return None };
            Some(idents.iter().map(|ident| ident.value.clone()).collect())
        }));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            self.aliases.push(alias.name.value.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.named.push(parts(relation));
        ControlFlow::Continue(())
    }
}

fn of_factor(factor: &TableFactor) -> Option<Vec<String>> {
    if let TableFactor::Table { name, .. } = factor {
        return Some(parts(name));
    }
    if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
        return of_joined(table_with_joins);
    }
    None
}

fn of_joined(joined: &TableWithJoins) -> Option<Vec<String>> {
    of_factor(&joined.relation)
}

fn parts(name: &ObjectName) -> Vec<String> {
    let parts = name.0.iter();
    parts.map(|part| part.as_ident().map(|ident| ident.value.clone()).unwrap_or_default()).collect()
}

/// What verbs statements of which kinds have. A kind that no row knows has none.
macro_rules! verbs {
    ($($($verb:literal)+ => $kind:pat,)+) => {
        fn verbs(statement: &Statement) -> &'static [&'static str] {
            use Statement as S;
            if let S::Query(query) = statement {
                return of_body(&query.body);
            }
            $(if matches!(statement, $kind) { return &[$($verb),+]; })+
            &[]
        }
    };
}

verbs! {
    "INSERT" "REPLACE" => S::Insert(_),
    "UPDATE" => S::Update(_),
    "DELETE" => S::Delete(_),
    "MERGE" => S::Merge(_),
    "TRUNCATE" => S::Truncate(_),
    "CREATE TABLE" => S::CreateTable(_) | S::CreateVirtualTable { .. },
    "CREATE VIEW" => S::CreateView(_),
    "CREATE INDEX" => S::CreateIndex(_),
    "CREATE TRIGGER" => S::CreateTrigger(_),
    "CREATE PROCEDURE" "CREATE PROC" => S::CreateProcedure { .. },
    "CREATE FUNCTION" => S::CreateFunction(_),
    "CREATE DATABASE" => S::CreateDatabase { .. },
    "CREATE SCHEMA" "CREATE DATABASE" => S::CreateSchema { .. },
    "CREATE SEQUENCE" => S::CreateSequence { .. },
    "CREATE USER" => S::CreateUser(_),
    "CREATE ROLE" => S::CreateRole(_),
    "ALTER TABLE" => S::AlterTable(_),
    "ALTER VIEW" => S::AlterView { .. },
    "ALTER USER" => S::AlterUser(_),
    "ALTER ROLE" => S::AlterRole { .. },
    "DROP TABLE" => S::Drop { object_type: ObjectType::Table, .. },
    "DROP VIEW" => S::Drop { object_type: ObjectType::View, .. },
    "DROP INDEX" => S::Drop { object_type: ObjectType::Index, .. },
    "DROP DATABASE" => S::Drop { object_type: ObjectType::Database, .. },
    "DROP SCHEMA" => S::Drop { object_type: ObjectType::Schema, .. },
    "DROP ROLE" => S::Drop { object_type: ObjectType::Role, .. },
    "DROP USER" => S::Drop { object_type: ObjectType::User, .. },
    "DROP SEQUENCE" => S::Drop { object_type: ObjectType::Sequence, .. },
    "DROP PROCEDURE" "DROP PROC" => S::DropProcedure { .. },
    "DROP FUNCTION" => S::DropFunction(_),
    "DROP TRIGGER" => S::DropTrigger(_),
    "RENAME TABLE" "RENAME TABLES" => S::RenameTable(_),
    "GRANT" => S::Grant(_),
    "REVOKE" => S::Revoke(_),
    "DENY" => S::Deny(_),
    "CALL" => S::Call(_),
    "EXEC" "EXECUTE" => S::Execute { .. },
    "DEALLOCATE PREPARE" => S::Deallocate { .. },
    "SET" "SET PASSWORD" "SET ROLE" "SET TRANSACTION" "SET SESSION TRANSACTION" "SET LOCAL TRANSACTION" => S::Set(_),
    "USE" => S::Use(_),
    "PRINT" => S::Print(_),
    "RAISERROR" => S::RaisError { .. },
    "THROW" => S::Throw(_),
    "WAITFOR" => S::WaitFor(_),
    "START TRANSACTION" "BEGIN" "BEGIN TRAN" "BEGIN TRANSACTION" => S::StartTransaction { .. },
    "COMMIT" "END" => S::Commit { .. },
    "ROLLBACK" => S::Rollback { .. },
    "SAVEPOINT" => S::Savepoint { .. },
    "RELEASE" => S::ReleaseSavepoint { .. },
    "SHOW" => S::ShowVariable { .. } | S::ShowStatus { .. } | S::ShowVariables { .. } | S::ShowCreate { .. } | S::ShowColumns { .. } | S::ShowDatabases { .. } | S::ShowSchemas { .. } | S::ShowTables { .. } | S::ShowViews { .. } | S::ShowCollation { .. } | S::ShowCharset(_) | S::ShowProcessList { .. },
    "EXPLAIN" "DESCRIBE" "DESC" "ANALYZE" => S::Explain { .. } | S::ExplainTable { .. },
    "ANALYZE" "ANALYZE TABLE" => S::Analyze(_),
    "PRAGMA" => S::Pragma { .. },
    "ATTACH" => S::AttachDatabase { .. },
    "VACUUM" => S::Vacuum(_),
    "LOCK" => S::LockTables { .. },
    "UNLOCK" => S::UnlockTables,
    "KILL" => S::Kill { .. },
    "FLUSH" => S::Flush { .. },
    "OPTIMIZE" => S::OptimizeTable { .. },
}

fn of_body(body: &SetExpr) -> &'static [&'static str] {
    match body {
        SetExpr::Select(_)
        | SetExpr::Query(_)
        | SetExpr::SetOperation { .. }
        | SetExpr::Values(_)
        | SetExpr::Table(_) => &["SELECT", "VALUES", "TABLE"],
        SetExpr::Insert(_) => &["INSERT", "REPLACE"],
        SetExpr::Update(_) => &["UPDATE"],
        SetExpr::Delete(_) => &["DELETE"],
        SetExpr::Merge(_) => &["MERGE"],
    }
}
