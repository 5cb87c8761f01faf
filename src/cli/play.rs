//! `narrows play`: one session as a transcript, with the rows that the bot saw.

mod postgres;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::screen::{CommandError, Screen, bytes, latency, parameter, statement, time};
use crate::cli::tail::with_context;
use crate::cli::text::{Colour, counted, fit, visible};
use crate::model::session::Exchange;
use crate::model::target::Protocol;
use crate::record::reader::{Entry, EntryKind, Wanted, find_session, read};
use crate::record::{Flow, SessionEnd, SessionStart};

use self::postgres::{Answer, Answers, Ended};

/// Show one session as a transcript with its results
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows play 3f2a91c0                 by the end of the id, as `narrows tail` shows it
  narrows play 019a2b3c --rows 1000     by its beginning, with more rows of each result
  narrows play 3f2a91c0 --json | jq .answers

Exit codes: 0 shown, 1 no such session or not readable.")]
pub struct Args {
    /// The beginning or end of a session's id
    pub session: String,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub recordings: Option<PathBuf>,
    /// Rows to show of each result
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub rows: usize,
    #[arg(skip)]
    pub json: bool,
    /// Do not fit lines to the terminal
    #[arg(long)]
    pub full: bool,
}

pub fn run(
    args: &Args,
    dir: &Path,
    screen: Screen,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let session = find_session(dir, &args.session)?;
    let screen = if args.full { Screen { width: None, ..screen } } else { screen };
    let mut play = Play { args, screen, answers: Answers::new(args.rows) };
    let mut shown = Ok(());
    read(dir, Wanted::Session(session), &mut |entry: Entry<'_>| {
        shown = play.entry(&entry, out);
        if shown.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    shown?;
    Ok(ExitCode::SUCCESS)
}

struct Play<'a> {
    args: &'a Args,
    screen: Screen,
    answers: Answers,
}

