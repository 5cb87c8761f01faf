//! Slow readers must not starve the others: a relay over one shard, twenty pairs whose reader
//! never reads, and one pair in dialogue. Counted in turns of the driver, not in time.

use std::collections::HashMap;

use super::*;
use crate::limits::{CHUNK_BYTES, CHUNKS_FREE_LOW, SEND_QUEUE_BYTES_MAX};

const SLOW_PAIRS: usize = 20;
const EXCHANGES: usize = 800;
/// An exchange crosses the relay twice; each crossing needs a turn to receive and one to send.
const TURNS_AN_EXCHANGE: usize = 12;

/// Forwards between pairs of connections; receives from one only while the other's queue has room.
struct Relay {
    shard: Shard,
    other: HashMap<ConnKey, ConnKey>,
    completions: Vec<Completion>,
}

impl Relay {
    /// Relays between two plain sockets, given the shard's ends of them.
    fn join(&mut self, one: TcpStream, two: TcpStream) {
        let one = self.shard.adopt(one).unwrap();
        let two = self.shard.adopt(two).unwrap();
        self.other.insert(one, two);
        self.other.insert(two, one);
        self.shard.receive(one);
        self.shard.receive(two);
    }

    fn turn(&mut self) {
        self.shard.wait(Some(200_000), &mut self.completions).unwrap();
        for completion in self.completions.drain(..) {
            let conn = completion.conn().unwrap();
            let from = if let Completion::Received { chunk, .. } = completion {
                self.shard.send(self.other[&conn], [chunk]);
                conn
            } else {
                assert!(matches!(completion, Completion::Sent { .. }), "{completion:?}");
                self.other[&conn]
            };
            if self.shard.queued_bytes(self.other[&from]) < SEND_QUEUE_BYTES_MAX {
                self.shard.receive(from);
            }
        }
    }
}

/// How the writers behind the slow readers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    /// All that the kernel takes: full chunks, which pin the pool by size.
    Flood,
    /// A few bytes a turn: chunks nearly empty, which pin the pool by number.
    Trickle,
}

impl Feed {
    /// Writes what is due in one turn: how much the kernel took.
    fn write(self, stream: &mut TcpStream) -> usize {
        match self {
            Self::Flood => fill(stream),
            Self::Trickle => stream.write(&[7; 64]).unwrap_or(0),
        }
    }

    /// What must have got through for the slow pairs to have been a threat.
    const fn bytes_min(self) -> usize {
        match self {
            Self::Flood => SLOW_PAIRS * SEND_QUEUE_BYTES_MAX,
            Self::Trickle => 4 * CHUNKS_PER_WORKER * 64,
        }
    }
}

/// Writes until the kernel takes no more: how much it took.
fn fill(stream: &mut TcpStream) -> usize {
    let mut total = 0;
    while let Ok(bytes) = stream.write(&[7; CHUNK_BYTES]) {
        total += bytes;
    }
    total
}

fn relay_under_slow_readers(kind: DriverKind, feed: Feed) {
    let shard = Shard::open(kind).unwrap();
    let mut relay = Relay { shard, other: HashMap::new(), completions: Vec::new() };
    let mut writers = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..SLOW_PAIRS {
        let (writer, one) = narrow_pair();
        let (reader, mut two) = narrow_pair();
        writer.set_nonblocking(true).unwrap();
        // The kernel's own buffers are full before the relay begins, so all it gets must queue.
        two.set_nonblocking(true).unwrap();
        fill(&mut two);
        writers.push(writer);
        silent.push(reader);
        relay.join(one, two);
    }
    let (mut client, one) = narrow_pair();
    let (mut server, two) = narrow_pair();
    client.set_nonblocking(true).unwrap();
    server.set_nonblocking(true).unwrap();
    relay.join(one, two);

    let mut written = 0;
    let mut turns = 0;
    for exchange in 0..EXCHANGES {
        client.write_all(b"question").unwrap();
        loop {
            written += writers.iter_mut().map(|writer| feed.write(writer)).sum::<usize>();
            relay.turn();
            turns += 1;
            assert!(turns < TURNS_AN_EXCHANGE * EXCHANGES, "stuck at exchange {exchange}");
            assert!(relay.shard.pool().free() >= CHUNKS_FREE_LOW - SLOW_PAIRS);
            let mut text = [0; 8];
            if server.read(&mut text).is_ok_and(|bytes| bytes == 8) {
                server.write_all(b"solution").unwrap();
            }
            if client.read(&mut text).is_ok_and(|bytes| bytes == 8) {
                assert_eq!(&text, b"solution");
                break;
            }
        }
    }
    assert!(written >= feed.bytes_min(), "only {written} bytes of {feed:?}");
    for queue in relay.other.keys() {
        assert!(relay.shard.queued_bytes(*queue) <= SEND_QUEUE_BYTES_MAX + CHUNK_BYTES);
    }
}

#[test]
fn a_pair_in_dialogue_goes_on_beside_twenty_readers_that_do_not_read() {
    for feed in [Feed::Flood, Feed::Trickle] {
        relay_under_slow_readers(DriverKind::Epoll, feed);
        if probe().missing().is_none() {
            relay_under_slow_readers(DriverKind::Uring, feed);
        }
    }
}
