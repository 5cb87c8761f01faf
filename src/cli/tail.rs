//! `narrows tail`: what crosses, a line a statement, as it happens or as it happened.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::cli::screen::{CommandError, Screen, bytes, latency, rfc3339, short, statement, time};
use crate::cli::text::{self, Colour, counted, fit, visible};
use crate::limits::FOLLOW_POLL_MS;
use crate::model::session::{Exchange, SessionId};
use crate::record::reader::{
    Blocks, Ending, Entry, EntryKind, EntryReader, Flow, Follower, Segment, Wanted, list, read_one,
};

/// Show what sessions did, the newest last
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows tail                          the last 20 lines
  narrows tail -f                       follow live
  narrows tail -f --verdict deny        follow refusals only
  narrows tail -n 1000 --account ci-deploy --json | jq .statement

Exit codes: 0 shown, 1 could not be read.")]
pub struct Args {
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub recordings: Option<PathBuf>,
    /// Keep showing what is recorded from now on
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the newest lines to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
    /// Only sessions of this service account
    #[arg(long)]
    pub account: Option<String>,
    /// Only sessions to this target
    #[arg(long)]
    pub target: Option<String>,
    /// Only sessions whose id begins or ends like this
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Only statements with this verdict
    #[arg(long, value_enum)]
    pub verdict: Option<VerdictWord>,
    #[arg(skip)]
    pub json: bool,
    /// Do not fit lines to the terminal
    #[arg(long)]
    pub full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum VerdictWord {
    Allow,
    Deny,
}

/// Shows the newest lines of `dir`, and with `--follow` every later one until the reader goes away.
pub fn run(
    args: &Args,
    dir: &Path,
    screen: Screen,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let mut tail = Tail::begin(args, dir, screen, out)?;
    if args.follow {
        loop {
            std::thread::sleep(Duration::from_millis(FOLLOW_POLL_MS));
            tail.poll(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A follower with what it shows and how.
pub(super) struct Tail<'a> {
    args: &'a Args,
    screen: Screen,
    follower: Follower,
}

impl<'a> Tail<'a> {
    /// Shows the newest lines and stays where they end.
    pub fn begin(
        args: &'a Args,
        dir: &Path,
        screen: Screen,
        out: &mut dyn Write,
    ) -> Result<Self, CommandError> {
        let mut listed = if dir.exists() { list(dir)?.0 } else { Vec::new() };
        let last = listed.pop();
        let mut lines = VecDeque::new();
        let start = match &last {
            Some(last) => {
                let limit = match last.ending {
                    Ending::Open => u64::MAX,
                    Ending::Sealed(_) | Ending::GivenUp(_) => last.limit,
                };
                Some(Blocks::new(Segment::open(&last.path)?, limit))
            }
            None => None,
        };
        let mut follower = Follower::new(dir.to_owned(), EntryReader::default(), start);
        let mut gather = |entry: Entry<'_>| keep(args, screen, &entry, &mut lines);
        let _: Flow = follower.poll(&mut gather)?;
        while let Some(earlier) = listed.pop()
            && lines.len() < args.lines
        {
            let mut before = VecDeque::new();
            let mut gather = |entry: Entry<'_>| keep(args, screen, &entry, &mut before);
            let mut reader = EntryReader::default();
            let _: Flow = read_one(&mut reader, &earlier, Wanted::All, &mut gather)?;
            before.append(&mut lines);
            lines = before;
        }
        let mut lines: Vec<_> = lines.into_iter().collect();
        // Sessions hand over their blocks at different times.
        lines.sort_by_key(|(unix_ns, _)| *unix_ns);
        let from = lines.len().saturating_sub(args.lines);
        for (_, line) in lines.iter().skip(from) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(Self { args, screen, follower })
    }

    /// Shows what has been recorded since the last look.
    pub fn poll(&mut self, out: &mut dyn Write) -> Result<(), CommandError> {
        let mut written = Ok(());
        let mut show = |entry: Entry<'_>| {
            if let Some(line) = line(self.args, self.screen, &entry) {
                written = writeln!(out, "{line}");
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let _: Flow = self.follower.poll(&mut show)?;
        written?;
        Ok(out.flush()?)
    }
}

/// Keeps the newest lines, and a line as text only, whatever the recording holds.
fn keep(
    args: &Args,
    screen: Screen,
    entry: &Entry<'_>,
    lines: &mut VecDeque<(u64, String)>,
) -> Flow {
    if let Some(line) = line(args, screen, entry) {
        lines.push_back((entry.unix_ns, line));
        if lines.len() > args.lines {
            lines.pop_front();
        }
    }
    ControlFlow::Continue(())
}

fn line(args: &Args, screen: Screen, entry: &Entry<'_>) -> Option<String> {
    if !is_wanted(args, entry) {
        return None;
    }
    let screen = if args.full { Screen { width: None, ..screen } } else { screen };
    if args.json { json_line(entry) } else { text_line(screen, entry) }
}

fn is_wanted(args: &Args, entry: &Entry<'_>) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
    if !is(&args.account, entry.account) || !is(&args.target, entry.target) {
        return false;
    }
    if let Some(wanted) = &args.session {
        let id = entry.session.to_string();
        if !id.starts_with(wanted.as_str()) && !id.ends_with(wanted.as_str()) {
            return false;
        }
    }
    match (args.verdict, &entry.kind) {
        (None, _) => true,
        (Some(VerdictWord::Allow), EntryKind::Exchange(exchange)) => exchange.verdict == "allow",
        (Some(VerdictWord::Deny), EntryKind::Exchange(exchange)) => exchange.verdict == "deny",
        (Some(_), _) => false,
    }
}

fn text_line(screen: Screen, entry: &Entry<'_>) -> Option<String> {
    let who = format!("{}@{}", visible(entry.account), visible(entry.target));
    // A year is wasted on a terminal's width.
    let at = time(entry.unix_ns);
    let at = if screen.width.is_some() { at.get(YEAR_WIDTH..).unwrap_or(&at) } else { &at };
    let head = format!("{at}  {}  {who:<WHO_WIDTH$}", short(entry.session));
    let remark = |colour: Colour, text: String| {
        let room = screen.width.map_or(usize::MAX, |width| width.saturating_sub(head.len() + 2));
        let text = fit(&text, room);
        Some(format!(
            "{}  {}",
            screen.paint.paint(Colour::Dim, &head),
            screen.paint.paint(colour, &text)
        ))
    };
    match &entry.kind {
        EntryKind::Exchange(exchange) => Some(exchange_line(screen, &head, exchange)),
        EntryKind::Start(start) => remark(
            Colour::Bold,
            format!(
                "session started from {} as {} in {}",
                start.client,
                visible(&start.upstream_user),
                visible(&start.database)
            ),
        ),
        EntryKind::End(end) => remark(
            Colour::Bold,
            match &end.totals {
                Some(totals) => format!(
                    "session ended: {}; {}, {} denied, {}, {} to the bot",
                    visible(&end.reason),
                    counted(totals.exchanges, "statement", "statements"),
                    totals.denied,
                    counted(totals.rows, "row", "rows"),
                    bytes(totals.downstream_bytes)
                ),
                None => format!("session ended: {}", visible(&end.reason)),
            },
        ),
        EntryKind::Lost(loss) => remark(
            Colour::Red,
            format!(
                "{} could not be recorded here ({})",
                bytes(loss.raw_bytes),
                counted(loss.blocks, "block", "blocks")
            ),
        ),
        EntryKind::LostElsewhere(rest) => remark(
            Colour::Red,
            format!(
                "{} of sessions not named could not be recorded ({})",
                bytes(rest.raw_bytes),
                counted(rest.blocks, "block", "blocks")
            ),
        ),
        EntryKind::Recovered(record) => remark(
            Colour::Yellow,
            format!(
                "recovered from an unclean stop; {} cut off",
                counted(record.sessions_ended, "session was", "sessions were")
            ),
        ),
        EntryKind::Damaged { at, error, .. } => {
            remark(Colour::Red, format!("recording is damaged at {at}: {error}"))
        }
        EntryKind::Run { .. } | EntryKind::ClockStep(_) => None,
    }
}

fn exchange_line(screen: Screen, head: &str, exchange: &Exchange) -> String {
    let is_allowed = exchange.verdict == "allow";
    let verdict = format!("{:<5}", visible(&exchange.verdict));
    let figures = format!(
        "{:>6} {:>6} {:>7}",
        format!("{}r", exchange.rows),
        bytes(exchange.answer_bytes),
        latency(exchange.latency_us)
    );
    let mut text = statement(exchange);
    let mut remarks = String::new();
    if !is_allowed {
        remarks = format!("({}) ", visible(&exchange.rule));
    } else if let Some(observed) = &exchange.observed {
        remarks = format!("(would be denied by {}) ", visible(observed));
    }
    if let Some(error) = &exchange.error {
        remarks.push_str(&format!("[{}] ", visible(error)));
    }
    if let Some(width) = screen.width {
        let taken = head.chars().count() + verdict.len() + figures.len() + 3 * GAP;
        let room = width.saturating_sub(taken).max(MIN_STATEMENT);
        remarks = fit(&remarks, room).into_owned();
        text = fit(&text, room.saturating_sub(text::width(&remarks))).into_owned();
    }
    let colour = if is_allowed { Colour::Green } else { Colour::Red };
    format!(
        "{}  {}  {figures}  {}{text}",
        screen.paint.paint(Colour::Dim, head),
        screen.paint.paint(colour, &verdict),
        if remarks.is_empty() { remarks } else { screen.paint.paint(Colour::Yellow, &remarks) },
    )
}

fn json_line(entry: &Entry<'_>) -> Option<String> {
    let (event, body) = match &entry.kind {
        EntryKind::Exchange(exchange) => ("statement", json!({ "exchange": exchange })),
        EntryKind::Start(start) => ("session_start", json!({ "start": start })),
        EntryKind::End(end) => ("session_end", json!({ "end": end })),
        EntryKind::Lost(loss) => ("loss", json!({ "loss": loss })),
        EntryKind::LostElsewhere(rest) => ("loss", json!({ "loss": rest })),
        EntryKind::Recovered(record) => ("recovery", json!({ "recovery": record })),
        EntryKind::ClockStep(step) => ("clock_step", json!({ "clock": step })),
        EntryKind::Damaged { segment, at, error } => {
            ("damage", json!({ "segment": segment, "at": at, "error": error.to_string() }))
        }
        EntryKind::Run { .. } => return None,
    };
    Some(with_context(entry.session, entry, event, body).to_string())
}

/// Time, event and session in front of what an event has of its own.
pub(super) fn with_context(
    session: SessionId,
    entry: &Entry<'_>,
    event: &str,
    body: serde_json::Value,
) -> serde_json::Value {
    let mut whole = json!({
        "time": rfc3339(entry.unix_ns),
        "event": event,
        "session": session,
        "account": entry.account,
        "target": entry.target,
    });
    if let (Some(whole), serde_json::Value::Object(body)) = (whole.as_object_mut(), body) {
        whole.extend(body);
    }
    whole
}

const WHO_WIDTH: usize = 20;
const YEAR_WIDTH: usize = 5;
const GAP: usize = 2;
const MIN_STATEMENT: usize = 16;

#[cfg(test)]
mod tests;
