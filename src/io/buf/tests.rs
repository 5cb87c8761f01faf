use super::*;
use crate::limits::{CHUNK_BYTES, CHUNKS_FOR_WRITING, CHUNKS_FREE_LOW, CHUNKS_PER_WORKER};

fn filled(pool: &Pool, text: &[u8]) -> Chunk {
    let mut chunk = pool.take().unwrap();
    chunk[..text.len()].copy_from_slice(text);
    chunk.freeze(text.len())
}

#[test]
fn a_chunk_comes_back_when_its_last_user_is_done() {
    let pool = Pool::new().unwrap();
    let chunk = filled(&pool, b"select 1");
    let clone = chunk.clone();
    let part = chunk.slice(7..);
    drop(chunk);
    drop(clone);
    assert_eq!(pool.free(), CHUNKS_PER_WORKER - 1);
    assert_eq!(&part[..], b"1");
    drop(part);
    assert_eq!(pool.free(), CHUNKS_PER_WORKER);
}

#[test]
fn unpinning_gives_the_chunk_back_and_keeps_the_bytes() {
    let pool = Pool::new().unwrap();
    let chunk = filled(&pool, b"select 1").slice(..6);
    let kept = chunk.unpin();
    drop(chunk);
    assert_eq!(pool.free(), CHUNKS_PER_WORKER);
    assert!(!kept.is_pooled());
    assert_eq!(&kept[..], b"select");
}

#[test]
fn slices_of_slices_narrow_and_never_widen() {
    let pool = Pool::new().unwrap();
    for chunk in [filled(&pool, b"0123456789"), Chunk::from(b"0123456789".to_vec())] {
        let inner = chunk.slice(2..8);
        assert_eq!(&inner[..], b"234567");
        assert_eq!(&inner.slice(1..=2)[..], b"34");
        assert_eq!(&inner.slice(3..100)[..], b"567");
        assert_eq!(&inner.slice(100..)[..], b"");
    }
}

#[test]
fn every_chunk_can_be_taken_and_each_is_its_own_memory() {
    let pool = Pool::new().unwrap();
    let mut taken = Vec::new();
    while let Some(mut chunk) = pool.take() {
        let stamp = (taken.len() as u32).to_be_bytes();
        chunk[..4].copy_from_slice(&stamp);
        chunk[CHUNK_BYTES - 4..].copy_from_slice(&stamp);
        taken.push(chunk.freeze(CHUNK_BYTES));
    }
    assert_eq!(taken.len(), CHUNKS_PER_WORKER);
    for (number, chunk) in taken.iter().enumerate() {
        let stamp = (number as u32).to_be_bytes();
        assert_eq!(chunk[..4], stamp);
        assert_eq!(chunk[CHUNK_BYTES - 4..], stamp);
    }
    assert_eq!(pool.free(), 0);
}

#[test]
fn receiving_leaves_chunks_for_writing() {
    let pool = Pool::new().unwrap();
    let mut lent = 0;
    while pool.lend().is_some() {
        lent += 1;
    }
    assert_eq!(lent, CHUNKS_PER_WORKER - CHUNKS_FOR_WRITING);
    assert!(pool.take_to_receive().is_none());
    assert!(pool.take().is_some());
}

#[test]
fn only_a_lent_chunk_is_reclaimed_and_only_once() {
    let pool = Pool::new().unwrap();
    let (id, _) = pool.lend().unwrap();
    assert_eq!(pool.free(), CHUNKS_PER_WORKER);
    let chunk = pool.reclaim(id).unwrap();
    assert!(pool.reclaim(id).is_none());
    assert!(pool.reclaim(BufferId(u16::MAX)).is_none());
    assert_eq!(pool.free(), CHUNKS_PER_WORKER - 1);
    drop(chunk);
    assert!(pool.reclaim(id).is_none());
}

#[test]
fn copying_in_uses_memory_of_its_own_when_chunks_run_low() {
    let pool = Pool::new().unwrap();
    assert!(pool.copy_in(b"row").is_pooled());
    let held: Vec<_> = (0..=CHUNKS_PER_WORKER - CHUNKS_FREE_LOW).map(|_| pool.take()).collect();
    let chunk = pool.copy_in(b"row");
    assert!(!chunk.is_pooled());
    assert_eq!(&chunk[..], b"row");
    drop(held);
    assert!(!pool.copy_in(&[7; CHUNK_BYTES + 1]).is_pooled());
}

#[test]
fn chunks_outlive_the_pool_that_made_them() {
    let pool = Pool::new().unwrap();
    let chunk = filled(&pool, b"select 1");
    drop(pool);
    assert_eq!(&chunk[..], b"select 1");
}

#[test]
fn debug_output_shows_no_bytes() {
    let chunk = Chunk::from(b"hunter2".to_vec());
    assert_eq!(format!("{chunk:?}"), "Chunk(7 bytes, owned)");
}
