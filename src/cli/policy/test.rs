//! `narrows policy test`: whether policies decide on a list of statements as its author says. Each
//! statement is judged as by `narrows explain`: in a new session, alone.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::text::{self, Colour, Paint, counted, escape_block, visible};
use crate::cli::{Context, Exit, Output, complain, fail};
use crate::config::{self, Case, Config};
use crate::judge::Classifier;
use crate::judge::policy::{Circumstances, Explanation, UnknownPolicy};
use crate::model::command::Lexing;
use crate::model::identity::Principal;
use crate::model::session::Parameter;
use crate::wire;

/// Check that policies decide on statements as a file of cases says
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows policy test cases.toml
  narrows policy test cases.toml -c new/narrows.toml --json | jq '.failed'

A file of cases:
  connection = \"payments-deploy@payments-db\"   # for the cases that name none;
  claims = { repository = \"acme/payments\" }    # so can database and labels be

  [[case]]
  name = \"no table is emptied by accident\"
  statement = \"DELETE FROM orders\"             # or a list of statements
  expect = \"deny\"                              # or \"allow\"
  rule = \"no-unbounded-writes\"                 # optional; the rule, or policy/rule

language = \"mysql\", \"sqlite\" or \"tsql\" reads the statements of a case, or of all, in that language
instead of the target's. No target can speak those yet.

account and target may stand in place of connection; labels, in place of the target's own;
parameters are what the statement is bound to, for rules about values (text.entities).

Exits with 4 if a case fails, or the configuration is wrong, and with 1 if the file of cases is.")]
pub struct Args {
    /// The file of cases
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
    let cases = match config::load_cases(&args.file, &config) {
        Ok(cases) => cases,
        Err(problems) => {
            problems.iter().for_each(|problem| complain(&problem.to_string()));
            return Exit::Failure;
        }
    };
    let report = match Report::of(args.file.clone(), &cases, &config) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let printed = match context.output {
        Output::Json => context.print_json(&report),
        Output::People => context.print(&report.text(context.paint)),
    };
    if printed == Exit::Done && report.failed > 0 { Exit::Unsound } else { printed }
}

#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    cases: usize,
    statements: usize,
    /// Of the statements.
    failed: usize,
    results: Vec<Outcome>,
}

/// What came of one statement.
#[derive(Debug, Serialize)]
struct Outcome {
    case: String,
    line: usize,
    connection: String,
    statement: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<String>,
    expected: Expected,
    ok: bool,
    explanation: Explanation,
}

#[derive(Debug, Serialize)]
struct Expected {
    verdict: &'static str,
    rule: Option<String>,
}

impl Report {
    fn of(file: PathBuf, cases: &[Case], config: &Config) -> Result<Self, UnknownPolicy> {
        let mut classifier = Classifier::new();
        let mut results = Vec::new();
        for case in cases {
            outcomes(case, config, &mut classifier, &mut results)?;
        }
        let failed = results.iter().filter(|outcome| !outcome.ok).count();
        Ok(Self { file, cases: cases.len(), statements: results.len(), failed, results })
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for outcome in self.results.iter().filter(|outcome| !outcome.ok) {
            let place = format!("{}:{}: ", self.file.display(), outcome.line);
            let name = paint.paint(Colour::Bold, &visible(&outcome.case));
            let failed = paint.paint(Colour::Red, "failed");
            text.push_str(&format!("{place}{name}: {failed}\n{}\n", outcome.account()));
        }
        let whole = format!(
            "{} in {}",
            counted(self.statements as u64, "statement", "statements"),
            counted(self.cases as u64, "case", "cases")
        );
        let summary = match self.failed {
            0 => paint.paint(Colour::Green, &format!("{whole}: all as expected")),
            failed => {
                let failed = text::count(failed as u64);
                paint.paint(Colour::Red, &format!("{whole}: {failed} not as expected"))
            }
        };
        text.push_str(&summary);
        text
    }
}

fn outcomes(
    case: &Case,
    config: &Config,
    classifier: &mut Classifier,
    results: &mut Vec<Outcome>,
) -> Result<(), UnknownPolicy> {
    let principal = Principal {
        account: Arc::clone(&case.connection.account),
        issuer: "".into(),
        subject: "".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::new(case.claims.clone()),
    };
    let circumstances = Circumstances {
        principal: &principal,
        labels: &case.labels,
        target: &case.connection.target,
        database: &case.database,
    };
    let session = config.policies.bind(&case.connection.policies, &circumstances)?;
    let bound: Vec<_> = case.parameters.iter().cloned().map(Parameter::Text).collect();
    for statement in &case.statements {
        let language = case.language.unwrap_or(wire::language(case.target.protocol));
        let facts = classifier.facts(language, Lexing::default(), statement.as_bytes());
        let explanation = session.explain(&facts, statement.as_bytes(), &bound);
        let expected = Expected { verdict: case.expect, rule: case.rule.clone() };
        results.push(Outcome {
            case: case.name.clone(),
            line: case.line,
            connection: case.connection.name(),
            statement: statement.clone(),
            parameters: case.parameters.clone(),
            ok: expected.is_met(&explanation),
            expected,
            explanation,
        });
    }
    Ok(())
}

impl Expected {
    fn is_met(&self, came: &Explanation) -> bool {
        let rule = came.rule.as_str();
        let id = rule.split_once('/').map_or(rule, |(_, id)| id);
        self.verdict == came.verdict
            && self.rule.as_deref().is_none_or(|wanted| wanted == rule || wanted == id)
    }
}

impl Outcome {
    /// What was expected, what came, and why.
    fn account(&self) -> String {
        let by = self.expected.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let mut lines = vec![
            format!("  statement: {}", visible(&self.statement)),
            format!("  connection: {}", self.connection),
            format!("  expected: {}{by}", self.expected.verdict),
            format!("  came: {} by {}", self.explanation.verdict, self.explanation.rule),
        ];
        if !self.parameters.is_empty() {
            lines.insert(1, format!("  parameters: {}", visible(&self.parameters.join(", "))));
        }
        let explanation = self.explanation.to_string();
        lines.extend(escape_block(&explanation).lines().map(|line| format!("  | {line}")));
        let trimmed = lines.iter().map(|line| line.trim_end());
        trimmed.flat_map(|line| [line, "\n"]).collect()
    }
}

#[cfg(test)]
mod tests;
