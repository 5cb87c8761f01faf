//! A worker that is turned by hand, on epoll, with sessions that are open from the start.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::*;
use crate::config;
use crate::identity::{Gate, KeyRing};
use crate::io::DriverKind;
use crate::mask::cell::Keys;
use crate::model::recording::Durability;
use crate::model::session::{KillScope, Leg};
use crate::session::tests::House;
use crate::wire::postgres::tests as pg;
use crate::worker::mailbox::Order;
use crate::worker::slots::Slot;
use crate::worker::socket::Socket;

struct Bench {
    worker: Worker,
    mailbox: Mailbox,
    completions: Vec<Completion>,
}

/// The far ends of a session's two connections.
struct Peers {
    at: Address,
    bot: TcpStream,
    target: TcpStream,
}

impl Bench {
    fn new(house: &House) -> Self {
        let shard = Shard::open(DriverKind::Epoll).unwrap();
        let (mailbox, inbox) = Mailbox::new(shard.waker());
        let waker = shard.waker();
        let worker = Worker::new(Birth {
            id: 0,
            shard,
            driver: "epoll",
            inbox,
            peers: Arc::from([mailbox.clone()]),
            shared: Arc::new(Shared::new(1)),
            snapshot: tables(&[]),
            listeners: Vec::new(),
            recorder: house.recorder.worker(0, Arc::new(move || waker.wake())),
            events: EventQueue::discarding(),
            dials: tokio::sync::mpsc::channel(1).0,
            holds: tokio::sync::mpsc::channel(1).0,
            latency: crate::observe::metrics::latency_histogram().unwrap(),
        });
        Self { worker, mailbox, completions: Vec::new() }
    }

    /// An open session that counts as one of `ci@shop`.
    fn seat(&mut self, house: &House) -> Peers {
        let (near_bot, bot) = pair();
        let (near_target, target) = pair();
        let mut slot = Slot::new(house.open_session());
        let bot_conn = self.worker.shard.adopt(near_bot).unwrap();
        let target_conn = self.worker.shard.adopt(near_target).unwrap();
        slot.downstream = Some(Socket::new(bot_conn));
        slot.upstream = Some(Socket::new(target_conn));
        slot.entered = Some("ci@shop".to_owned());
        assert!(self.worker.shared.enter("ci@shop", Some(1)));
        let at = self.worker.slots.insert(slot).unwrap();
        self.worker.slots.bind(bot_conn, at, Leg::Downstream);
        self.worker.slots.bind(target_conn, at, Leg::Upstream);
        self.worker.shared.load_up(0);
        self.worker.touch(at);
        self.worker.flush();
        Peers { at, bot, target }
    }

    fn turn(&mut self) {
        // A turn without anything to do ends all the same.
        self.mailbox.waker().wake();
        self.worker.turn(&mut self.completions).unwrap();
    }

    fn turn_until(&mut self, mut done: impl FnMut(&Worker) -> bool) {
        let begun = Instant::now();
        while !done(&self.worker) {
            assert!(begun.elapsed() < PATIENCE, "nothing came of any turn");
            self.turn();
        }
    }

    /// Nothing of any session is left, and another session of its connection may come.
    fn assert_empty(&self) {
        assert_eq!(self.worker.slots.live(), 0);
        assert!(self.worker.shared.enter("ci@shop", Some(1)), "the session still counts");
        self.worker.shared.leave("ci@shop");
    }
}

/// Tables with a listener on each of `binds`.
fn tables(binds: &[std::net::SocketAddr]) -> Arc<Snapshot> {
    let mut text = "[node]\nname = \"a\"\n".to_owned();
    for bind in binds {
        text.push_str(&format!(
            "[[listener]]\ntarget = \"shop\"\nbind = \"{bind}\"\ntls = \"off\"\n"
        ));
    }
    if !binds.is_empty() {
        text.push_str(
            "[[target]]\nname = \"shop\"\nprotocol = \"postgres\"\naddress = \"localhost:5432\"\n",
        );
    }
    let config = config::load_text("x.toml".as_ref(), &text).unwrap();
    let gate = Gate::new(&KeyRing::new(&config.issuers, None), []);
    Arc::new(Snapshot::build(&config, gate, Arc::new(Keys::new(&[7; 32]))).unwrap())
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (listener.accept().unwrap().0, far)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    pg::tags(&bytes)
}

