use super::*;

fn header() -> SegmentHeader {
    SegmentHeader {
        node: node_id("edge-1"),
        node_name: "edge-1".to_owned(),
        software: "narrows 0".to_owned(),
        writer: 3,
        segment: Uuid::from_u128(77),
        segment_seq: 12,
        created_unix_ns: 1_700_000_000_000_000_000,
        created_mono_ns: 5,
        boot: Uuid::from_u128(1),
        predecessor: Uuid::from_u128(2),
        predecessor_valid_bytes: 4096,
    }
}

#[test]
fn a_header_is_read_as_it_was_written_and_every_flipped_byte_is_noticed() {
    let bytes = header().encode();
    assert_eq!(bytes.len(), HEADER_BYTES);
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 4;
        assert!(SegmentHeader::decode(&bytes).is_err(), "byte {at}");
    }
    assert_eq!(SegmentHeader::decode(&bytes[..4095]), Err(SegmentError::Short));
}

#[test]
fn a_segment_is_named_by_node_writer_and_number_under_its_day() {
    let path = header().path(Path::new("/r"));
    let node = header().node.simple().to_string();
    let expected = format!("/r/masked/2023/11/14/seg-{}-w3-0000000012.nrw", &node[..8]);
    assert_eq!(path, Path::new(&expected));
}

#[test]
fn an_unknown_feature_or_version_is_refused() {
    let with = |at: usize, value: u8| {
        let mut bytes = header().encode();
        bytes[at] = value;
        let crc = crc32c::crc32c(&bytes[..HEADER_CRC_AT]).to_le_bytes();
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc);
        SegmentHeader::decode(&bytes)
    };
    assert_eq!(with(8, 2), Err(SegmentError::Version { major: 2 }));
    assert_eq!(with(16, 1), Err(SegmentError::Flags { flags: 1 }));
    assert_eq!(with(24, 1), Ok(header()));
}

#[test]
fn the_last_number_is_refused_since_no_segment_could_follow() {
    let last = SegmentHeader { segment_seq: u64::MAX, ..header() };
    assert_eq!(SegmentHeader::decode(&last.encode()), Err(SegmentError::Last));
    let before = SegmentHeader { segment_seq: u64::MAX - 1, ..header() };
    assert_eq!(SegmentHeader::decode(&before.encode()), Ok(before));
}

#[test]
fn trailer_and_seal_are_read_as_they_were_written_and_notice_changes() {
    let id = Uuid::from_u128(5);
    let trailer =
        Trailer { index_at: 1, index_bytes: 2, blocks: 3, valid_bytes: 4, open_sessions: 5 };
    let bytes = trailer.encode(id);
    assert_eq!(Trailer::decode(id, &bytes), Ok(trailer));
    assert!(Trailer::decode(Uuid::from_u128(6), &bytes).is_err());
    let seal = Seal {
        segment: id,
        valid_bytes: 4096,
        blocks: 0,
        reason: SealReason::UncleanStop,
        torn_bytes: 1,
        torn_sha256: "ab".to_owned(),
        damaged: vec![Damage { at: 1, bytes: 2 }],
    };
    let bytes = seal.encode();
    assert_eq!(Seal::decode(&bytes), Ok(seal));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Seal::decode(&changed).is_err(), "byte {at}");
    }
}
