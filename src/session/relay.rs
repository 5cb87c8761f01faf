//! The passage itself: what the machine makes of unread bytes is judged, recorded, forwarded.

use crate::io::buf::Chunk;
use crate::model::event::What;
use crate::model::facts::Effects;
use crate::model::session::{CloseReason, Leg};
use crate::model::target::AuditStatements;
use crate::model::verdict::Verdict;
use crate::record::RunKind;
use crate::session::close::End;
use crate::session::exchange::Ended;
use crate::session::judge::Ruling;
use crate::session::{Context, Output, Phase, Session};
use crate::wire::{Report, Step};

/// Where the pump goes on after a step.
pub(super) enum Next {
    /// With the step after; so many bytes at the front of the inbox may go on.
    Passed(usize),
    /// Nowhere until more has happened.
    Stop,
}

impl Session {
    /// Steps through the unread bytes of `leg` until the machine needs more.
    pub(super) fn pump(&mut self, leg: Leg, cx: &mut Context<'_>) -> Result<(), End> {
        if leg == Leg::Downstream && self.wait_for_catalogue(cx.now) {
            return Ok(());
        }
        // Bytes at the front of the inbox that may go on, gathered into one run.
        let mut passed = 0;
        loop {
            let inbox = match leg {
                Leg::Downstream => &self.downstream,
                Leg::Upstream => &self.upstream,
            };
            let unread = inbox.unread().get(passed..).unwrap_or_default();
            if unread.is_empty() {
                break;
            }
            let available = unread.len();
            let step = self.machine.step(leg, unread, &mut self.said)?;
            // A step that claims what is not there, or passes on nothing for ever, is ours to mend.
            if step.bytes() > available || matches!(step, Step::Relay { bytes: 0 }) {
                return Err(End::defect());
            }
            if !self.said.is_empty() {
                self.forward(leg, std::mem::take(&mut passed), cx)?;
                self.speak(cx)?;
            }
            if let Step::Relay { bytes } = step {
                passed += bytes;
            } else {
                match self.act(step, leg, passed, cx)? {
                    Next::Passed(bytes) => passed = bytes,
                    Next::Stop => {
                        passed = 0;
                        break;
                    }
                }
            }
        }
        self.forward(leg, passed, cx)?;
        self.settle(cx)?;
        // What the bot's machine waited for may have come from the target.
        if leg == Leg::Upstream && self.downstream.is_waiting() {
            self.downstream.resume();
            return self.pump(Leg::Downstream, cx);
        }
        Ok(())
    }

    /// Does what a step says that is more than passing bytes on; `passed` bytes stand before it.
    fn act(
        &mut self,
        step: Step,
        leg: Leg,
        passed: usize,
        cx: &mut Context<'_>,
    ) -> Result<Next, End> {
        if let Step::Judge { bytes, asked } = step {
            return match self.judge(*asked, bytes, cx)? {
                Ruling::Forward => Ok(Next::Passed(passed + bytes)),
                Ruling::Consume => {
                    self.forward(leg, passed, cx)?;
                    self.consume(leg, bytes, cx)?;
                    self.speak(cx)?;
                    Ok(Next::Passed(0))
                }
                Ruling::Keep => {
                    self.forward(leg, passed, cx)?;
                    self.inbox(leg).wait();
                    Ok(Next::Stop)
                }
            };
        }
        if let (Step::Show { bytes, shown }, Leg::Upstream) = (&step, leg) {
            return self.show(shown, passed, *bytes, cx);
        }
        if let Step::Finish { bytes } = step {
            if matches!(self.phase, Phase::Open(_)) {
                self.forward(leg, passed + bytes, cx)?;
            }
            return Err(End::of(match leg {
                Leg::Downstream => CloseReason::BotFinished,
                Leg::Upstream => CloseReason::TargetClosed,
            }));
        }
        self.forward(leg, passed, cx)?;
        match step {
            Step::Relay { .. } | Step::Judge { .. } | Step::Show { .. } | Step::Finish { .. } => {
                Err(End::defect())
            }
            Step::Need { bytes } => {
                self.inbox(leg).assemble(bytes);
                Ok(Next::Stop)
            }
            Step::Wait => {
                self.inbox(leg).wait();
                Ok(Next::Stop)
            }
            Step::Drop { bytes } => {
                self.consume(leg, bytes, cx)?;
                Ok(Next::Passed(0))
            }
            Step::StartTls { bytes, leg: tls_leg } => {
                if tls_leg != leg {
                    return Err(End::defect());
                }
                self.inbox(leg).take(bytes);
                let rest = self.inbox(leg).take(usize::MAX);
                let unread = (!rest.is_empty()).then_some(rest);
                cx.outputs.push_back(Output::StartTls { leg, unread });
                Ok(Next::Stop)
            }
            Step::Login { bytes, login } => {
                self.inbox(leg).take(bytes);
                // A bot that says more before it is answered is heard once the target is there.
                self.inbox(leg).wait();
                self.on_login(login, cx);
                Ok(Next::Stop)
            }
            Step::Opened { bytes } => {
                self.inbox(leg).take(bytes);
                self.on_opened(cx)?;
                self.speak(cx)?;
                Ok(Next::Passed(0))
            }
            Step::Cancel { key } => {
                cx.outputs.push_back(Output::DeliverCancel(key));
                Err(End::of(CloseReason::CancelDelivered))
            }
        }
    }

