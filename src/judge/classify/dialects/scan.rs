//! Finds a text's statements and says what each does, by its words alone. This is the authority:
//! what it sees is never taken back, and where it is not sure it says so.
//!
//! Two things are asked of every statement: what its first words promise, and which telling words
//! stand anywhere in it. Where the second is more than the first, the statement is in doubt.

use std::ops::Range;

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::calls;
use crate::judge::classify::dialects::clauses::{self, Mention, Mentions};
use crate::judge::classify::dialects::extent::{end, lead, opening};
use crate::judge::classify::dialects::lex::{Cut, Kind, loose_words};
use crate::judge::classify::dialects::settings;
use crate::judge::classify::dialects::view::{Name, View};
use crate::judge::classify::dialects::words::{self, Definition, Family, Opening};
use crate::limits::DISTINCT_NAMES_CHECKED;
use crate::model::facts::{Access, Code, Effects, Flags, Relation, Statement, Unknown};

/// A statement as the words tell it.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) statement: Statement,
    pub(super) doubt: Option<Unknown>,
}

pub(super) fn statements(view: &View) -> Vec<Scanned> {
    let mut statements = Vec::new();
    let mut start = 0;
    while start < view.tokens.len() {
        if view.is_mark(start, b';') {
            start += 1;
            continue;
        }
        let scan = Scan::new(view, start);
        let end = scan.range.end;
        statements.push(scan.read());
        start = end;
    }
    statements
}

struct Scan<'v, 't> {
    view: &'v View<'t>,
    range: Range<usize>,
    /// The first word of consequence: behind parentheses, and behind a `WITH`.
    lead: usize,
    opening: Option<Opening>,
    statement: Statement,
    doubt: Option<Unknown>,
    /// Planned, not run.
    planned: bool,
}

impl<'v, 't> Scan<'v, 't> {
    fn new(view: &'v View<'t>, start: usize) -> Self {
        let lead = lead(view, start);
        let opening = opening(view, lead);
        let routine = opening.is_some_and(|opening| opening.family == Family::Routine);
        let end = if routine { view.tokens.len() } else { end(view, start, lead, opening) };
        Self {
            view,
            range: start..end,
            lead,
            opening,
            statement: Statement::default(),
            doubt: None,
            planned: false,
        }
    }

    fn read(mut self) -> Scanned {
        let Some(opening) = self.opening else {
            self.unlisted();
            return self.finish();
        };
        self.statement.verb = opening.verb;
        let mut family = opening.family;
        match family {
            Family::Explain => family = self.explain(opening),
            Family::Routine => self.routine(opening),
            Family::Control => {
                self.has(opening.effects);
                self.doubts(Unknown::UnlistedStatement);
            }
            Family::Query
            | Family::Insert
            | Family::Update
            | Family::Delete
            | Family::Merge
            | Family::Truncate
            | Family::Rename
            | Family::Relation(_)
            | Family::OnRelation
            | Family::Rights
            | Family::Set
            | Family::Plain => self.has(opening.effects),
            Family::Execute => {
                self.has(opening.effects);
                calls::execute(self.view, self.lead, self.range.end, &mut self.statement);
            }
        }
        if matches!(opening.verb, "DROP DATABASE" | "DROP SCHEMA") {
            self.whole_schema();
        }
        if self.range.clone().any(|at| self.view.is_mark(at, b';')) {
            self.doubts(Unknown::Disputed);
        }
        self.relations(family);
        self.clauses(family);
        self.sweep(family);
        settings::read(self.view, self.range.clone(), self.lead, opening, &mut self.statement);
        self.finish()
    }

    /// Every statement that can be called by nothing but its name.
    fn unlisted(&mut self) {
        self.doubts(Unknown::UnlistedStatement);
        self.statement.verb = "UNLISTED";
        if self.view.dialect == Dialect::TSql {
            // The first statement of a batch may be the name of a procedure.
            self.has(Effects::CODE_EXEC);
            let found = calls::procedure(self.view, self.lead, self.range.end, &mut self.statement);
            self.statement.code = if found { self.statement.code } else { Code::Unnamed };
        }
    }

    fn finish(mut self) -> Scanned {
        if self.opening.is_none() {
            self.sweep(Family::Control);
            calls::read(self.view, self.range.clone(), &[], &mut self.statement);
        }
        Scanned { statement: self.statement, doubt: self.doubt }
    }

