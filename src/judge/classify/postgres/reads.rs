//! Statements that query, and the places in them where something else hides: `WITH` that writes,
//! `INTO`, row locks, cursors, prepared statements, `EXPLAIN`.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::functions;
use crate::judge::classify::postgres::lineage::{Columns, Rows, Scope};
use crate::judge::classify::postgres::session::SettingName;
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, qualified};
use crate::model::facts::{
    Access, Definition, Draws, Effects, Flags, Function, Origin, Outputs, Unknown,
};

impl Walked for pg::SelectStmt {
    fn walk(&self, walk: &mut Walk) {
        let is_asked = walk.is_asked();
        walk.queries("SELECT", Effects::READ);
        walk.within_query(|walk| {
            walk.with_queries(self.with_clause.as_ref(), |walk| {
                let rows = if is_asked {
                    Some(rows(self, walk))
                } else {
                    parts(self, walk);
                    None
                };
                conditions(self, walk);
                walk.answers_if(is_asked, rows);
            });
        });
    }
}

/// Walks what makes the rows of a query that nobody asks for them.
fn parts(select: &pg::SelectStmt, walk: &mut Walk) {
    select.larg.walk(walk);
    select.rarg.walk(walk);
    select.into_clause.walk(walk);
    targets(select, walk, Walked::walk);
    select.window_clause.walk(walk);
    select.values_lists.walk(walk);
}

/// The same, and says what they are made of.
fn rows(select: &pg::SelectStmt, walk: &mut Walk) -> Rows {
    if select.op() != pg::SetOperation::SetopNone {
        let left = walk.rows_of(|walk| select.larg.walk(walk));
        let right = walk.rows_of(|walk| select.rarg.walk(walk));
        return Rows::combined(left, right);
    }
    if let Some(first) = select.values_lists.first() {
        let width = match &first.node {
            Some(NodeEnum::List(list)) => list.items.len(),
            Some(_) | None => 0,
        };
        let values = walk.drawn(|walk| select.values_lists.walk(walk));
        return Rows::of_values(width, values);
    }
    select.into_clause.walk(walk);
    let window = walk.drawn(|walk| select.window_clause.walk(walk));
    let mut columns = Columns::new(Scope::of(&select.from_clause, walk), window);
    targets(select, walk, |target, walk| columns.walk(target, walk));
    columns.rows(select.into_clause.is_some())
}

fn conditions(select: &pg::SelectStmt, walk: &mut Walk) {
    select.distinct_clause.walk(walk);
    select.from_clause.walk(walk);
    select.where_clause.walk(walk);
    select.group_clause.walk(walk);
    select.having_clause.walk(walk);
    select.sort_clause.walk(walk);
    select.limit_offset.walk(walk);
    select.limit_count.walk(walk);
    select.locking_clause.walk(walk);
}

/// Only a statement's outermost query is asked for the setting that it selects: within another,
/// `pg_settings` may be one of its `WITH` queries.
fn targets(select: &pg::SelectStmt, walk: &mut Walk, mut each: impl FnMut(&pg::Node, &mut Walk)) {
    let setting = SettingName::selected(select).filter(|_| walk.is_in_outermost_query());
    for target in &select.target_list {
        if SettingName::is_of(target) {
            walk.selected_setting.clone_from(&setting);
        }
        each(target, walk);
    }
}

impl Walked for pg::WithClause {
    fn walk(&self, walk: &mut Walk) {
        walk.with_queries(Some(self), |_| ());
    }
}

impl Walked for pg::CommonTableExpr {
    fn walk(&self, walk: &mut Walk) {
        let query = self.ctequery.as_ref().and_then(|query| query.node.as_ref());
        let writes = matches!(
            query,
            Some(
                NodeEnum::InsertStmt(_)
                    | NodeEnum::UpdateStmt(_)
                    | NodeEnum::DeleteStmt(_)
                    | NodeEnum::MergeStmt(_)
            )
        );
        if writes {
            walk.flag(Flags::CTE_WRITE);
        }
        self.aliascolnames.walk(walk);
        self.ctequery.walk(walk);
        self.search_clause.walk(walk);
        self.cycle_clause.walk(walk);
    }
}

/// `SELECT ... INTO`, and the target of `CREATE TABLE AS`.
impl Walked for pg::IntoClause {
    fn walk(&self, walk: &mut Walk) {
        walk.queries("SELECT INTO", Effects::DDL_CREATE);
        walk.flag(Flags::INTO_TABLE);
        walk.with_access(Access::Define, |walk| self.rel.walk(walk));
        self.col_names.walk(walk);
        self.options.walk(walk);
    }
}

/// `FOR UPDATE OF name`: the names are aliases of this query, not relations.
impl Walked for pg::LockingClause {
    fn walk(&self, walk: &mut Walk) {
        walk.queries("SELECT", Effects::LOCK);
        for _ in &self.locked_rels {
            walk.passed();
        }
    }
}

impl Walked for pg::RangeVar {
    fn walk(&self, walk: &mut Walk) {
        walk.relation(self);
        self.alias.walk(walk);
    }
}

/// `WHERE CURRENT OF cursor`.
impl Walked for pg::CurrentOfExpr {
    fn walk(&self, walk: &mut Walk) {
        walk.columns_seen += 1;
    }
}

impl Walked for pg::RangeTableSample {
    fn walk(&self, walk: &mut Walk) {
        walk.function(&self.method);
        self.relation.walk(walk);
        self.method.walk(walk);
        self.args.walk(walk);
        self.repeatable.walk(walk);
    }
}

