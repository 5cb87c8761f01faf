//! Rows as they cross, byte for byte, in either format.

use crate::support::raw::{Message, Raw, describe, execute, message, parse, sync, transcript};

/// A value of a row; `None` for NULL.
pub type Cell = Option<Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

impl Format {
    pub const BOTH: [Self; 2] = [Self::Text, Self::Binary];

    const fn code(self) -> [u8; 2] {
        match self {
            Self::Text => [0, 0],
            Self::Binary => [0, 1],
        }
    }
}

/// Bind of the unnamed portal: all parameters in one format, all results in another.
pub fn bind(parameters: &[Cell], given: Format, wanted: Format) -> Vec<u8> {
    let mut body = b"\0\0\0\x01".to_vec();
    body.extend(given.code());
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        match parameter {
            Some(bytes) => {
                body.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
                body.extend(bytes);
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body.extend([0, 1]);
    body.extend(wanted.code());
    message(b'B', &body)
}

/// A statement by the extended protocol, described before and after its parameters are bound.
pub fn whole_exchange(sql: &str, parameters: &[Cell], given: Format, wanted: Format) -> Vec<u8> {
    [
        parse("", sql),
        describe('S', ""),
        bind(parameters, given, wanted),
        describe('P', ""),
        execute("", 0),
        sync(),
    ]
    .concat()
}

/// The rows of a statement that must succeed.
pub fn rows(
    raw: &mut Raw,
    sql: &str,
    parameters: &[Cell],
    given: Format,
    wanted: Format,
) -> Vec<Vec<Cell>> {
    raw.send(&whole_exchange(sql, parameters, given, wanted));
    let answers = raw.until_ready();
    let failed = answers.iter().find(|message| message.tag == b'E');
    let said = failed.map(|error| String::from_utf8_lossy(&error.body).into_owned());
    assert_eq!(said, None, "{sql}: {}", transcript(&answers));
    cells(&answers)
}

/// The values of all rows among `answers`.
pub fn cells(answers: &[Message]) -> Vec<Vec<Cell>> {
    let rows = answers.iter().filter(|message| message.tag == b'D');
    rows.map(|message| {
        let (mut row, mut rest) = (Vec::new(), &message.body[2..]);
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            row.push(length.map(|it| tail[..it].to_vec()));
            rest = &tail[length.unwrap_or(0)..];
        }
        row
    })
    .collect()
}