    /// What `EXPLAIN` explains, and whether it runs it.
    fn explain(&mut self, opening: Opening) -> Family {
        let runs = opening.verb == "ANALYZE"
            || (self.lead + 1..self.range.end)
                .take(EXPLAIN_WORDS)
                .any(|at| self.view.is(at, "ANALYZE"));
        self.has(opening.effects | Effects::EXPLAIN | Effects::READ);
        let begins = (self.lead + 1..self.range.end)
            .take(EXPLAIN_WORDS)
            .find(|at| self.view.is_any(*at, EXPLAINED) && !self.view.is_qualified(*at));
        let Some(begins) = begins else {
            // `DESCRIBE t`, `EXPLAIN FOR CONNECTION 7`
            if let Some(name) = self.view.name(self.lead + 1, self.range.end) {
                self.relation(&name, Access::Read);
            }
            return Family::Plain;
        };
        self.planned = !runs;
        self.lead = lead(self.view, begins);
        match self::opening(self.view, self.lead) {
            Some(inner) => {
                if runs {
                    self.has(inner.effects);
                }
                inner.family
            }
            None => {
                self.doubts(Unknown::UnlistedStatement);
                Family::Plain
            }
        }
    }

    /// Code for later. All of its words count, for it may be run at once by what it hangs on.
    fn routine(&mut self, opening: Opening) {
        self.has(opening.effects);
        self.statement.code = Code::Unnamed;
        for at in self.range.clone().skip(1) {
            if self.view.kind(at) == Some(Kind::Word) {
                let word = self.view.written(at).as_bytes();
                self.statement.effects |= words::loosely_telling(self.view.dialect, word);
            }
        }
    }

    /// All that is in a schema goes with it.
    fn whole_schema(&mut self) {
        let words = ["DATABASE", "SCHEMA", "IF", "EXISTS"];
        let names = (self.lead + 1..self.range.end).find(|at| !self.view.is_any(*at, &words));
        let mut at = names.unwrap_or(self.range.end);
        while let Some(mut name) = self.view.name(at, self.range.end) {
            at = name.end + 1;
            name.parts.push("*".to_owned());
            self.relation(&name, Access::Define);
        }
    }

    fn relations(&mut self, family: Family) {
        let Mentions { found, target_missing, not_calls } =
            clauses::mentions(self.view, self.range.clone(), self.lead, family);
        if target_missing {
            self.doubts(Unknown::Disputed);
        }
        for Mention { name, access, at, .. } in &found {
            let in_call = self.view.is_mark(name.end, b'(') && *access == Access::Read;
            if !(in_call && calls::is_servers(self.view, *at, name)) {
                self.relation(name, *access);
                let refers = self.view.follows(*at, &["REFERENCES"]);
                if in_call && !refers && self.view.dialect == Dialect::TSql {
                    self.has(Effects::CODE_EXEC);
                }
            }
        }
        calls::read(self.view, self.range.clone(), &not_calls, &mut self.statement);
    }

    /// Telling words, wherever they stand.
    fn sweep(&mut self, family: Family) {
        let promised = self.statement.effects;
        let mut seen = Effects::NONE;
        for at in self.range.clone() {
            if self.view.kind(at) != Some(Kind::Word) || self.is_harmless(at, family) {
                continue;
            }
            let word = self.view.written(at);
            let told =
                words::telling(self.view.dialect, |listed| word.eq_ignore_ascii_case(listed));
            if family == Family::Merge && at > self.lead {
                // What it does is said behind `THEN`.
                self.statement.effects |= told;
            }
            let behind_with = at < self.lead && self.view.is(self.range.start, "WITH");
            if behind_with && told.intersects(WRITES) {
                self.statement.flags |= Flags::CTE_WRITE;
            }
            seen |= told;
        }
        if self.planned {
            return;
        }
        let mut allowed = promised | self.statement.effects | Effects::READ;
        if family == Family::Relation(Definition::Alter) {
            allowed |= Effects::DDL_DROP;
        }
        if !allowed.contains(seen) {
            self.doubts(Unknown::Disputed);
            if seen.without(allowed).intersects(WRITES) {
                self.writes_all();
            }
            if seen.without(allowed).contains(Effects::CODE_EXEC) {
                self.statement.code = Code::Unnamed;
            }
        }
        self.statement.effects |= seen;
    }

