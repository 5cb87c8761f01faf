use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::*;
use crate::control::api::{ApprovalLine, DecideRequest};
use crate::control::approvals::tests::sample;
use crate::control::approvals::{Human, Waiter};
use crate::identity::vault::Vault;
use crate::model::approval::{Decision, HoldRequest, HoldTerms};
use crate::model::target::SecretSource;
use crate::observe::sink::{EventQueue, EventSink};

/// Answers with these, one after the other, the last over and over. `0`: never.
struct Receiving {
    url: String,
    heard: Receiver<Heard>,
}

#[derive(Clone, Debug)]
struct Heard {
    id: String,
    unix_s: u64,
    signature: String,
    body: String,
}

impl Heard {
    fn kind(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["type"].as_str().unwrap_or("chat").to_owned()
    }
}

impl Receiving {
    fn start(codes: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for (at, stream) in listener.incoming().enumerate() {
                let code = codes[at.min(codes.len() - 1)];
                let stream = stream.unwrap();
                if code == 0 {
                    kept.push(stream);
                } else if hear(stream, code, &sender).is_none() {
                    return;
                }
            }
        });
        Self { url, heard }
    }

    fn next(&self) -> Heard {
        self.heard.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn is_quiet(&self) -> bool {
        matches!(
            self.heard.recv_timeout(Duration::from_millis(400)),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

fn hear(stream: TcpStream, code: u16, sender: &Sender<Heard>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let (mut head, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head.push(line.trim_end().to_owned());
        line.clear();
    }
    let header = |name: &str| {
        let found = head.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let mut body = vec![0; header("content-length").parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let location = if code == 302 { "location: http://127.0.0.1:9/\r\n" } else { "" };
    let answer =
        format!("HTTP/1.1 {code} X\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    (&stream).write_all(answer.as_bytes()).unwrap();
    let heard = Heard {
        id: header("webhook-id"),
        unix_s: header("webhook-timestamp").parse().unwrap_or_default(),
        signature: header("webhook-signature"),
        body: String::from_utf8(body).unwrap(),
    };
    sender.send(heard).ok()
}

/// A desk whose news are told, on a thread of their own.
struct House {
    dir: tempfile::TempDir,
    approvals: Arc<Approvals>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

const QUICK: Pace = Pace { retry_ms: [50, 80, 100, 150], answer_ms_max: 500 };

impl House {
    fn new(notifiers: Vec<Notifier>) -> Self {
        Self::at(tempfile::tempdir().unwrap(), EventQueue::discarding(), notifiers)
    }

    fn at(dir: tempfile::TempDir, events: EventQueue, notifiers: Vec<Notifier>) -> Self {
        let approvals = Approvals::open(&dir.path().join("state.db"), events).unwrap();
        approvals.set_notifiers(notifiers);
        Self { dir, approvals: Arc::new(approvals), end: None, thread: None }
    }

    fn telling(self) -> Self {
        self.telling_at(QUICK)
    }

    fn telling_at(mut self, pace: Pace) -> Self {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let approvals = Arc::clone(&self.approvals);
        let lessor = Arc::new(Lessor::new(Vault::in_state_dir(self.dir.path())));
        self.end = Some(end);
        self.thread = Some(std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = keep_telling(approvals, lessor, pace) => {}
                    _ = ended => {}
                }
            });
        }));
        self
    }

    /// Nothing is told any longer; what is to be told stands in the file.
    fn stop(mut self) -> tempfile::TempDir {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.dir
    }

    fn file(&self, digest: u8, stands_ms: u64) -> ApprovalLine {
        let request = request(digest, stands_ms);
        let tell = Box::new(|_, _: Decision| true);
        self.approvals.file(&request, Waiter { place: 1, tell });
        let root = Human::local(0, "root".to_owned(), true);
        self.approvals.show(&request.id.to_string(), &root).unwrap().unwrap()
    }

    fn decide(&self, line: &ApprovalLine, approve: bool) {
        let reason = (!approve).then(|| "no".to_owned());
        let asked = DecideRequest { id: line.id.clone(), approve, hash: None, reason };
        let root = Human::local(0, "root".to_owned(), true);
        self.approvals.decide(&asked, &root).unwrap();
    }
}

fn webhook(name: &str, url: &str) -> Notifier {
    let url = NotifierUrl::Plain(url.to_owned());
    // Everybody's, and never shown: it signs, no more.
    let secret = Some(SecretSource::Env("PATH".to_owned()));
    Notifier { name: name.into(), kind: NotifierKind::Webhook, url, secret, ca: None }
}

fn request(digest: u8, stands_ms: u64) -> HoldRequest {
    let plain = sample();
    let terms = HoldTerms { stands_ms, ..(*plain.terms).clone() };
    HoldRequest { digest: [digest; 32], terms: Arc::new(terms), ..plain }
}

#[test]
fn every_step_of_a_request_is_told_once_and_signed() {
    let receiving = Receiving::start(&[204]);
    let house = House::new(vec![webhook("ops", &receiving.url)]).telling();
    let line = house.file(1, 600_000);
    let created = receiving.next();
    assert_eq!(created.kind(), "approval.created");
    let body: serde_json::Value = serde_json::from_str(&created.body).unwrap();
    assert_eq!(body["data"]["id"], line.id);
    assert_eq!(body["data"]["text"], line.text);
    let secret = std::env::var("PATH").unwrap();
    let expected =
        message::signature(secret.as_bytes(), &created.id, created.unix_s, &created.body);
    assert_eq!(created.signature, expected.unwrap());
    assert!(unix_time().as_secs() - created.unix_s < 10);
    house.decide(&line, true);
    let mut kinds = [receiving.next().kind(), receiving.next().kind()];
    kinds.sort();
    assert_eq!(kinds, ["approval.decided", "approval.used"]);
    assert!(receiving.is_quiet());
    house.stop();
}

#[test]
fn a_receiver_that_fails_is_tried_again_with_the_same_number() {
    let receiving = Receiving::start(&[500, 302, 429, 200]);
    let house = House::new(vec![webhook("ops", &receiving.url)]).telling();
    house.file(1, 600_000);
    let tries: Vec<Heard> = (0..4).map(|_| receiving.next()).collect();
    assert!(tries.iter().all(|one| one.id == tries[0].id && one.body == tries[0].body));
    assert!(receiving.is_quiet(), "once it has arrived");
    house.stop();
}

#[test]
fn a_receiver_that_hangs_or_is_gone_holds_up_no_other() {
    let (hangs, hears) = (Receiving::start(&[0]), Receiving::start(&[200]));
    let notifiers = vec![
        webhook("hangs", &hangs.url),
        webhook("gone", "http://127.0.0.1:9/"),
        webhook("hears", &hears.url),
    ];
    // Whoever waited for the one that hangs would wait longer than `next` does.
    let house = House::new(notifiers).telling_at(Pace { answer_ms_max: 120_000, ..QUICK });
    for digest in 0..20 {
        house.decide(&house.file(digest, 600_000), false);
    }
    for _ in 0..40 {
        hears.next();
    }
    house.stop();
}

#[test]
fn what_was_not_sent_outlives_the_process() {
    let receiving = Receiving::start(&[200]);
    let notifiers = vec![webhook("ops", &receiving.url)];
    let house = House::new(notifiers.clone());
    house.decide(&house.file(1, 600_000), false);
    let dir = house.stop();
    assert!(receiving.is_quiet());
    let house = House::at(dir, EventQueue::discarding(), notifiers).telling();
    let mut kinds = [receiving.next().kind(), receiving.next().kind()];
    kinds.sort();
    assert_eq!(kinds, ["approval.created", "approval.decided"]);
    house.stop();
}

#[test]
fn a_question_ends_with_its_request_and_auditors_hear_that_nobody_did() {
    let dir = tempfile::tempdir().unwrap();
    let (events, sink) = EventSink::start(&dir.path().join("events.jsonl"), "edge-1").unwrap();
    let path = dir.path().join("events.jsonl");
    let gone = Receiving::start(&[503]);
    let notifiers = vec![webhook("fails", &gone.url), webhook("gone", "http://127.0.0.1:9/")];
    let house = House::at(dir, events, notifiers).telling();
    let unheard = house.file(1, 700);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while begun.elapsed() < Duration::from_secs(2) {
                house.approvals.tick();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    });
    let kinds: Vec<String> = gone.heard.try_iter().map(|heard| heard.kind()).collect();
    let asked = kinds.iter().filter(|kind| *kind == "approval.created").count();
    assert!((2..15).contains(&asked), "tried until it expired: {kinds:?}");
    assert_eq!(kinds.last().unwrap(), "approval.expired", "which is told all the same");
    let dir = house.stop();
    sink.finish();
    let text = std::fs::read_to_string(path).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| line.contains("approval.unheard")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains(&unheard.id) && told[0].contains("nobody could be notified"));
    drop(dir);
}

