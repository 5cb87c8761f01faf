//! The session: the one order of things. Open, judge, record, forward, answer, record, close.
//!
//! Sans-IO: an `Input` goes in with the time, `Output`s come out in the order in which they must be
//! performed. Owns no socket, reads no clock, never waits; a session can be replayed from its
//! inputs. Knows no protocol: that is the machine's part.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::io::buf::Chunk;
use crate::judge::Classifier;
use crate::judge::policy::{Masks, SessionPolicy};
use crate::limits;
use crate::limits::HELD_UNREAD_BYTES_MAX;
use crate::mask::catalogue::Cell;
use crate::mask::cell::Keys;
use crate::model::approval::{ApprovalId, Decision, HoldRequest};
use crate::model::event::{AuditEvent, What};
use crate::model::identity::Principal;
use crate::model::session::{CloseReason, Leg, SessionId, Totals};
use crate::model::target::{Connection, Protocol, Target};
use crate::model::time::Now;
use crate::record::{Recorded, Tap, WorkerLink};
use crate::scan::Hit;
use crate::wire::{CancelKey, Login, Machine, Said, Setting, TlsFacts, UpstreamLogin};

pub mod bucket;
mod close;
mod exchange;
mod hiding;
mod hold;
mod inbox;
mod judge;
mod masking;
mod open;
mod pace;
mod relay;

#[cfg(test)]
pub(crate) mod tests;

use bucket::Bucket;
use close::End;
use exchange::Exchanges;
use hold::{Held, Settings};
use inbox::Inbox;
use masking::Masking;

/// What a verified login is entitled to.
pub struct Admission {
    pub principal: Arc<Principal>,
    pub target: Arc<Target>,
    pub connection: Arc<Connection>,
    pub policy: SessionPolicy,
    /// The configuration that admitted the bot; policies are known by it.
    pub config_version: Arc<str>,
    /// What keyed stand-ins are made with.
    pub mask_keys: Arc<Keys>,
    /// Of the statements that all sessions of the connection may make; `None` for any number.
    pub bucket: Option<Arc<Bucket>>,
}

/// Columns that are protected from a bot: for whoever reads the database's catalogue.
pub struct Protected {
    pub masks: Arc<Masks>,
    pub database: Arc<str>,
    /// The configuration that says so.
    pub config_version: Arc<str>,
}

/// What happened outside.
pub enum Input {
    Received {
        leg: Leg,
        chunk: Chunk,
    },
    /// The peer will send no more.
    Eof {
        leg: Leg,
    },
    /// The connection broke.
    Failed {
        leg: Leg,
    },
    TlsStarted {
        leg: Leg,
        facts: TlsFacts,
    },
    TlsFailed {
        leg: Leg,
    },
    Admitted(Box<Admission>),
    /// `reason` goes to our log; the bot is told nothing of it.
    TurnedAway {
        reason: String,
        close: CloseReason,
    },
    /// The upstream connection stands.
    Connected {
        login: UpstreamLogin,
        /// Of the database, where columns of it are protected.
        catalogue: Option<Arc<Cell>>,
    },
    ConnectFailed {
        reason: String,
    },
    /// Somebody showed this session's cancel key.
    CancelRequested,
    /// The cancel request has been delivered, or could not be.
    CancelDone,
    /// What came of the command that waits.
    Decided {
        id: ApprovalId,
        decision: Decision,
    },
    /// The configuration changed; the session goes on under `policy`.
    PolicyChanged {
        policy: SessionPolicy,
        config_version: Arc<str>,
        bucket: Option<Arc<Bucket>>,
    },
    /// `deadline` has passed.
    DeadlinePassed,
    /// End the session now, for this reason.
    End(CloseReason),
}