#[test]
fn a_statement_and_its_answer_cross() {
    let house = House::recording(Durability::Request);
    let mut bench = Bench::new(&house);
    let mut peers = bench.seat(&house);
    peers.target.set_nonblocking(true).unwrap();
    peers.bot.write_all(&pg::q("SELECT 1")).unwrap();
    let mut query = vec![0; pg::q("SELECT 1").len()];
    bench.turn_until(|_| matches!(peers.target.peek(&mut query), Ok(bytes) if bytes > 0));
    peers.target.read_exact(&mut query).unwrap();
    assert_eq!(query, pg::q("SELECT 1"));
    let answer = [pg::done("SELECT 0"), pg::z(b'I')].concat();
    peers.target.write_all(&answer).unwrap();
    bench.turn_until(|worker| worker.counters.statements_allowed == 1);
    bench.turn();
    let mut heard = vec![0; answer.len()];
    peers.bot.read_exact(&mut heard).unwrap();
    assert_eq!(heard, answer);
}

#[test]
fn a_recorder_that_fails_leaves_no_slot_behind() {
    for ended_before in [true, false] {
        let house = House::recording(Durability::Request);
        let mut bench = Bench::new(&house);
        let mut peers = bench.seat(&house);
        let chunk = Chunk::from(pg::q("SELECT 1"));
        bench.worker.drive(peers.at, Input::Received { leg: Leg::Downstream, chunk });
        if ended_before {
            bench.worker.drive(peers.at, Input::End(CloseReason::Killed));
        }
        house.recorder.stop();
        bench.worker.touch(peers.at);
        bench.turn_until(|worker| worker.slots.live() == 0);
        bench.assert_empty();
        bench.turn_until(|worker| worker.lingering.is_empty() || worker.shard.conn_count() == 2);
        bench.turn();
        // Not even a goodbye: it would stand behind bytes that were given up.
        assert_eq!(rest(&mut peers.target), "");
    }
}

#[test]
fn a_defect_ends_one_session_and_frees_its_slot() {
    let house = House::recording(Durability::Group);
    let mut bench = Bench::new(&house);
    let mut peers = bench.seat(&house);
    bench.worker.fault_marker = Some(b"marker of a fault".to_vec());
    peers.bot.write_all(&pg::q("SELECT 'marker of a fault'")).unwrap();
    bench.turn_until(|worker| worker.slots.live() == 0);
    bench.assert_empty();
    assert_eq!(bench.worker.counters.defects, 1);
    bench.turn();
    assert_eq!(rest(&mut peers.bot), "");
    assert_eq!(rest(&mut peers.target), "");
}

#[test]
fn a_worker_that_stops_says_its_last_words() {
    let house = House::recording(Durability::Strict);
    let mut bench = Bench::new(&house);
    let mut peers = bench.seat(&house);
    bench.mailbox.order(Order::Stop);
    bench.turn();
    assert!(!bench.worker.is_over(), "it ends before its words have left");
    peers.bot.shutdown(Shutdown::Write).unwrap();
    peers.target.shutdown(Shutdown::Write).unwrap();
    bench.turn_until(Worker::is_over);
    bench.assert_empty();
    assert_eq!(rest(&mut peers.bot), "E(57P01)");
    assert_eq!(rest(&mut peers.target), "X");
}

#[test]
fn a_full_mailbox_keeps_no_order_out() {
    let house = House::recording(Durability::Group);
    let mut bench = Bench::new(&house);
    let nobody = Address { worker: 0, slot: u32::MAX, generation: 0 };
    while bench.mailbox.put(Message::Cancel { to: nobody }).is_ok() {}
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (kept, dropped) = (listen(), listen());
    let (bind, gone) = (kept.local_addr().unwrap(), dropped.local_addr().unwrap());
    let apply = |snapshot: &Arc<Snapshot>, listener: TcpListener| {
        let (applied, answer) = oneshot::channel();
        let (snapshot, listeners) = (Arc::clone(snapshot), vec![listener]);
        bench.mailbox.order(Order::Apply { snapshot, listeners, applied });
        answer
    };
    let mut overtaken = apply(&tables(&[bind, gone]), dropped);
    let newest = tables(&[bind]);
    let mut applied = apply(&newest, kept);
    assert!(applied.try_recv().is_err(), "nobody has read it");
    bench.turn();
    assert_eq!((overtaken.try_recv(), applied.try_recv()), (Ok(()), Ok(())));
    assert!(Arc::ptr_eq(&bench.worker.snapshot, &newest));
    assert!(TcpStream::connect(bind).is_ok());
    assert!(TcpStream::connect(gone).is_err(), "the newest tables do not name it");

    while bench.mailbox.put(Message::Cancel { to: nobody }).is_ok() {}
    bench.mailbox.order(Order::Drain);
    bench.mailbox.order(Order::Stop);
    bench.turn();
    assert!(bench.worker.draining && bench.worker.stop_ns.is_some());
}

