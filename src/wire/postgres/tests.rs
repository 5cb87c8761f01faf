//! A driver for the machine that keeps what each leg sent and heard, and messages to feed it with.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::facts::{Definition, Effects, Facts, Flags, Statement};
use crate::model::secret::Secret;
use crate::model::session::{Leg, Parameter};
use crate::wire::postgres::Machine;
use crate::wire::{
    Asked, CancelKey, Farewell, Fault, Outcome, Purpose, Refusal, RefusalKind, Report, Said,
    Setting, Step, TlsFacts, UpstreamLogin,
};

mod cancel;
mod copied;
mod copying;
mod cutting;
mod extended;
mod large;
mod lying;
mod opening;
mod rewriting;
pub mod showing;
mod simple;
mod splits;

/// What a test lets happen, in order.
#[derive(Clone)]
pub enum Event {
    Bot(Vec<u8>),
    Target(Vec<u8>),
}
pub use Event::{Bot, Target};

/// One judgement that was asked for, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub purpose: Purpose,
    pub text: String,
    pub text_bytes: u64,
    pub unseen: bool,
    pub known: bool,
    pub parameters: Vec<Parameter>,
    pub overruled: Option<RefusalKind>,
    pub safe_encoding: bool,
    pub denied: bool,
}

/// Everything that can be seen of a session from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub to_bot: Vec<u8>,
    pub to_target: Vec<u8>,
    pub asked: Vec<Question>,
    pub ended: Vec<(u64, Outcome)>,
    pub prepared: Vec<Option<Outcome>>,
    pub fault: Option<Fault>,
    pub finished: bool,
    pub login_failed: Option<(String, String)>,
}

pub struct Drive {
    pub machine: Machine,
    pub seen: Seen,
    pub key: Option<CancelKey>,
    pub cancel: Option<CancelKey>,
    pub logins: Vec<(String, String, Vec<u8>)>,
    pub tls: Vec<Leg>,
    pub opened: bool,
    pub cancels_wanted: u32,
    /// Set where answers are shown; they are edited by this.
    pub editing: Option<showing::Editing>,
    unread: [Vec<u8>; 2],
    number: u64,
}

pub const SEED: [u8; 32] = [7; 32];

impl Drive {
    pub fn new() -> Self {
        Self::with(Setting { downstream_tls: true, cancel_seed: SEED })
    }

    pub fn with(setting: Setting) -> Self {
        Self::of(Machine::new(setting))
    }

    pub fn of(machine: Machine) -> Self {
        Self {
            machine,
            seen: Seen::default(),
            key: None,
            cancel: None,
            logins: Vec::new(),
            tls: Vec::new(),
            opened: false,
            cancels_wanted: 0,
            editing: None,
            unread: [Vec::new(), Vec::new()],
            number: 0,
        }
    }

    /// A session that has logged in to a target which asks for nothing and is ready.
    pub fn relaying() -> Self {
        let mut drive = Self::new();
        drive.bot(&ssl_request());
        drive.tls(Leg::Downstream, TlsFacts::default());
        drive.bot(&startup(0x0003_0000, &[("user", "ci"), ("database", "shop")]));
        drive.bot(&frame(b'p', b"token\0"));
        drive.begin_upstream(plain_login());
        drive.target(&frame(b'R', &[0, 0, 0, 0]));
        drive.target(&settings());
        drive.target(&frame(b'K', &[0, 0, 0, 42, 1, 2, 3, 4]));
        drive.target(&frame(b'Z', b"I"));
        drive.seen = Seen::default();
        drive
    }

    pub fn bot(&mut self, bytes: &[u8]) {
        self.feed(0, bytes);
    }

    pub fn target(&mut self, bytes: &[u8]) {
        self.feed(1, bytes);
    }

