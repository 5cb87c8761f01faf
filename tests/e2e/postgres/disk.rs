//! A disk that is full: what cannot be recorded does not pass, or is owed to the recording, as
//! configured; operators are answered, and room on the disk heals it.

use std::time::Duration;

use serde_json::Value;

use crate::support::endpoint::Endpoint;
use crate::support::gateway::{EVENTS, Gateway};
use crate::support::postgres::{Role, Version};
use crate::support::process::{SmallDisk, eventually};
use crate::support::raw::{Raw, query, transcript};
use crate::world::{self, Passage};

#[test]
fn a_full_disk_ends_sessions_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let passage = recording_to(&disk, "group", "close");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut idle = Raw::login(&endpoint);
    idle.query("SELECT 'before the disk was full'");
    disk.fill();
    assert_eq!(speak_until_it_fails(&endpoint), "E(FATAL 53100)");

    // Whoever speaks next hears the same, and nothing of it has reached the server.
    let words = idle.query("CREATE TABLE unrecorded (n int)");
    assert_eq!(words, "E(FATAL 53100)");
    assert!(idle.is_finished());
    let there = "SELECT to_regclass('unrecorded') IS NULL";
    assert_eq!(world::postgres(Version::V15).superuser("shop", there), "t");
    let refused = transcript(&Raw::tls(endpoint.port, &endpoint.ca).authenticate(&endpoint));
    assert!(refused.ends_with("E(FATAL 53100)") && !refused.contains('Z'), "{refused}");

    let status = passage.gateway.command(&["status"]);
    assert_eq!(status.status.code(), Some(1), "a recorder that has failed is no success");
    assert!(String::from_utf8_lossy(&status.stdout).contains("edge-test"));
    assert_eq!(recorder_state(&passage.gateway), "failed");
    assert!(passage.gateway.stdout(&["grep", "before the disk"]).contains("before the disk"));
    passage.gateway.stdout(&["tail"]);

    disk.relieve();
    eventually("recording again", Duration::from_secs(10), || {
        recorder_state(&passage.gateway) != "failed"
    });
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query("SELECT 'after there was room'"), "T D C(SELECT 1) Z(I)");
    eventually("recorded again", Duration::from_secs(5), || {
        passage.gateway.command(&["grep", "after there was room"]).status.success()
    });
    eventually("both changes are told, once each", Duration::from_secs(5), || {
        told_of_recording(&passage.gateway) == ["recording.failed", "recording.restored"]
    });
    let verified = passage.gateway.command(&["verify"]);
    assert_ne!(verified.status.code(), Some(2), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn where_sessions_go_on_the_recording_says_what_it_lacks() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let mut passage = recording_to(&disk, "group", "continue");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    disk.fill();
    eventually("the recorder fails", Duration::from_secs(60), || {
        assert_eq!(raw.query(BULK), "T D C(SELECT 1) Z(I)", "the session goes on");
        recorder_state(&passage.gateway) == "failed"
    });
    assert_eq!(raw.query("SELECT 'in the dark'"), "T D C(SELECT 1) Z(I)");
    Raw::login(&endpoint).query("SELECT 'newly in the dark'");

    disk.relieve();
    eventually("recording again", Duration::from_secs(10), || {
        recorder_state(&passage.gateway) != "failed"
    });
    assert_eq!(raw.query("SELECT 'in the light'"), "T D C(SELECT 1) Z(I)");
    drop(raw);
    assert!(passage.gateway.terminate().success());
    assert_eq!(told_of_recording(&passage.gateway), ["recording.failed", "recording.restored"]);
    let told = passage.gateway.json(&["tail", "-n", "1000000"]);
    let lost = |line: &&Value| line["event"] == "loss";
    assert!(told.iter().any(|line| lost(&line)), "no loss is recorded");
    assert!(passage.gateway.stdout(&["grep", "in the light"]).contains("in the light"));
    let verified = passage.gateway.command(&["verify"]);
    let findings = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(3), "unchanged, and incomplete: {findings}");
}

#[test]
fn an_answer_that_is_cut_off_has_no_row_that_the_server_did_not_send() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let passage = recording_to(&disk, "strict", "close");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    disk.fill();
    raw.send(&query("SELECT md5(n::text) FROM generate_series(1, 2000000) AS n"));
    let bytes = raw.rest();
    let mut rest = bytes.as_slice();
    let mut rows = 0;
    while let Some((&[tag, a, b, c, d], behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((body, behind)) = behind.split_at_checked(length - 4) else { break };
        match tag {
            b'D' => {
                let [0, 1, 0, 0, 0, 32, digest @ ..] = body else { panic!("row {rows}: {body:?}") };
                assert!(digest.iter().all(u8::is_ascii_hexdigit), "row {rows}: {digest:?}");
                rows += 1;
            }
            b'T' => {}
            b'E' => assert!(behind.is_empty() && body.windows(5).any(|code| code == b"53100")),
            other => panic!("{} after {rows} rows", char::from(other)),
        }
        rest = behind;
    }
    assert!(rows > 1000, "it is cut off in the midst: {rows}");
    assert!(!rest.windows(5).any(|code| code == b"53100"), "words inside a message");
}

fn recording_to(disk: &SmallDisk, durability: &str, on_failure: &str) -> Passage {
    let folder = disk.path().display().to_string();
    world::altered_passage(&[], |config| {
        let config =
            config.replace(r#"durability = "group""#, &format!(r#"durability = "{durability}""#));
        let elsewhere = format!(r#"state_dir = "{folder}""#);
        let failing = format!("on_failure = \"{on_failure}\"\nsegment = \"4MiB\"");
        let config = config.replace(r#"state_dir = "STATE""#, &elsewhere);
        config.replace(r#"on_failure = "close""#, &failing) + EVENTS
    })
}

/// The audit events that tell of the recorder, in order.
fn told_of_recording(gateway: &Gateway) -> Vec<String> {
    let code = |event: &Value| event["metadata"]["event_code"].as_str().unwrap().to_owned();
    let events = gateway.events();
    events.iter().map(code).filter(|code| code.starts_with("recording.")).collect()
}

/// Says what must be recorded before it is forwarded until that fails; the last transcript.
fn speak_until_it_fails(endpoint: &Endpoint) -> String {
    let mut raw = Raw::login(endpoint);
    let mut state = 1_u64;
    for _ in 0..2000 {
        let noise = (0..3000).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        });
        let words = raw.query(&format!("SELECT length('{}')", noise.collect::<String>()));
        if words != "T D C(SELECT 1) Z(I)" {
            assert!(raw.is_finished());
            return words;
        }
    }
    panic!("the disk does not fill up");
}

fn recorder_state(gateway: &Gateway) -> String {
    let output = gateway.command(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["recorder"]["state"].as_str().unwrap().to_owned()
}

/// Half a megabyte that does not compress to less than half of it.
const BULK: &str =
    "SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 16000) AS numbers";
