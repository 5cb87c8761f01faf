//! A command waits for a human. Its bytes stay unread at the front of the bot's inbox, the machine
//! asks for nothing more, and what is decided comes back as an input.
//!
//! An approval is bound to a digest over whose command it is, where it would run, its exact text and
//! parameters, the settings that the session has made, and who may approve it: a command that differs in any of these is
//! another one, and waits anew.

use std::sync::Arc;

use aws_lc_rs::digest::{Context as Digest, SHA256};

use crate::limits::{
    HOLD_IN_TRANSACTION_MS, HOLD_NOTICE_MS, HOLD_REPLY_MS_MAX, HOLD_TEXT_BYTES_MAX,
};
use crate::model::approval::{ApprovalId, Decision, HoldRequest, HoldTerms, Planning};
use crate::model::event::What;
use crate::model::facts::{Effects, Facts};
use crate::model::session::{Leg, Parameter, SessionId};
use crate::model::time::NS_PER_S;
use crate::model::verdict::{Grounds, Verdict};
use crate::session::close::End;
use crate::session::{Context, Open, Output, Phase, Session};
use crate::wire::{Asked, Refusal, RefusalKind};

/// The command that waits.
pub(super) struct Held {
    id: ApprovalId,
    /// Its bytes at the front of the bot's inbox.
    bytes: usize,
    number: u64,
    text: Arc<[u8]>,
    parameters: Vec<Parameter>,
    facts: Arc<Facts>,
    terms: Arc<HoldTerms>,
    grounds: Grounds,
    /// The request is on record.
    filed: bool,
    /// When the bot is told to come again.
    until_ns: u64,
    begun_ns: u64,
}

/// What a session has set so far, as a digest over the texts that may have set it.
#[derive(Clone, Copy, Default)]
pub(super) struct Settings([u8; 32]);

impl Settings {
    /// Takes note of a text that runs.
    pub(super) fn note(&mut self, facts: &Facts, text: &[u8]) {
        // A temporary table takes the place of another of its name.
        let may_set = Effects::SESSION_SET
            | Effects::ROLE_CHANGE
            | Effects::CODE_EXEC
            | Effects::DDL_CREATE
            | Effects::DDL_ALTER
            | Effects::DDL_DROP;
        if facts.effects.intersects(may_set) {
            let mut digest = Digest::new(&SHA256);
            digest.update(&self.0);
            digest.update(text);
            self.0 = bytes_of(digest);
        }
    }
}

impl Held {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Session {
    pub(super) const fn holds(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.held.is_some())
    }

    /// Files the command and lets it wait, or says why it cannot.
    pub(super) fn hold(
        &mut self,
        asked: &Asked,
        bytes: usize,
        facts: Arc<Facts>,
        grounds: &Grounds,
        terms: &Arc<HoldTerms>,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        let is_whole = asked.text.len() as u64 == asked.text_bytes
            && asked.text.len() <= HOLD_TEXT_BYTES_MAX
            && !asked.parameters.iter().any(Parameter::is_long);
        if !is_whole {
            let hint = format!("Rule {}; split it, or shorten its parameters.", grounds.rule);
            return Err(refusal("the statement needs approval and is too large to be shown", hint));
        }
        let in_transaction = self.machine.in_transaction();
        if in_transaction && !terms.in_transaction {
            let hint = format!("Rule {}; send it outside of a transaction.", grounds.rule);
            let message = "the statement needs approval and must not wait inside a transaction";
            return Err(refusal(message, hint));
        }
        let wait_ms = match in_transaction {
            true => terms.wait_ms.min(HOLD_IN_TRANSACTION_MS),
            false => terms.wait_ms,
        };
        let id = ApprovalId(SessionId::at(cx.now.unix_ns).0);
        let number = open.exchanges.next_number();
        let request = HoldRequest {
            id,
            digest: open.digest(asked, self.machine.settings(), terms),
            session: self.id,
            exchange: number,
            principal: open.admission.principal.clone(),
            target: open.admission.target.name.clone(),
            database: open.database.clone(),
            peer: self.peer,
            text: asked.text.clone(),
            parameters: asked.parameters.clone(),
            effects: facts.effects.names().collect(),
            rule: grounds.rule.to_string(),
            in_transaction,
            terms: terms.clone(),
            unix_ns: cx.now.unix_ns,
            planning: open.has_plain_settings(self.machine.settings()).then(|| Planning {
                connection: open.admission.connection.clone(),
                target: open.admission.target.clone(),
                facts: facts.clone(),
            }),
        };
        let (text, grounds) = (asked.text.clone(), grounds.clone());
        open.held = Some(Held {
            id,
            bytes,
            number,
            text,
            parameters: asked.parameters.clone(),
            facts,
            terms: terms.clone(),
            grounds,
            filed: false,
            until_ns: cx.now.after_ms(wait_ms),
            begun_ns: cx.now.mono_ns,
        });
        self.deadline_ns = Some(cx.now.after_ms(HOLD_REPLY_MS_MAX));
        cx.outputs.push_back(Output::Hold(Box::new(request)));
        Ok(())
    }

