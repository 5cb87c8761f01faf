//! `narrows approvals`: what waits for a human, and the human's word.

use clap::Subcommand;

use crate::cli::table::{Align, Cell, Table};
use crate::cli::text::{self, Colour, Paint};
use crate::cli::{Context, Exit, Output, complain};
use crate::control::api::{ApprovalLine, ApprovalState, Approvals, DecideRequest};
use crate::model::identity::ClaimValue;
use crate::model::session::Parameter;

/// Look at what waits for approval, and decide
///
/// Who decides is who runs this command: the kernel tells Narrows. A rule may name its reviewers;
/// where it names none, whoever operates Narrows decides.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows approvals ls
  narrows approvals show apr_0193a5c27a107c559f431c1d0a8e2b11
  narrows approvals approve apr_0193a5c27a107c559f431c1d0a8e2b11 --hash 1f3d9a
  narrows approvals reject apr_0193a5c27a107c559f431c1d0a8e2b11 -m 'not on a Friday'")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What waits; with --all, what was decided too
    Ls {
        #[arg(long)]
        all: bool,
    },
    /// One request in full
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Let the command run, once
    Approve {
        #[arg(value_name = "ID")]
        id: String,
        /// The beginning of the hash that `show` told: refuses if it is another one
        #[arg(long, value_name = "HEX")]
        hash: Option<String>,
    },
    /// Refuse the command; the bot is told why
    Reject {
        #[arg(value_name = "ID")]
        id: String,
        /// Why
        #[arg(short, long, value_name = "REASON")]
        message: String,
    },
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    match &args.what {
        What::Ls { all } => list(*all, context),
        What::Show { id } => show(id, context),
        What::Approve { id, hash } => {
            let hash = hash.clone();
            decide(DecideRequest { id: id.clone(), approve: true, hash, reason: None }, context)
        }
        What::Reject { id, message } => {
            let reason = Some(message.clone());
            decide(DecideRequest { id: id.clone(), approve: false, hash: None, reason }, context)
        }
    }
}

fn list(all: bool, context: &Context) -> Exit {
    let mut answer = match context.client().approvals() {
        Ok(answer) => answer,
        Err(error) => return context.unanswered(&error),
    };
    if !all {
        answer.requests.retain(|line| line.state == ApprovalState::Pending);
    }
    match context.output {
        Output::Json => context.print_json(&answer),
        Output::People if answer.requests.is_empty() => context.print("nothing waits"),
        Output::People => context.print(&table(&answer, context.paint)),
    }
}

fn show(id: &str, context: &Context) -> Exit {
    let answer = match context.client().approvals() {
        Ok(answer) => answer,
        Err(error) => return context.unanswered(&error),
    };
    let Some(line) = answer.requests.iter().find(|line| line.id == id) else {
        complain(&format!("there is no request {id}; see `narrows approvals ls --all`"));
        return Exit::Failure;
    };
    match context.output {
        Output::Json => context.print_json(line),
        Output::People => context.print(&account(line, answer.now_unix_ms, context.paint)),
    }
}

fn decide(request: DecideRequest, context: &Context) -> Exit {
    let line = match context.client().decide(&request) {
        Ok(line) => line,
        Err(error) => return context.unanswered(&error),
    };
    match context.output {
        Output::Json => context.print_json(&line),
        Output::People => context.print(&match line.state {
            ApprovalState::Pending => {
                let votes = line.votes.iter().filter(|vote| vote.approve).count();
                format!("{} has {votes} of {} approvals", line.id, line.quorum)
            }
            ApprovalState::Used => format!("{} is approved; its command runs", line.id),
            ApprovalState::Approved => {
                format!("{} is approved; its command runs when it is sent again", line.id)
            }
            state @ (ApprovalState::Rejected
            | ApprovalState::Expired
            | ApprovalState::Cancelled) => format!("{} is {}", line.id, state.word()),
        }),
    }
}

fn table(answer: &Approvals, paint: Paint) -> String {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("REQUEST", Left),
        ("STATE", Left),
        ("AGE", Right),
        ("LEFT", Right),
        ("ACCOUNT", Left),
        ("TARGET", Left),
        ("RULE", Left),
        ("STATEMENT", Left),
    ]);
    for line in &answer.requests {
        let age_s = answer.now_unix_ms.saturating_sub(line.created_unix_ms) / 1_000;
        let left_s = line.expires_unix_ms.saturating_sub(answer.now_unix_ms) / 1_000;
        table.row([
            Cell::coloured(&line.id, Colour::Dim),
            Cell::from(line.state.word()),
            Cell::from(text::span(age_s)),
            Cell::from(text::span(left_s)),
            Cell::coloured(&line.account, Colour::Cyan),
            Cell::from(line.target.as_str()),
            Cell::from(line.rule.as_str()),
            Cell::from(text::fit(&text::visible(&line.text), STATEMENT_COLUMNS).into_owned()),
        ]);
    }
    table.render(paint)
}

/// Everything that a reviewer should see. Whatever a bot wrote is escaped.
fn account(line: &ApprovalLine, now_unix_ms: u64, paint: Paint) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        out.push_str(&paint.paint(Colour::Dim, &format!("{name:<12}")));
        out.push_str(&text::escape(value));
        out.push('\n');
    };
    row("request", &line.id);
    row("state", line.state.word());
    row("hash", &line.hash);
    row("account", &format!("{} ({})", line.account, line.subject));
    for (name, value) in &line.claims {
        let value = match value {
            ClaimValue::Text(value) => value.clone(),
            ClaimValue::List(values) => values.join(", "),
        };
        row("  claim", &format!("{name} = {value}"));
    }
    row("target", &format!("{}, database {}", line.target, line.database));
    row("from", &format!("{}, session {}", line.peer, line.session));
    row("rule", &line.rule);
    row("effects", &line.effects.join(", "));
    let reviewers: Vec<String> = line.reviewers.iter().map(ToString::to_string).collect();
    let whom = if reviewers.is_empty() { "an operator".to_owned() } else { reviewers.join(", ") };
    row("decided by", &format!("{} of {whom}", line.quorum));
    for vote in &line.votes {
        row("  vote", &format!("{} by {}", if vote.approve { "yes" } else { "no" }, vote.by));
    }
    if let Some(reason) = &line.reason {
        row("reason", reason);
    }
    let age_s = now_unix_ms.saturating_sub(line.created_unix_ms) / 1_000;
    let left_s = line.expires_unix_ms.saturating_sub(now_unix_ms) / 1_000;
    row("age", &format!("{}, {} left", text::span(age_s), text::span(left_s)));
    if line.in_transaction {
        row("transaction", "open: what it has locked stays locked while this waits");
    }
    out.push('\n');
    out.push_str(&text::escape_block(&line.text));
    out.push('\n');
    for (at, parameter) in line.parameters.iter().enumerate() {
        let value = match parameter {
            Parameter::Null => "NULL".to_owned(),
            Parameter::Text(text) => format!("'{text}'"),
            Parameter::Binary(hex) => format!("\\x{hex}"),
            Parameter::Long(bytes) => text::bytes(*bytes),
        };
        out.push_str(&format!("${} = {}\n", at + 1, text::escape(&value)));
    }
    out
}

const STATEMENT_COLUMNS: usize = 60;
