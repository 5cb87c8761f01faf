//! The packets that begin a connection, and which settings a bot may ask for in them.
//! Knows no state: which packet may come when is `open`'s matter.
//! +--------------+-------------+---------------------------------+
//! | length (i32) | code (u32)  | body, by code                   |
//! +--------------+-------------+---------------------------------+

use crate::limits::{CANCEL_SECRET_BYTES_MAX, STARTUP_BYTES_MAX};
use crate::wire::CancelKey;
use crate::wire::postgres::encode::{CANCEL_REQUEST_CODE, GSS_REQUEST_CODE, SSL_REQUEST_CODE};
use crate::wire::postgres::message::{self, Malformed, Reader};
use crate::wire::postgres::reply::Words;

const PREFIX_BYTES: usize = 8;

/// A protocol version that is spoken with bots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V3_0,
    V3_2,
}

impl Version {
    pub const fn code(self) -> u32 {
        match self {
            Self::V3_0 => 0x0003_0000,
            Self::V3_2 => 0x0003_0002,
        }
    }

    /// Length of a cancel secret that a client of this version can take.
    pub const fn secret_bytes(self) -> usize {
        match self {
            Self::V3_0 => 4,
            Self::V3_2 => 32,
        }
    }
}

/// A first packet and its length.
pub enum First {
    Need { bytes: usize },
    Ssl { bytes: usize },
    Gss { bytes: usize },
    Cancel { key: CancelKey },
    Startup { bytes: usize, version: u32, body: std::ops::Range<usize> },
}

/// What a bot asks for at the beginning, reduced to what goes on to the target.
#[derive(Debug)]
pub struct Startup {
    pub version: Version,
    pub user: String,
    pub database: String,
    /// Names from `SETTINGS`, values checked.
    pub settings: Vec<(&'static str, String)>,
}

/// A start-up packet and what has to be negotiated about it.
#[derive(Debug)]
pub struct Asked {
    pub startup: Startup,
    /// Protocol extensions that nobody here knows.
    pub unknown: Vec<String>,
    pub negotiate: bool,
}

/// Cuts the first packet of a connection. Lengths that no client sends are refused before a byte
/// is kept for them.
pub fn first(window: &[u8]) -> Result<First, Malformed> {
    let Some((prefix, _)) = window.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(First::Need { bytes: PREFIX_BYTES });
    };
    let mut reader = Reader::new(prefix);
    let bytes = reader.u32()? as usize;
    let code = reader.u32()?;
    if !(PREFIX_BYTES..=STARTUP_BYTES_MAX).contains(&bytes) {
        return Err(Malformed::Length);
    }
    match code {
        SSL_REQUEST_CODE | GSS_REQUEST_CODE if bytes != PREFIX_BYTES => Err(Malformed::Trailing),
        SSL_REQUEST_CODE => Ok(First::Ssl { bytes }),
        GSS_REQUEST_CODE => Ok(First::Gss { bytes }),
        CANCEL_REQUEST_CODE if bytes > PREFIX_BYTES + 4 + CANCEL_SECRET_BYTES_MAX => {
            Err(Malformed::Secret)
        }
        _ => match window.get(PREFIX_BYTES..bytes) {
            None => Ok(First::Need { bytes }),
            Some(body) if code == CANCEL_REQUEST_CODE => {
                let (process_id, secret) = message::key(body)?;
                Ok(First::Cancel { key: CancelKey { process_id, secret: secret.to_vec() } })
            }
            Some(_) => Ok(First::Startup { bytes, version: code, body: PREFIX_BYTES..bytes }),
        },
    }
}

