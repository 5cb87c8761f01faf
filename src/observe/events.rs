//! Audit events as OCSF 1.8.0 objects, one JSON object a line. Knows which class, activity and
//! attributes say what an event says; not where the lines go, nor which events are wanted.
//!
//! What a peer chose (names, statements, reasons) is clipped to the bounds of `limits`, and every
//! control character in it is escaped, so that a line can be looked at on a terminal.

use std::fmt::Write as _;

use uuid::Uuid;

use self::ocsf::{
    Activity, Actor, Api, ClassUid, Database, Device, Endpoint, Entity, Metadata, Named, Policy,
    Product, QueryInfo, Record, Session, Severity, Unmapped, User,
};
use crate::limits::{EVENT_FIELD_BYTES_MAX, EVENT_TEXT_BYTES_MAX};
use crate::model::approval::ApprovalId;
use crate::model::event::{AuditEvent, What};
use crate::model::identity::{ClaimValue, Principal};
use crate::model::session::{CloseReason, Exchange, Totals};
use crate::model::time::{NS_PER_MS, NS_PER_S};

/// The objects of the schema, as far as we fill them.
mod ocsf;

/// Renders the events of one node and numbers them.
pub struct Renderer {
    node: String,
    next_sequence: u64,
}

impl Renderer {
    /// `next_sequence` goes on from where an earlier process of the same node ended.
    #[must_use]
    pub fn new(node: &str, next_sequence: u64) -> Self {
        Self { node: node.to_owned(), next_sequence }
    }

    /// Appends the lines that say `event`: one, or two where a session's start is also a login.
    pub fn render(&mut self, event: &AuditEvent, lines: &mut Vec<u8>) {
        let Self { node, next_sequence } = self;
        if matches!(event.what, What::SessionStarted) {
            push_line(login_accepted(event), next_sequence, lines);
        }
        push_line(compose(node, event), next_sequence, lines);
    }

    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }
}

fn push_line(mut record: Record<'_>, next_sequence: &mut u64, lines: &mut Vec<u8>) {
    record.metadata.sequence = *next_sequence;
    let Ok(text) = serde_json::to_string(&record) else {
        // Maps with string keys and plain values only: serialising them cannot fail. If it did,
        // the number would stay unspent and the sequence free of gaps.
        return;
    };
    *next_sequence += 1;
    push_escaped(&text, lines);
    lines.push(b'\n');
}

fn compose<'a>(node: &'a str, event: &'a AuditEvent) -> Record<'a> {
    match &event.what {
        What::LoginRefused { user, reason } => login_refused(event, user, reason),
        What::SessionStarted => session_started(event),
        What::SessionEnded { reason, totals } => session_ended(event, *reason, totals),
        What::Statement(exchange) => statement(event, exchange),
        What::RefusalsUntold { count } => refusals_untold(event, *count),
        What::CancelRequested => cancel_requested(event),
        What::ApprovalAsked { id, rule } => approval(event, "approval.request", *id, Some(rule)),
        What::ApprovalUsed { id } => approval(event, "approval.use", *id, None),
        What::ApprovalUnheard { id } => {
            let mut record = approval(event, "approval.unheard", *id, None);
            record.severity_id = Severity::High as u8;
            record.status_id = STATUS_FAILURE;
            record.status_detail = Some("nobody could be notified");
            record.is_alert = true;
            record
        }
        What::ApprovalDecided { id, decision, by, reason } => {
            approval_decided(event, *id, decision, by, reason.as_deref())
        }
        What::ConfigReloaded { version, by } => config_reloaded(event, version, by),
        What::ReloadRefused { reason, by } => reload_refused(event, reason, by),
        What::MaskUnmatched { rule, pattern, names_a_table } => {
            mask_unmatched(node, event, rule, pattern, *names_a_table)
        }
        What::RecordingFailed { reason } => recording_failed(node, event, reason),
        What::RecordingRestored => {
            let mut record =
                log_activity(node, event, Activity::START, "recording.restored", "recording");
            record.status_id = STATUS_SUCCESS;
            record
        }
        What::Killed { by, scope } => killed(event, by, scope),
        What::EventsLost { count } => events_lost(node, event, *count),
    }
}

