//! What is said of a request: to programs as it is, signed by Standard Webhooks; to people in a chat
//! by blocks of text that nothing is read out of. Knows no network.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::api::{ApprovalLine, VoteLine};
use crate::limits::CHAT_TEXT_BYTES_MAX;
use crate::model::identity::ClaimValue;
use crate::model::inert::{acts, escape_where};
use crate::model::session::Parameter;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the stored news cannot be read")]
    Stored(#[from] serde_json::Error),
    #[error("what stands behind `whsec_` in the secret is not base64")]
    Secret(#[source] base64::DecodeError),
}

#[derive(Deserialize)]
struct News {
    #[serde(rename = "type")]
    kind: String,
    data: ApprovalLine,
}

/// Standard Webhooks 1.0: HMAC-SHA256 over number, time and body, by the key that `whsec_` precedes
/// in base64, or by the secret as it is.
pub fn signature(secret: &[u8], id: &str, unix_s: u64, body: &str) -> Result<String, MessageError> {
    let decoded = secret.strip_prefix(b"whsec_").map(|text| STANDARD.decode(text)).transpose();
    let decoded = decoded.map_err(MessageError::Secret)?.map(zeroize::Zeroizing::new);
    let key = decoded.as_ref().map_or(secret, |bytes| bytes.as_slice());
    let signed = format!("{id}.{unix_s}.{body}");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

/// The message for an incoming webhook of Slack. The command stands in preformatted text and all else
/// in plain text: neither is searched for marks, links or names.
pub fn slack(news: &str) -> Result<String, MessageError> {
    let News { kind, data: line } = serde_json::from_str(news)?;
    let head = headline(&kind, &line);
    let mut blocks = vec![json!({ "type": "section", "text": plain_text(&head) })];
    let mut notes = vec![format!("hash {}", line.hash), format!("rule {}", line.rule)];
    if kind == "approval.created" {
        let (command, is_whole) = shown(&command(&line));
        if !is_whole {
            let warning = "Too long to be shown here in full. Read all of it before you decide.";
            blocks.push(json!({ "type": "section", "text": plain_text(warning) }));
        }
        blocks.push(json!({
            "type": "rich_text",
            "elements": [{
                "type": "rich_text_preformatted",
                "elements": [{ "type": "text", "text": command }],
            }],
        }));
        notes.extend(circumstances(&line));
        notes.push(format!("narrows approvals show {}", line.id));
    }
    let notes: Vec<Value> =
        notes.iter().take(SLACK_ELEMENTS_MAX).map(|note| plain_text(note)).collect();
    blocks.push(json!({ "type": "context", "elements": notes }));
    // The text of the notification is searched for marks: it has nothing of the bot's in it.
    let text = format!("Narrows: {} {}", line.id, line.state.word());
    Ok(json!({ "text": text, "blocks": blocks }).to_string())
}

fn headline(kind: &str, line: &ApprovalLine) -> String {
    let ApprovalLine { id, account, target, database, .. } = line;
    let by = |approve: bool| {
        let votes = line.votes.iter().filter(|vote| vote.approve == approve);
        votes.map(|VoteLine { by, .. }| by.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (kind, &line.reason) {
        ("approval.created", _) => {
            format!("{account} asks to run this on {target}, database {database} ({id})")
        }
        ("approval.decided", Some(reason)) => {
            format!("{id} of {account} was rejected by {}: {reason}", by(false))
        }
        ("approval.decided", None) => format!("{id} of {account} was approved by {}", by(true)),
        ("approval.used", _) => format!("{id}: {account} has run it on {target}"),
        (_, _) => format!("{id} of {account} is {}", line.state.word()),
    }
}

/// What else a reviewer should know before looking closer.
fn circumstances(line: &ApprovalLine) -> Vec<String> {
    let mut notes = vec![format!("from {}, {}", line.peer, line.subject)];
    for claim in ["repository", "ref", "actor", "triggering_actor", "user_login"] {
        if let Some(ClaimValue::Text(value)) = line.claims.get(claim) {
            notes.push(format!("{claim} {value}"));
        }
    }
    if line.in_transaction {
        notes.push("a transaction is open: what it has locked stays locked".to_owned());
    }
    notes
}

fn command(line: &ApprovalLine) -> String {
    let mut text = line.text.clone();
    for (at, parameter) in line.parameters.iter().enumerate() {
        let value = match parameter {
            Parameter::Null => "NULL".to_owned(),
            Parameter::Text(text) => format!("'{text}'"),
            Parameter::Binary(hex) => format!("\\x{hex}"),
            Parameter::Long(bytes) => format!("({bytes} bytes)"),
        };
        text.push_str(&format!("\n${} = {value}", at + 1));
    }
    text
}

/// The command, and whether it is there in full. What is too long has its beginning and its end, and
/// between them how much is missing.
fn shown(command: &str) -> (String, bool) {
    let inert = escape_where(command, |c| acts(c) && !matches!(c, '\n' | '\t'));
    if inert.len() <= CHAT_TEXT_BYTES_MAX {
        return (inert.into_owned(), true);
    }
    let head = inert.get(..inert.floor_char_boundary(CHAT_TEXT_BYTES_MAX * 2 / 3));
    let tail = inert.get(inert.ceil_char_boundary(inert.len() - CHAT_TEXT_BYTES_MAX / 4)..);
    let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
    let missing = inert.len() - head.len() - tail.len();
    (format!("{head}\n\n… {missing} bytes are not shown …\n\n{tail}"), false)
}

fn plain_text(text: &str) -> Value {
    let text: String = escape_where(text, acts).chars().take(SLACK_TEXT_CHARACTERS_MAX).collect();
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// Slack refuses messages with more.
const SLACK_TEXT_CHARACTERS_MAX: usize = 1_000;
const SLACK_ELEMENTS_MAX: usize = 10;

#[cfg(test)]
mod tests;
