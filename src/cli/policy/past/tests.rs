use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::config;
use crate::judge::policy::Circumstances;
use crate::model::identity::Principal;
use crate::model::session::{CloseReason, Totals};
use crate::record::tests::{config as recording, idle_waker, now, start};
use crate::record::{Durability, Recorder};

/// A configuration with the connections `bot@shop` and `other@shop`, and what was recorded of them.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// `policies` defines `p`, which both connections have.
    pub fn new(policies: &str) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        world.put("narrows.toml", &format!("{CONFIG}{policies}"));
        world
    }

    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("narrows.toml")
    }

    pub fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    /// Exchange records of `texts`, as a session of `account` makes them.
    pub fn judged(&self, account: &str, texts: &[&str]) -> Vec<Exchange> {
        let config = config::load(&self.config()).unwrap();
        let start = start(account);
        let principal = Principal {
            account: account.into(),
            issuer: "ci".into(),
            subject: "".into(),
            token_id: None,
            expires_unix_s: 0,
            claims: Arc::new(start.claims.clone()),
        };
        let labels = &config.targets[0].labels;
        let database = &start.database;
        let circumstances =
            Circumstances { principal: &principal, labels, target: "shop", database };
        let policy = config.policies.bind(&config.connections[0].policies, &circumstances).unwrap();
        let mut classifier = Classifier::new();
        let exchange = |text: &&str| {
            let language = wire::language(config.targets[0].protocol);
            let facts = classifier.facts(language, Lexing::default(), text.as_bytes());
            let verdict = policy.decide(&facts, text.as_bytes(), &[]);
            Exchange {
                text: (*text).to_owned(),
                text_bytes: text.len() as u64,
                fingerprint: facts.fingerprint,
                verdict: verdict.word().to_owned(),
                rule: verdict.grounds().rule.to_string(),
                observed: verdict.grounds().observed.as_ref().map(ToString::to_string),
                effects: facts.effects.names().map(str::to_owned).collect(),
                ..Exchange::default()
            }
        };
        texts.iter().map(exchange).collect()
    }

    /// Records a session of `account`.
    pub fn record(&self, account: &str, exchanges: &[Exchange]) -> SessionId {
        let recorder = Recorder::start(recording(&self.recordings(), Durability::Async)).unwrap();
        let link = recorder.worker(0, idle_waker());
        let start = start(account);
        let mut tap = link.open(now(), &start).unwrap();
        for exchange in exchanges {
            let _ = tap.exchange(now(), exchange).unwrap();
        }
        tap.end(now(), CloseReason::BotFinished, Totals::default());
        recorder.stop();
        start.session
    }

    pub fn record_texts(&self, account: &str, texts: &[&str]) -> SessionId {
        self.record(account, &self.judged(account, texts))
    }
}

const CONFIG: &str = r#"
[node]
name = "n"
state_dir = "state"
[[issuer]]
name = "ci"
issuer = "https://ci.example"
audiences = ["narrows"]
[[service_account]]
name = "bot"
match = [{ issuer = "ci", claims = { sub = "x" } }]
[[service_account]]
name = "other"
match = [{ issuer = "ci", claims = { sub = "y" } }]
[[target]]
name = "shop"
protocol = "postgres"
address = "127.0.0.1:5432"
labels = { env = "prod" }
[[listener]]
target = "shop"
bind = "127.0.0.1:6432"
tls = "off"
[[connection]]
service_account = "bot"
target = "shop"
credential = { username = "app" }
policies = ["p"]
[[connection]]
service_account = "other"
target = "shop"
credential = { username = "app" }
policies = ["p"]
"#;

const OPEN: &str = "[policy.p]\ndefault = \"allow\"\nunknown = \"deny\"\n";

/// Each statement with what is made of it.
fn told(world: &World, choice: Choice<'_>) -> (Vec<(String, Option<Doubt>)>, Reach) {
    let mut told = Vec::new();
    let reach = visit(&world.recordings(), choice, &mut |past| {
        told.push((past.sample(), past.facts.err()));
    });
    (told, reach.unwrap())
}

