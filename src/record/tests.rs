use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::disk::trial::Faults;
use super::disk::{Disk, Driver};
use super::reader::{Entry, EntryKind, EntryReader, Follower, Wanted, find_session, read};
use super::verify::verify;
use super::*;
use crate::limits::{BLOCK_RAW_BYTES, RUN_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::model::event::What;
use crate::model::session::{CloseReason, Exchange, Parameter};
use crate::model::time::Now;

pub fn now() -> Now {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let mono_ns = START.get_or_init(Instant::now).elapsed().as_nanos() as u64;
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Now { unix_ns: unix.as_nanos() as u64, mono_ns }
}

pub fn config(dir: &Path, durability: Durability) -> RecordingConfig {
    RecordingConfig {
        durability,
        segment_bytes: SEGMENT_BYTES_MIN,
        ..RecordingConfig::new(dir.to_owned(), "node")
    }
}

pub fn start(account: &str) -> SessionStart {
    SessionStart {
        session: SessionId::at(now().unix_ns),
        account: account.to_owned(),
        target: "shop".to_owned(),
        protocol: Protocol::Postgres,
        database: "shop".to_owned(),
        client: "127.0.0.1:5000".parse().unwrap(),
        issuer: "ci".to_owned(),
        subject: "repo:acme".to_owned(),
        token_id: None,
        token_expires_unix_s: 0,
        claims: BTreeMap::from([("ref".to_owned(), ClaimValue::Text("main".to_owned()))]),
        upstream_user: "app".to_owned(),
        policies: vec!["reads".to_owned()],
        policy_version: "1".to_owned(),
        downstream_tls: None,
        upstream_tls: None,
    }
}

pub fn exchange(number: u64, text: &str) -> Exchange {
    Exchange {
        number,
        text: text.to_owned(),
        text_bytes: text.len() as u64,
        verdict: "allow".to_owned(),
        rule: "reads/any".to_owned(),
        rows: 1,
        tag: Some("SELECT 1".to_owned()),
        ..Exchange::default()
    }
}

pub fn idle_waker() -> Waker {
    Arc::new(|| {})
}

/// What a session recorded, wire runs joined by kind while the kind stays the same.
pub type Told = Vec<(String, Vec<u8>)>;

pub fn told(dir: &Path) -> BTreeMap<SessionId, Told> {
    let mut sessions: BTreeMap<SessionId, Told> = BTreeMap::new();
    read(dir, Wanted::All, &mut |entry: Entry<'_>| {
        let told = sessions.entry(entry.session).or_default();
        tell(told, &entry);
        ControlFlow::Continue(())
    })
    .unwrap();
    sessions.remove(&SessionId(uuid::Uuid::nil()));
    sessions
}

fn tell(told: &mut Told, entry: &Entry<'_>) {
    match &entry.kind {
        EntryKind::Run { kind, bytes } => push(told, kind.name(), bytes),
        EntryKind::Exchange(it) => told.push(("record".into(), it.text.clone().into_bytes())),
        EntryKind::Start(_) => told.push(("start".into(), Vec::new())),
        EntryKind::End(end) => told.push(("end".into(), end.reason.clone().into_bytes())),
        EntryKind::Lost(loss) => told.push(("lost".into(), loss.raw_bytes.to_string().into())),
        EntryKind::LostElsewhere(_)
        | EntryKind::Recovered(_)
        | EntryKind::ClockStep(_)
        | EntryKind::Damaged { .. } => told.push((format!("{:?}", entry.kind), Vec::new())),
    }
}

fn push(told: &mut Told, name: &str, bytes: &[u8]) {
    match told.last_mut() {
        Some((last, all)) if last == name => all.extend_from_slice(bytes),
        _ => told.push((name.to_owned(), bytes.to_vec())),
    }
}

/// Numbers that look random and are the same every time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let random = self.roll(2) == 0;
        (0..length)
            .map(|at| if random { self.roll(256) as u8 } else { b'a' + (at % 7) as u8 })
            .collect()
    }
}

const KINDS: [RunKind; 5] = [
    RunKind::Forwarded,
    RunKind::Delivered,
    RunKind::SaidUpstream,
    RunKind::SaidDownstream,
    RunKind::Withheld,
];

