//! What a bot saw, from the recorded answer bytes of a PostgreSQL session: rows, completions and
//! errors. Only as much of the protocol as showing needs; what it cannot follow it says, and it
//! never decides anything.
//!
//! ```text
//! +-----+--------------+------------------+
//! | tag | length (i32) | body: length - 4 |
//! +-----+--------------+------------------+
//! ```

use std::collections::VecDeque;

/// One answer to one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub columns: Vec<Column>,
    /// The first rows; `row_count` says how many there were.
    pub rows: Vec<Vec<Option<String>>>,
    pub row_count: u64,
    /// Bytes of COPY data.
    pub copied_bytes: u64,
    pub notices: Vec<String>,
    pub ended: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    oid: u32,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Binary,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Complete(String),
    /// More rows can be fetched.
    Suspended,
    Error {
        code: String,
        message: String,
    },
}

/// Reads the bytes that went to the bot and gathers answers.
#[derive(Default)]
pub struct Answers {
    window: Vec<u8>,
    /// Bytes of a message that is too large to be shown.
    skip: usize,
    columns: Vec<Column>,
    current: Answer,
    ready: VecDeque<Answer>,
    state: State,
    rows_max: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Following,
    /// Bytes are missing or are no messages: nothing more is shown.
    Lost,
}

impl Answers {
    #[must_use]
    pub fn new(rows_max: usize) -> Self {
        Self { rows_max, ..Self::default() }
    }

    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.state == State::Lost {
            return;
        }
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        self.window.extend_from_slice(bytes);
        let window = std::mem::take(&mut self.window);
        let mut rest = window.as_slice();
        while let Some((&[tag, a, b, c, d], after)) = rest.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            let Some(body_bytes) = length.checked_sub(4).filter(|_| length <= MESSAGE_BYTES_MAX)
            else {
                self.state = State::Lost;
                return;
            };
            match after.split_at_checked(body_bytes) {
                Some((body, after)) => {
                    self.message(tag, body);
                    rest = after;
                }
                None if body_bytes > SHOWN_BYTES_MAX => {
                    self.skip = body_bytes - after.len();
                    self.large(tag, body_bytes);
                    rest = &[];
                }
                None => break,
            }
        }
        self.window = rest.to_vec();
    }

    /// Bytes are missing here.
    pub fn lose(&mut self) {
        self.state = State::Lost;
    }

    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// The answers that belong to an exchange with this many rows and this end. Text with several
    /// statements has several.
    pub fn take(&mut self, rows: u64, tag: Option<&str>, error: Option<&str>) -> Vec<Answer> {
        let mut taken = Vec::new();
        let mut counted = 0;
        while let Some(answer) = self.ready.pop_front() {
            counted += answer.row_count;
            let is_end = match &answer.ended {
                Some(Ended::Complete(word)) => Some(word.as_str()) == tag || tag.is_none(),
                Some(Ended::Error { code, .. }) => error.is_none_or(|error| error == code),
                Some(Ended::Suspended) | None => true,
            };
            taken.push(answer);
            if is_end && counted >= rows {
                break;
            }
        }
        taken
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        match tag {
            b'T' => {
                self.columns = columns(body).unwrap_or_default();
                self.current.columns.clone_from(&self.columns);
            }
            b'D' => {
                self.current.row_count += 1;
                if self.current.rows.len() < self.rows_max
                    && let Some(row) = row(body, &self.columns)
                {
                    self.current.rows.push(row);
                }
            }
            b'd' => self.current.copied_bytes += body.len() as u64,
            b'N' => self.current.notices.push(fields(body).1),
            b'C' => self.end(Ended::Complete(text(body))),
            b'I' => self.end(Ended::Complete(String::new())),
            b's' => self.end(Ended::Suspended),
            b'E' => {
                let (code, message) = fields(body);
                self.end(Ended::Error { code, message });
            }
            _ => {}
        }
    }

    fn large(&mut self, tag: u8, body_bytes: usize) {
        match tag {
            b'D' => {
                self.current.row_count += 1;
                if self.current.rows.len() < self.rows_max {
                    self.current.rows.push(vec![Some(format!("(a row of {body_bytes} bytes)"))]);
                }
            }
            b'd' => self.current.copied_bytes += body_bytes as u64,
            _ => {}
        }
    }

    fn end(&mut self, ended: Ended) {
        let mut answer = std::mem::take(&mut self.current);
        // A statement that was described earlier is not described again when it runs.
        if answer.columns.is_empty() && answer.row_count > 0 {
            answer.columns.clone_from(&self.columns);
        }
        answer.ended = Some(ended);
        self.ready.push_back(answer);
        if self.ready.len() > ANSWERS_MAX {
            self.ready.pop_front();
        }
    }
}