fn login_refused<'a>(event: &'a AuditEvent, user: &'a str, reason: &'a str) -> Record<'a> {
    let mut record = authentication(event, Activity::LOGON, "login.refused");
    record.severity_id = Severity::Medium as u8;
    record.status_id = STATUS_FAILURE;
    record.status_detail = Some(clip(reason, EVENT_FIELD_BYTES_MAX));
    record.action_id = ACTION_DENIED;
    record.disposition_id = DISPOSITION_REJECTED;
    record.is_alert = true;
    record.user = Some(User {
        name: Some(clip(user, EVENT_FIELD_BYTES_MAX)),
        uid: None,
        type_id: USER_SERVICE,
    });
    record
}

fn login_accepted(event: &AuditEvent) -> Record<'_> {
    let mut record = authentication(event, Activity::LOGON, "login.accepted");
    record.status_id = STATUS_SUCCESS;
    let unmapped = &mut record.unmapped.narrows;
    for (name, value) in event.principal.iter().flat_map(|p| p.claims.iter()).take(CLAIMS_MAX) {
        let text = match value {
            ClaimValue::Text(text) => clip(text, EVENT_FIELD_BYTES_MAX).to_owned(),
            ClaimValue::List(list) => clip(&list.join(","), EVENT_FIELD_BYTES_MAX).to_owned(),
        };
        unmapped.claims.insert(clip(name, EVENT_FIELD_BYTES_MAX), text);
    }
    record
}

fn session_started(event: &AuditEvent) -> Record<'_> {
    let mut record = datastore(event, Activity::CONNECT, "session.start");
    record.status_id = STATUS_SUCCESS;
    record
}

fn session_ended<'a>(event: &'a AuditEvent, reason: CloseReason, totals: &'a Totals) -> Record<'a> {
    let mut record = authentication(event, Activity::LOGOFF, "session.end");
    record.severity_id = close_severity(reason) as u8;
    record.status_id = STATUS_SUCCESS;
    record.status_detail = Some(reason.code());
    record.unmapped.narrows.totals = Some(totals);
    record
}

fn statement<'a>(event: &'a AuditEvent, exchange: &'a Exchange) -> Record<'a> {
    let denied = exchange.verdict == "deny";
    let code = if denied { "stmt.blocked" } else { "stmt.run" };
    let mut record = datastore(event, statement_activity(&exchange.effects), code);
    if denied {
        record.severity_id = Severity::Medium as u8;
        record.status_id = STATUS_FAILURE;
        record.status_code = Some(CODE_BLOCKED);
        record.action_id = ACTION_DENIED;
        record.disposition_id = DISPOSITION_BLOCKED;
        record.is_alert = true;
    } else {
        record.status_id = if exchange.error.is_some() { STATUS_FAILURE } else { STATUS_SUCCESS };
        record.status_code = exchange.error.as_deref().map(|c| clip(c, EVENT_FIELD_BYTES_MAX));
        if exchange.observed.is_some() {
            record.action_id = ACTION_OBSERVED;
            record.disposition_id = DISPOSITION_LOGGED;
        }
    }
    let policy = exchange.rule.split_once('/').map_or(exchange.rule.as_str(), |(name, _)| name);
    record.policy = Some(Policy { name: policy, uid: &exchange.rule, is_applied: true });
    let query_string = clip(&exchange.text, EVENT_TEXT_BYTES_MAX);
    let whole_bytes = exchange.text_bytes.max(exchange.text.len() as u64);
    if (query_string.len() as u64) < whole_bytes {
        record.metadata.is_truncated = true;
        record.metadata.untruncated_size = Some(whole_bytes);
    }
    record.query_info = Some(QueryInfo {
        query_string,
        uid: format!("fp:{:016x}", exchange.fingerprint),
        bytes: exchange.answer_bytes,
    });
    let unmapped = &mut record.unmapped.narrows;
    unmapped.exchange = Some(exchange.number);
    unmapped.rows = Some(exchange.rows);
    unmapped.latency_us = Some(exchange.latency_us);
    unmapped.effects = &exchange.effects;
    unmapped.observed = exchange.observed.as_deref();
    unmapped.tag = exchange.tag.as_deref().map(|tag| clip(tag, EVENT_FIELD_BYTES_MAX));
    record
}

