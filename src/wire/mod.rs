//! Wire protocols as sans-IO machines: bytes in, steps out.
//!
//! A `Machine` reads both legs of one session. Whoever drives it keeps the unread bytes of each
//! leg, offers them as one slice, and does what the returned `Step` says. A machine knows no
//! policy, no socket and no clock; it asks for judgement and is told the answer.

use std::sync::Arc;

use crate::model::command::{Language, Lexing};
use crate::model::facts::Facts;
use crate::model::secret::Secret;
use crate::model::session::{Leg, Parameter};
use crate::model::target::Protocol;

pub mod postgres;

/// What a machine makes of the first unread bytes of a leg.
pub enum Step {
    /// Undecidable with fewer than `bytes` bytes in all; offer the same bytes and more.
    Need { bytes: usize },
    /// Consume nothing from this leg until something else has happened.
    Wait,
    /// The first `bytes` go to the other leg unchanged.
    Relay { bytes: usize },
    /// The first `bytes` are consumed; what takes their place, if anything, has been `Said`.
    Drop { bytes: usize },
    /// The first `bytes` begin a command. Answer with `accept` (then they go on unchanged) or
    /// with `refuse` (then they are consumed) before the next step.
    Judge { bytes: usize, asked: Box<Asked> },
    /// The first `bytes` are whole messages of an answer in which values may stand, or the beginning of
    /// one. They go on as they are, or as `rewrite` leaves them.
    Show { bytes: usize, shown: Shown },
    /// The first `bytes` are consumed; send what was said, then begin TLS on `leg`, and report
    /// with `tls_started`.
    StartTls { bytes: usize, leg: Leg },
    /// The first `bytes` held the bot's credentials and are consumed, never recorded. Answer with
    /// `begin_upstream` or `farewell`.
    Login { bytes: usize, login: Box<Login> },
    /// The target has accepted the login: from here on everything is recorded.
    Opened { bytes: usize },
    /// The connection carries a request to cancel the work of the session with this key.
    Cancel { key: CancelKey },
    /// The leg said its goodbye; the first `bytes` go to the other leg if the session is open, then it
    /// ends.
    Finish { bytes: usize },
}

impl Step {
    /// How many of the offered bytes the step speaks of.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Need { .. } | Self::Wait | Self::Cancel { .. } => 0,
            Self::Relay { bytes }
            | Self::Drop { bytes }
            | Self::Judge { bytes, .. }
            | Self::Show { bytes, .. }
            | Self::StartTls { bytes, .. }
            | Self::Login { bytes, .. }
            | Self::Opened { bytes }
            | Self::Finish { bytes } => *bytes,
        }
    }
}

/// What a piece of an answer holds. `number` is the exchange that it answers.
pub enum Shown {
    /// Rows of one result.
    Rows { number: u64, columns: Arc<[Column]> },
    /// The beginning of a row too large to be held: its first `held` cells. `behind` bytes follow,
    /// which go on as they come if the editor lets the columns in them pass.
    RowBegins { number: u64, columns: Arc<[Column]>, held: usize, behind: usize },
    /// A description of a result: what its columns are called.
    Description,
    /// An error or a notice.
    Words { cause: Cause },
    /// Something that one session tells others, or the value of a setting.
    Aside,
    /// A copy to the bot begins.
    CopyBegins { number: u64, columns: usize, binary: bool },
    /// Rows of that copy.
    Copied { number: u64 },
}

impl Shown {
    /// The exchange whose answer it is a part of, if it is known to be.
    #[must_use]
    pub const fn answers(&self) -> Option<u64> {
        match self {
            Self::Rows { number, .. }
            | Self::RowBegins { number, .. }
            | Self::CopyBegins { number, .. }
            | Self::Copied { number }
            | Self::Words { cause: Cause::Command(number) } => Some(*number),
            Self::Description
            | Self::Aside
            | Self::Words { cause: Cause::End | Cause::Nothing } => None,
        }
    }

    /// The exchange whose rows these are, if they are rows.
    #[must_use]
    pub const fn rows_of(&self) -> Option<u64> {
        match self {
            Self::Rows { number, .. }
            | Self::RowBegins { number, .. }
            | Self::Copied { number } => Some(*number),
            Self::Description | Self::Words { .. } | Self::Aside | Self::CopyBegins { .. } => None,
        }
    }
}

