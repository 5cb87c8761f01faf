//! Simple queries, and refusals among them.

use super::*;

#[test]
fn a_query_and_its_answer_pass_unchanged() {
    let mut drive = Drive::relaying();
    let answer = join(&[columns(), row(), row(), done("SELECT 2"), z(b'I')]);
    drive.bot(&q("SELECT 1"));
    assert!(!drive.machine.idle());
    drive.target(&answer);
    assert_eq!(drive.seen.to_target, q("SELECT 1"));
    assert_eq!(drive.seen.to_bot, answer);
    let outcome = Outcome {
        rows: 2,
        answer_bytes: answer.len() as u64,
        error: None,
        tag: Some("SELECT 2".into()),
    };
    assert_eq!(drive.seen.ended, [(1, outcome)]);
    assert!(drive.machine.idle());
}

#[test]
fn several_commands_in_one_text_are_one_exchange() {
    let mut drive = Drive::relaying();
    drive.bot(&q("INSERT; SELECT 1; UPDATE"));
    drive.target(&join(&[
        done("INSERT 0 5"),
        columns(),
        row(),
        done("SELECT 1"),
        done("UPDATE 3"),
        z(b'I'),
    ]));
    let (number, outcome) = &drive.seen.ended[0];
    assert_eq!((*number, outcome.rows, outcome.tag.as_deref()), (1, 9, Some("UPDATE 3")));
}

#[test]
fn an_empty_text_is_answered_as_such() {
    let mut drive = Drive::relaying();
    drive.bot(&q(""));
    drive.target(&join(&[ok("I"), z(b'I')]));
    assert_eq!(drive.heard(), "I Z(I)");
    assert_eq!(drive.seen.ended, [(1, Outcome { answer_bytes: 11, ..Outcome::default() })]);
}

#[test]
fn an_error_of_the_server_is_the_outcome() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1/0"));
    drive.target(&join(&[columns(), error("22012"), z(b'I')]));
    assert_eq!(drive.heard(), "T E(22012) Z(I)");
    assert_eq!(error_codes(&drive.seen), [(1, Some("22012"))]);
}

#[test]
fn a_refusal_in_idle_state_is_answered_without_the_target() {
    let mut drive = Drive::relaying();
    drive.bot(&q("DROP TABLE t"));
    assert_eq!(drive.take(), ("E(42501) Z(I)".into(), String::new()));
    assert_eq!(error_codes(&drive.seen), [(1, Some("42501"))]);
    drive.bot(&q("SELECT 1"));
    assert_eq!(drive.got(), "Q");
}

#[test]
fn a_refusal_carries_severity_message_and_hint() {
    let mut drive = Drive::relaying();
    drive.bot(&q("DROP TABLE t"));
    let body = b"SERROR\0VERROR\0C42501\0Mno drops\0Hask first\0\0";
    assert_eq!(drive.seen.to_bot, join(&[frame(b'E', body), z(b'I')]));
}

#[test]
fn a_refusal_inside_a_transaction_makes_the_server_fail_it() {
    let mut drive = Drive::relaying();
    drive.bot(&q("BEGIN"));
    drive.target(&join(&[done("BEGIN"), z(b'T')]));
    drive.take();
    drive.bot(&q("DROP TABLE t"));
    assert_eq!(drive.take(), (String::new(), "Q!".into()));
    drive.target(&join(&[error("42601"), z(b'E')]));
    assert_eq!(drive.take(), ("E(42501) Z(E)".into(), String::new()));
    assert_eq!(error_codes(&drive.seen), [(1, None), (2, Some("42501"))]);
    assert!(!drive.machine.idle());
}

#[test]
fn a_refusal_in_a_failed_transaction_is_what_the_server_would_say() {
    let mut drive = Drive::relaying();
    drive.bot(&q("BEGIN; SELECT 1/0"));
    drive.target(&join(&[done("BEGIN"), error("22012"), z(b'E')]));
    drive.take();
    drive.bot(&q("ROLLBACK; DROP TABLE t"));
    assert_eq!(drive.take(), ("E(25P02) Z(E)".into(), String::new()));
}

