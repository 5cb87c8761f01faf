//! One suite for both drivers: each fact is checked under io_uring and under epoll. Peers are
//! plain sockets of the standard library, so that a driver is never checked against itself alone.

mod isolation;
mod shortage;
mod transfer;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::*;
use crate::limits::{CHUNKS_FOR_WRITING, CHUNKS_PER_WORKER};

/// Runs a check under both drivers; the ring is left out where the kernel refuses it.
fn under_both(check: impl Fn(Rig)) {
    check(Rig::new(DriverKind::Epoll));
    if probe().missing().is_none() {
        check(Rig::new(DriverKind::Uring));
    }
}

/// A shard, a listener of it, and the completions that nobody asked about yet.
struct Rig {
    shard: Shard,
    listener: ListenerKey,
    address: SocketAddr,
    unread: Vec<Completion>,
}

impl Rig {
    fn new(kind: DriverKind) -> Self {
        let mut shard = Shard::open(kind).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = shard.listen(listener).unwrap();
        Self { shard, listener, address, unread: Vec::new() }
    }

    fn turn(&mut self) {
        self.shard.wait(Some(1_000_000), &mut self.unread).unwrap();
    }

    /// The first completion that `pick` takes, within a bounded number of turns.
    fn until<T>(&mut self, mut pick: impl FnMut(&Completion) -> Option<T>) -> T {
        for _ in 0..5000 {
            let found = self
                .unread
                .iter()
                .enumerate()
                .find_map(|(place, completion)| pick(completion).map(|value| (place, value)));
            if let Some((place, value)) = found {
                self.unread.remove(place);
                return value;
            }
            self.turn();
        }
        panic!("nothing came; unread: {:?}", self.unread);
    }

    /// Whether anything that `pick` takes comes within enough turns for it to have come.
    fn comes(&mut self, pick: impl FnMut(&Completion) -> bool) -> bool {
        for _ in 0..20 {
            self.turn();
        }
        self.unread.iter().any(pick)
    }

    /// A plain socket and the shard's end of it.
    fn peer(&mut self) -> (TcpStream, ConnKey) {
        let peer = TcpStream::connect(self.address).unwrap();
        let local = peer.local_addr().unwrap();
        let conn = self.until(|completion| {
            let Completion::Accepted { conn, peer, .. } = completion else { return None };
            (*peer == local).then_some(*conn)
        });
        (peer, conn)
    }

    fn received(&mut self, key: ConnKey) -> Chunk {
        self.until(|completion| {
            let Completion::Received { conn, chunk } = completion else { return None };
            (*conn == key).then(|| chunk.clone())
        })
    }

    fn closed(&mut self, key: ConnKey) {
        self.until(|completion| is_closed(completion, key).then_some(()));
    }

    fn failure(&mut self, key: ConnKey) -> ConnError {
        self.until(|completion| {
            let Completion::Failed { conn, error } = completion else { return None };
            (*conn == key).then_some(*error)
        })
    }

    /// How long a wait of `ms` lasts when nothing is to be said.
    fn idle_wait_ms(&mut self, ms: u64) -> u128 {
        for _ in 0..3 {
            self.turn();
        }
        let start = Instant::now();
        self.shard.wait(Some(ms * 1_000_000), &mut self.unread).unwrap();
        start.elapsed().as_millis()
    }
}

fn is_closed(completion: &Completion, key: ConnKey) -> bool {
    matches!(completion, Completion::Closed { conn } if *conn == key)
}

fn is_received(completion: &Completion) -> bool {
    matches!(completion, Completion::Received { .. })
}

fn chunk(bytes: &[u8]) -> Chunk {
    Chunk::from(bytes.to_vec())
}

/// A connected pair with four small buffers. Smaller ones still stall TCP on its own timers.
fn narrow_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    SockRef::from(&listener).set_recv_buffer_size(NARROW_BYTES).unwrap();
    SockRef::from(&listener).set_send_buffer_size(NARROW_BYTES).unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(NARROW_BYTES).unwrap();
    socket.set_send_buffer_size(NARROW_BYTES).unwrap();
    socket.connect(&listener.local_addr().unwrap().into()).unwrap();
    let (other, _) = listener.accept().unwrap();
    (socket.into(), other)
}

