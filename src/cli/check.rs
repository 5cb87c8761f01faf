//! `narrows check`: everything that is wrong with a configuration, at once.

/// What the targets have to say.
mod live;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::live::{Live, Reached};

use crate::cli::text;
use crate::cli::{Context, Exit, Output};
use crate::config::{self, Config, Diagnostic};
use crate::identity::vault::VaultError;
use crate::model::target::SecretSource;

/// Check a configuration and everything that it names; change nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  narrows check -c narrows.toml
  narrows check --json | jq '.problems[]'
  narrows check --live
  narrows check --live --database shop

With --live it logs in where connections have masks for columns, as the gateway would and with the
same secrets (run it as the user that serves), reads which columns there are, and takes a mask that
matches none for a problem.

Exits with 4 if there are problems. Warnings do not change that.")]
pub struct Args {
    /// Ask the targets too: log in, and find the columns that masks name
    #[arg(long)]
    live: bool,
    /// A database to look into where a connection does not list any; may be given again
    #[arg(long, value_name = "NAME", requires = "live")]
    database: Vec<String>,
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    let outcome = Outcome::of(&context.config, args.live.then_some(&*args.database));
    let printed = match context.output {
        Output::Json => context.print_json(&outcome),
        Output::People => context.print(&outcome.to_string()),
    };
    if printed == Exit::Done && !outcome.problems.is_empty() { Exit::Unsound } else { printed }
}

/// What `check` found.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    version: Option<String>,
    files: Vec<PathBuf>,
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// The databases that were looked into; absent where none was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Vec<Reached>>,
    summary: Option<Summary>,
}

#[derive(Debug, Serialize)]
struct Summary {
    issuers: usize,
    service_accounts: usize,
    targets: usize,
    listeners: usize,
    connections: usize,
    policies: usize,
}

impl Outcome {
    /// `live` are the databases to look into where a connection lists none, if targets are asked.
    fn of(path: &Path, live: Option<&[String]>) -> Self {
        match config::load(path) {
            Ok(config) => {
                let mut warnings = config.warnings.clone();
                warnings.extend(missing_secrets(path, &config));
                let live = live.map(|databases| Live::ask(&config, databases));
                let (reached, problems, unsure) = live.map_or_else(
                    || (None, Vec::new(), Vec::new()),
                    |live| (Some(live.reached), live.problems, live.warnings),
                );
                warnings.extend(unsure);
                Self {
                    ok: problems.is_empty(),
                    version: Some(config.version.clone()),
                    files: config.files.clone(),
                    problems,
                    warnings,
                    live: reached,
                    summary: Some(Summary::of(&config)),
                }
            }
            Err(problems) => Self {
                ok: false,
                version: None,
                files: Vec::new(),
                problems,
                warnings: Vec::new(),
                live: None,
                summary: None,
            },
        }
    }
}

impl Summary {
    fn of(config: &Config) -> Self {
        Self {
            issuers: config.issuers.len(),
            service_accounts: config.accounts.len(),
            targets: config.targets.len(),
            listeners: config.listeners.len(),
            connections: config.connections.len(),
            policies: config.policies.names().count(),
        }
    }
}

/// Secrets that connections lease from the vault and that are not in it. They may still come, and
/// whoever checks may not be allowed to look, so nothing here is a problem.
fn missing_secrets(path: &Path, config: &Config) -> Vec<Diagnostic> {
    let leased: Vec<(&str, String)> = config
        .connections
        .iter()
        .filter_map(|connection| match &connection.credential.password {
            Some(SecretSource::Vault(name)) => Some((name.as_str(), connection.name())),
            Some(SecretSource::File(_) | SecretSource::Env(_) | SecretSource::Exec(_)) | None => {
                None
            }
        })
        .collect();
    if leased.is_empty() {
        return Vec::new();
    }
    let warning = |message: String, hint: String| Diagnostic {
        file: path.to_owned(),
        line: 0,
        message,
        hint: Some(hint),
    };
    let names = match config.node.vault.names() {
        Ok(names) => names,
        Err(error) => return vec![warning(error.to_string(), unreadable_hint(&error))],
    };
    leased
        .into_iter()
        .filter(|(name, _)| !names.iter().any(|known| known == name))
        .map(|(name, connection)| {
            let message = format!("the vault has no secret {name}, which {connection} needs");
            warning(message, format!("put it in: narrows vault set {name}"))
        })
        .collect()
}

fn unreadable_hint(error: &VaultError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{cause}; run this as the user that serves"),
        None => "run this as the user that serves".to_owned(),
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error: {problem}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for reached in self.live.iter().flatten() {
            writeln!(f, "{reached}")?;
        }
        if self.live.as_ref().is_some_and(Vec::is_empty) && self.problems.is_empty() {
            writeln!(f, "no target was asked: no known database has masked columns")?;
        }
        match self.summary.as_ref().filter(|_| self.problems.is_empty()) {
            Some(summary) => writeln!(
                f,
                "ok: version {}; {}, {}, {}, {}, {}, {}",
                self.version.as_deref().unwrap_or_default(),
                counted(summary.issuers, "issuer", "issuers"),
                counted(summary.service_accounts, "service account", "service accounts"),
                counted(summary.targets, "target", "targets"),
                counted(summary.listeners, "listener", "listeners"),
                counted(summary.connections, "connection", "connections"),
                counted(summary.policies, "policy", "policies"),
            ),
            None => {
                writeln!(f, "{} to mend", counted(self.problems.len(), "problem", "problems"))
            }
        }
    }
}

fn counted(number: usize, one: &str, many: &str) -> String {
    text::counted(number as u64, one, many)
}

#[cfg(test)]
mod tests;
