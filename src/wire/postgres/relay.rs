//! A session after its login: what both directions have to know of one another.
//! `relay_bot` and `relay_target` read the messages; here stands what they agree on.

use std::sync::Arc;

use crate::model::command::Lexing;
use crate::model::facts::{Effects, Facts, Flags};
use crate::model::session::Leg;
use crate::wire::postgres::cut::{Cut, Limits, Run};
use crate::wire::postgres::encode::{self, Severity};
use crate::wire::postgres::exchanges::Exchanges;
use crate::wire::postgres::frame::Rest;
use crate::wire::postgres::lexing::LexingState;
use crate::wire::postgres::message::Status;
use crate::wire::postgres::names::{Name, Names, Portal, Portals, Prepared};
use crate::wire::postgres::pending::{Expected, Pending, Scope};
use crate::wire::postgres::reply::Words;
use crate::wire::postgres::scram;
use crate::wire::postgres::showing::Showing;
use crate::wire::postgres::startup::Version;
use crate::wire::{CancelKey, Farewell, Fault, Refusal, RefusalKind, Said};

pub struct Relay {
    pub version: Version,
    pub seed: [u8; 32],
    /// What the start-up packet set.
    pub settings: Vec<(&'static str, String)>,
    /// The target's own cancel key.
    pub upstream_key: Option<CancelKey>,
    /// The target has become ready for the first time.
    pub is_ready: bool,
    /// Transaction status as of the last ReadyForQuery.
    pub status: Status,
    pub pending: Pending,
    pub names: Names,
    pub portals: Portals,
    pub exchanges: Exchanges,
    pub lexing: LexingState,
    /// The command that awaits judgement.
    pub question: Option<Question>,
    /// What is left of a message that the bot, and that the target, has begun.
    pub bot_rest: Rest,
    pub target_rest: Rest,
    /// The target skips everything up to a Sync, so nothing else goes there.
    pub skipping: bool,
    /// Messages of the extended protocol were sent since the last Sync.
    pub batch_open: bool,
    /// The target reads copied data, and the bot has not ended it.
    pub copy_in: bool,
    /// The target sends copied data.
    pub copy_out: bool,
    /// Syncs that the target read either as part of a copy or, had it failed before, as a Sync.
    pub maybe_syncs: u32,
    pub cancelling: bool,
    /// The target has ended the session with an error of its own.
    pub over: bool,
    /// What the exchange at hand has given that is not in its sum yet.
    pub run: Run,
    pub limits: Limits,
    pub cut: Option<Cut>,
    /// What the bot is told in the place of what is cut off, until it is.
    pub cut_words: Option<Words>,
    /// Set where answers are shown before they go on.
    pub showing: Option<Showing>,
    /// The target broke the protocol behind what is being relayed.
    pub fault: Option<Fault>,
}

/// A command that awaits judgement, with the bytes of its message that are not in the window.
pub struct Question {
    pub command: Command,
    pub rest: usize,
    pub overruled: bool,
    pub unseen: bool,
}

impl Question {
    /// The refusal in PostgreSQL's terms. A name that was never seen is refused with the server's
    /// own code for a name that does not exist: drivers answer that by preparing anew.
    fn refused(&self, refusal: &Refusal) -> Words {
        let words = Words::refusal(refusal);
        // What was only too soon is not prepared anew, but sent later.
        let unseen = self.unseen && refusal.kind != RefusalKind::TooSoon;
        match self.command {
            Command::Bind { .. } if unseen => Words { code: "26000", ..words },
            Command::Execute { .. } if unseen => Words { code: "34000", ..words },
            Command::Query { .. }
            | Command::FunctionCall
            | Command::Parse { .. }
            | Command::Bind { .. }
            | Command::Execute { .. } => words,
        }
    }
}

pub enum Command {
    Query { text: Arc<[u8]> },
    FunctionCall,
    Parse { name: Name, text: Arc<[u8]> },
    Bind { portal: Name, text: Arc<[u8]> },
    Execute { portal: Name, text: Arc<[u8]> },
}

impl Relay {
    pub fn new(version: Version, seed: [u8; 32]) -> Self {
        Self {
            version,
            seed,
            settings: Vec::new(),
            upstream_key: None,
            is_ready: false,
            status: Status::Idle,
            pending: Pending::default(),
            names: Names::default(),
            portals: Portals::default(),
            exchanges: Exchanges::default(),
            lexing: LexingState::default(),
            question: None,
            bot_rest: Rest::None,
            target_rest: Rest::None,
            skipping: false,
            batch_open: false,
            copy_in: false,
            copy_out: false,
            maybe_syncs: 0,
            cancelling: false,
            over: false,
            run: Run::default(),
            limits: Limits::default(),
            cut: None,
            cut_words: None,
            showing: None,
            fault: None,
        }
    }