    pub(super) fn on_decision(
        &mut self,
        id: ApprovalId,
        decision: Decision,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let open = if let Phase::Open(open) = &mut self.phase { Some(open) } else { None };
        let held = open.and_then(|open| open.held.as_mut()).filter(|held| held.id == id);
        let Some(held) = held else {
            if let Decision::Approved { number, .. } = decision {
                cx.outputs.push_back(Output::ReturnApproval { id: number });
            }
            return Ok(());
        };
        match decision {
            Decision::Filed { number } => {
                held.filed = true;
                held.id = number;
                let rule = held.grounds.rule.to_string();
                self.emit(What::ApprovalAsked { id: number, rule }, cx);
                self.wait_on(cx)
            }
            Decision::Approved { number, by } => {
                held.id = number;
                self.release(&by, cx)
            }
            Decision::Rejected { by, reason } => {
                let message = format!("the statement was rejected by {by}: {reason}");
                self.send_away(&message, "rejected", cx)
            }
            Decision::Unavailable { reason } => {
                let message = format!("the statement needs approval, and {reason}");
                self.send_away(&message, "not filed", cx)
            }
        }
    }

    /// Time has passed. Tells the bot that its command still waits, or to come again.
    pub(super) fn wait_on(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Phase::Open(open) = &self.phase else { return Ok(()) };
        let Some(held) = &open.held else { return Ok(()) };
        if !held.filed {
            // Whoever files it late must not keep it for a session that has gone on.
            cx.outputs.push_back(Output::LeaveHold { id: held.id, withdraw: true });
            return self.send_away(
                "the statement needs approval, and nobody answers",
                "not filed",
                cx,
            );
        }
        if held.until_ns <= cx.now.mono_ns {
            cx.outputs.push_back(Output::LeaveHold { id: held.id, withdraw: false });
            let message = format!("the statement needs approval and waits as {}", held.id);
            let hint = format!(
                "Rule {}. Send the same statement again within {} s, and it runs once somebody has \
                 approved it.",
                held.grounds.rule,
                held.terms.stands_ms / 1_000
            );
            return self.refuse_held(refusal(&message, hint), "still asked", cx);
        }
        let waited_s = cx.now.mono_ns.saturating_sub(held.begun_ns) / NS_PER_S;
        let notice = format!("narrows: waiting for approval {} ({waited_s} s)", held.id);
        self.deadline_ns = Some(held.until_ns.min(cx.now.after_ms(HOLD_NOTICE_MS)));
        self.machine.notice(&notice, &mut self.said);
        self.speak(cx)
    }

