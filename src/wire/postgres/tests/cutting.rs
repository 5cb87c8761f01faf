//! Results that are cut off at the limit of rows: what is withheld, what is said, what is undone.

use super::*;

/// A session that gets two rows of a result.
fn limited() -> Drive {
    let mut drive = Drive::relaying();
    drive.limit_rows(2);
    drive
}

fn rows(count: usize) -> Vec<u8> {
    row().repeat(count)
}

#[test]
fn as_many_rows_as_the_limit_says_pass_and_so_does_the_end() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[columns(), rows(2), done("SELECT 2"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D C Z(I)");
    assert_eq!(drive.cancels_wanted, 0);
    assert_eq!(error_codes(&drive.seen), [(1, None)]);
}

#[test]
fn the_error_that_the_cancel_brings_gives_way_to_ours() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[columns(), rows(5)]));
    assert_eq!((drive.heard().as_str(), drive.cancels_wanted), ("T D D", 1));
    assert!(drive.machine.cancel().is_some());
    drive.target(&join(&[rows(3), error("57014"), z(b'E')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(E)");
    let (number, outcome) = &drive.seen.ended[0];
    let bytes = drive.seen.to_bot.len() as u64;
    assert_eq!((*number, outcome.rows, outcome.answer_bytes), (1, 2, bytes));
    assert_eq!(outcome.error.as_deref(), Some("54000"));
}

#[test]
fn what_completes_all_the_same_is_told_to_have_failed() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1; SELECT 2"));
    drive.target(&join(&[columns(), rows(3), done("SELECT 3")]));
    drive.target(&join(&[columns(), rows(1), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(I)");
    assert_eq!(drive.got(), "Q");
    drive.bot(&q("SELECT 3"));
    assert_eq!(drive.got(), "Q Q");
}

#[test]
fn an_open_transaction_fails_although_the_command_completed() {
    let mut drive = limited();
    drive.bot(&q("BEGIN"));
    drive.target(&join(&[done("BEGIN"), z(b'T')]));
    drive.take();
    drive.bot(&q("UPDATE a RETURNING b"));
    drive.target(&join(&[columns(), rows(3), done("UPDATE 3"), z(b'T')]));
    assert_eq!(drive.heard(), "T D D E(54000)");
    assert_eq!(drive.got(), "Q Q!");
    drive.bot(&q("COMMIT"));
    drive.target(&join(&[error("42601"), z(b'E')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(E)");
    drive.target(&join(&[done("ROLLBACK"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D E(54000) Z(E) C Z(I)");
    assert_eq!(error_codes(&drive.seen), [(1, None), (2, Some("54000")), (3, None)]);
}

#[test]
fn the_rest_of_a_synced_batch_is_withheld() {
    let mut drive = limited();
    drive.bot(&join(&[pbe("SELECT 1"), pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), rows(3), done("SELECT 3")]));
    drive.target(&join(&[ok("12"), rows(1), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D D E(54000) Z(I)");
    assert_eq!(drive.got(), "P B E P B E S");
}

#[test]
fn an_open_batch_is_made_to_fail() {
    let mut drive = limited();
    drive.bot(&join(&[pbe("INSERT a RETURNING b"), flush()]));
    drive.target(&join(&[ok("12"), rows(3), done("INSERT 0 3")]));
    assert_eq!(drive.heard(), "1 2 D D E(54000)");
    assert_eq!(drive.got(), "P B E H P!");
    drive.bot(&join(&[pbe("SELECT 2"), sync()]));
    assert_eq!(drive.got(), "P B E H P! S");
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D D E(54000) Z(I)");
    drive.bot(&q("SELECT 3"));
    assert_eq!(drive.got(), "P B E H P! S Q");
}

#[test]
fn a_cancelled_batch_is_skipped_as_after_any_error() {
    let mut drive = limited();
    drive.bot(&join(&[pbe("SELECT 1"), pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), rows(3), error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D D E(54000) Z(I)");
    assert_eq!(error_codes(&drive.seen), [(2, Some("54000")), (4, Some("54000"))]);
}

#[test]
fn nothing_is_cancelled_while_later_batches_are_on_their_way() {
    let mut drive = limited();
    drive.bot(&join(&[pbe("SELECT 1"), sync(), pbe("SELECT 2"), sync()]));
    drive.target(&join(&[ok("12"), rows(3)]));
    assert_eq!(drive.cancels_wanted, 0);
    drive.target(&join(&[done("SELECT 3"), z(b'T'), ok("12"), row(), done("SELECT 1"), z(b'T')]));
    assert_eq!(drive.heard(), "1 2 D D E(54000) Z(T) 1 2 D C Z(T)");
    assert_eq!(drive.got(), "P B E S P B E S");
}

#[test]
fn commands_wait_while_a_result_is_cut_off_but_a_sync_does_not() {
    let mut drive = limited();
    drive.bot(&pbe("SELECT 1"));
    drive.target(&join(&[ok("12"), rows(3)]));
    drive.bot(&join(&[pbe("SELECT 2"), sync()]));
    assert_eq!(drive.got(), "P B E");
    assert_eq!(drive.seen.fault, None);

    let mut drive = limited();
    drive.bot(&pbe("SELECT 1"));
    drive.target(&join(&[ok("12"), rows(3)]));
    drive.bot(&sync());
    assert_eq!(drive.got(), "P B E S");
}

#[test]
fn a_portal_in_parts_counts_as_one_result() {
    let mut drive = limited();
    drive.bot(&join(&[p("", "SELECT 1"), b("c", ""), e("c"), flush()]));
    drive.target(&join(&[ok("12"), rows(1), ok("s")]));
    drive.bot(&join(&[e("c"), flush()]));
    drive.target(&join(&[rows(1), ok("s")]));
    drive.bot(&join(&[e("c"), sync()]));
    drive.target(&join(&[rows(1), ok("s"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D s D s E(54000) Z(I)");
}

#[test]
fn lines_of_a_copy_are_rows() {
    let mut drive = limited();
    drive.bot(&q("COPY a TO STDOUT"));
    drive.target(&frame(b'H', &[0, 0, 0]));
    drive.target(&join(&[frame(b'd', b"1\n").repeat(4), ok("c"), done("COPY 4"), z(b'I')]));
    assert_eq!(drive.heard(), "H d d E(54000) Z(I)");
}

#[test]
fn notices_and_settings_pass_while_a_result_is_withheld() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1; SET a = 1"));
    drive.target(&join(&[columns(), rows(3), frame(b'N', b"\0"), done("SELECT 3")]));
    drive.target(&join(&[frame(b'S', b"a\x001\0"), done("SET"), z(b'I')]));
    assert_eq!(drive.heard(), "T D D N E(54000) S Z(I)");
}

#[test]
fn a_copy_behind_a_cut_ends_the_session() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1; COPY a FROM STDIN"));
    drive.target(&join(&[columns(), rows(3), done("SELECT 3"), frame(b'G', &[0, 0, 0])]));
    assert!(drive.seen.fault.is_some());
}

#[test]
fn the_targets_last_words_pass_in_a_cut() {
    let mut drive = limited();
    drive.bot(&q("SELECT 1"));
    drive.target(&join(&[columns(), rows(3), severe("57P01", "FATAL")]));
    assert_eq!(drive.heard(), "T D D E(57P01)");
}

#[test]
fn a_row_that_does_not_fit_into_the_bytes_is_withheld_with_the_rest() {
    let whole = columns().len() + 3 * row().len();
    for (bytes, heard) in [
        (whole + done("SELECT 3").len(), "T D D D C Z(I)"),
        (whole, "T D D D C Z(I)"),
        (whole - 1, "T D D E(54000) Z(I)"),
        (whole - row().len(), "T D D E(54000) Z(I)"),
        (columns().len(), "T E(54000) Z(I)"),
        (1, "T E(54000) Z(I)"),
    ] {
        let mut drive = Drive::relaying();
        drive.limit_bytes(bytes);
        for _ in 0..2 {
            drive.bot(&q("SELECT 1"));
            drive.target(&join(&[columns(), rows(3), done("SELECT 3"), z(b'I')]));
        }
        assert_eq!(drive.heard(), [heard, heard].join(" "), "{bytes} bytes, each time anew");
    }
}

#[test]
fn the_first_of_two_limits_that_is_reached_cuts() {
    for (rows_max, bytes_max, heard) in [
        (2, usize::MAX >> 1, "T D D E(54000) Z(I)"),
        (9, columns().len() + row().len(), "T D E(54000) Z(I)"),
    ] {
        let mut drive = Drive::relaying();
        drive.limit_rows(rows_max);
        drive.limit_bytes(bytes_max);
        drive.bot(&q("SELECT 1"));
        drive.target(&join(&[columns(), rows(3), done("SELECT 3"), z(b'I')]));
        assert_eq!(drive.heard(), heard);
    }
}
