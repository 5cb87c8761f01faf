//! Decoders of the messages that are looked into. Each proves that nothing is left over.
//! Knows shapes, not states: which message may come when is the relay's matter.

use crate::limits::{CANCEL_SECRET_BYTES_MAX, NAME_BYTES_MAX};
use crate::model::hex::hex;
use crate::model::session::{Leg, Parameter};
use crate::wire::{Column, Fault};

/// How a message is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Length,
    TooLong,
    Short,
    Trailing,
    Unterminated,
    Kind,
    Secret,
    Value,
}

impl Malformed {
    const fn what(self) -> &'static str {
        match self {
            Self::Length => "a message length is impossible",
            Self::TooLong => "a message is too long for its type",
            Self::Short => "a message is shorter than its fields",
            Self::Trailing => "a message is longer than its fields",
            Self::Unterminated => "a string has no end",
            Self::Kind => "a message names neither a statement nor a portal",
            Self::Secret => "a cancel key has an impossible length",
            Self::Value => "a field has an impossible value",
        }
    }

    pub const fn by(self, leg: Leg) -> Fault {
        Fault { leg, what: self.what() }
    }
}

/// Takes fields off the front of a body.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*field)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Counts are unsigned on this wire: a Bind may carry 65,535 parameters.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        self.array().map(|field| usize::from(u16::from_be_bytes(field)))
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (field, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(field)
    }

    /// A string without its terminating zero.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.rest).ok_or(Malformed::Unterminated)?;
        let (field, rest) = self.rest.split_at_checked(end).ok_or(Malformed::Short)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(field)
    }

    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    pub const fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// Query: one string.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let text = reader.string()?;
    reader.finish()?;
    Ok(text)
}

pub struct Parse<'a> {
    pub name: &'a [u8],
    pub text: &'a [u8],
}

pub fn parse(body: &[u8]) -> Result<Parse<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let name = reader.string()?;
    let text = reader.string()?;
    let types = reader.count()?;
    reader.bytes(types * 4)?;
    reader.finish()?;
    Ok(Parse { name, text })
}

pub struct Bind<'a> {
    pub portal: &'a [u8],
    pub statement: &'a [u8],
    pub parameters: Vec<Parameter>,
}

/// Reads a Bind of which `body` is all, or with `whole` false the beginning. Parameters that the
/// beginning does not hold are summed up in `Long` entries: the one that is cut by its own length,
/// those behind it by the bytes that follow.
pub fn bind(body: &[u8], body_bytes: usize, whole: bool) -> Result<Bind<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let portal = reader.string()?;
    let statement = reader.string()?;
    let format_count = reader.count()?;
    let mut formats = Reader::new(reader.bytes(format_count * 2)?);
    let count = reader.count()?;
    if format_count > 1 && format_count != count {
        return Err(Malformed::Value);
    }
    let single = if format_count == 1 { formats.count()? } else { 0 };
    let mut parameters = Vec::with_capacity(count.min(64));
    for at in 0..count {
        let binary = if format_count > 1 { formats.count()? } else { single } != 0;
        let Some(length) = parameter_length(&mut reader, whole)? else {
            parameters.push(Parameter::Long((body_bytes - body.len()) as u64));
            return Ok(Bind { portal, statement, parameters });
        };
        let Some(length) = length else {
            parameters.push(Parameter::Null);
            continue;
        };
        match reader.bytes(length) {
            Ok(value) => parameters.push(parameter(value, binary)),
            Err(malformed) if whole => return Err(malformed),
            Err(_) => {
                let behind = (body_bytes - body.len() + reader.remaining().len())
                    .checked_sub(length)
                    .ok_or(Malformed::Short)?;
                parameters.push(Parameter::Long(length as u64));
                if at + 1 < count {
                    parameters.push(Parameter::Long(behind as u64));
                }
                return Ok(Bind { portal, statement, parameters });
            }
        }
    }
    if whole {
        let results = reader.count()?;
        reader.bytes(results * 2)?;
        reader.finish()?;
    }
    Ok(Bind { portal, statement, parameters })
}

/// The outer `None`: the beginning ends before this length. The inner: the parameter is null.
fn parameter_length(
    reader: &mut Reader<'_>,
    whole: bool,
) -> Result<Option<Option<usize>>, Malformed> {
    match reader.i32() {
        Ok(-1) => Ok(Some(None)),
        Ok(length) => usize::try_from(length).map(|l| Some(Some(l))).map_err(|_| Malformed::Value),
        Err(malformed) if whole => Err(malformed),
        Err(_) => Ok(None),
    }
}

