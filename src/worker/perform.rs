//! Performs what sessions put out, in order.

use std::sync::Arc;

use crate::io::buf::Chunk;
use crate::io::tls::Tls;
use crate::model::approval::{ApprovalId, Decision};
use crate::model::session::{CloseReason, Leg};
use crate::session::{Input, Output};
use crate::wire::CancelKey;
use crate::worker::Worker;
use crate::worker::mailbox::{Address, HoldMessage, Message};

impl Worker {
    pub(super) fn perform(&mut self, at: Address) {
        // Performing one output may drive the session on, which performs its own outputs; what is
        // left of ours must stay in front of them.
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = outputs.pop_front() {
            self.perform_one(at, output);
        }
        if self.outputs.is_empty() {
            self.outputs = outputs;
        }
        self.watch(at);
    }

    fn perform_one(&mut self, at: Address, output: Output) {
        match output {
            Output::Greet { leg, bytes } => {
                if let Some(socket) = self.slots.get_mut(at).and_then(|slot| slot.socket(leg)) {
                    socket.greet(Chunk::from(bytes));
                }
            }
            Output::Forward { leg, chunk, proof } => {
                let Some(slot) = self.slots.get_mut(at) else { return };
                let bytes = chunk.len() as u64;
                match leg {
                    Leg::Downstream => self.counters.downstream_sent_bytes += bytes,
                    Leg::Upstream => self.counters.upstream_sent_bytes += bytes,
                }
                if let Some(socket) = slot.socket(leg) {
                    socket.forward(chunk, proof);
                }
            }
            Output::StartTls { leg, unread } => self.start_tls(at, leg, unread),
            Output::Verify(login) => self.verify(at, login),
            Output::Connect { target, connection } => self.dial(at, target, Some(connection)),
            Output::DeliverCancel(key) => self.deliver_cancel(at, &key),
            Output::AnnounceCancelKey(key) => {
                self.shared.announce(&key, at);
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.cancel_key = Some(key);
                }
            }
            Output::CancelAtTarget { key, target } => self.begin_errand(at, key, target),
            Output::Hold(request) => {
                let id = request.id;
                if self.holds.try_send(HoldMessage::File { from: at, request }).is_err() {
                    let reason = "too many statements wait for approval";
                    self.drive(
                        at,
                        Input::Decided { id, decision: Decision::Unavailable { reason } },
                    );
                }
            }
            Output::LeaveHold { id, withdraw } => {
                // Where it is lost, what is decided later finds nobody.
                let _taken = self.holds.try_send(HoldMessage::Leave { from: at, id, withdraw });
            }
            Output::ReturnApproval { id } => self.return_approval(id),
            Output::Emit(event) => self.emit(*event),
            Output::Concluded { latency_us, denied, observed } => {
                self.count_exchange(latency_us, denied, observed);
            }
            Output::Close { reason } => {
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.closing = Some(reason);
                }
            }
        }
    }

    /// Where it is lost, the approval counts as used.
    pub(super) fn return_approval(&self, id: ApprovalId) {
        let _taken = self.holds.try_send(HoldMessage::Return { id });
    }

    fn start_tls(&mut self, at: Address, leg: Leg, unread: Option<Chunk>) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let tls = match leg {
            Leg::Downstream => slot
                .door
                .as_ref()
                .and_then(|door| door.tls.as_ref())
                .map(|config| Tls::server(Arc::clone(config))),
            Leg::Upstream => slot
                .destination
                .as_ref()
                .and_then(|destination| destination.tls.as_ref())
                .map(|(config, name)| Tls::client(Arc::clone(config), name.clone())),
        };
        let begun = match (tls, slot.socket(leg)) {
            (Some(Ok(tls)), Some(socket)) => {
                // What was said in the clear stands before the first record.
                let said = socket.flush(&mut self.shard);
                socket.begin_tls(tls);
                said.is_ok()
            }
            (Some(Ok(_) | Err(_)) | None, _) => false,
        };
        self.counters.tls_handshakes += 1;
        if !begun {
            self.drive(at, Input::TlsFailed { leg });
        } else if let Some(chunk) = unread {
            self.on_received(at, leg, chunk);
        }
    }

    fn deliver_cancel(&mut self, at: Address, key: &CancelKey) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let source = slot.session.peer().ip();
        self.counters.cancels += 1;
        let Some(to) = self.shared.find(key, source, self.now) else { return };
        if to.worker == self.id {
            // The session's own outputs come after those of the connection that carries the key.
            let outputs = std::mem::take(&mut self.outputs);
            self.drive(to, Input::CancelRequested);
            self.outputs = outputs;
        } else if let Some(mailbox) = self.peers.get(usize::from(to.worker))
            && mailbox.put(Message::Cancel { to }).is_err()
        {
            tracing::warn!("a cancel request was dropped: the worker is overrun");
        }
    }

    fn count_exchange(&mut self, latency_us: u64, denied: bool, observed: bool) {
        if denied {
            self.counters.statements_denied += 1;
        } else {
            self.counters.statements_allowed += 1;
        }
        if observed {
            self.counters.statements_observed += 1;
        }
        self.latency.saturating_record(latency_us.max(1));
    }

    /// Queues the tap's cut and the session's deadline, where they have become due to be watched.
    pub(super) fn watch(&mut self, at: Address) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let deadline_ns = slot.session.deadline_ns();
        if deadline_ns != slot.timed_ns {
            slot.timed_ns = deadline_ns;
            if let Some(due) = deadline_ns {
                self.timers.set(due, at);
            }
        }
        if slot.cut_queued {
            return;
        }
        if let Some(due) = slot.session.tap().and_then(|tap| tap.next_cut_ns()) {
            slot.cut_queued = true;
            self.cuts.set(due, at);
        }
    }

    /// The slot's session has ended and nothing waits to be sent: its sockets are let go.
    pub(super) fn let_go(&mut self, at: Address, reason: CloseReason) {
        let Some(mut slot) = self.slots.remove(at) else { return };
        for mut socket in [slot.downstream.take(), slot.upstream.take()].into_iter().flatten() {
            socket.say_goodbye(&mut self.shard);
            self.slots.unbind(socket.conn);
            self.linger(socket.conn);
        }
        if let Some(key) = &slot.cancel_key {
            self.shared.retract(key, at);
        }
        if let Some(connection) = &slot.entered {
            self.shared.leave(connection);
        }
        self.shared.load_down(self.id);
        self.counters.sessions_closed += 1;
        tracing::debug!(session = %slot.session.id(), reason = reason.code(), "session closed");
        if let Some(of) = slot.errand_of {
            self.drive(of, Input::CancelDone);
        }
    }
}
