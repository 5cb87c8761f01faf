//! A PostgreSQL session for the fuzz targets: a machine, both legs' bytes, a judge and an editor.
//! What must hold at every step is asserted here.

use std::collections::HashSet;
use std::sync::Arc;

use crate::limits::STATEMENT_BYTES_MAX;
use crate::model::facts::{Effects, Facts};
use crate::model::session::Leg;
use crate::model::target::Protocol;
use crate::wire::{
    Asked, CopyForm, Edit, Editor, Farewell, Machine, Part, Purpose, Refusal, RefusalKind,
    Rewritten, Said, Setting, Shown, Step, TlsFacts, UpstreamLogin,
};

/// What came out on each leg.
#[derive(Default, PartialEq)]
pub(super) struct Trace {
    to_bot: Vec<u8>,
    to_target: Vec<u8>,
}

/// A machine, the unread bytes of its legs, and a judge that denies by a text's first letter.
pub(super) struct Passage {
    machine: Machine,
    from_bot: Vec<u8>,
    from_target: Vec<u8>,
    pub(super) trace: Trace,
    /// Texts that may reach the target.
    accepted: HashSet<Arc<[u8]>>,
    commands: u64,
    is_open: bool,
    /// What is shown is only looked at.
    keeps: bool,
}

/// The session is over: one of the legs said goodbye or broke the protocol.
pub(super) struct Over;

impl Passage {
    pub(super) fn accepted(downstream_tls: bool) -> Self {
        let setting = Setting { downstream_tls, cancel_seed: [7; 32] };
        Self {
            machine: Machine::new(Protocol::Postgres, setting),
            from_bot: Vec::new(),
            from_target: Vec::new(),
            trace: Trace::default(),
            accepted: HashSet::new(),
            commands: 0,
            is_open: false,
            keeps: true,
        }
    }

    /// After a conversation that cannot fail.
    pub(super) fn scripted(script: &[(Leg, &[u8])]) -> Self {
        let mut passage = Self::accepted(true);
        for (leg, bytes) in script {
            let offered = passage.offer(*leg, bytes);
            assert!(offered.is_ok(), "the script ends the session");
        }
        passage
    }

    pub(super) fn opened() -> Self {
        let mut passage = Self::scripted(LOGIN);
        assert!(passage.is_open, "the scripted login does not open the session");
        passage.trace = Trace::default();
        passage
    }

    /// Answers are shown and edited, or with `keeps` only looked at.
    pub(super) fn show_answers(&mut self, keeps: bool) {
        self.machine.show_answers();
        self.keeps = keeps;
    }

    /// Results are cut off behind their first row.
    pub(super) fn limit_rows(&mut self) {
        let refusal =
            Refusal { kind: RefusalKind::TooLarge, message: "too many rows".into(), hint: None };
        self.machine.limit_rows(1, &refusal);
    }

    /// Results are cut off behind their second cell that was replaced.
    pub(super) fn limit_masked(&mut self) {
        let refusal =
            Refusal { kind: RefusalKind::TooLarge, message: "too many cells".into(), hint: None };
        self.machine.limit_masked(2, &refusal);
    }

    pub(super) fn offer(&mut self, leg: Leg, bytes: &[u8]) -> Result<(), Over> {
        self.unread(leg).extend_from_slice(bytes);
        self.settle(leg)
    }

    /// A step on one leg may free the other; both stand still when neither moves.
    pub(super) fn settle(&mut self, leg: Leg) -> Result<(), Over> {
        loop {
            let moved = self.pump(leg)? | self.pump(leg.other())?;
            if !moved {
                return Ok(());
            }
        }
    }

