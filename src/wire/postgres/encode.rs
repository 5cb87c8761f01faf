//! Writes messages. Knows shapes, not when they are due.

use crate::wire::CancelKey;
use crate::wire::postgres::message::Status;
use crate::wire::postgres::startup::{Startup, Version};

/// Text that no setting, extension or version makes valid SQL: whoever runs it gets an error.
const POISON: &[u8] = b"refused by narrows";
/// A poisoned Parse names a statement, for an unnamed one would destroy the bot's own.
const POISON_NAME: &[u8] = b"narrows_refused";

pub const SSL_REQUEST_CODE: u32 = 80_877_103;
pub const GSS_REQUEST_CODE: u32 = 80_877_104;
pub const CANCEL_REQUEST_CODE: u32 = 80_877_102;

/// Severity of an ErrorResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Fatal,
}

pub fn error(
    out: &mut Vec<u8>,
    severity: Severity,
    code: &str,
    message: &str,
    hint: Option<&str>,
) -> u64 {
    let severity = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let start = out.len();
    frame(out, b'E', |out| {
        let fields = [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)];
        for (kind, value) in fields.into_iter().chain(hint.map(|hint| (b'H', hint))) {
            out.push(kind);
            string(out, value.as_bytes());
        }
        out.push(0);
    });
    (out.len() - start) as u64
}

pub fn notice(out: &mut Vec<u8>, message: &str) {
    frame(out, b'N', |out| {
        for (kind, value) in [(b'S', "NOTICE"), (b'V', "NOTICE"), (b'C', "00000"), (b'M', message)]
        {
            out.push(kind);
            string(out, value.as_bytes());
        }
        out.push(0);
    });
}

pub fn ready(out: &mut Vec<u8>, status: Status) {
    frame(out, b'Z', |out| out.push(status.letter()));
}

pub fn ask_password(out: &mut Vec<u8>) {
    frame(out, b'R', |out| out.extend(3_u32.to_be_bytes()));
}

pub fn authentication_ok(out: &mut Vec<u8>) {
    frame(out, b'R', |out| out.extend(0_u32.to_be_bytes()));
}

pub fn key_data(out: &mut Vec<u8>, key: &CancelKey) {
    frame(out, b'K', |out| {
        out.extend(key.process_id.to_be_bytes());
        out.extend(&key.secret);
    });
}

pub fn negotiate(out: &mut Vec<u8>, version: Version, unknown: &[String]) {
    frame(out, b'v', |out| {
        out.extend(version.code().to_be_bytes());
        out.extend((unknown.len() as u32).to_be_bytes());
        for name in unknown {
            string(out, name.as_bytes());
        }
    });
}

pub fn ssl_request(out: &mut Vec<u8>) {
    packet(out, |out| out.extend(SSL_REQUEST_CODE.to_be_bytes()));
}

pub fn cancel_request(out: &mut Vec<u8>, key: &CancelKey) {
    packet(out, |out| {
        out.extend(CANCEL_REQUEST_CODE.to_be_bytes());
        out.extend(key.process_id.to_be_bytes());
        out.extend(&key.secret);
    });
}

/// The start-up packet for the target: our user name, the bot's database and settings.
pub fn startup(out: &mut Vec<u8>, user: &str, startup: &Startup) {
    packet(out, |out| {
        out.extend(Version::V3_0.code().to_be_bytes());
        string(out, b"user");
        string(out, user.as_bytes());
        if !startup.database.is_empty() {
            string(out, b"database");
            string(out, startup.database.as_bytes());
        }
        for (name, value) in &startup.settings {
            string(out, name.as_bytes());
            string(out, value.as_bytes());
        }
        out.push(0);
    });
}

pub fn password(out: &mut Vec<u8>, password: &[u8]) {
    frame(out, b'p', |out| string(out, password));
}

pub fn sasl_initial(out: &mut Vec<u8>, mechanism: &str, response: &[u8]) {
    frame(out, b'p', |out| {
        string(out, mechanism.as_bytes());
        out.extend((response.len() as u32).to_be_bytes());
        out.extend(response);
    });
}

pub fn sasl_response(out: &mut Vec<u8>, response: &[u8]) {
    frame(out, b'p', |out| out.extend(response));
}

pub fn poison_query(out: &mut Vec<u8>) {
    frame(out, b'Q', |out| string(out, POISON));
}

pub fn poison_parse(out: &mut Vec<u8>) {
    frame(out, b'P', |out| {
        string(out, POISON_NAME);
        string(out, POISON);
        out.extend(0_u16.to_be_bytes());
    });
}

/// Describe, of a portal.
pub fn describe_portal(out: &mut Vec<u8>, portal: &[u8]) {
    frame(out, b'D', |out| {
        out.push(b'P');
        string(out, portal);
    });
}

pub fn terminate(out: &mut Vec<u8>) {
    frame(out, b'X', |_| {});
}

pub fn frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    packet(out, body);
}

/// A length that counts itself, and a body.
fn packet(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    body(out);
    let length = ((out.len() - start) as u32).to_be_bytes();
    if let Some(field) = out.get_mut(start..start + length.len()) {
        field.copy_from_slice(&length);
    }
}

/// A terminated string. A zero inside would end it early and make the rest a field of its own.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().filter(|byte| **byte != 0));
    out.push(0);
}