    pub fn accept(&mut self, facts: Arc<Facts>, number: u64) {
        let Some(Question { command, rest, overruled, .. }) = self.question.take() else { return };
        assert!(!overruled, "a command was accepted that the protocol forbids");
        self.bot_rest = Rest::relay(rest);
        match command {
            Command::Query { text } => {
                let at = self.names.stamp();
                self.exchanges.begin(number);
                self.pending.push(Expected::Query { number, at, answered: false });
                self.batch_open = false;
                self.runs(&Prepared { text, facts }, at);
            }
            // Always overruled.
            Command::FunctionCall => {}
            Command::Parse { name, text } => {
                self.names.parse(name, Prepared { text, facts });
                self.pending.push(Expected::Parse);
                self.batch_open = true;
            }
            Command::Bind { portal, text } => {
                self.exchanges.begin(number);
                let prepared = Prepared { text, facts };
                let bound = Portal { number, prepared, columns: None, asked_at: None };
                self.portals.bind(portal, bound);
                self.pending.push(Expected::Bind);
                self.batch_open = true;
            }
            Command::Execute { portal, text } => {
                let at = self.names.stamp();
                self.exchanges.begin(number);
                self.runs(&Prepared { text, facts }, at);
                self.pending.push(Expected::Execute { number, at, of_bind: false, portal });
                self.batch_open = true;
            }
        }
    }

    /// Puts the refusal in its place in the order of answers. Where the target has work under way
    /// or a transaction open, it is made to fail in the same place, so that both sides agree on
    /// what became of the transaction.
    pub fn refuse(&mut self, refusal: &Refusal, number: u64, said: &mut Said) {
        let Some(question) = self.question.take() else { return };
        self.bot_rest = Rest::discard(question.rest);
        let words = question.refused(refusal);
        match question.command {
            Command::Query { .. } | Command::FunctionCall => {
                let quiet = self.pending.is_empty() && !self.batch_open && self.maybe_syncs == 0;
                match self.status {
                    Status::Idle if quiet => self.answer(&words, number, said),
                    Status::Failed if quiet => {
                        self.answer(&Words::failed_transaction(), number, said);
                    }
                    Status::Idle | Status::InTransaction | Status::Failed => {
                        encode::poison_query(&mut said.upstream);
                        self.poison(Scope::Simple, words, number);
                        self.batch_open = false;
                    }
                }
            }
            Command::Parse { .. } | Command::Bind { .. } | Command::Execute { .. } => {
                encode::poison_parse(&mut said.upstream);
                self.poison(Scope::Extended, words, number);
                self.batch_open = true;
                self.skipping = true;
            }
        }
    }

    fn answer(&mut self, words: &Words, number: u64, said: &mut Said) {
        let start = said.downstream.len();
        words.say(Severity::Error, &mut said.downstream);
        encode::ready(&mut said.downstream, self.status);
        self.exchanges.begin(number);
        self.exchanges.deliver(number, 0, (said.downstream.len() - start) as u64);
        self.exchanges.fail(number, words.code);
        self.exchanges.end(number);
    }

    fn poison(&mut self, scope: Scope, words: Words, number: u64) {
        self.exchanges.begin(number);
        self.pending.push(Expected::Poison { scope, number, words });
    }

    /// Text that was sent at `at` runs in the target as soon as its turn comes.
    pub fn runs(&mut self, prepared: &Prepared, at: u64) {
        self.descriptions_age();
        let facts = &prepared.facts;
        if !facts.definitions.is_empty() || !facts.executes.is_empty() {
            self.names.define(prepared, at);
        }
        let executed = facts.executes.iter().filter_map(|name| self.names.facts(name.as_bytes()));
        let (flags, effects) = executed.fold((facts.flags, facts.effects), |sum, executed| {
            (sum.0 | executed.flags, sum.1 | executed.effects)
        });
        // Code that the text does not show may change settings as well.
        if flags.contains(Flags::SESSION_LEXING_CHANGED)
            || effects.intersects(Effects::CODE_EXEC | Effects::UNKNOWN)
        {
            self.lexing.change_sent();
        }
    }

