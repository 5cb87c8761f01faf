//! `narrows grep`: finds bytes of either direction and texts of statements across recordings.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde_json::json;

use crate::cli::screen::{CommandError, Screen, short, statement, time};
use crate::cli::tail::with_context;
use crate::cli::text::{Colour, escape_bytes, fit, visible};
use crate::limits::GREP_OVERLAP_BYTES;
use crate::model::session::SessionId;
use crate::record::Flow as Direction;
use crate::record::reader::{Entry, EntryKind, Wanted, find_session, read};

/// Search what was recorded
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows grep 'drop table'                    case matters; use (?i) where it should not
  narrows grep '(?i)password' --session 3f2a91c0
  narrows grep 'alice@example' --json | jq -r .session | sort -u

Exit codes: 0 found, 1 not found, 2 could not be read.")]
pub struct Args {
    /// Regular expression, matched against bytes
    pub pattern: String,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub recordings: Option<PathBuf>,
    /// Only the session whose id begins or ends like this
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    #[arg(skip)]
    pub json: bool,
    /// Do not fit lines to the terminal
    #[arg(long)]
    pub full: bool,
}

/// Exit code of a search that could not be made.
pub const FAILED: u8 = 2;

pub fn run(
    args: &Args,
    dir: &Path,
    screen: Screen,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    // Recorded bytes need not be valid text.
    let pattern = Regex::builder()
        .syntax(syntax::Config::new().utf8(false))
        .configure(Regex::config().utf8_empty(false))
        .build(&args.pattern)
        .map_err(|error| {
            let detail = error.syntax_error().map(ToString::to_string);
            CommandError::Pattern(detail.unwrap_or_else(|| error.to_string()))
        })?;
    let wanted = match &args.session {
        Some(session) => Wanted::Session(find_session(dir, session)?),
        None => Wanted::All,
    };
    let screen = if args.full { Screen { width: None, ..screen } } else { screen };
    let mut search = Search { pattern, streams: HashMap::new(), found: 0 };
    let mut written = Ok(());
    read(dir, wanted, &mut |entry: Entry<'_>| {
        let hits = search.entry(&entry);
        written = hits.iter().try_for_each(|hit| {
            if args.json {
                writeln!(out, "{}", hit.json(&entry))
            } else {
                writeln!(out, "{}", hit.text(screen, &entry))
            }
        });
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    Ok(if search.found > 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

struct Search {
    pattern: Regex,
    streams: HashMap<(SessionId, Direction), Stream>,
    found: u64,
}

/// The end of what one direction of a session has carried so far.
#[derive(Default)]
struct Stream {
    kept: Vec<u8>,
    /// Where `kept` begins, counted from the session's first byte.
    from: u64,
    /// Where the last match ended.
    matched_to: u64,
    /// A match lies in what came since the last exchange record.
    matched_since: bool,
}

struct Hit {
    direction: &'static str,
    excerpt: String,
}

impl Search {
    fn entry(&mut self, entry: &Entry<'_>) -> Vec<Hit> {
        let hits = match &entry.kind {
            EntryKind::Run { kind, bytes } => self.run(entry.session, kind.flow(), bytes),
            EntryKind::Exchange(exchange) => {
                let key = (entry.session, Direction::FromBot);
                let is_shown = self
                    .streams
                    .get_mut(&key)
                    .is_some_and(|stream| std::mem::take(&mut stream.matched_since));
                let text = statement(exchange);
                let whole = exchange.text.as_bytes();
                let matched = self.pattern.find(whole).map(|found| excerpt(whole, found.range()));
                let matched = matched.or_else(|| {
                    self.pattern
                        .find(text.as_bytes())
                        .map(|it| excerpt(text.as_bytes(), it.range()))
                });
                // The bytes of the statement were shown when they crossed.
                let excerpt = matched.filter(|_| !is_shown);
                excerpt.map(|excerpt| Hit { direction: "statement", excerpt }).into_iter().collect()
            }
            EntryKind::End(_) => {
                self.streams.retain(|(session, _), _| *session != entry.session);
                Vec::new()
            }
            EntryKind::Start(_)
            | EntryKind::Lost(_)
            | EntryKind::LostElsewhere(_)
            | EntryKind::Recovered(_)
            | EntryKind::ClockStep(_)
            | EntryKind::Damaged { .. } => Vec::new(),
        };
        self.found += hits.len() as u64;
        hits
    }

    fn run(&mut self, session: SessionId, direction: Direction, bytes: &[u8]) -> Vec<Hit> {
        let stream = self.streams.entry((session, direction)).or_default();
        let old = stream.kept.len();
        stream.kept.extend_from_slice(bytes);
        let mut hits = Vec::new();
        // Matches before `matched_to` were found in an earlier run, perhaps shorter.
        let begin = usize::try_from(stream.matched_to.saturating_sub(stream.from)).unwrap_or(0);
        let input = Input::new(&stream.kept).range(begin.min(stream.kept.len())..);
        for found in self.pattern.find_iter(input) {
            if found.end() <= old {
                continue;
            }
            stream.matched_to = stream.from + found.end() as u64;
            stream.matched_since = true;
            let excerpt = excerpt(&stream.kept, found.range());
            hits.push(Hit { direction: name(direction), excerpt });
        }
        let surplus = stream.kept.len().saturating_sub(GREP_OVERLAP_BYTES);
        stream.kept.drain(..surplus);
        stream.from += surplus as u64;
        hits
    }
}

impl Hit {
    fn text(&self, screen: Screen, entry: &Entry<'_>) -> String {
        let head = format!(
            "{}  {}  {}@{}  {:<9}",
            time(entry.unix_ns),
            short(entry.session),
            visible(entry.account),
            visible(entry.target),
            self.direction
        );
        let room = screen.width.map_or(usize::MAX, |width| width.saturating_sub(head.len() + 2));
        format!("{}  {}", screen.paint.paint(Colour::Dim, &head), fit(&self.excerpt, room))
    }

    fn json(&self, entry: &Entry<'_>) -> serde_json::Value {
        let body = json!({ "direction": self.direction, "excerpt": self.excerpt });
        with_context(entry.session, entry, "match", body)
    }
}

const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::FromBot => "from_bot",
        Direction::ToBot => "to_bot",
        Direction::ToTarget => "to_target",
        Direction::Record => "statement",
    }
}

/// A match with a little of what stands around it.
fn excerpt(bytes: &[u8], range: std::ops::Range<usize>) -> String {
    let from = range.start.saturating_sub(AROUND_BYTES);
    let to = range.end.min(range.start + MATCH_BYTES_MAX).saturating_add(AROUND_BYTES);
    escape_bytes(bytes.get(from..to.min(bytes.len())).unwrap_or_default())
}

const AROUND_BYTES: usize = 32;
const MATCH_BYTES_MAX: usize = 256;