impl Walked for pg::FuncCall {
    fn walk(&self, walk: &mut Walk) {
        walk.call(self);
        if qualified(&self.funcname).1.is_some_and(functions::keeps) {
            let kept = walk.drawn(|walk| call_parts(self, walk));
            walk.assigns(&kept.draws(&Scope::nowhere()));
        } else {
            call_parts(self, walk);
        }
    }
}

impl Walked for pg::WindowDef {
    fn walk(&self, walk: &mut Walk) {
        if !self.name.is_empty() || !self.refname.is_empty() {
            walk.draws_named_window();
        }
        self.partition_clause.walk(walk);
        self.order_clause.walk(walk);
        self.start_offset.walk(walk);
        self.end_offset.walk(walk);
    }
}

/// What a call has beside what it means to call the function.
pub(super) fn call_parts(call: &pg::FuncCall, walk: &mut Walk) {
    call.funcname.walk(walk);
    call.args.walk(walk);
    call.agg_order.walk(walk);
    call.agg_filter.walk(walk);
    call.over.walk(walk);
}

impl Walked for pg::ExplainStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("EXPLAIN", Effects::EXPLAIN);
        self.options.walk(walk);
        if self.options.iter().any(may_switch_on_analyze) {
            walk.outputs_of(|walk| self.query.walk(walk));
        } else {
            // Planning reads statistics, which tell of the contents.
            walk.has(Effects::READ);
            walk.only_planned(|walk| {
                walk.outputs_of(|walk| self.query.walk(walk));
            });
        }
        walk.statement.outputs = plan(walk);
    }
}

/// A plan's text has the request's own constants, and what planning makes of them.
fn plan(walk: &Walk) -> Outputs {
    let is_own = |function: &Function| function.origin == Origin::Server;
    if !walk.executes.is_empty() {
        Outputs::Unknown
    } else if walk.statement.functions.iter().all(is_own) {
        Outputs::All(Draws::Nothing)
    } else {
        Outputs::All(Draws::Anything)
    }
}

/// True unless the option is another one, or is `ANALYZE` with a value that says no.
fn may_switch_on_analyze(option: &pg::Node) -> bool {
    let Some(NodeEnum::DefElem(option)) = &option.node else { return true };
    if option.defname != "analyze" {
        return false;
    }
    match option.arg.as_ref().and_then(|value| value.node.as_ref()) {
        Some(NodeEnum::String(word)) => {
            !["false", "off"].iter().any(|no| word.sval.eq_ignore_ascii_case(no))
        }
        Some(NodeEnum::Integer(number)) => number.ival != 0,
        Some(NodeEnum::Boolean(truth)) => truth.boolval,
        Some(_) | None => true,
    }
}

/// The statement's effects count when it is prepared: a session may run it from then on.
impl Walked for pg::PrepareStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("PREPARE", Effects::NONE);
        walk.definitions.push(Definition::Statement(self.name.as_str().into()));
        self.argtypes.walk(walk);
        walk.statement.outputs = walk.outputs_of(|walk| self.query.walk(walk));
    }
}

impl Walked for pg::ExecuteStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("EXECUTE", Effects::NONE);
        walk.executes.push(self.name.as_str().into());
        walk.unknown.get_or_insert(Unknown::UnseenName);
        // What the statement does with its parameters is said where it is prepared.
        let parameters = walk.drawn(|walk| self.params.walk(walk)).draws(&Scope::nowhere());
        walk.assigns(&parameters);
        if parameters != Draws::Nothing {
            walk.statement.outputs = Outputs::All(parameters);
        }
    }
}

/// Forgets a statement; touches nothing else.
impl Walked for pg::DeallocateStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("DEALLOCATE", Effects::NONE);
    }
}

/// The query's effects count when it is declared; fetching adds none but reading.
impl Walked for pg::DeclareCursorStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("DECLARE", Effects::READ);
        walk.definitions.push(Definition::Cursor(self.portalname.as_str().into()));
        walk.statement.outputs = walk.outputs_of(|walk| self.query.walk(walk));
    }
}

impl Walked for pg::FetchStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands(if self.ismove { "MOVE" } else { "FETCH" }, Effects::READ);
        walk.fetches.push(self.portalname.as_str().into());
        // What the rows hold is said where the cursor is declared.
        walk.statement.outputs = Outputs::All(Draws::Nothing);
    }
}

impl Walked for pg::ClosePortalStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("CLOSE", Effects::NONE);
    }
}

/// A statement by itself: what it returns is the result.
impl Walked for pg::RawStmt {
    fn walk(&self, walk: &mut Walk) {
        let statement = self.stmt.as_ref().and_then(|statement| statement.node.as_ref());
        if matches!(
            statement,
            Some(
                NodeEnum::SelectStmt(_)
                    | NodeEnum::InsertStmt(_)
                    | NodeEnum::UpdateStmt(_)
                    | NodeEnum::DeleteStmt(_)
                    | NodeEnum::MergeStmt(_)
            )
        ) {
            walk.statement.outputs = walk.outputs_of(|walk| self.stmt.walk(walk));
        } else {
            self.stmt.walk(walk);
        }
    }
}

/// Stands in the bodies of SQL functions.
impl Walked for pg::ReturnStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("RETURN", Effects::NONE);
        self.returnval.walk(walk);
    }
}

/// Only PL/pgSQL's own grammar builds these.
impl Walked for pg::PlAssignStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.unlisted();
        self.indirection.walk(walk);
        self.val.walk(walk);
    }
}
