use super::*;

#[test]
fn runs_decode_as_they_were_encoded() {
    let mut raw = Vec::new();
    let long = vec![9; RUN_BYTES_MAX];
    let runs: [(u64, RunKind, Piece, &[u8]); 6] = [
        (0, RunKind::Forwarded, Piece::Last, b"select 1"),
        (127, RunKind::Delivered, Piece::Continued, &long),
        (128, RunKind::Delivered, Piece::Last, b""),
        (u64::MAX >> 1, RunKind::Exchange, Piece::Last, b"{}"),
        (1, RunKind::SaidUpstream, Piece::Last, b"x"),
        (0, RunKind::Withheld, Piece::Last, b"drop"),
    ];
    let mut at_us = 0;
    let mut expected = Vec::new();
    for (dt_us, kind, piece, bytes) in runs {
        encode(&mut raw, dt_us, kind, piece, bytes);
        at_us += dt_us;
        expected.push(Ok(Run { at_us, kind, piece, bytes }));
    }
    assert_eq!(Runs::new(&raw).collect::<Vec<_>>(), expected);
}

#[test]
fn a_cut_anywhere_is_an_error_or_a_whole_number_of_runs() {
    let mut raw = Vec::new();
    let mut ends = vec![0];
    for length in [0, 1, 200] {
        encode(&mut raw, 300, RunKind::Delivered, Piece::Last, &vec![1; length]);
        ends.push(raw.len());
    }
    for cut in 0..raw.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
        let read: Vec<_> = Runs::new(&raw[..cut]).collect();
        assert_eq!(read.iter().filter(|run| run.is_ok()).count(), whole, "cut at {cut}");
        assert_eq!(read.len() > whole, !ends.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn lengths_and_kinds_are_judged_before_they_are_believed() {
    let mut raw = vec![0, 0];
    push_varint(&mut raw, u64::MAX);
    assert_eq!(Runs::new(&raw).next(), Some(Err(RunError::TooLong { bytes: u64::MAX })));
    assert_eq!(Runs::new(&[0, 99, 0]).next(), Some(Err(RunError::UnknownKind { kind: 99 })));
    assert_eq!(Runs::new(&[0x80; 20]).next(), Some(Err(RunError::NumberTooLong)));
}
