//! Which relations a statement names, and what for: by the words before a name, not by a grammar.
//! Where it cannot tell, it names more than there is: an alias, or a `WITH` query's name.

use std::ops::Range;

use crate::judge::classify::dialects::Dialect;
use crate::judge::classify::dialects::lex::Kind;
use crate::judge::classify::dialects::view::{Name, View};
use crate::judge::classify::dialects::words::{Definition, Family};
use crate::model::facts::Access;

#[derive(Debug)]
pub(super) struct Mention {
    pub(super) name: Name,
    pub(super) at: usize,
    pub(super) access: Access,
    alias: Option<String>,
    /// In parentheses, how deep.
    depth: usize,
}

#[derive(Debug, Default)]
pub(super) struct Mentions {
    pub(super) found: Vec<Mention>,
    /// Where a statement that writes should name what it writes and does not.
    pub(super) target_missing: bool,
    /// Positions of names that have parentheses behind them without being calls.
    pub(super) not_calls: Vec<usize>,
}

/// The relations of the statement in `range`, whose first word of consequence is at `lead`.
pub(super) fn mentions(view: &View, range: Range<usize>, lead: usize, family: Family) -> Mentions {
    let mut reader = Reader { view, end: range.end, mentions: Mentions::default() };
    let ctes = reader.ctes(range.start, lead);
    let begin = reader.targets(lead, family);
    reader.outputs(lead);
    reader.sources(range.start, begin, family);
    reader.resolve(family, lead);
    reader.drop_ctes(&ctes);
    reader.mentions
}

struct Reader<'v, 't> {
    view: &'v View<'t>,
    end: usize,
    mentions: Mentions,
}

struct Cte {
    name: String,
    /// From here on the name means the query.
    visible: usize,
}

/// Of one pair of parentheses.
#[derive(Clone, Copy, Default)]
struct Level {
    /// A `FROM` here begins a list of relations: it is not a function's.
    query: bool,
    expects: bool,
    in_list: bool,
}

impl Reader<'_, '_> {
    /// The names that a `WITH` at the beginning gives to queries.
    fn ctes(&mut self, start: usize, lead: usize) -> Vec<Cte> {
        let mut ctes = Vec::new();
        if !self.view.is(start, "WITH") {
            return ctes;
        }
        let recursive = self.view.is(start + 1, "RECURSIVE");
        let mut at = start + 1 + usize::from(recursive);
        while at < lead {
            let Some(name) = self.view.name_part(at) else { break };
            self.mentions.not_calls.push(at);
            at += 1;
            if self.view.is_mark(at, b'(') {
                at = self.view.behind_parentheses(at, lead);
            }
            while at < lead && self.view.is_any(at, &["AS", "NOT", "MATERIALIZED"]) {
                at += 1;
            }
            let body = at;
            at = self.view.behind_parentheses(at, lead);
            let itself = recursive || self.view.dialect == Dialect::TSql;
            ctes.push(Cte { name, visible: if itself { body } else { at } });
            if !self.view.is_mark(at, b',') {
                break;
            }
            at += 1;
        }
        ctes
    }

    /// What the statement changes, where its words say so first. Gives where the rest begins.
    fn targets(&mut self, lead: usize, family: Family) -> usize {
        let at = lead + 1;
        match family {
            Family::Insert => self.insert_target(at),
            Family::Update => self.update_targets(at),
            Family::Delete => self.delete_targets(at),
            Family::Merge => {
                let at = self.skip(at, &["TOP", "INTO"]);
                self.one(at, Access::Write)
            }
            Family::Truncate => {
                let at = self.skip(at, &["TABLE"]);
                self.list(at, Access::Write, &[])
            }
            Family::Rename => {
                let at = self.skip(at, &["TABLE", "TABLES", "IF", "EXISTS"]);
                self.list(at, Access::Define, &["TO", "WAIT", "NOWAIT"])
            }
            Family::Relation(Definition::Drop) => {
                let at = self.skip_to_object(at);
                self.list(at, Access::Define, &[])
            }
            Family::Relation(Definition::Create | Definition::Alter) => {
                let at = self.skip_to_object(at);
                let end = self.one(at, Access::Define);
                self.renamed(end);
                end
            }
            Family::OnRelation => {
                let from = at;
                let on = (from..self.end).find(|at| self.view.is(*at, "ON"));
                match on {
                    Some(on) => self.one(on + 1, Access::Define),
                    None => {
                        self.mentions.target_missing = true;
                        from
                    }
                }
            }
            Family::Query
            | Family::Routine
            | Family::Explain
            | Family::Rights
            | Family::Execute
            | Family::Set
            | Family::Plain
            | Family::Control => lead,
        }
    }

