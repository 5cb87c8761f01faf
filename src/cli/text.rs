//! Values as people read them, and foreign text made harmless. Knows terminals; nothing of what the
//! values mean.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;

use crate::model::inert::{acts, escape_where};

/// Whether text may carry colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Coloured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Cyan,
    Dim,
    Bold,
}

impl Paint {
    /// Colour on a terminal only, and nowhere if `NO_COLOR` says so (no-color.org) or the terminal
    /// is a dumb one.
    #[must_use]
    pub fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !unwanted && !dumb {
            Self::Coloured
        } else {
            Self::Plain
        }
    }

    #[must_use]
    pub fn paint(self, colour: Colour, text: &str) -> String {
        let code = match (self, colour) {
            (Self::Plain, _) => return text.to_owned(),
            (Self::Coloured, Colour::Bold) => 1,
            (Self::Coloured, Colour::Dim) => 2,
            (Self::Coloured, Colour::Red) => 31,
            (Self::Coloured, Colour::Green) => 32,
            (Self::Coloured, Colour::Yellow) => 33,
            (Self::Coloured, Colour::Cyan) => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Text from a peer or a recording on one line, without anything that a terminal acts upon: control
/// characters, line ends, and what reorders or hides text are shown by their codes.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, acts)
}

/// The same for text of any shape: runs of white space become one space first.
#[must_use]
pub fn visible(text: &str) -> String {
    let words: Vec<_> =
        text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    escape(&words.join(" ")).into_owned()
}

/// As `escape`, but line feeds and tabs stay: for text that is shown as a block.
#[must_use]
pub fn escape_block(text: &str) -> Cow<'_, str> {
    escape_where(text, |character| acts(character) && !matches!(character, '\n' | '\t'))
}

/// `escape` for bytes: what is not UTF-8 is shown by its codes too.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        safe.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

/// Columns that the text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// At most `columns_max` columns of the text; what was cut is shown by an ellipsis.
#[must_use]
pub fn fit(text: &str, columns_max: usize) -> Cow<'_, str> {
    if width(text) <= columns_max {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut room = columns_max.saturating_sub(1);
    for character in text.chars() {
        let Some(rest) = room.checked_sub(columns(character)) else { break };
        room = rest;
        kept.push(character);
    }
    if columns_max > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// Two for the East Asian wide blocks and for pictures, none for marks that combine, else one. The
/// blocks are the coarse ones: a rare script may stand a column off, and nothing else.
fn columns(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x0591..=0x05bd
        | 0x064b..=0x065f
        | 0x0e34..=0x0e3a
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x1fa70..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// `1.5 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count.saturating_mul(10) / 1024, "KiB");
    for larger in UNITS.iter().skip(1) {
        if tenths < 10 * 1024 {
            break;
        }
        (tenths, unit) = (tenths / 1024, larger);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// `830 µs`, `1.8 ms`, `2.35 s`.
#[must_use]
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// The two largest units of a span: `3d 4h`, `12m 5s`.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d {}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

/// `2026-11-23T13:46:54.123Z`.
#[must_use]
pub fn moment(unix_ns: u64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(moment) => format!("{moment:.3}"),
        // Out of the calendar: a recording may say anything.
        Err(_) => format!("{unix_ns} ns"),
    }
}

/// The digits of a number in groups of three: `12,345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 row`, `2,345 rows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
