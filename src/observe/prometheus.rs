//! A snapshot as Prometheus text, format 0.0.4. Knows names, types and units; gathers nothing but
//! what `/proc` tells of this process.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use hdrhistogram::Histogram;

use crate::observe::metrics::{Snapshot, WorkerReport};

/// What a collector is told that it gets.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole page.
#[must_use]
pub fn render(snapshot: &Snapshot) -> String {
    let mut page = Page { text: String::with_capacity(16 * 1024) };
    node(&mut page, snapshot);
    sessions(&mut page, snapshot);
    statements(&mut page, snapshot);
    legs(&mut page, snapshot);
    workers(&mut page, snapshot);
    recorder(&mut page, snapshot);
    key_sets(&mut page, snapshot);
    events(&mut page, snapshot);
    process(&mut page);
    page.text
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Reads one number of a worker.
type WorkerNumber = fn(&WorkerReport) -> u64;

struct Page {
    text: String,
}

/// Names and values of one sample's labels.
type LabelPairs<'a> = &'a [(&'a str, &'a str)];

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: LabelPairs<'_>, value: impl Display) {
        self.text.push_str(name);
        for (index, (label, label_value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for character in label_value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// Cumulative buckets in seconds from histograms of microseconds.
    fn histogram(&mut self, name: &str, help: &str, parts: &[&Histogram<u64>]) {
        self.family(name, Kind::Histogram, help);
        let mut buckets = [0_u64; BUCKETS.len()];
        let (mut count, mut sum_us) = (0_u64, 0_u64);
        for part in parts {
            for step in part.iter_recorded() {
                let value_us = step.value_iterated_to();
                let times = step.count_at_value();
                count += times;
                sum_us =
                    sum_us.saturating_add(part.median_equivalent(value_us).saturating_mul(times));
                // The histogram knows a value to one per cent: a step that begins at a bucket's
                // bound belongs to it.
                let least_us = part.lowest_equivalent(value_us);
                for (bucket, (bound_us, _)) in buckets.iter_mut().zip(BUCKETS) {
                    if least_us <= *bound_us {
                        *bucket += times;
                    }
                }
            }
        }
        let bucket_name = format!("{name}_bucket");
        for (bucket, (_, bound)) in buckets.iter().zip(BUCKETS) {
            self.sample(&bucket_name, &[("le", bound)], bucket);
        }
        self.sample(&bucket_name, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], seconds(sum_us));
        self.sample(&format!("{name}_count"), &[], count);
    }
}

fn node(page: &mut Page, snapshot: &Snapshot) {
    let node = &snapshot.node;
    page.family("narrows_build_info", Kind::Gauge, "Always 1; what runs, by its labels.");
    page.sample(
        "narrows_build_info",
        &[("version", &node.version), ("driver", &node.driver), ("node", &node.name)],
        1,
    );
    page.family("narrows_config_info", Kind::Gauge, "Always 1; the configuration in force.");
    page.sample("narrows_config_info", &[("version", &node.config_version)], 1);
    page.gauge(
        "narrows_start_time_seconds",
        "When this process began to serve, in seconds since the Unix epoch.",
        node.started_unix_ns / 1_000_000_000,
    );
    page.gauge("narrows_workers", "Worker threads.", node.workers);
    page.gauge(
        "narrows_workers_silent",
        "Worker threads that did not report in time; their numbers are missing on this page.",
        snapshot.silent_workers(),
    );
}

fn sessions(page: &mut Page, snapshot: &Snapshot) {
    let mut by_target: BTreeMap<&str, u64> = BTreeMap::new();
    for session in snapshot.reports.iter().flat_map(|report| &report.sessions) {
        *by_target.entry(&session.target).or_default() += 1;
    }
    page.family("narrows_sessions", Kind::Gauge, "Live sessions.");
    for (target, count) in by_target {
        page.sample("narrows_sessions", &[("target", target)], count);
    }
    let sum = snapshot.counters();
    page.counter(
        "narrows_connections_accepted_total",
        "Connections accepted from bots, logged in or not.",
        sum.connections_accepted,
    );
    page.counter("narrows_sessions_opened_total", "Sessions opened.", sum.sessions_opened);
    page.counter("narrows_sessions_closed_total", "Sessions closed.", sum.sessions_closed);
    page.counter("narrows_logins_refused_total", "Logins refused.", sum.logins_refused);
    page.counter(
        "narrows_protocol_errors_total",
        "Sessions that ended because a peer broke its protocol.",
        sum.protocol_errors,
    );
    page.counter(
        "narrows_defects_total",
        "Sessions that ended by a defect of Narrows itself.",
        sum.defects,
    );
}

fn statements(page: &mut Page, snapshot: &Snapshot) {
    let sum = snapshot.counters();
    let name = "narrows_statements_total";
    page.family(name, Kind::Counter, "Statements judged, by verdict.");
    page.sample(name, &[("verdict", "allow")], sum.statements_allowed);
    page.sample(name, &[("verdict", "deny")], sum.statements_denied);
    page.counter(
        "narrows_statements_observed_total",
        "Statements allowed that a policy in observe mode would have denied.",
        sum.statements_observed,
    );
    page.counter("narrows_cancels_total", "Cancel requests delivered.", sum.cancels);
    let latencies: Vec<&Histogram<u64>> = snapshot.reports.iter().map(|r| &r.latency).collect();
    page.histogram(
        "narrows_exchange_duration_seconds",
        "From a command's last byte to its answer's last byte.",
        &latencies,
    );
}

fn legs(page: &mut Page, snapshot: &Snapshot) {
    let sum = snapshot.counters();
    let name = "narrows_leg_bytes_total";
    page.family(name, Kind::Counter, "Plaintext bytes, by leg and direction as we see it.");
    for (leg, direction, bytes) in [
        ("downstream", "received", sum.downstream_received_bytes),
        ("downstream", "sent", sum.downstream_sent_bytes),
        ("upstream", "received", sum.upstream_received_bytes),
        ("upstream", "sent", sum.upstream_sent_bytes),
    ] {
        page.sample(name, &[("leg", leg), ("direction", direction)], bytes);
    }
    page.counter("narrows_tls_handshakes_total", "TLS handshakes done.", sum.tls_handshakes);
    page.counter("narrows_tls_failures_total", "TLS handshakes failed.", sum.tls_failures);
    page.counter(
        "narrows_receives_parked_total",
        "Times that a leg was made to wait for a buffer, a send queue or the recorder.",
        sum.receives_parked,
    );
}

fn workers(page: &mut Page, snapshot: &Snapshot) {
    let families: [(&str, &str, WorkerNumber); 4] = [
        ("narrows_worker_sessions", "Live sessions of a worker.", |r| r.sessions.len() as u64),
        ("narrows_worker_connections", "Sockets of a worker, both legs.", |r| r.gauges.connections),
        ("narrows_worker_chunks_free", "Receive buffers of a worker that nobody uses.", |r| {
            r.gauges.chunks_free
        }),
        ("narrows_worker_legs_parked", "Legs of a worker that are made to wait now.", |r| {
            r.gauges.legs_parked
        }),
    ];
    for (name, help, value) in families {
        page.family(name, Kind::Gauge, help);
        for report in &snapshot.reports {
            page.sample(name, &[("worker", &report.worker.to_string())], value(report));
        }
    }
}

fn recorder(page: &mut Page, snapshot: &Snapshot) {
    let stats = &snapshot.recorder;
    page.gauge(
        "narrows_recorder_queue_bytes",
        "Bytes handed to the recorder and not yet written.",
        stats.queue_bytes,
    );
    page.gauge(
        "narrows_recorder_failed",
        "1 while nothing can be recorded.",
        u8::from(stats.failed),
    );
    page.counter("narrows_recorder_blocks_total", "Blocks written.", stats.blocks);
    page.counter("narrows_recorder_raw_bytes_total", "Bytes before compression.", stats.raw_bytes);
    page.counter(
        "narrows_recorder_stored_bytes_total",
        "Bytes after compression.",
        stats.stored_bytes,
    );
    page.counter("narrows_recorder_losses_total", "Loss records written.", stats.losses);
    page.counter("narrows_recorder_commits_total", "Commits to disk.", stats.commits);
    page.histogram(
        "narrows_recorder_commit_duration_seconds",
        "From a commit's first write to the end of its sync.",
        &[&stats.commit_us],
    );
}

fn key_sets(page: &mut Page, snapshot: &Snapshot) {
    let sets = &snapshot.key_sets;
    let name = "narrows_issuer_keys";
    page.family(name, Kind::Gauge, "Keys in the cached set of an issuer.");
    for set in sets {
        page.sample(name, &[("issuer", &set.issuer)], set.keys);
    }
    let name = "narrows_issuer_key_set_age_seconds";
    page.family(name, Kind::Gauge, "Time since the key set of an issuer was fetched.");
    for set in sets {
        if let Some(fetched) = set.fetched_unix_s {
            let age_s = snapshot.now_unix_s.saturating_sub(fetched);
            page.sample(name, &[("issuer", &set.issuer)], age_s);
        }
    }
    let name = "narrows_issuer_fetch_failed";
    page.family(name, Kind::Gauge, "1 if the last fetch of an issuer's key set failed.");
    for set in sets {
        page.sample(name, &[("issuer", &set.issuer)], u8::from(set.failure.is_some()));
    }
}

fn events(page: &mut Page, snapshot: &Snapshot) {
    let stats = &snapshot.events;
    page.counter("narrows_events_written_total", "Audit events written.", stats.written);
    page.counter("narrows_events_lost_total", "Audit events lost to a full queue.", stats.lost);
    page.counter(
        "narrows_events_failures_total",
        "Failed writes and syncs of the event file; they are tried again.",
        stats.failures,
    );
    page.gauge("narrows_events_queue_bytes", "Audit events queued.", stats.queued_bytes);
}

/// The names that every dashboard knows, as far as `/proc` tells; what it does not tell is left out.
fn process(page: &mut Page) {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory."),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory."),
        ] {
            let kib = status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
            if let Some(kib) = kib.map(|kib: u64| kib * 1024) {
                page.gauge(name, help, kib);
            }
        }
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        page.gauge("process_open_fds", "Open files.", entries.count().saturating_sub(1));
    }
    let max_fds = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| {
        let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    if let Some(max_fds) = max_fds {
        page.gauge("process_max_fds", "Most open files.", max_fds);
    }
    if let Some(ticks) = cpu_ticks() {
        let name = "process_cpu_seconds_total";
        page.family(name, Kind::Counter, "User and system time spent.");
        page.sample(name, &[], seconds(ticks * (1_000_000 / TICKS_A_SECOND)));
    }
}

fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name in parentheses, may hold spaces: count from behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(FIELDS_BEFORE_UTIME);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Microseconds as seconds, without a detour over floating point.
fn seconds(us: u64) -> impl Display {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Upper bounds, in microseconds and as a label in seconds.
const BUCKETS: &[(u64, &str)] = &[
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];
/// `/proc` counts in hundredths of a second on every machine that Linux still runs on.
const TICKS_A_SECOND: u64 = 100;
/// State to cmajflt, proc(5), `/proc/pid/stat`: fields 3 to 13.
const FIELDS_BEFORE_UTIME: usize = 11;

#[cfg(test)]
mod tests;