    /// True where a telling word tells nothing: it is a part of a name, a function, a right, a
    /// clause of a definition.
    fn is_harmless(&self, at: usize, family: Family) -> bool {
        let view = self.view;
        if at == self.lead && self.opening.is_some() {
            return true;
        }
        // T-SQL has no reserved words in names, points or not.
        if view.is_qualified(at) && view.dialect != Dialect::TSql {
            return true;
        }
        let lead = at == self.range.start;
        if !lead
            && view.is_mark(at + 1, b'(')
            && view.dialect != Dialect::TSql
            && view.is_any(at, &["INSERT", "REPLACE", "TRUNCATE"])
            && !view.follows(at, &["EXPLAIN", "DESCRIBE", "DESC", "ANALYZE"])
        {
            return true;
        }
        if matches!(family, Family::Query | Family::Insert) && view.is(at, "UPDATE") {
            // `FOR UPDATE`, `ON DUPLICATE KEY UPDATE`, `DO UPDATE`: clauses.
            return view.follows(at, &["FOR", "KEY", "DO"]);
        }
        match family {
            Family::Rights => {
                let rights = self.range.clone().find(|at| view.is_any(*at, &["TO", "FROM"]));
                rights.is_some_and(|end| at < end)
            }
            Family::Relation(_) | Family::OnRelation => {
                let action = view.follows(at, &["ON"]) && view.is_any(at, &["DELETE", "UPDATE"]);
                let replaces = view.follows(at, &["OR"]) && view.is_any(at, &["REPLACE", "ALTER"]);
                action || replaces
            }
            Family::Plain => {
                // `SHOW CREATE TABLE t`
                view.is(self.lead, "SHOW") && view.is_any(at, &["CREATE", "GRANTS"])
            }
            Family::Insert => view.follows(at, &["OR"]) && view.is(at, "REPLACE"),
            // The value of a `PRAGMA` is a word.
            Family::Set => view.dialect == Dialect::Sqlite,
            Family::Query
            | Family::Update
            | Family::Delete
            | Family::Merge
            | Family::Truncate
            | Family::Rename
            | Family::Routine
            | Family::Explain
            | Family::Execute
            | Family::Control => false,
        }
    }

    /// Clauses that add to what a statement of a family does.
    fn clauses(&mut self, family: Family) {
        let is = |at: usize, word: &str| self.view.is(at, word);
        let mut effects = Effects::NONE;
        let mut flags = Flags::NONE;
        let mut into = None;
        for at in self.range.clone() {
            let Some(Kind::Word) = self.view.kind(at) else { continue };
            if self.view.is_qualified(at) {
                continue;
            }
            let locks = is(at, "FOR") && self.view.is_any(at + 1, &["UPDATE", "SHARE"]);
            if locks || (is(at, "LOCK") && is(at + 1, "IN")) {
                effects |= Effects::LOCK;
            }
            if self.view.is_any(at, &["RETURNING", "OUTPUT"]) {
                flags |= Flags::RETURNING;
            }
            if is(at, "NEXT") && is(at + 1, "VALUE") {
                effects |= Effects::INSERT;
            }
            if family == Family::Insert {
                if is(at, "UPDATE") && self.view.follows(at, &["KEY", "DO"]) && !self.planned {
                    effects |= Effects::UPDATE;
                }
                // What stood there before is deleted.
                if is(at, "REPLACE") && !self.view.is_mark(at + 1, b'(') && !self.planned {
                    effects |= Effects::DELETE;
                }
            }
            let follows_output = || (self.lead..at).any(|before| is(before, "OUTPUT"));
            if is(at, "INTO") && self.view.dialect == Dialect::TSql && follows_output() {
                effects |= Effects::INSERT;
            }
            if matches!(family, Family::Relation(_)) {
                effects |= settings::storage(self.view, at);
            }
            if is(at, "VIRTUAL") && matches!(family, Family::Relation(_)) {
                effects |= Effects::CODE_EXEC;
                self.statement.code = Code::Unnamed;
            }
            if is(at, "INTO") && family == Family::Query {
                into = Some(at + 1);
            }
            if is(at, "PARTITION") && self.view.follows(at, &["DROP", "TRUNCATE"]) {
                effects |= Effects::DELETE;
            }
        }
        if matches!(family, Family::Relation(Definition::Create))
            && self.range.clone().any(|at| is(at, "SELECT"))
            && self.statement.verb == "CREATE TABLE"
        {
            flags |= Flags::INTO_TABLE;
        }
        if let Some(at) = into {
            self.select_into(at);
        }
        if matches!(family, Family::Update | Family::Delete) && !self.planned {
            let depth = self.view.depth(self.lead);
            let limits = |at: usize| is(at, "WHERE") && self.view.depth(at) == depth;
            if !(self.lead..self.range.end).any(limits) {
                flags |= Flags::NO_WHERE;
            }
        }
        let assigns = |at: usize| self.view.is_mark(at, b':') && self.view.is_mark(at + 1, b'=');
        if self.range.clone().any(assigns) {
            effects |= Effects::SESSION_SET;
        }
        self.statement.effects |= effects;
        self.statement.flags |= flags;
    }

