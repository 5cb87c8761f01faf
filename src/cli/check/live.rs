//! What only the targets can tell: whether the gateway may log in there, and whether the columns
//! that masks name exist. Asks those alone whose columns are masked, and changes nothing there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::{text, waiting};
use crate::config::{Config, Diagnostic};
use crate::control::catalogue::{Place, ReadError, read_once};
use crate::identity::lease::Lessor;
use crate::judge::policy::Masks;
use crate::limits::{LIVE_CHECK_MS_MAX, LIVE_CHECKS_AT_ONCE};
use crate::mask::catalogue::Raw;
use crate::model::target::{Connection, Target, TargetName};
use crate::model::verdict::RuleRef;
use crate::observe::log::chain;

/// What the targets told.
#[derive(Default)]
pub(super) struct Live {
    pub(super) reached: Vec<Reached>,
    pub(super) problems: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// A database whose catalogue was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reached {
    connection: String,
    database: String,
    /// Of the connection's masks.
    patterns: usize,
    /// That any of them matches.
    columns: usize,
}

/// A connection whose policies mask columns.
#[derive(Clone)]
struct Masked {
    connection: Arc<Connection>,
    target: Arc<Target>,
    masks: Arc<Masks>,
    databases: Vec<Arc<str>>,
}

/// What became of asking one connection's databases, in their order.
#[derive(Default)]
struct Answers {
    found: Vec<Found>,
    failures: Vec<Failure>,
}

struct Found {
    database: Arc<str>,
    columns: usize,
    /// Rule, pattern, and whether it speaks of one table; all that the masks have.
    patterns: Vec<Pattern>,
}

struct Pattern {
    rule: RuleRef,
    written: String,
    names_a_table: bool,
    matches: bool,
}

struct Failure {
    database: Arc<str>,
    why: String,
    hint: &'static str,
    /// The databases that were not asked any more.
    left: Vec<Arc<str>>,
}

impl Live {
    /// Asks the targets of `config`. `databases` are looked into where a connection names none.
    pub(super) fn ask(config: &Config, databases: &[String]) -> Self {
        let mut live = Self::default();
        let (masked, open): (Vec<_>, Vec<_>) =
            masked(config, databases).into_iter().partition(|one| !one.databases.is_empty());
        live.warnings.extend(open.iter().map(|one| unknown_databases(config, one)));
        let lessor = Arc::new(Lessor::new(config.node.vault.clone()));
        let answers = match waiting(ask_all(lessor, masked.clone())) {
            Ok(answers) => answers,
            Err(error) => {
                live.problems.push(of_config(config, format!("nobody was asked: {error}"), ""));
                return live;
            }
        };
        let mut groups = Groups::default();
        for (one, answers) in masked.iter().zip(answers) {
            for found in answers.found {
                groups.add(&one.target.name, &found);
                live.reached.push(Reached {
                    connection: one.connection.name(),
                    database: found.database.to_string(),
                    patterns: found.patterns.len(),
                    columns: found.columns,
                });
            }
            let failed = |failure| failed(config, &one.connection, &failure);
            live.problems.extend(answers.failures.into_iter().map(failed));
        }
        live.problems.extend(groups.problems(config));
        live
    }
}

/// Connections whose policies mask columns, with the databases that can be named; none where only
/// bots will name them.
fn masked(config: &Config, databases: &[String]) -> Vec<Masked> {
    let masked = config.connections.iter().filter_map(|connection| {
        let masks = config.policies.masks(&connection.policies)?;
        let target = config.targets.iter().find(|target| target.name == connection.target)?;
        // A connection that opens no database is nobody's.
        let opens_none = connection.databases.as_ref().is_some_and(|list| list.is_empty());
        let databases = connection.databases.as_deref().unwrap_or(databases);
        (masks.has_columns() && !opens_none).then(|| Masked {
            connection: Arc::clone(connection),
            target: Arc::clone(target),
            masks,
            databases: databases.iter().map(|name| name.as_str().into()).collect(),
        })
    });
    masked.collect()
}

