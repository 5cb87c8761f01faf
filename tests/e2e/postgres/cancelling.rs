//! CancelRequest: the server's process id, the gateway's own secret, and never the wrong statement.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::raw::{
    Raw, cancel_request, copy_data, copy_fail, extended, query, sync, transcript,
};
use crate::world;

fn endpoint(version: Version) -> Endpoint {
    world::passage().endpoint(version, Role::App, "shop")
}

#[test]
fn the_process_id_is_the_servers_own() {
    for version in [Version::V15, Version::V18] {
        let mut raw = Raw::login(&endpoint(version));
        raw.send(&query("SELECT pg_backend_pid()"));
        let answers = raw.until_ready();
        let row = answers.iter().find(|message| message.tag == b'D').unwrap();
        let (pid, secret) = raw.key.clone().unwrap();
        assert!(row.body.ends_with(pid.to_string().as_bytes()));
        assert_eq!(secret.len(), 4, "protocol 3.0 has four bytes of secret");
    }
}

#[test]
fn a_request_ends_the_statement_in_flight() {
    let endpoint = endpoint(Version::V15);
    let mut raw = Raw::login(&endpoint);
    let (pid, secret) = raw.key.clone().unwrap();
    for encrypted in [false, true] {
        for statement in [query(SLEEP), [extended(SLEEP), sync()].concat()] {
            raw.send(&statement);
            thread::sleep(Duration::from_millis(200));
            let started = Instant::now();
            ask(&endpoint, encrypted, pid, &secret);
            let words = transcript(&raw.until_ready());
            assert!(words.ends_with("E(57014) Z(I)"), "{words}");
            assert!(started.elapsed() < Duration::from_secs(5));
        }
    }
}

#[test]
fn a_wrong_secret_or_process_ends_nothing() {
    let endpoint = endpoint(Version::V15);
    let mut raw = Raw::login(&endpoint);
    let (pid, secret) = raw.key.clone().unwrap();
    let wrong: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
    raw.send(&query("SELECT pg_sleep(1)"));
    thread::sleep(Duration::from_millis(200));
    for encrypted in [false, true] {
        ask(&endpoint, encrypted, pid, &wrong);
        ask(&endpoint, encrypted, pid ^ 1, &secret);
        ask(&endpoint, encrypted, pid, &[&secret[..], &[0; 28]].concat());
    }
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
}

#[test]
fn a_late_request_does_not_hit_the_next_statement() {
    let endpoint = endpoint(Version::V15);
    let mut raw = Raw::login(&endpoint);
    let (pid, secret) = raw.key.clone().unwrap();
    for n in 0..40 {
        // Below what one address may ask for in a second, with the other tests beside.
        thread::sleep(Duration::from_millis(50));
        assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        // The statement is over; then the request arrives, then the next statement.
        ask(&endpoint, n % 2 == 0, pid, &secret);
        assert_eq!(raw.query("SELECT pg_sleep(0.01)"), "T D C(SELECT 1) Z(I)", "round {n}");
    }
}

#[test]
fn a_copy_that_the_client_gives_up_leaves_nothing() {
    let database = world::database(Version::V15, "copy_given_up");
    let mut raw = Raw::login(&world::passage().endpoint(Version::V15, Role::App, &database));
    raw.send(&query("COPY orders (customer_id) FROM STDIN"));
    assert_eq!(transcript(&raw.until(b'G')), "G");
    raw.send(&[copy_data("1\n2\n"), copy_fail("changed my mind")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(57014) Z(I)");
    let server = world::postgres(Version::V15);
    assert_eq!(server.superuser(&database, "SELECT count(*) FROM orders"), "600");
}

/// Sends a CancelRequest on a connection of its own and waits for its end; no answer is due.
fn ask(endpoint: &Endpoint, encrypted: bool, pid: u32, secret: &[u8]) {
    let mut raw = match encrypted {
        true => Raw::tls(endpoint.port, &endpoint.ca),
        false => Raw::plain(endpoint.port),
    };
    raw.send(&cancel_request(pid, secret));
    assert!(raw.is_finished(), "a request to cancel is not answered");
}

const SLEEP: &str = "SELECT pg_sleep(30)";
