use std::path::Path;
use std::time::Instant;

use clap::Parser;

use super::*;
use crate::cli::text::Paint;
use crate::cli::{export, grep, play, verify};
use crate::model::session::{CloseReason, Parameter, Totals};
use crate::record::tests::{config, exchange, idle_waker, now, start};
use crate::record::{Durability, Recorder, RunKind, WorkerLink};

/// The commands as they are called.
#[derive(Parser)]
enum Command {
    Tail(Args),
    Play(play::Args),
    Grep(grep::Args),
    Export(export::Args),
    Verify(verify::Args),
}

/// Runs a command line and returns its exit code and output.
fn command(dir: &Path, line: &[&str]) -> (u8, String) {
    let mut out = Vec::new();
    let screen = Screen::plain();
    // `--json` belongs to the whole command line; `cli` hands it down.
    let json = line.contains(&"--json");
    let words = line.iter().copied().filter(|word| *word != "--json");
    let mut command = Command::parse_from(std::iter::once("narrows").chain(words));
    match &mut command {
        Command::Tail(args) => args.json = json,
        Command::Play(args) => args.json = json,
        Command::Grep(args) => args.json = json,
        Command::Export(args) => args.json = json,
        Command::Verify(args) => args.json = json,
    }
    let (code, failed) = match &command {
        Command::Tail(args) => (run(args, dir, screen, &mut out), 1),
        Command::Play(args) => (play::run(args, dir, screen, &mut out), 1),
        Command::Grep(args) => (grep::run(args, dir, screen, &mut out), grep::FAILED),
        Command::Export(args) => (export::run(args, dir, &mut out), 1),
        Command::Verify(args) => (verify::run(args, dir, screen, &mut out), 1),
    };
    let code = crate::cli::screen::conclude(code, failed);
    let code = (0..=255).find(|it| ExitCode::from(*it) == code).unwrap();
    (code, String::from_utf8(out).unwrap())
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn answer(rows: &[&str]) -> Vec<u8> {
    let mut out = message(b'T', b"\0\x01name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
    for row in rows {
        let mut body = vec![0, 1];
        body.extend_from_slice(&(row.len() as u32).to_be_bytes());
        body.extend_from_slice(row.as_bytes());
        out.extend(message(b'D', &body));
    }
    out.extend(message(b'C', format!("SELECT {}\0", rows.len()).as_bytes()));
    out.extend(message(b'Z', b"I"));
    out
}

/// One session: a read, a refused drop, an insert with parameters. Returns its id.
fn session(link: &WorkerLink, account: &str) -> SessionId {
    let begun = start(account);
    let mut tap = link.open(now(), &begun).unwrap();
    let _ = tap.append(RunKind::Forwarded, now(), b"Q\0\0\0\x1dselect name\nfrom users\0").unwrap();
    let _ = tap.append(RunKind::Delivered, now(), &answer(&["ann\u{1b}[31m", "bob"])).unwrap();
    let mut read = exchange(1, "select name\nfrom users\u{1b}[2J");
    read.rows = 2;
    read.tag = Some("SELECT 2".to_owned());
    let _ = tap.exchange(now(), &read).unwrap();
    let _ = tap.append(RunKind::Withheld, now(), b"Q\0\0\0\x19drop table users\0").unwrap();
    let error = message(b'E', b"SERROR\0C42501\0Mno drops here\0\0");
    let _ = tap.append(RunKind::SaidDownstream, now(), &error).unwrap();
    let mut drop = exchange(2, "drop table users;\nselect 1");
    drop.verdict = "deny".to_owned();
    drop.rule = "reads/no-ddl".to_owned();
    drop.error = Some("42501".to_owned());
    (drop.rows, drop.tag) = (0, None);
    let _ = tap.exchange(now(), &drop).unwrap();
    let mut insert = exchange(3, "insert into notes values ($1, $2)");
    insert.parameters = vec![Parameter::Text("o'clock".to_owned()), Parameter::Null];
    let _ = tap.exchange(now(), &insert).unwrap();
    let totals = Totals { exchanges: 3, denied: 1, rows: 2, ..Totals::default() };
    tap.end(now(), CloseReason::BotFinished, totals);
    begun.session
}

fn recorded() -> (tempfile::TempDir, SessionId, SessionId) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let ids = (session(&link, "ann"), session(&link, "ben"));
    recorder.stop();
    (dir, ids.0, ids.1)
}

#[test]
fn tail_shows_a_line_for_each_statement_start_and_end() {
    let (dir, id, _) = recorded();
    let (code, text) = command(dir.path(), &["tail", "--account", "ann"]);
    assert_eq!(code, 0);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].contains("session started from 127.0.0.1:5000 as app in shop"));
    assert!(lines[1].contains("ann@shop") && lines[1].contains(&short(id)));
    assert!(lines[1].ends_with("select name from users\\x1b[2J"), "{}", lines[1]);
    assert!(lines[2].contains("deny") && lines[2].contains("(reads/no-ddl) [42501] drop table"));
    assert!(lines[3].ends_with("[$1 = 'o''clock', $2 = null]"), "{}", lines[3]);
    assert!(lines[4].contains("bot_finished; 3 statements, 1 denied, 2 rows"));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn tail_keeps_the_newest_lines_and_only_those_asked_for() {
    let (dir, _, id) = recorded();
    assert_eq!(command(dir.path(), &["tail", "-n", "3"]).1.lines().count(), 3);
    let (_, all) = command(dir.path(), &["tail"]);
    assert!(all.ends_with(&command(dir.path(), &["tail", "-n", "3"]).1));
    let (_, denied) = command(dir.path(), &["tail", "--verdict", "deny"]);
    assert_eq!(denied.lines().count(), 2);
    let (_, one) = command(dir.path(), &["tail", "--session", &short(id), "--json"]);
    assert_eq!(one.lines().count(), 5);
    let events: Vec<serde_json::Value> =
        one.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[1]["event"], "statement");
    assert_eq!(events[1]["account"], "ben");
    assert_eq!(events[1]["exchange"]["text"], "select name\nfrom users\u{1b}[2J");
    assert_eq!(events[4]["end"]["totals"]["denied"], 1);
}