#[test]
fn a_session_is_killed_once() {
    let house = House::recording(Durability::Request);
    let mut bench = Bench::new(&house);
    let peers = bench.seat(&house);
    let id = bench.worker.slots.get_mut(peers.at).unwrap().session.id();
    assert_eq!(bench.worker.kill(&KillScope::Session(id)), 1);
    assert_eq!(bench.worker.kill(&KillScope::Session(id)), 0);
}

#[test]
fn a_session_that_is_still_opening_has_one_timer_however_much_it_sends() {
    let house = House::recording(Durability::Group);
    let mut bench = Bench::new(&house);
    let peer = "127.0.0.1:5000".parse().unwrap();
    let setting = crate::wire::Setting { downstream_tls: true, cancel_seed: [7; 32] };
    let protocol = crate::model::target::Protocol::Postgres;
    let now = bench.worker.now;
    let session = crate::session::Session::accepted(protocol, setting, peer, now);
    let at = bench.worker.slots.insert(Slot::new(session)).unwrap();
    bench.worker.watch(at);
    // The beginning of a start-up packet of 300 bytes.
    for byte in [0, 0, 1, 44, 0, 3, 0, 0, b'u', b's', b'e', b'r'] {
        let chunk = Chunk::from(vec![byte]);
        bench.worker.drive(at, Input::Received { leg: Leg::Downstream, chunk });
    }
    let deadline = bench.worker.slots.get_mut(at).unwrap().session.deadline_ns().unwrap();
    assert_eq!(bench.worker.timers.pop_due(deadline), Some(at));
    assert_eq!(bench.worker.timers.next_ns(), None);
}

#[test]
fn a_recording_that_is_due_soon_is_cut_with_one_that_is_due() {
    let house = House::recording(Durability::Group);
    let mut bench = Bench::new(&house);
    let begun = bench.worker.now;
    let later = |ms: u64| Now { mono_ns: begun.after_ms(ms), ..begun };
    let sessions = [0, 4, 8].map(|ms| {
        let mut session = house.open_session();
        session.tap().unwrap().cut();
        let at = bench.worker.slots.insert(Slot::new(session)).unwrap();
        bench.worker.now = later(ms);
        let chunk = Chunk::from(pg::q("SELECT 1"));
        bench.worker.drive(at, Input::Received { leg: Leg::Downstream, chunk });
        at
    });
    let mut open_after = |ms| {
        bench.worker.now = later(ms);
        bench.worker.cut_recordings();
        sessions.map(|at| {
            let session = &mut bench.worker.slots.get_mut(at).unwrap().session;
            session.tap().unwrap().next_cut_ns().is_some()
        })
    };
    let half_ms = crate::limits::GROUP_WINDOW_MS / 2;
    assert_eq!(open_after(half_ms - 1), [true, true, true]);
    assert_eq!(open_after(half_ms), [false, false, true]);
    assert_eq!(open_after(half_ms + 8), [false, false, false]);
}

#[test]
fn a_connections_bucket_stays_as_long_as_anything_is_missing_from_it() {
    let shared = Shared::new(2);
    let later = |ms: u64| Now { unix_ns: 0, mono_ns: 1_000_000_000 + ms * 1_000_000 };
    let bucket = shared.bucket("ci@shop", 60, later(0));
    assert_eq!(bucket.draw(60, later(0)), Ok(()));
    assert!(Arc::ptr_eq(&bucket, &shared.bucket("ci@shop", 60, later(0))), "one for all workers");
    assert!(shared.bucket("ci@other", 60, later(0)).draw(60, later(0)).is_ok());
    drop(bucket);
    // All sessions are gone, a reload has another limit, and others have come.
    shared.bucket("x@shop", 1, later(30_000));
    let again = shared.bucket("ci@shop", 120, later(30_000));
    assert!(again.draw(61, later(30_000)).is_err());
    assert!(again.draw(60, later(30_000)).is_ok());
    let weak = Arc::downgrade(&again);
    drop(again);
    shared.bucket("y@shop", 1, later(60_000));
    assert!(weak.upgrade().is_some(), "it is half full");
    shared.bucket("z@shop", 1, later(90_000));
    assert!(weak.upgrade().is_none(), "a full one that nobody has is like a new one");
}

const PATIENCE: Duration = Duration::from_secs(20);
