//! `narrows kill`: ends live sessions.

use uuid::Uuid;

use crate::cli::text::counted;
use crate::cli::{Context, Exit, Output, complain};
use crate::control::api::KillRequest;

/// End live sessions at once
///
/// The bot is told so in its protocol's own words, work that the target has begun is left to the
/// target's own rules, and the recording says that an operator ended the session.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows kill --session 0193a5c2-7a10-7c55-9f43-1c1d0a8e2b11
  narrows kill --account payments-deploy
  narrows kill --target payments-db
  narrows kill --all

Ending the sessions of an account does not keep it out: remove its connection and reload.
Exits with 1 if there was nothing to end.")]
pub struct Args {
    #[command(flatten)]
    scope: Scope,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// The session with this id
    #[arg(long, value_name = "ID")]
    session: Option<Uuid>,
    /// Every session of this service account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Every session with this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Every session
    #[arg(long)]
    all: bool,
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    let request = match &args.scope {
        Scope { session: Some(id), .. } => KillRequest::Session(*id),
        Scope { account: Some(name), .. } => KillRequest::Account(name.clone()),
        Scope { target: Some(name), .. } => KillRequest::Target(name.clone()),
        Scope { all: true, .. } => KillRequest::All,
        // The group demands one of them; without any, nothing may be ended.
        Scope { .. } => return Exit::Usage,
    };
    let killed = match context.client().kill(&request) {
        Ok(killed) => killed,
        Err(error) => return context.unanswered(&error),
    };
    let printed = match context.output {
        Output::Json => context.print_json(&killed),
        Output::People => context.print(&match killed.ended {
            0 => "no session was ended".to_owned(),
            count => format!("{} ended", counted(count, "session was", "sessions were")),
        }),
    };
    if killed.workers_silent > 0 {
        complain(&format!(
            "{} did not answer in time: look at `narrows sessions`",
            counted(killed.workers_silent, "worker", "workers")
        ));
        return Exit::Failure;
    }
    if killed.ended == 0 { Exit::Failure } else { printed }
}