    /// Something that was sent has not been answered, or was sent without asking for an answer.
    pub fn is_busy(&self) -> bool {
        self.batch_open || self.skipping || !self.pending.is_empty()
    }

    pub fn lexing(&self) -> Lexing {
        if self.lexing.in_doubt() && self.is_busy() {
            self.lexing.doubtful()
        } else {
            self.lexing.now()
        }
    }

    /// Everything that SQL may run by this name.
    pub fn named(&self, name: &str) -> Option<Arc<Facts>> {
        let portal = self.portals.find(name.as_bytes()).map(|portal| portal.prepared.facts.clone());
        match (self.names.facts(name.as_bytes()), portal) {
            (Some(named), Some(portal)) => Some(Arc::new(named.union(&portal))),
            (Some(one), None) | (None, Some(one)) => Some(one),
            (None, None) => None,
        }
    }

    /// Also where commands are on their way that may have opened one.
    pub fn in_transaction(&self) -> bool {
        self.status != Status::Idle || self.pending.may_copy()
    }

    pub fn notice(&self, message: &str, said: &mut Said) {
        // Inside a message that the bot has in part, it would be taken for its rest.
        if !matches!(self.target_rest, Rest::Relay(_)) && !self.over {
            encode::notice(&mut said.downstream, message);
        }
    }

    pub fn idle(&self) -> bool {
        self.is_ready
            && !self.is_busy()
            && self.status == Status::Idle
            && self.question.is_none()
            && self.bot_rest == Rest::None
            && self.target_rest == Rest::None
    }

    pub fn cancel(&mut self) -> Option<CancelKey> {
        // A second request under way would outlive the first, and could hit what comes after it.
        if self.over || self.cancelling || self.pending.is_empty() {
            return None;
        }
        let key = self.upstream_key.clone()?;
        self.cancelling = true;
        Some(key)
    }

    /// The key that the bot is given: the target's process id, which views of the server show and
    /// which some clients look for, with a secret of our own.
    pub fn own_key(&self, process_id: u32) -> CancelKey {
        let secret = scram::derive(&self.seed, b"cancel key");
        let secret = secret.into_iter().take(self.version.secret_bytes()).collect();
        CancelKey { process_id, secret }
    }

    pub fn farewell(&mut self, why: Farewell, said: &mut Said) {
        if self.over {
            return;
        }
        self.over = true;
        // Inside a message that the bot has in part, words would be taken for its rest.
        if !matches!(self.target_rest, Rest::Relay(_)) {
            Words::farewell(why).say(Severity::Fatal, &mut said.downstream);
        }
        if !matches!(self.bot_rest, Rest::Relay(_)) {
            encode::terminate(&mut said.upstream);
        }
    }

    /// What the target skips after an error has no answer; its exchanges end with that error.
    pub fn skip_batch(&mut self, code: &str) {
        while let Some(skipped) = self.pending.pop_skipped() {
            let number = match skipped {
                Expected::Query { number, .. }
                | Expected::Execute { number, .. }
                | Expected::Poison { number, .. } => Some(number),
                Expected::Bind => self.portals.bind_failed().map(|portal| portal.number),
                Expected::Parse => {
                    self.names.parse_failed();
                    self.exchanges.parse_done();
                    None
                }
                Expected::DescribeStatement { .. }
                | Expected::DescribePortal { .. }
                | Expected::CloseStatement { .. }
                | Expected::ClosePortal { .. }
                | Expected::Sync
                | Expected::Ready
                | Expected::Undo { .. }
                | Expected::CopyEnd => None,
            };
            if let Some(number) = number {
                self.exchanges.fail(number, code);
                self.exchanges.end(number);
            }
        }
        if self.pending.head().is_none() {
            self.skipping = true;
        }
    }
}

pub const fn by_target(what: &'static str) -> Fault {
    Fault { leg: Leg::Upstream, what }
}

pub const fn by_bot(what: &'static str) -> Fault {
    Fault { leg: Leg::Downstream, what }
}
