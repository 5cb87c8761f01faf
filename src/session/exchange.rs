//! The exchanges in flight: begun by a verdict, ended by the machine's report.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits;
use crate::model::facts::Facts;
use crate::model::session::{Exchange, Parameter};
use crate::model::time::Now;
use crate::model::verdict::Verdict;
use crate::wire::Outcome;

/// Begun exchanges, oldest first.
#[derive(Default)]
pub(super) struct Exchanges {
    begun: VecDeque<Begun>,
    /// Texts that are only prepared, oldest first; no more than the target owes answers. One becomes
    /// an exchange if the target refuses it.
    preparing: VecDeque<Begun>,
    last_number: u64,
}

pub(super) struct Begun {
    number: u64,
    text: Arc<[u8]>,
    text_bytes: u64,
    parameters: Vec<Parameter>,
    facts: Arc<Facts>,
    verdict: Verdict,
    approval: Option<String>,
    is_told: bool,
    begun_ns: u64,
}

impl Exchanges {
    /// The number that the next exchange will bear.
    pub(super) const fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    pub(super) fn begin(&mut self, mut begun: Begun) {
        self.last_number += 1;
        begun.number = self.last_number;
        self.begun.push_back(begun);
    }

    pub(super) fn prepare(&mut self, begun: Begun) {
        self.preparing.push_back(begun);
    }

    /// The oldest text in preparation is done with. Its record, if the target refused it and no
    /// exchange that was to run it tells of that.
    pub(super) fn prepared(&mut self, refused: Option<Outcome>, now: Now) -> Option<Ended> {
        let mut prepared = self.preparing.pop_front()?;
        let outcome = refused?;
        if self.begun.iter().any(|begun| Arc::ptr_eq(&begun.text, &prepared.text)) {
            return None;
        }
        self.last_number += 1;
        prepared.number = self.last_number;
        Some(prepared.ended(outcome, now))
    }

    /// What the command of exchange `number` does.
    pub(super) fn facts(&self, number: u64) -> Option<Arc<Facts>> {
        let begun = self.begun.iter().find(|begun| begun.number == number)?;
        Some(begun.facts.clone())
    }

    /// What came of exchange `number` that waited for a human.
    pub(super) fn decide(&mut self, number: u64, verdict: Verdict, approval: String) {
        if let Some(begun) = self.begun.iter_mut().find(|begun| begun.number == number) {
            begun.verdict = verdict;
            begun.approval = Some(approval);
        }
    }

    /// The record of exchange `number`, now that its outcome is known.
    pub(super) fn end(&mut self, number: u64, outcome: Outcome, now: Now) -> Option<Ended> {
        let at = self.begun.iter().position(|begun| begun.number == number)?;
        let begun = self.begun.remove(at)?;
        Some(begun.ended(outcome, now))
    }

    /// What was still in flight when the session ended, without an answer.
    pub(super) fn abandon(&mut self, now: Now) -> Vec<Ended> {
        self.begun.drain(..).map(|begun| begun.ended(Outcome::default(), now)).collect()
    }
}

pub(super) struct Ended {
    pub(super) record: Exchange,
    /// As it was sent.
    pub(super) text: Arc<[u8]>,
    pub(super) facts: Arc<Facts>,
    pub(super) verdict: Verdict,
    /// It may become an event.
    pub(super) is_told: bool,
}

impl Begun {
    pub(super) fn new(
        text: Arc<[u8]>,
        text_bytes: u64,
        parameters: Vec<Parameter>,
        facts: Arc<Facts>,
        verdict: Verdict,
        now: Now,
    ) -> Self {
        Self {
            number: 0,
            text,
            text_bytes,
            parameters,
            facts,
            verdict,
            approval: None,
            is_told: true,
            begun_ns: now.mono_ns,
        }
    }

    /// With whether it may become an event.
    pub(super) fn told(self, is_told: bool) -> Self {
        Self { is_told, ..self }
    }

    fn ended(self, outcome: Outcome, now: Now) -> Ended {
        let kept = self.text.get(..limits::EXCHANGE_TEXT_BYTES_MAX).unwrap_or(&self.text);
        let grounds = self.verdict.grounds();
        let record = Exchange {
            number: self.number,
            text: String::from_utf8_lossy(kept).into_owned(),
            text_bytes: self.text_bytes,
            exact: None,
            parameters: self.parameters,
            fingerprint: self.facts.fingerprint,
            verdict: self.verdict.word().to_owned(),
            rule: grounds.rule.to_string(),
            observed: grounds.observed.as_ref().map(ToString::to_string),
            effects: self.facts.effects.names().map(str::to_owned).collect(),
            rows: outcome.rows,
            answer_bytes: outcome.answer_bytes,
            latency_us: now.mono_ns.saturating_sub(self.begun_ns) / 1_000,
            error: outcome.error,
            tag: outcome.tag,
            approval: self.approval,
        };
        let Self { text, facts, verdict, is_told, .. } = self;
        Ended { record, text, facts, verdict, is_told }
    }
}
