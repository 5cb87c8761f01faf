//! COPY in both directions and in both protocols.

use super::*;

fn copy_in() -> Vec<u8> {
    frame(b'G', &[0, 0, 0])
}

fn line() -> Vec<u8> {
    frame(b'd', b"1\tone\n")
}

fn copy_done() -> Vec<u8> {
    frame(b'c', b"")
}

#[test]
fn a_copy_out_streams_and_counts_by_its_tag() {
    let mut drive = Drive::relaying();
    let answer =
        join(&[frame(b'H', &[0, 0, 0]), line().repeat(3), copy_done(), done("COPY 3"), z(b'I')]);
    drive.bot(&q("COPY t TO STDOUT"));
    drive.target(&answer);
    assert_eq!(drive.seen.to_bot, answer);
    assert_eq!(drive.seen.ended[0].1.rows, 3);
    assert_eq!(drive.seen.ended[0].1.answer_bytes, answer.len() as u64);
}

#[test]
fn a_copy_in_streams_in_pieces_of_any_size() {
    let mut drive = Drive::relaying();
    drive.bot(&q("COPY t FROM STDIN"));
    drive.target(&copy_in());
    let large = frame(b'd', &vec![b'x'; 1 << 20]);
    for part in large.chunks(4096) {
        drive.bot(part);
        assert_eq!(drive.unread(Leg::Downstream), 0, "nothing is kept back");
    }
    drive.bot(&copy_done());
    drive.target(&join(&[done("COPY 1"), z(b'I')]));
    assert_eq!((drive.got(), drive.heard()), ("Q d c".into(), "G C Z(I)".into()));
    assert!(drive.machine.idle());
}

#[test]
fn syncs_that_the_copy_swallows_have_no_answer() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("COPY t FROM STDIN"), sync()]));
    drive.target(&join(&[ok("12"), copy_in()]));
    drive.bot(&join(&[line(), flush(), sync(), line(), copy_done(), sync()]));
    drive.target(&join(&[done("COPY 2"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 G C Z(I)");
    assert_eq!(drive.seen.fault, None);
    assert!(drive.machine.idle());
    drive.take();
    drive.bot(&q("DROP TABLE t"));
    assert_eq!(drive.heard(), "E(42501) Z(I)", "nothing is believed to be in flight");
}

#[test]
fn a_whole_copy_can_be_sent_without_waiting() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[
        pbe("COPY t FROM STDIN"),
        line(),
        copy_done(),
        sync(),
        pbe("SELECT 1"),
        sync(),
    ]));
    drive.target(&join(&[ok("12"), copy_in(), done("COPY 1"), z(b'I')]));
    drive.target(&join(&[ok("12"), row(), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 G C Z(I) 1 2 D C Z(I)");
    assert!(drive.machine.idle());
}

#[test]
fn a_text_may_copy_twice() {
    let mut drive = Drive::relaying();
    drive.bot(&q("COPY a FROM STDIN; SELECT 1; COPY b FROM STDIN"));
    drive.target(&copy_in());
    drive.bot(&join(&[line(), copy_done()]));
    drive.target(&join(&[done("COPY 1"), columns(), row(), done("SELECT 1"), copy_in()]));
    drive.bot(&join(&[line(), line(), copy_done()]));
    drive.target(&join(&[done("COPY 2"), z(b'I')]));
    assert_eq!(drive.heard(), "G C T D C G C Z(I)");
    assert_eq!(drive.seen.ended[0].1.rows, 4);
}

#[test]
fn a_bot_may_fail_its_copy() {
    let mut drive = Drive::relaying();
    drive.bot(&q("COPY t FROM STDIN"));
    drive.target(&copy_in());
    drive.bot(&frame(b'f', b"changed my mind\0"));
    drive.target(&join(&[error("57014"), z(b'I')]));
    assert_eq!((drive.got(), drive.heard()), ("Q f".into(), "G E(57014) Z(I)".into()));
    assert!(drive.machine.idle());
}

#[test]
fn data_behind_a_failed_copy_is_harmless() {
    let mut drive = Drive::relaying();
    drive.bot(&q("COPY t FROM STDIN"));
    drive.target(&join(&[copy_in(), error("22P02"), z(b'I')]));
    drive.bot(&join(&[line(), line(), copy_done(), q("SELECT 1")]));
    drive.target(&join(&[columns(), row(), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "G E(22P02) Z(I) T D C Z(I)");
    assert!(drive.machine.idle());
}

#[test]
fn data_outside_any_copy_is_dropped() {
    let mut drive = Drive::relaying();
    let large = frame(b'd', &[0; 50_000]);
    for part in join(&[large, copy_done(), frame(b'f', b"no\0"), q("SELECT 1")]).chunks(1000) {
        drive.bot(part);
    }
    assert_eq!(drive.got(), "Q");
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn a_failed_copy_in_a_batch_skips_to_the_sync_behind_it() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("COPY t FROM STDIN"), sync()]));
    drive.target(&join(&[ok("12"), copy_in()]));
    drive.bot(&line());
    drive.target(&error("22P02"));
    drive.bot(&join(&[line(), copy_done(), sync()]));
    drive.target(&z(b'I'));
    assert_eq!(drive.heard(), "1 2 G E(22P02) Z(I)");
    drive.bot(&q("SELECT 1"));
    assert_eq!(drive.got(), "P B E S d S Q");
    drive.target(&join(&[done("SELECT 0"), z(b'I')]));
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn a_copy_that_failed_before_its_sync_was_read_is_ready_twice() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("COPY t FROM STDIN"), sync()]));
    drive.target(&join(&[ok("12"), copy_in(), error("P0001"), z(b'I')]));
    drive.bot(&join(&[line(), copy_done(), sync()]));
    drive.target(&z(b'I'));
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[done("SELECT 0"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 G E(P0001) Z(I) Z(I) C Z(I)");
    assert_eq!(drive.seen.fault, None);
}

#[test]
fn a_refused_copy_in_a_batch_drops_its_data() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("COPY t FROM STDIN DROP"), line(), copy_done(), sync()]));
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!((drive.got(), drive.heard()), ("P! S".into(), "E(42501) Z(I)".into()));
}

#[test]
fn a_command_inside_a_copy_ends_the_session() {
    for command in [q("SELECT 1"), p("", "SELECT 1"), b("", ""), e(""), frame(b'F', b"1234")] {
        let mut drive = Drive::relaying();
        drive.bot(&q("COPY t FROM STDIN"));
        drive.target(&copy_in());
        drive.bot(&command);
        assert_eq!(drive.seen.fault.as_ref().map(|fault| fault.leg), Some(Leg::Downstream));
        assert_eq!(drive.got(), "Q");
    }
}

#[test]
fn data_outside_a_copy_out_is_a_lie() {
    for answer in [line(), copy_done(), frame(b'W', &[0, 0, 0])] {
        let mut drive = Drive::relaying();
        drive.bot(&q("SELECT 1"));
        drive.target(&answer);
        assert_eq!(drive.seen.fault.as_ref().map(|fault| fault.leg), Some(Leg::Upstream));
        assert_eq!(drive.heard(), "");
    }
}
