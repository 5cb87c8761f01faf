//! Bad input inside a session and bad targets: a clear refusal, and nobody else is disturbed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
#[cfg(debug_assertions)]
use crate::support::gateway::EVENTS;
use crate::support::postgres::{Role, Version};
#[cfg(debug_assertions)]
use crate::support::process::eventually;
use crate::support::process::free_port;
use crate::support::raw::{Raw, extended, message, parse, query, sync, transcript};
use crate::world;

fn endpoint() -> Endpoint {
    world::passage().endpoint(Version::V15, Role::App, "shop")
}

#[test]
fn a_statement_over_the_bound_is_refused_and_the_session_kept() {
    let mut raw = Raw::login(&endpoint());
    let huge = format!("SELECT '{}'", "x".repeat(16 * 1024 * 1024 + 1));
    assert_eq!(raw.query(&huge), "E(54000) Z(I)");
    raw.send(&[parse("", &huge), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(54000) Z(I)");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    raw.query("BEGIN");
    assert_eq!(raw.query(&huge), "E(54000) Z(E)");
}

#[test]
fn lies_end_their_own_session_alone() {
    let mut neighbour = Raw::login(&endpoint());
    let lies: [(&str, Vec<u8>); 6] = [
        ("a length below its own size", vec![b'Q', 0, 0, 0, 3]),
        ("a negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff]),
        ("a type that is none", message(b'!', b"")),
        ("a text without its end", message(b'Q', b"SELECT 1")),
        ("bytes behind the text", message(b'Q', b"SELECT 1\0DROP TABLE orders\0")),
        ("noise", (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
    ];
    for (name, bytes) in lies {
        let mut raw = Raw::login(&endpoint());
        let _ = raw.try_send(&bytes);
        let answers = raw.until_ready();
        // A lie inside a whole message may cost the session or the statement, as at the server.
        let words = transcript(&answers);
        let told = words.is_empty() || words.starts_with("E(");
        assert!(told && !words.contains('C'), "{name}: {words}");
        assert_eq!(neighbour.query("SELECT 1"), "T D C(SELECT 1) Z(I)", "after {name}");
    }
}

#[test]
fn what_is_not_utf8_is_refused() {
    let mut raw = Raw::login(&endpoint());
    raw.send(&message(b'Q', b"SELECT '\xff\xfe'\0"));
    let words = transcript(&raw.until_ready());
    assert!(words.starts_with("E(") && words.ends_with("Z(I)"), "{words}");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}

#[test]
fn fifty_sessions_do_not_notice_their_neighbours() {
    let stop = AtomicBool::new(false);
    let endpoint = endpoint();
    let slowest = thread::scope(|scope| {
        let workers: Vec<_> = (0..50)
            .map(|n| {
                let (endpoint, stop) = (&endpoint, &stop);
                scope.spawn(move || work(endpoint, n, stop))
            })
            .collect();
        // 200 MB asked for and left unread, for as long as the test runs.
        let mut stalled = Raw::login(&endpoint);
        stalled.send(&query("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"));
        // Half of a statement, and silence.
        let mut unfinished = Raw::login(&endpoint);
        unfinished.send(&query("SELECT 'and then'")[..12]);
        let silent: Vec<_> = (0..50).map(|_| Raw::plain(endpoint.port)).collect();
        let halfway: Vec<_> = (0..20).map(|_| Raw::tls(endpoint.port, &endpoint.ca)).collect();
        let until = Instant::now() + Duration::from_secs(4);
        while Instant::now() < until {
            let mut garbage = Raw::plain(endpoint.port);
            let _ = garbage.try_send(&[0x80; 512]);
            let mut raw = Raw::login(&endpoint);
            let _ = raw.try_send(&[vec![b'Q', 0x7f, 0xff, 0xff, 0xff], vec![0; 4096]].concat());
        }
        stop.store(true, Ordering::Relaxed);
        let slowest = workers.into_iter().map(|worker| worker.join().unwrap()).max();
        drop((stalled, unfinished, silent, halfway));
        slowest.unwrap()
    });
    assert!(slowest < Duration::from_secs(2), "one answer took {slowest:?}");
}

/// One statement after the other until told; the longest that an answer took.
fn work(endpoint: &Endpoint, me: u32, stop: &AtomicBool) -> Duration {
    let mut raw = Raw::login(endpoint);
    let mut slowest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let simple = raw.query(&format!("SELECT {me}"));
        assert_eq!(simple, "T D C(SELECT 1) Z(I)");
        raw.send(&[extended("SELECT 1"), sync()].concat());
        assert_eq!(transcript(&raw.until_ready()), "1 2 T D C(SELECT 1) Z(I)");
        slowest = slowest.max(started.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    slowest
}

/// Builds without debug assertions have no way to ask for a defect.
#[cfg(debug_assertions)]
#[test]
fn a_defect_ends_its_own_session_and_is_told() {
    let passage = world::altered_passage(&[("NARROWS_TEST_PANIC_ON", "a fatal word")], |config| {
        config + EVENTS
    });
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (endpoint, stop) = (&endpoint, &stop);
        let others: Vec<_> =
            (0..50).map(|n| scope.spawn(move || work(endpoint, n, stop))).collect();
        for _ in 0..DEFECTS {
            let mut struck = Raw::login(endpoint);
            assert_eq!(struck.query("SELECT 'before'"), "T D C(SELECT 1) Z(I)");
            let words = struck.query("SELECT 'a fatal word'");
            assert!(!words.contains('Z'), "the session is closed: {words}");
            assert_eq!(Raw::login(endpoint).query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        }
        thread::sleep(Duration::from_millis(500));
        stop.store(true, Ordering::Relaxed);
        for other in others {
            let slowest = other.join().unwrap();
            assert!(slowest < Duration::from_secs(2), "one answer took {slowest:?}");
        }
    });
    let status = passage.gateway.json(&["status"]).remove(0);
    assert_eq!(status["counters"]["defects"], DEFECTS as u64, "{status}");
    eventually("each defect is recorded", Duration::from_secs(5), || {
        let told = passage.gateway.json(&["tail", "-n", "1000000"]);
        let defects = told.iter().filter(|line| line["end"]["reason"] == "defect");
        defects.count() == DEFECTS
    });
    eventually("each defect is an event", Duration::from_secs(5), || {
        let events = passage.gateway.events();
        let ended = |event: &&serde_json::Value| {
            event["metadata"]["event_code"] == "session.end" && event["status_detail"] == "defect"
        };
        events.iter().filter(ended).count() == DEFECTS
    });
    passage.gateway.stdout(&["verify"]);
}

#[cfg(debug_assertions)]
const DEFECTS: usize = 4;

#[test]
fn a_hundred_megabytes_pass_at_flat_memory() {
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut psql = Command::new("psql");
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let fetch = |psql: &mut Command| {
        let output = endpoint.prepare(psql).args(["-XAtqc", sql]).output().unwrap();
        assert_eq!(output.stdout.len(), 100_100_000);
    };
    fetch(&mut psql);
    let warm = passage.gateway.resident_bytes();
    let mut stalled = Raw::login(&endpoint);
    stalled.send(&query(sql));
    for _ in 0..3 {
        fetch(&mut Command::new("psql"));
    }
    let after = passage.gateway.resident_bytes();
    assert!(after < warm + 32 * 1024 * 1024, "{warm} bytes became {after}");
}

#[test]
fn a_target_that_is_down_or_lies_ends_the_login_and_nothing_else() {
    let behaviours: [(&str, Option<&'static [u8]>); 5] = [
        ("down", None),
        ("hangs up", Some(b"")),
        ("speaks another protocol", Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("has no TLS", Some(b"N")),
        ("says yes to TLS and then talks nonsense", Some(b"Sxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")),
    ];
    for (name, says) in behaviours {
        let port = says.map_or_else(free_port, rogue);
        let passage = world::Passage::before(port);
        let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        let started = Instant::now();
        let words = transcript(&raw.authenticate(&endpoint));
        assert!(words.contains("E(FATAL"), "{name}: {words}");
        assert!(!words.contains('Z'), "{name}: {words}");
        assert!(started.elapsed() < Duration::from_secs(15), "{name}");
        assert!(raw.is_finished(), "{name}");
        let again = Raw::tls(endpoint.port, &endpoint.ca).authenticate(&endpoint);
        assert!(!again.is_empty(), "{name}: the gateway is there still");
    }
}

/// A server that answers any first bytes with `says` and hangs up.
fn rogue(says: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut first = [0; 8];
            let _ = stream.read(&mut first);
            let _ = stream.write_all(says);
        }
    });
    port
}