fn refusals_untold(event: &AuditEvent, count: u64) -> Record<'_> {
    let mut record = datastore(event, Activity::other("Refusal"), "stmt.over_limit");
    record.severity_id = Severity::Medium as u8;
    record.status_id = STATUS_FAILURE;
    record.status_code = Some(CODE_BLOCKED);
    record.status_detail = Some("over limits.statements of the connection");
    record.action_id = ACTION_DENIED;
    record.disposition_id = DISPOSITION_BLOCKED;
    record.count = Some(count);
    record.is_alert = true;
    record
}

fn cancel_requested(event: &AuditEvent) -> Record<'_> {
    let mut record = datastore(event, Activity::other("Cancel"), "stmt.cancel");
    record.status_id = STATUS_SUCCESS;
    record
}

fn config_reloaded<'a>(event: &'a AuditEvent, version: &'a str, by: &'a str) -> Record<'a> {
    let mut record = reload(event, by);
    record.status_id = STATUS_SUCCESS;
    record.entity = Some(configuration(Some(clip(version, EVENT_FIELD_BYTES_MAX))));
    record
}

fn reload_refused<'a>(event: &'a AuditEvent, reason: &'a str, by: &'a str) -> Record<'a> {
    let mut record = reload(event, by);
    record.severity_id = Severity::Medium as u8;
    record.status_id = STATUS_FAILURE;
    record.status_detail = Some(clip(reason, EVENT_FIELD_BYTES_MAX));
    record
}

fn reload<'a>(event: &'a AuditEvent, by: &'a str) -> Record<'a> {
    let mut record =
        record(event, ClassUid::EntityManagement, Activity::ENTITY_UPDATE, "config.reload");
    record.actor = Some(operator(by));
    record.entity = Some(configuration(None));
    record
}

/// The class knows endpoints and no databases: what was read stands among our own.
fn mask_unmatched<'a>(
    node: &'a str,
    event: &'a AuditEvent,
    rule: &'a str,
    pattern: &'a str,
    names_a_table: bool,
) -> Record<'a> {
    let mismatch = Activity::other("Mismatch");
    let mut record = log_activity(node, event, mismatch, "mask.unmatched", "policy");
    // A pattern for any table may rightly find nothing in some databases.
    let severity = if names_a_table { Severity::Medium } else { Severity::Low };
    record.severity_id = severity as u8;
    record.is_alert = names_a_table;
    record.status_id = STATUS_FAILURE;
    record.status_detail = Some("the pattern matches no column");
    record.dst_endpoint = destination(event);
    let policy = rule.split_once('/').map_or(rule, |(name, _)| name);
    record.policy = Some(Policy { name: policy, uid: rule, is_applied: false });
    let unmapped = &mut record.unmapped.narrows;
    unmapped.pattern = Some(clip(pattern, EVENT_FIELD_BYTES_MAX));
    unmapped.database = event.database.as_deref().map(|it| clip(it, EVENT_FIELD_BYTES_MAX));
    record
}

fn recording_failed<'a>(node: &'a str, event: &'a AuditEvent, reason: &'a str) -> Record<'a> {
    let mut record = log_activity(node, event, Activity::STOP, "recording.failed", "recording");
    record.severity_id = Severity::Critical as u8;
    record.status_id = STATUS_FAILURE;
    record.status_detail = Some(clip(reason, EVENT_FIELD_BYTES_MAX));
    record.is_alert = true;
    record
}

