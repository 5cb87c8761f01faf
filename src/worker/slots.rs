//! The sessions that live on a worker, and which of their legs a connection is.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::io::ConnKey;
use crate::limits;
use crate::mask::catalogue::Cell;
use crate::model::session::{CloseReason, Leg};
use crate::session::Session;
use crate::wire::{CancelKey, Login, UpstreamLogin};
use crate::worker::mailbox::Address;
use crate::worker::snapshot::{Destination, Door};
use crate::worker::socket::Socket;

pub(super) struct Slot {
    pub(super) session: Session,
    pub(super) downstream: Option<Socket>,
    pub(super) upstream: Option<Socket>,
    /// `None` for an errand.
    pub(super) door: Option<Arc<Door>>,
    pub(super) destination: Option<Arc<Destination>>,
    pub(super) dialling: Option<Dialling>,
    /// A login whose key is not known yet, and until when it waits.
    pub(super) unverified: Option<(Box<Login>, u64)>,
    /// The login has had its wait for a key.
    pub(super) keys_awaited: bool,
    pub(super) cancel_key: Option<CancelKey>,
    /// The connection that this session counts against.
    pub(super) entered: Option<String>,
    /// The session that sent this one on its errand.
    pub(super) errand_of: Option<Address>,
    /// The session has ended; its last bytes are on their way.
    pub(super) closing: Option<CloseReason>,
    /// The deadline that a timer was last set for.
    pub(super) timed_ns: Option<u64>,
    /// The tap has open runs and stands in the queue to be cut.
    pub(super) cut_queued: bool,
    /// Stands in the list of slots to be flushed this turn.
    pub(super) touched: bool,
    /// Stands in the list of slots that wait for the recorder.
    pub(super) awaiting: bool,
}

/// A connect in progress: addresses left to try, and what to log in with.
pub(super) struct Dialling {
    pub(super) left: VecDeque<SocketAddr>,
    pub(super) login: UpstreamLogin,
    pub(super) catalogue: Option<Arc<Cell>>,
}

impl Slot {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            downstream: None,
            upstream: None,
            door: None,
            destination: None,
            dialling: None,
            unverified: None,
            keys_awaited: false,
            cancel_key: None,
            entered: None,
            errand_of: None,
            closing: None,
            timed_ns: None,
            cut_queued: false,
            touched: false,
            awaiting: false,
        }
    }

    pub(super) const fn socket(&mut self, leg: Leg) -> Option<&mut Socket> {
        match leg {
            Leg::Downstream => self.downstream.as_mut(),
            Leg::Upstream => self.upstream.as_mut(),
        }
    }
}

/// A slab whose keys carry a generation, so that a late message never reaches a successor.
pub(super) struct Slots {
    worker: u16,
    entries: Vec<(u32, Option<Slot>)>,
    free: Vec<u32>,
    by_conn: HashMap<ConnKey, (Address, Leg), foldhash::fast::RandomState>,
    live: usize,
}

impl Slots {
    pub(super) fn new(worker: u16) -> Self {
        Self { worker, entries: Vec::new(), free: Vec::new(), by_conn: HashMap::default(), live: 0 }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.live >= limits::SESSIONS_PER_WORKER_MAX
    }

    pub(super) const fn live(&self) -> usize {
        self.live
    }

    pub(super) fn insert(&mut self, slot: Slot) -> Option<Address> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push((0, None));
                u32::try_from(self.entries.len() - 1).ok()?
            }
        };
        let (generation, entry) = self.entries.get_mut(index as usize)?;
        *entry = Some(slot);
        self.live += 1;
        Some(Address { worker: self.worker, slot: index, generation: *generation })
    }

    pub(super) fn get_mut(&mut self, at: Address) -> Option<&mut Slot> {
        match self.entries.get_mut(at.slot as usize) {
            Some((generation, Some(slot))) if *generation == at.generation => Some(slot),
            Some(_) | None => None,
        }
    }

    pub(super) fn remove(&mut self, at: Address) -> Option<Slot> {
        let (generation, entry) = self.entries.get_mut(at.slot as usize)?;
        if *generation != at.generation {
            return None;
        }
        let slot = entry.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(at.slot);
        self.live -= 1;
        Some(slot)
    }

    pub(super) fn bind(&mut self, conn: ConnKey, at: Address, leg: Leg) {
        self.by_conn.insert(conn, (at, leg));
    }

    pub(super) fn unbind(&mut self, conn: ConnKey) {
        self.by_conn.remove(&conn);
    }

    pub(super) fn of_conn(&self, conn: ConnKey) -> Option<(Address, Leg)> {
        self.by_conn.get(&conn).copied()
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        let occupied = self.entries.iter().enumerate().filter(|(_, (_, slot))| slot.is_some());
        occupied
            .filter_map(|(index, (generation, _))| {
                let slot = u32::try_from(index).ok()?;
                Some(Address { worker: self.worker, slot, generation: *generation })
            })
            .collect()
    }
}