    /// Whether anything was consumed.
    pub(super) fn pump(&mut self, leg: Leg) -> Result<bool, Over> {
        let mut moved = false;
        loop {
            let unread = std::mem::take(self.unread(leg));
            if unread.is_empty() {
                return Ok(moved);
            }
            let mut said = Said::default();
            let step = self.machine.step(leg, &unread, &mut said);
            *self.unread(leg) = unread;
            self.speak(said);
            let step = step.map_err(|fault| self.at_fault(fault.leg))?;
            if !self.perform(leg, step)? {
                return Ok(moved);
            }
            moved = true;
        }
    }

    fn perform(&mut self, leg: Leg, step: Step) -> Result<bool, Over> {
        let available = self.unread(leg).len();
        match step {
            Step::Need { bytes } => {
                assert!(bytes > available, "it needs {bytes} and has {available}");
                assert!(bytes <= STATEMENT_BYTES_MAX + 4096, "it would hold {bytes}");
                return Ok(false);
            }
            Step::Wait => return Ok(false),
            Step::Relay { bytes } => self.relay(leg, bytes),
            Step::Drop { bytes } => {
                self.take(leg, bytes);
            }
            Step::Judge { bytes, asked } => {
                assert!(leg == Leg::Downstream, "the target asks to be judged");
                if self.judge(&asked) {
                    self.relay(leg, bytes);
                } else {
                    self.take(leg, bytes);
                }
            }
            Step::Show { bytes, shown } => {
                assert!(leg == Leg::Upstream, "the bot's own words are shown");
                self.edit(&shown, bytes)?;
            }
            Step::StartTls { bytes, leg: of } => {
                assert!(of == leg, "TLS begins on the other leg");
                self.take(leg, bytes);
                // What was read already is ciphertext.
                self.unread(leg).clear();
                let facts = TlsFacts { alpn: Some(b"postgresql".to_vec()), ..TlsFacts::default() };
                let mut said = Said::default();
                let started = self.machine.tls_started(leg, &facts, &mut said);
                self.speak(said);
                started.map_err(|fault| self.at_fault(fault.leg))?;
            }
            Step::Login { bytes, .. } => {
                self.take(leg, bytes);
                let mut said = Said::default();
                let login =
                    UpstreamLogin { username: "app".to_owned(), password: None, tls: false };
                self.machine.begin_upstream(login, &mut said);
                self.speak(said);
            }
            Step::Opened { bytes } => {
                self.take(leg, bytes);
                self.is_open = true;
            }
            Step::Cancel { .. } => return Err(Over),
            Step::Finish { bytes } => {
                // Before the session is open there is nobody to say goodbye to.
                if self.is_open {
                    self.relay(leg, bytes);
                }
                return Err(Over);
            }
        }
        while self.machine.report().is_some() {}
        Ok(true)
    }

    fn edit(&mut self, shown: &Shown, bytes: usize) -> Result<(), Over> {
        let mut answer = self.take(Leg::Upstream, bytes);
        if let Shown::CopyBegins { columns, binary, .. } = shown {
            let form = match (binary, columns % 2) {
                (true, _) => CopyForm::Binary,
                (false, 0) => CopyForm::Text { delimiter: b'\t' },
                (false, _) => CopyForm::Csv { delimiter: b',', quote: b'"', escape: b'"' },
            };
            self.machine.copy_form(form, b"\\N", *columns, columns % 3 == 0);
        }
        let mut anew = Vec::new();
        let mut editor = Stretching { keeps: self.keeps };
        let rewritten = self.machine.rewrite(shown, &answer, &mut editor, &mut anew);
        let Rewritten { bytes, changed } = rewritten.map_err(|fault| self.at_fault(fault.leg))?;
        let rest = answer.split_off(bytes);
        self.from_target.splice(..0, rest);
        assert!(!(changed && self.keeps), "something was replaced by nothing");
        let told = if changed { anew } else { answer.clone() };
        if let (Shown::RowBegins { held, behind, .. }, false) = (shown, answer.is_empty()) {
            same_beginning(&answer, &told, *held, *behind);
        } else {
            same_shape(&answer, &told);
        }
        self.trace.to_bot.extend(told);
        Ok(())
    }