fn events_lost<'a>(node: &'a str, event: &'a AuditEvent, count: u64) -> Record<'a> {
    let mut record = log_activity(node, event, Activity::other("Loss"), "events.lost", "audit");
    record.severity_id = Severity::High as u8;
    record.status_id = STATUS_FAILURE;
    record.count = Some(count);
    record.is_alert = true;
    record
}

fn log_activity<'a>(
    node: &'a str,
    event: &'a AuditEvent,
    activity: Activity,
    code: &'static str,
    log_name: &'static str,
) -> Record<'a> {
    let mut record = record(event, ClassUid::EventLog, activity, code);
    record.log_name = Some(log_name);
    record.device = Some(Device { name: node, type_id: DEVICE_SERVER });
    record.actor = Some(Actor { app_name: Some(PRODUCT), ..Actor::default() });
    record
}

fn approval<'a>(
    event: &'a AuditEvent,
    operation: &'static str,
    id: ApprovalId,
    rule: Option<&'a str>,
) -> Record<'a> {
    let mut record = record(event, ClassUid::Api, Activity::API_CREATE, operation);
    record.status_id = STATUS_SUCCESS;
    record.actor = Some(Actor {
        user: event.principal.as_deref().map(user).or(Some(NOBODY)),
        session: session(event),
        app_name: None,
    });
    record.api = Some(Api { operation });
    record.src_endpoint = source(event).or(Some(Endpoint::default()));
    if let Some(rule) = rule {
        record.disposition_id = DISPOSITION_DELAYED;
        let policy = rule.split_once('/').map_or(rule, |(name, _)| name);
        record.policy = Some(Policy { name: policy, uid: rule, is_applied: true });
    }
    record.unmapped.narrows.approval = Some(id.to_string());
    record
}

fn approval_decided<'a>(
    event: &'a AuditEvent,
    id: ApprovalId,
    decision: &'static str,
    by: &'a str,
    reason: Option<&'a str>,
) -> Record<'a> {
    let mut record = record(event, ClassUid::Api, Activity::API_UPDATE, "approval.decide");
    record.status_id = STATUS_SUCCESS;
    record.status_detail = reason.map(|reason| clip(reason, EVENT_FIELD_BYTES_MAX));
    record.actor = Some(operator(by));
    record.api = Some(Api { operation: "approval.decide" });
    record.src_endpoint = Some(Endpoint { name: Some("admin socket"), ..Endpoint::default() });
    (record.action_id, record.disposition_id) = match decision {
        "approved" => (ACTION_ALLOWED, DISPOSITION_APPROVED),
        _ => (ACTION_DENIED, DISPOSITION_REJECTED),
    };
    record.unmapped.narrows.approval = Some(id.to_string());
    record
}

fn killed<'a>(event: &'a AuditEvent, by: &'a str, scope: &'a str) -> Record<'a> {
    let mut record = record(event, ClassUid::Api, Activity::API_DELETE, "session.kill");
    record.status_id = STATUS_SUCCESS;
    record.actor = Some(operator(by));
    record.api = Some(Api { operation: "session.kill" });
    record.src_endpoint = Some(Endpoint { name: Some("admin socket"), ..Endpoint::default() });
    record.unmapped.narrows.scope = Some(clip(scope, EVENT_FIELD_BYTES_MAX));
    record
}

fn authentication<'a>(event: &'a AuditEvent, activity: Activity, code: &'static str) -> Record<'a> {
    let mut record = record(event, ClassUid::Authentication, activity, code);
    record.user = event.principal.as_deref().map(user).or(Some(NOBODY));
    record.session = session(event);
    record.service = Some(Named { name: PRODUCT });
    record.src_endpoint = source(event);
    record.dst_endpoint = destination(event);
    record.auth_protocol_id = Some(AUTH_PROTOCOL_OPENID);
    record.is_remote = Some(true);
    record
}

