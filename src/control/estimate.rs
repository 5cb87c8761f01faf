//! How many rows a command that waits would touch, as the target's planner guesses. The command is
//! never run, and is planned only where planning runs no code but the server's own: the planner calls
//! functions that are declared immutable. Knows which commands these are and how to ask; not who
//! reads the answer.
//!
//! The connection's own credential asks: a role that may only read is refused the plan of a write.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::control::api::{Estimate, TableSize};
use crate::control::catalogue::connect::Session;
use crate::control::catalogue::{Place, ReadError};
use crate::identity::lease::Lessor;
use crate::limits::{ESTIMATE_LOCK_MS_MAX, ESTIMATE_MS_MAX, ESTIMATE_STATEMENT_MS_MAX};
use crate::model::approval::{HoldRequest, Planning};
use crate::model::facts::{Body, Code, Effects, Facts, Flags, Origin, Statement};

/// Asks the request's target. What goes wrong is an answer too.
pub async fn estimate(lessor: &Lessor, request: &HoldRequest) -> Estimate {
    let Some(planning) = &request.planning else {
        return Estimate::unknown("the session's settings may change what the statement means");
    };
    let statement = match plannable(&planning.facts) {
        Ok(statement) => statement,
        Err(reason) => return Estimate::unknown(reason),
    };
    let asking = ask(lessor, request, planning, statement);
    match tokio::time::timeout(Duration::from_millis(ESTIMATE_MS_MAX), asking).await {
        Ok(Ok(estimate)) => estimate,
        Ok(Err(error)) => Estimate::unknown(&outline(&error)),
        Err(_elapsed) => Estimate::unknown("the target did not answer in time"),
    }
}

/// Says no more than what went wrong: the server's words may quote data.
fn outline(error: &ReadError) -> String {
    match error {
        ReadError::Server(error) => match error.code() {
            Some(code) => format!("the target refused to plan it ({})", code.code()),
            None => "the connection to the target broke".to_owned(),
        },
        ReadError::Dial(_)
        | ReadError::Unreachable { .. }
        | ReadError::Tls(_)
        | ReadError::TooLate { .. }
        | ReadError::TooMany { .. } => "the target could not be asked".to_owned(),
    }
}

/// The one statement, if its text shows that planning it is harmless so far.
fn plannable(facts: &Facts) -> Result<&Statement, &'static str> {
    let [statement] = &facts.statements[..] else {
        return Err("it is not a single statement");
    };
    let known = Effects::READ | Effects::INSERT | Effects::UPDATE | Effects::DELETE;
    let is_plain = VERBS.contains(&statement.verb)
        && facts.effects.only(known)
        && names_nothing_earlier(facts)
        && statement.code == Code::Named;
    if !is_plain {
        return Err("only SELECT, INSERT, UPDATE, DELETE and MERGE are planned");
    }
    if facts.flags.intersects(Flags::INTO_TABLE | Flags::CATALOG_SENSITIVE) {
        return Err("it does more than read and change rows of tables");
    }
    let harmless = statement.functions.iter().all(|function| {
        function.origin == Origin::Server
            && function.body == Body::Own
            && function.schema.as_deref().is_none_or(|schema| schema == "pg_catalog")
            && FUNCTIONS.contains(&&*function.name)
    });
    if !harmless {
        return Err("it calls a function that the planner might run");
    }
    Ok(statement)
}

fn names_nothing_earlier(facts: &Facts) -> bool {
    facts.unknown.is_none()
        && facts.definitions.is_empty()
        && facts.executes.is_empty()
        && facts.fetches.is_empty()
}

const VERBS: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];

/// The server's own that answer at once and in little memory, whatever constants they are given.
const FUNCTIONS: [&str; 19] = [
    "abs",
    "avg",
    "btrim",
    "ceil",
    "clock_timestamp",
    "count",
    "date_trunc",
    "floor",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "now",
    "round",
    "rtrim",
    "statement_timestamp",
    "sum",
    "upper",
];