    fn insert_target(&mut self, at: usize) -> usize {
        // `LOAD DATA INFILE 'x' INTO TABLE t`
        if self.view.is_any(at - 1, &["LOAD"]) {
            let into = (at..self.end).find(|at| self.view.is(*at, "INTO"));
            let at = into.map_or(self.end, |into| self.skip(into + 1, &["TABLE"]));
            return self.one(at, Access::Write);
        }
        let words = [
            "LOW_PRIORITY",
            "DELAYED",
            "HIGH_PRIORITY",
            "IGNORE",
            "OR",
            "REPLACE",
            "ROLLBACK",
            "ABORT",
            "FAIL",
            "TOP",
            "INSERT",
            "INTO",
        ];
        let at = self.skip(at, &words);
        self.one(at, Access::Write)
    }

    fn update_targets(&mut self, at: usize) -> usize {
        let words = ["LOW_PRIORITY", "IGNORE", "OR", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "TOP"];
        let at = self.skip(at, &words);
        if self.view.dialect == Dialect::MySql {
            // Any of the list may be changed; which ones, the names of columns decide.
            let depth = self.view.depth(at);
            let set = (at..self.end)
                .find(|at| self.view.is(*at, "SET") && self.view.depth(*at) == depth)
                .unwrap_or(self.end);
            self.walk(at, set, Level { query: true, expects: true, in_list: true });
            for mention in &mut self.mentions.found {
                mention.access = Access::Write;
            }
            self.mentions.target_missing |= self.mentions.found.is_empty();
            return set;
        }
        self.one(at, Access::Write)
    }

    fn delete_targets(&mut self, at: usize) -> usize {
        let at = self.skip(at, &["LOW_PRIORITY", "QUICK", "IGNORE", "TOP"]);
        let explicit = self.view.is(at, "FROM");
        let end = self.list(at + usize::from(explicit), Access::Write, &[]);
        if explicit && self.view.is(end, "FROM") && self.view.dialect != Dialect::TSql {
            self.mentions.target_missing = true;
        }
        end
    }

    /// Over words of `skipped`, and a number in parentheses behind `TOP`.
    fn skip(&self, at: usize, skipped: &[&str]) -> usize {
        let mut at = at;
        while at < self.end && self.view.is_any(at, skipped) {
            let top = self.view.is(at, "TOP");
            // A table may be called by a word that is not reserved.
            if self.view.is_mark(at + 1, b'.') {
                break;
            }
            at += 1;
            if top && self.view.is_mark(at, b'(') {
                at = self.view.behind_parentheses(at, self.end);
                if self.view.is(at, "PERCENT") {
                    at += 1;
                }
            } else if top {
                at += 1;
            }
        }
        at
    }

    /// Behind `CREATE OR REPLACE TEMPORARY TABLE IF NOT EXISTS`.
    fn skip_to_object(&self, at: usize) -> usize {
        let kinds = ["TABLE", "TABLES", "VIEW", "SEQUENCE", "SYNONYM", "INDEX"];
        let kind = (at..self.end).find(|at| self.view.is_any(*at, &kinds));
        let mut at = kind.map_or(self.end, |kind| kind + 1);
        while self.view.is_any(at, &["IF", "NOT", "EXISTS", "ONLY"])
            && !self.view.is_mark(at + 1, b'.')
        {
            at += 1;
        }
        at
    }

    /// `ALTER TABLE t RENAME TO u`
    fn renamed(&mut self, from: usize) {
        let Some(at) = (from..self.end).find(|at| self.view.is(*at, "RENAME")) else { return };
        if self.view.is_any(at + 1, &["TO", "AS"]) {
            self.one(at + 2, Access::Define);
        }
    }