fn datastore<'a>(event: &'a AuditEvent, activity: Activity, code: &'static str) -> Record<'a> {
    let mut record = record(event, ClassUid::Datastore, activity, code);
    record.actor = Some(Actor {
        user: event.principal.as_deref().map(user).or(Some(NOBODY)),
        session: session(event),
        app_name: None,
    });
    record.src_endpoint = source(event);
    record.dst_endpoint = destination(event);
    // The class asks for a database; where the bot named none, the target's name stands for it.
    let database = event.database.as_deref().or(event.target.as_deref()).unwrap_or("unknown");
    record.database = Some(Database {
        name: clip(database, EVENT_FIELD_BYTES_MAX),
        type_id: DATABASE_RELATIONAL,
    });
    record.type_id = Some(DATASTORE_DATABASE);
    record
}

/// What every class has; the rest is absent until the caller fills it.
fn record<'a>(
    event: &'a AuditEvent,
    class: ClassUid,
    activity: Activity,
    code: &'static str,
) -> Record<'a> {
    let session = event.session.map(|id| id.to_string());
    Record {
        class_uid: class as u32,
        category_uid: class.category_uid(),
        activity_id: activity.id,
        activity_name: activity.name,
        type_uid: class as u32 * 100 + u32::from(activity.id),
        time: event.unix_ns / NS_PER_MS,
        severity_id: Severity::Informational as u8,
        status_id: STATUS_UNKNOWN,
        metadata: Metadata {
            version: SCHEMA_VERSION,
            product: Product {
                name: PRODUCT,
                vendor_name: PRODUCT,
                version: env!("CARGO_PKG_VERSION"),
            },
            uid: event_uid(event.unix_ns),
            event_code: code,
            sequence: 0,
            log_name: "audit",
            profiles: &["security_control"],
            correlation_uid: session,
            is_truncated: false,
            untruncated_size: None,
        },
        action_id: ACTION_ALLOWED,
        disposition_id: DISPOSITION_ALLOWED,
        unmapped: Unmapped::default(),
        ..Record::default()
    }
}

fn user(principal: &Principal) -> User<'_> {
    User {
        name: Some(clip(&principal.account, EVENT_FIELD_BYTES_MAX)),
        uid: Some(clip(&principal.subject, EVENT_FIELD_BYTES_MAX)),
        type_id: USER_SERVICE,
    }
}

fn operator(by: &str) -> Actor<'_> {
    let name = Some(clip(by, EVENT_FIELD_BYTES_MAX));
    Actor { user: Some(User { name, uid: None, type_id: USER_ADMIN }), ..Actor::default() }
}

fn session(event: &AuditEvent) -> Option<Session<'_>> {
    let id = event.session?;
    let principal = event.principal.as_deref();
    Some(Session {
        uid: id.to_string(),
        issuer: principal.map(|p| clip(&p.issuer, EVENT_FIELD_BYTES_MAX)),
        credential_uid: principal
            .and_then(|p| p.token_id.as_deref())
            .map(|id| format!("jti:{}", clip(id, EVENT_FIELD_BYTES_MAX))),
        expiration_time: principal.map(|p| p.expires_unix_s.saturating_mul(1000)),
    })
}

/// The class asks for a source even where there is none to tell.
fn source(event: &AuditEvent) -> Option<Endpoint<'_>> {
    Some(match event.peer {
        Some(peer) => Endpoint {
            ip: Some(peer.ip().to_canonical().to_string()),
            port: Some(peer.port()),
            ..Endpoint::default()
        },
        None => Endpoint { name: Some("unknown"), ..Endpoint::default() },
    })
}

fn destination(event: &AuditEvent) -> Option<Endpoint<'_>> {
    let target = event.target.as_deref()?;
    let connection = event.principal.as_deref().map(|p| format!("conn:{}@{target}", p.account));
    Some(Endpoint { name: Some(target), svc_name: connection, ..Endpoint::default() })
}

