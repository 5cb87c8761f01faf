use super::*;
use crate::limits::BLOCK_RAW_BYTES;
use crate::record::block::BLOCK_HEADER_BYTES;

#[test]
fn an_index_is_read_as_it_was_written_and_is_never_larger_than_foreseen() {
    for (sessions, each) in [(0_u64, 0_u64), (1, 1), (3, 2_500), (4_000, 2), (1, 9_000)] {
        let mut entries: Vec<_> = (0..sessions * each)
            .map(|number| IndexEntry {
                session: Uuid::from_u64_pair(number % sessions, 1),
                at: 4096 + number * 8,
                base_unix_ns: number,
                session_seq: number / sessions,
            })
            .collect();
        let payloads = encode(&mut entries);
        let stored: u64 = payloads
            .iter()
            .map(|raw| (BLOCK_HEADER_BYTES + raw.len()).next_multiple_of(BLOCK_ALIGN) as u64)
            .sum();
        assert!(stored <= bytes_max(entries.len(), sessions as usize));
        assert!(payloads.iter().all(|raw| raw.len() <= BLOCK_RAW_BYTES));
        let read: Vec<_> = payloads.iter().flat_map(|raw| decode(raw).unwrap()).collect();
        assert_eq!(read, entries);
    }
}

#[test]
fn a_count_that_lies_is_an_error() {
    let mut raw = vec![0; HEAD_BYTES];
    raw[16..20].fill(0xff);
    assert!(decode(&raw).is_err());
    assert!(decode(&[0; 5]).is_err());
}