    /// Records the first `bytes` of `leg`, then forwards them.
    pub(super) fn forward(
        &mut self,
        leg: Leg,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        if bytes == 0 {
            return Ok(());
        }
        let chunk = self.inbox(leg).take(bytes);
        let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
        let kind = match leg {
            Leg::Downstream => RunKind::Forwarded,
            Leg::Upstream => RunKind::Delivered,
        };
        self.totals.count_sent(leg.other(), chunk.len());
        let hidden = (leg == Leg::Downstream).then(|| open.hidden(&chunk)).flatten();
        let proof = open.tap.append(kind, cx.now, hidden.as_deref().unwrap_or(&chunk))?;
        cx.outputs.push_back(Output::Forward { leg: leg.other(), chunk, proof });
        Ok(())
    }

    /// Takes the first `bytes` of `leg` away. What a bot sent is recorded even if it goes nowhere;
    /// what a target sent and the bot does not get is not.
    pub(super) fn consume(
        &mut self,
        leg: Leg,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let chunk = self.inbox(leg).take(bytes);
        if let (Phase::Open(open), Leg::Downstream) = (&mut self.phase, leg) {
            let hidden = open.hidden(&chunk);
            let kept = hidden.as_deref().unwrap_or(&chunk);
            let _goes_nowhere = open.tap.append(RunKind::Withheld, cx.now, kept)?;
        }
        Ok(())
    }

    /// Sends what the machine said of its own accord; recorded once the session is open.
    pub(super) fn speak(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let upstream = std::mem::take(&mut self.said.upstream);
        let downstream = std::mem::take(&mut self.said.downstream);
        for (leg, bytes, kind) in [
            (Leg::Upstream, upstream, RunKind::SaidUpstream),
            (Leg::Downstream, downstream, RunKind::SaidDownstream),
        ] {
            if bytes.is_empty() {
                continue;
            }
            let Phase::Open(open) = &mut self.phase else {
                cx.outputs.push_back(Output::Greet { leg, bytes });
                continue;
            };
            self.totals.count_sent(leg, bytes.len());
            let proof = open.tap.append(kind, cx.now, &bytes)?;
            cx.outputs.push_back(Output::Forward { leg, chunk: Chunk::from(bytes), proof });
        }
        Ok(())
    }

    /// Takes note of what the machine noticed.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while let Some(report) = self.machine.report() {
            match report {
                Report::CancelKey { key } => {
                    cx.outputs.push_back(Output::AnnounceCancelKey(key));
                }
                Report::CancelWanted => self.ask_to_cancel(cx),
                Report::UpstreamLoginFailed { code, message } => {
                    let session = self.id;
                    // Not in a field called `message`, which the log does not escape.
                    let words = message;
                    tracing::warn!(%session, code, words, "the target refused the login");
                }
                Report::Prepared { refused } => {
                    let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
                    if let Some(ended) = open.exchanges.prepared(refused, cx.now) {
                        self.totals.exchanges += 1;
                        self.conclude(ended, cx)?;
                    }
                }
                Report::Ended { number, outcome } => {
                    let Phase::Open(open) = &mut self.phase else { return Err(End::defect()) };
                    if let Some(ended) = open.exchanges.end(number, outcome, cx.now) {
                        self.conclude(ended, cx)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An exchange is over: it goes to the recording, and to the audit log where that is told.
    pub(super) fn conclude(&mut self, mut ended: Ended, cx: &mut Context<'_>) -> Result<(), End> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        open.hide(&mut ended);
        self.totals.rows += ended.record.rows;
        let has_run =
            !matches!(ended.verdict, Verdict::Deny { .. }) && ended.record.error.is_none();
        if let Some(masking) = open.masking.as_mut().filter(|_| has_run) {
            masking.ended(&ended.facts, self.machine.in_transaction(), cx.now);
        }
        let _recorded = open.tap.exchange(cx.now, &ended.record)?;
        cx.outputs.push_back(Output::Concluded {
            latency_us: ended.record.latency_us,
            denied: matches!(ended.verdict, Verdict::Deny { .. }),
            observed: ended.record.observed.is_some(),
        });
        let audited = match (open.admission.connection.audit, &ended.verdict) {
            (AuditStatements::All, _) | (_, Verdict::Deny { .. } | Verdict::Hold { .. }) => true,
            (AuditStatements::Denied, Verdict::Allow(_)) => false,
            (AuditStatements::Changes, Verdict::Allow(grounds)) => {
                let harmless = Effects::READ | Effects::TXN | Effects::SESSION_SET;
                grounds.observed.is_some()
                    || !(ended.facts.effects.is_empty() || ended.facts.effects.only(harmless))
            }
        };
        if audited && ended.is_told {
            self.emit(What::Statement(Box::new(ended.record)), cx);
        }
        Ok(())
    }
}