    fn one(&mut self, at: usize, access: Access) -> usize {
        let Some(name) = self.view.name(at, self.end) else {
            self.mentions.target_missing = true;
            return at;
        };
        let end = name.end;
        self.mentions.not_calls.push(end - 1);
        let depth = self.view.depth(at);
        self.mentions.found.push(Mention { name, at, access, alias: None, depth });
        end
    }

    /// Names with commas between them, or with one of `separators`.
    fn list(&mut self, at: usize, access: Access, separators: &[&str]) -> usize {
        let mut at = at;
        loop {
            at = self.one(at, access);
            while self.view.is_any(at, &["WAIT", "NOWAIT"]) && !separators.is_empty() {
                at += 2;
            }
            let separated = self.view.is_mark(at, b',') || self.view.is_any(at, separators);
            if !separated || at >= self.end || self.mentions.target_missing {
                return at;
            }
            at += 1;
        }
    }

    /// `OUTPUT ... INTO t` writes to yet another relation.
    fn outputs(&mut self, lead: usize) {
        if self.view.dialect != Dialect::TSql {
            return;
        }
        let mut output = false;
        for at in lead..self.end {
            output |= self.view.is(at, "OUTPUT");
            if output && self.view.is(at, "INTO") {
                self.one(at + 1, Access::Write);
                output = false;
            }
        }
    }

    /// What the statement reads: in the queries before its first word of consequence, and behind
    /// what it changes.
    fn sources(&mut self, start: usize, begin: usize, family: Family) {
        let query = match family {
            Family::Query | Family::Update | Family::Delete | Family::Merge => true,
            Family::Insert
            | Family::Truncate
            | Family::Rename
            | Family::Relation(_)
            | Family::OnRelation
            | Family::Routine
            | Family::Explain
            | Family::Rights
            | Family::Execute
            | Family::Set
            | Family::Plain
            | Family::Control => false,
        };
        if self.view.is(start, "WITH") {
            let before: Vec<usize> = self.mentions.found.iter().map(|found| found.at).collect();
            let stop = before.into_iter().min().unwrap_or(begin).max(start);
            self.walk(start, stop.min(begin.max(start)), Level { query, ..Level::default() });
        }
        self.walk(begin, self.end, Level { query, ..Level::default() });
    }

    /// Gathers relations behind `FROM`, `JOIN` and their like.
    fn walk(&mut self, from: usize, to: usize, first: Level) {
        let mut outer = Vec::new();
        let mut level = first;
        let mut at = from;
        while at < to {
            if self.view.is_mark(at, b'(') {
                outer.push(level);
                // `FROM (a JOIN b)`, `FROM ((a))`
                level = Level { query: false, expects: level.expects, in_list: level.expects };
                at += 1;
                continue;
            }
            if self.view.is_mark(at, b')') {
                level = outer.pop().unwrap_or(first);
                level.expects = false;
                at += 1;
                continue;
            }
            if level.expects && self.view.name_part(at).is_some() && !self.is_clause(at) {
                at = self.source(at);
                level.expects = false;
                continue;
            }
            if level.in_list && self.view.is_mark(at, b',') {
                level.expects = true;
            } else {
                self.clause(at, &mut level);
            }
            at += 1;
        }
    }

    /// A word that ends what came before it, or begins a list of relations.
    fn clause(&self, at: usize, level: &mut Level) {
        if self.view.kind(at) != Some(Kind::Word) || self.view.is_qualified(at) {
            return;
        }
        let is = |words: &[&str]| self.view.is_any(at, words);
        if is(&["SELECT"]) {
            *level = Level { query: true, ..Level::default() };
        } else if (is(&["FROM"]) && level.query && !self.view.follows(at, &["DISTINCT"]))
            || is(&["JOIN", "STRAIGHT_JOIN", "APPLY"])
            || (is(&["USING"]) && !self.view.is_mark(at + 1, b'(') && level.query)
            || (is(&["TABLE"]) && self.view.dialect == Dialect::MySql)
            || (is(&["REFERENCES"]) && !level.query)
        {
            level.expects = true;
            level.in_list = true;
        } else if is(&["IN"]) && self.view.dialect == Dialect::Sqlite {
            // `x IN t`
            level.expects = true;
        } else if is(BEHIND_LISTS) {
            level.in_list = false;
            level.expects = false;
        }
    }