fn parameter(value: &[u8], binary: bool) -> Parameter {
    match std::str::from_utf8(value) {
        Ok(text) if !binary => Parameter::Text(text.to_owned()),
        Ok(_) | Err(_) => Parameter::Binary(hex(value)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    Statement(&'a [u8]),
    Portal(&'a [u8]),
}

/// Describe and Close: a kind and a name.
pub fn named(body: &[u8]) -> Result<Named<'_>, Malformed> {
    let mut reader = Reader::new(body);
    let kind = reader.byte()?;
    let name = reader.string()?;
    reader.finish()?;
    match kind {
        b'S' => Ok(Named::Statement(name)),
        b'P' => Ok(Named::Portal(name)),
        _ => Err(Malformed::Kind),
    }
}

/// Execute: a portal and a row limit.
pub fn execute(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let portal = reader.string()?;
    reader.i32()?;
    reader.finish()?;
    Ok(portal)
}

/// A message that consists of its header.
pub const fn empty(body: &[u8]) -> Result<(), Malformed> {
    if body.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
}

pub const fn name_is_too_long(name: &[u8]) -> bool {
    name.len() > NAME_BYTES_MAX
}

pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let name = reader.string()?;
    let value = reader.string()?;
    reader.finish()?;
    Ok((name, value))
}

/// BackendKeyData and the end of a CancelRequest: a process id and a secret as long as the rest.
pub fn key(body: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let process_id = reader.u32()?;
    let secret = reader.remaining();
    if secret.is_empty() || secret.len() > CANCEL_SECRET_BYTES_MAX {
        return Err(Malformed::Secret);
    }
    Ok((process_id, secret))
}

/// RowDescription. Names are left out: they are what the bot called the columns.
pub fn columns(body: &[u8]) -> Result<Vec<Column>, Malformed> {
    let mut reader = Reader::new(body);
    let count = reader.count()?;
    let mut columns = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        reader.string()?;
        let table = reader.u32()?;
        let attribute = i16::from_be_bytes(reader.array()?);
        let type_oid = reader.u32()?;
        reader.bytes(2)?;
        let type_modifier = reader.i32()?;
        let binary = format(&mut reader)?;
        columns.push(Column { table, attribute, type_oid, type_modifier, binary });
    }
    reader.finish()?;
    Ok(columns)
}

/// CopyOutResponse: how many columns, and whether in binary.
pub fn copy_out(body: &[u8]) -> Result<(usize, bool), Malformed> {
    let mut reader = Reader::new(body);
    let binary = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(Malformed::Value),
    };
    let count = reader.count()?;
    for _ in 0..count {
        if format(&mut reader)? != binary {
            return Err(Malformed::Value);
        }
    }
    reader.finish()?;
    Ok((count, binary))
}

/// A format code: 0 is text, 1 is binary.
fn format(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.count()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Value),
    }
}

/// Transaction status, as ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Idle,
    InTransaction,
    Failed,
}

impl Status {
    pub const fn letter(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }
}

pub const fn ready(body: &[u8]) -> Result<Status, Malformed> {
    match body {
        b"I" => Ok(Status::Idle),
        b"T" => Ok(Status::InTransaction),
        b"E" => Ok(Status::Failed),
        _ => Err(Malformed::Value),
    }
}

/// What the beginning of an ErrorResponse tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorHead {
    /// The connection ends with this error.
    pub fatal: bool,
    /// SQLSTATE; some servers send none.
    pub code: Option<String>,
    pub message: Option<String>,
}

/// Reads an ErrorResponse of which `body` is all, or with `whole` false the beginning.
pub fn error(body: &[u8], whole: bool) -> Result<ErrorHead, Malformed> {
    let mut head = ErrorHead::default();
    let mut reader = Reader::new(body);
    loop {
        match reader.byte() {
            Ok(0) => {
                reader.finish()?;
                return Ok(head);
            }
            Ok(kind) => match reader.string() {
                Ok(value) => head.field(kind, value),
                Err(malformed) if whole => return Err(malformed),
                Err(_) => return Ok(head),
            },
            Err(malformed) if whole => return Err(malformed),
            Err(_) => return Ok(head),
        }
    }
}

impl ErrorHead {
    fn field(&mut self, kind: u8, value: &[u8]) {
        match kind {
            // The severity stands in the server's language in `S`, in English in `V`.
            b'S' | b'V' => self.fatal |= matches!(value, b"FATAL" | b"PANIC"),
            b'C' => self.code = Some(String::from_utf8_lossy(value).into_owned()),
            b'M' => self.message = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {}
        }
    }
}

/// The row count that ends a completion tag, if one does.
pub fn tag_rows(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok())
}
