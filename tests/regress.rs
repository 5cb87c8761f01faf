//! PostgreSQL's own regression statements against the classifier. What they change is read a second
//! time here, from the grammar's tree as JSON, by the names of its nodes and fields alone.
//!
//! The statements are not ours and not in the repository: `tests/support/setup.sh regress` fetches
//! them. Without them this fails, unless `NARROWS_OFFLINE` is set.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "not under cfg(test)")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use narrows::fuzzing;
use narrows::judge::Classifier;
use narrows::judge::classify::resolved;
use narrows::limits::CLASSIFIER_STACK_BYTES;
use narrows::model::command::{Language, Lexing};
use narrows::model::facts::{Access, Definition, Effects, Facts};
use pg_query::protobuf as pg;
use serde_json::Value;

/// Statements that were not understood, most of which the server is meant to refuse.
const INCOMPLETE_PER_10_000_MAX: usize = 110;
const STATEMENTS_MIN: usize = 40_000;

#[test]
fn the_servers_own_suite_is_read_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/.regress/sql");
    if !folder.is_dir() {
        assert!(
            std::env::var_os("NARROWS_OFFLINE").is_some(),
            "no {}: run `make setup`, or set NARROWS_OFFLINE where there is no network",
            folder.display()
        );
        // Not by the macro, whose words are kept back when a test passes.
        let loud = b"\n!!! tests/regress.rs CHECKED NOTHING: NARROWS_OFFLINE is set !!!\n\n";
        std::io::stderr().write_all(loud).unwrap();
        return;
    }
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    // One thread: two that ask the grammar at once, past the classifier, get in each other's way.
    let read = std::thread::Builder::new().stack_size(CLASSIFIER_STACK_BYTES).spawn(move || {
        let mut tally = Tally::default();
        for file in files {
            tally.file(&String::from_utf8_lossy(&fs::read(file).unwrap()));
        }
        tally
    });
    let tally = read.unwrap().join().unwrap();
    let incomplete: usize = tally.unknown.values().sum();
    println!("{} statements, {incomplete} not understood: {:?}", tally.statements, tally.unknown);
    let wrong = tally.wrong.len();
    let shown: Vec<String> = tally.wrong.into_iter().take(20).collect();
    assert!(wrong == 0, "{wrong} statements are read wrong:\n{}", shown.join("\n"));
    assert!(tally.statements >= STATEMENTS_MIN);
    assert!(incomplete * 10_000 <= tally.statements * INCOMPLETE_PER_10_000_MAX);
}

#[derive(Default)]
struct Tally {
    statements: usize,
    unknown: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    /// The statements of one file, in one session.
    fn file(&mut self, text: &str) {
        let mut classifier = Classifier::new();
        let mut prepared: BTreeMap<String, Arc<Facts>> = BTreeMap::new();
        let statements = statements(text);
        for text in &statements {
            self.statements += 1;
            let said = classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
            let facts = resolved(&said, |name| prepared.get(name).cloned());
            if let [Definition::Statement(name)] = said.definitions.as_slice() {
                prepared.insert(name.to_string(), Arc::clone(&said));
            }
            if let Some(why) = facts.unknown {
                *self.unknown.entry(why.reason()).or_default() += 1;
            }
            fuzzing::lex_diff(
                format!("{}{text}", char::from(self.statements as u8 & 63)).as_bytes(),
            );
            if let Ok(parsed) = pg_query::parse(text, 0)
                && let Some(wrong) = difference(&said, &parsed.protobuf)
            {
                self.wrong.push(format!("{text}\n    {wrong}"));
            }
        }
        for several in statements.chunks(5) {
            fuzzing::lex_diff(format!("!{}", several.join(" ;; -- ;\n")).as_bytes());
        }
    }
}

// ---- what a file of the suite sends -----------------------------------------------------------

