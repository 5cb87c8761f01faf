//! A command is asked about: facts, verdict, and what follows from it.

use std::sync::Arc;

use crate::judge::classify;
use crate::model::facts::{Facts, Unknown};
use crate::model::verdict::{Grounds, RuleRef, Verdict};
use crate::session::close::End;
use crate::session::exchange::Begun;
use crate::session::{Context, Phase, Session};
use crate::wire::{Asked, Purpose, Refusal, RefusalKind};

/// What becomes of the bytes that held the command.
pub(super) enum Ruling {
    Forward,
    Consume,
}

impl Session {
    pub(super) fn judge(&mut self, asked: Asked, cx: &mut Context<'_>) -> Result<Ruling, End> {
        let facts = self.facts(&asked, cx);
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        let verdict = match &asked.overruled {
            None => open.admission.policy.decide(&facts, &asked.text),
            Some(refusal) => overruled(refusal),
        };
        let number = open.exchanges.next_number();
        match (&verdict, asked.purpose) {
            (Verdict::Allow(_), Purpose::Prepare | Purpose::Run) => {
                self.machine.accept(facts.clone(), number);
            }
            (Verdict::Deny { grounds, message }, Purpose::Prepare | Purpose::Run) => {
                let refusal = asked.overruled.unwrap_or_else(|| Refusal {
                    kind: RefusalKind::Policy,
                    message: message.clone(),
                    hint: Some(hint(grounds, &facts, self.id, number)),
                });
                self.machine.refuse(&refusal, number, &mut self.said);
                self.totals.denied += 1;
            }
        }
        let ruling = match &verdict {
            Verdict::Allow(_) => Ruling::Forward,
            Verdict::Deny { .. } => Ruling::Consume,
        };
        let begun =
            Begun::new(asked.text, asked.text_bytes, asked.parameters, facts, verdict, cx.now);
        match (&ruling, asked.purpose) {
            (Ruling::Forward, Purpose::Prepare) => open.exchanges.prepare(begun),
            (Ruling::Forward, Purpose::Run) | (Ruling::Consume, _) => {
                self.totals.exchanges += 1;
                open.exchanges.begin(begun);
            }
        }
        Ok(ruling)
    }

    fn facts(&self, asked: &Asked, cx: &mut Context<'_>) -> Arc<Facts> {
        if asked.overruled.is_some() {
            return Arc::new(Facts::unknown(Unknown::TooLarge));
        }
        if asked.unseen {
            return Arc::new(Facts::unknown(Unknown::UnseenName));
        }
        let facts = match &asked.known {
            Some(known) => known.clone(),
            None => cx.classifier.facts(asked.language, self.machine.lexing(), &asked.text),
        };
        if facts.executes.is_empty() {
            return facts;
        }
        Arc::new(classify::resolved(&facts, |name| self.machine.named(name)))
    }
}

fn overruled(refusal: &Refusal) -> Verdict {
    let rule = RuleRef { policy: Arc::from("narrows"), rule: Arc::from("protocol") };
    Verdict::Deny { grounds: Grounds { rule, observed: None }, message: refusal.message.clone() }
}

/// Tells the bot's owner where to look: the rule, and the exchange in the recording.
fn hint(
    grounds: &Grounds,
    facts: &Facts,
    session: crate::model::session::SessionId,
    number: u64,
) -> Arc<str> {
    let rule = &grounds.rule;
    let place = format!("Rule {rule}; session {session}, exchange {number}.");
    match facts.unknown {
        None => Arc::from(place),
        Some(unknown) => Arc::from(format!("{place} Not understood: {}.", unknown.reason())),
    }
}
