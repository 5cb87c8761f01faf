//! `narrows approvals`: what waits for a human, and the human's word.

use std::path::PathBuf;

use clap::Subcommand;

use crate::cli::table::{Align, Cell, Table};
use crate::cli::text::{self, Colour, Paint};
use crate::cli::{Context, Exit, Output, complain, fail};
use crate::control::api::{ApprovalLine, ApprovalState, Approvals, DecideRequest};
use crate::control::client::{Client, ClientError};
use crate::model::approval::ApprovalId;
use crate::model::identity::ClaimValue;
use crate::model::session::Parameter;
use crate::model::time::unix_ms;

/// Look at what waits for approval, and decide
///
/// Who decides is who runs this command: the kernel tells Narrows; or with --url, whom a token
/// names. A rule may name its reviewers; where it names none, whoever operates Narrows decides.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows approvals ls
  narrows approvals show apr_0193a5c27a107c559f431c1d0a8e2b11
  narrows approvals approve apr_0193a5c27a107c559f431c1d0a8e2b11 --hash 1f3d9a
  narrows approvals reject apr_0193a5c27a107c559f431c1d0a8e2b11 -m 'not on a Friday'
  narrows approvals --url https://narrows.example:7070 --token-file token ls")]
pub struct Args {
    #[command(flatten)]
    way: Way,
    #[command(subcommand)]
    what: What,
}

/// Where to ask, if not over the admin socket.
#[derive(clap::Args)]
struct Way {
    /// Ask at an admin address instead of over the socket, with a token
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The variable of the environment that holds the token
    #[arg(long, value_name = "NAME", requires = "url", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// The file that holds the token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Certificates to trust instead of the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

impl Way {
    fn client(&self, context: &Context) -> Result<Client, WayError> {
        let Some(url) = &self.url else { return Ok(context.client()) };
        let token = match (&self.token_env, &self.token_file) {
            (Some(name), _) => std::env::var(name)
                .map_err(|source| WayError::Environment { name: name.clone(), source })?,
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| WayError::File { path: path.clone(), source })?,
            (None, None) => return Err(WayError::NoToken),
        };
        Ok(Client::at(url, &token, self.ca.as_deref())?)
    }
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
enum WayError {
    #[error("--url needs a token: --token-file FILE or --token-env NAME")]
    NoToken,
    #[error("the environment has no token in {name}")]
    Environment { name: String, source: std::env::VarError },
    #[error("cannot read a token from {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Client(#[from] ClientError),
}

#[derive(Subcommand)]
enum What {
    /// What waits; with --all, what was decided too
    Ls {
        #[arg(long)]
        all: bool,
        /// At most so many, the newest; the others come with --before
        #[arg(long, value_name = "COUNT", default_value_t = 200)]
        limit: usize,
        /// What is older than this request
        #[arg(long, value_name = "ID")]
        before: Option<String>,
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
    let client = match args.way.client(context) {
        Ok(client) => client,
        Err(error) => return fail(&error),
    };
    match &args.what {
        What::Ls { all, limit, before } => list(&client, *all, *limit, before.as_deref(), context),
        What::Show { id } => show(&client, id, context),
        What::Approve { id, hash } => {
            let hash = hash.clone();
            let asked = DecideRequest { id: id.clone(), approve: true, hash, reason: None };
            decide(&client, &asked, context)
        }
        What::Reject { id, message } => {
            let reason = Some(message.clone());
            let asked = DecideRequest { id: id.clone(), approve: false, hash: None, reason };
            decide(&client, &asked, context)
        }
    }
}

/// Page after page, until there are enough of them or no more.
fn list(client: &Client, all: bool, limit: usize, before: Option<&str>, context: &Context) -> Exit {
    let state = if all { "" } else { "state=pending&" };
    let mut before = before.map(str::to_owned);
    let mut answer = Approvals { now_unix_ms: 0, requests: Vec::new(), next: None };
    loop {
        let mut query = format!("{state}limit={}", limit.saturating_sub(answer.requests.len()));
        if let Some(id) = &before {
            query.push_str(&format!("&before={id}"));
        }
        let page = match client.approvals(&query) {
            Ok(page) => page,
            Err(error) => return context.unanswered(&error),
        };
        answer.now_unix_ms = page.now_unix_ms;
        answer.requests.extend(page.requests);
        answer.next = page.next;
        if answer.next.is_none() || answer.requests.len() >= limit {
            break;
        }
        before.clone_from(&answer.next);
    }
    match context.output {
        Output::Json => context.print_json(&answer),
        Output::People if answer.requests.is_empty() => context.print("nothing waits"),
        Output::People => {
            let mut text = table(&answer, context.paint);
            if let Some(id) = &answer.next {
                text.push_str(&format!("there may be more: --before {id}\n"));
            }
            context.print(&text)
        }
    }
}

fn show(client: &Client, id: &str, context: &Context) -> Exit {
    let Some(number) = ApprovalId::parse(id) else {
        complain(&format!("{id} is no request's number; see `narrows approvals ls --all`"));
        return Exit::Failure;
    };
    let line = match client.approval(number) {
        Ok(line) => line,
        Err(error) => return context.unanswered(&error),
    };
    match context.output {
        Output::Json => context.print_json(&line),
        Output::People => context.print(&account(&line, unix_ms(), context.paint)),
    }
}

fn decide(client: &Client, asked: &DecideRequest, context: &Context) -> Exit {
    let line = match client.decide(asked) {
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
    let is_pending = line.state == ApprovalState::Pending;
    let without = if is_pending { "the target is being asked" } else { "none" };
    row("estimate", &line.estimate.as_ref().map_or(without.to_owned(), ToString::to_string));
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
