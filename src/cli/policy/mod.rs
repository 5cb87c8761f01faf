//! `narrows policy`: what a policy would decide, before it is in force. Its three commands work on
//! files and recordings alone; no running gateway is asked, and nothing is sent to a target.

use std::process::ExitCode;

use crate::cli::Context;
use crate::config;
use crate::model::time::{NS_PER_MS, unix_ns};

/// A draft as it is written.
mod draft;
pub mod learn;
/// What was recorded, ready to be judged again.
pub(in crate::cli) mod past;
pub mod replay;
pub mod test;

/// Test a policy, try it on what was recorded, or draft one from that
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows policy learn --connection ci@db --since 30d > draft.toml
  narrows policy test cases.toml
  narrows policy replay --policy new.toml --since 7d

Each of the three has its own --help.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Test(test::Args),
    Replay(replay::Args),
    Learn(learn::Args),
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> ExitCode {
    match &args.action {
        Action::Test(args) => test::run(args, context).into(),
        Action::Replay(args) => replay::run(args, context),
        Action::Learn(args) => learn::run(args, context),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time (2026-11-23T08:00:00Z), a day (2026-11-23, UTC), or a span (7d)")]
struct NoTime;

/// Nanoseconds since the Unix epoch: of a time, of a day's beginning, or of a span ago.
fn since(text: &str) -> Result<u64, NoTime> {
    if let Ok(ago_ms) = config::duration_ms(text) {
        return Ok(unix_ns().saturating_sub(ago_ms.saturating_mul(NS_PER_MS)));
    }
    let spelt = [text.to_owned(), format!("{text}Z"), format!("{text}T00:00:00Z")];
    let moment = spelt.iter().find_map(|text| text.parse::<jiff::Timestamp>().ok());
    let moment = moment.ok_or(NoTime)?;
    u64::try_from(moment.as_nanosecond()).map_err(|_| NoTime)
}

#[cfg(test)]
mod tests;