/// What an error or a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The exchange of this number.
    Command(u64),
    /// The end of a transaction, which anything that was put off may still make fail.
    End,
    /// No exchange: a text was to be prepared, or the target speaks of its own accord.
    Nothing,
}

/// A column of a result, as the target describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The relation that it is a plain column of; zero where it is computed.
    pub table: u32,
    /// Its number there; zero for the whole row.
    pub attribute: i16,
    pub type_oid: u32,
    pub type_modifier: i32,
    pub binary: bool,
}

/// Looks at the values in an answer and replaces some of them.
pub trait Editor {
    /// A row begins.
    fn row(&mut self) {}

    /// A value of the row's column `column`; nulls are not shown. What takes its place is appended
    /// to `out`.
    fn cell(&mut self, column: usize, value: &[u8], out: &mut Vec<u8>) -> Edit;

    /// Whether every value of the row's column `column` stays as it is, so that none need be shown.
    fn passes(&self, column: usize) -> bool;

    /// A text. What takes its place is appended to `out`; it must not hold a zero byte.
    fn words(&mut self, part: Part<'_>, words: &[u8], out: &mut Vec<u8>) -> Edit;
}

/// What became of bytes that were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// So many of them go on: all, unless a limit was passed.
    pub bytes: usize,
    pub changed: bool,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    Keep,
    /// It is left out: a cell becomes null, words go.
    Null,
    Written,
}

/// Which text it is that an editor is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What an error or notice says; with its code, and whether it points at a place in the bot's own
    /// text.
    Message { code: &'a [u8], points_at_text: bool },
    /// What it adds to that: detail, hint, context, the query inside; with its code and the table
    /// that it is about, if it says so.
    Addition { code: &'a [u8], table: &'a [u8] },
    /// Names and places: schema, table, column, constraint, routine.
    Name,
    /// What a column is called.
    Label,
    /// What another session says, or a setting's value.
    Aside,
}

/// How copied rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyForm {
    Text { delimiter: u8 },
    Csv { delimiter: u8, quote: u8, escape: u8 },
    Binary,
}

/// Bytes that a machine says of its own accord during a step, to be sent after everything that
/// earlier steps relayed.
#[derive(Default)]
pub struct Said {
    pub downstream: Vec<u8>,
    pub upstream: Vec<u8>,
}

impl Said {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.downstream.is_empty() && self.upstream.is_empty()
    }
}

/// What a bot shows at login.
pub struct Login {
    pub user: String,
    /// Empty where the bot named none.
    pub database: String,
    pub token: Secret<Vec<u8>>,
}

/// What the upstream leg logs in with.
pub struct UpstreamLogin {
    pub username: String,
    pub password: Option<Secret<Vec<u8>>>,
    /// Begin with TLS.
    pub tls: bool,
}

/// Properties of a TLS session that a protocol or an auditor cares about.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    pub alpn: Option<Vec<u8>>,
    /// `tls-server-end-point` channel binding (RFC 5929) of the peer's certificate; upstream only.
    pub server_end_point: Option<Vec<u8>>,
    /// The client authenticated itself with a certificate; upstream only.
    pub client_certificate: bool,
    /// Version and cipher suite, in words for the recording.
    pub parameters: Option<String>,
}

/// A request for judgement.
pub struct Asked {
    pub purpose: Purpose,
    pub language: Language,
    /// The command's whole text. With `overruled` it may be only the beginning.
    pub text: Arc<[u8]>,
    pub text_bytes: u64,
    /// Facts handed to `accept` when this text was prepared under a name.
    pub known: Option<Arc<Facts>>,
    /// The command runs a name that was never seen being prepared.
    pub unseen: bool,
    pub parameters: Vec<Parameter>,
    /// The protocol itself forbids this command, whatever policy says: do not judge, refuse.
    pub overruled: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Text is only given a name; nothing runs yet, and it is an exchange only if it is refused.
    Prepare,
    /// An exchange begins.
    Run,
}

/// Why a command is refused, in terms that each protocol renders in its own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: Arc<str>,
    pub hint: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    Policy,
    TooLarge,
    /// It may run later.
    TooSoon,
    Unsupported,
    /// The bot took its command back.
    Cancelled,
}