/// Reads a start-up packet. What is refused is refused in words, for the bot's user made it.
pub fn read(version: u32, body: &[u8]) -> Result<Asked, Words> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        return Err(Words::new(
            "0A000",
            "this protocol version is not spoken here: use 3.0 or 3.2",
        ));
    }
    // 3.1 was never released; it is answered as what it would fall back to.
    let spoken = if minor >= 2 { Version::V3_2 } else { Version::V3_0 };
    let mut asked = Asked {
        startup: Startup {
            version: spoken,
            user: String::new(),
            database: String::new(),
            settings: Vec::new(),
        },
        unknown: Vec::new(),
        negotiate: version != spoken.code(),
    };
    let mut seen: Vec<String> = Vec::new();
    let pairs = pairs(body).map_err(|_| Words::new("08P01", "the start-up packet is malformed"))?;
    for (name, value) in pairs {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(name), std::str::from_utf8(value)) else {
            return Err(Words::new("08P01", "the start-up packet is not valid UTF-8"));
        };
        let key = name.to_ascii_lowercase();
        if seen.contains(&key) {
            return Err(Words::new("08P01", "a start-up parameter is given twice"));
        }
        asked.parameter(name, value)?;
        seen.push(key);
    }
    asked.negotiate |= !asked.unknown.is_empty();
    if asked.startup.user.is_empty() {
        return Err(Words::new("28000", "no user name is given in the start-up packet"));
    }
    Ok(asked)
}

/// A name and a value.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// The packet's pairs: strings in twos, closed by an empty name.
fn pairs(body: &[u8]) -> Result<Vec<Pair<'_>>, Malformed> {
    let mut reader = Reader::new(body);
    let mut pairs = Vec::new();
    loop {
        let name = reader.string()?;
        if name.is_empty() {
            reader.finish()?;
            return Ok(pairs);
        }
        pairs.push((name, reader.string()?));
    }
}

impl Asked {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Words> {
        if name.starts_with("_pq_.") {
            self.unknown.push(name.to_owned());
            return Ok(());
        }
        match name {
            "user" => self.startup.user = value.to_owned(),
            "database" => self.startup.database = value.to_owned(),
            "replication" if is_false(value) => {}
            "replication" => {
                return Err(Words::new("0A000", "replication connections are not supported"));
            }
            "options" if value.trim().is_empty() => {}
            _ => {
                let setting = setting(name, value)?;
                self.startup.settings.push(setting);
            }
        }
        Ok(())
    }
}

fn is_false(value: &str) -> bool {
    ["false", "off", "no", "0", "f", "n"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Settings that a bot may ask for at the beginning, in the server's spelling. They change how
/// values look and how long things may take, never what text means or who one is.
const SETTINGS: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "extra_float_digits",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
];
const SETTING_VALUE_BYTES_MAX: usize = 128;
const APPLICATION_NAME_BYTES_MAX: usize = 63;

fn setting(name: &str, value: &str) -> Result<(&'static str, String), Words> {
    let Some(&name) = SETTINGS.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        let shown: String = printable(name).take(APPLICATION_NAME_BYTES_MAX).collect();
        return Err(Words::new(
            "42704",
            &format!("the start-up parameter \"{shown}\" is not allowed here"),
        )
        .hint("Leave it out of the connection string and use SET after connecting."));
    };
    if name == "application_name" {
        return Ok((name, printable(value).take(APPLICATION_NAME_BYTES_MAX).collect()));
    }
    if value.len() > SETTING_VALUE_BYTES_MAX || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(Words::new("22023", &format!("the value of \"{name}\" is not allowed here")));
    }
    if name == "client_encoding" && !is_plain_encoding(value) {
        return Err(Words::new("22023", "this client_encoding is not allowed here")
            .hint("Connect with client_encoding=UTF8."));
    }
    Ok((name, value.to_owned()))
}

/// UTF-8 by its names, or none at all: what a terminal without a locale asks for.
fn is_plain_encoding(value: &str) -> bool {
    matches!(encoding_key(value.as_bytes()).as_slice(), b"utf8" | b"unicode" | b"sqlascii")
}

/// An encoding's name as the server compares it: letters and digits only, in lower case.
pub fn encoding_key(value: &[u8]) -> Vec<u8> {
    value.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' })
}