#[test]
fn a_refusal_behind_unanswered_queries_waits_for_its_turn() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("SELECT 1"), q("DROP TABLE t"), q("SELECT 2")]));
    assert_eq!(drive.take(), (String::new(), "Q Q! Q".into()));
    drive.target(&join(&[columns(), row(), done("SELECT 1"), z(b'I')]));
    drive.target(&join(&[error("42601"), z(b'I'), columns(), row(), done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.heard(), "T D C Z(I) E(42501) Z(I) T D C Z(I)");
    assert_eq!(error_codes(&drive.seen), [(1, None), (2, Some("42501")), (3, None)]);
}

#[test]
fn whatever_error_a_poisoned_query_meets_the_bot_hears_the_refusal() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("SELECT 1"), q("DROP TABLE t")]));
    drive.target(&join(&[done("SELECT 1"), z(b'I'), error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "C Z(I) E(42501) Z(I)");
}

#[test]
fn a_poison_that_does_not_fail_ends_the_session() {
    for answer in [done("SELECT 1"), ok("I"), z(b'I'), row()] {
        let mut drive = Drive::relaying();
        drive.bot(&join(&[q("SELECT 1"), q("DROP TABLE t")]));
        drive.target(&join(&[done("SELECT 1"), z(b'I')]));
        drive.target(&answer);
        assert_eq!(drive.seen.fault.as_ref().map(|fault| fault.leg), Some(Leg::Upstream));
    }
}

#[test]
fn a_function_call_is_refused_and_answered_like_a_query() {
    let call = frame(b'F', &[0, 0, 4, 210, 0, 0, 0, 0, 0, 0]);
    let mut drive = Drive::relaying();
    drive.bot(&call);
    assert_eq!(drive.take(), ("E(0A000) Z(I)".into(), String::new()));
    assert_eq!(drive.seen.asked[0].text, "function call 1234");
    assert_eq!(drive.seen.asked[0].overruled, Some(RefusalKind::Unsupported));
    drive.bot(&q("BEGIN"));
    drive.target(&join(&[done("BEGIN"), z(b'T')]));
    drive.take();
    drive.bot(&call);
    drive.target(&join(&[error("42601"), z(b'E')]));
    assert_eq!(drive.take(), ("E(0A000) Z(E)".into(), "Q!".into()));
}

#[test]
fn a_text_that_is_too_large_is_refused_and_the_session_kept() {
    let large = q(&"x".repeat(crate::limits::STATEMENT_BYTES_MAX));
    let mut drive = Drive::relaying();
    for part in large.chunks(1 << 20) {
        drive.bot(part);
        assert!(drive.unread(Leg::Downstream) < 64 * 1024);
    }
    assert_eq!(drive.take(), ("E(54000) Z(I)".into(), String::new()));
    let asked = &drive.seen.asked[0];
    assert_eq!(asked.text.len(), crate::limits::REFUSED_TEXT_BYTES);
    assert_eq!(asked.text_bytes, crate::limits::STATEMENT_BYTES_MAX as u64);
    assert_eq!(asked.overruled, Some(RefusalKind::TooLarge));
    drive.bot(&q("SELECT 1"));
    assert_eq!(drive.got(), "Q");
}

#[test]
fn a_text_just_below_the_bound_is_judged_whole() {
    let text = "x".repeat(crate::limits::STATEMENT_BYTES_MAX - 1);
    let mut drive = Drive::relaying();
    drive.bot(&q(&text));
    assert_eq!(drive.seen.asked[0].text.len(), text.len());
    assert_eq!(drive.seen.asked[0].overruled, None);
}

#[test]
fn texts_end_exactly_where_their_message_ends() {
    for body in [&b"SELECT 1"[..], b"SELECT 1\0x", b"SELECT 1\0\0", b""] {
        let mut drive = Drive::relaying();
        drive.bot(&frame(b'Q', body));
        assert_eq!(drive.seen.fault.as_ref().map(|fault| fault.leg), Some(Leg::Downstream));
        assert_eq!(drive.seen.to_target, b"");
    }
}

#[test]
fn what_comes_unasked_passes_at_any_time() {
    let mut drive = Drive::relaying();
    let unasked = join(&[
        frame(b'A', b"\0\0\0\x01channel\0payload\0"),
        frame(b'N', b"SNOTICE\0C00000\0Mhello\0\0"),
        frame(b'S', b"TimeZone\0UTC\0"),
    ]);
    drive.target(&unasked);
    assert_eq!(drive.seen.to_bot, unasked);
    drive.bot(&q("SELECT 1"));
    drive.target(&unasked);
    drive.target(&join(&[done("SELECT 0"), z(b'I')]));
    assert_eq!(drive.seen.to_bot, join(&[unasked.clone(), unasked, done("SELECT 0"), z(b'I')]));
}

#[test]
fn text_behind_a_change_of_reading_waits_until_the_change_is_known() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("SET standard_conforming_strings = off"), q("SELECT 1")]));
    assert_eq!(drive.seen.asked.len(), 1);
    drive.target(&join(&[
        done("SET"),
        frame(b'S', b"standard_conforming_strings\0off\0"),
        z(b'I'),
    ]));
    assert_eq!(drive.seen.asked.len(), 2);
    assert!(!drive.machine.lexing().standard_strings);
    // A rollback could bring the old reading back, so pipelines stay slow from now on.
    drive.bot(&q("SELECT 2"));
    assert_eq!(drive.seen.asked.len(), 2);
    drive.target(&join(&[done("SELECT 1"), z(b'I')]));
    assert_eq!(drive.seen.asked.len(), 3);
}

