//! How a session ends: last words in the protocol's form, the end of the recording, the event.

use crate::model::event::What;
use crate::model::session::{CloseReason, Leg};
use crate::record::{RecordFailure, Tap};
use crate::session::{Context, Output, Phase, Session};
use crate::wire::{Farewell, Fault};

/// The session is to end, and what the peers are told.
pub(super) struct End {
    reason: CloseReason,
    farewell: Option<Farewell>,
}

impl End {
    pub(super) const fn with(reason: CloseReason, farewell: Farewell) -> Self {
        Self { reason, farewell: Some(farewell) }
    }

    /// Whatever a target does wrong before it has let us in is a login that failed.
    pub(super) fn while_opening(self) -> Self {
        match self.reason {
            CloseReason::TargetProtocolError | CloseReason::TargetClosed => Self {
                reason: CloseReason::TargetLoginFailed,
                farewell: self.farewell.or(Some(Farewell::TargetLoginFailed)),
            },
            CloseReason::BotFinished
            | CloseReason::BotVanished
            | CloseReason::TargetUnreachable
            | CloseReason::TargetLoginFailed
            | CloseReason::LoginRefused
            | CloseReason::CancelDelivered
            | CloseReason::BotProtocolError
            | CloseReason::TlsFailed
            | CloseReason::DeadlinePassed
            | CloseReason::LimitReached
            | CloseReason::Killed
            | CloseReason::Draining
            | CloseReason::RecordingFailed
            | CloseReason::Defect => self,
        }
    }

    pub(super) const fn defect() -> Self {
        Self::with(CloseReason::Defect, Farewell::Defect)
    }

    /// The end for `reason`, with the last words that belong to it.
    pub(super) const fn of(reason: CloseReason) -> Self {
        let farewell = match reason {
            // Nobody is left to be told, or the peer has the real server's own words.
            CloseReason::BotFinished
            | CloseReason::BotVanished
            | CloseReason::CancelDelivered
            | CloseReason::TlsFailed
            | CloseReason::TargetClosed => None,
            CloseReason::TargetUnreachable => Some(Farewell::TargetUnreachable),
            CloseReason::TargetLoginFailed => Some(Farewell::TargetLoginFailed),
            CloseReason::LoginRefused => Some(Farewell::LoginRefused),
            CloseReason::BotProtocolError => Some(Farewell::ProtocolError(Leg::Downstream)),
            CloseReason::TargetProtocolError => Some(Farewell::ProtocolError(Leg::Upstream)),
            CloseReason::DeadlinePassed => Some(Farewell::DeadlinePassed),
            CloseReason::LimitReached => Some(Farewell::TooManySessions),
            CloseReason::Killed => Some(Farewell::Killed),
            CloseReason::Draining => Some(Farewell::Draining),
            CloseReason::RecordingFailed => Some(Farewell::RecordingFailed),
            CloseReason::Defect => Some(Farewell::Defect),
        };
        Self { reason, farewell }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        tracing::warn!(leg = fault.leg.name(), what = fault.what, "protocol broken");
        Self::of(match fault.leg {
            Leg::Downstream => CloseReason::BotProtocolError,
            Leg::Upstream => CloseReason::TargetProtocolError,
        })
    }
}

impl From<RecordFailure> for End {
    fn from(failure: RecordFailure) -> Self {
        tracing::error!(error = %failure, "the recording failed");
        Self::of(CloseReason::RecordingFailed)
    }
}

impl Session {
    pub(super) fn hung_up(&self, leg: Leg) -> End {
        End::of(match (leg, &self.phase) {
            (Leg::Downstream, _) => CloseReason::BotVanished,
            (Leg::Upstream, Phase::AwaitTargetLogin(_)) => CloseReason::TargetLoginFailed,
            (Leg::Upstream, _) => CloseReason::TargetClosed,
        })
    }

    pub(super) fn tls_failed(&self, leg: Leg) -> End {
        match leg {
            Leg::Downstream => End::of(CloseReason::TlsFailed),
            Leg::Upstream => End::with(CloseReason::TlsFailed, Farewell::TargetUnreachable),
        }
    }

    pub(super) fn close(&mut self, end: End, cx: &mut Context<'_>) {
        self.abandon_held(cx);
        // What was said before the fault still stands in front of the last words.
        let _said_or_unrecordable = self.speak(cx);
        let _settled = self.settle(cx);
        if let Some(farewell) = end.farewell {
            self.machine.farewell(farewell, &mut self.said);
        } else if matches!(end.reason, CloseReason::BotVanished) {
            self.machine.farewell(Farewell::Draining, &mut self.said);
            self.said.downstream.clear();
        }
        self.last_words(cx);
        let tap = self.end_recording(end.reason, cx);
        self.phase = Phase::Closed { tap };
        self.deadline_ns = None;
        cx.outputs.push_back(Output::Close { reason: end.reason });
    }

    /// A defect of ours cut an input short. The recording ends with what is known; nothing is said,
    /// since words could land in the middle of what was not sent.
    pub fn end_by_defect(&mut self, cx: &mut Context<'_>) {
        self.abandon_held(cx);
        let tap = self.end_recording(CloseReason::Defect, cx);
        self.phase = Phase::Closed { tap };
        self.deadline_ns = None;
    }

    /// Our own words may be sent although nothing can be recorded any more: they carry no peer's
    /// bytes.
    fn last_words(&mut self, cx: &mut Context<'_>) {
        let downstream = self.said.downstream.clone();
        let upstream = self.said.upstream.clone();
        if self.speak(cx).is_err() {
            for (leg, bytes) in [(Leg::Downstream, downstream), (Leg::Upstream, upstream)] {
                if !bytes.is_empty() {
                    cx.outputs.push_back(Output::Greet { leg, bytes });
                }
            }
        }
    }

    /// What is still in flight is recorded as it stands, then the end.
    fn end_recording(&mut self, reason: CloseReason, cx: &mut Context<'_>) -> Option<Tap> {
        let Phase::Open(open) = &mut self.phase else { return None };
        for ended in open.exchanges.abandon(cx.now) {
            if self.conclude(ended, cx).is_err() {
                break;
            }
        }
        self.tell_untold(cx);
        self.emit(What::SessionEnded { reason, totals: self.totals }, cx);
        let Phase::Open(mut open) = self.phase.take() else { return None };
        open.tap.end(cx.now, reason, self.totals);
        Some(open.tap)
    }
}