    fn is_clause(&self, at: usize) -> bool {
        self.view.is_any(
            at,
            &[
                "SELECT", "WITH", "VALUES", "LATERAL", "TABLE", "ONLY", "NULL", "FROM", "INSERT",
                "UPDATE", "DELETE", "MERGE",
            ],
        ) && !self.view.is_mark(at + 1, b'.')
    }

    fn source(&mut self, at: usize) -> usize {
        let Some(name) = self.view.name(at, self.end) else { return at + 1 };
        let end = name.end;
        let mut behind = end;
        if self.view.is(behind, "AS") {
            behind += 1;
        }
        let alias = self.view.name_part(behind).filter(|_| behind < self.end);
        if self.view.is_mark(behind + 1, b'(') && behind > end {
            self.mentions.not_calls.push(behind);
        }
        let depth = self.view.depth(at);
        self.mentions.found.push(Mention { name, at, access: Access::Read, alias, depth });
        end
    }

    /// In T-SQL and in MySQL what is deleted from or updated may be named by its alias.
    fn resolve(&mut self, family: Family, lead: usize) {
        let by_alias = match self.view.dialect {
            Dialect::TSql => matches!(family, Family::Update | Family::Delete),
            Dialect::MySql => family == Family::Delete,
            Dialect::Sqlite => false,
        };
        let depth = self.view.depth(lead);
        let behind = self.mentions.found.iter().filter(|found| found.access == Access::Write);
        let behind = behind.map(|found| found.name.end).max().unwrap_or(lead);
        let lists =
            |at: usize| self.view.is_any(at, &["FROM", "USING"]) && self.view.depth(at) == depth;
        if !by_alias || !(behind..self.end).any(lists) {
            return;
        }
        let is_target =
            |found: &&Mention| found.access == Access::Write && found.name.parts.len() == 1;
        let targets = self.mentions.found.iter().filter(is_target);
        let targets: Vec<String> = targets.map(|found| found.name.last().to_owned()).collect();
        for target in &targets {
            self.resolve_one(target, depth);
        }
    }

    /// `target` is an alias from the list, a relation in it, or the name of a query.
    fn resolve_one(&mut self, target: &str, depth: usize) {
        let is_alias = |found: &Mention| {
            found.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(target))
        };
        let found = &mut self.mentions.found;
        if found.iter().any(&is_alias) {
            for found in found.iter_mut().filter(|found| is_alias(found)) {
                found.access = Access::Write;
            }
            found.retain(|found| {
                is_alias(found) || found.access != Access::Write || !found.name.is_one(target)
            });
            return;
        }
        let is_named = |found: &Mention| {
            found.depth == depth
                && found.access == Access::Read
                && found.name.last().eq_ignore_ascii_case(target)
        };
        let named = found.iter().any(is_named);
        // An alias of a query in parentheses, or a `WITH` query: any of what is read may be it.
        for found in found.iter_mut().filter(|found| !named || is_named(found)) {
            found.access = Access::Write;
        }
    }

    /// A name that a `WITH` gave means its query. What is written through it is what it reads.
    fn drop_ctes(&mut self, ctes: &[Cte]) {
        let is_cte = |found: &Mention| {
            ctes.iter().any(|cte| found.name.is_one(&cte.name) && found.at >= cte.visible)
        };
        let writes_one =
            self.mentions.found.iter().any(|found| found.access == Access::Write && is_cte(found));
        if writes_one {
            for found in &mut self.mentions.found {
                found.access = Access::Write;
            }
        } else {
            self.mentions.found.retain(|found| !is_cte(found));
        }
    }
}

const BEHIND_LISTS: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "SET",
    "VALUES",
    "WINDOW",
    "RETURNING",
    "OUTPUT",
    "INTO",
    "WHEN",
    "PROCEDURE",
];