    fn judge(&mut self, asked: &Asked) -> bool {
        self.commands += 1;
        let denied = asked.text.first().is_some_and(|letter| letter % 3 == 0);
        if let Some(refusal) = &asked.overruled {
            self.refuse(&refusal.clone());
            return false;
        }
        if denied {
            self.refuse(&Refusal {
                kind: RefusalKind::Policy,
                message: "denied".into(),
                hint: None,
            });
            return false;
        }
        if asked.purpose == Purpose::Prepare || asked.known.is_none() {
            self.accepted.insert(asked.text.clone());
        }
        let facts = Facts { effects: Effects::READ, ..Facts::default() };
        self.machine.accept(Arc::new(facts), self.commands);
        true
    }

    fn refuse(&mut self, refusal: &Refusal) {
        let mut said = Said::default();
        self.machine.refuse(refusal, self.commands, &mut said);
        self.speak(said);
    }

    fn relay(&mut self, leg: Leg, bytes: usize) {
        assert!(self.is_open, "bytes are relayed before the session is open");
        let taken = self.take(leg, bytes);
        match leg {
            Leg::Downstream => self.trace.to_target.extend(taken),
            Leg::Upstream => self.trace.to_bot.extend(taken),
        }
    }

    fn take(&mut self, leg: Leg, bytes: usize) -> Vec<u8> {
        let unread = self.unread(leg);
        assert!(bytes <= unread.len(), "{bytes} of {} bytes are claimed", unread.len());
        unread.drain(..bytes).collect()
    }

    fn speak(&mut self, said: Said) {
        self.trace.to_bot.extend(said.downstream);
        self.trace.to_target.extend(said.upstream);
    }

    pub(super) fn unread(&mut self, leg: Leg) -> &mut Vec<u8> {
        match leg {
            Leg::Downstream => &mut self.from_bot,
            Leg::Upstream => &mut self.from_target,
        }
    }

    fn at_fault(&mut self, leg: Leg) -> Over {
        let mut said = Said::default();
        self.machine.farewell(Farewell::ProtocolError(leg), &mut said);
        self.speak(said);
        Over
    }

    /// Ends the session and looks at all that the target was sent since it opened.
    pub(super) fn farewell(mut self) {
        let mut said = Said::default();
        self.machine.farewell(Farewell::Killed, &mut said);
        self.speak(said);
        if !self.is_open {
            return;
        }
        for text in statements(&self.trace.to_target) {
            assert!(
                text == POISON || self.accepted.iter().any(|accepted| **accepted == *text),
                "a statement reached the target that was not accepted"
            );
        }
    }
}

/// The texts of Query and Parse messages, read by other code than what relayed them.
fn statements(mut sent: &[u8]) -> Vec<&[u8]> {
    let mut texts = Vec::new();
    while let [tag, a, b, c, d, rest @ ..] = sent {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some((body, after)) = rest.split_at_checked(length.saturating_sub(4)) else { break };
        let mut strings = body.split(|byte| *byte == 0);
        match tag {
            b'Q' => texts.extend(strings.next()),
            b'P' => texts.extend(strings.nth(1)),
            _ => {}
        }
        sent = after;
    }
    texts
}

pub(super) const TLS_HANDSHAKE: u8 = 0x16;
/// What stands in a refused statement's place: not SQL, so the server refuses it as well.
const POISON: &[u8] = b"refused by narrows";
/// TLS, start-up packet and token; then the target accepts and becomes ready.
pub(super) const LOGIN: &[(Leg, &[u8])] = &[
    (Leg::Downstream, &[TLS_HANDSHAKE]),
    (Leg::Downstream, STARTUP),
    (Leg::Downstream, TOKEN),
    (Leg::Upstream, LOGIN_ACCEPTED),
    (Leg::Upstream, READY),
];
const STARTUP: &[u8] = b"\0\0\0\x20\0\x03\0\0user\0bot\0database\0shop\0\0";
const TOKEN: &[u8] = b"p\0\0\0\x0atoken\0";
/// AuthenticationOk, a setting, BackendKeyData.
const LOGIN_ACCEPTED: &[u8] = b"R\0\0\0\x08\0\0\0\0\
    S\0\0\0\x19client_encoding\0UTF8\0\
    K\0\0\0\x0c\0\0\x04\xd2\x01\x02\x03\x04";