/// What must be done outside, in this order.
pub enum Output {
    /// Our own words before the session is open. Never a peer's bytes.
    Greet {
        leg: Leg,
        bytes: Vec<u8>,
    },
    /// Bytes for `leg`, recorded.
    Forward {
        leg: Leg,
        chunk: Chunk,
        proof: Recorded,
    },
    /// Begin TLS on `leg`; `unread` is what was received of it already.
    StartTls {
        leg: Leg,
        unread: Option<Chunk>,
    },
    /// Verify the token; answer with `Admitted` or `TurnedAway`.
    Verify(Box<Login>),
    /// Lease the credential and connect to the target; answer with `Connected` or `ConnectFailed`.
    Connect {
        target: Arc<Target>,
        connection: Arc<Connection>,
    },
    /// This connection asks to cancel the work of another session.
    DeliverCancel(CancelKey),
    /// This session can be cancelled by this key.
    AnnounceCancelKey(CancelKey),
    /// Ask the target to cancel; answer with `CancelDone`.
    CancelAtTarget {
        key: CancelKey,
        target: Arc<Target>,
    },
    /// Have a human decide; answer with `Decided`.
    Hold(Box<HoldRequest>),
    /// The command waits no more: it is taken back, or the bot comes again.
    LeaveHold {
        id: ApprovalId,
        withdraw: bool,
    },
    /// An approval came for a command that waits no more. It is there for the next one.
    ReturnApproval {
        id: ApprovalId,
    },
    Emit(Box<AuditEvent>),
    /// An exchange is over; for the metrics.
    Concluded {
        latency_us: u64,
        denied: bool,
        observed: bool,
    },
    /// Flush what is queued, then close both legs. Nothing follows.
    Close {
        reason: CloseReason,
    },
}

/// What a session borrows for the time of one input.
pub struct Context<'a> {
    pub now: Now,
    pub classifier: &'a mut Classifier,
    pub recorder: &'a WorkerLink,
    pub outputs: &'a mut VecDeque<Output>,
}

pub struct Session {
    id: SessionId,
    peer: SocketAddr,
    machine: Machine,
    phase: Phase,
    downstream: Inbox,
    upstream: Inbox,
    said: Said,
    downstream_tls: Option<String>,
    upstream_tls: Option<String>,
    deadline_ns: Option<u64>,
    started_unix_ns: u64,
    totals: Totals,
}

/// Named for what it awaits.
enum Phase {
    AwaitToken,
    AwaitAdmission {
        user: String,
        database: Arc<str>,
    },
    AwaitTarget(Box<Opening>),
    AwaitTargetLogin(Box<Opening>),
    Open(Box<Open>),
    /// No bot: only delivers a cancel request to the target.
    Errand,
    /// The tap stays until the last bytes have left: they wait for it.
    Closed {
        tap: Option<Tap>,
    },
}

impl Phase {
    /// The phase, to be moved from; whoever takes it puts one back.
    const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Closed { tap: None })
    }
}

struct Opening {
    admission: Admission,
    database: Arc<str>,
    catalogue: Option<Arc<Cell>>,
}

struct Open {
    admission: Admission,
    database: Arc<str>,
    tap: Tap,
    exchanges: Exchanges,
    held: Option<Held>,
    settings: Settings,
    masking: Option<Box<Masking>>,
    /// Reused from request to request.
    hits: Vec<Hit>,
}