/// Runs `steps` random steps over a few sessions and returns what they recorded.
fn play(link: &WorkerLink, seed: u64, steps: usize) -> BTreeMap<SessionId, Told> {
    let mut dice = Dice(seed);
    let mut open: Vec<(SessionId, Tap)> = Vec::new();
    let mut expected: BTreeMap<SessionId, Told> = BTreeMap::new();
    for step in 0..steps {
        match dice.roll(12) {
            0 if open.len() < 5 => {
                let start = start("bot");
                let tap = link.open(now(), &start).unwrap();
                expected.insert(start.session, vec![("start".into(), Vec::new())]);
                open.push((start.session, tap));
            }
            1 if open.len() > 2 => {
                let (id, mut tap) = open.swap_remove(dice.roll(open.len()));
                tap.end(now(), CloseReason::BotFinished, Totals::default());
                expected.get_mut(&id).unwrap().push(("end".into(), b"bot_finished".to_vec()));
            }
            2 if !open.is_empty() => {
                let at = dice.roll(open.len());
                let text = format!("SELECT {step} {}", "x".repeat(dice.roll(40_000)));
                let _ = open[at].1.exchange(now(), &exchange(1, &text)).unwrap();
                expected.get_mut(&open[at].0).unwrap().push(("record".into(), text.into_bytes()));
            }
            3 if !open.is_empty() => {
                let at = dice.roll(open.len());
                open[at].1.cut();
            }
            _ if !open.is_empty() => {
                let at = dice.roll(open.len());
                let size = [0, 1, 100, 5_000, RUN_BYTES_MAX, 200_000][dice.roll(6)];
                let bytes = dice.bytes(size);
                let kind = KINDS[dice.roll(KINDS.len())];
                let _ = open[at].1.append(kind, now(), &bytes).unwrap();
                push(expected.get_mut(&open[at].0).unwrap(), kind.name(), &bytes);
            }
            _ => {}
        }
        while open.iter().any(|(_, tap)| tap.congested()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for (id, mut tap) in open {
        tap.end(now(), CloseReason::Draining, Totals::default());
        expected.get_mut(&id).unwrap().push(("end".into(), b"draining".to_vec()));
    }
    expected
}

fn clean(dir: &Path) {
    let report = verify(dir).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness, vec![]);
    assert_eq!(report.sessions_open, 0);
    assert!(!report.live);
}

fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_appended_is_read_in_every_mode_and_by_both_drivers() {
    let drivers: [fn() -> std::io::Result<Driver>; 2] = [Disk::choose, Disk::plain];
    let modes = [Durability::Async, Durability::Group, Durability::Request, Durability::Strict];
    for (number, mode) in modes.into_iter().enumerate() {
        for driver in drivers {
            let dir = tempfile::tempdir().unwrap();
            let recorder = Recorder::start_on(config(dir.path(), mode), driver).unwrap();
            let link = recorder.worker(0, idle_waker());
            let expected = play(&link, 7 + number as u64, 400);
            recorder.stop();
            assert_eq!(told(dir.path()), expected, "{mode:?}");
            clean(dir.path());
            assert_eq!(recorder.stats().queue_bytes, 0);
            assert_eq!(recorder.stats().lost_blocks, 0);
        }
    }
}

#[test]
fn two_workers_record_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let mut expected = BTreeMap::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2_u16)
            .map(|worker| {
                let recorder = recorder.clone();
                scope.spawn(move || {
                    let link = recorder.worker(worker, idle_waker());
                    play(&link, 99 + u64::from(worker), 500)
                })
            })
            .collect();
        for thread in threads {
            expected.extend(thread.join().unwrap());
        }
    });
    recorder.stop();
    assert_eq!(told(dir.path()), expected);
    clean(dir.path());
}

