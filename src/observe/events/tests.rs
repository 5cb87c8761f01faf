use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::model::session::SessionId;

const AT_NS: u64 = 1_795_392_012_345_678_901;

fn event(what: What) -> AuditEvent {
    let claims = BTreeMap::from([
        ("repository".to_owned(), ClaimValue::Text("acme/payments".to_owned())),
        ("groups".to_owned(), ClaimValue::List(vec!["a".to_owned(), "b".to_owned()])),
    ]);
    AuditEvent {
        unix_ns: AT_NS,
        peer: Some("[::ffff:10.20.3.17]:51514".parse().unwrap()),
        target: Some("payments-db".into()),
        session: Some(SessionId::at(AT_NS)),
        principal: Some(Arc::new(Principal {
            account: "payments-deploy".into(),
            issuer: "github".into(),
            subject: "repo:acme/payments".into(),
            token_id: Some("8f2e".into()),
            expires_unix_s: 1_795_392_900,
            claims: Arc::new(claims),
        })),
        database: Some("payments".into()),
        what,
    }
}

fn exchange() -> Exchange {
    Exchange {
        number: 3,
        text: "SELECT id FROM customers WHERE id = $1".to_owned(),
        text_bytes: 38,
        parameters: vec![crate::model::session::Parameter::Text("hunter2".to_owned())],
        fingerprint: 0x9c41_d2aa,
        verdict: "allow".to_owned(),
        rule: "payments/reads".to_owned(),
        effects: vec!["read".to_owned()],
        rows: 812,
        answer_bytes: 41_822,
        latency_us: 1830,
        tag: Some("SELECT 812".to_owned()),
        ..Exchange::default()
    }
}

fn unmatched(names_a_table: bool) -> What {
    What::MaskUnmatched {
        rule: "pii/cards".to_owned(),
        pattern: "public.customers.snn".to_owned(),
        names_a_table,
    }
}

fn every_kind() -> Vec<AuditEvent> {
    let by = "uid 0, pid 17".to_owned();
    let mut kinds = vec![
        What::LoginRefused { user: "x@y".to_owned(), reason: "the token has expired".to_owned() },
        What::SessionStarted,
        What::SessionEnded { reason: CloseReason::Killed, totals: Totals::default() },
        What::Statement(Box::new(exchange())),
        What::Statement(Box::new(Exchange { verdict: "deny".to_owned(), ..exchange() })),
        What::Statement(Box::new(Exchange { observed: Some("p/r".to_owned()), ..exchange() })),
        What::RefusalsUntold { count: 7 },
        What::CancelRequested,
        What::ConfigReloaded { version: "4be1".to_owned(), by: by.clone() },
        What::ReloadRefused { reason: "line 3: unknown key".to_owned(), by: by.clone() },
        unmatched(true),
        What::RecordingFailed { reason: "no space left".to_owned() },
        What::RecordingRestored,
        What::Killed { by, scope: "all sessions".to_owned() },
        What::EventsLost { count: 7 },
    ]
    .into_iter()
    .map(event)
    .collect::<Vec<_>>();
    // The same with everything absent that may be absent.
    let bare = kinds.iter().map(|full| AuditEvent {
        unix_ns: AT_NS,
        peer: None,
        target: None,
        session: None,
        principal: None,
        database: None,
        what: full.what.clone(),
    });
    let bare = bare.collect::<Vec<_>>();
    kinds.extend(bare);
    kinds
}

fn render(events: &[AuditEvent]) -> Vec<Value> {
    let mut renderer = Renderer::new("edge-1", 1);
    let mut lines = Vec::new();
    for event in events {
        renderer.render(event, &mut lines);
    }
    let text = String::from_utf8(lines).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn render_one(what: What) -> Value {
    render(&[event(what)]).pop().unwrap()
}

/// What the schema demands of our classes: attributes that must be there, groups of which one must
/// be, all that may be, and the numbers that enumerations allow.
struct Class {
    required: &'static [&'static str],
    one_of: &'static [&'static str],
    optional: &'static [&'static str],
    activities: &'static [u64],
}

const BASE_REQUIRED: &[&str] =
    &["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"];
const BASE_OPTIONAL: &[&str] = &[
    "activity_name",
    "status_id",
    "status_code",
    "status_detail",
    "count",
    "unmapped",
    // profile security_control
    "action_id",
    "disposition_id",
    "is_alert",
    "policy",
];

fn class(uid: u64) -> Class {
    match uid {
        1008 => Class {
            required: &["actor", "device"],
            one_of: &["log_file", "log_name", "log_provider", "log_type", "log_type_id"],
            optional: &["src_endpoint", "dst_endpoint", "file"],
            activities: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99],
        },
        3002 => Class {
            required: &["user"],
            one_of: &["service", "dst_endpoint"],
            optional: &["session", "src_endpoint", "auth_protocol_id", "is_remote"],
            activities: &[1, 2, 3, 4, 5, 99],
        },
        3004 => Class {
            required: &["entity"],
            one_of: &["entity"],
            optional: &["actor"],
            activities: &[1, 2, 3, 4, 99],
        },
        6003 => Class {
            required: &["actor", "api", "src_endpoint"],
            one_of: &["api"],
            optional: &["dst_endpoint"],
            activities: &[1, 2, 3, 4, 99],
        },
        6005 => Class {
            required: &["actor", "src_endpoint"],
            one_of: &["database", "databucket", "table"],
            optional: &["dst_endpoint", "query_info", "type_id"],
            activities: &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99],
        },
        other => panic!("class {other} is none of ours"),
    }
}