pub(super) const READY: &[u8] = b"Z\0\0\0\x05I";
/// A pipeline of three commands and a query behind it.
pub(super) const COMMANDS: &[u8] = b"P\0\0\0\x11s\0SELECT 1\0\0\0\
    D\0\0\0\x07Ss\0B\0\0\0\x0d\0s\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04\
    Q\0\0\0\x0dSELECT 2\0";

/// Replaces by values of other lengths, as a value's first letter says, or nothing at all.
struct Stretching {
    keeps: bool,
}

impl Stretching {
    fn edit(&self, value: &[u8], out: &mut Vec<u8>) -> Edit {
        match value.first().map(|letter| letter % 4) {
            None | Some(0) => return Edit::Keep,
            _ if self.keeps => return Edit::Keep,
            Some(1) => return Edit::Null,
            Some(2) => out.extend(b"longer\t\"'\\\n,\0"),
            Some(_) => {}
        }
        Edit::Written
    }
}

impl Editor for Stretching {
    fn cell(&mut self, column: usize, value: &[u8], out: &mut Vec<u8>) -> Edit {
        if self.passes(column) { Edit::Keep } else { self.edit(value, out) }
    }

    fn passes(&self, column: usize) -> bool {
        self.keeps || column % 2 == 1
    }

    fn words(&mut self, _part: Part<'_>, words: &[u8], out: &mut Vec<u8>) -> Edit {
        self.edit(words, out)
    }
}

/// The same messages in the same order, each as long as it says; rows have as many cells.
fn same_shape(mut before: &[u8], mut after: &[u8]) {
    while !before.is_empty() {
        let (one, other) = (message(&mut before), message(&mut after));
        let (Some((tag, old)), Some((its, new))) = (one, other) else {
            unreachable!("a message that was shown is cut")
        };
        assert!(tag == its, "a message has become another one");
        if tag == b'D' {
            assert!(old.get(..2) == new.get(..2), "a row has another number of cells");
            assert!(is_row(new), "a row is not what its cells say");
        }
    }
    assert!(after.is_empty(), "there are more messages than were shown");
}

/// The beginning of a row with as many cells, and a length that counts what is behind it.
fn same_beginning(before: &[u8], after: &[u8], held: usize, behind: usize) {
    let (Some((head, body)), Some((old, _))) =
        (after.split_first_chunk::<7>(), before.split_first_chunk::<7>())
    else {
        unreachable!("a row that was shown has no count")
    };
    let ([tag, a, b, c, d, count @ ..], [.., old_high, old_low]) = (*head, *old);
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    assert!(tag == b'D' && count == [old_high, old_low], "a row has become another message");
    assert!(length + 1 == after.len() + behind, "a row is not as long as it says");
    assert!(is_cells(body, held), "the beginning of a row is not what its cells say");
}

fn message<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, a, b, c, d], rest) = bytes.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let (body, rest) = rest.split_at_checked(length.checked_sub(4)?)?;
    *bytes = rest;
    Some((tag, body))
}

fn is_row(body: &[u8]) -> bool {
    let Some((count, cells)) = body.split_first_chunk::<2>() else { return false };
    is_cells(cells, usize::from(u16::from_be_bytes(*count)))
}

fn is_cells(mut rest: &[u8], count: usize) -> bool {
    for _ in 0..count {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return false };
        let length = i32::from_be_bytes(*length);
        let taken = if length == -1 { Ok(0) } else { usize::try_from(length) };
        let Some((_, after)) = taken.ok().and_then(|taken| after.split_at_checked(taken)) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}