#[test]
fn text_behind_code_that_nobody_reads_waits_as_well() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("DO 'any'"), q("SELECT 1")]));
    assert_eq!(drive.seen.asked.len(), 1);
    drive.target(&join(&[done("DO"), z(b'I')]));
    assert_eq!(drive.seen.asked.len(), 2);
}

#[test]
fn encodings_that_hide_quotes_are_unsafe() {
    let cases = [
        ("UTF8", true),
        ("SQL_ASCII", true),
        ("LATIN1", true),
        ("WIN1252", true),
        ("EUC_JP", true),
        ("SJIS", false),
        ("SHIFT_JIS_2004", false),
        ("BIG5", false),
        ("GBK", false),
        ("UHC", false),
        ("GB18030", false),
        ("JOHAB", false),
        ("KLINGON", false),
    ];
    for (name, is_safe) in cases {
        let mut drive = Drive::relaying();
        drive.target(&frame(b'S', format!("client_encoding\0{name}\0").as_bytes()));
        assert_eq!(drive.machine.lexing().safe_encoding, is_safe, "{name}");
    }
}

#[test]
fn a_goodbye_ends_the_session() {
    let mut drive = Drive::relaying();
    drive.bot(&frame(b'X', b""));
    assert!(drive.seen.finished);
    assert_eq!(drive.got(), "X");
}

#[test]
fn last_words_are_said_between_messages_only() {
    let mut drive = Drive::relaying();
    drive.farewell(Farewell::Killed);
    assert_eq!((drive.heard(), drive.got()), ("E(57P01)".into(), "X".into()));

    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    drive.take();
    drive.target(&row()[..8]);
    drive.farewell(Farewell::Killed);
    assert_eq!(drive.seen.to_bot, row()[..8]);
    assert_eq!(drive.got(), "X");
}

#[test]
fn a_fatal_error_of_the_server_is_the_last_word() {
    let mut drive = Drive::relaying();
    drive.bot(&q("SELECT 1"));
    drive.take();
    drive.target(&severe("57P01", "FATAL"));
    drive.farewell(Farewell::TargetUnreachable);
    assert_eq!(drive.take(), ("E(57P01)".into(), String::new()));
    assert_eq!(error_codes(&drive.seen), [(1, Some("57P01"))]);
}