    /// `SELECT ... INTO`: a table, a file or variables.
    fn select_into(&mut self, at: usize) {
        if self.view.is_any(at, &["OUTFILE", "DUMPFILE"]) {
            self.has(Effects::FILE_WRITE);
        } else if self.view.kind(at) == Some(Kind::Variable) {
            self.has(Effects::SESSION_SET);
        } else if let Some(name) = self.view.name(at, self.range.end) {
            self.has(Effects::DDL_CREATE | Effects::INSERT);
            self.statement.flags |= Flags::INTO_TABLE;
            self.relation(&name, Access::Define);
        } else {
            self.doubts(Unknown::Disputed);
        }
    }

    fn relation(&mut self, name: &Name, access: Access) {
        let access = if self.planned { Access::Read } else { access };
        if access == Access::Read {
            self.statement.effects |= Effects::READ;
        }
        let (dialect, statement) = (self.view.dialect, &mut self.statement);
        if settings::is_sensitive(dialect, name) {
            statement.flags |= Flags::CATALOG_SENSITIVE;
        }
        if access != Access::Read && settings::is_system(dialect, name) {
            statement.effects |= Effects::SERVER_ADMIN;
        }
        if dialect == Dialect::TSql && name.parts.len() > 3 {
            statement.effects |= Effects::NETWORK;
        }
        for relation in spellings(dialect, name, access) {
            let relations = &mut statement.relations;
            if relations.len() >= DISTINCT_NAMES_CHECKED || !relations.contains(&relation) {
                relations.push(relation);
            }
        }
    }

    /// Something is written, and it is not told what: it may be any of what is named.
    fn writes_all(&mut self) {
        let relations = &mut self.statement.relations;
        let named = relations.len();
        relations.extend_from_within(..);
        for relation in relations.iter_mut().skip(named) {
            relation.access = Access::Write;
        }
    }

    fn has(&mut self, effects: Effects) {
        self.statement.effects |= effects;
    }

    fn doubts(&mut self, why: Unknown) {
        self.doubt = self.doubt.or(Some(why));
    }
}

/// A relation by each name that a rule may know it by: as it is written and in lower case, for it
/// is the server's setting which of the two counts; with its database and without.
pub(super) fn spellings(dialect: Dialect, name: &Name, access: Access) -> Vec<Relation> {
    let parts: Vec<&str> = name.parts.iter().map(String::as_str).collect();
    let Some((last, before)) = parts.split_last() else { return Vec::new() };
    let mut schemas: Vec<Option<String>> = Vec::new();
    match before {
        [] => schemas.push(None),
        [schema] => schemas.push(Some((*schema).to_owned())),
        [.., schema] => {
            schemas.push(Some((*schema).to_owned()).filter(|schema| !schema.is_empty()));
            schemas.push(Some(before.join(".")));
        }
    }
    let mut found = Vec::new();
    for schema in schemas {
        let lower = Relation {
            schema: schema.as_deref().map(|schema| schema.to_lowercase().into()),
            name: last.to_lowercase().into(),
            access,
        };
        let written = Relation { schema: schema.map(Into::into), name: (*last).into(), access };
        if written != lower && dialect != Dialect::Sqlite {
            found.push(written);
        }
        found.push(lower);
    }
    found
}

/// What any word of `text` does at the beginning of a statement, for texts that cannot be cut.
pub(super) fn loose_effects(dialect: Dialect, text: &[u8]) -> Effects {
    loose_words(text)
        .map(|word| words::loosely_telling(dialect, word))
        .fold(Effects::NONE, Effects::union)
}

/// What the lexer saw beside tokens.
pub(super) fn marks(cut: &Cut) -> (Effects, Flags) {
    let effects = if cut.hint_sets { Effects::SESSION_SET } else { Effects::NONE };
    let flags = if cut.non_ascii_name { Flags::NON_ASCII_IDENTIFIER } else { Flags::NONE };
    (effects, flags)
}

const WRITES: Effects = Effects::INSERT
    .union(Effects::UPDATE)
    .union(Effects::DELETE)
    .union(Effects::TRUNCATE)
    .union(Effects::DDL_CREATE)
    .union(Effects::DDL_ALTER)
    .union(Effects::DDL_DROP);

/// So many words stand between `EXPLAIN` and what it explains.
const EXPLAIN_WORDS: usize = 8;
const EXPLAINED: &[&str] =
    &["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "TABLE", "VALUES", "MERGE"];
