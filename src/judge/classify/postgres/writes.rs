//! Statements that change rows.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::lineage::{Columns, Mix, Rows, Scope};
use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::truth::{self, Selects};
use crate::judge::classify::postgres::walk::Walk;
use crate::model::facts::{Access, Draws, Effects, Flags};

impl Walked for pg::InsertStmt {
    fn walk(&self, walk: &mut Walk) {
        let is_asked = walk.is_asked();
        walk.queries("INSERT", Effects::INSERT);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            let target = Target { relation: self.relation.as_ref(), more: &[] };
            let rows = target.walk(self.returning_clause.as_ref(), walk);
            self.cols.walk(walk);
            insert_source(self, walk);
            if let Some(conflict) = &self.on_conflict_clause {
                if conflict.action == pg::OnConflictAction::OnconflictUpdate as i32 {
                    walk.queries("INSERT", Effects::UPDATE);
                }
                conflict.infer.walk(walk);
                let set = walk.drawn(|walk| conflict.target_list.walk(walk));
                target.assign(set, walk);
                conflict.where_clause.walk(walk);
            }
            walk.answers_if(is_asked, rows);
        });
    }
}

/// Rows written out in the statement are not read from anywhere; any other source is.
fn insert_source(insert: &pg::InsertStmt, walk: &mut Walk) {
    let source = insert.select_stmt.as_ref();
    match source.and_then(|source| source.node.as_ref()) {
        Some(NodeEnum::SelectStmt(select)) if is_plain_values(select) => {
            walk.passed();
            let values = walk.drawn(|walk| {
                walk.with_access(Access::Read, |walk| select.values_lists.walk(walk));
            });
            walk.assigns(&values.draws(&Scope::nowhere()));
        }
        Some(_) => {
            let rows = walk.rows_of(|walk| insert.select_stmt.walk(walk));
            walk.assigns(&rows.map_or(Draws::Anything, |rows| rows.whole));
        }
        // The columns' defaults.
        None => {}
    }
}

fn is_plain_values(select: &pg::SelectStmt) -> bool {
    !select.values_lists.is_empty()
        && select.with_clause.is_none()
        && select.sort_clause.is_empty()
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.locking_clause.is_empty()
}

impl Walked for pg::UpdateStmt {
    fn walk(&self, walk: &mut Walk) {
        let is_asked = walk.is_asked();
        walk.queries("UPDATE", Effects::UPDATE);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            let target = Target { relation: self.relation.as_ref(), more: &self.from_clause };
            let rows = target.walk(self.returning_clause.as_ref(), walk);
            let set = walk.drawn(|walk| self.target_list.walk(walk));
            target.assign(set, walk);
            source(&self.from_clause, walk);
            selection(self.where_clause.as_deref(), walk);
            walk.answers_if(is_asked, rows);
        });
    }
}

impl Walked for pg::DeleteStmt {
    fn walk(&self, walk: &mut Walk) {
        let is_asked = walk.is_asked();
        walk.queries("DELETE", Effects::DELETE);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            let target = Target { relation: self.relation.as_ref(), more: &self.using_clause };
            let rows = target.walk(self.returning_clause.as_ref(), walk);
            source(&self.using_clause, walk);
            selection(self.where_clause.as_deref(), walk);
            walk.answers_if(is_asked, rows);
        });
    }
}

impl Walked for pg::MergeStmt {
    fn walk(&self, walk: &mut Walk) {
        let is_asked = walk.is_asked();
        walk.queries("MERGE", Effects::READ);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            let more = self.source_relation.as_deref().map_or(&[][..], std::slice::from_ref);
            let target = Target { relation: self.relation.as_ref(), more };
            let rows = target.walk(self.returning_clause.as_ref(), walk);
            walk.with_access(Access::Read, |walk| self.source_relation.walk(walk));
            for clause in &self.merge_when_clauses {
                walk.passed();
                if let Some(NodeEnum::MergeWhenClause(clause)) = &clause.node {
                    merge_action(clause, self.join_condition.as_deref(), walk);
                    clause.condition.walk(walk);
                    let set = walk.drawn(|walk| {
                        clause.target_list.walk(walk);
                        clause.values.walk(walk);
                    });
                    target.assign(set, walk);
                } else {
                    walk.unlisted();
                }
            }
            self.join_condition.walk(walk);
            walk.answers_if(is_asked, rows);
        });
    }
}

