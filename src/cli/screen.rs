//! What commands over recordings share: text that cannot steer a terminal, times, widths, colours,
//! and how a command fails.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::cli::text::counted;
use crate::cli::{chain, complain};
use crate::model::session::{Exchange, Parameter, SessionId};
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
    pub colour: Colour,
    /// Columns to fit lines to; `None` for files and pipes, which take lines of any length.
    pub width: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Ansi,
    None,
}

impl Screen {
    /// What standard output is.
    #[must_use]
    pub fn stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::plain();
        }
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if wants_none { Colour::None } else { Colour::Ansi };
        let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self { colour, width }
    }

    #[must_use]
    pub const fn plain() -> Self {
        Self { colour: Colour::None, width: None }
    }

    #[must_use]
    pub fn paint(self, ink: Ink, text: &str) -> String {
        match self.colour {
            Colour::Ansi => format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code()),
            Colour::None => text.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Good,
    Bad,
    Warning,
    Faint,
    Strong,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31;1",
            Self::Warning => "33",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// `text` on one line: white space becomes one space, and whatever could steer a terminal or turn
/// the reading direction is spelt out.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for character in text.chars() {
        if matches!(character, ' ' | '\t' | '\n' | '\r') {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push(' ');
            gap = false;
        }
        push_visible(&mut out, character);
    }
    out
}

/// As `visible`, for bytes: keeps white space apart, and spells out what is not text.
#[must_use]
pub fn visible_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                other => push_visible(&mut out, other),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

fn push_visible(out: &mut String, character: char) {
    let code = u32::from(character);
    if character.is_control() && code < 0x100 {
        out.push_str(&format!("\\x{code:02x}"));
    } else if character.is_control() || INVISIBLE.iter().any(|range| range.contains(&code)) {
        out.push_str(&format!("\\u{{{code:x}}}"));
    } else {
        out.push(character);
    }
}

/// At most `width` characters of `text`; an ellipsis shows that there were more.
#[must_use]
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
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
/// Characters that take no place, join others, or turn the reading direction.
const INVISIBLE: [std::ops::RangeInclusive<u32>; 6] = [
    0x200b..=0x200f,
    0x2028..=0x202e,
    0x2060..=0x206f,
    0xfeff..=0xfeff,
    0xfff9..=0xfffb,
    0xe0000..=0xe007f,
];

#[cfg(test)]
mod tests;