#[test]
fn a_full_segment_is_followed_by_another_and_every_session_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let long = start("long");
    let mut long_tap = link.open(now(), &long).unwrap();
    let mut dice = Dice(3);
    for _ in 0..40 {
        let bytes: Vec<u8> = (0..300_000).map(|_| dice.roll(256) as u8).collect();
        let _ = long_tap.append(RunKind::Delivered, now(), &bytes).unwrap();
        until(|| !long_tap.congested());
    }
    long_tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    assert!(recorder.stats().segments >= 3, "{:?}", recorder.stats().segments);
    clean(dir.path());
    let suffix = long.session.to_string().split_off(24);
    assert_eq!(find_session(dir.path(), &suffix).unwrap(), long.session);
    let mut bytes = 0;
    read(dir.path(), Wanted::Session(long.session), &mut |entry: Entry<'_>| {
        if let EntryKind::Run { bytes: run, .. } = entry.kind {
            bytes += run.len();
        }
        assert_eq!(entry.account, "long");
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(bytes, 40 * 300_000);
}

#[test]
fn a_request_may_go_on_only_after_its_sync_and_its_worker_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let driver = faults.clone();
    let recorder =
        Recorder::start_on(config(dir.path(), Durability::Request), move || driver.driver())
            .unwrap();
    let woken = Arc::new(AtomicU64::new(0));
    let wakes = Arc::clone(&woken);
    let waker: Waker = Arc::new(move || {
        wakes.fetch_add(1, Ordering::SeqCst);
    });
    let link = recorder.worker(0, waker);
    let mut tap = link.open(now(), &start("bot")).unwrap();
    faults.hold_syncs();
    let request = tap.append(RunKind::Forwarded, now(), b"select 1").unwrap();
    let answer = tap.append(RunKind::Delivered, now(), b"1").unwrap();
    assert!(!tap.durable(&request).unwrap());
    assert!(tap.durable(&answer).unwrap(), "answers do not wait in this mode");
    std::thread::sleep(Duration::from_millis(60));
    assert!(!tap.durable(&request).unwrap());
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    let synced = faults.synced();
    faults.release_syncs();
    until(|| woken.load(Ordering::SeqCst) > 0);
    assert!(tap.durable(&request).unwrap());
    assert!(faults.synced() > synced);
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    clean(dir.path());
}

#[test]
fn answers_wait_too_in_strict_mode_and_nothing_waits_in_group_mode() {
    for (mode, waits) in [(Durability::Strict, true), (Durability::Group, false)] {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::none();
        let driver = faults.clone();
        let recorder =
            Recorder::start_on(config(dir.path(), mode), move || driver.driver()).unwrap();
        let link = recorder.worker(0, idle_waker());
        let mut tap = link.open(now(), &start("bot")).unwrap();
        faults.hold_syncs();
        let answer = tap.append(RunKind::Delivered, now(), b"1").unwrap();
        assert_eq!(tap.durable(&answer).unwrap(), !waits, "{mode:?}");
        faults.release_syncs();
        until(|| tap.durable(&answer).unwrap());
    }
}

#[test]
fn a_failed_sync_is_not_repeated_and_loses_nothing() {
    for seed in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let faults = Faults::none();
        let driver = faults.clone();
        let recorder =
            Recorder::start_on(config(dir.path(), Durability::Group), move || driver.driver())
                .unwrap();
        let link = recorder.worker(0, idle_waker());
        let mut expected = play(&link, 1000 + seed, 60);
        if seed % 2 == 0 {
            faults.fail_syncs(1)
        } else {
            faults.fail_writes(1)
        }
        expected.extend(play(&link, 2000 + seed, 60));
        recorder.stop();
        assert_eq!(told(dir.path()), expected, "seed {seed}");
        clean(dir.path());
        assert_eq!(recorder.stats().lost_blocks, 0);
        assert!(recorder.stats().segments >= 2);
    }
}