/// Attributes that an object of ours must have, by the attribute that holds it.
const OBJECTS: &[(&str, &[&str], &[&str])] = &[
    ("metadata", &["version", "product", "uid", "sequence", "event_code"], &["version"]),
    ("actor", &[], &["user", "session", "app_name"]),
    ("user", &[], &["name", "uid"]),
    ("src_endpoint", &[], &["ip", "name", "svc_name"]),
    ("dst_endpoint", &[], &["ip", "name", "svc_name"]),
    ("device", &["type_id"], &["name"]),
    ("database", &["type_id"], &["name", "uid"]),
    ("entity", &[], &["name", "uid"]),
    ("api", &["operation"], &["operation"]),
    ("query_info", &["query_string"], &["query_string"]),
    ("policy", &[], &["name", "uid"]),
    ("session", &[], &["uid"]),
    ("service", &[], &["name", "uid"]),
];

fn complaints(record: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let attributes = record.as_object().unwrap();
    let uid = record["class_uid"].as_u64().unwrap();
    let class = class(uid);
    for name in BASE_REQUIRED.iter().chain(class.required) {
        if !attributes.contains_key(*name) {
            found.push(format!("{uid} lacks {name}"));
        }
    }
    if !class.one_of.iter().any(|name| attributes.contains_key(*name)) {
        found.push(format!("{uid} lacks all of {:?}", class.one_of));
    }
    let lists = [BASE_REQUIRED, BASE_OPTIONAL, class.required, class.one_of, class.optional];
    let known: BTreeSet<&str> = lists.into_iter().flatten().copied().collect();
    for name in attributes.keys().filter(|name| !known.contains(name.as_str())) {
        found.push(format!("{uid} knows no {name}"));
    }
    let activity = record["activity_id"].as_u64().unwrap();
    if !class.activities.contains(&activity) {
        found.push(format!("{uid} knows no activity {activity}"));
    }
    if activity == 99 && !attributes.contains_key("activity_name") {
        found.push(format!("{uid} leaves its other activity unnamed"));
    }
    if record["type_uid"].as_u64() != Some(uid * 100 + activity) {
        found.push(format!("{uid} has a wrong type_uid"));
    }
    if record["category_uid"].as_u64() != Some(uid / 1000) {
        found.push(format!("{uid} has a wrong category_uid"));
    }
    for (name, most) in [("severity_id", 6), ("status_id", 2), ("action_id", 4)] {
        if record[name].as_u64().is_none_or(|value| value > most) {
            found.push(format!("{uid} has {name} {}", record[name]));
        }
    }
    if record["disposition_id"].as_u64().is_none_or(|value| value > 27) {
        found.push(format!("{uid} has disposition {}", record["disposition_id"]));
    }
    object_complaints(record, &mut found);
    found
}

fn object_complaints(value: &Value, found: &mut Vec<String>) {
    let Some(attributes) = value.as_object() else { return };
    for (name, inner) in attributes.iter().filter(|(name, _)| *name != "unmapped") {
        if let Some((_, required, one_of)) = OBJECTS.iter().find(|(object, ..)| object == name) {
            for attribute in required.iter().filter(|attribute| inner.get(**attribute).is_none()) {
                found.push(format!("{name} lacks {attribute}"));
            }
            if !one_of.iter().any(|attribute| inner.get(*attribute).is_some()) {
                found.push(format!("{name} lacks all of {one_of:?}"));
            }
        } else if inner.is_object() && name != "product" {
            found.push(format!("{name} is an object that nobody described"));
        }
        object_complaints(inner, found);
    }
}

#[test]
fn every_event_satisfies_its_class() {
    for record in render(&every_kind()) {
        assert_eq!(complaints(&record), Vec::<String>::new(), "{record}");
    }
}

#[test]
fn the_check_itself_sees_what_is_wrong() {
    let good = render_one(What::CancelRequested);
    for (name, value) in [
        ("src_endpoint", Value::Null),
        ("database", Value::Null),
        ("activity_name", Value::Null),
        ("activity_id", Value::from(55)),
        ("type_uid", Value::from(1)),
        ("severity_id", Value::from(9)),
        ("colour", Value::from("red")),
        ("actor", serde_json::json!({})),
    ] {
        let mut bad = good.clone();
        if value.is_null() {
            bad.as_object_mut().unwrap().remove(name);
        } else {
            bad[name] = value;
        }
        assert_ne!(complaints(&bad), Vec::<String>::new(), "with {name} spoilt");
    }
}

