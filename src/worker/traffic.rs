//! Bytes in and bytes out: completions to inputs, and once a turn sends, cuts and receives.

use crate::io::buf::Chunk;
use crate::io::tls::Flow;
use crate::io::{Completion, ConnError, ConnKey, Driver};
use crate::limits;
use crate::model::session::{CloseReason, Leg};
use crate::session::Input;
use crate::wire::TlsFacts;
use crate::worker::Worker;
use crate::worker::mailbox::Address;
use crate::worker::socket::Socket;

impl Worker {
    pub(super) fn on_completion(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { listener, conn, peer } => self.on_accepted(listener, conn, peer),
            Completion::Received { conn, chunk } => match self.slots.of_conn(conn) {
                Some((at, leg)) => self.on_received(at, leg, chunk),
                // A lingering peer still talks; nobody listens.
                None => self.shard.receive(conn),
            },
            Completion::Eof { conn } => match self.slots.of_conn(conn) {
                Some((at, leg)) => self.drive(at, Input::Eof { leg }),
                // One that has sent its last may still read ours.
                None if self.shard.queued_bytes(conn) > 0 => {}
                None => self.shard.close(conn),
            },
            Completion::Failed { conn, error } => self.on_failed(conn, &error),
            Completion::Connected { conn } => {
                if let Some((at, _)) = self.slots.of_conn(conn) {
                    self.on_connected(at);
                }
            }
            Completion::Sent { conn, .. } => {
                if let Some((at, _)) = self.slots.of_conn(conn) {
                    self.touch(at);
                }
            }
            Completion::Woken => self.recheck_awaiting(),
            Completion::AcceptFailed { error, .. } => {
                tracing::warn!(%error, "a connection could not be accepted");
            }
            Completion::Finished { .. } | Completion::Closed { .. } => {}
        }
    }

    fn on_failed(&mut self, conn: ConnKey, error: &ConnError) {
        let Some((at, leg)) = self.slots.of_conn(conn) else {
            self.shard.close(conn);
            return;
        };
        let connecting = self.slots.get_mut(at).is_some_and(|slot| slot.dialling.is_some());
        if leg == Leg::Upstream && connecting {
            self.slots.unbind(conn);
            self.shard.close(conn);
            if let Some(slot) = self.slots.get_mut(at) {
                slot.upstream = None;
            }
            let failure = error.to_string();
            self.try_next_address(at, &failure);
        } else {
            self.drive(at, Input::Failed { leg });
        }
    }

    pub(super) fn on_received(&mut self, at: Address, leg: Leg, chunk: Chunk) {
        self.touch(at);
        let Some(slot) = self.slots.get_mut(at) else { return };
        let Some(socket) = slot.socket(leg) else { return };
        match leg {
            Leg::Downstream => self.counters.downstream_received_bytes += chunk.len() as u64,
            Leg::Upstream => self.counters.upstream_received_bytes += chunk.len() as u64,
        }
        let Some(tls) = &mut socket.tls else {
            self.drive(at, Input::Received { leg, chunk });
            return;
        };
        let pool = self.shard.pool();
        let mut plain = std::mem::take(&mut self.plain);
        let fed = tls.feed(&chunk, &mut |bytes| plain.push(pool.copy_in(bytes)));
        let established = socket.shaking_hands && tls.handshake_done();
        let facts = established.then(|| TlsFacts {
            alpn: tls.alpn().map(<[u8]>::to_vec),
            server_end_point: tls.peer_end_point(),
            client_certificate: false,
            parameters: tls.parameters(),
        });
        if established {
            socket.shaking_hands = false;
        }
        if let Some(facts) = facts {
            self.drive(at, Input::TlsStarted { leg, facts });
        }
        for chunk in plain.drain(..) {
            self.drive(at, Input::Received { leg, chunk });
        }
        self.plain = plain;
        match fed {
            Ok(Flow::Open) => {}
            Ok(Flow::PeerClosed) => self.drive(at, Input::Eof { leg }),
            Err(error) => {
                tracing::info!(leg = leg.name(), %error, "TLS failed");
                self.counters.tls_failures += 1;
                self.drive(at, Input::TlsFailed { leg });
            }
        }
    }

    pub(super) fn fire_timers(&mut self) {
        while let Some(at) = self.timers.pop_due(self.now.mono_ns) {
            let now_ns = self.now.mono_ns;
            let Some(slot) = self.slots.get_mut(at) else { continue };
            if slot.unverified.as_ref().is_some_and(|(_, until)| *until <= now_ns) {
                self.retry(at);
            }
            let Some(slot) = self.slots.get_mut(at) else { continue };
            if slot.session.deadline_ns().is_some_and(|due| due <= now_ns) {
                self.drive(at, Input::DeadlinePassed);
            }
        }
        while let Some((due, conn)) = self.lingering.front().copied() {
            if due > self.now.mono_ns {
                break;
            }
            self.lingering.pop_front();
            self.shard.close(conn);
        }
    }

    /// Hands the runs of taps whose time has come to the recorder, and with them those whose time
    /// would come soon.
    pub(super) fn cut_recordings(&mut self) {
        if self.cuts.next_ns().is_none_or(|due| due > self.now.mono_ns) {
            return;
        }
        let until_ns = self.now.mono_ns.saturating_add(self.recorder.cut_early_ns());
        let mut ripe = std::mem::take(&mut self.ripe);
        // Taken out first: what is put back below may be due as early.
        ripe.extend(std::iter::from_fn(|| self.cuts.pop_due(until_ns)));
        for at in ripe.drain(..) {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            slot.cut_queued = false;
            let Some(tap) = slot.session.tap() else { continue };
            match tap.next_cut_ns() {
                Some(due) if due <= until_ns => {
                    tap.cut();
                    // With a full queue the runs stay open; the session is congested and waits.
                    if let Some(again) = tap.next_cut_ns() {
                        slot.cut_queued = true;
                        self.cuts.set(again.max(self.now.after_ms(1)), at);
                    }
                }
                // It was cut for another reason and has begun anew since.
                Some(later) => {
                    slot.cut_queued = true;
                    self.cuts.set(later, at);
                }
                None => {}
            }
        }
        self.ripe = ripe;
    }

    /// The recorder has made progress: whoever waits for it looks again.
    pub(super) fn recheck_awaiting(&mut self) {
        for at in std::mem::take(&mut self.awaiting) {
            if let Some(slot) = self.slots.get_mut(at) {
                slot.awaiting = false;
            }
            self.touch(at);
        }
    }

    fn await_recorder(&mut self, at: Address) {
        if let Some(slot) = self.slots.get_mut(at)
            && !slot.awaiting
        {
            slot.awaiting = true;
            self.awaiting.push(at);
        }
    }

    /// Once a turn: lets durable bytes through, sends, arms receives, lets ended sessions go.
    pub(super) fn flush(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        // Letting go of an errand drives the session that sent it, which may be touched anew.
        while !touched.is_empty() {
            for at in touched.drain(..) {
                self.flush_slot(at);
            }
            std::mem::swap(&mut touched, &mut self.touched);
        }
        self.touched = touched;
    }

    fn flush_slot(&mut self, at: Address) {
        let scarce = self.shard.pool().is_low();
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.touched = false;
        let mut recorded = Ok(());
        let mut sealed = true;
        for socket in [&mut slot.downstream, &mut slot.upstream].into_iter().flatten() {
            if let Some(tap) = slot.session.tap() {
                recorded = recorded.and(socket.release(tap));
            }
            if let Err(error) = socket.flush(&mut self.shard) {
                tracing::error!(%error, "bytes could not be sealed");
                sealed = false;
            }
            if scarce {
                socket.unpin();
            }
        }
        if let Err(failure) = recorded {
            tracing::error!(error = %failure, "the recording failed");
            for socket in [&mut slot.downstream, &mut slot.upstream].into_iter().flatten() {
                socket.abandon();
            }
            self.give_up(at, CloseReason::RecordingFailed);
            return;
        }
        if !sealed {
            self.give_up(at, CloseReason::TlsFailed);
            return;
        }
        let Some(slot) = self.slots.get_mut(at) else { return };
        let gated = [&slot.downstream, &slot.upstream].into_iter().flatten().any(Socket::is_gated);
        match slot.closing {
            Some(reason) if !gated || reason == CloseReason::Defect => self.let_go(at, reason),
            // Its tap wakes this worker when the last bytes may leave.
            Some(_) => self.await_recorder(at),
            None => {
                if gated {
                    self.await_recorder(at);
                }
                self.arm(at);
            }
        }
    }

    /// What the session has said cannot leave. It ends; one that has ended already is let go, since
    /// nothing more will come of it.
    fn give_up(&mut self, at: Address, reason: CloseReason) {
        match self.slots.get_mut(at).and_then(|slot| slot.closing) {
            Some(closing) => self.let_go(at, closing),
            None => self.drive(at, Input::End(reason)),
        }
    }

    /// Receives from a leg while its bytes are wanted and the other leg takes what it is given.
    fn arm(&mut self, at: Address) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let congested = slot.session.tap().is_some_and(|tap| tap.congested());
        if congested {
            self.await_recorder(at);
        }
        let Some(slot) = self.slots.get_mut(at) else { return };
        let backlog = |socket: &Option<Socket>, shard: &_| {
            socket.as_ref().map_or(0, |socket| socket.backlog_bytes(shard))
        };
        let down_full = backlog(&slot.downstream, &self.shard) > limits::SEND_QUEUE_BYTES_MAX;
        let up_full = backlog(&slot.upstream, &self.shard) > limits::SEND_QUEUE_BYTES_MAX;
        for (leg, socket, full) in [
            (Leg::Downstream, &slot.downstream, up_full || congested),
            (Leg::Upstream, &slot.upstream, down_full || congested),
        ] {
            let Some(socket) = socket else { continue };
            let connecting = leg == Leg::Upstream && slot.dialling.is_some();
            let wanted = socket.shaking_hands || (!full && slot.session.wants(leg));
            if wanted && !connecting {
                self.shard.receive(socket.conn);
            }
        }
    }

    /// Our last words are on their way: the connection closes when the peer has read them, or when
    /// it has had time enough.
    pub(super) fn linger(&mut self, conn: ConnKey) {
        self.shard.finish(conn);
        self.shard.receive(conn);
        self.lingering.push_back((self.now.after_ms(limits::LINGER_MS_MAX), conn));
    }
}