#[test]
fn a_full_disk_ends_sessions_where_the_mode_says_so_and_the_recording_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let driver = faults.clone();
    let recorder =
        Recorder::start_on(config(dir.path(), Durability::Request), move || driver.driver())
            .unwrap();
    let (tell, changes) = std::sync::mpsc::channel();
    recorder.watch(Box::new(move |what| tell.send(what).unwrap()));
    let link = recorder.worker(0, idle_waker());
    let begun = start("bot");
    let mut tap = link.open(now(), &begun).unwrap();
    let first = tap.append(RunKind::Forwarded, now(), b"select 1").unwrap();
    until(|| tap.durable(&first).unwrap());
    faults.fail_writes(1);
    faults.fail_creates(1_000);
    let second = tap.append(RunKind::Forwarded, now(), b"select 2").unwrap();
    until(|| tap.durable(&second).is_err());
    assert_eq!(tap.append(RunKind::Delivered, now(), b"2").unwrap_err(), RecordFailure::Disk);
    assert!(link.open(now(), &start("bot")).is_err());
    assert!(recorder.stats().failing);
    tap.end(now(), CloseReason::RecordingFailed, Totals::default());
    faults.fail_creates(0);
    until(|| !recorder.stats().failing);
    let mut tap = link.open(now(), &start("bot")).unwrap();
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    let changes: Vec<_> = changes.try_iter().collect();
    let [What::RecordingFailed { reason }, What::RecordingRestored] = changes.as_slice() else {
        panic!("every change is told once: {changes:?}");
    };
    assert!(reason.contains("No space left"), "{reason}");
    let told = told(dir.path());
    assert_eq!(told[&begun.session][0].0, "start");
    assert_eq!(told[&begun.session][1], ("forwarded".into(), b"select 1".to_vec()));
    assert_eq!(told[&begun.session][2].0, "lost");
    assert_eq!(told[&begun.session][3], ("end".into(), b"recording_failed".to_vec()));
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness.len(), 1, "{:?}", report.completeness);
    assert_eq!(report.completeness[0].session, Some(begun.session.0));
}

#[test]
fn sessions_go_on_where_the_mode_says_so_and_every_lost_byte_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let driver = faults.clone();
    let config = RecordingConfig {
        on_failure: OnFailure::Continue,
        ..config(dir.path(), Durability::Strict)
    };
    let recorder = Recorder::start_on(config, move || driver.driver()).unwrap();
    let link = recorder.worker(0, idle_waker());
    let begun = start("bot");
    let mut tap = link.open(now(), &begun).unwrap();
    let first = tap.append(RunKind::Forwarded, now(), b"before").unwrap();
    until(|| tap.durable(&first).unwrap());
    faults.fail_syncs(2);
    faults.fail_creates(1);
    for _ in 0..3 {
        let recorded = tap.append(RunKind::Forwarded, now(), b"meanwhile").unwrap();
        until(|| tap.durable(&recorded).unwrap());
    }
    let lost_meanwhile = start("new");
    let mut second = link.open(now(), &lost_meanwhile).unwrap();
    second.end(now(), CloseReason::BotFinished, Totals::default());
    faults.fail_syncs(0);
    until(|| !recorder.stats().failing && recorder.stats().queue_bytes == 0);
    let last = tap.append(RunKind::Forwarded, now(), b"after").unwrap();
    until(|| tap.durable(&last).unwrap());
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    let lost = recorder.stats().lost_bytes;
    assert!(lost >= 3 * 9, "{lost}");
    let told = told(dir.path());
    let kinds: Vec<_> = told[&begun.session].iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["start", "forwarded", "lost", "forwarded", "end"]);
    assert_eq!(told[&begun.session][2].1, lost.to_string().into_bytes());
    assert_eq!(told[&begun.session][3].1, b"after");
    let kinds: Vec<_> =
        told[&lost_meanwhile.session].iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["start", "end"]);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness.len(), 1, "{:?}", report.completeness);
}