impl Play<'_> {
    fn entry(&mut self, entry: &Entry<'_>, out: &mut dyn Write) -> Result<(), CommandError> {
        let json = self.args.json;
        match &entry.kind {
            EntryKind::Run { kind, bytes } => {
                if kind.flow() == Flow::ToBot {
                    self.answers.feed(bytes);
                }
            }
            EntryKind::Start(start) if json => {
                let line =
                    with_context(entry.session, entry, "session_start", json!({ "start": start }));
                writeln!(out, "{line}")?;
            }
            EntryKind::Start(start) => self.start(entry, start, out)?,
            EntryKind::Exchange(exchange) => self.exchange(entry, exchange, out)?,
            EntryKind::End(end) if json => {
                let line = with_context(entry.session, entry, "session_end", json!({ "end": end }));
                writeln!(out, "{line}")?;
            }
            EntryKind::End(end) => self.end(entry, end, out)?,
            EntryKind::Lost(loss) => {
                self.answers.lose();
                let lost = counted(loss.blocks, "block", "blocks");
                self.remark(&format!("{lost} could not be recorded here"), out)?;
            }
            EntryKind::Damaged { at, error, .. } => {
                self.answers.lose();
                self.remark(&format!("the recording is damaged at {at}: {error}"), out)?;
            }
            EntryKind::LostElsewhere(_) | EntryKind::Recovered(_) | EntryKind::ClockStep(_) => {}
        }
        Ok(())
    }

    fn start(
        &self,
        entry: &Entry<'_>,
        start: &SessionStart,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let protocol = match start.protocol {
            Protocol::Postgres => "postgres",
        };
        let title = format!("session {}", entry.session);
        writeln!(out, "{}", self.screen.paint.paint(Colour::Bold, &title))?;
        let who = format!("{} (issuer {}, subject {})", start.account, start.issuer, start.subject);
        let target =
            format!("{} ({protocol}), {} as {}", start.target, start.database, start.upstream_user);
        let tls = |leg: &Option<String>| leg.clone().unwrap_or_else(|| "none".to_owned());
        let (downstream, upstream) = (tls(&start.downstream_tls), tls(&start.upstream_tls));
        for (name, value) in [
            ("account", who),
            ("target", target),
            ("client", start.client.to_string()),
            ("tls", format!("{downstream} with the client, {upstream} with the target")),
            ("policies", start.policies.join(", ")),
            ("started", time(entry.unix_ns)),
        ] {
            writeln!(out, "  {name:<9} {}", visible(&value))?;
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        entry: &Entry<'_>,
        exchange: &Exchange,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let tag = exchange.tag.as_deref();
        let answers = self.answers.take(exchange.rows, tag, exchange.error.as_deref());
        if self.args.json {
            let answers: Vec<_> = answers.iter().map(as_json).collect();
            let body = json!({ "exchange": exchange, "answers": answers });
            writeln!(out, "{}", with_context(entry.session, entry, "statement", body))?;
            return Ok(());
        }
        let is_allowed = exchange.verdict == "allow";
        let colour = if is_allowed { Colour::Green } else { Colour::Red };
        let head = format!("{}  #{}", time(entry.unix_ns), exchange.number);
        let verdict = format!("{} by {}", visible(&exchange.verdict), visible(&exchange.rule));
        let figures = format!(
            "{}, {}, {}",
            counted(exchange.rows, "row", "rows"),
            bytes(exchange.answer_bytes),
            latency(exchange.latency_us)
        );
        writeln!(
            out,
            "\n{}  {}  {}",
            self.screen.paint.paint(Colour::Dim, &head),
            self.screen.paint.paint(colour, &verdict),
            self.screen.paint.paint(Colour::Dim, &figures)
        )?;
        self.text(exchange, out)?;
        for answer in &answers {
            self.answer(answer, out)?;
        }
        if answers.is_empty() && self.answers.is_lost() {
            self.remark("the answer cannot be shown: bytes before it are missing", out)?;
        } else if answers.is_empty()
            && let Some(error) = &exchange.error
        {
            let line = format!("  error {}", visible(error));
            writeln!(out, "{}", self.screen.paint.paint(Colour::Red, &line))?;
        }
        Ok(())
    }

    /// The statement with its own lines, each of them safe to show.
    fn text(&self, exchange: &Exchange, out: &mut dyn Write) -> Result<(), CommandError> {
        let lines: Vec<_> = exchange.text.lines().collect();
        if lines.len() <= 1 {
            writeln!(out, "  {}", statement(exchange))?;
            return Ok(());
        }
        for line in lines {
            let indent = line.len() - line.trim_start().len();
            writeln!(out, "  {:indent$}{}", "", visible(line), indent = indent.min(40))?;
        }
        let kept = exchange.text.len() as u64;
        if exchange.text_bytes > kept {
            let more = counted(exchange.text_bytes - kept, "more byte", "more bytes");
            self.remark(&more, out)?;
        }
        for (position, value) in exchange.parameters.iter().enumerate() {
            writeln!(out, "  ${} = {}", position + 1, parameter(value))?;
        }
        Ok(())
    }

    fn answer(&self, answer: &Answer, out: &mut dyn Write) -> Result<(), CommandError> {
        for notice in &answer.notices {
            let line = format!("  notice: {}", visible(notice));
            writeln!(out, "{}", self.screen.paint.paint(Colour::Yellow, &line))?;
        }
        if !answer.columns.is_empty() || !answer.rows.is_empty() {
            self.table(answer, out)?;
        }
        if answer.copied_bytes > 0 {
            self.remark(&format!("{} copied", bytes(answer.copied_bytes)), out)?;
        }
        match &answer.ended {
            Some(Ended::Complete(word)) => {
                writeln!(out, "  {}", self.screen.paint.paint(Colour::Dim, &visible(word)))?;
            }
            Some(Ended::Suspended) => self.remark("more rows were left to fetch", out)?,
            Some(Ended::Error { code, message }) => {
                let line = format!("  error {}: {}", visible(code), visible(message));
                writeln!(out, "{}", self.screen.paint.paint(Colour::Red, &line))?;
            }
            None => {}
        }
        Ok(())
    }

    fn table(&self, answer: &Answer, out: &mut dyn Write) -> Result<(), CommandError> {
        let count = answer.rows.iter().map(Vec::len).chain([answer.columns.len()]).max();
        let count = count.unwrap_or(0);
        let name = |position: usize| {
            answer
                .columns
                .get(position)
                .map_or_else(|| format!("column {}", position + 1), |it| visible(&it.name))
        };
        let mut lines = vec![(0..count).map(name).collect::<Vec<_>>()];
        for row in &answer.rows {
            let cell = |cell: &Option<String>| {
                cell.as_deref().map_or_else(
                    || "∅".to_owned(),
                    |text| fit(&visible(text), CELL_WIDTH).into_owned(),
                )
            };
            lines.push(row.iter().map(cell).collect());
        }
        let width = |position: usize| {
            lines.iter().filter_map(|line| line.get(position)).map(|it| it.chars().count()).max()
        };
        let widths: Vec<_> = (0..count).map(|position| width(position).unwrap_or(0)).collect();
        for (number, line) in lines.iter().enumerate() {
            let cells: Vec<_> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let text = format!("  {}", cells.join(" | "));
            writeln!(out, "{}", self.screen.fit(&text).trim_end())?;
            if number == 0 {
                let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
                let text = format!("  {}", rules.join("-+-"));
                writeln!(out, "{}", self.screen.fit(&text))?;
            }
        }
        let shown = answer.rows.len() as u64;
        if answer.row_count > shown {
            let more = counted(answer.row_count - shown, "more row", "more rows");
            self.remark(&format!("{more}; --rows shows more"), out)?;
        }
        Ok(())
    }

    fn end(
        &self,
        entry: &Entry<'_>,
        end: &SessionEnd,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let line = format!("{}  ended: {}", time(entry.unix_ns), visible(&end.reason));
        writeln!(out, "\n{}", self.screen.paint.paint(Colour::Bold, &line))?;
        if let Some(totals) = &end.totals {
            writeln!(
                out,
                "  {}, {} denied, {}, {} to the bot, {} to the target",
                counted(totals.exchanges, "statement", "statements"),
                totals.denied,
                counted(totals.rows, "row", "rows"),
                bytes(totals.downstream_bytes),
                bytes(totals.upstream_bytes)
            )?;
        }
        Ok(())
    }

    fn remark(&self, text: &str, out: &mut dyn Write) -> Result<(), CommandError> {
        writeln!(out, "  {}", self.screen.paint.paint(Colour::Yellow, &format!("({text})")))?;
        Ok(())
    }
}

fn as_json(answer: &Answer) -> serde_json::Value {
    let columns: Vec<_> = answer.columns.iter().map(|column| column.name.as_str()).collect();
    let ended = match &answer.ended {
        Some(Ended::Complete(word)) => json!({ "tag": word }),
        Some(Ended::Suspended) => json!({ "suspended": true }),
        Some(Ended::Error { code, message }) => {
            json!({ "error": { "code": code, "message": message } })
        }
        None => serde_json::Value::Null,
    };
    json!({
        "columns": columns,
        "rows": answer.rows,
        "row_count": answer.row_count,
        "copied_bytes": answer.copied_bytes,
        "notices": answer.notices,
        "ended": ended,
    })
}

const CELL_WIDTH: usize = 60;
