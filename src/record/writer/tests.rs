use super::*;
use crate::limits::SESSION_QUEUE_BYTES_MAX;
use crate::record::tests::Dice;

/// With `async` durability a session would else wait for room until its window has passed.
#[test]
fn what_may_be_half_of_a_session_s_queue_is_synced_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = Disk::Plain.create(&dir.path().join("segment"), SEGMENT_BYTES_MIN).unwrap();
    let header = SegmentHeader {
        node: Uuid::nil(),
        node_name: String::new(),
        software: String::new(),
        writer: WRITER,
        segment: Uuid::from_u128(7),
        segment_seq: 1,
        created_unix_ns: 0,
        created_mono_ns: 0,
        boot: Uuid::nil(),
        predecessor: Uuid::nil(),
        predecessor_valid_bytes: 0,
    };
    let mut segment = OpenSegment::new(header, dir.path().join("segment"), file, u64::MAX);
    let mut compressor = Compressor::new().unwrap();
    let mut dice = Dice(1);
    let now = Instant::now();
    let mut queued_bytes = 0;
    while !sync_due(&segment, IDLE, now) {
        let noise = (0..WRITE_BYTES).map(|_| dice.roll(256) as u8).collect();
        let cut = Cut::of_record(BlockKind::Data, 0, 0, noise);
        let packed = compressor.pack(segment.header.segment, Uuid::from_u128(1), &cut);
        queued_bytes += packed.payload.len();
        segment.push(packed, now);
        let batch = segment.take_batch(Vec::new());
        segment.unsynced.push(batch);
    }
    assert!(queued_bytes <= SESSION_QUEUE_BYTES_MAX / 2, "{queued_bytes} bytes");
    segment.settle();
    assert!(!sync_due(&segment, IDLE, now));
}