/// The statements that `psql` would send of such a file.
fn statements(file: &str) -> Vec<String> {
    let text = without_commands(file);
    let Ok(scanned) = pg_query::scan(&text) else {
        return text.split_inclusive(";\n").map(str::to_owned).collect();
    };
    let mut statements = Vec::new();
    let (mut start, mut open, mut atomic) = (0, 0_usize, false);
    let mut before = String::new();
    for token in scanned.tokens {
        let (from, to) = (token.start as usize, token.end as usize);
        let word = text[from..to].to_ascii_lowercase();
        match word.as_str() {
            "(" => open += 1,
            ")" => open = open.saturating_sub(1),
            "atomic" if before == "begin" => atomic = true,
            // The body's own `END` is the one that nothing but the end of the statement follows.
            ";" if open == 0 && (!atomic || before == "end") => {
                statements.push(text[start..from].to_owned());
                start = to;
                atomic = false;
            }
            _ => {}
        }
        before = word;
    }
    statements.push(text[start..].to_owned());
    statements.retain(|text| {
        pg_query::scan(text)
            .is_ok_and(|scanned| scanned.tokens.iter().any(|token| token.keyword_kind != 0))
    });
    statements
}

/// `file` without the commands of `psql` and the rows of `COPY`, its variables replaced.
fn without_commands(file: &str) -> String {
    let mut text = String::new();
    let mut in_rows = false;
    for line in file.lines() {
        let lower = line.to_ascii_lowercase();
        if in_rows {
            in_rows = line != "\\.";
        } else if line.starts_with('\\') {
            text.push_str(if line.starts_with("\\g") || line.starts_with("\\cross") {
                ";\n"
            } else {
                "\n"
            });
        } else {
            in_rows = lower.contains("from stdin")
                && line.trim_end().ends_with(';')
                && !line.contains('\'');
            let command =
                ["\\g", "\\cross", "\\watch"].iter().filter_map(|name| line.find(name)).min();
            let line = match command {
                Some(at) => format!("{};", &line[..at]),
                None => line.replace("\\;", ";"),
            };
            text.push_str(&line.replace(":'", "'").replace(":\"", "\""));
            text.push('\n');
        }
    }
    text
}

// ---- the second reading -----------------------------------------------------------------------

/// What the statements change, as far as their trees say it without knowing any function.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    written: BTreeSet<String>,
    effects: Effects,
}

/// Effects that a tree shows by the names of its nodes.
const SHOWN: &[Effects] = &[
    Effects::INSERT,
    Effects::UPDATE,
    Effects::DELETE,
    Effects::TRUNCATE,
    Effects::DDL_CREATE,
    Effects::DDL_ALTER,
    Effects::DDL_DROP,
    Effects::GRANT,
    Effects::COPY_IN,
    Effects::COPY_OUT,
    Effects::TXN,
    Effects::EXPLAIN,
];

/// How the facts differ from the second reading.
fn difference(facts: &Facts, parsed: &pg::ParseResult) -> Option<String> {
    let mut expected = Changes::default();
    for statement in &parsed.stmts {
        expected.node(&serde_json::to_value(&statement.stmt).unwrap());
    }
    let relations = facts.statements.iter().flat_map(|statement| &statement.relations);
    let written: BTreeSet<String> = relations
        .filter(|relation| relation.access == Access::Write)
        .map(|relation| named(relation.schema.as_deref().unwrap_or_default(), &relation.name))
        .collect();
    let by_calls = facts.statements.iter().flat_map(|statement| &statement.functions);
    let may_come_of_calls = if by_calls.count() > 0 {
        Effects::INSERT | Effects::UPDATE | Effects::DELETE
    } else {
        Effects::NONE
    };
    let found = SHOWN.iter().filter(|effect| facts.effects.contains(**effect));
    let found = found.fold(Effects::NONE, |all, effect| all.union(*effect));
    let missing = expected.effects.without(found);
    let surplus = found.without(expected.effects).without(may_come_of_calls);
    let same = written == expected.written && missing.is_empty() && surplus.is_empty();
    (!same).then(|| format!("facts: {written:?} {found:?}; the tree: {expected:?}"))
}

fn named(schema: &str, name: &str) -> String {
    if schema.is_empty() { name.to_owned() } else { format!("{schema}.{name}") }
}

