use super::{Teller, Unmatched, Where};
use crate::limits::UNMATCHED_TOLD_MAX;
use crate::observe::sink::{EventQueue, EventSink};

fn at(version: &str, database: &str) -> Where {
    Where { version: version.into(), target: "shop-db".into(), database: database.into() }
}

fn pattern(text: &str) -> Unmatched {
    Unmatched { rule: "pii/cards".to_owned(), pattern: text.to_owned(), names_a_table: true }
}

#[test]
fn a_pattern_is_told_once_for_a_database_and_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let (events, sink) = EventSink::start(&path, "edge-1").unwrap();
    let teller = Teller::new(events);
    for _ in 0..3 {
        teller.clone().tell(&at("v1", "shop"), vec![pattern("t.a"), pattern("t.b")]);
    }
    teller.tell(&at("v1", "other"), vec![pattern("t.a")]);
    teller.tell(&at("v2", "shop"), vec![pattern("t.a")]);
    sink.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    let told: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["metadata"]["event_code"], "mask.unmatched");
            assert_eq!(event["dst_endpoint"]["name"], "shop-db");
            let own = &event["unmapped"]["narrows"];
            let text = |name: &str| own[name].as_str().unwrap().to_owned();
            (text("database"), text("pattern"))
        })
        .collect();
    let expected = [("shop", "t.a"), ("shop", "t.b"), ("other", "t.a"), ("shop", "t.a")];
    assert_eq!(told, expected.map(|(database, text)| (database.to_owned(), text.to_owned())));
}

#[test]
fn what_is_remembered_is_bounded_and_old_versions_go_first() {
    let teller = Teller::new(EventQueue::discarding());
    let (old, new) = (at("old", "shop"), at("new", "shop"));
    for number in 0..UNMATCHED_TOLD_MAX - 1 {
        assert!(teller.is_news(&old, &pattern(&number.to_string())));
    }
    assert!(teller.is_news(&new, &pattern("t.a")));
    assert!(!teller.is_news(&new, &pattern("t.a")));
    assert_eq!(teller.told.lock().unwrap().len(), 1);
    for number in 0..2 * UNMATCHED_TOLD_MAX {
        assert!(teller.is_news(&new, &pattern(&number.to_string())));
        assert!(teller.told.lock().unwrap().len() <= UNMATCHED_TOLD_MAX);
    }
}
