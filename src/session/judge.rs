//! A command is asked about: facts, verdict, and what follows from it.

use std::sync::Arc;

use crate::judge::classify;
use crate::limits::BIND_WINDOW_BYTES;
use crate::model::facts::{Facts, Unknown};
use crate::model::session::{Parameter, SessionId};
use crate::model::verdict::{Grounds, PROTOCOL, RuleRef, TOO_SOON, Verdict};
use crate::session::close::End;
use crate::session::exchange::Begun;
use crate::session::{Context, Phase, Session};
use crate::wire::{Asked, Purpose, Refusal, RefusalKind};

/// What becomes of the bytes that held the command.
pub(super) enum Ruling {
    Forward,
    Consume,
    /// They stay where they are.
    Keep,
}

impl Session {
    /// `bytes` at the front of the bot's inbox hold the command.
    pub(super) fn judge(
        &mut self,
        mut asked: Asked,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<Ruling, End> {
        let read = self.read(&asked, cx);
        let overrun = self.pace(&asked, &read, cx);
        let facts = self.resolve(read);
        let mut verdict = match &overrun {
            Some(overrun) => refused(TOO_SOON, &overrun.refusal),
            None => self.verdict(&asked, &facts)?,
        };
        let is_told = overrun.as_ref().is_none_or(|overrun| overrun.is_told);
        if let Some(overrun) = overrun {
            asked.overruled = Some(overrun.refusal);
        }
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        let number = open.exchanges.next_number();
        if let (Verdict::Hold { grounds, terms }, Purpose::Run) = (&verdict, asked.purpose) {
            let (grounds, terms) = (grounds.clone(), terms.clone());
            if let Err(refusal) = self.hold(&asked, bytes, facts.clone(), &grounds, &terms, cx) {
                verdict = Verdict::Deny { grounds, message: refusal.message };
            }
        }
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        match (&verdict, asked.purpose) {
            (Verdict::Hold { .. }, Purpose::Run) => {}
            // What is only prepared does nothing: it is held when it is to run.
            (Verdict::Allow(_), _) | (Verdict::Hold { .. }, Purpose::Prepare) => {
                self.machine.accept(facts.clone(), number);
                if asked.purpose == Purpose::Run {
                    open.settings.note(&facts, &asked.text);
                }
            }
            (Verdict::Deny { grounds, message }, Purpose::Prepare | Purpose::Run) => {
                let refusal = asked.overruled.unwrap_or_else(|| Refusal {
                    kind: RefusalKind::Policy,
                    message: message.clone(),
                    hint: Some(hint(grounds, &facts, &asked.parameters, self.id, number)),
                });
                self.machine.refuse(&refusal, number, &mut self.said);
                self.totals.denied += 1;
            }
        }
        let ruling = match (&verdict, asked.purpose) {
            (Verdict::Hold { .. }, Purpose::Run) => Ruling::Keep,
            (Verdict::Allow(_) | Verdict::Hold { .. }, _) => Ruling::Forward,
            (Verdict::Deny { .. }, _) => Ruling::Consume,
        };
        let begun =
            Begun::new(asked.text, asked.text_bytes, asked.parameters, facts, verdict, cx.now)
                .told(is_told);
        match (&ruling, asked.purpose) {
            (Ruling::Forward, Purpose::Prepare) => open.exchanges.prepare(begun),
            (Ruling::Forward | Ruling::Keep, Purpose::Run)
            | (Ruling::Consume | Ruling::Keep, _) => {
                self.totals.exchanges += 1;
                open.exchanges.begin(begun);
            }
        }
        Ok(ruling)
    }

    /// What policy and masks say.
    fn verdict(&mut self, asked: &Asked, facts: &Facts) -> Result<Verdict, End> {
        let is_first = !self.machine.in_transaction() && !self.machine.is_busy();
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        if let Some(refusal) = &asked.overruled {
            return Ok(refused(PROTOCOL, refusal));
        }
        let verdict = open.admission.policy.decide(facts, &asked.text, &asked.parameters);
        let objection = open.masking.as_mut().and_then(|it| it.objection(asked, facts, is_first));
        Ok(match (objection, verdict) {
            (Some(objection), Verdict::Allow(_) | Verdict::Hold { .. }) => {
                let grounds = Grounds { rule: objection.rule, observed: None };
                Verdict::Deny { grounds, message: objection.message }
            }
            (Some(_) | None, verdict) => verdict,
        })
    }

    /// Facts of the command's own text.
    fn read(&self, asked: &Asked, cx: &mut Context<'_>) -> Arc<Facts> {
        if asked.overruled.is_some() {
            return Arc::new(Facts::unknown(Unknown::TooLarge));
        }
        if asked.unseen {
            return Arc::new(Facts::unknown(Unknown::UnseenName));
        }
        match &asked.known {
            Some(known) => known.clone(),
            None => cx.classifier.facts(asked.language, self.machine.lexing(), &asked.text),
        }
    }

    /// With those of what it runs by name.
    fn resolve(&self, facts: Arc<Facts>) -> Arc<Facts> {
        let facts = if facts.executes.is_empty() {
            facts
        } else {
            Arc::new(classify::resolved(&facts, |name| self.machine.named(name)))
        };
        // What was declared was judged then; only masks ask for it again.
        let Phase::Open(open) = &self.phase else { return facts };
        if facts.fetches.is_empty() || open.masking.is_none() {
            return facts;
        }
        Arc::new(classify::fetched(&facts, |name| self.machine.named(name)))
    }
}

fn refused(rule: &str, refusal: &Refusal) -> Verdict {
    let grounds = Grounds { rule: RuleRef::built_in(rule), observed: None };
    Verdict::Deny { grounds, message: refusal.message.clone() }
}

/// Tells the bot's owner where to look: the rule, and the exchange in the recording.
fn hint(
    grounds: &Grounds,
    facts: &Facts,
    parameters: &[Parameter],
    session: SessionId,
    number: u64,
) -> Arc<str> {
    let rule = &grounds.rule;
    let mut place = format!("Rule {rule}; session {session}, exchange {number}.");
    if parameters.iter().any(Parameter::is_long) {
        let searched = BIND_WINDOW_BYTES / 1024;
        place += &format!(" Parameters past {searched} KiB cannot be searched for values.");
    }
    match facts.unknown {
        None => Arc::from(place),
        Some(unknown) => Arc::from(format!("{place} Not understood: {}.", unknown.reason())),
    }
}
