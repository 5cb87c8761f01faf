//! `narrows reload`: the configuration anew, whole or not at all.

use crate::cli::text::counted;
use crate::cli::{Context, Exit, Output, complain};
use crate::control::client::ClientError;

/// Make the running narrows read its configuration anew
///
/// The whole configuration is swapped, or nothing is: if any part of it is wrong, every mistake is
/// listed and the configuration in force stays. The answer comes when live sessions are judged by
/// the new one.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows check && narrows reload
  narrows reload --json

Exits with 4 if the configuration was refused.")]
pub struct Args {}

#[must_use]
pub fn run(_args: &Args, context: &Context) -> Exit {
    let reloaded = match context.client().reload() {
        Ok(reloaded) => reloaded,
        Err(ClientError::Refused { problem, .. }) => {
            let printed = match context.output {
                Output::Json => context.print_json(&problem),
                Output::People => {
                    complain(&problem.error);
                    problem.details.iter().for_each(|line| complain(line));
                    Exit::Done
                }
            };
            return if printed == Exit::Done { Exit::Unsound } else { printed };
        }
        Err(error) => return context.unanswered(&error),
    };
    let printed = match context.output {
        Output::Json => context.print_json(&reloaded),
        Output::People => context.print(&format!("configuration {} is in force", reloaded.version)),
    };
    if reloaded.workers_silent > 0 {
        complain(&format!(
            "{} did not answer in time and may yet judge by the one before: look at `narrows status`",
            counted(reloaded.workers_silent, "worker", "workers")
        ));
        return Exit::Failure;
    }
    printed
}
