use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::*;

fn login(user: &str) -> AuditEvent {
    AuditEvent {
        unix_ns: unix_ns(),
        peer: None,
        target: None,
        session: None,
        principal: None,
        database: None,
        what: What::LoginRefused { user: user.to_owned(), reason: "expired".to_owned() },
    }
}

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn sequences(path: &Path) -> Vec<u64> {
    records(path).iter().map(|r| r["metadata"]["sequence"].as_u64().unwrap()).collect()
}

fn count_to(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

/// Turns until nothing is left to write.
fn drain(writer: &mut Writer) {
    loop {
        match writer.turn() {
            Turn::Wrote => {}
            Turn::Idle => return,
            Turn::Failed => panic!("the file could not be written"),
        }
    }
}

#[test]
fn events_offered_before_the_end_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (queue, sink) = EventSink::start(&path, "edge-1").unwrap();
    let offers: Vec<_> = (0..4)
        .map(|worker| {
            let queue = queue.clone();
            std::thread::spawn(move || {
                for event in 0..500 {
                    assert!(queue.offer(login(&format!("w{worker}-{event}"))));
                }
            })
        })
        .collect();
    for offer in offers {
        offer.join().unwrap();
    }
    sink.finish();
    assert_eq!(sequences(&path), count_to(2000));
    assert_eq!(queue.stats(), EventStats { written: 2000, ..EventStats::default() });
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0, "mode {mode:o}");
}

#[test]
fn losses_are_counted_and_told_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (queue, mut writer) = prepare(&path, "edge-1").unwrap();
    let offered = EVENTS_QUEUED_MAX + 100;
    let accepted = (0..offered).filter(|_| queue.offer(login("x"))).count();
    assert_eq!(accepted, EVENTS_QUEUED_MAX);
    assert_eq!(queue.stats().lost, 100);
    drain(&mut writer);
    let records = records(&path);
    let last = records.last().unwrap();
    assert_eq!(last["metadata"]["event_code"], "events.lost");
    assert_eq!(last["count"], 100);
    assert_eq!(sequences(&path), count_to(EVENTS_QUEUED_MAX as u64 + 1));
    assert_eq!(queue.stats().queued_bytes, 0);
    assert!(queue.offer(login("y")), "there is room again");
}

#[test]
fn large_events_are_bounded_by_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _writer) = prepare(&dir.path().join("events.jsonl"), "edge-1").unwrap();
    let large = "x".repeat(EVENT_QUEUE_BYTES_MAX / 4);
    let accepted = (0..10).filter(|_| queue.offer(login(&large))).count();
    assert_eq!(accepted, 3);
    assert!(queue.offer(login("a small one still fits")));
}

#[test]
fn a_file_that_was_rotated_away_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let rotated = dir.path().join("events.jsonl.1");
    let (queue, mut writer) = prepare(&path, "edge-1").unwrap();
    queue.offer(login("before"));
    drain(&mut writer);
    std::fs::rename(&path, &rotated).unwrap();
    queue.offer(login("after"));
    drain(&mut writer);
    assert_eq!(sequences(&rotated), [1]);
    assert_eq!(sequences(&path), [2]);
}

#[test]
fn the_sequence_goes_on_in_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    for _ in 0..2 {
        let (queue, sink) = EventSink::start(&path, "edge-1").unwrap();
        queue.offer(login("x"));
        queue.offer(login("y"));
        sink.finish();
    }
    assert_eq!(sequences(&path), count_to(4));
    std::fs::remove_file(&path).unwrap();
    let (queue, sink) = EventSink::start(&path, "edge-1").unwrap();
    queue.offer(login("z"));
    sink.finish();
    assert_eq!(sequences(&path), [5], "remembered beside a file that was rotated away");
}

#[test]
fn a_line_that_a_crash_tore_does_not_swallow_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (queue, sink) = EventSink::start(&path, "edge-1").unwrap();
    queue.offer(login("x"));
    sink.finish();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [whole.as_slice(), whole.split_at(40).0].concat()).unwrap();
    let (queue, sink) = EventSink::start(&path, "edge-1").unwrap();
    queue.offer(login("y"));
    sink.finish();
    assert_eq!(sequences(&path), count_to(2));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn events_wait_for_a_directory_that_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let path = logs.join("events.jsonl");
    let (queue, mut writer) = prepare(&path, "edge-1").unwrap();
    std::fs::remove_dir_all(&logs).unwrap();
    queue.offer(login("x"));
    assert_eq!(writer.turn(), Turn::Failed);
    assert_eq!(writer.turn(), Turn::Failed);
    assert_eq!(queue.stats().failures, 2);
    std::fs::create_dir(&logs).unwrap();
    queue.offer(login("y"));
    drain(&mut writer);
    assert_eq!(sequences(&path), count_to(2));
}

#[test]
fn a_place_that_cannot_be_opened_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("absent").join("events.jsonl");
    let Err(error) = EventSink::start(&path, "edge-1") else { panic!("it opened") };
    assert!(error.to_string().contains("absent/events.jsonl"), "{error}");
}