fn number(value: &Value, field: &str) -> Option<i32> {
    value[field].as_i64()?.try_into().ok()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

impl Changes {
    fn writes(&mut self, relation: &Value) {
        let relation =
            if relation["node"].is_null() { relation } else { &relation["node"]["RangeVar"] };
        self.written.insert(named(text(relation, "schemaname"), text(relation, "relname")));
    }

    /// Everything below `value`.
    fn node(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.node(item)),
            Value::Object(fields) => {
                if fields.get("into_clause").is_some_and(|into| !into.is_null()) {
                    self.effects |= Effects::DDL_CREATE;
                }
                for (name, inner) in fields {
                    let goes_on = !name.starts_with(char::is_uppercase) || self.kind(name, inner);
                    if goes_on {
                        self.node(inner);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What a node of this kind changes by itself. False if what is below it is not run.
    fn kind(&mut self, kind: &str, node: &Value) -> bool {
        let effects = match kind {
            "InsertStmt" => {
                self.writes(&node["relation"]);
                let conflict = node["on_conflict_clause"]["action"].as_i64();
                if conflict == Some(pg::OnConflictAction::OnconflictUpdate as i64) {
                    self.effects |= Effects::UPDATE;
                }
                Effects::INSERT
            }
            "UpdateStmt" => {
                self.writes(&node["relation"]);
                Effects::UPDATE
            }
            "DeleteStmt" => {
                self.writes(&node["relation"]);
                Effects::DELETE
            }
            "MergeStmt" => {
                self.writes(&node["relation"]);
                Effects::NONE
            }
            "MergeWhenClause" => match number(node, "command_type").and_then(|n| n.try_into().ok())
            {
                Some(pg::CmdType::CmdUpdate) => Effects::UPDATE,
                Some(pg::CmdType::CmdInsert) => Effects::INSERT,
                Some(pg::CmdType::CmdDelete) => Effects::DELETE,
                Some(_) | None => Effects::NONE,
            },
            "AlterTableCmd" => {
                let subtype = number(node, "subtype").and_then(|n| n.try_into().ok());
                let name = subtype.map_or("", |subtype: pg::AlterTableType| subtype.as_str_name());
                if name == "AT_DropColumn" {
                    Effects::DDL_DROP
                } else if name == "AT_ChangeOwner" || name.contains("RowSecurity") {
                    Effects::GRANT
                } else {
                    Effects::NONE
                }
            }
            "VariableSetStmt"
                if TRANSACTION.iter().any(|name| text(node, "name").starts_with(name)) =>
            {
                Effects::TXN
            }
            "ImportForeignSchemaStmt" => Effects::DDL_CREATE,
            "ReassignOwnedStmt" => Effects::DDL_ALTER | Effects::GRANT,
            "TruncateStmt" => {
                node["relations"].as_array().unwrap().iter().for_each(|one| self.writes(one));
                Effects::TRUNCATE
            }
            "RefreshMatViewStmt" => {
                self.writes(&node["relation"]);
                Effects::UPDATE
            }
            "CopyStmt" if node["is_from"] == true => {
                self.writes(&node["relation"]);
                Effects::COPY_IN | Effects::INSERT
            }
            "CopyStmt" => Effects::COPY_OUT,
            "ExplainStmt" => {
                self.effects |= Effects::EXPLAIN;
                return node["options"].to_string().contains("\"analyze\"");
            }
            "TransactionStmt" | "ConstraintsSetStmt" => Effects::TXN,
            _ => by_name(kind),
        };
        // Who may do what hangs on these as well.
        let policy = number(node, "remove_type") == Some(pg::ObjectType::ObjectPolicy as i32);
        if policy || GUARDS.contains(&kind) {
            self.effects |= Effects::GRANT;
        }
        self.effects |= effects;
        true
    }
}

/// What `SET` of several settings at once calls them.
const TRANSACTION: &[&str] = &["TRANSACTION", "SESSION CHARACTERISTICS"];
const GUARDS: &[&str] = &[
    "CreatePolicyStmt",
    "AlterPolicyStmt",
    "AlterOwnerStmt",
    "AlterDefaultPrivilegesStmt",
    "DropOwnedStmt",
    "SecLabelStmt",
];

/// Statements that define objects are called after what they do.
fn by_name(kind: &str) -> Effects {
    let named = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
    if !kind.ends_with("Stmt") || kind == "AlterSystemStmt" {
        Effects::NONE
    } else if named(&["Create", "Define", "View", "Index", "Composite", "Rule"]) {
        Effects::DDL_CREATE
    } else if named(&["Alter", "Rename", "Comment", "SecLabel"]) {
        Effects::DDL_ALTER
    } else if named(&["Drop"]) {
        Effects::DDL_DROP
    } else if named(&["Grant"]) {
        Effects::GRANT
    } else {
        Effects::NONE
    }
}