fn same_masks(one: Option<&Arc<Masks>>, other: Option<&Arc<Masks>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.protects_alike(other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl Session {
    /// A bot has connected.
    #[must_use]
    pub fn accepted(protocol: Protocol, setting: Setting, peer: SocketAddr, now: Now) -> Self {
        let machine = Machine::new(protocol, setting);
        let deadline_ns = now.after_ms(limits::LOGIN_MS_MAX);
        Self::with(machine, Phase::AwaitToken, peer, now, deadline_ns)
    }

    /// A cancel request is to be delivered to a target.
    #[must_use]
    pub fn errand(protocol: Protocol, key: CancelKey, peer: SocketAddr, now: Now) -> Self {
        let machine = Machine::errand(protocol, key);
        let deadline_ns = now.after_ms(limits::ERRAND_MS_MAX);
        Self::with(machine, Phase::Errand, peer, now, deadline_ns)
    }

    fn with(machine: Machine, phase: Phase, peer: SocketAddr, now: Now, deadline_ns: u64) -> Self {
        Self {
            id: SessionId::at(now.unix_ns),
            peer,
            machine,
            phase,
            downstream: Inbox::default(),
            upstream: Inbox::default(),
            said: Said::default(),
            downstream_tls: None,
            upstream_tls: None,
            deadline_ns: Some(deadline_ns),
            started_unix_ns: now.unix_ns,
            totals: Totals::default(),
        }
    }

    /// Takes one input; what must be done about it is appended to `cx.outputs`.
    pub fn handle(&mut self, input: Input, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Closed { .. }) {
            return;
        }
        if let Err(end) = self.take(input, cx) {
            let opening = matches!(self.phase, Phase::AwaitTargetLogin(_));
            self.close(if opening { end.while_opening() } else { end }, cx);
        }
    }

    fn take(&mut self, input: Input, cx: &mut Context<'_>) -> Result<(), End> {
        match input {
            Input::Received { leg, chunk } => {
                self.inbox(leg).push(chunk);
                self.pump(leg, cx)
            }
            Input::Eof { leg } | Input::Failed { leg } => Err(self.hung_up(leg)),
            Input::TlsStarted { leg, facts } => self.on_tls(leg, facts, cx),
            Input::TlsFailed { leg } => Err(self.tls_failed(leg)),
            Input::Admitted(admission) => self.on_admitted(*admission, cx),
            Input::TurnedAway { reason, close } => Err(self.on_turned_away(reason, close, cx)),
            Input::Connected { login, catalogue } => self.on_connected(login, catalogue, cx),
            Input::ConnectFailed { reason } => Err(self.on_connect_failed(&reason)),
            Input::CancelRequested => self.on_cancel(cx),
            Input::CancelDone => self.on_cancel_done(cx),
            Input::Decided { id, decision } => self.on_decision(id, decision, cx),
            Input::PolicyChanged { policy, config_version, bucket } => {
                self.on_policy(policy, config_version, bucket)
            }
            Input::DeadlinePassed if self.holds() => self.wait_on(cx),
            Input::DeadlinePassed if self.looks_for_catalogue() => self.look_for_catalogue(cx),
            Input::DeadlinePassed => Err(End::of(CloseReason::DeadlinePassed)),
            Input::End(reason) => Err(End::of(reason)),
        }
    }

    fn on_cancel(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if matches!(self.phase, Phase::Open(_)) {
            self.emit(What::CancelRequested, cx);
            if !self.withdraw(cx)? {
                self.ask_to_cancel(cx);
            }
        }
        Ok(())
    }

    fn ask_to_cancel(&mut self, cx: &mut Context<'_>) {
        let Phase::Open(open) = &self.phase else { return };
        let target = open.admission.target.clone();
        if let Some(key) = self.machine.cancel() {
            cx.outputs.push_back(Output::CancelAtTarget { key, target });
        }
    }

    fn on_cancel_done(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.machine.cancel_done();
        self.downstream.resume();
        self.pump(Leg::Downstream, cx)
    }

    fn on_policy(
        &mut self,
        policy: SessionPolicy,
        config_version: Arc<str>,
        bucket: Option<Arc<Bucket>>,
    ) -> Result<(), End> {
        // What is protected was looked up when the session opened.
        if !same_masks(self.masks(), policy.masks()) {
            return Err(End::of(CloseReason::Draining));
        }
        let admission = match &mut self.phase {
            Phase::Open(open) => &mut open.admission,
            Phase::AwaitTarget(opening) | Phase::AwaitTargetLogin(opening) => {
                &mut opening.admission
            }
            Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::Errand
            | Phase::Closed { .. } => {
                return Ok(());
            }
        };
        admission.policy = policy;
        admission.config_version = config_version;
        admission.bucket = bucket;
        Ok(())
    }

    fn masks(&self) -> Option<&Arc<Masks>> {
        self.admission().and_then(|admission| admission.policy.masks())
    }

    fn inbox(&mut self, leg: Leg) -> &mut Inbox {
        match leg {
            Leg::Downstream => &mut self.downstream,
            Leg::Upstream => &mut self.upstream,
        }
    }

    fn emit(&self, what: What, cx: &mut Context<'_>) {
        let mut event = AuditEvent {
            unix_ns: cx.now.unix_ns,
            peer: Some(self.peer),
            target: None,
            session: None,
            principal: None,
            database: None,
            what,
        };
        let admitted = match &self.phase {
            Phase::Open(open) => Some((&open.admission, &open.database)),
            Phase::AwaitTarget(opening) | Phase::AwaitTargetLogin(opening) => {
                Some((&opening.admission, &opening.database))
            }
            Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::Errand
            | Phase::Closed { .. } => None,
        };
        if let Some((admission, database)) = admitted {
            event.session = Some(self.id);
            event.target = Some(admission.target.name.clone());
            event.principal = Some(admission.principal.clone());
            event.database = Some(database.clone());
        }
        cx.outputs.push_back(Output::Emit(Box::new(event)));
    }

    /// Whether bytes from `leg` are wanted now.
    #[must_use]
    pub fn wants(&self, leg: Leg) -> bool {
        match (&self.phase, leg) {
            (Phase::Closed { .. }, _) | (Phase::Errand, Leg::Downstream) => false,
            // A bot whose command waits is listened to, so that it is noticed when it leaves.
            (Phase::Open(open), Leg::Downstream) if let Some(held) = &open.held => {
                self.downstream.unread().len() < held.bytes() + HELD_UNREAD_BYTES_MAX
            }
            (Phase::AwaitToken | Phase::Open(_), Leg::Downstream) => !self.downstream.is_waiting(),
            // A bot that speaks before it is answered waits in its socket.
            (
                Phase::AwaitAdmission { .. } | Phase::AwaitTarget(_) | Phase::AwaitTargetLogin(_),
                Leg::Downstream,
            ) => false,
            (_, Leg::Upstream) => !self.upstream.is_waiting(),
        }
    }

    /// The monotonic instant at which `DeadlinePassed` is due.
    #[must_use]
    pub const fn deadline_ns(&self) -> Option<u64> {
        self.deadline_ns
    }

    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// When the bot's connection was accepted.
    #[must_use]
    pub const fn started_unix_ns(&self) -> u64 {
        self.started_unix_ns
    }

    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Who is inside and where to, once that is known.
    #[must_use]
    pub fn admission(&self) -> Option<&Admission> {
        match &self.phase {
            Phase::Open(open) => Some(&open.admission),
            Phase::AwaitTarget(opening) | Phase::AwaitTargetLogin(opening) => {
                Some(&opening.admission)
            }
            Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::Errand
            | Phase::Closed { .. } => None,
        }
    }

    /// What is protected from the bot by columns, if anything is.
    #[must_use]
    pub fn protected(&self) -> Option<Protected> {
        let masks = self.masks().filter(|masks| masks.has_columns())?.clone();
        let config_version = self.admission()?.config_version.clone();
        Some(Protected { masks, database: self.database()?.clone(), config_version })
    }

    #[must_use]
    pub fn database(&self) -> Option<&Arc<str>> {
        match &self.phase {
            Phase::Open(open) => Some(&open.database),
            Phase::AwaitTarget(opening) | Phase::AwaitTargetLogin(opening) => {
                Some(&opening.database)
            }
            Phase::AwaitAdmission { database, .. } => Some(database),
            Phase::AwaitToken | Phase::Errand | Phase::Closed { .. } => None,
        }
    }

    /// The recorder's end of this session, for the worker to cut and to ask for durability.
    pub fn tap(&mut self) -> Option<&mut Tap> {
        match &mut self.phase {
            Phase::Open(open) => Some(&mut open.tap),
            Phase::Closed { tap } => tap.as_mut(),
            Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::AwaitTarget(_)
            | Phase::AwaitTargetLogin(_)
            | Phase::Errand => None,
        }
    }

    /// One word on what the session is doing, for the operator.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match &self.phase {
            Phase::AwaitToken => "login",
            Phase::AwaitAdmission { .. } => "verifying",
            Phase::AwaitTarget(_) => "connecting",
            Phase::AwaitTargetLogin(_) => "target login",
            Phase::Open(open) if open.held.is_some() => "held",
            Phase::Open(_) if self.machine.idle() => "idle",
            Phase::Open(_) => "active",
            Phase::Errand => "cancel",
            Phase::Closed { .. } => "closed",
        }
    }

    /// A drain may end the session here without cutting work short.
    #[must_use]
    pub fn idle(&self) -> bool {
        match &self.phase {
            Phase::Open(_) => self.machine.idle(),
            Phase::AwaitToken
            | Phase::AwaitAdmission { .. }
            | Phase::Errand
            | Phase::Closed { .. } => true,
            Phase::AwaitTarget(_) | Phase::AwaitTargetLogin(_) => false,
        }
    }
}