/// The answers of each, in the order of `masked`.
async fn ask_all(lessor: Arc<Lessor>, masked: Vec<Masked>) -> Vec<Answers> {
    let deadline = Instant::now() + Duration::from_millis(LIVE_CHECK_MS_MAX);
    let turns = Arc::new(Semaphore::new(LIVE_CHECKS_AT_ONCE));
    let mut answers: Vec<Answers> = masked.iter().map(|_| Answers::default()).collect();
    let mut asking = JoinSet::new();
    for (at, one) in masked.into_iter().enumerate() {
        let (lessor, turns) = (Arc::clone(&lessor), Arc::clone(&turns));
        asking.spawn(async move {
            // It is never closed.
            let _turn = turns.acquire().await;
            (at, ask(&lessor, one, deadline).await)
        });
    }
    while let Some(done) = asking.join_next().await {
        match done {
            Ok((at, answer)) => {
                if let Some(place) = answers.get_mut(at) {
                    *place = answer;
                }
            }
            // A defect of ours: not to be taken for an answer.
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
    answers
}

/// Its databases one after the other: what keeps us from all of them is met once.
async fn ask(lessor: &Lessor, masked: Masked, deadline: Instant) -> Answers {
    let Masked { connection, target, masks, databases } = masked;
    let mut answers = Answers::default();
    let mut left = databases.into_iter();
    while let Some(database) = left.next() {
        let place = Place {
            connection: Arc::clone(&connection),
            target: Arc::clone(&target),
            database: Arc::clone(&database),
        };
        let failure = match tokio::time::timeout_at(deadline, read_once(lessor, &place)).await {
            Ok(Ok(raw)) => {
                answers.found.push(Found::of(&raw, &masks, database));
                continue;
            }
            Ok(Err(error)) if error.concerns_database_alone() => {
                Failure { left: Vec::new(), ..Failure::of(database, &error) }
            }
            Ok(Err(error)) => {
                Failure { left: left.by_ref().collect(), ..Failure::of(database, &error) }
            }
            Err(_elapsed) => Failure {
                database,
                why: format!("it was not asked within {} s", LIVE_CHECK_MS_MAX / 1_000),
                hint: "see which of the targets answer slowly",
                left: left.by_ref().collect(),
            },
        };
        answers.failures.push(failure);
    }
    answers
}

impl Found {
    fn of(raw: &Raw, masks: &Masks, database: Arc<str>) -> Self {
        let patterns = masks.patterns().map(|it| Pattern {
            rule: it.rule().clone(),
            written: it.written().to_owned(),
            names_a_table: it.names_a_table(),
            matches: it.matches_any(raw.columns()),
        });
        let columns = raw
            .columns()
            .filter(|(schema, relation, column)| masks.column(schema, relation, column).is_some());
        Self { database, columns: columns.count(), patterns: patterns.collect() }
    }
}

impl Failure {
    fn of(database: Arc<str>, error: &ReadError) -> Self {
        Self { database, why: chain(error), hint: error.hint(), left: Vec::new() }
    }
}

/// Patterns, and where they were looked for. One that speaks of a table has to find it in some
/// database of each target that it is for; others, in some database of some target.
#[derive(Default)]
struct Groups {
    groups: BTreeMap<GroupKey, Group>,
}

/// Policy, rule, pattern, target.
type GroupKey = (Arc<str>, Arc<str>, String, Option<TargetName>);

#[derive(Default)]
struct Group {
    looked: Vec<String>,
    matches: bool,
}

impl Groups {
    fn add(&mut self, target: &TargetName, found: &Found) {
        let looked = format!("{target}/{}", text::escape(&found.database));
        for Pattern { rule, written, names_a_table, matches } in &found.patterns {
            let target = names_a_table.then(|| Arc::clone(target));
            let (policy, id) = (Arc::clone(&rule.policy), Arc::clone(&rule.rule));
            let group = self.groups.entry((policy, id, written.clone(), target)).or_default();
            group.matches |= matches;
            if !group.looked.contains(&looked) {
                group.looked.push(looked.clone());
            }
        }
    }

    fn problems(self, config: &Config) -> impl Iterator<Item = Diagnostic> {
        let unmatched = self.groups.into_iter().filter(|(_, group)| !group.matches);
        unmatched.map(|((policy, id, written, _), group)| {
            let message = format!(
                "policy `{policy}`, mask `{id}`: `{written}` matches no column of {}",
                listed(&group.looked)
            );
            let hint = "mend the pattern or take it out: what it was meant for is not masked";
            let mut problem = of_config(config, message, hint);
            if let Some((file, line)) = config.rule_places.get(&(policy, id.to_string())) {
                problem.file.clone_from(file);
                problem.line = *line;
            }
            problem
        })
    }
}

fn failed(config: &Config, connection: &Connection, failure: &Failure) -> Diagnostic {
    let Failure { database, why, hint, left } = failure;
    let mut message = format!("{}, database {database}: {why}", connection.name());
    if !left.is_empty() {
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        message.push_str(&format!("; not asked any more: {}", listed(&left)));
    }
    // A target may say anything.
    of_config(config, text::visible(&message), hint)
}

fn unknown_databases(config: &Config, masked: &Masked) -> Diagnostic {
    let message = format!(
        "{} opens any database, and which is known when a bot asks: none was looked into",
        masked.connection.name()
    );
    let hint = "list them in the connection's `databases`, or look into some: \
                narrows check --live --database NAME";
    of_config(config, message, hint)
}

/// About the configuration as a whole.
fn of_config(config: &Config, message: String, hint: &str) -> Diagnostic {
    Diagnostic {
        file: config.files.first().cloned().unwrap_or_default(),
        line: 0,
        message,
        hint: (!hint.is_empty()).then(|| hint.to_owned()),
    }
}

/// The first few, and how many more.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, database, patterns, columns } = self;
        let counted = |count: &usize, one, many| text::counted(*count as u64, one, many);
        write!(
            f,
            "reached: {connection}, database {}: {} found by {}",
            text::escape(database),
            counted(columns, "masked column", "masked columns"),
            counted(patterns, "pattern", "patterns"),
        )
    }
}

const LISTED_MAX: usize = 5;

#[cfg(test)]
mod tests;