#[test]
fn sequences_have_no_gap_and_uids_no_double() {
    let records = render(&every_kind());
    let numbers: Vec<u64> =
        records.iter().map(|r| r["metadata"]["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let uids: BTreeSet<&str> =
        records.iter().map(|r| r["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(uids.len(), records.len());
    for uid in uids {
        assert_eq!(Uuid::parse_str(uid).unwrap().get_version_num(), 7);
    }
}

#[test]
fn a_mask_without_a_column_is_told_with_rule_pattern_target_and_database() {
    let of_database = |what| AuditEvent {
        target: Some("payments-db".into()),
        database: Some("payments".into()),
        ..AuditEvent::of_gateway(AT_NS, what)
    };
    let records = render(&[of_database(unmatched(true)), of_database(unmatched(false))]);
    let [of_table, of_any] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(of_table["metadata"]["event_code"], "mask.unmatched");
    assert_eq!(of_table["policy"]["name"], "pii");
    assert_eq!(of_table["policy"]["uid"], "pii/cards");
    assert_eq!(of_table["dst_endpoint"]["name"], "payments-db");
    assert_eq!(of_table["unmapped"]["narrows"]["pattern"], "public.customers.snn");
    assert_eq!(of_table["unmapped"]["narrows"]["database"], "payments");
    assert_eq!((&of_table["severity_id"], &of_table["is_alert"]), (&3.into(), &true.into()));
    assert_eq!((&of_any["severity_id"], &of_any["is_alert"]), (&2.into(), &Value::Null));
}

#[test]
fn a_session_start_is_a_login_and_a_connect() {
    let records = render(&[event(What::SessionStarted)]);
    let codes: Vec<&str> =
        records.iter().map(|r| r["metadata"]["event_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["login.accepted", "session.start"]);
    let login = &records[0];
    assert_eq!(login["user"]["name"], "payments-deploy");
    assert_eq!(login["session"]["credential_uid"], "jti:8f2e");
    assert_eq!(login["session"]["expiration_time"], 1_795_392_900_000_u64);
    assert_eq!(login["unmapped"]["narrows"]["claims"]["repository"], "acme/payments");
    assert_eq!(login["unmapped"]["narrows"]["claims"]["groups"], "a,b");
    let start = &records[1];
    assert_eq!(start["time"], AT_NS / 1_000_000);
    assert_eq!(start["src_endpoint"]["ip"], "10.20.3.17");
    assert_eq!(start["dst_endpoint"]["svc_name"], "conn:payments-deploy@payments-db");
    assert_eq!(start["metadata"]["correlation_uid"], login["metadata"]["correlation_uid"]);
}

#[test]
fn a_denied_statement_is_an_alert_that_names_its_rule() {
    let record = render_one(What::Statement(Box::new(Exchange {
        verdict: "deny".to_owned(),
        rule: "payments/no-ddl".to_owned(),
        effects: vec!["read".to_owned(), "ddl_drop".to_owned()],
        ..exchange()
    })));
    assert_eq!(record["activity_id"], 7);
    assert_eq!(record["action_id"], 2);
    assert_eq!(record["disposition_id"], 2);
    assert_eq!(record["status_code"], "NRW403");
    assert_eq!(record["is_alert"], true);
    assert_eq!(record["policy"]["name"], "payments");
    assert_eq!(record["policy"]["uid"], "payments/no-ddl");
    assert_eq!(record["metadata"]["event_code"], "stmt.blocked");
}

#[test]
fn long_text_is_cut_between_characters_and_says_so() {
    let text = format!("SELECT '{}'", "ü".repeat(EVENT_TEXT_BYTES_MAX));
    let bytes = text.len() as u64;
    let record =
        render_one(What::Statement(Box::new(Exchange { text, text_bytes: bytes, ..exchange() })));
    let kept = record["query_info"]["query_string"].as_str().unwrap();
    assert!(kept.len() <= EVENT_TEXT_BYTES_MAX && kept.len() >= EVENT_TEXT_BYTES_MAX - 1);
    assert_eq!(record["metadata"]["is_truncated"], true);
    assert_eq!(record["metadata"]["untruncated_size"], bytes);
    let short = render_one(What::Statement(Box::new(exchange())));
    assert_eq!(short["metadata"]["is_truncated"], false);
    assert!(short["metadata"].get("untruncated_size").is_none());
}

#[test]
fn bound_values_stay_out() {
    for record in render(&every_kind()) {
        assert!(!record.to_string().contains("hunter2"), "{record}");
    }
}

#[test]
fn a_line_holds_no_character_that_a_terminal_acts_upon() {
    let hostile = "a\u{1b}]0;x\u{7}\r\n\u{9b}31m\u{7f}\u{202e}\u{2028}\0 ü 表";
    let mut lines = Vec::new();
    let what = What::LoginRefused { user: hostile.to_owned(), reason: hostile.to_owned() };
    Renderer::new("edge-1", 1).render(&event(what), &mut lines);
    let text = String::from_utf8(lines).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2028}'), "{line}");
    let record: Value = serde_json::from_str(line).unwrap();
    assert_eq!(record["user"]["name"], hostile, "what was meant is still all there");
    assert!(line.contains("ü 表"));
}
