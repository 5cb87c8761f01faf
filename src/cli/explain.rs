//! `narrows explain`: why a command gets its verdict. Works on a loaded configuration alone; no
//! running gateway is asked, and nothing is sent to a target.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use crate::cli::{Context, Exit, Output, complain, fail};
use crate::config;
use crate::judge::Classifier;
use crate::judge::policy::{Circumstances, Explanation, UnknownPolicy};
use crate::limits::STATEMENT_BYTES_MAX;
use crate::model::command::{Language, Lexing};
use crate::model::identity::{ClaimValue, Claims, Principal};
use crate::model::session::Parameter;
use crate::model::target::TargetName;
use crate::wire;

/// Show why a statement gets its verdict
///
/// The statement is judged as in a new session of the connection: nothing is prepared, and the
/// settings are a server's defaults. The language is the target's protocol's, unless --language
/// names another: `mysql` (MariaDB too), `sqlite` or `tsql`. No target can speak those yet; the
/// option shows how a policy would decide on text in them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows explain --connection payments-deploy@payments-db \"DELETE FROM orders\"
  narrows explain --connection ci@db --claim environment=prod --file migration.sql --json
  narrows explain --connection ci@db --language mysql \"REPLACE INTO orders VALUES (1)\"

Exits with 1 if the statement would be denied.")]
pub struct Args {
    /// The connection: ACCOUNT@TARGET
    #[arg(long, value_name = "ACCOUNT@TARGET")]
    connection: String,
    /// The database that the session has open
    #[arg(long, value_name = "NAME", default_value = "")]
    database: String,
    /// A claim of the bot's token; given several times, it becomes a list
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// The language of the statement: postgresql, mysql, sqlite or tsql
    #[arg(long, value_name = "NAME", value_parser = language)]
    language: Option<Language>,
    /// A value that the statement is bound to; given several times, one after another
    #[arg(long = "parameter", value_name = "VALUE")]
    parameters: Vec<String>,
    /// Read the statement from this file, or from standard input if it is \"-\"
    #[arg(long, value_name = "FILE", conflicts_with = "statement")]
    file: Option<std::path::PathBuf>,
    #[arg(required_unless_present = "file")]
    statement: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum ExplainError {
    #[error("there is no connection {name}; there are: {known}")]
    NoConnection { name: String, known: String },
    #[error("there is no target {0}")]
    NoTarget(TargetName),
    #[error("\"{text}\" is not a claim; write NAME=VALUE")]
    Claim { text: String },
    #[error("no such language; there are: {known}")]
    Language { known: String },
    #[error("the statement cannot be read")]
    Input(#[from] std::io::Error),
    #[error(transparent)]
    Policy(#[from] UnknownPolicy),
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    let config = match config::load(&context.config) {
        Ok(config) => config,
        Err(problems) => {
            problems.iter().for_each(|problem| complain(&problem.to_string()));
            return Exit::Unsound;
        }
    };
    let explanation = match explain(args, &config) {
        Ok(explanation) => explanation,
        Err(error) => return fail(&error),
    };
    let printed = match context.output {
        Output::Json => context.print_json(&explanation),
        Output::People => context.print(&explanation.to_string()),
    };
    if printed == Exit::Done && explanation.verdict == "deny" { Exit::Failure } else { printed }
}

fn explain(args: &Args, config: &config::Config) -> Result<Explanation, ExplainError> {
    let found = config.connections.iter().find(|connection| connection.name() == args.connection);
    let connection = found.ok_or_else(|| {
        let known: Vec<String> = config.connections.iter().map(|known| known.name()).collect();
        ExplainError::NoConnection { name: args.connection.clone(), known: known.join(", ") }
    })?;
    let target = config.targets.iter().find(|target| target.name == connection.target);
    let target = target.ok_or_else(|| ExplainError::NoTarget(Arc::clone(&connection.target)))?;
    let principal = Principal {
        account: Arc::clone(&connection.account),
        issuer: "".into(),
        subject: "".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::new(claims(&args.claims)?),
    };
    let circumstances = Circumstances {
        principal: &principal,
        labels: &target.labels,
        target: &connection.target,
        database: &args.database,
    };
    let text = statement(args)?;
    let session = config.policies.bind(&connection.policies, &circumstances)?;
    let language = args.language.unwrap_or(wire::language(target.protocol));
    let facts = Classifier::new().facts(language, Lexing::default(), &text);
    let bound = args.parameters.iter().cloned().map(Parameter::Text);
    Ok(session.explain(&facts, &text, &bound.collect::<Vec<_>>()))
}

fn language(name: &str) -> Result<Language, ExplainError> {
    let found = Language::NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, language)| *language).ok_or_else(|| {
        let known: Vec<&str> = Language::NAMES.iter().map(|(known, _)| *known).collect();
        ExplainError::Language { known: known.join(", ") }
    })
}

fn claims(given: &[String]) -> Result<Claims, ExplainError> {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in given {
        let pair = text.split_once('=');
        let (name, value) = pair.ok_or_else(|| ExplainError::Claim { text: text.clone() })?;
        lists.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    let value = |mut values: Vec<String>| match (values.len(), values.pop()) {
        (1, Some(only)) => ClaimValue::Text(only),
        (_, last) => ClaimValue::List(values.into_iter().chain(last).collect()),
    };
    Ok(lists.into_iter().map(|(name, values)| (name, value(values))).collect())
}

fn statement(args: &Args) -> Result<Vec<u8>, ExplainError> {
    if let Some(text) = &args.statement {
        return Ok(text.clone().into_bytes());
    }
    let mut text = Vec::new();
    let most = STATEMENT_BYTES_MAX as u64;
    match args.file.as_deref() {
        Some(path) if path.as_os_str() != "-" => {
            std::fs::File::open(path)?.take(most).read_to_end(&mut text)?;
        }
        Some(_) | None => {
            std::io::stdin().lock().take(most).read_to_end(&mut text)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