#[test]
fn one_who_has_heard_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (events, sink) = EventSink::start(&path, "edge-1").unwrap();
    let hears = Receiving::start(&[200]);
    let notifiers = vec![webhook("hears", &hears.url), webhook("gone", "http://127.0.0.1:9/")];
    let house = House::at(dir, events, notifiers).telling();
    house.file(1, 300);
    hears.next();
    std::thread::sleep(Duration::from_millis(600));
    let dir = house.stop();
    sink.finish();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("approval.unheard"), "{text}");
    drop(dir);
}

#[test]
fn waits_grow_and_stay_within_a_fifth() {
    let due = |attempts| Due {
        id: format!("msg_{attempts}"),
        notifier: "ops".into(),
        request: "apr_1".to_owned(),
        is_question: true,
        body: String::new(),
        attempts,
        until_ms: 10_000_000,
    };
    for (attempts, wait_ms) in [(0, 5_000), (1, 30_000), (2, 120_000), (3, 300_000), (9, 300_000)] {
        let Outcome::Again { at_ms } = after(&due(attempts), Pace::default(), 0) else {
            panic!("given up")
        };
        assert!(at_ms.abs_diff(wait_ms) <= wait_ms / 5, "{attempts}: {at_ms}");
    }
    assert_eq!(after(&due(3), Pace::default(), 9_990_000), Outcome::Lost);
    let spread: std::collections::BTreeSet<u64> =
        (0..50).map(|n| jittered(5_000, &format!("msg_{n}"), 0)).collect();
    assert!(spread.len() > 40, "not all at once");
}