fn configuration(version: Option<&str>) -> Entity<'_> {
    Entity { name: "configuration", kind: "Configuration", version }
}

/// The gravest thing that a statement does names its activity.
fn statement_activity(effects: &[String]) -> Activity {
    let does = |names: &[&str]| effects.iter().any(|effect| names.contains(&effect.as_str()));
    if does(&["delete", "truncate", "ddl_drop"]) {
        Activity::DELETE
    } else if does(&["ddl_create"]) {
        Activity::CREATE
    } else if does(&["update", "ddl_alter"]) {
        Activity::UPDATE
    } else if does(&["insert", "copy_in"]) {
        Activity::WRITE
    } else if does(&["read", "copy_out"]) {
        Activity::QUERY
    } else {
        Activity::other("Command")
    }
}

fn close_severity(reason: CloseReason) -> Severity {
    match reason {
        CloseReason::Defect | CloseReason::RecordingFailed => Severity::High,
        CloseReason::BotProtocolError
        | CloseReason::TargetProtocolError
        | CloseReason::LimitReached
        | CloseReason::Killed => Severity::Low,
        CloseReason::BotFinished
        | CloseReason::BotVanished
        | CloseReason::TargetClosed
        | CloseReason::TargetUnreachable
        | CloseReason::TargetLoginFailed
        | CloseReason::LoginRefused
        | CloseReason::CancelDelivered
        | CloseReason::TlsFailed
        | CloseReason::DeadlinePassed
        | CloseReason::Draining => Severity::Informational,
    }
}

fn event_uid(unix_ns: u64) -> Uuid {
    let subsecond = u32::try_from(unix_ns % NS_PER_S).unwrap_or(0);
    let stamp = uuid::Timestamp::from_unix(uuid::NoContext, unix_ns / NS_PER_S, subsecond);
    Uuid::new_v7(stamp)
}

/// The longest beginning of `text` that is at most `bytes_max` long and ends between characters.
fn clip(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// JSON demands escapes for the first 32 characters only. The others that a terminal acts upon, or
/// that change the order in which text is shown, can stand in strings alone, so that escaping them
/// in the finished text is safe.
fn push_escaped(json: &str, lines: &mut Vec<u8>) {
    if json.is_ascii() && !json.contains('\u{7f}') {
        lines.extend_from_slice(json.as_bytes());
        return;
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            _ => safe.push(character),
        }
    }
    lines.extend_from_slice(safe.as_bytes());
}

const PRODUCT: &str = "narrows";
const SCHEMA_VERSION: &str = "1.8.0";
/// Of `unmapped.narrows`; grows when a field changes its meaning.
const OWN_SCHEMA_VERSION: u32 = 1;
const CODE_BLOCKED: &str = "NRW403";
/// A token with more claims than this shows the first in the order of their names.
const CLAIMS_MAX: usize = 64;

const NOBODY: User<'static> = User { name: Some("unknown"), uid: None, type_id: 0 };

const STATUS_UNKNOWN: u8 = 0;
const STATUS_SUCCESS: u8 = 1;
const STATUS_FAILURE: u8 = 2;
const ACTION_ALLOWED: u8 = 1;
const ACTION_DENIED: u8 = 2;
const ACTION_OBSERVED: u8 = 3;
const DISPOSITION_ALLOWED: u8 = 1;
const DISPOSITION_BLOCKED: u8 = 2;
const DISPOSITION_LOGGED: u8 = 17;
const DISPOSITION_REJECTED: u8 = 25;
const DISPOSITION_APPROVED: u8 = 8;
const DISPOSITION_DELAYED: u8 = 14;
const AUTH_PROTOCOL_OPENID: u8 = 4;
const USER_ADMIN: u8 = 2;
const USER_SERVICE: u8 = 4;
const DATABASE_RELATIONAL: u8 = 1;
const DATASTORE_DATABASE: u8 = 1;
const DEVICE_SERVER: u8 = 1;

#[cfg(test)]
mod tests;
