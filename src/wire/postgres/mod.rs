//! PostgreSQL's protocol, version 3, on both legs of a session.
//!
//! `open` and `login` bring each leg to its login, `relay` and its halves `relay_bot` and
//! `relay_target` carry the session, `reply` has the words of refusals and farewells. Here they
//! follow one another. Nothing in this folder knows a policy, a socket, a clock or SQL.

use std::sync::Arc;

use crate::model::command::Lexing;
use crate::model::facts::Facts;
use crate::model::session::Leg;
use crate::wire::postgres::copied::Form;
use crate::wire::postgres::cut::Limit;
use crate::wire::postgres::encode::Severity;
use crate::wire::postgres::login::{LoginUpstream, Progress, Purpose};
use crate::wire::postgres::open::Greeting;
use crate::wire::postgres::relay::Relay;
use crate::wire::postgres::reply::Words;
use crate::wire::postgres::showing::Showing;
use crate::wire::{
    CancelKey, CopyForm, Editor, Farewell, Fault, Refusal, Report, Rewritten, Said, Setting, Shown,
    Step, TlsFacts, UpstreamLogin,
};

mod copied;
mod cut;
mod encode;
mod exchanges;
mod frame;
mod large;
mod lexing;
mod login;
mod message;
mod names;
mod open;
mod pending;
mod relay;
mod relay_bot;
mod relay_target;
mod reply;
mod rewrite;
mod scram;
mod showing;
mod startup;

pub use reply::INSUFFICIENT_PRIVILEGE;

pub struct Machine {
    phase: Phase,
    /// Secret bytes of this session, from which its cancel key and its nonce are made.
    seed: [u8; 32],
    /// A report of a phase before the relay.
    report: Option<Report>,
}

enum Phase {
    Greeting(Box<Greeting>),
    Errand(CancelKey),
    LoggingIn(Box<LoginUpstream>),
    Relaying(Box<Relay>),
    Over,
}