    /// The bot wants no more of the command that waits.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Phase::Open(open) = &self.phase else { return Ok(false) };
        let Some(held) = &open.held else { return Ok(false) };
        cx.outputs.push_back(Output::LeaveHold { id: held.id, withdraw: true });
        let refusal = Refusal {
            kind: RefusalKind::Cancelled,
            message: "canceling statement due to user request".into(),
            hint: None,
        };
        self.refuse_held(refusal, "withdrawn", cx)?;
        Ok(true)
    }

    /// The session ends while its command waits.
    pub(super) fn abandon_held(&mut self, cx: &mut Context<'_>) {
        let Phase::Open(open) = &mut self.phase else { return };
        if let Some(held) = open.held.take() {
            cx.outputs.push_back(Output::LeaveHold { id: held.id, withdraw: true });
        }
    }

    /// A human has approved. What could have changed meanwhile is asked once more.
    fn release(&mut self, by: &str, cx: &mut Context<'_>) -> Result<(), End> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        let Some(held) = &open.held else { return Ok(()) };
        if open.admission.principal.expires_unix_s <= cx.now.unix_s() {
            return self.send_away("the token expired while the statement waited", "too late", cx);
        }
        let verdict = open.admission.policy.decide(&held.facts, &held.text, &held.parameters);
        match verdict {
            Verdict::Deny { message, .. } => {
                let message = message.to_string();
                return self.send_away(&message, "forbidden since", cx);
            }
            Verdict::Hold { terms, .. } if terms.is_stricter_than(&held.terms) => {
                let message = "who may approve the statement has changed while it waited";
                return self.send_away(message, "other terms since", cx);
            }
            Verdict::Hold { .. } | Verdict::Allow(_) => {}
        }
        let Some(held) = open.held.take() else { return Ok(()) };
        open.settings.note(&held.facts, &held.text);
        open.exchanges.decide(
            held.number,
            Verdict::Allow(held.grounds),
            format!("{} approved by {by}", held.id),
        );
        self.machine.accept(held.facts, held.number);
        self.deadline_ns = None;
        self.emit(What::ApprovalUsed { id: held.id }, cx);
        self.forward(Leg::Downstream, held.bytes, cx)?;
        self.go_on(cx)
    }

    fn send_away(&mut self, message: &str, end: &str, cx: &mut Context<'_>) -> Result<(), End> {
        let Phase::Open(open) = &self.phase else { return Ok(()) };
        let Some(held) = &open.held else { return Ok(()) };
        let hint = format!("Rule {}; request {}.", held.grounds.rule, held.id);
        self.refuse_held(refusal(message, hint), end, cx)
    }

    fn refuse_held(
        &mut self,
        refusal: Refusal,
        end: &str,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        let Some(held) = open.held.take() else { return Ok(()) };
        let verdict = Verdict::Deny { grounds: held.grounds, message: refusal.message.clone() };
        open.exchanges.decide(held.number, verdict, format!("{} {end}", held.id));
        self.totals.denied += 1;
        self.deadline_ns = None;
        self.machine.refuse(&refusal, held.number, &mut self.said);
        self.consume(Leg::Downstream, held.bytes, cx)?;
        self.speak(cx)?;
        self.go_on(cx)
    }

    /// Reads what the bot sent behind the command.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.settle(cx)?;
        self.downstream.resume();
        self.pump(Leg::Downstream, cx)
    }
}

impl Open {
    /// Nothing was set that decides which objects names stand for.
    fn has_plain_settings(&self, at_start: &[(&str, String)]) -> bool {
        let is_plain = |name: &str| PLAIN_SETTINGS.iter().any(|one| name.eq_ignore_ascii_case(one));
        self.settings.0 == [0; 32] && at_start.iter().all(|(name, _)| is_plain(name))
    }

    /// What an approval is bound to. Each part is preceded by its length.
    fn digest(&self, asked: &Asked, settings: &[(&str, String)], terms: &HoldTerms) -> [u8; 32] {
        let mut digest = Digest::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(b"narrows-approval/1");
        part(self.admission.principal.account.as_bytes());
        part(self.admission.target.name.as_bytes());
        part(self.admission.connection.credential.username.as_bytes());
        part(self.database.as_bytes());
        // Not by the name that a bot gives itself: a retry may be another job.
        for (name, value) in settings.iter().filter(|(name, _)| *name != "application_name") {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        part(&self.settings.0);
        part(&terms.quorum.to_be_bytes());
        for reviewer in terms.reviewers.iter() {
            part(reviewer.to_string().as_bytes());
        }
        part(&asked.text);
        for parameter in &asked.parameters {
            match parameter {
                Parameter::Null => part(b"null"),
                Parameter::Text(text) => {
                    part(b"text");
                    part(text.as_bytes());
                }
                Parameter::Binary(hex) => {
                    part(b"binary");
                    part(hex.as_bytes());
                }
                // Never held: see `hold`.
                Parameter::Long(_) => part(b"long"),
            }
        }
        bytes_of(digest)
    }
}

/// How values look and what the session is called.
const PLAIN_SETTINGS: [&str; 5] =
    ["application_name", "client_encoding", "datestyle", "extra_float_digits", "timezone"];

fn refusal(message: &str, hint: String) -> Refusal {
    Refusal { kind: RefusalKind::Policy, message: message.into(), hint: Some(hint.into()) }
}

fn bytes_of(digest: Digest) -> [u8; 32] {
    let finished = digest.finish();
    finished.as_ref().try_into().unwrap_or([0; 32])
}
