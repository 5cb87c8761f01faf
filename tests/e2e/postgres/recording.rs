//! What is recorded: everything, readable while it happens, complete after a kill, and a change to
//! it is noticed.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::postgres::{Role, Version};
use crate::support::process::{Scratch, eventually};
use crate::support::raw::Raw;
use crate::world::{self, REFUSED};

#[test]
fn tail_tells_who_did_what_and_how_it_was_judged() {
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.query("SELECT name FROM customers WHERE id = 4711");
    raw.query(REFUSED);
    let told = || passage.gateway.json(&["tail"]);
    let find = |text: &str| told().iter().map(ToString::to_string).find(|line| line.contains(text));
    // The session goes on: what is told must not wait for its end.
    eventually("told within a second", Duration::from_secs(2), || find(REFUSED).is_some());
    let read = find("4711").unwrap();
    assert!(read.contains("shop-bot") && read.contains("allow"), "{read}");
    let refused = find(REFUSED).unwrap();
    assert!(refused.contains("no-drops") && refused.contains("deny"), "{refused}");
    assert!(passage.gateway.stdout(&["tail"]).contains("4711"), "text for people");
    assert!(passage.gateway.stdout(&["grep", "4711"]).contains("4711"));
}

#[test]
fn the_recording_says_how_each_leg_was_encrypted() {
    let passage = world::own_passage("group");
    let starts = |role| {
        let mut raw = Raw::login(&passage.endpoint(Version::V15, role, "shop"));
        raw.query("SELECT 'a head'");
        let target = format!("{}-v15", role.name().replace('_', "-"));
        let mut found = None;
        eventually(&format!("a session of {target}"), Duration::from_secs(5), || {
            let told = passage.gateway.json(&["tail"]);
            found = told
                .into_iter()
                .find(|line| line["event"] == "session_start" && line["target"] == target.as_str());
            found.is_some()
        });
        found.unwrap()
    };
    let legs = |line: &Value| {
        ["downstream_tls", "upstream_tls"]
            .map(|leg| line["start"][leg].as_str().map(|it| it.starts_with("TLSv1_3 TLS13_AES")))
    };
    let encrypted = starts(Role::App);
    assert_eq!(legs(&encrypted), [Some(true), Some(true)], "{encrypted}");
    let plain = starts(Role::Plain);
    assert_eq!(legs(&plain), [Some(true), None], "{plain}");
    let head = passage.gateway.stdout(&["play", plain["session"].as_str().unwrap()]);
    assert!(head.contains(" with the client, none with the target"), "{head}");
}

#[test]
fn no_secret_is_recorded_or_logged() {
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::Cleartext, "shop");
    let mut raw = Raw::login(&endpoint);
    raw.query("SELECT 'something to record'");
    drop(raw);
    eventually("recorded", Duration::from_secs(5), || {
        passage.gateway.command(&["grep", "something to record"]).status.success()
    });
    let export = everything(&passage.gateway);
    for (what, secret) in
        [("token", &endpoint.password[..60]), ("password", &Role::Cleartext.password())]
    {
        assert!(!export.contains(secret), "the {what} is recorded");
        assert!(!passage.gateway.log().contains(secret), "the {what} is logged");
    }
}

#[test]
fn after_a_kill_every_statement_of_the_server_is_in_the_recording() {
    let mut passage = world::own_passage("request");
    let database = world::database(Version::V15, "killed_under_load");
    let server = world::postgres(Version::V15);
    server.superuser(&database, "SET ROLE shop_app; CREATE TABLE marks (client int, n bigint)");
    let endpoint = passage.endpoint(Version::V15, Role::App, &database);
    let scratch = Scratch::new("load");
    let script = scratch.join("mark.sql");
    fs::write(
        &script,
        "\\set n random(1000000000000, 9999999999999)\n\
         INSERT INTO marks VALUES (:client_id, :n);\n",
    )
    .unwrap();
    // The mark is in the text of a simple query, and is a parameter of an extended one.
    let loads = ["simple", "prepared"].map(|mode| {
        let mut pgbench = Command::new("pgbench");
        endpoint.prepare(&mut pgbench);
        pgbench.args(["-n", "-c", "4", "-T", "60", "-M", mode, "-f"]).arg(&script);
        pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    thread::sleep(Duration::from_millis(1500));
    passage.gateway.kill();
    for mut load in loads {
        load.wait().unwrap();
    }

    passage.gateway.restart();
    let recorded = everything(&passage.gateway);
    let recorded: HashSet<&str> = recorded.split(|c: char| !c.is_ascii_digit()).collect();
    // What the server was given, and not what it kept: a statement may have failed at the cut.
    let log = server.log();
    let marks: Vec<&str> = log
        .split("INSERT INTO marks VALUES (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next()?.split(", ").nth(1))
        .chain(log.split("$2 = '").skip(1).filter_map(|rest| rest.split('\'').next()))
        .filter(|mark| mark.len() == 13 && mark.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    assert!(marks.len() > 200, "only {} statements under load", marks.len());
    let missing: Vec<_> = marks.iter().filter(|mark| !recorded.contains(*mark)).collect();
    assert!(missing.is_empty(), "{} of {} are not recorded", missing.len(), marks.len());
    passage.gateway.stdout(&["verify"]);
}

#[test]
fn a_changed_byte_and_a_missing_tail_are_reported() {
    let mut passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    for n in 0..200 {
        raw.query(&format!("SELECT {n}, repeat(md5('{n}'), 30)"));
    }
    drop(raw);
    assert!(passage.gateway.terminate().success());
    passage.gateway.stdout(&["verify"]);
    let segments = segments(&passage.gateway.state_dir());
    let segment = segments.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let intact = fs::read(segment).unwrap();
    let rewrite = |bytes: &[u8]| {
        // Sealed segments are read-only; root does not ask.
        let _ = fs::remove_file(segment);
        fs::write(segment, bytes).unwrap();
    };
    let used = intact.len() - intact.iter().rev().take_while(|byte| **byte == 0).count();
    for (name, at) in [("header", 100), ("early", 4096 + 200), ("late", used * 3 / 4)] {
        let mut changed = intact.clone();
        changed[at] ^= 0x10;
        rewrite(&changed);
        assert!(!passage.gateway.command(&["verify"]).status.success(), "a changed byte: {name}");
    }
    rewrite(&intact[..used - 100]);
    assert!(!passage.gateway.command(&["verify"]).status.success(), "a missing tail");
    rewrite(&intact);
    passage.gateway.stdout(&["verify"]);
}

/// All that was recorded, session by session: what was done, and the bots' own bytes, since what
/// was in flight at a kill has no outcome to tell.
fn everything(gateway: &Gateway) -> String {
    let told = gateway.json(&["tail", "-n", "1000000"]);
    let started = told.iter().filter(|line| line["event"] == "session_start");
    let sessions: BTreeSet<&str> = started.filter_map(|line| line["session"].as_str()).collect();
    assert!(!sessions.is_empty(), "tail names no session");
    let export = |session| {
        let bytes = ["export", session, "--format", "raw", "--direction", "from-bot"];
        gateway.stdout(&["export", session]) + &gateway.stdout(&bytes)
    };
    sessions.into_iter().map(export).collect()
}

/// Every segment file below a folder.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(segments(&path));
        } else if path.extension().is_some_and(|extension| extension == "nrw") {
            found.push(path);
        }
    }
    found
}