fn merge_action(clause: &pg::MergeWhenClause, joined: Option<&pg::Node>, walk: &mut Walk) {
    let effects = match clause.command_type() {
        pg::CmdType::CmdInsert => Effects::INSERT,
        pg::CmdType::CmdUpdate => Effects::UPDATE,
        pg::CmdType::CmdDelete => Effects::DELETE,
        pg::CmdType::CmdNothing => Effects::NONE,
        pg::CmdType::Undefined
        | pg::CmdType::CmdUnknown
        | pg::CmdType::CmdSelect
        | pg::CmdType::CmdMerge
        | pg::CmdType::CmdUtility => {
            walk.unlisted();
            return;
        }
    };
    walk.queries("MERGE", effects);
    if !effects.intersects(Effects::UPDATE | Effects::DELETE) {
        return;
    }
    // Rows that the source does not know are all the others.
    let unmatched = clause.match_kind == pg::MergeMatchKind::MergeWhenNotMatchedBySource as i32;
    match &clause.condition {
        Some(condition) => judge(truth::selects(condition, walk), walk),
        None if unmatched => walk.flag(Flags::NO_WHERE),
        None => {
            let joined = joined.map_or(Selects::All, |on| truth::selects(on, walk));
            judge(joined, walk);
        }
    }
}

impl Walked for pg::TruncateStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.commands("TRUNCATE", Effects::TRUNCATE);
        walk.with_access(Access::Write, |walk| self.relations.walk(walk));
    }
}

/// The relation that a statement changes, and what else the statement reads.
struct Target<'t> {
    relation: Option<&'t pg::RangeVar>,
    more: &'t [pg::Node],
}

impl<'t> Target<'t> {
    /// Walks the relation, and what `RETURNING` shows: it is read from there.
    fn walk(&self, returning: Option<&'t pg::ReturningClause>, walk: &mut Walk) -> Option<Rows> {
        if let Some(relation) = self.relation {
            walk.relation_for(relation, Access::Write);
            relation.alias.walk(walk);
        }
        let returning = returning?;
        walk.queries("", Effects::READ);
        walk.flag(Flags::RETURNING);
        if let Some(relation) = self.relation {
            let schema = Some(relation.schemaname.as_str()).filter(|name| !name.is_empty());
            walk.object(schema, &relation.relname, Access::Read);
        }
        let scope = Scope::of_change(self.relation, Some(returning)).and(self.more, walk);
        let mut columns = Columns::new(scope, Mix::default());
        walk.with_access(Access::Read, |walk| {
            returning.options.walk(walk);
            for target in &returning.exprs {
                columns.walk(target, walk);
            }
        });
        Some(columns.rows(false))
    }

    /// The relation gets values that are made of `set`.
    fn assign(&self, set: Mix, walk: &mut Walk) {
        let scope = Scope::of_change(self.relation, None).and(self.more, walk);
        walk.assigns(&set.draws(&scope));
    }
}

/// `FROM` of an update and `USING` of a deletion.
fn source(relations: &Vec<pg::Node>, walk: &mut Walk) {
    if !relations.is_empty() {
        walk.queries("", Effects::READ);
    }
    walk.with_access(Access::Read, |walk| relations.walk(walk));
}

fn selection(condition: Option<&pg::Node>, walk: &mut Walk) {
    match condition {
        None => walk.flag(Flags::NO_WHERE),
        Some(condition) => {
            judge(truth::selects(condition, walk), walk);
            walk.with_access(Access::Read, |walk| condition.walk(walk));
        }
    }
}

fn judge(selects: Selects, walk: &mut Walk) {
    if selects == Selects::All {
        walk.flag(Flags::CONST_TRUE_WHERE);
    }
}
