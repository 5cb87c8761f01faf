//! One session in a form that other programs read. Knows no protocol: `raw` is the wire as it was.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::json;

use crate::model::session::{Exchange, Parameter, SessionId};
use crate::record::reader::{Entry, EntryKind, ReadError, Wanted, read};
use crate::record::run::Flow as Direction;

/// How a session is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object for the start, each exchange and the end.
    JsonLines,
    /// The statements, those that were refused as comments.
    Sql,
    /// The bytes of one direction.
    Raw(Direction),
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write the export")]
    Write(#[from] io::Error),
}

/// Writes `session` to `out`. `time` renders a time stamp for readers.
pub fn export(
    dir: &Path,
    session: SessionId,
    format: Format,
    time: fn(u64) -> String,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let mut written = Ok(());
    read(dir, Wanted::Session(session), &mut |entry: Entry<'_>| {
        written = match format {
            Format::JsonLines => json_line(&entry, time, out),
            Format::Sql => sql(&entry, time, out),
            Format::Raw(direction) => raw(&entry, direction, out),
        };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(written?)
}

fn json_line(entry: &Entry<'_>, time: fn(u64) -> String, out: &mut dyn Write) -> io::Result<()> {
    let (event, body) = match &entry.kind {
        EntryKind::Start(start) => ("session_start", json!(start)),
        EntryKind::Exchange(exchange) => ("statement", json!(exchange)),
        EntryKind::End(end) => ("session_end", json!(end)),
        EntryKind::Lost(loss) => ("loss", json!(loss)),
        EntryKind::Damaged { at, error, .. } => {
            ("damage", json!({ "at": at, "error": error.to_string() }))
        }
        EntryKind::Run { .. }
        | EntryKind::LostElsewhere(_)
        | EntryKind::Recovered(_)
        | EntryKind::ClockStep(_) => return Ok(()),
    };
    let whole = json!({
        "time": time(entry.unix_ns),
        "session": entry.session,
        "account": entry.account,
        "target": entry.target,
        "event": event,
        "body": body,
    });
    writeln!(out, "{whole}")
}

fn sql(entry: &Entry<'_>, time: fn(u64) -> String, out: &mut dyn Write) -> io::Result<()> {
    let at = time(entry.unix_ns);
    match &entry.kind {
        EntryKind::Start(start) => {
            let who = one_line(&format!("{}@{}", start.account, start.target));
            let database = one_line(&start.database);
            writeln!(out, "-- {at} session {} of {who} in {database}", entry.session)
        }
        EntryKind::Exchange(exchange) => statement(exchange, &at, out),
        EntryKind::End(end) => writeln!(out, "-- {at} ended: {}", one_line(&end.reason)),
        EntryKind::Lost(loss) => {
            writeln!(out, "-- {} blocks could not be recorded here", loss.blocks)
        }
        EntryKind::Damaged { at, .. } => writeln!(out, "-- the recording is damaged at {at}"),
        EntryKind::Run { .. }
        | EntryKind::LostElsewhere(_)
        | EntryKind::Recovered(_)
        | EntryKind::ClockStep(_) => Ok(()),
    }
}

/// Nothing that a bot wrote into a refused statement may become one that runs: such lines are
/// comments, each of them.
fn statement(exchange: &Exchange, at: &str, out: &mut dyn Write) -> io::Result<()> {
    let verdict = one_line(&exchange.verdict);
    write!(out, "\n-- {at} #{} {verdict} by {}", exchange.number, one_line(&exchange.rule))?;
    match &exchange.error {
        Some(error) => writeln!(out, ", error {}", one_line(error))?,
        None => writeln!(out, ", {} rows", exchange.rows)?,
    }
    for (position, parameter) in exchange.parameters.iter().enumerate() {
        let value = match parameter {
            Parameter::Null => "null".to_owned(),
            Parameter::Text(text) => format!("'{}'", one_line(&text.replace('\'', "''"))),
            Parameter::Binary(hex) => format!("'\\x{}'", one_line(hex)),
            Parameter::Long(bytes) => format!("({bytes} bytes)"),
        };
        writeln!(out, "-- ${} = {value}", position + 1)?;
    }
    let is_whole = exchange.text.len() as u64 == exchange.text_bytes;
    if exchange.verdict == "allow" && is_whole {
        let text = exchange.text.trim_end();
        // On a line of its own: the text may end in a comment.
        return if text.ends_with(';') {
            writeln!(out, "{text}")
        } else {
            writeln!(out, "{text}\n;")
        };
    }
    if !is_whole {
        let kept = exchange.text.len();
        writeln!(out, "-- the first {kept} of {} bytes:", exchange.text_bytes)?;
    }
    exchange.text.split(['\n', '\r']).try_for_each(|line| writeln!(out, "-- {line}"))
}

fn raw(entry: &Entry<'_>, direction: Direction, out: &mut dyn Write) -> io::Result<()> {
    match &entry.kind {
        EntryKind::Run { kind, bytes } if kind.flow() == direction => out.write_all(bytes),
        EntryKind::Run { .. }
        | EntryKind::Start(_)
        | EntryKind::Exchange(_)
        | EntryKind::End(_)
        | EntryKind::Lost(_)
        | EntryKind::LostElsewhere(_)
        | EntryKind::Recovered(_)
        | EntryKind::ClockStep(_)
        | EntryKind::Damaged { .. } => Ok(()),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}
