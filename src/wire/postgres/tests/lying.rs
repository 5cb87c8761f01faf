//! Peers that break the protocol: each is ended, and nothing of the lie passes.

use super::*;

#[test]
fn only_known_types_of_messages_pass_from_the_bot() {
    for tag in 0..=u8::MAX {
        if b"BCDEFHPQSXdcf".contains(&tag) {
            continue;
        }
        for skipping in [false, true] {
            let mut drive = Drive::relaying();
            if skipping {
                drive.bot(&p("", "DROP TABLE t"));
            }
            drive.seen.to_target.clear();
            drive.bot(&frame(tag, b"x"));
            assert_eq!(drive.seen.fault.map(|fault| fault.leg), Some(Leg::Downstream), "{tag}");
            assert_eq!(drive.seen.to_target, b"");
        }
    }
}

#[test]
fn only_known_types_of_messages_pass_from_the_target() {
    for tag in 0..=u8::MAX {
        if b"123ACDEGHIKNSTZcdnst".contains(&tag) {
            continue;
        }
        let mut drive = Drive::relaying();
        drive.bot(&q("SELECT 1"));
        drive.target(&frame(tag, b"\0\0\0\0"));
        assert_eq!(drive.seen.fault.map(|fault| fault.leg), Some(Leg::Upstream), "{tag}");
        assert_eq!(drive.seen.to_bot, b"");
    }
}

#[test]
fn an_answer_without_a_question_ends_the_session() {
    let answers = [
        ok("1"),
        ok("2"),
        ok("3"),
        ok("n"),
        ok("s"),
        ok("I"),
        ok("c"),
        row(),
        columns(),
        frame(b't', &[0, 0]),
        done("SELECT 1"),
        frame(b'G', &[0, 0, 0]),
        frame(b'H', &[0, 0, 0]),
        frame(b'd', b"x"),
        frame(b'K', &[0, 0, 0, 1, 1, 2, 3, 4]),
        frame(b'R', &[0, 0, 0, 0]),
        z(b'I'),
        error("XX000"),
    ];
    for answer in answers {
        let mut drive = Drive::relaying();
        drive.target(&answer);
        assert_eq!(drive.seen.fault.map(|fault| fault.leg), Some(Leg::Upstream), "{answer:?}");
        assert_eq!(drive.seen.to_bot, b"");
    }
}