/// Why a session cannot open or go on. The bot sees a fixed text for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Any reason for which a login is refused; which one stands in our log only.
    LoginRefused,
    /// The token was good, but the connection does not open this database.
    DatabaseNotAllowed,
    TlsRequired,
    TooManySessions,
    TargetUnreachable,
    TargetLoginFailed,
    DeadlinePassed,
    Killed,
    Draining,
    RecordingFailed,
    /// The named leg broke the protocol.
    ProtocolError(Leg),
    Defect,
}

/// What identifies the session that a cancel request is meant for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CancelKey {
    pub process_id: u32,
    pub secret: Vec<u8>,
}

/// What a machine noticed, in the order in which it happened.
pub enum Report {
    /// The session can be cancelled with this key from now on.
    CancelKey { key: CancelKey },
    /// The target refused the login, in its own words: for the log, not for the bot. Before
    /// `Opened` a `Fault` of the upstream leg comes with it; afterwards the bot has been told.
    UpstreamLoginFailed { code: String, message: String },
    /// What the target does now is of no use to the session any more: it should be asked to cancel.
    CancelWanted,
    /// The exchange that `accept` or `refuse` began with this number is complete.
    Ended { number: u64, outcome: Outcome },
    /// The oldest unanswered text that was accepted to be prepared is done with; `refused` says how
    /// the target refused it, if it did.
    Prepared { refused: Option<Outcome> },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub rows: u64,
    /// Bytes of the answer as delivered to the bot.
    pub answer_bytes: u64,
    /// The protocol's error code, if the exchange ended in an error.
    pub error: Option<String>,
    /// The target's completion word.
    pub tag: Option<String>,
}

/// A peer broke the protocol. The session ends, closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} broke the protocol: {what}", leg.name())]
pub struct Fault {
    pub leg: Leg,
    pub what: &'static str,
}

/// What a machine needs to know of its listener and target at birth.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The listener can do TLS.
    pub downstream_tls: bool,
    /// Random bytes for this session's own cancel key; nobody else has seen them.
    pub cancel_seed: [u8; 32],
}

/// One session's protocol state. A match a method, so that the compiler lists what a new protocol
/// lacks.
pub enum Machine {
    Postgres(Box<postgres::Machine>),
}

