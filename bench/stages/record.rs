//! What recording costs: the hand-off of delivered bytes on the path, and the recorder's own thread,
//! which compresses, writes and syncs them into a directory that is deleted again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use narrows::model::recording::Durability;
use narrows::model::session::{CloseReason, SessionId, Totals};
use narrows::model::target::Protocol;
use narrows::model::time::{Now, unix_ns};
use narrows::record::{Recorder, RecordingConfig, RunKind, SessionStart};

use crate::meter::Meter;

const PIECE_BYTES: usize = 4096;
const BURST: usize = 64;

pub fn print(meter: Meter) {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let config = RecordingConfig {
        durability: Durability::Group,
        ..RecordingConfig::new(dir.path().to_owned(), "bench")
    };
    let recorder = Recorder::start(config).expect("the recorder starts");
    let link = recorder.worker(0, Arc::new(|| {}));
    let begun = Instant::now();
    let now = || Now { unix_ns: unix_ns(), mono_ns: begun.elapsed().as_nanos() as u64 };
    let mut tap = link.open(now(), &start(now())).expect("the session is recorded");
    let pieces = pieces();
    let (mut bursts, at) = (Vec::new(), now());
    while begun.elapsed() < 3 * meter.each() {
        let burst = Instant::now();
        for piece in pieces.iter().take(BURST) {
            let _proof = tap.append(RunKind::Delivered, at, piece).expect("it is recorded");
        }
        bursts.push(burst.elapsed() / BURST as u32);
        while tap.congested() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    bursts.sort();
    let busy_s = recorder_cpu_s();
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    let stats = recorder.stats();
    let commits = stats.commit_us.expect("something was committed");
    let hand_off = bursts[bursts.len() / 2].as_nanos();
    println!("\n{:62}{hand_off:10}", format!("hand-off of {PIECE_BYTES} bytes, ns (median)"));
    let speed = stats.raw_bytes as f64 / 1e6 / busy_s;
    println!("{:62}{speed:10.0}", "recorder, MB a second of its processor time");
    let ratio = stats.raw_bytes as f64 / stats.stored_bytes as f64;
    println!("{:62}{ratio:10.2}", "compression");
    let quantile = |it: f64| commits.value_at_quantile(it);
    println!("{:62}{:10}", "commit, us, p50", quantile(0.5));
    println!("{:62}{:10}", "commit, us, p99", quantile(0.99));
}

/// Rows of payments.
fn pieces() -> Vec<Vec<u8>> {
    let row = |number: usize| {
        format!(
            "D\0\0\0*{number:08}customer {} paid {} on 2026-11-{:02}",
            number % 977,
            number * 31 % 10_007,
            number % 28
        )
    };
    let piece = |piece: usize| {
        let mut bytes: Vec<u8> =
            (0..100).flat_map(|it| row(piece * 100 + it).into_bytes()).collect();
        bytes.truncate(PIECE_BYTES);
        bytes
    };
    (0..512).map(piece).collect()
}

fn start(now: Now) -> SessionStart {
    SessionStart {
        session: SessionId::at(now.unix_ns),
        account: "bot".to_owned(),
        target: "shop".to_owned(),
        protocol: Protocol::Postgres,
        database: "shop".to_owned(),
        client: "127.0.0.1:5000".parse().expect("it is an address"),
        issuer: "ci".to_owned(),
        subject: "repo:acme".to_owned(),
        token_id: None,
        token_expires_unix_s: 0,
        claims: BTreeMap::new(),
        upstream_user: "app".to_owned(),
        policies: Vec::new(),
        policy_version: "1".to_owned(),
        downstream_tls: None,
        upstream_tls: None,
    }
}

/// Processor time of the recorder's thread so far.
fn recorder_cpu_s() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads are listed");
    let tasks = tasks.map(|task| task.expect("threads are listed").path());
    let is_recorder = |task: &Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "narrows-record")
    };
    let busy_ns = tasks.filter(|task| is_recorder(task)).map(|task| {
        let text = std::fs::read_to_string(task.join("schedstat")).expect("the thread lives");
        let busy = text.split_whitespace().next().map(str::parse::<f64>);
        busy.expect("it has been scheduled").expect("it is a number")
    });
    busy_ns.sum::<f64>() / 1e9
}
