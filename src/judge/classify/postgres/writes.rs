//! Statements that change rows, and `COPY`.

use pg_query::protobuf as pg;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::truth::{self, Selects};
use crate::judge::classify::postgres::walk::Walk;
use crate::model::facts::{Access, Effects, Flags};

impl Walked for pg::InsertStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.queries("INSERT", Effects::INSERT);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            target(self.relation.as_ref(), self.returning_clause.as_ref(), walk);
            self.cols.walk(walk);
            insert_source(self, walk);
            if let Some(conflict) = &self.on_conflict_clause {
                if conflict.action == pg::OnConflictAction::OnconflictUpdate as i32 {
                    walk.queries("INSERT", Effects::UPDATE);
                }
                conflict.walk(walk);
            }
        });
    }
}

/// Rows written out in the statement are not read from anywhere; any other source is.
fn insert_source(insert: &pg::InsertStmt, walk: &mut Walk) {
    let source = insert.select_stmt.as_ref();
    match source.and_then(|source| source.node.as_ref()) {
        Some(pg_query::NodeEnum::SelectStmt(select)) if is_plain_values(select) => {
            walk.passed();
            walk.with_access(Access::Read, |walk| select.values_lists.walk(walk));
        }
        Some(_) | None => insert.select_stmt.walk(walk),
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
        walk.queries("UPDATE", Effects::UPDATE);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            target(self.relation.as_ref(), self.returning_clause.as_ref(), walk);
            self.target_list.walk(walk);
            source(&self.from_clause, walk);
            selection(self.where_clause.as_deref(), walk);
        });
    }
}

impl Walked for pg::DeleteStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.queries("DELETE", Effects::DELETE);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            target(self.relation.as_ref(), self.returning_clause.as_ref(), walk);
            source(&self.using_clause, walk);
            selection(self.where_clause.as_deref(), walk);
        });
    }
}

impl Walked for pg::MergeStmt {
    fn walk(&self, walk: &mut Walk) {
        walk.queries("MERGE", Effects::READ);
        walk.with_queries(self.with_clause.as_ref(), |walk| {
            target(self.relation.as_ref(), self.returning_clause.as_ref(), walk);
            walk.with_access(Access::Read, |walk| self.source_relation.walk(walk));
            for clause in &self.merge_when_clauses {
                if let Some(pg_query::NodeEnum::MergeWhenClause(clause)) = &clause.node {
                    merge_action(clause, self.join_condition.as_deref(), walk);
                } else {
                    walk.unlisted();
                }
            }
            self.join_condition.walk(walk);
            self.merge_when_clauses.walk(walk);
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

impl Walked for pg::CopyStmt {
    fn walk(&self, walk: &mut Walk) {
        let (verb, effects, access) = if self.is_from {
            ("COPY FROM", Effects::COPY_IN | Effects::INSERT, Access::Write)
        } else {
            ("COPY TO", Effects::COPY_OUT | Effects::READ, Access::Read)
        };
        walk.commands(verb, effects);
        if self.is_program {
            walk.commands(verb, Effects::PROGRAM_EXEC);
        } else if !self.filename.is_empty() {
            walk.commands(
                verb,
                if self.is_from { Effects::FILE_READ } else { Effects::FILE_WRITE },
            );
        }
        walk.with_access(access, |walk| self.relation.walk(walk));
        self.query.walk(walk);
        self.attlist.walk(walk);
        self.options.walk(walk);
        walk.with_access(Access::Read, |walk| self.where_clause.walk(walk));
    }
}

/// The relation that a statement changes. What `RETURNING` shows is read from it.
fn target(
    relation: Option<&pg::RangeVar>,
    returning: Option<&pg::ReturningClause>,
    walk: &mut Walk,
) {
    if let Some(relation) = relation {
        walk.relation_for(relation, Access::Write);
        relation.alias.walk(walk);
    }
    if let Some(returning) = returning {
        walk.queries("", Effects::READ);
        walk.flag(Flags::RETURNING);
        if let Some(relation) = relation {
            let schema = Some(relation.schemaname.as_str()).filter(|name| !name.is_empty());
            walk.object(schema, &relation.relname, Access::Read);
        }
        walk.with_access(Access::Read, |walk| returning.walk(walk));
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
