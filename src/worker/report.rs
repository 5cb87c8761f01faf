//! What operators see of a worker, and what they may do to its sessions.

use crate::io::Driver;
use crate::limits;
use crate::model::session::{CloseReason, KillScope};
use crate::observe::metrics::{Gauges, SessionView, WorkerReport};
use crate::session::{Input, Session};
use crate::worker::Worker;
use crate::worker::mailbox::Address;
use crate::worker::slots::Slot;

/// Bytes that nobody can guess, for a session's cancel key.
pub(super) fn random_seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).ok()?;
    Some(seed)
}

impl Worker {
    pub(super) fn report(&mut self) -> WorkerReport {
        let mut sessions = Vec::with_capacity(self.slots.live());
        for at in self.slots.addresses() {
            if let Some(slot) = self.slots.get_mut(at) {
                sessions.extend(view(&slot.session, self.id));
            }
        }
        let gauges = Gauges {
            chunks_free: self.shard.pool().free() as u64,
            legs_parked: self.awaiting.len() as u64,
            connections: self.shard.conn_count() as u64,
        };
        WorkerReport {
            worker: self.id,
            driver: self.driver,
            counters: self.counters,
            gauges,
            latency: self.latency.clone(),
            sessions,
        }
    }

    pub(super) fn kill(&mut self, scope: &KillScope) -> u64 {
        let mut ended = 0;
        for at in self.slots.addresses() {
            let lives = |slot: &mut Slot| slot.closing.is_none() && in_scope(&slot.session, scope);
            if self.slots.get_mut(at).is_some_and(lives) {
                self.drive(at, Input::End(CloseReason::Killed));
                ended += 1;
            }
        }
        ended
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
        for (key, _) in std::mem::take(&mut self.listeners) {
            self.shard.stop_listening(key);
        }
        self.end_idle();
    }

    /// Ends all sessions; the thread goes on until their last words have left.
    pub(super) fn stop(&mut self) {
        self.drain();
        self.end_all(CloseReason::Draining);
        self.stop_ns = Some(self.now.after_ms(limits::LINGER_MS_MAX));
    }

    /// Ends the sessions in which nothing is in flight.
    pub(super) fn end_idle(&mut self) {
        for at in self.slots.addresses() {
            if self.slots.get_mut(at).is_some_and(|slot| slot.session.idle()) {
                self.drive(at, Input::End(CloseReason::Draining));
            }
        }
    }

    pub(super) fn end_all(&mut self, reason: CloseReason) {
        for at in self.slots.addresses() {
            self.drive(at, Input::End(reason));
        }
    }

    /// The configuration changed: the session gets its new policy, or ends.
    pub(super) fn reconsider(&mut self, at: Address) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let Some(admission) = slot.session.admission() else { return };
        let database = slot.session.database().cloned().unwrap_or_default();
        match self.snapshot.rebind(admission, &database, &self.shared, self.now) {
            Some(changed) => self.drive(at, changed),
            None => self.drive(at, Input::End(CloseReason::Killed)),
        }
    }
}

fn in_scope(session: &Session, scope: &KillScope) -> bool {
    match scope {
        KillScope::All => session.admission().is_some(),
        KillScope::Session(id) => session.id() == *id,
        KillScope::Account(name) => {
            session.admission().is_some_and(|admission| *admission.principal.account == **name)
        }
        KillScope::Target(name) => {
            session.admission().is_some_and(|admission| *admission.target.name == **name)
        }
    }
}

/// `None` until the bot is known: a connection that has not logged in is nobody's session.
fn view(session: &Session, worker: u16) -> Option<SessionView> {
    let admission = session.admission()?;
    Some(SessionView {
        id: session.id(),
        account: admission.principal.account.clone(),
        target: admission.target.name.clone(),
        database: session.database().cloned().unwrap_or_default(),
        peer: session.peer(),
        started_unix_ns: session.started_unix_ns(),
        totals: session.totals(),
        state: session.state(),
        worker,
    })
}
