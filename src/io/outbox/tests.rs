use super::*;
use crate::limits::{CHUNK_BYTES, CHUNKS_FREE_LOW, CHUNKS_PER_WORKER};

#[test]
fn advancing_by_any_steps_leaves_exactly_the_rest() {
    let whole = b"a run of bytes in several chunks";
    for step in 1..=whole.len() {
        let pool = Pool::new().unwrap();
        let mut outbox = Outbox::default();
        for part in whole.chunks(5) {
            outbox.push(pool.copy_in(part), &pool, Prospect::Now);
        }
        let mut sent = 0;
        while !outbox.is_empty() {
            let rest: Vec<u8> = outbox.pieces().flatten().copied().collect();
            assert_eq!(rest, whole[sent..], "step {step}");
            let bytes = step.min(outbox.bytes());
            outbox.advance(bytes);
            sent += bytes;
        }
        assert_eq!(sent, whole.len());
        assert_eq!(outbox.pieces().count(), 0);
    }
}

#[test]
fn empty_chunks_are_not_queued() {
    let mut outbox = Outbox::default();
    outbox.push(Chunk::from(Vec::new()), &Pool::new().unwrap(), Prospect::Now);
    assert!(outbox.is_empty());
    assert_eq!(outbox.pieces().count(), 0);
}

#[test]
fn a_chunk_stays_pinned_unless_it_waits_for_little_or_the_pool_is_short() {
    let pool = Pool::new().unwrap();
    let pinned = |bytes: usize, prospect| {
        let before = pool.free();
        let mut outbox = Outbox::default();
        outbox.push(pool.take().unwrap().freeze(bytes), &pool, prospect);
        assert_eq!(outbox.bytes(), bytes);
        before - pool.free()
    };
    assert_eq!(pinned(100, Prospect::Now), 1);
    assert_eq!(pinned(CHUNK_BYTES, Prospect::Waits), 1);
    assert_eq!(pinned(100, Prospect::Waits), 0);
    let held: Vec<_> = (0..=CHUNKS_PER_WORKER - CHUNKS_FREE_LOW).map(|_| pool.take()).collect();
    assert_eq!(pinned(CHUNK_BYTES, Prospect::Now), 0);
    drop(held);
}