#[test]
fn what_is_sent_arrives_in_both_directions() {
    under_both(|mut rig| {
        let (mut peer, conn) = rig.peer();
        peer.write_all(b"select 1").unwrap();
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"select 1");
        rig.shard.send(conn, [chunk(b"one "), chunk(b""), chunk(b"row")]);
        rig.turn();
        let mut answer = [0; 7];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"one row");
        assert_eq!(rig.shard.queued_bytes(conn), 0);
        let mut sent = 0;
        while sent < 7 {
            sent += rig.until(|completion| {
                let Completion::Sent { conn: key, bytes } = completion else { return None };
                (*key == conn).then_some(*bytes)
            });
        }
        assert_eq!(sent, 7);
    });
}

#[test]
fn what_was_queued_before_the_connection_stood_is_sent_once_it_does() {
    under_both(|mut rig| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let conn = rig.shard.connect(listener.local_addr().unwrap()).unwrap();
        rig.shard.receive(conn);
        rig.shard.send(conn, [chunk(b"startup")]);
        rig.shard.finish(conn);
        let (mut peer, _) = {
            rig.turn();
            listener.accept().unwrap()
        };
        peer.write_all(b"welcome").unwrap();
        assert_eq!(&rig.received(conn)[..], b"welcome");
        rig.until(|completion| matches!(completion, Completion::Connected { .. }).then_some(()));
        rig.until(|completion| matches!(completion, Completion::Finished { .. }).then_some(()));
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "startup");
    });
}

#[test]
fn one_receive_brings_one_chunk_however_often_it_is_asked_for() {
    under_both(|mut rig| {
        let (mut peer, conn) = rig.peer();
        peer.write_all(b"first").unwrap();
        assert!(!rig.comes(is_received));
        rig.shard.receive(conn);
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"first");
        peer.write_all(b"second").unwrap();
        assert!(!rig.comes(is_received));
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"second");
    });
}

#[test]
fn waiting_sleeps_while_nobody_asks_for_what_is_there() {
    under_both(|mut rig| {
        let (mut peer, conn) = rig.peer();
        peer.write_all(b"unasked").unwrap();
        assert!(rig.idle_wait_ms(20) >= 15);
        // Hung up in both directions, which epoll reports whether it is watched or not.
        rig.shard.finish(conn);
        drop(peer);
        assert!(rig.idle_wait_ms(20) >= 15);
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"unasked");
    });
}

#[test]
fn a_half_closed_peer_still_gets_its_answer() {
    under_both(|mut rig| {
        let (mut peer, conn) = rig.peer();
        peer.write_all(b"question").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"question");
        rig.shard.receive(conn);
        rig.until(|completion| {
            matches!(completion, Completion::Eof { conn: key } if *key == conn).then_some(())
        });
        rig.shard.receive(conn);
        rig.shard.send(conn, [chunk(b"answer")]);
        rig.shard.finish(conn);
        rig.until(|completion| matches!(completion, Completion::Finished { .. }).then_some(()));
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn nothing_is_said_of_a_connection_after_close_but_closed() {
    under_both(|mut rig| {
        for turns in 0..6 {
            let (peer, ours) = narrow_pair();
            let conn = rig.shard.adopt(ours).unwrap();
            (&peer).write_all(b"in flight").unwrap();
            rig.shard.receive(conn);
            // More than the kernel takes, so that a send is in flight for good.
            rig.shard.send(conn, (0..64).map(|_| chunk(&[7; 16 * 1024])));
            for _ in 0..turns {
                rig.turn();
            }
            rig.unread.clear();
            rig.shard.close(conn);
            rig.shard.close(conn);
            rig.shard.receive(conn);
            rig.shard.send(conn, [chunk(b"too late")]);
            rig.shard.finish(conn);
            assert_eq!(rig.shard.queued_bytes(conn), 0);
            rig.closed(conn);
            // Whoever comes next gets the freed slot, and none of its predecessor's completions.
            let (mut next, successor) = rig.peer();
            assert_ne!(successor, conn);
            next.write_all(b"fresh").unwrap();
            rig.shard.receive(successor);
            assert_eq!(&rig.received(successor)[..], b"fresh");
            rig.shard.close(conn);
            assert!(!rig.comes(|completion| completion.conn() == Some(conn)));
            rig.shard.close(successor);
            rig.closed(successor);
        }
        assert_eq!(rig.shard.conn_count(), 0);
        rig.unread.clear();
        assert_eq!(rig.shard.pool().free(), CHUNKS_PER_WORKER);
    });
}

#[test]
fn an_attempt_to_connect_ends_with_close() {
    under_both(|mut rig| {
        // A full queue of connections leaves the next one waiting for its handshake.
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let full = socket.local_addr().unwrap().as_socket().unwrap();
        let attempts: Vec<_> = (0..8).map(|_| rig.shard.connect(full).unwrap()).collect();
        rig.turn();
        for &attempt in &attempts {
            rig.shard.close(attempt);
        }
        rig.unread.clear();
        for &attempt in &attempts {
            rig.closed(attempt);
        }
        assert_eq!(rig.shard.conn_count(), 0);
        assert!(!rig.comes(|_| true));
    });
}

#[test]
fn a_burst_of_connections_is_accepted_whole() {
    under_both(|mut rig| {
        let peers: Vec<TcpStream> =
            (0..120).map(|_| TcpStream::connect(rig.address).unwrap()).collect();
        let mut accepted = Vec::new();
        while accepted.len() < peers.len() {
            let listener = rig.listener;
            accepted.push(rig.until(|completion| {
                let Completion::Accepted { listener: from, conn, peer } = completion else {
                    return None;
                };
                assert_eq!(*from, listener);
                Some((*conn, *peer))
            }));
        }
        let mut expected: Vec<_> = peers.iter().map(|peer| peer.local_addr().unwrap()).collect();
        let mut seen: Vec<_> = accepted.iter().map(|(_, peer)| *peer).collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected);
        let mut keys: Vec<_> = accepted.iter().map(|(conn, _)| *conn).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), peers.len());
        assert_eq!(rig.shard.conn_count(), peers.len());
    });
}