#[test]
fn a_follower_sees_a_statement_while_it_is_recorded_and_goes_over_to_the_next_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut follower = Follower::new(dir.path().to_owned(), EntryReader::default(), None);
    let mut seen: Told = Vec::new();
    let mut look = |follower: &mut Follower| {
        let mut new = 0;
        let _ = follower
            .poll(&mut |entry: Entry<'_>| {
                tell(&mut seen, &entry);
                new += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        new
    };
    assert_eq!(look(&mut follower), 0);
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    let mut dice = Dice(5);
    let mut expected: Told = vec![("start".into(), Vec::new())];
    for round in 0..60 {
        let text = format!("SELECT {round}");
        let bytes: Vec<u8> = (0..150_000).map(|_| dice.roll(256) as u8).collect();
        let _ = tap.append(RunKind::Delivered, now(), &bytes).unwrap();
        let _ = tap.exchange(now(), &exchange(round, &text)).unwrap();
        expected.push(("delivered".into(), bytes));
        expected.push(("record".into(), text.into_bytes()));
        tap.cut();
        let begun = Instant::now();
        let mut news = 0;
        while news == 0 {
            news += look(&mut follower);
            assert!(begun.elapsed() < Duration::from_secs(1), "round {round}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    expected.push(("end".into(), b"bot_finished".to_vec()));
    recorder.stop();
    look(&mut follower);
    assert!(recorder.stats().segments > 1);
    assert!(seen == expected, "{} entries instead of {}", seen.len(), expected.len());
}

#[test]
fn an_idle_session_holds_no_buffer_and_buffers_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    assert_eq!(tap.next_cut_ns(), None);
    let at = now();
    let _ = tap.append(RunKind::Forwarded, at, b"select 1").unwrap();
    assert_eq!(tap.next_cut_ns(), Some(at.mono_ns + 10_000_000));
    tap.cut();
    assert_eq!(tap.next_cut_ns(), None);
    assert_eq!(tap.held_bytes(), 0);
    until(|| recorder.stats().queue_bytes == 0);
    let _ = tap.append(RunKind::Forwarded, now(), &[7; 3 * BLOCK_RAW_BYTES]).unwrap();
    tap.cut();
    until(|| recorder.stats().queue_bytes == 0);
    assert_eq!(tap.held_bytes(), 0);
}

#[test]
fn a_directory_has_one_recorder() {
    let dir = tempfile::tempdir().unwrap();
    let first = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let second = Recorder::start(config(dir.path(), Durability::Group));
    assert!(matches!(second, Err(StartError::InUse { .. })));
    first.stop();
    Recorder::start(config(dir.path(), Durability::Group)).unwrap().stop();
    clean(dir.path());
}

#[test]
fn a_dropped_tap_ends_its_session_as_a_defect() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    let _ = tap.append(RunKind::Forwarded, now(), b"select 1").unwrap();
    drop(tap);
    recorder.stop();
    let told = told(dir.path());
    let only = told.values().next().unwrap();
    assert_eq!(only[1], ("forwarded".into(), b"select 1".to_vec()));
    assert_eq!(only[2], ("end".into(), b"defect".to_vec()));
    clean(dir.path());
}

#[test]
fn an_exchange_too_large_for_a_record_says_how_large_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    let mut large = exchange(1, &"é".repeat(400_000));
    large.parameters = vec![Parameter::Text("p".repeat(100)); 5_000];
    let _ = tap.exchange(now(), &large).unwrap();
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    let mut seen = None;
    read(dir.path(), Wanted::All, &mut |entry: Entry<'_>| {
        if let EntryKind::Exchange(exchange) = entry.kind {
            seen = Some(exchange);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let seen = seen.unwrap();
    assert_eq!(seen.text_bytes, 800_000);
    assert!(seen.text.len() > 60_000 && large.text.starts_with(&seen.text));
    assert_eq!(seen.parameters.len(), 4_097);
    assert_eq!(seen.parameters[0], Parameter::Long(100));
    assert_eq!(seen.parameters[4_096], Parameter::Long(904 * 100));
}

#[test]
fn a_queue_that_is_full_stops_receiving_and_frees_itself() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::none();
    let driver = faults.clone();
    let recorder =
        Recorder::start_on(config(dir.path(), Durability::Group), move || driver.driver()).unwrap();
    let woken = Arc::new(AtomicU64::new(0));
    let wakes = Arc::clone(&woken);
    let link = recorder.worker(
        0,
        Arc::new(move || {
            wakes.fetch_add(1, Ordering::SeqCst);
        }),
    );
    let mut tap = link.open(now(), &start("bot")).unwrap();
    faults.hold_syncs();
    // Bytes that do not compress: what has been packed counts as what it holds.
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let mut sent = 0;
    while !tap.congested() && sent <= 5 * 1024 * 1024 {
        let bytes: Vec<u8> = (0..RUN_BYTES_MAX).map(|_| noise()).collect();
        let _ = tap.append(RunKind::Delivered, now(), &bytes).unwrap();
        sent += RUN_BYTES_MAX;
    }
    assert!((3 * 1024 * 1024..5 * 1024 * 1024).contains(&sent));
    assert!(tap.congested());
    faults.release_syncs();
    until(|| woken.load(Ordering::SeqCst) > 0 && !tap.congested());
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    clean(dir.path());
}