#[test]
fn a_line_fits_the_terminal_and_is_coloured_only_there() {
    let (dir, _, _) = recorded();
    let Command::Tail(args) = Command::parse_from(["narrows", "tail"]) else { panic!() };
    let mut out = Vec::new();
    let screen = Screen { paint: Paint::Plain, width: Some(110) };
    run(&args, dir.path(), screen, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    assert!(text.contains('…'));
    let mut out = Vec::new();
    let screen = Screen { paint: Paint::Coloured, width: None };
    run(&args, dir.path(), screen, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("\u{1b}[31mdeny"));
}

#[test]
fn a_follower_shows_a_statement_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let Command::Tail(args) = Command::parse_from(["narrows", "tail", "-f"]) else { panic!() };
    let mut out = Vec::new();
    let mut tail = Tail::begin(&args, dir.path(), Screen::plain(), &mut out).unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("ann")).unwrap();
    let completed = Instant::now();
    let _ = tap.exchange(now(), &exchange(1, "select 42")).unwrap();
    while !String::from_utf8_lossy(&out).contains("select 42") {
        // What a worker and `run` do in the meantime.
        if tap.next_cut_ns().is_some_and(|due| due <= now().mono_ns) {
            tap.cut();
        }
        std::thread::sleep(Duration::from_millis(FOLLOW_POLL_MS / 4));
        tail.poll(&mut out).unwrap();
        assert!(completed.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn play_shows_statements_verdicts_and_rows() {
    let (dir, id, _) = recorded();
    let (code, text) = command(dir.path(), &["play", &id.to_string()]);
    assert_eq!(code, 0);
    let expected = "  select name\n  from users\\x1b[2J\n  name\n  -----------\n  ann\\x1b[31m\n  bob\n  SELECT 2\n";
    assert!(text.contains("account   ann (issuer ci, subject repo:acme)"), "{text}");
    let body: String = text.lines().skip_while(|line| !line.contains("#1")).skip(1).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    );
    assert!(body.starts_with(expected), "{body}");
    assert!(text.contains("deny by reads/no-ddl"));
    assert!(text.contains("  error 42501: no drops here"));
    assert!(text.contains("ended: bot_finished"));
    assert_eq!(command(dir.path(), &["play", "ffffffff-0"]).0, 1);
    let (_, json) = command(dir.path(), &["play", &id.to_string(), "--json"]);
    let line: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["answers"][0]["rows"][1][0], "bob");
}