    pub fn play(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Bot(bytes) => self.bot(bytes),
                Target(bytes) => self.target(bytes),
            }
        }
    }

    pub fn tls(&mut self, leg: Leg, facts: TlsFacts) {
        let mut said = Said::default();
        if let Err(fault) = self.machine.tls_started(leg, &facts, &mut said) {
            self.seen.fault.get_or_insert(fault);
        }
        self.say(said);
        self.pump();
    }

    pub fn begin_upstream(&mut self, login: UpstreamLogin) {
        let mut said = Said::default();
        self.machine.begin_upstream(login, &mut said);
        self.say(said);
        self.pump();
    }

    pub fn farewell(&mut self, why: Farewell) {
        let mut said = Said::default();
        self.machine.farewell(why, &mut said);
        self.say(said);
    }

    pub fn limit_rows(&mut self, rows: u64) {
        let refusal =
            Refusal { kind: RefusalKind::TooLarge, message: "too many rows".into(), hint: None };
        self.machine.limit_rows(rows, &refusal);
    }

    pub fn limit_bytes(&mut self, bytes: usize) {
        let refusal =
            Refusal { kind: RefusalKind::TooLarge, message: "too many bytes".into(), hint: None };
        self.machine.limit_bytes(bytes as u64, &refusal);
    }

    pub fn limit_masked(&mut self, cells: u64) {
        let refusal =
            Refusal { kind: RefusalKind::TooLarge, message: "too many cells".into(), hint: None };
        self.machine.limit_masked(cells, &refusal);
    }

    pub fn cancel_done(&mut self) {
        self.machine.cancel_done();
        self.pump();
    }

    /// Messages that the bot has heard, by tag.
    pub fn heard(&self) -> String {
        tags(&self.seen.to_bot)
    }

    /// Messages that the target has got, by tag.
    pub fn got(&self) -> String {
        tags(&self.seen.to_target)
    }

    pub fn take(&mut self) -> (String, String) {
        let both = (self.heard(), self.got());
        self.seen.to_bot.clear();
        self.seen.to_target.clear();
        both
    }

    pub fn unread(&self, leg: Leg) -> usize {
        self.unread[usize::from(leg == Leg::Upstream)].len()
    }

    fn feed(&mut self, leg: usize, bytes: &[u8]) {
        self.unread[leg].extend(bytes);
        self.pump();
    }

    fn pump(&mut self) {
        while self.seen.fault.is_none() && (self.turn(Leg::Downstream) | self.turn(Leg::Upstream)) {
        }
    }

    /// Steps once. Returns whether that got anywhere.
    fn turn(&mut self, leg: Leg) -> bool {
        let at = usize::from(leg == Leg::Upstream);
        let unread = std::mem::take(&mut self.unread[at]);
        let mut said = Said::default();
        let step = self.machine.step(leg, &unread, &mut said);
        self.say(said);
        self.reports();
        let bytes = match step {
            Err(fault) => {
                self.seen.fault = Some(fault);
                return false;
            }
            Ok(Step::Need { bytes }) => {
                assert!(bytes > unread.len(), "{bytes} were needed and are there");
                self.unread[at] = unread;
                return false;
            }
            Ok(Step::Wait) => {
                self.unread[at] = unread;
                return false;
            }
            Ok(Step::Relay { bytes }) => {
                self.pass(leg, &unread[..bytes]);
                bytes
            }
            Ok(Step::Finish { bytes }) => {
                self.pass(leg, &unread[..bytes]);
                self.seen.finished = true;
                bytes
            }
            Ok(Step::Drop { bytes }) => bytes,
            Ok(Step::Judge { bytes, asked }) => {
                self.judge(leg, *asked, &unread[..bytes]);
                bytes
            }
            Ok(Step::Show { bytes, shown }) => {
                let gone = self.edit(&shown, &unread[..bytes]);
                self.unread[at] = unread[gone..].to_vec();
                return true;
            }
            Ok(Step::StartTls { bytes, leg }) => {
                self.tls.push(leg);
                bytes
            }
            Ok(Step::Login { bytes, login }) => {
                let token = login.token.with(Clone::clone);
                self.logins.push((login.user, login.database, token));
                bytes
            }
            Ok(Step::Opened { bytes }) => {
                self.opened = true;
                bytes
            }
            Ok(Step::Cancel { key }) => {
                self.cancel = Some(key);
                return false;
            }
        };
        self.unread[at] = unread[bytes..].to_vec();
        bytes > 0
    }

    fn judge(&mut self, leg: Leg, asked: Asked, bytes: &[u8]) {
        let text = String::from_utf8_lossy(&asked.text).into_owned();
        let facts = asked.known.clone().unwrap_or_else(|| Arc::new(facts_of(&text)));
        let denied = asked.overruled.is_some()
            || asked.unseen
            || facts.effects.intersects(Effects::DDL_DROP)
            || (asked.purpose == Purpose::Run && text.contains("at run"))
            || facts.executes.iter().any(|name| {
                self.machine.named(name).is_none_or(|f| f.effects.contains(Effects::DDL_DROP))
            });
        self.seen.asked.push(Question {
            purpose: asked.purpose,
            text,
            text_bytes: asked.text_bytes,
            unseen: asked.unseen,
            known: asked.known.is_some(),
            parameters: asked.parameters,
            overruled: asked.overruled.as_ref().map(|refusal| refusal.kind),
            safe_encoding: self.machine.lexing().safe_encoding,
            denied,
        });
        self.number += 1;
        if denied {
            let mut said = Said::default();
            let refusal = asked.overruled.unwrap_or_else(|| Refusal {
                kind: RefusalKind::Policy,
                message: "no drops".into(),
                hint: Some("ask first".into()),
            });
            self.machine.refuse(&refusal, self.number, &mut said);
            self.say(said);
        } else {
            self.machine.accept(facts, self.number);
            self.pass(leg, bytes);
        }
        self.reports();
    }

    fn pass(&mut self, leg: Leg, bytes: &[u8]) {
        match leg {
            Leg::Downstream => self.seen.to_target.extend(bytes),
            Leg::Upstream => self.seen.to_bot.extend(bytes),
        }
    }

    fn say(&mut self, said: Said) {
        self.seen.to_bot.extend(said.downstream);
        self.seen.to_target.extend(said.upstream);
    }

    fn reports(&mut self) {
        while let Some(report) = self.machine.report() {
            match report {
                Report::CancelWanted => self.cancels_wanted += 1,
                Report::CancelKey { key } => self.key = Some(key),
                Report::Ended { number, outcome } => self.seen.ended.push((number, outcome)),
                Report::Prepared { refused } => self.seen.prepared.push(refused),
                Report::UpstreamLoginFailed { code, message } => {
                    self.seen.login_failed = Some((code, message));
                }
            }
        }
    }
}

