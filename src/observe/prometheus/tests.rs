use std::collections::BTreeSet;

use super::*;
use crate::model::session::{SessionId, Totals};
use crate::observe::metrics::{
    Counters, EventStats, Gauges, KeySetState, NodeView, RecorderStats, SessionView,
    latency_histogram,
};

fn snapshot() -> Snapshot {
    let report = |worker: u16, latencies_us: &[u64], targets: &[&str]| {
        let mut latency = latency_histogram().unwrap();
        for us in latencies_us {
            latency.saturating_record(*us);
        }
        let sessions = targets
            .iter()
            .map(|target| SessionView {
                id: SessionId::at(1),
                account: "a".into(),
                target: (*target).into(),
                database: "d".into(),
                peer: "127.0.0.1:1".parse().unwrap(),
                started_unix_ns: 1,
                totals: Totals::default(),
                state: "idle",
                worker,
            })
            .collect();
        WorkerReport {
            worker,
            driver: "uring",
            counters: Counters {
                statements_allowed: 10,
                statements_denied: 2,
                downstream_sent_bytes: 100,
                ..Counters::default()
            },
            gauges: Gauges { chunks_free: 1000, ..Gauges::default() },
            latency,
            sessions,
        }
    };
    Snapshot {
        node: NodeView {
            name: "edge \"1\"\n\\".to_owned(),
            version: "0.1.0".to_owned(),
            started_unix_ns: 5_000_000_000,
            driver: "uring".to_owned(),
            driver_report: Vec::new(),
            config_version: "4be1".to_owned(),
            workers: 3,
        },
        reports: vec![
            report(0, &[40, 50, 51, 1_000], &["shop", "shop"]),
            report(1, &[2_000_000_000], &["other"]),
        ],
        recorder: RecorderStats {
            queue_bytes: 7,
            blocks: 1,
            raw_bytes: 2,
            stored_bytes: 3,
            commits: 4,
            commit_us: latency_histogram().unwrap(),
            losses: 5,
            failed: true,
        },
        key_sets: vec![
            KeySetState {
                issuer: "github".to_owned(),
                keys: 2,
                fetched_unix_s: Some(90),
                failure: None,
            },
            KeySetState {
                issuer: "down".to_owned(),
                keys: 0,
                fetched_unix_s: None,
                failure: Some("refused".to_owned()),
            },
        ],
        events: EventStats::default(),
        now_unix_s: 100,
    }
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A parser of the text format that accepts nothing else.
fn parse(page: &str) -> (Vec<(String, String)>, Vec<Sample>) {
    let (mut families, mut samples) = (Vec::new(), Vec::new());
    let mut helped = None;
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.ends_with('.'), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "help stands before type");
            families.push((name.to_owned(), kind.to_owned()));
        } else {
            let sample = parse_sample(line);
            let family = families.last().map(|(name, _)| name.as_str()).unwrap();
            let rest = sample.name.strip_prefix(family).unwrap_or_else(|| panic!("{line}"));
            assert!(["", "_bucket", "_sum", "_count"].contains(&rest), "{line}");
            samples.push(sample);
        }
    }
    (families, samples)
}

fn parse_sample(line: &str) -> Sample {
    let name_end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (mut value, mut characters) = (String::new(), after.char_indices());
            let end = loop {
                match characters.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match characters.next().unwrap().1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("escape of {other} in {line}"),
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    Sample { name: name.to_owned(), labels, value }
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let found: Vec<f64> = samples
        .iter()
        .filter(|s| s.name == name)
        .filter(|s| labels.iter().all(|(l, v)| s.labels.iter().any(|(a, b)| a == l && b == v)))
        .map(|s| s.value)
        .collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0]
}

#[test]
fn the_page_parses_and_no_series_stands_twice() {
    let page = render(&snapshot());
    let (families, samples) = parse(&page);
    let names: BTreeSet<_> = families.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), families.len());
    for (name, kind) in &families {
        assert!(name.starts_with("narrows_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
    let series: BTreeSet<_> = samples.iter().map(|s| (&s.name, &s.labels)).collect();
    assert_eq!(series.len(), samples.len());
}

#[test]
fn workers_add_up_and_labels_survive() {
    let (_, samples) = parse(&render(&snapshot()));
    assert_eq!(value(&samples, "narrows_statements_total", &[("verdict", "allow")]), 20.0);
    assert_eq!(value(&samples, "narrows_statements_total", &[("verdict", "deny")]), 4.0);
    assert_eq!(value(&samples, "narrows_sessions", &[("target", "shop")]), 2.0);
    assert_eq!(value(&samples, "narrows_worker_sessions", &[("worker", "1")]), 1.0);
    assert_eq!(value(&samples, "narrows_workers_silent", &[]), 1.0);
    assert_eq!(value(&samples, "narrows_recorder_failed", &[]), 1.0);
    assert_eq!(value(&samples, "narrows_build_info", &[("node", "edge \"1\"\n\\")]), 1.0);
    let leg = [("leg", "downstream"), ("direction", "sent")];
    assert_eq!(value(&samples, "narrows_leg_bytes_total", &leg), 200.0);
    let age = "narrows_issuer_key_set_age_seconds";
    assert_eq!(value(&samples, age, &[("issuer", "github")]), 10.0);
    assert!(!samples.iter().any(|s| s.name == age && s.labels[0].1 == "down"));
    assert_eq!(value(&samples, "narrows_issuer_fetch_failed", &[("issuer", "down")]), 1.0);
}

#[test]
fn buckets_are_cumulative_and_end_in_the_count() {
    let (_, samples) = parse(&render(&snapshot()));
    let name = "narrows_exchange_duration_seconds";
    let buckets: Vec<f64> =
        samples.iter().filter(|s| s.name == format!("{name}_bucket")).map(|s| s.value).collect();
    assert!(buckets.is_sorted(), "{buckets:?}");
    let bucket = |le| value(&samples, &format!("{name}_bucket"), &[("le", le)]);
    assert_eq!(bucket("0.00005"), 2.0);
    assert_eq!(bucket("0.0001"), 3.0);
    assert_eq!(bucket("0.0005"), 3.0);
    assert_eq!(bucket("0.001"), 4.0);
    assert_eq!(bucket("60"), 4.0);
    assert_eq!(bucket("+Inf"), 5.0);
    assert_eq!(value(&samples, &format!("{name}_count"), &[]), 5.0);
    let sum = value(&samples, &format!("{name}_sum"), &[]);
    assert!((sum - 2000.0).abs() < 20.0, "within one per cent: {sum}");
}

#[test]
fn this_process_is_on_the_page() {
    let (_, samples) = parse(&render(&snapshot()));
    assert!(value(&samples, "process_resident_memory_bytes", &[]) > 1e6);
    assert!(value(&samples, "process_open_fds", &[]) >= 3.0);
    assert!(value(&samples, "process_max_fds", &[]) >= 3.0);
    assert!(value(&samples, "process_cpu_seconds_total", &[]) >= 0.0);
}