#[test]
fn grep_finds_either_direction_and_statements_once() {
    let (dir, id, _) = recorded();
    let (code, text) = command(dir.path(), &["grep", "bob", "--session", &id.to_string()]);
    assert_eq!((code, text.lines().count()), (0, 1), "{text}");
    assert!(text.contains("to_bot") && text.contains("\\x00\\x03bob"));
    let (_, text) = command(dir.path(), &["grep", "drop table users"]);
    assert_eq!(text.lines().count(), 2, "the statement's bytes and its record are one: {text}");
    let (_, text) = command(dir.path(), &["grep", "into notes"]);
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| line.contains("statement")), "{text}");
    assert_eq!(command(dir.path(), &["grep", "nowhere"]), (1, String::new()));
    assert_eq!(command(dir.path(), &["grep", "("]).0, 2);
}

#[test]
fn grep_finds_what_stands_across_blocks_of_one_session_and_never_across_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut one = link.open(now(), &start("one")).unwrap();
    let mut two = link.open(now(), &start("two")).unwrap();
    for (first, second) in [("nee", "hay"), ("dle", "stack"), ("x", "nee"), ("needle", "y")] {
        let _ = one.append(RunKind::Delivered, now(), first.as_bytes()).unwrap();
        one.cut();
        let _ = two.append(RunKind::Delivered, now(), second.as_bytes()).unwrap();
        let _ = two.append(RunKind::Forwarded, now(), b"dle").unwrap();
        two.cut();
    }
    drop((one, two));
    recorder.stop();
    let (code, text) = command(dir.path(), &["grep", "needle"]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    assert!(text.lines().all(|line| line.contains("one@shop")));
}

#[test]
fn export_writes_statements_so_that_refused_ones_cannot_run() {
    let (dir, id, _) = recorded();
    let id = id.to_string();
    let (_, sql) = command(dir.path(), &["export", &id, "--format", "sql"]);
    let runs: Vec<_> =
        sql.lines().filter(|line| !line.starts_with("--") && !line.is_empty()).collect();
    let expected =
        ["select name", "from users\u{1b}[2J", ";", "insert into notes values ($1, $2)", ";"];
    assert_eq!(runs, expected);
    assert!(sql.contains("-- drop table users;\n-- select 1\n"));
    assert!(sql.contains("-- $1 = 'o''clock'\n-- $2 = null\n"));
    let (_, lines) = command(dir.path(), &["export", &id]);
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["session_start", "statement", "statement", "statement", "session_end"]);
    let (_, raw) = command(dir.path(), &["export", &id, "--format", "raw"]);
    assert_eq!(raw, "Q\0\0\0\x1dselect name\nfrom users\0Q\0\0\0\x19drop table users\0");
}

#[test]
fn verify_tells_by_its_exit_code() {
    let (dir, _, _) = recorded();
    let (code, text) = command(dir.path(), &["verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("integrity     unchanged\ncompleteness  complete\n"));
    let path = crate::record::reader::segments(dir.path()).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes[4200] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (code, text) = command(dir.path(), &["verify"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("CHANGED OR DAMAGED"));
    std::fs::remove_file(&path).unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    recorder.stop();
    let renamed = path.with_file_name(
        path.file_name().unwrap().to_str().unwrap().replace("0000000000", "0000000007"),
    );
    std::fs::rename(&path, &renamed).unwrap();
    let (code, json) = command(dir.path(), &["verify", "--json"]);
    assert_eq!(code, 2);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["segments"], 1);
    assert_eq!(command(dir.path(), &["verify", "/nonexistent"]).0, 1);
}
