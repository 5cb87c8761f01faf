//! Gathers what one statement does while `tree` leads through it. Knows scopes, accesses and
//! names; which node means what is said where the nodes are.

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::attributes::Attributes;
use crate::judge::classify::postgres::catalogue;
use crate::judge::classify::postgres::functions;
use crate::judge::classify::postgres::lineage::Lineage;
use crate::judge::classify::postgres::session::SettingName;
use crate::judge::classify::postgres::tree::Walked;
use crate::limits::DISTINCT_NAMES_CHECKED;
use crate::model::facts::{
    Access, Code, Definition, Draws, Effects, Flags, Function, Origin, Relation, Statement, Unknown,
};

/// Whether what is walked over will run when the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Runs,
    /// Under a plain `EXPLAIN`: planned, not executed.
    Planned,
}

/// Whether facts could differ between two texts that differ in literals only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::judge::classify) enum Dependence {
    /// A literal's value, or a statement kind whose literals mean something, was looked at.
    Literals,
    Shape,
}

pub(super) struct Walk {
    pub(super) statement: Statement,
    pub(super) definitions: Vec<Definition>,
    pub(super) executes: Vec<Box<str>>,
    pub(super) fetches: Vec<Box<str>>,
    pub(super) unknown: Option<Unknown>,
    pub(super) dependence: Dependence,
    /// Mentions of columns, and of a cursor's row.
    pub(super) columns_seen: usize,
    /// Of the call that is walked next: the setting that its first argument is the name of.
    pub(super) selected_setting: Option<SettingName>,
    pub(super) attributes: Attributes,
    pub(super) lineage: Lineage,
    access: Access,
    running: Running,
    /// Queries that are being walked, one within the other.
    queries_open: usize,
    /// Names of the `WITH` queries in scope, innermost last.
    ctes: Vec<Box<str>>,
    #[cfg(test)]
    pub(super) nodes_passed: usize,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self {
            statement: Statement { assigned: Draws::Nothing, ..Statement::default() },
            definitions: Vec::new(),
            executes: Vec::new(),
            fetches: Vec::new(),
            unknown: None,
            dependence: Dependence::Shape,
            columns_seen: 0,
            selected_setting: None,
            attributes: Attributes::default(),
            lineage: Lineage::default(),
            access: Access::Read,
            queries_open: 0,
            running: Running::Runs,
            ctes: Vec::new(),
            #[cfg(test)]
            nodes_passed: 0,
        }
    }

    /// Called once a node, so that a test can prove that no node is passed by.
    pub(super) fn passed(&mut self) {
        #[cfg(test)]
        {
            self.nodes_passed += 1;
        }
    }

    /// A statement of the data language, whose literals say nothing about its effects.
    pub(super) fn queries(&mut self, verb: &'static str, effects: Effects) {
        if self.statement.verb.is_empty() {
            self.statement.verb = verb;
        }
        if self.running == Running::Runs {
            self.has(effects);
        }
    }

    /// Any other statement.
    pub(super) fn commands(&mut self, verb: &'static str, effects: Effects) {
        self.dependence = Dependence::Literals;
        self.queries(verb, effects);
    }

    /// An effect that even planning may have. Code that is run so has no name of a function.
    pub(super) fn has(&mut self, effects: Effects) {
        self.statement.effects |= effects;
        if effects.contains(Effects::CODE_EXEC) {
            self.statement.code = Code::Unnamed;
        }
    }

    pub(super) fn flag(&mut self, flags: Flags) {
        if self.running == Running::Runs {
            self.statement.flags |= flags;
        }
    }

    pub(super) fn unlisted(&mut self) {
        self.unknown = Some(Unknown::UnlistedStatement);
    }

    /// A literal's value decided something.
    pub(super) fn read_literal(&mut self) {
        self.dependence = Dependence::Literals;
    }

    pub(super) fn with_access(&mut self, access: Access, inner: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.access, access);
        inner(self);
        self.access = outer;
    }

    /// Walks a query. A value that is made of its rows may be made of anything.
    pub(super) fn within_query(&mut self, inner: impl FnOnce(&mut Self)) {
        self.queries_open += 1;
        let drawing = self.lineage.suspended();
        self.with_access(Access::Read, inner);
        self.lineage.resume(drawing);
        self.draws_anything();
        self.queries_open -= 1;
    }

    /// True if no other query is around the one that is being walked, nor any `WITH`.
    pub(super) fn is_in_outermost_query(&self) -> bool {
        self.queries_open == 1 && self.ctes.is_empty()
    }

    /// Walks what is planned but not executed.
    pub(super) fn only_planned(&mut self, inner: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.running, Running::Planned);
        inner(self);
        self.running = outer;
    }

    /// Walks `body` with the names of `clause` in scope, having walked the clause's queries. A
    /// query of a `WITH` sees the ones before it, and all of them after `RECURSIVE`.
    pub(super) fn with_queries(
        &mut self,
        clause: Option<&pg::WithClause>,
        body: impl FnOnce(&mut Self),
    ) {
        let outer = self.ctes.len();
        if let Some(clause) = clause {
            let names = clause.ctes.iter().filter_map(cte_name);
            if clause.recursive {
                self.ctes.extend(names);
                clause.ctes.walk(self);
            } else {
                for cte in &clause.ctes {
                    cte.walk(self);
                    self.ctes.extend(cte_name(cte));
                }
            }
        }
        body(self);
        self.ctes.truncate(outer);
    }

    /// A table, view, index or sequence that the text names where the current access applies.
    pub(super) fn relation(&mut self, relation: &pg::RangeVar) {
        self.relation_for(relation, self.access);
    }

    pub(super) fn relation_for(&mut self, relation: &pg::RangeVar, access: Access) {
        self.lineage.stands_for(relation, access);
        let schema = Some(relation.schemaname.as_str()).filter(|name| !name.is_empty());
        if access != Access::Read || !self.is_with_query(relation) {
            self.object(schema, &relation.relname, access);
        }
    }

    /// True if the name, where it is read from, is that of a `WITH` query.
    pub(super) fn is_with_query(&self, relation: &pg::RangeVar) -> bool {
        relation.schemaname.is_empty() && self.ctes.iter().any(|name| **name == *relation.relname)
    }

    /// The statement puts values somewhere that draw on this.
    pub(super) fn assigns(&mut self, draws: &Draws) {
        if self.running == Running::Runs {
            self.statement.assigned = self.statement.assigned.union(draws);
        }
    }

    /// All of the statement has been walked. Code that does not show may store anything.
    pub(super) fn settle_assigned(&mut self) {
        if self.statement.code == Code::Unnamed {
            self.statement.assigned = Draws::Anything;
        }
    }

    pub(super) fn object(&mut self, schema: Option<&str>, name: &str, access: Access) {
        let access = match self.running {
            Running::Runs => access,
            Running::Planned => Access::Read,
        };
        if catalogue::is_sensitive(name) {
            self.statement.flags |= Flags::CATALOG_SENSITIVE;
        }
        if access == Access::Write && catalogue::is_system(schema, name) {
            self.statement.effects |= Effects::SERVER_ADMIN;
        }
        let relations = &mut self.statement.relations;
        let known = relations.len() < DISTINCT_NAMES_CHECKED
            && relations.iter().any(|relation| {
                relation.access == access
                    && *relation.name == *name
                    && relation.schema.as_deref() == schema
            });
        if !known {
            relations.push(Relation { schema: schema.map(Box::from), name: name.into(), access });
        }
    }

    /// A function that is called, or made to be called.
    pub(super) fn function(&mut self, name: &[pg::Node]) {
        let (schema, Some(name)) = qualified(name) else { return };
        self.calls(schema, name, functions::origin(schema, name));
    }

    /// A procedure that is called. The server has none of its own.
    pub(super) fn procedure(&mut self, name: &[pg::Node]) {
        let (schema, Some(name)) = qualified(name) else { return };
        self.calls(schema, name, Origin::Elsewhere);
    }

    /// A bare name that is a function's, or may be.
    pub(super) fn function_named(&mut self, name: &str) {
        self.calls(None, name, functions::origin(None, name));
    }

    /// A bare name that may be a function's or a column's. One that the server itself has no
    /// function for is taken for a column.
    pub(super) fn function_perhaps(&mut self, name: &str) {
        let origin = functions::origin(None, name);
        if origin != Origin::Elsewhere {
            self.calls(None, name, origin);
        }
    }

    pub(super) fn call(&mut self, call: &pg::FuncCall) {
        let selected = self.selected_setting.take();
        self.function(&call.funcname);
        if qualified(&call.funcname).1 == Some("set_config") {
            self.set_config(call.args.first(), selected);
        }
    }

    fn calls(&mut self, schema: Option<&str>, name: &str, origin: Origin) {
        let meaning = functions::meaning(name);
        self.statement.effects |= meaning.effects;
        self.statement.flags |= meaning.flags;
        if functions::shows_others(name) {
            self.statement.flags |= Flags::CATALOG_SENSITIVE;
        }
        if origin == Origin::Elsewhere {
            self.statement.effects |= Effects::CODE_EXEC;
        }
        if origin == Origin::Elsewhere || functions::reaches(name) {
            self.draws_anything();
        }
        let function = Function {
            schema: schema.map(Box::from),
            name: name.into(),
            origin,
            body: meaning.body,
        };
        let functions = &mut self.statement.functions;
        if functions.len() >= DISTINCT_NAMES_CHECKED || !functions.contains(&function) {
            functions.push(function);
        }
    }
}

/// The last two parts of a dotted name; a database before them is the one that we are in.
pub(super) fn qualified(parts: &[pg::Node]) -> (Option<&str>, Option<&str>) {
    match parts {
        [] => (None, None),
        [name] => (None, text(name)),
        [.., schema, name] => (text(schema), text(name)),
    }
}

/// The text of a name's part.
pub(super) fn text(node: &pg::Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        Some(_) | None => None,
    }
}

fn cte_name(node: &pg::Node) -> Option<Box<str>> {
    match &node.node {
        Some(NodeEnum::CommonTableExpr(cte)) => Some(cte.ctename.as_str().into()),
        Some(_) | None => None,
    }
}