/// Cursor over a message body; `None` where it ends too early.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn string(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fn columns(body: &[u8]) -> Option<Vec<Column>> {
    let mut body = Body(body);
    let count = body.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let name = body.string()?;
        // Table and attribute number.
        body.take(6)?;
        let oid = body.u32()?;
        // Type length and modifier.
        body.take(6)?;
        let format = if body.u16()? == 1 { Format::Binary } else { Format::Text };
        columns.push(Column { name, oid, format });
    }
    Some(columns)
}

fn row(body: &[u8], columns: &[Column]) -> Option<Vec<Option<String>>> {
    let mut body = Body(body);
    let count = body.u16()?;
    let mut cells = Vec::new();
    for position in 0..usize::from(count) {
        let length = body.u32()?;
        if length == u32::MAX {
            cells.push(None);
            continue;
        }
        let bytes = body.take(length as usize)?;
        cells.push(Some(cell(bytes, columns.get(position))));
    }
    Some(cells)
}

/// A cell as text. A statement that was described before it was bound says `text` of columns that
/// then come in binary, so bytes that cannot be text are read as binary whatever was said.
fn cell(bytes: &[u8], column: Option<&Column>) -> String {
    let is_text = std::str::from_utf8(bytes)
        .is_ok_and(|text| text.chars().all(|it| !it.is_control() || it.is_whitespace()));
    let (oid, format) = column.map_or((0, Format::Text), |column| (column.oid, column.format));
    if format == Format::Text && is_text {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    // Control characters that are no binary value of a known type: the screen spells them out.
    let is_shown_as_text = !bytes.contains(&0);
    binary(bytes, oid).unwrap_or_else(|| match std::str::from_utf8(bytes) {
        Ok(text) if is_shown_as_text => text.to_owned(),
        Ok(_) | Err(_) => hex(bytes),
    })
}

/// The binary forms of common types.
fn binary(bytes: &[u8], oid: u32) -> Option<String> {
    Some(match oid {
        BOOL => if bytes == [0] { "f" } else { "t" }.to_owned(),
        INT2 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        INT4 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        OID => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        INT8 => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        FLOAT4 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        FLOAT8 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        UUID => uuid::Uuid::from_slice(bytes).ok()?.to_string(),
        DATE => {
            let days = i64::from(i32::from_be_bytes(bytes.try_into().ok()?));
            let seconds = (days + EPOCH_DAYS).checked_mul(86_400)?;
            jiff::Timestamp::from_second(seconds).ok()?.strftime("%Y-%m-%d").to_string()
        }
        TIMESTAMP | TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(bytes.try_into().ok()?);
            let micros = micros.checked_add(EPOCH_DAYS * 86_400 * 1_000_000)?;
            let at = jiff::Timestamp::from_microsecond(micros).ok()?;
            let zone = if oid == TIMESTAMPTZ { "+00" } else { "" };
            format!("{}{zone}", at.strftime("%Y-%m-%d %H:%M:%S%.f"))
        }
        JSONB => String::from_utf8(bytes.strip_prefix(&[1])?.to_vec()).ok()?,
        _ => return None,
    })
}

/// Code and message of an error or notice.
fn fields(body: &[u8]) -> (String, String) {
    let mut body = Body(body);
    let (mut code, mut message) = (String::new(), String::new());
    while let Some(&[tag]) = body.take(1).filter(|tag| *tag != [0]).and_then(<[u8]>::first_chunk) {
        let Some(value) = body.string() else { break };
        match tag {
            b'C' => code = value,
            b'M' => message = value,
            _ => {}
        }
    }
    (code, message)
}

fn text(body: &[u8]) -> String {
    Body(body).string().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let shown: String = bytes.iter().take(HEX_BYTES).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > HEX_BYTES {
        format!("\\x{shown}… ({} bytes)", bytes.len())
    } else {
        format!("\\x{shown}")
    }
}

const BOOL: u32 = 16;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const DATE: u32 = 1082;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const UUID: u32 = 2950;
const JSONB: u32 = 3802;
/// PostgreSQL counts from 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// The server's own bound on a message.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// A larger message is counted and passed over.
const SHOWN_BYTES_MAX: usize = 1024 * 1024;
/// Answers that no exchange has asked for; older ones are dropped.
const ANSWERS_MAX: usize = 1024;
const HEX_BYTES: usize = 64;

#[cfg(test)]
mod tests;