/// Facts as a test wants them: words in the text say what they are.
fn facts_of(text: &str) -> Facts {
    let mut facts = Facts { fingerprint: text.len() as u64, ..Facts::default() };
    facts.statements.extend(text.split(';').map(|_| Statement::default()));
    facts.effects = if text.contains("DROP") { Effects::DDL_DROP } else { Effects::READ };
    if text.starts_with("DO ") {
        facts.effects = Effects::CODE_EXEC;
    }
    if text.contains("SET standard_conforming_strings") {
        facts.flags = Flags::SESSION_LEXING_CHANGED;
    }
    let word_after = |key: &str| {
        let after = text.split(key).nth(1)?;
        Some(Box::from(after.split([' ', ';']).next()?))
    };
    facts.definitions.extend(word_after("PREPARE ").map(Definition::Statement));
    facts.definitions.extend(word_after("DECLARE ").map(Definition::Cursor));
    facts.executes.extend(word_after("EXECUTE "));
    facts
}

pub fn plain_login() -> UpstreamLogin {
    UpstreamLogin {
        username: "leased".into(),
        password: Some(Secret::new(b"pencil".to_vec())),
        tls: false,
    }
}

pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

pub fn frames(messages: &[(u8, &[u8])]) -> Vec<u8> {
    messages.iter().flat_map(|(tag, body)| frame(*tag, body)).collect()
}

pub fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

pub fn ssl_request() -> Vec<u8> {
    packet(80_877_103, b"")
}

pub fn startup(version: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in pairs {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    packet(version, &body)
}

pub fn settings() -> Vec<u8> {
    frames(&[
        (b'S', b"client_encoding\0UTF8\0"),
        (b'S', b"standard_conforming_strings\0on\0"),
        (b'S', b"server_version\x0015.0\0"),
    ])
}

pub fn q(text: &str) -> Vec<u8> {
    frame(b'Q', &[text.as_bytes(), b"\0"].concat())
}

pub fn p(name: &str, text: &str) -> Vec<u8> {
    frame(b'P', &[name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat())
}

pub fn b(portal: &str, statement: &str) -> Vec<u8> {
    let names = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    frame(b'B', &[&names[..], &[0, 0, 0, 0, 0, 0]].concat())
}

pub fn e(portal: &str) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, 0]].concat())
}

/// Parse, Bind and Execute without names.
pub fn pbe(text: &str) -> Vec<u8> {
    [p("", text), b("", ""), e("")].concat()
}

pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

pub fn flush() -> Vec<u8> {
    frame(b'H', b"")
}

pub fn done(tag: &str) -> Vec<u8> {
    frame(b'C', &[tag.as_bytes(), b"\0"].concat())
}

pub fn z(status: u8) -> Vec<u8> {
    frame(b'Z', &[status])
}

pub fn error(code: &str) -> Vec<u8> {
    severe(code, "ERROR")
}

pub fn severe(code: &str, severity: &str) -> Vec<u8> {
    frame(b'E', format!("S{severity}\0V{severity}\0C{code}\0Mserver says\0\0").as_bytes())
}

pub fn row() -> Vec<u8> {
    frame(b'D', &[0, 1, 0, 0, 0, 1, b'1'])
}

pub fn columns() -> Vec<u8> {
    frame(b'T', &[0, 0])
}

pub fn ok(tags: &str) -> Vec<u8> {
    tags.bytes().flat_map(|tag| frame(tag, b"")).collect()
}

pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// Tags of the messages in `bytes`; an error shows its code, readiness its status.
pub fn tags(bytes: &[u8]) -> String {
    let mut out = VecDeque::new();
    let mut rest = bytes;
    while let Some((&[tag, a, b, c, d], _)) = rest.split_first_chunk::<5>() {
        let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
        let body = rest.get(5..total).unwrap_or_default();
        let text = String::from_utf8_lossy(body);
        out.push_back(match tag {
            b'E' if body.first() == Some(&b'S') => {
                let code = text.split('\0').find_map(|field| field.strip_prefix('C')).unwrap();
                format!("E({code})")
            }
            b'Z' => format!("Z({text})"),
            b'Q' | b'P' if text.contains("refused by narrows") => format!("{}!", tag as char),
            _ => (tag as char).to_string(),
        });
        rest = rest.get(total..).unwrap_or_default();
    }
    out.into_iter().collect::<Vec<_>>().join(" ")
}

pub fn error_codes(seen: &Seen) -> Vec<(u64, Option<&str>)> {
    seen.ended.iter().map(|(number, outcome)| (*number, outcome.error.as_deref())).collect()
}
