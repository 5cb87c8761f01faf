//! `narrows sessions`: who is crossing now.

use crate::cli::table::{Align, Cell, Table};
use crate::cli::text::{self, Colour, Paint};
use crate::cli::{Context, Exit, Output, complain};
use crate::control::api::SessionLine;
use crate::model::time::unix_time;

/// List live sessions, oldest first
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows sessions
  narrows sessions --account payments-deploy
  narrows sessions --json | jq -r '.sessions[].id'")]
pub struct Args {
    /// Only sessions of this service account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only sessions with this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    let mut answer = match context.client().sessions() {
        Ok(answer) => answer,
        Err(error) => return context.unanswered(&error),
    };
    let wanted = |filter: &Option<String>, name: &String| filter.as_ref().is_none_or(|f| f == name);
    answer
        .sessions
        .retain(|line| wanted(&args.account, &line.account) && wanted(&args.target, &line.target));
    let printed = match context.output {
        Output::Json => context.print_json(&answer),
        Output::People if answer.sessions.is_empty() => context.print("no live sessions"),
        Output::People => {
            context.print(&table(&answer.sessions, unix_time().as_secs(), context.paint))
        }
    };
    if answer.workers_silent > 0 {
        let silent = text::counted(answer.workers_silent, "worker", "workers");
        complain(&format!("{silent} did not answer in time: what runs there is missing"));
        return Exit::Failure;
    }
    printed
}

fn table(sessions: &[SessionLine], now_unix_s: u64, paint: Paint) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("SESSION", Left),
        ("ACCOUNT", Left),
        ("TARGET", Left),
        ("DATABASE", Left),
        ("PEER", Left),
        ("AGE", Right),
        ("STATE", Left),
        ("STATEMENTS", Right),
        ("DENIED", Right),
        ("ROWS", Right),
        ("TO BOT", Right),
        ("TO TARGET", Right),
    ]);
    for line in sessions {
        let age_s = now_unix_s.saturating_sub(line.started_unix_ns / 1_000_000_000);
        let denied = text::count(line.totals.denied);
        table.row([
            Cell::coloured(&line.id, Colour::Dim),
            Cell::coloured(&line.account, Colour::Cyan),
            Cell::from(line.target.as_str()),
            Cell::from(line.database.as_str()),
            Cell::from(line.peer.to_string()),
            Cell::from(text::span(age_s)),
            Cell::from(line.state.as_str()),
            Cell::from(text::count(line.totals.exchanges)),
            match line.totals.denied {
                0 => Cell::from(denied),
                _ => Cell::coloured(denied, Colour::Red),
            },
            Cell::from(text::count(line.totals.rows)),
            Cell::from(text::bytes(line.totals.downstream_bytes)),
            Cell::from(text::bytes(line.totals.upstream_bytes)),
        ]);
    }
    table.render(paint)
}

#[cfg(test)]
mod tests;