impl Machine {
    #[must_use]
    pub fn new(protocol: Protocol, setting: Setting) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres(Box::new(postgres::Machine::new(setting))),
        }
    }

    /// A machine whose only errand is to deliver a cancel request to the target: it never has a
    /// downstream leg. Begins with `begin_upstream`.
    #[must_use]
    pub fn errand(protocol: Protocol, key: CancelKey) -> Self {
        match protocol {
            Protocol::Postgres => Self::Postgres(Box::new(postgres::Machine::errand(key))),
        }
    }

    /// Looks at the unread bytes of `leg`. Call again after each consumed step until it needs more.
    pub fn step(&mut self, leg: Leg, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        match self {
            Self::Postgres(machine) => machine.step(leg, unread, said),
        }
    }

    /// TLS is up on `leg`.
    pub fn tls_started(
        &mut self,
        leg: Leg,
        facts: &TlsFacts,
        said: &mut Said,
    ) -> Result<(), Fault> {
        match self {
            Self::Postgres(machine) => machine.tls_started(leg, facts, said),
        }
    }

    /// The upstream connection stands: log in.
    pub fn begin_upstream(&mut self, login: UpstreamLogin, said: &mut Said) {
        match self {
            Self::Postgres(machine) => machine.begin_upstream(login, said),
        }
    }

    /// The command last asked about may run. `number` comes back in `Report::Ended`.
    pub fn accept(&mut self, facts: Arc<Facts>, number: u64) {
        match self {
            Self::Postgres(machine) => machine.accept(facts, number),
        }
    }

    /// The command last asked about must not run. Says what the protocol demands on each leg.
    pub fn refuse(&mut self, refusal: &Refusal, number: u64, said: &mut Said) {
        match self {
            Self::Postgres(machine) => machine.refuse(refusal, number, said),
        }
    }

    /// From now on an exchange gives the bot at most so many rows. Where there are more, `refusal`
    /// takes the place of the rest. For a session that has opened.
    pub fn limit_rows(&mut self, rows: u64, refusal: &Refusal) {
        match self {
            Self::Postgres(machine) => machine.limit_rows(rows, refusal),
        }
    }

    /// The same for the bytes of all that answers. A row that does not fit is withheld as a whole.
    pub fn limit_bytes(&mut self, bytes: u64, refusal: &Refusal) {
        match self {
            Self::Postgres(machine) => machine.limit_bytes(bytes, refusal),
        }
    }

    /// The same for cells that `rewrite` replaces. The row with the first that is too many is withheld
    /// as a whole.
    pub fn limit_masked(&mut self, cells: u64, refusal: &Refusal) {
        match self {
            Self::Postgres(machine) => machine.limit_masked(cells, refusal),
        }
    }

    /// From now on answers are shown (`Step::Show`) before they go on. For a session that has opened.
    pub fn show_answers(&mut self) {
        match self {
            Self::Postgres(machine) => machine.show_answers(),
        }
    }

    /// The result or copy whose rows were shown last holds nothing to be replaced: the rest of it
    /// need not be shown.
    pub fn rows_pass(&mut self) {
        match self {
            Self::Postgres(machine) => machine.rows_pass(),
        }
    }

    /// The rows of the copy that has just begun are written like this; `null` stands for no value.
    /// Without it none of them goes on.
    pub fn copy_form(&mut self, form: CopyForm, null: &[u8], columns: usize, header: bool) {
        match self {
            Self::Postgres(machine) => machine.copy_form(form, null, columns, header),
        }
    }

    /// Passes what stands in `bytes`, which were `shown`, through `editor`. What goes on is written to
    /// `out` if anything in it was replaced. Bytes behind it are to be offered anew.
    pub fn rewrite(
        &mut self,
        shown: &Shown,
        bytes: &[u8],
        editor: &mut impl Editor,
        out: &mut Vec<u8>,
    ) -> Result<Rewritten, Fault> {
        match self {
            Self::Postgres(machine) => machine.rewrite(shown, bytes, editor, out),
        }
    }

    /// A transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        match self {
            Self::Postgres(machine) => machine.in_transaction(),
        }
    }

    /// Something that was sent is not answered yet, or may still fail at its end.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Postgres(machine) => machine.is_busy(),
        }
    }

    /// Settings that the session began with, beside the server's own.
    #[must_use]
    pub fn settings(&self) -> &[(&'static str, String)] {
        match self {
            Self::Postgres(machine) => machine.settings(),
        }
    }

    /// Tells the bot something that answers nothing, if it can be told now.
    pub fn notice(&self, message: &str, said: &mut Said) {
        match self {
            Self::Postgres(machine) => machine.notice(message, said),
        }
    }

    /// Facts of a statement or cursor that text can run by name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Arc<Facts>> {
        match self {
            Self::Postgres(machine) => machine.named(name),
        }
    }

    /// How the session reads text now.
    #[must_use]
    pub fn lexing(&self) -> Lexing {
        match self {
            Self::Postgres(machine) => machine.lexing(),
        }
    }

    pub fn report(&mut self) -> Option<Report> {
        match self {
            Self::Postgres(machine) => machine.report(),
        }
    }

    /// The target's cancel key, if work is in flight that a cancel request may stop now. Until
    /// `cancel_done`, no further command of the bot is begun.
    pub fn cancel(&mut self) -> Option<CancelKey> {
        match self {
            Self::Postgres(machine) => machine.cancel(),
        }
    }

    pub fn cancel_done(&mut self) {
        match self {
            Self::Postgres(machine) => machine.cancel_done(),
        }
    }

    /// The session's last words: to the bot an error in the protocol's own form, if it can still
    /// take one, and to the target a goodbye.
    pub fn farewell(&mut self, why: Farewell, said: &mut Said) {
        match self {
            Self::Postgres(machine) => machine.farewell(why, said),
        }
    }

    /// Nothing is in flight and no transaction is open: a drain may end the session here.
    #[must_use]
    pub fn idle(&self) -> bool {
        match self {
            Self::Postgres(machine) => machine.idle(),
        }
    }
}

/// The name by which a protocol is agreed on in a TLS handshake (RFC 7301).
#[must_use]
pub const fn alpn(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Postgres => b"postgresql",
    }
}

/// True for the error code by which a target says that its own grants forbid a command.
#[must_use]
pub fn lacks_privilege(protocol: Protocol, code: &str) -> bool {
    match protocol {
        Protocol::Postgres => code == postgres::INSUFFICIENT_PRIVILEGE,
    }
}

/// The language of a protocol's commands.
#[must_use]
pub const fn language(protocol: Protocol) -> Language {
    match protocol {
        Protocol::Postgres => Language::PostgresSql,
    }
}