async fn ask(
    lessor: &Lessor,
    request: &HoldRequest,
    planning: &Planning,
    statement: &Statement,
) -> Result<Estimate, ReadError> {
    let place = Place {
        connection: planning.connection.clone(),
        target: planning.target.clone(),
        database: request.database.clone(),
    };
    let session = Session::open(lessor, &place).await?;
    let estimate = explain(&session.client, request, statement).await;
    session.close().await;
    estimate
}

async fn explain(
    client: &Client,
    request: &HoldRequest,
    statement: &Statement,
) -> Result<Estimate, ReadError> {
    let version: i32 = client.query_one(VERSION, &[]).await?.try_get(0)?;
    if !request.parameters.is_empty() && version < GENERIC_PLANS {
        return Ok(Estimate::unknown("servers before PostgreSQL 16 cannot plan parameters"));
    }
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {ESTIMATE_STATEMENT_MS_MAX}; \
         SET LOCAL lock_timeout = {ESTIMATE_LOCK_MS_MAX}; \
         SET LOCAL standard_conforming_strings = on; SET LOCAL search_path TO DEFAULT"
    );
    client.batch_execute(&begin).await?;
    let names: Vec<String> = statement
        .relations
        .iter()
        .map(|relation| match &relation.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&relation.name)),
            None => quoted(&relation.name),
        })
        .collect();
    let found: Vec<Option<u32>> = client.query_one(RESOLVE, &[&names]).await?.try_get(0)?;
    let Some(tables) = found.into_iter().collect::<Option<Vec<u32>>>() else {
        return Ok(Estimate::unknown("a table that it names was not found"));
    };
    client.batch_execute("SET LOCAL search_path = pg_catalog").await?;
    let functions: Vec<&str> = statement.functions.iter().map(|one| &*one.name).collect();
    let risk = client.query_one(RISKS, &[&tables, &functions]).await?;
    if let Some(reason) = risk.try_get::<_, Option<&str>>(0)? {
        return Ok(Estimate::unknown(reason));
    }
    let mut sizes = Vec::new();
    for row in client.query(SIZES, &[&tables]).await? {
        // The server says -1 of a table that was never analyzed.
        let rows: i64 = row.try_get(1)?;
        sizes.push(TableSize { name: row.try_get(0)?, rows: u64::try_from(rows).ok() });
    }
    client.batch_execute("SET LOCAL search_path TO DEFAULT").await?;
    let plan = plan(client, request).await?;
    match rows(&plan) {
        Some(rows) => Ok(Estimate::Rows { rows, tables: sizes }),
        None => Ok(Estimate::unknown("the plan could not be read")),
    }
}

async fn plan(client: &Client, request: &HoldRequest) -> Result<Value, ReadError> {
    let text = String::from_utf8_lossy(&request.text);
    if request.parameters.is_empty() {
        // In this kind of message a second statement behind the first is refused.
        let plan = client.query_one(&format!("EXPLAIN (FORMAT JSON) {text}"), &[]).await?;
        return Ok(plan.try_get(0)?);
    }
    // There, the server would ask for the parameters' values.
    let explain = format!("EXPLAIN (FORMAT JSON, GENERIC_PLAN) {text}");
    let answers = client.simple_query(&explain).await?;
    let plan = answers.iter().find_map(|answer| {
        if let SimpleQueryMessage::Row(row) = answer { row.get(0) } else { None }
    });
    Ok(plan.and_then(|plan| serde_json::from_str(plan).ok()).unwrap_or_default())
}

