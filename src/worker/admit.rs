//! From the shown token to the standing upstream connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::io::Driver;
use crate::limits;
use crate::mask::catalogue::Cell;
use crate::model::session::{CloseReason, Leg};
use crate::model::target::{Connection, DialError, Dialled, Target};
use crate::session::{Input, Session};
use crate::wire::{CancelKey, Login, UpstreamLogin};
use crate::worker::Worker;
use crate::worker::mailbox::{Address, DialRequest};
use crate::worker::slots::{Dialling, Slot};
use crate::worker::snapshot::Refused;
use crate::worker::socket::Socket;

impl Worker {
    pub(super) fn verify(&mut self, at: Address, login: Box<Login>) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let Some(door) = slot.door.clone() else { return };
        match self.snapshot.admit(&login, &door, &self.shared, self.now) {
            Ok(admission) => {
                let connection = admission.connection.clone();
                let name = connection.name();
                if !self.shared.enter(&name, connection.sessions_max) {
                    let reason = format!("{name} has as many sessions as it may have");
                    self.turn_away(at, reason, CloseReason::LimitReached);
                    return;
                }
                slot.entered = Some(name);
                self.drive(at, Input::Admitted(Box::new(admission)));
            }
            Err(Refused::Token(rejection)) if rejection.awaits_keys() && !slot.keys_awaited => {
                // Control has been nudged to look for new keys; the login tries once they are here.
                let until = self.now.after_ms(limits::UNKNOWN_KEY_WAIT_MS_MAX);
                slot.keys_awaited = true;
                slot.unverified = Some((login, until));
                self.timers.set(until, at);
            }
            Err(refused) => {
                let reason = refused.to_string();
                self.turn_away(at, reason, CloseReason::LoginRefused);
            }
        }
    }

    fn turn_away(&mut self, at: Address, reason: String, close: CloseReason) {
        self.counters.logins_refused += 1;
        if let Some(slot) = self.slots.get_mut(at) {
            let peer = slot.session.peer();
            tracing::info!(%peer, reason, "login refused");
        }
        self.drive(at, Input::TurnedAway { reason, close });
    }

    /// Some issuer's keys were refreshed: whoever waited for them is verified again. Whoever waits
    /// for another issuer's goes on waiting.
    pub(super) fn retry_unverified(&mut self) {
        for at in self.slots.addresses() {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            let (Some((login, _)), Some(door)) = (&slot.unverified, &slot.door) else { continue };
            let still_waits = match self.snapshot.admit(login, door, &self.shared, self.now) {
                Err(Refused::Token(rejection)) => rejection.awaits_keys(),
                Ok(_) | Err(_) => false,
            };
            if !still_waits {
                self.retry(at);
            }
        }
    }

    /// Verifies for good a login that waited.
    pub(super) fn retry(&mut self, at: Address) {
        let waited = self.slots.get_mut(at).and_then(|slot| slot.unverified.take());
        if let Some((login, _)) = waited {
            self.verify(at, login);
        }
    }

    pub(super) fn dial(
        &mut self,
        at: Address,
        target: Arc<Target>,
        connection: Option<Arc<Connection>>,
    ) {
        let protected = self.slots.get_mut(at).and_then(|slot| slot.session.protected());
        let request = DialRequest { from: at, target, connection, protected };
        if self.dials.try_send(request).is_err() {
            let reason = "too many connections are being opened at once".to_owned();
            self.drive(at, Input::ConnectFailed { reason });
        }
    }

    pub(super) fn on_dialled(
        &mut self,
        at: Address,
        result: Result<Dialled, DialError>,
        catalogue: Option<Arc<Cell>>,
    ) {
        let dialled = match result {
            Ok(dialled) => dialled,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let reason = format!("{error}: {}", cause.unwrap_or_default());
                self.drive(at, Input::ConnectFailed { reason });
                return;
            }
        };
        let Some(slot) = self.slots.get_mut(at) else { return };
        let target = match (slot.session.admission(), &slot.destination) {
            (Some(admission), _) => admission.target.name.clone(),
            (None, Some(destination)) => destination.target.name.clone(),
            (None, None) => return,
        };
        let Some(destination) = self.snapshot.destination(&target) else {
            let reason = "the target left the configuration".to_owned();
            self.drive(at, Input::ConnectFailed { reason });
            return;
        };
        let username = slot
            .session
            .admission()
            .map(|admission| admission.connection.credential.username.to_string())
            .unwrap_or_default();
        let login =
            UpstreamLogin { username, password: dialled.password, tls: destination.tls.is_some() };
        slot.destination = Some(destination);
        let left = VecDeque::from(dialled.addresses);
        slot.dialling = Some(Dialling { left, login, catalogue });
        self.try_next_address(at, "the target's name has no address");
    }

    /// Connects to the next address of the target, or gives up with the last one's failure.
    pub(super) fn try_next_address(&mut self, at: Address, failure: &str) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let next: Option<SocketAddr> =
            slot.dialling.as_mut().and_then(|dialling| dialling.left.pop_front());
        let Some(address) = next else {
            slot.dialling = None;
            let reason = failure.to_owned();
            self.drive(at, Input::ConnectFailed { reason });
            return;
        };
        match self.shard.connect(address) {
            Ok(conn) => {
                slot.upstream = Some(Socket::new(conn));
                self.slots.bind(conn, at, Leg::Upstream);
            }
            Err(error) => {
                let failure = error.to_string();
                self.try_next_address(at, &failure);
            }
        }
    }

    pub(super) fn on_connected(&mut self, at: Address) {
        let Some(slot) = self.slots.get_mut(at) else { return };
        let Some(dialling) = slot.dialling.take() else { return };
        let Dialling { login, catalogue, .. } = dialling;
        self.drive(at, Input::Connected { login, catalogue });
    }

    /// Sends a cancel request to a target by a connection of its own.
    pub(super) fn begin_errand(&mut self, of: Address, key: CancelKey, target: Arc<Target>) {
        let Some(origin) = self.slots.get_mut(of) else { return };
        let session = Session::errand(target.protocol, key, origin.session.peer(), self.now);
        let mut slot = Slot::new(session);
        slot.errand_of = Some(of);
        slot.destination = self.snapshot.destination(&target.name);
        let Some(at) = self.slots.insert(slot) else {
            self.drive(of, Input::CancelDone);
            return;
        };
        self.shared.load_up(self.id);
        self.counters.sessions_opened += 1;
        self.watch(at);
        self.dial(at, target, None);
    }
}