#[test]
fn an_answer_to_another_question_ends_the_session() {
    let describe = frame(b'D', b"Ss\0");
    let cases: [(Vec<u8>, &[Vec<u8>]); 6] = [
        (p("s", "SELECT 1"), &[ok("2"), ok("3"), row(), z(b'I'), done("SELECT 1")]),
        (join(&[p("s", ""), b("", "s")]), &[ok("11"), join(&[ok("1"), columns()])]),
        (describe, &[columns(), ok("n"), frame(b't', &[0, 0]).repeat(2)]),
        (frame(b'C', b"Ss\0"), &[ok("1"), row()]),
        (sync(), &[row(), done("SELECT 1"), ok("1")]),
        (q("SELECT 1"), &[z(b'I'), ok("1"), ok("s"), frame(b't', &[0, 0])]),
    ];
    for (question, answers) in &cases {
        for answer in answers.iter() {
            let mut drive = Drive::relaying();
            drive.bot(question);
            drive.target(answer);
            let fault = drive.seen.fault.map(|fault| fault.leg);
            assert_eq!(fault, Some(Leg::Upstream), "{question:?} {answer:?}");
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_on_both_legs() {
    for length in [0_u32, 3, 0x4000_0001, 0x8000_0000, u32::MAX] {
        for tag in [b'Q', b'd', b'D'] {
            let lie = [&[tag][..], &length.to_be_bytes(), b"rest"].concat();
            let mut drive = Drive::relaying();
            drive.bot(&lie);
            assert!(drive.seen.fault.is_some(), "bot, {tag} {length}");
            assert_eq!(drive.seen.to_target, b"");
            let mut drive = Drive::relaying();
            drive.bot(&q("SELECT 1"));
            drive.target(&lie);
            assert!(drive.seen.fault.is_some(), "target, {tag} {length}");
            assert_eq!(drive.seen.to_bot, b"");
        }
    }
}

#[test]
fn short_messages_with_great_lengths_are_refused_at_their_header() {
    for tag in *b"SHXDCEcf" {
        let mut drive = Drive::relaying();
        drive.bot(&[&[tag][..], &0x0010_0000_u32.to_be_bytes()].concat());
        assert!(drive.seen.fault.is_some(), "bot, {tag}");
    }
    for tag in *b"123nsIcCGHZK" {
        let mut drive = Drive::relaying();
        drive.bot(&q("SELECT 1"));
        drive.target(&[&[tag][..], &0x0010_0000_u32.to_be_bytes()].concat());
        assert!(drive.seen.fault.is_some(), "target, {tag}");
    }
}

#[test]
fn malformed_messages_of_the_bot_end_the_session() {
    let cases = [
        frame(b'P', b"name\0text\0"),
        frame(b'P', b"name\0text\0\0\x01"),
        frame(b'P', b"name\0text\0\0\0x"),
        frame(b'P', b"name"),
        frame(b'E', b"portal\0\0\0\0"),
        frame(b'E', b"portal\0\0\0\0\0\0"),
        frame(b'D', b"Xname\0"),
        frame(b'D', b"Sname"),
        frame(b'D', b"Sname\0x"),
        frame(b'C', b""),
        frame(b'S', b"x"),
        frame(b'H', b"x"),
        frame(b'X', b"x"),
        frame(b'c', b"x"),
        frame(b'f', b"no end"),
    ];
    for message in cases {
        let mut drive = Drive::relaying();
        drive.bot(&message);
        assert_eq!(drive.seen.fault.map(|fault| fault.leg), Some(Leg::Downstream), "{message:?}");
        assert_eq!(drive.seen.to_target, b"");
    }
}

#[test]
fn malformed_messages_of_the_target_end_the_session() {
    let cases = [
        frame(b'C', b"SELECT 1"),
        frame(b'C', b"SELECT 1\0x"),
        frame(b'I', b"x"),
        frame(b'S', b"name\0value"),
        frame(b'S', b"name\0value\0x"),
        frame(b'E', b"SERROR\0C42601\0"),
        frame(b'E', b"SERROR\0C42601\0\0x"),
        frame(b'E', b"SERROR"),
        frame(b'E', b""),
    ];
    for message in cases {
        let mut drive = Drive::relaying();
        drive.bot(&q("SELECT 1"));
        drive.target(&message);
        assert_eq!(drive.seen.fault.map(|fault| fault.leg), Some(Leg::Upstream), "{message:?}");
        assert_eq!(drive.seen.to_bot, b"");
    }
    for status in [&b""[..], b"X", b"II"] {
        let mut drive = Drive::relaying();
        drive.bot(&q("SELECT 1"));
        drive.target(&join(&[done("SELECT 1"), frame(b'Z', status)]));
        assert!(drive.seen.fault.is_some());
    }
}

#[test]
fn what_came_before_a_lie_still_arrives() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[columns(), row(), frame(b'W', b"")]));
    assert_eq!(drive.heard(), "T D");
    assert!(drive.seen.fault.is_some());
}

#[test]
fn an_error_without_a_code_is_taken_for_an_internal_one() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[frame(b'E', b"SERROR\0Mno code\0\0"), z(b'I')]));
    assert_eq!(error_codes(&drive.seen), [(1, Some("XX000"))]);
}

#[test]
fn an_error_of_any_length_streams_through() {
    let long = frame(b'E', &[b"SERROR\0C22000\0M", &vec![b'x'; 1 << 20][..], b"\0\0"].concat());
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    for part in join(&[long.clone(), z(b'I')]).chunks(5000) {
        drive.target(part);
        assert!(drive.unread(Leg::Upstream) <= crate::limits::ERROR_WINDOW_BYTES);
    }
    assert_eq!(drive.seen.to_bot, join(&[long.clone(), z(b'I')]));
    assert_eq!(error_codes(&drive.seen), [(1, Some("22000"))]);

    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("SELECT 1"), q("DROP TABLE t")]));
    drive.target(&join(&[done("SELECT 1"), z(b'I')]));
    for part in join(&[long, z(b'I')]).chunks(5000) {
        drive.target(part);
    }
    assert_eq!(drive.heard(), "C Z(I) E(42501) Z(I)");
}

#[test]
fn rows_of_any_size_stream_through() {
    let large = frame(b'D', &vec![0; 8 << 20]);
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT big"));
    for part in large.chunks(16 * 1024) {
        drive.target(part);
        assert_eq!(drive.unread(Leg::Upstream), 0);
    }
    drive.target(&join(&[done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.seen.to_bot, join(&[large, done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.seen.ended[0].1.rows, 1);
}
