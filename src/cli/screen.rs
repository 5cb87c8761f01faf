//! What commands over recordings share: the screen, what of a recording stands on it, and how a
//! command fails. Knows recordings; how text is made harmless and fitted is `text`'s matter.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::cli::complain;
use crate::cli::text::{self, Paint, counted, visible};
use crate::model::session::{Exchange, Parameter, SessionId};
use crate::observe::log::chain;
use crate::record::reader::{FindError, ReadError};

/// Why a command over recordings cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    #[error("cannot render the output")]
    Render(#[from] serde_json::Error),
    #[error("the pattern is not a regular expression: {0}")]
    Pattern(String),
}

/// Turns a command's outcome into an exit code. A reader of ours that went away is no failure.
pub fn conclude(outcome: Result<ExitCode, CommandError>, failed: u8) -> ExitCode {
    let error = match outcome {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let CommandError::Write(write) = &error
        && write.kind() == io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    complain(&chain(&error));
    ExitCode::from(failed)
}

/// What the output is shown on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    pub paint: Paint,
    /// Columns to fit lines to; `None` for files and pipes, which take lines of any length.
    pub width: Option<usize>,
}

impl Screen {
    /// What standard output is.
    #[must_use]
    pub fn stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::plain();
        }
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self { paint: Paint::for_stdout(), width }
    }

    #[must_use]
    pub const fn plain() -> Self {
        Self { paint: Paint::Plain, width: None }
    }

    /// As much of a line as there is room for.
    #[must_use]
    pub fn fit(self, line: &str) -> Cow<'_, str> {
        self.width.map_or(Cow::Borrowed(line), |width| text::fit(line, width))
    }
}

/// Date and time of day, UTC, to the millisecond.
#[must_use]
pub fn time(unix_ns: u64) -> String {
    timestamp(unix_ns).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// The same as machines read it.
#[must_use]
pub fn rfc3339(unix_ns: u64) -> String {
    timestamp(unix_ns).strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn timestamp(unix_ns: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// The part of a session's id that tells it from its neighbours: its end, since the beginning is
/// the time.
#[must_use]
pub fn short(id: SessionId) -> String {
    let text = id.0.simple().to_string();
    text.get(text.len().saturating_sub(SHORT_ID)..).unwrap_or_default().to_owned()
}

#[must_use]
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

#[must_use]
pub fn latency(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{:.1}ms", micros as f64 / 1e3),
        _ => format!("{:.2}s", micros as f64 / 1e6),
    }
}

/// An exchange's text with its parameters, on one line.
#[must_use]
pub fn statement(exchange: &Exchange) -> String {
    let mut out = visible(&exchange.text);
    let kept = exchange.text.len() as u64;
    if exchange.text_bytes > kept {
        let more = counted(exchange.text_bytes - kept, "more byte", "more bytes");
        out.push_str(&format!(" … ({more})"));
    }
    if !exchange.parameters.is_empty() {
        let list: Vec<_> = exchange
            .parameters
            .iter()
            .enumerate()
            .map(|(position, it)| format!("${} = {}", position + 1, parameter(it)))
            .collect();
        out.push_str(&format!(" [{}]", list.join(", ")));
    }
    out
}

#[must_use]
pub fn parameter(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Null => "null".to_owned(),
        Parameter::Text(text) => format!("'{}'", visible(text).replace('\'', "''")),
        Parameter::Binary(hex) => format!("\\x{}", visible(hex)),
        Parameter::Long(bytes) => format!("({bytes} bytes)"),
    }
}

const SHORT_ID: usize = 8;

#[cfg(test)]
mod tests;
