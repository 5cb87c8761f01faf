use super::*;
use crate::control::api::{RecorderLine, WorkerLine};
use crate::observe::metrics::{Counters, EventStats, NodeView};

fn status() -> Status {
    let worker = |worker| WorkerLine {
        worker,
        driver: "uring".to_owned(),
        sessions: 1,
        connections: 2,
        chunks_free: 1024,
        legs_parked: 0,
    };
    Status {
        node: NodeView {
            name: "edge-1".to_owned(),
            version: "0.1.0".to_owned(),
            started_unix_ns: 1_000_000_000,
            driver: "uring".to_owned(),
            driver_report: vec!["every feature that is needed is there".to_owned()],
            config_version: "4be1c9".to_owned(),
            workers: 2,
        },
        now_unix_s: 3_661,
        sessions: 2,
        workers_silent: 0,
        workers: vec![worker(0), worker(1)],
        counters: Counters { statements_allowed: 12_345, ..Counters::default() },
        latency: Quantiles { count: 1, p50_us: 180, p99_us: 2_100, p999_us: 3_000, max_us: 9_000 },
        recorder: RecorderLine {
            state: RecorderState::Recording,
            queue_bytes: 0,
            blocks: 3,
            raw_bytes: 4096,
            stored_bytes: 1024,
            commits: 0,
            commit: Quantiles::default(),
            losses: 0,
        },
        key_sets: vec![
            KeySetState {
                issuer: "github".to_owned(),
                keys: 2,
                fetched_unix_s: Some(3_600),
                failure: None,
            },
            KeySetState {
                issuer: "down".to_owned(),
                keys: 0,
                fetched_unix_s: None,
                failure: Some("connection\nrefused".to_owned()),
            },
        ],
        events: EventStats { written: 5, ..EventStats::default() },
    }
}

fn assert_shows(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|shown| shown.trim_end() == *line), "no {line:?} in\n{text}");
    }
}

#[test]
fn the_page_tells_what_runs_and_how_it_is() {
    let text = page(&status(), Paint::Plain);
    assert_shows(
        &text,
        &[
            "node           edge-1",
            "version        0.1.0, up 1h 1m",
            "configuration  4be1c9",
            "driver         uring",
            "               every feature that is needed is there",
            "sessions       2 live, 0 opened, 0 logins refused",
            "latency        p50 180 µs, p99 2.1 ms, p99.9 3.0 ms, max 9.0 ms",
            "recorder       recording, 0 B waiting",
            "               0 commits, no latency measured yet",
            "issuers        github: 2 keys, fetched 1m 1s ago",
            "               down: 0 keys, never fetched: its tokens are refused",
            "               the last fetch failed: connection\\nrefused",
        ],
    );
    assert!(!text.contains("did not answer") && !text.contains("lost"), "{text}");
}

#[test]
fn trouble_is_told() {
    let mut status = status();
    status.workers_silent = 1;
    status.recorder.state = RecorderState::Failed;
    status.recorder.losses = 4;
    status.counters.defects = 3;
    status.events.lost = 7;
    status.events.failures = 8;
    assert_shows(
        &page(&status, Paint::Plain),
        &[
            "               1 did not answer: what they do is missing",
            "               3 sessions ended by a defect of narrows: see its log",
            "recorder       FAILED: nothing can be recorded, 0 B waiting",
            "               4 stretches were lost",
            "               7 were lost: the queue was full",
            "               the event file could not be written 8 times",
        ],
    );
}
