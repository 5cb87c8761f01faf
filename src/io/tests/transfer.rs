//! Much through little: every byte arrives, in order, through the smallest buffers there are.

use aws_lc_rs::digest::{Context, SHA256};

use super::*;
use crate::limits::{CHUNK_BYTES, SEND_QUEUE_BYTES_MAX};

const BYTES: usize = 6 * 1024 * 1024;

/// Bytes that never repeat in step with any buffer.
fn stream_of(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::from_fn(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 56) as u8)
    })
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    context.finish().as_ref().to_vec()
}

#[test]
fn an_echo_through_tiny_buffers_returns_every_byte_in_order() {
    under_both(|mut rig| {
        let (peer, ours) = narrow_pair();
        let conn = rig.shard.adopt(ours).unwrap();
        let whole: Vec<u8> = stream_of(1).take(BYTES).collect();
        let expected = digest(&whole);
        let mut writing = peer.try_clone().unwrap();
        let writer = thread::spawn(move || {
            for piece in whole.chunks(50_000) {
                writing.write_all(piece).unwrap();
            }
            writing.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut reading = peer;
        let reader = thread::spawn(move || {
            let mut echoed = Vec::new();
            reading.read_to_end(&mut echoed).unwrap();
            echoed
        });
        let mut sent = 0;
        rig.shard.receive(conn);
        while !reader.is_finished() {
            rig.turn();
            for completion in std::mem::take(&mut rig.unread) {
                if let Completion::Received { chunk, .. } = completion {
                    rig.shard.send(conn, [chunk]);
                } else if let Completion::Sent { bytes, .. } = completion {
                    sent += bytes;
                } else if matches!(completion, Completion::Eof { .. }) {
                    rig.shard.finish(conn);
                } else {
                    assert!(matches!(completion, Completion::Finished { .. }), "{completion:?}");
                    assert_eq!(sent, BYTES);
                }
            }
            let queued = rig.shard.queued_bytes(conn);
            assert!(queued <= SEND_QUEUE_BYTES_MAX + CHUNK_BYTES);
            if queued < SEND_QUEUE_BYTES_MAX {
                rig.shard.receive(conn);
            }
        }
        writer.join().unwrap();
        let echoed = reader.join().unwrap();
        assert_eq!(echoed.len(), BYTES);
        assert!(digest(&echoed) == expected);
        rig.shard.close(conn);
        rig.closed(conn);
        assert_eq!(rig.shard.pool().free(), CHUNKS_PER_WORKER);
    });
}

#[test]
fn finish_sends_all_that_is_queued_before_the_end() {
    under_both(|mut rig| {
        let (mut peer, ours) = narrow_pair();
        let conn = rig.shard.adopt(ours).unwrap();
        let whole: Vec<u8> = stream_of(2).take(1024 * 1024).collect();
        rig.shard.send(conn, whole.chunks(10_000).map(chunk));
        rig.shard.finish(conn);
        rig.shard.send(conn, [chunk(b"after the end")]);
        assert_eq!(rig.shard.queued_bytes(conn), whole.len());
        let reader = thread::spawn(move || {
            let mut arrived = Vec::new();
            peer.read_to_end(&mut arrived).unwrap();
            // Receiving goes on after finishing.
            peer.write_all(b"thanks").unwrap();
            arrived
        });
        rig.until(|completion| matches!(completion, Completion::Finished { .. }).then_some(()));
        let sent: usize = rig
            .unread
            .iter()
            .map(|completion| {
                let Completion::Sent { bytes, .. } = completion else { panic!("{completion:?}") };
                *bytes
            })
            .sum();
        assert_eq!(sent, whole.len());
        rig.shard.receive(conn);
        assert_eq!(&rig.received(conn)[..], b"thanks");
        assert!(reader.join().unwrap() == whole);
    });
}

#[test]
fn closing_at_any_moment_of_an_exchange_leaves_nothing_behind() {
    under_both(|mut rig| {
        for moment in 0..40 {
            let near = rig.shard.connect(rig.address).unwrap();
            let mut far = None;
            rig.shard.receive(near);
            rig.shard.send(near, (0..20).map(|_| chunk(&[3; 5000])));
            let mut closed = Vec::new();
            for turn in 0..moment + 40 {
                if turn == moment {
                    rig.shard.close(near);
                    closed.push(near);
                }
                if turn == moment + moment % 3
                    && let Some(far) = far
                {
                    rig.shard.close(far);
                    closed.push(far);
                }
                rig.shard.wait(Some(100_000), &mut rig.unread).unwrap();
                for completion in std::mem::take(&mut rig.unread) {
                    if let Some(conn) = completion.conn() {
                        assert!(
                            !closed.contains(&conn) || is_closed(&completion, conn),
                            "{completion:?} at {turn} of {moment}"
                        );
                    }
                    if let Completion::Accepted { conn, .. } = completion {
                        far = Some(conn);
                        rig.shard.receive(conn);
                    } else if let Completion::Received { conn, chunk } = completion {
                        rig.shard.send(conn, [chunk]);
                        rig.shard.receive(conn);
                    }
                }
            }
            if let Some(far) = far {
                rig.shard.close(far);
            }
            for _ in 0..10 {
                rig.shard.wait(Some(100_000), &mut rig.unread).unwrap();
            }
            rig.unread.clear();
            assert_eq!(rig.shard.conn_count(), 0, "moment {moment}");
            assert_eq!(rig.shard.pool().free(), CHUNKS_PER_WORKER, "moment {moment}");
        }
    });
}