impl Machine {
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        Self {
            phase: Phase::Greeting(Box::new(Greeting::new(setting.downstream_tls))),
            seed: setting.cancel_seed,
            report: None,
        }
    }

    /// Delivers a cancel request and nothing else.
    #[must_use]
    pub const fn errand(key: CancelKey) -> Self {
        Self { phase: Phase::Errand(key), seed: [0; 32], report: None }
    }

    pub fn step(&mut self, leg: Leg, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        match (&mut self.phase, leg) {
            (Phase::Greeting(greeting), Leg::Downstream) => greeting.step(unread, said),
            (Phase::LoggingIn(login), Leg::Upstream) => match login.step(unread, said)? {
                Progress::Step(step) => Ok(step),
                Progress::Opened { bytes } => Ok(self.open(bytes, said)),
                Progress::Refused(report) => {
                    self.report = Some(report);
                    Err(Fault { leg: Leg::Upstream, what: "the target refused the login" })
                }
            },
            (Phase::Relaying(relay), Leg::Downstream) => relay.read_bot(unread, said),
            (Phase::Relaying(relay), Leg::Upstream) => relay.read_target(unread, said),
            (Phase::Greeting(_) | Phase::Errand(_), Leg::Upstream)
            | (Phase::LoggingIn(_) | Phase::Errand(_), Leg::Downstream)
            | (Phase::Over, Leg::Downstream | Leg::Upstream) => Ok(Step::Wait),
        }
    }

    pub fn tls_started(
        &mut self,
        leg: Leg,
        facts: &TlsFacts,
        said: &mut Said,
    ) -> Result<(), Fault> {
        match (&mut self.phase, leg) {
            (Phase::Greeting(greeting), Leg::Downstream) => greeting.tls_started(facts),
            (Phase::LoggingIn(login), Leg::Upstream) => login.tls_started(facts, said),
            (
                Phase::Greeting(_)
                | Phase::Errand(_)
                | Phase::LoggingIn(_)
                | Phase::Relaying(_)
                | Phase::Over,
                leg,
            ) => Err(Fault { leg, what: "TLS began where nobody asked for it" }),
        }
    }

    pub fn begin_upstream(&mut self, login: UpstreamLogin, said: &mut Said) {
        let purpose = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Greeting(greeting) => greeting.admitted().map(Purpose::Session),
            Phase::Errand(key) => Some(Purpose::Cancel(key)),
            Phase::LoggingIn(_) | Phase::Relaying(_) | Phase::Over => None,
        };
        assert!(purpose.is_some(), "the target was to be opened for nobody");
        if let Some(purpose) = purpose {
            let login = LoginUpstream::begin(purpose, login, self.seed, said);
            self.phase = Phase::LoggingIn(Box::new(login));
        }
    }

    pub fn accept(&mut self, facts: Arc<Facts>, number: u64) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.accept(facts, number);
        }
    }

    pub fn refuse(&mut self, refusal: &Refusal, number: u64, said: &mut Said) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.refuse(refusal, number, said);
        }
    }

    pub fn limit_rows(&mut self, rows: u64, refusal: &Refusal) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.limits.rows = Some(Limit { most: rows, words: Words::refusal(refusal) });
        }
    }

    pub fn limit_bytes(&mut self, bytes: u64, refusal: &Refusal) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.limits.bytes = Some(Limit { most: bytes, words: Words::refusal(refusal) });
        }
    }

    pub fn limit_masked(&mut self, cells: u64, refusal: &Refusal) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.limits.masked = Some(Limit { most: cells, words: Words::refusal(refusal) });
        }
    }

    pub fn show_answers(&mut self) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.showing = Some(Showing::default());
        }
    }

    pub fn rows_pass(&mut self) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.rows_pass();
        }
    }

    pub fn copy_form(&mut self, form: CopyForm, null: &[u8], columns: usize, header: bool) {
        if let Phase::Relaying(relay) = &mut self.phase
            && let Some(showing) = &mut relay.showing
        {
            showing.copied = Some(Form::new(form, null, columns, header));
        }
    }

    pub fn rewrite(
        &mut self,
        shown: &Shown,
        bytes: &[u8],
        editor: &mut impl Editor,
        out: &mut Vec<u8>,
    ) -> Result<Rewritten, Fault> {
        let Phase::Relaying(relay) = &mut self.phase else {
            return Ok(Rewritten { bytes: bytes.len(), changed: false });
        };
        if relay.refuses_rest(shown, bytes.len(), &*editor) {
            return Ok(Rewritten { bytes: 0, changed: false });
        }
        let masked_max = relay.masked_left(shown);
        let form = relay.showing.as_mut().and_then(|it| it.copied.as_mut());
        let start = out.len();
        let extent = rewrite::rewrite(shown, bytes, form, masked_max, editor, out)
            .map_err(|malformed| malformed.by(Leg::Upstream))?;
        if let Some(number) = shown.answers() {
            relay.exchanges.masked(number, extent.masked);
            if extent.changed {
                let (before, after) = (extent.bytes as u64, (out.len() - start) as u64);
                relay.exchanges.rewritten(number, before, after);
            }
        }
        if let Some(rest) = bytes.get(extent.bytes..).filter(|rest| !rest.is_empty()) {
            relay.cut_masked(shown, rest).map_err(|malformed| malformed.by(Leg::Upstream))?;
        }
        Ok(Rewritten { bytes: extent.bytes, changed: extent.changed })
    }

    #[must_use]
    pub fn in_transaction(&self) -> bool {
        match &self.phase {
            Phase::Relaying(relay) => relay.in_transaction(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => false,
        }
    }

    #[must_use]
    pub fn is_busy(&self) -> bool {
        match &self.phase {
            Phase::Relaying(relay) => relay.is_busy(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => true,
        }
    }

    #[must_use]
    pub fn settings(&self) -> &[(&'static str, String)] {
        match &self.phase {
            Phase::Relaying(relay) => &relay.settings,
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => &[],
        }
    }

    pub fn notice(&self, message: &str, said: &mut Said) {
        if let Phase::Relaying(relay) = &self.phase {
            relay.notice(message, said);
        }
    }

    pub fn report(&mut self) -> Option<Report> {
        if let Some(report) = self.report.take() {
            return Some(report);
        }
        match &mut self.phase {
            Phase::Relaying(relay) => relay.exchanges.report(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => None,
        }
    }

    pub fn cancel(&mut self) -> Option<CancelKey> {
        match &mut self.phase {
            Phase::Relaying(relay) => relay.cancel(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => None,
        }
    }

    pub fn cancel_done(&mut self) {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.cancelling = false;
        }
    }

    pub fn farewell(&mut self, why: Farewell, said: &mut Said) {
        let words = match &mut self.phase {
            Phase::Greeting(greeting) => greeting.last_words(why),
            // Whatever the target said or did, before its login stands the bot hears one text.
            Phase::LoggingIn(login) if login.is_session() => {
                let by_target = why == Farewell::ProtocolError(Leg::Upstream);
                Some(Words::farewell(if by_target { Farewell::TargetLoginFailed } else { why }))
            }
            Phase::Relaying(relay) => {
                relay.farewell(why, said);
                return;
            }
            Phase::LoggingIn(_) | Phase::Errand(_) | Phase::Over => None,
        };
        if let Some(words) = words {
            words.say(Severity::Fatal, &mut said.downstream);
        }
        self.phase = Phase::Over;
    }

    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Facts>> {
        match &self.phase {
            Phase::Relaying(relay) => relay.named(name),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => None,
        }
    }

    #[must_use]
    pub fn lexing(&self) -> Lexing {
        match &self.phase {
            Phase::Relaying(relay) => relay.lexing(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => {
                Lexing::default()
            }
        }
    }

    #[must_use]
    pub fn idle(&self) -> bool {
        match &self.phase {
            Phase::Relaying(relay) => relay.idle(),
            Phase::Greeting(_) | Phase::Errand(_) | Phase::LoggingIn(_) | Phase::Over => false,
        }
    }

    fn open(&mut self, bytes: usize, said: &mut Said) -> Step {
        if let Phase::LoggingIn(login) = std::mem::replace(&mut self.phase, Phase::Over)
            && let Some(startup) = login.startup()
        {
            encode::authentication_ok(&mut said.downstream);
            let mut relay = Relay::new(startup.version, self.seed);
            relay.settings = startup.settings;
            self.phase = Phase::Relaying(Box::new(relay));
        }
        Step::Opened { bytes }
    }
}

#[cfg(test)]
pub(crate) mod tests;
