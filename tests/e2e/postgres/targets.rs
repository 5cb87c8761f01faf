//! Targets that are silent or go away: their own sessions hear it, nobody else does.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Postgres, Role, Version};
use crate::support::raw::{Raw, query, transcript};
use crate::world::{self, Passage};

#[test]
fn a_target_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let passage = Passage::before(silent.local_addr().unwrap().port());
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let started = Instant::now();
    let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
    let words = transcript(&raw.authenticate(&endpoint));
    assert_eq!(words, "E(FATAL 57P05)");
    assert!(raw.is_finished());
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    // Its queue is full of connections that nobody took; the gateway has let go of its own.
    let status = passage.gateway.json(&["sessions"]).remove(0);
    assert!(status["sessions"].as_array().unwrap().is_empty(), "{status}");
}

#[test]
fn a_target_that_restarts_under_load_takes_nobody_elses_sessions_along() {
    let mut own = Postgres::start(Version::V15, world::pki());
    let passage = Passage::before_own_and_shared(&own);
    let restarted = passage.endpoint(Version::V15, Role::App, "shop");
    let shared = passage.endpoint(Version::V15, Role::Md5, "shop");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let others: Vec<_> = (0..10).map(|_| scope.spawn(|| work(&shared, &stop))).collect();
        let struck: Vec<_> =
            (0..10).map(|_| scope.spawn(|| work_until_ended(&restarted))).collect();
        thread::sleep(Duration::from_millis(500));
        own.stop();
        for session in struck {
            let words = session.join().unwrap();
            // The server's own words, as it would have said them to the bot itself.
            assert!(words.is_empty() || words.contains("E(FATAL 57P01)"), "{words}");
        }
        let mut raw = Raw::tls(restarted.port, &restarted.ca);
        let words = transcript(&raw.authenticate(&restarted));
        assert!(words.contains("E(FATAL 08") && !words.contains('Z'), "while it is down: {words}");
        own.start_again();
        assert_eq!(Raw::login(&restarted).query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        stop.store(true, Ordering::Relaxed);
        let answers: u32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert!(answers > 100, "only {answers} answers");
    });
}

/// One statement after the other until told; how many there were.
fn work(endpoint: &Endpoint, stop: &AtomicBool) -> u32 {
    let mut raw = Raw::login(endpoint);
    let mut answers = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        answers += 1;
        thread::sleep(Duration::from_millis(5));
    }
    answers
}

/// One statement after the other until the session ends; its last words.
fn work_until_ended(endpoint: &Endpoint) -> String {
    let mut raw = Raw::login(endpoint);
    loop {
        if raw.try_send(&query("SELECT 1")).is_err() {
            return transcript(&raw.until_ready());
        }
        let words = transcript(&raw.until_ready());
        if words != "T D C(SELECT 1) Z(I)" {
            return words;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