/// The rows that a plan returns or, of a write, changes.
fn rows(plan: &Value) -> Option<u64> {
    let top = plan.get(0)?.get("Plan")?;
    let guess = |node: &Value| node.get("Plan Rows")?.as_u64();
    if top.get("Node Type")?.as_str()? != "ModifyTable" {
        return guess(top);
    }
    // Its other children are what the statement computes beforehand.
    let feeds =
        |node: &&Value| node.get("Parent Relationship").and_then(Value::as_str) == Some("Outer");
    guess(top.get("Plans")?.as_array()?.iter().find(feeds)?)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const VERSION: &str = "SELECT current_setting('server_version_num')::int4";

/// The first version that plans a statement without its parameters' values.
const GENERIC_PLANS: i32 = 160_000;

/// By the role's own search path, which may put anything before the server's own: whatever this calls
/// is named in full.
const RESOLVE: &str = "SELECT ARRAY(SELECT pg_catalog.to_regclass(n)::pg_catalog.oid \
     FROM pg_catalog.unnest($1::pg_catalog.text[]) AS u(n))";

const SIZES: &str = "SELECT oid::regclass::text, reltuples::int8 FROM pg_class \
     WHERE oid = ANY($1::oid[]) ORDER BY 1";

/// Why planning a statement over these tables, with functions of these names, may run somebody's
/// code; NULL if it does not. Code in C was installed by the server's owner and counts as its own.
const RISKS: &str = "\
    WITH RECURSIVE tree(oid) AS ( \
        SELECT unnest($1::oid[]) \
        UNION SELECT inhrelid FROM pg_inherits JOIN tree ON inhparent = tree.oid \
    ), foreign_code AS ( \
        SELECT p.oid, p.proargtypes FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
        WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') \
    ), parts(classid, objid) AS ( \
        SELECT 'pg_class'::regclass::oid, oid FROM tree \
        UNION ALL SELECT 'pg_class'::regclass::oid, indexrelid FROM pg_index \
            JOIN tree ON indrelid = tree.oid \
        UNION ALL SELECT 'pg_attrdef'::regclass::oid, d.oid FROM pg_attrdef d \
            JOIN tree ON adrelid = tree.oid \
        UNION ALL SELECT 'pg_constraint'::regclass::oid, c.oid FROM pg_constraint c \
            JOIN tree ON conrelid = tree.oid \
        UNION ALL SELECT 'pg_statistic_ext'::regclass::oid, s.oid FROM pg_statistic_ext s \
            JOIN tree ON stxrelid = tree.oid \
    ) \
    SELECT CASE \
    WHEN EXISTS (SELECT FROM tree LEFT JOIN pg_class c USING (oid) \
        WHERE c.oid IS NULL OR c.relkind NOT IN ('r', 'p') OR c.relhasrules \
            OR c.relrowsecurity) \
    THEN 'it names something other than a plain table' \
    WHEN EXISTS (SELECT FROM pg_attribute a JOIN tree ON attrelid = tree.oid \
        JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_type e ON e.oid = t.typelem \
        WHERE NOT attisdropped AND (t.typtype NOT IN ('b', 'e') OR e.typtype NOT IN ('b', 'e')) \
            AND t.typnamespace <> 'pg_catalog'::regnamespace) \
    THEN 'a column has a type of the users'' own' \
    WHEN EXISTS (SELECT FROM parts JOIN pg_depend d USING (classid, objid) \
        JOIN foreign_code f ON f.oid = d.refobjid WHERE d.refclassid = 'pg_proc'::regclass) \
    THEN 'a default, index or constraint calls a function of the users'' own' \
    WHEN EXISTS (SELECT FROM pg_proc \
        WHERE proname = ANY($2::text[]) AND pronamespace <> 'pg_catalog'::regnamespace) \
    THEN 'users have a function of the same name as one that it calls' \
    WHEN EXISTS (SELECT FROM foreign_code JOIN pg_type t ON t.oid = proargtypes[0] \
        WHERE t.typtype IN ('c', 'p') AND t.typname NOT IN ('event_trigger', 'trigger')) \
    THEN 'users have functions of rows, which may stand for columns' \
    WHEN EXISTS (SELECT FROM pg_operator JOIN foreign_code f \
        ON f.oid IN (oprcode, oprrest, oprjoin)) \
    THEN 'users have operators of their own' \
    WHEN EXISTS (SELECT FROM pg_cast JOIN foreign_code f ON f.oid = castfunc) \
    THEN 'users have casts of their own' \
    END";

#[cfg(test)]
mod tests;
