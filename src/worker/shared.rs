//! What all workers share: who can be cancelled by which key, how many sessions a connection has,
//! and how loaded each worker is. Touched when sessions open and close, never on the path.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use subtle::ConstantTimeEq;

use crate::limits;
use crate::model::time::{NS_PER_MS, NS_PER_S, Now};
use crate::session::bucket::Bucket;
use crate::wire::CancelKey;
use crate::worker::mailbox::Address;

pub struct Shared {
    cancels: Mutex<Cancels>,
    connections: Mutex<HashMap<String, u32>>,
    /// Of the connections that have a limit of statements. Outlives their sessions: whoever comes
    /// again has not more for it.
    buckets: Mutex<HashMap<String, Arc<Bucket>>>,
    loads: Box<[Load]>,
}

/// How much a worker has to do.
#[derive(Default)]
struct Load {
    sessions: AtomicU32,
    /// Of the last while, the part that the worker did not spend waiting, in thousandths.
    busy_permille: AtomicU32,
}

/// A worker's own account of its time, from which `Shared` learns how busy it is.
#[derive(Default)]
pub struct Business {
    since_ns: u64,
    waited_ns: u64,
}

impl Business {
    /// The worker waited from `before_ns` to `after_ns`.
    pub fn waited(&mut self, before_ns: u64, after_ns: u64, shared: &Shared, worker: u16) {
        self.waited_ns += after_ns.saturating_sub(before_ns);
        let lasted_ns = after_ns.saturating_sub(self.since_ns);
        if lasted_ns < limits::BUSINESS_MS * NS_PER_MS {
            return;
        }
        let idle_permille = (self.waited_ns * 1_000).checked_div(lasted_ns).unwrap_or(1_000);
        let busy_permille = 1_000 - u32::try_from(idle_permille.min(1_000)).unwrap_or(1_000);
        if let Some(load) = shared.loads.get(usize::from(worker)) {
            load.busy_permille.store(busy_permille, Ordering::Relaxed);
        }
        *self = Self { since_ns: after_ns, waited_ns: 0 };
    }
}

#[derive(Default)]
struct Cancels {
    by_process: HashMap<u32, Vec<(Vec<u8>, Address)>>,
    /// Cancel requests by source in the current second: keys of four bytes can be guessed.
    tries: HashMap<IpAddr, u32>,
    tries_since_ns: u64,
}

impl Shared {
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            cancels: Mutex::default(),
            connections: Mutex::default(),
            buckets: Mutex::default(),
            loads: (0..workers).map(|_| Load::default()).collect(),
        }
    }

    pub fn announce(&self, key: &CancelKey, address: Address) {
        if let Ok(mut cancels) = self.cancels.lock() {
            let sessions = cancels.by_process.entry(key.process_id).or_default();
            sessions.push((key.secret.clone(), address));
        }
    }

    pub fn retract(&self, key: &CancelKey, address: Address) {
        if let Ok(mut cancels) = self.cancels.lock()
            && let Some(sessions) = cancels.by_process.get_mut(&key.process_id)
        {
            sessions.retain(|(_, at)| *at != address);
            if sessions.is_empty() {
                cancels.by_process.remove(&key.process_id);
            }
        }
    }

    /// The session that `key` belongs to. `None` also where the source has tried too often.
    pub fn find(&self, key: &CancelKey, source: IpAddr, now: Now) -> Option<Address> {
        let mut cancels = self.cancels.lock().ok()?;
        if now.mono_ns.saturating_sub(cancels.tries_since_ns) > NS_PER_S {
            cancels.tries.clear();
            cancels.tries_since_ns = now.mono_ns;
        }
        if cancels.tries.len() >= limits::CANCEL_SOURCES_MAX {
            return None;
        }
        let tries = cancels.tries.entry(source).or_default();
        *tries += 1;
        if *tries > limits::CANCELS_PER_SOURCE_SECOND_MAX {
            return None;
        }
        let sessions = cancels.by_process.get(&key.process_id)?;
        let matching = |(secret, _): &&(Vec<u8>, Address)| {
            bool::from(secret.as_slice().ct_eq(key.secret.as_slice()))
        };
        sessions.iter().find(matching).map(|(_, address)| *address)
    }

    /// Counts one more session of a connection, unless it has `most` already.
    pub fn enter(&self, connection: &str, most: Option<u32>) -> bool {
        let Ok(mut connections) = self.connections.lock() else { return false };
        let count = connections.entry(connection.to_owned()).or_default();
        if most.is_some_and(|most| *count >= most) {
            return false;
        }
        *count += 1;
        true
    }

    pub fn leave(&self, connection: &str) {
        if let Ok(mut connections) = self.connections.lock()
            && let Some(count) = connections.get_mut(connection)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                connections.remove(connection);
            }
        }
    }

    /// The bucket of a connection whose sessions may make so many statements a minute. The same one as
    /// long as anything is missing from it, by whatever limit.
    pub fn bucket(&self, connection: &str, per_minute: u32, now: Now) -> Arc<Bucket> {
        let fresh = || Arc::new(Bucket::new(per_minute));
        // As good as none where a worker died with the lock: then the process ends.
        let Ok(mut buckets) = self.buckets.lock() else { return fresh() };
        if let Some(bucket) = buckets.get(connection) {
            bucket.resize(per_minute);
            return Arc::clone(bucket);
        }
        buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_fresh(now));
        let bucket = fresh();
        buckets.insert(connection.to_owned(), Arc::clone(&bucket));
        bucket
    }

    /// Where the next session should live: the first worker that is not busy yet, since sessions
    /// spread thin cost wake-ups; then the least busy.
    #[must_use]
    pub fn place(&self) -> usize {
        let loads = self.loads.iter().map(|load| {
            let busy_permille = load.busy_permille.load(Ordering::Relaxed);
            (busy_permille, load.sessions.load(Ordering::Relaxed))
        });
        let calm = |&(busy_permille, sessions): &(u32, u32)| {
            busy_permille < limits::BUSY_PERMILLE_BEFORE_SPREADING
                && sessions < limits::SESSIONS_BEFORE_SPREADING
        };
        let first_calm = loads.clone().position(|load| calm(&load));
        first_calm.unwrap_or_else(|| {
            loads.enumerate().min_by_key(|(_, load)| *load).map_or(0, |(worker, _)| worker)
        })
    }

    pub fn load_up(&self, worker: u16) {
        if let Some(load) = self.loads.get(usize::from(worker)) {
            load.sessions.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn load_down(&self, worker: u16) {
        if let Some(load) = self.loads.get(usize::from(worker)) {
            load.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