#[test]
fn a_stopped_listener_takes_nobody_and_lets_its_address_go() {
    under_both(|mut rig| {
        let (_peer, _) = rig.peer();
        rig.shard.stop_listening(rig.listener);
        rig.shard.stop_listening(rig.listener);
        for _ in 0..20 {
            rig.turn();
        }
        assert_eq!(
            TcpStream::connect(rig.address).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        TcpListener::bind(rig.address).unwrap();
    });
}

#[test]
fn a_refused_connection_fails_as_refused() {
    under_both(|mut rig| {
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let conn = rig.shard.connect(address).unwrap();
        rig.shard.receive(conn);
        rig.shard.send(conn, [chunk(b"hello")]);
        assert_eq!(rig.failure(conn), ConnError::Refused);
        assert_eq!(rig.shard.queued_bytes(conn), 0);
        assert!(!rig.comes(|completion| completion.conn() == Some(conn)));
        rig.shard.close(conn);
        rig.closed(conn);
    });
}

#[test]
fn a_reset_fails_once_and_waiting_sleeps_afterwards() {
    under_both(|mut rig| {
        let (peer, ours) = narrow_pair();
        let conn = rig.shard.adopt(ours).unwrap();
        rig.shard.receive(conn);
        rig.shard.send(conn, (0..64).map(|_| chunk(&[7; 16 * 1024])));
        rig.turn();
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let error = rig.failure(conn);
        assert!(matches!(error, ConnError::Reset | ConnError::BrokenPipe), "{error:?}");
        let again = |completion: &Completion| matches!(completion, Completion::Failed { .. });
        assert!(!rig.comes(again));
        assert!(rig.idle_wait_ms(20) >= 15);
        rig.shard.close(conn);
        rig.closed(conn);
    });
}

#[test]
fn without_chunks_receives_wait_in_line_and_go_on_when_one_comes_back() {
    under_both(|mut rig| {
        let (mut first, conn) = rig.peer();
        let mut held = Vec::new();
        while held.len() < CHUNKS_PER_WORKER - CHUNKS_FOR_WRITING {
            first.write_all(b"x").unwrap();
            rig.shard.receive(conn);
            held.push(rig.received(conn));
        }
        let (mut second, other) = rig.peer();
        first.write_all(b"first").unwrap();
        rig.shard.receive(conn);
        assert!(!rig.comes(is_received));
        second.write_all(b"second").unwrap();
        rig.shard.receive(other);
        assert!(!rig.comes(is_received));
        assert_eq!(rig.shard.pool().free(), CHUNKS_FOR_WRITING);
        assert!(rig.shard.pool().take().is_some());
        assert!(rig.idle_wait_ms(20) >= 15);
        held.pop();
        assert_eq!(&rig.received(conn)[..], b"first");
        held.pop();
        assert_eq!(&rig.received(other)[..], b"second");
    });
}

#[test]
fn closing_parked_connections_leaves_the_chunk_to_who_waits_behind_them() {
    under_both(|mut rig| {
        let (mut feeding, source) = rig.peer();
        let mut held = Vec::new();
        while held.len() < CHUNKS_PER_WORKER - CHUNKS_FOR_WRITING {
            feeding.write_all(b"x").unwrap();
            rig.shard.receive(source);
            held.push(rig.received(source));
        }
        let mut waiting: Vec<_> = (0..5).map(|_| rig.peer()).collect();
        for (peer, conn) in &mut waiting {
            peer.write_all(b"waits").unwrap();
            rig.shard.receive(*conn);
            rig.turn();
        }
        assert!(!rig.comes(is_received));
        let (_last_peer, last) = waiting.pop().unwrap();
        for (_, conn) in &waiting {
            rig.shard.close(*conn);
            rig.closed(*conn);
        }
        held.pop();
        // Without a limit: nothing but the chunk that came back can end this wait.
        rig.shard.wait(None, &mut rig.unread).unwrap();
        assert_eq!(&rig.received(last)[..], b"waits");
    });
}

#[test]
fn a_waker_ends_an_endless_wait_and_rings_in_between_are_one() {
    under_both(|mut rig| {
        let woken = |completion: &Completion| matches!(completion, Completion::Woken);
        for _ in 0..3 {
            let waker = rig.shard.waker();
            let ringing = thread::spawn(move || (0..100).for_each(|_| waker.wake()));
            rig.shard.wait(None, &mut rig.unread).unwrap();
            ringing.join().unwrap();
            rig.until(|completion| woken(completion).then_some(()));
            rig.comes(|_| false);
            rig.unread.clear();
            rig.shard.waker().wake();
            rig.shard.waker().wake();
            rig.comes(|_| false);
            assert_eq!(rig.unread.iter().filter(|completion| woken(completion)).count(), 1);
            rig.unread.clear();
        }
    });
}

#[test]
fn an_idle_connection_moves_to_another_shard_and_a_busy_one_does_not() {
    under_both(|mut rig| {
        let (mut peer, conn) = rig.peer();
        let mut stream = rig.shard.release(conn).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
        assert_eq!(rig.shard.conn_count(), 0);
        for kind in [DriverKind::Epoll, rig.shard.kind(), DriverKind::Epoll] {
            let mut other = Rig::new(kind);
            let adopted = other.shard.adopt(stream).unwrap();
            other.shard.receive(adopted);
            assert!(other.shard.release(adopted).is_none());
            peer.write_all(b"moved").unwrap();
            assert_eq!(&other.received(adopted)[..], b"moved");
            other.shard.send(adopted, [chunk(b"on")]);
            assert!(other.shard.release(adopted).is_none());
            other.until(|completion| matches!(completion, Completion::Sent { .. }).then_some(()));
            stream = other.shard.release(adopted).unwrap();
            assert!(other.shard.release(adopted).is_none());
        }
        let mut text = [0; 6];
        peer.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"ononon");
    });
}

#[test]
fn dropping_a_shard_in_the_middle_of_everything_closes_its_connections() {
    under_both(|mut rig| {
        let (mut reading, receiving) = rig.peer();
        rig.shard.receive(receiving);
        let (mut stuck, ours) = narrow_pair();
        let sending = rig.shard.adopt(ours).unwrap();
        rig.shard.send(sending, (0..64).map(|_| chunk(&[7; 16 * 1024])));
        rig.turn();
        drop(rig.shard);
        let mut rest = Vec::new();
        assert_eq!(reading.read_to_end(&mut rest).unwrap(), 0);
        // Cut off: some of it came, then the end.
        let bytes = stuck.read_to_end(&mut rest).unwrap_or(rest.len());
        assert!(bytes < 64 * 16 * 1024);
    });
}

const NARROW_BYTES: usize = 16 * 1024;