#[test]
fn statements_are_chosen_by_session_connection_and_time() {
    let world = World::new(OPEN);
    let first = world.record_texts("bot", &["SELECT 1", "SELECT 2"]);
    world.record_texts("other", &["SELECT 3"]);
    let texts = |choice| {
        let (told, reach) = told(&world, choice);
        assert_eq!(reach.statements as usize, told.len());
        (told.into_iter().map(|(text, _)| text).collect::<Vec<_>>(), reach.sessions)
    };
    let all = Choice::default();
    assert_eq!(texts(all).0, ["SELECT 1", "SELECT 2", "SELECT 3"]);
    assert_eq!(texts(all).1, 2);
    let id = first.to_string();
    let session = Choice { session: Some(&id), ..all };
    assert_eq!(texts(session), (vec!["SELECT 1".to_owned(), "SELECT 2".to_owned()], 1));
    let connection = Choice { connection: Some("other@shop"), ..all };
    assert_eq!(texts(connection), (vec!["SELECT 3".to_owned()], 1));
    let later = Choice { since_unix_ns: now().unix_ns, ..all };
    assert_eq!(texts(later), (vec![], 0));
}

#[test]
fn what_is_not_certain_is_doubted() {
    let world = World::new(OPEN);
    let one = |text: &str| world.judged("bot", &[text]).remove(0);
    let was_unknown = vec!["unknown".to_owned()];
    let read = one("SELECT 1");
    let exchanges = [
        (Exchange { text_bytes: 9000, ..read.clone() }, Some(Doubt::Cut)),
        (Exchange { text_bytes: 3, ..read.clone() }, Some(Doubt::Altered)),
        (Exchange { rule: "narrows/protocol".to_owned(), ..read.clone() }, Some(Doubt::Protocol)),
        (
            Exchange { rule: "narrows/limits.statements".to_owned(), ..read.clone() },
            Some(Doubt::TooSoon),
        ),
        // Read under other settings, or a Bind of a statement that nobody had seen.
        (Exchange { effects: was_unknown.clone(), ..read.clone() }, Some(Doubt::State)),
        (
            Exchange { text: String::new(), text_bytes: 0, effects: was_unknown, ..read.clone() },
            Some(Doubt::State),
        ),
        (one("EXECUTE q"), Some(Doubt::Name)),
        (one("SELEC 1"), None),
        (read, None),
    ];
    let records: Vec<Exchange> = exchanges.iter().map(|(record, _)| record.clone()).collect();
    world.record("bot", &records);
    let doubts: Vec<_> = told(&world, Choice::default()).0.into_iter().map(|it| it.1).collect();
    let expected: Vec<_> = exchanges.into_iter().map(|(_, doubt)| doubt).collect();
    assert_eq!(doubts, expected);
}

#[test]
fn a_name_that_may_stand_for_two_texts_is_doubted() {
    let world = World::new(OPEN);
    let [one, two] = <[_; 2]>::try_from(world.judged("bot", &["SELECT 1", "SELECT a"])).unwrap();
    let either = Exchange { fingerprint: one.fingerprint.rotate_left(1), ..two.clone() };
    let wider = Exchange { effects: vec!["read".to_owned(), "delete".to_owned()], ..two };
    world.record("bot", &[one, either.clone(), wider]);
    let doubts = |world: &World| {
        let told = told(world, Choice::default()).0;
        told.into_iter().map(|(_, doubt)| doubt).collect::<Vec<_>>()
    };
    assert_eq!(doubts(&world), [None, Some(Doubt::State), Some(Doubt::State)]);
    // Fingerprints of another version fit nowhere, and are no reason to doubt.
    let other = World::new(OPEN);
    other.record("bot", &[either.clone(), either]);
    assert_eq!(doubts(&other), [None, None]);
}
