//! The extended protocol: pipelines, names, portals, and refusals at each place in them.

use super::*;

fn bound() -> Vec<u8> {
    ok("12")
}

fn one_row() -> Vec<u8> {
    join(&[row(), done("SELECT 1")])
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    frame(b'C', &[&[kind], name.as_bytes(), b"\0"].concat())
}

fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(b'D', &[&[kind], name.as_bytes(), b"\0"].concat())
}

/// Text, whether it was known by name, and whether it was refused.
fn judged(drive: &Drive) -> Vec<(&str, bool, bool)> {
    drive.seen.asked.iter().map(|q| (q.text.as_str(), q.known, q.denied)).collect()
}

/// Declares `name` as prepared for `text`, all answered.
fn prepare(drive: &mut Drive, name: &str, text: &str) {
    drive.bot(&join(&[p(name, text), sync()]));
    drive.target(&join(&[ok("1"), z(b'I')]));
    drive.take();
    drive.seen.asked.clear();
    drive.seen.ended.clear();
}

#[test]
fn a_statement_is_judged_when_prepared_and_when_bound() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("SELECT 1"), sync()]));
    drive.target(&join(&[bound(), one_row(), z(b'I')]));
    assert_eq!((drive.heard(), drive.got()), ("1 2 D C Z(I)".into(), "P B E S".into()));
    assert_eq!(judged(&drive), [("SELECT 1", false, false), ("SELECT 1", true, false)]);
    assert_eq!(drive.seen.asked[0].purpose, Purpose::Prepare);
    assert_eq!(drive.seen.asked[1].purpose, Purpose::Run);
    let answer = ok("2").len() + one_row().len();
    let outcome =
        Outcome { rows: 1, answer_bytes: answer as u64, error: None, tag: Some("SELECT 1".into()) };
    assert_eq!(drive.seen.ended, [(2, outcome)]);
    assert!(drive.machine.idle());
}

#[test]
fn a_flush_passes_before_any_sync() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("s", "SELECT 1"), describe(b'S', "s"), flush()]));
    drive.target(&join(&[ok("1"), frame(b't', &[0, 0]), columns()]));
    assert_eq!((drive.heard(), drive.got()), ("1 t T".into(), "P D H".into()));
    assert!(!drive.machine.idle());
    drive.bot(&sync());
    drive.target(&z(b'I'));
    assert!(drive.machine.idle());
}

#[test]
fn a_refused_parse_fails_in_the_server_in_its_place() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("INSERT"), pbe("DROP TABLE t"), pbe("SELECT 2"), sync()]));
    assert_eq!(drive.got(), "P B E P! S");
    drive.target(&join(&[bound(), done("INSERT 0 1"), error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 C E(42501) Z(I)");
    assert_eq!(error_codes(&drive.seen), [(2, None), (3, Some("42501"))]);
    drive.take();
    drive.bot(&join(&[pbe("SELECT 3"), sync()]));
    assert_eq!(drive.got(), "P B E S");
}

#[test]
fn a_poisoned_parse_leaves_the_unnamed_statement_alone() {
    let mut drive = Drive::relaying();
    drive.bot(&p("", "DROP TABLE t"));
    let name = drive.seen.to_target[5..].split(|byte| *byte == 0).next().unwrap().to_vec();
    assert!(!name.is_empty());
}

#[test]
fn a_refusal_is_answered_at_a_flush_without_a_sync() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("s", "DROP TABLE t"), describe(b'S', "s"), flush()]));
    assert_eq!(drive.got(), "P!");
    drive.target(&error("42601"));
    assert_eq!(drive.heard(), "E(42501)");
    drive.bot(&sync());
    drive.target(&z(b'I'));
    assert_eq!((drive.heard(), drive.got()), ("E(42501) Z(I)".into(), "P! S".into()));
}

#[test]
fn a_statement_refused_when_bound_fails_in_its_place() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "s", "SELECT at run");
    drive.bot(&join(&[pbe("SELECT 1"), b("", "s"), e(""), sync()]));
    assert_eq!(drive.got(), "P B E P! S");
    drive.target(&join(&[bound(), one_row(), error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 D C E(42501) Z(I)");
}

#[test]
fn one_failed_batch_has_one_error() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("SELECT 1/0"), pbe("DROP TABLE t"), pbe("SELECT 2"), sync()]));
    assert_eq!(drive.got(), "P B E P! S");
    drive.target(&join(&[bound(), error("22012"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 E(22012) Z(I)");
    assert_eq!(error_codes(&drive.seen), [(2, Some("22012")), (3, Some("22012"))]);
}

#[test]
fn refusals_in_several_batches_keep_their_order() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("DROP a"), sync(), pbe("SELECT 1"), sync(), pbe("DROP b"), sync()]));
    assert_eq!(drive.got(), "P! S P B E S P! S");
    drive.target(&join(&[error("42601"), z(b'I'), bound(), one_row(), z(b'I')]));
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "E(42501) Z(I) 1 2 D C Z(I) E(42501) Z(I)");
}

#[test]
fn everything_up_to_the_sync_is_dropped_after_a_refusal() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[
        p("", "DROP TABLE t"),
        p("kept_out", "SELECT 1"),
        b("", ""),
        e(""),
        close(b'S', "x"),
        q("SELECT 1"),
        frame(b'd', b"data"),
        flush(),
        sync(),
        b("", "kept_out"),
    ]));
    assert_eq!(drive.got(), "P! S P!");
    assert!(drive.seen.asked.last().unwrap().unseen, "the dropped Parse bound no name");
}

#[test]
fn what_the_server_skips_is_not_even_judged_once_its_error_is_here() {
    let mut drive = Drive::relaying();
    drive.bot(&pbe("SELECT 1/0"));
    drive.target(&join(&[bound(), error("22012")]));
    drive.bot(&join(&[pbe("DROP a"), q("DROP b"), sync()]));
    assert_eq!(drive.seen.asked.len(), 2);
    drive.target(&z(b'I'));
    assert_eq!((drive.heard(), drive.got()), ("1 2 E(22012) Z(I)".into(), "P B E S".into()));
}

#[test]
fn a_refused_query_in_an_open_batch_aborts_what_the_batch_did() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("INSERT"), flush()]));
    drive.target(&join(&[bound(), done("INSERT 0 1")]));
    drive.take();
    drive.bot(&q("DROP TABLE t"));
    assert_eq!(drive.got(), "Q!", "the implicit transaction is still open");
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "E(42501) Z(I)");
}

#[test]
fn each_parse_is_told_of_in_turn_and_a_refused_one_with_its_error() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("a", "SELECT 1"), p("b", "SELEKT"), p("c", "SELECT 2"), sync()]));
    drive.target(&join(&[ok("1"), error("42601"), z(b'I')]));
    let answer_bytes = error("42601").len() as u64;
    let refused = Outcome { answer_bytes, error: Some("42601".into()), ..Outcome::default() };
    assert_eq!(drive.seen.prepared, [None, Some(refused), None]);
    assert!(drive.seen.ended.is_empty() && drive.machine.idle());
}

#[test]
fn a_failed_parse_binds_no_name() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("s", "SELECT syntax"), sync()]));
    drive.target(&join(&[error("42601"), z(b'I')]));
    drive.bot(&join(&[b("", "s"), sync()]));
    assert!(drive.seen.asked[1].unseen);
    assert_eq!(drive.machine.named("s").map(|facts| facts.effects), None);
}

#[test]
fn across_a_sync_an_unanswered_parse_may_have_failed() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "s", "SELECT old at run");
    drive.bot(&join(&[p("s", "SELECT new"), sync(), b("", "s"), e(""), sync()]));
    let bind = &drive.seen.asked[1];
    assert!(bind.known && bind.text == "SELECT new");
    let facts = drive.machine.named("s").unwrap();
    assert_eq!(facts.fingerprint, {
        let (old, new) = ("SELECT old at run".len() as u64, "SELECT new".len() as u64);
        new.rotate_left(1) ^ old
    });
    // Now it is known to have failed: only the old text is left.
    drive.target(&join(&[error("42P05"), z(b'I')]));
    assert_eq!(drive.machine.named("s").unwrap().fingerprint, "SELECT old at run".len() as u64);
}

#[test]
fn a_closed_name_can_be_used_anew() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "s", "SELECT old");
    drive.bot(&join(&[close(b'S', "s"), p("s", "SELECT new"), b("", "s"), e(""), sync()]));
    drive.target(&join(&[ok("312"), one_row(), z(b'I')]));
    assert_eq!(drive.seen.asked[1].text, "SELECT new");
    assert_eq!(drive.machine.named("s").unwrap().fingerprint, "SELECT new".len() as u64);
    drive.bot(&join(&[close(b'S', "s"), sync()]));
    drive.target(&join(&[ok("3"), z(b'I')]));
    assert!(drive.machine.named("s").is_none());
}

#[test]
fn statements_prepared_by_sql_run_by_message_and_by_sql() {
    let mut drive = Drive::relaying();
    drive.bot(&q("PREPARE s AS SELECT 1"));
    drive.target(&join(&[done("PREPARE"), z(b'I')]));
    drive.bot(&join(&[b("", "s"), e(""), sync()]));
    assert_eq!(judged(&drive)[1], ("PREPARE s AS SELECT 1", true, false));
    drive.target(&join(&[ok("2"), one_row(), z(b'I')]));
    drive.bot(&q("EXECUTE s"));
    assert!(!drive.seen.asked[2].denied);
    drive.bot(&q("EXECUTE unseen"));
    assert!(drive.seen.asked[3].denied);
}

#[test]
fn sql_can_rebind_a_name_that_was_parsed() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "s", "SELECT 1");
    drive.bot(&q("DEALLOCATE s; PREPARE s AS SELECT 2"));
    drive.target(&join(&[done("DEALLOCATE"), done("PREPARE"), z(b'I')]));
    let facts = drive.machine.named("s").unwrap();
    assert!(facts.definitions.len() == 1, "both meanings are joined");
    drive.bot(&join(&[b("", "s"), sync()]));
    assert_eq!(judged(&drive).last().unwrap().0, "DEALLOCATE s; PREPARE s AS SELECT 2");
}

#[test]
fn a_definition_inside_a_portal_counts_when_the_portal_runs() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[q("BEGIN")]));
    drive.target(&join(&[done("BEGIN"), z(b'T')]));
    drive.bot(&join(&[
        p("d", "PREPARE s AS SELECT 2"),
        b("late", "d"),
        p("s", "SELECT 1"),
        sync(),
    ]));
    drive.target(&join(&[ok("121"), z(b'T')]));
    assert!(drive.machine.named("s").unwrap().definitions.is_empty());
    drive.bot(&join(&[e("late"), sync()]));
    assert!(!drive.machine.named("s").unwrap().definitions.is_empty());
}

#[test]
fn everything_is_forgotten_with_discard_all() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "s", "SELECT 1");
    drive.bot(&q("DISCARD ALL"));
    drive.target(&join(&[done("DISCARD ALL"), z(b'I')]));
    assert!(drive.machine.named("s").is_none());
}

#[test]
fn a_cursor_means_what_it_was_last_declared_for() {
    let mut drive = Drive::relaying();
    for round in 0..200 {
        drive.bot(&q(&format!("DECLARE c CURSOR FOR SELECT {round}")));
        drive.target(&join(&[done("DECLARE CURSOR"), z(b'T')]));
    }
    let facts = drive.machine.named("c").unwrap();
    assert_eq!(facts.unknown, None);
    assert_eq!(facts.definitions.len(), 1);
    drive.bot(&join(&[e("c"), sync()]));
    let asked = drive.seen.asked.last().unwrap();
    assert_eq!((asked.text.as_str(), asked.known), ("DECLARE c CURSOR FOR SELECT 199", true));
    drive.target(&join(&[one_row(), z(b'T')]));
    assert_eq!(drive.seen.ended.last().unwrap().1.rows, 1);
}

#[test]
fn a_portal_read_in_parts_is_one_exchange() {
    let mut drive = Drive::relaying();
    drive.bot(&q("BEGIN"));
    drive.target(&join(&[done("BEGIN"), z(b'T')]));
    drive.bot(&join(&[p("", "SELECT many"), b("c", ""), e("c"), sync()]));
    drive.target(&join(&[bound(), row(), row(), ok("s"), z(b'T')]));
    drive.bot(&join(&[e("c"), sync()]));
    drive.target(&join(&[row(), done("SELECT 1"), z(b'T')]));
    assert_eq!(drive.seen.asked.len(), 3);
    let (number, outcome) = drive.seen.ended.last().unwrap();
    assert_eq!((*number, outcome.rows, drive.seen.ended.len()), (3, 3, 2));
    // Once it has ended, running it again is judged again.
    drive.bot(&join(&[e("c"), sync()]));
    assert_eq!(judged(&drive)[3], ("SELECT many", true, false));
}

#[test]
fn portals_that_never_ran_end_with_their_transaction() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("", "SELECT 1"), b("a", ""), b("b", ""), e("b"), sync()]));
    drive.target(&join(&[ok("122"), one_row(), z(b'I')]));
    let ended: Vec<_> = drive.seen.ended.iter().map(|(n, o)| (*n, o.tag.is_some())).collect();
    assert_eq!(ended, [(3, true), (2, false)]);
}

#[test]
fn a_portal_bound_anew_or_closed_ends_its_exchange() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("s", "SELECT 1"), b("", "s"), b("", "s"), close(b'P', ""), sync()]));
    drive.target(&join(&[ok("12"), ok("2")]));
    assert_eq!(error_codes(&drive.seen), [(2, None)]);
    drive.target(&join(&[ok("3"), z(b'I')]));
    assert_eq!(error_codes(&drive.seen), [(2, None), (3, None)]);
}

#[test]
fn unknown_names_are_judged_as_unseen_and_refused_as_missing() {
    for (message, code) in [(e("nobody"), "34000"), (b("", "nobody"), "26000")] {
        let mut drive = Drive::relaying();
        drive.bot(&join(&[message, sync()]));
        assert!(drive.seen.asked[0].unseen);
        assert_eq!(drive.got(), "P! S");
        drive.target(&join(&[error("42601"), z(b'I')]));
        assert_eq!(drive.heard(), format!("E({code}) Z(I)"));
    }
}

#[test]
fn long_names_that_the_server_would_cut_are_refused() {
    let long = "n".repeat(64);
    for message in [p(&long, "SELECT 1"), b(&long, ""), b("", &long), e(&long)] {
        let mut drive = Drive::relaying();
        drive.bot(&message);
        assert_eq!(drive.seen.asked[0].overruled, Some(RefusalKind::Unsupported));
        assert_eq!(drive.got(), "P!");
    }
}

#[test]
fn a_session_holds_so_many_names_and_no_more() {
    let mut drive = Drive::relaying();
    for number in 0..crate::limits::NAMES_MAX {
        drive.bot(&join(&[p(&format!("s{number}"), "SELECT 1"), sync()]));
        drive.target(&join(&[ok("1"), z(b'I')]));
    }
    drive.take();
    drive.bot(&join(&[p("s7", "SELECT 2"), sync()]));
    assert_eq!(drive.take().1, "P S", "a name that is held already takes no more room");
    drive.target(&join(&[error("42P05"), z(b'I')]));
    drive.take();
    drive.bot(&p("more", "SELECT 1"));
    assert_eq!(drive.got(), "P!");
    assert_eq!(drive.seen.asked.last().unwrap().overruled, Some(RefusalKind::TooLarge));
}

fn bind_with(formats: &[u16], values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = b"\0\0".to_vec();
    body.extend((formats.len() as u16).to_be_bytes());
    body.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
        body.extend(value.unwrap_or_default());
    }
    body.extend([0, 0]);
    frame(b'B', &body)
}

fn parameters(bind: &[u8]) -> Vec<Parameter> {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[p("", "SELECT $1"), bind.to_vec()]));
    assert_eq!(drive.seen.fault, None);
    assert_eq!(drive.seen.to_target, join(&[p("", "SELECT $1"), bind.to_vec()]));
    drive.seen.asked[1].parameters.clone()
}

#[test]
fn parameters_are_shown_in_their_format() {
    use Parameter::{Binary, Null, Text};
    let values: &[Option<&[u8]>] = &[Some(b"a"), None, Some(b"\xff\x01"), Some(b"")];
    let text = |text: &str| Text(text.to_owned());
    let hex = |hex: &str| Binary(hex.to_owned());
    assert_eq!(parameters(&bind_with(&[], values)), [text("a"), Null, hex("ff01"), text("")]);
    assert_eq!(parameters(&bind_with(&[1], values)), [hex("61"), Null, hex("ff01"), hex("")]);
    let mixed = bind_with(&[1, 0, 0, 0], values);
    assert_eq!(parameters(&mixed), [hex("61"), Null, hex("ff01"), text("")]);
}

#[test]
fn a_bind_may_carry_as_many_parameters_as_two_bytes_count() {
    let values = vec![None; 65_535];
    let bind = bind_with(&[], &values);
    let shown = parameters(&bind);
    let window = crate::limits::BIND_WINDOW_BYTES;
    let within = (window - 6) / 4;
    assert_eq!(shown.len(), within + 1);
    let rest = bind.len() - 5 - window;
    assert_eq!(shown.last(), Some(&Parameter::Long(rest as u64)));
}

#[test]
fn long_parameters_stream_through() {
    let long = vec![b'x'; 1 << 20];
    let bind = bind_with(&[], &[Some(b"first"), Some(&long), Some(b"last")]);
    let shown = parameters(&bind);
    assert_eq!(shown[0], Parameter::Text("first".into()));
    assert_eq!(shown[1], Parameter::Long(1 << 20));
    assert_eq!(shown[2], Parameter::Long(4 + 4 + 2));
}

#[test]
fn a_long_bind_that_is_refused_is_thrown_away_whole() {
    let mut drive = Drive::relaying();
    prepare(&mut drive, "", "SELECT at run");
    let bind = bind_with(&[], &[Some(&vec![b'x'; 1 << 20])]);
    for part in join(&[bind, e(""), sync()]).chunks(10_000) {
        drive.bot(part);
    }
    assert_eq!(drive.got(), "P! S");
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "E(42501) Z(I)");
}

#[test]
fn a_large_parse_is_refused_in_the_extended_way() {
    let mut drive = Drive::relaying();
    let large = p("s", &"x".repeat(crate::limits::STATEMENT_BYTES_MAX));
    drive.bot(&join(&[large, b("", "s"), sync()]));
    assert_eq!(drive.got(), "P! S");
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "E(54000) Z(I)");
}

#[test]
fn malformed_binds_end_the_session() {
    let good = bind_with(&[], &[Some(b"abc")]);
    let body = &good[5..];
    let mut too_long_value = body.to_vec();
    too_long_value[9] = 200;
    let mut negative = body.to_vec();
    negative[6..10].copy_from_slice(&(-2_i32).to_be_bytes());
    let two_formats_for_one = bind_with(&[0, 0], &[Some(b"abc")]);
    let cases = [
        frame(b'B', &body[..body.len() - 1]),
        frame(b'B', &[body, b"x"].concat()),
        frame(b'B', &too_long_value),
        frame(b'B', &negative),
        frame(b'B', b""),
        frame(b'B', b"no end"),
        two_formats_for_one,
    ];
    for message in cases {
        let mut drive = Drive::relaying();
        drive.bot(&join(&[p("", "SELECT $1"), message.clone()]));
        assert_eq!(drive.seen.fault.as_ref().map(|f| f.leg), Some(Leg::Downstream), "{message:?}");
        assert_eq!(drive.got(), "P");
    }
}

#[test]
fn a_bot_that_asks_without_end_has_to_wait() {
    let mut drive = Drive::relaying();
    let describe = describe(b'S', "s");
    drive.bot(&describe.repeat(crate::limits::PENDING_MAX + 10));
    assert_eq!(drive.unread(Leg::Downstream), 10 * describe.len());
    drive.target(&join(&[frame(b't', &[0, 0]), ok("n")]));
    assert_eq!(drive.unread(Leg::Downstream), 9 * describe.len());
}

#[test]
fn text_in_a_batch_that_changed_its_reading_counts_as_unreadable() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[
        pbe("SET standard_conforming_strings = off"),
        p("", "SELECT 1"),
        sync(),
        p("", "SELECT 2"),
    ]));
    let safe: Vec<bool> = drive.seen.asked.iter().map(|asked| asked.safe_encoding).collect();
    assert_eq!(safe, [true, true, false]);
    assert_eq!(drive.got(), "P B E P S", "the next batch waits for the answer");
    drive.target(&join(&[bound(), done("SET"), ok("1")]));
    drive.target(&join(&[frame(b'S', b"standard_conforming_strings\0off\0"), z(b'I')]));
    assert_eq!(drive.seen.asked.len(), 4);
    assert!(drive.seen.asked[3].safe_encoding && !drive.machine.lexing().standard_strings);
}

#[test]
fn an_error_at_the_end_of_a_batch_leaves_the_next_alone() {
    let mut drive = Drive::relaying();
    drive.bot(&join(&[pbe("INSERT"), sync(), pbe("SELECT 1"), sync()]));
    drive.target(&join(&[bound(), done("INSERT 0 1"), error("23503"), z(b'I')]));
    drive.target(&join(&[bound(), one_row(), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 C E(23503) Z(I) 1 2 D C Z(I)");
}

#[test]
fn long_pipelines_of_unnamed_statements_find_room() {
    let mut drive = Drive::relaying();
    let rounds = crate::limits::PENDING_MAX / 3;
    drive.bot(&pbe("SELECT 1").repeat(rounds));
    assert!(drive.seen.asked.iter().all(|asked| !asked.denied));
    drive.bot(&sync());
    for _ in 0..rounds {
        drive.target(&join(&[bound(), one_row()]));
    }
    drive.target(&z(b'I'));
    assert!(drive.machine.idle());
    assert_eq!(drive.seen.ended.len(), rounds);
}

#[test]
fn texts_held_by_name_have_a_bound_together() {
    let mut drive = Drive::relaying();
    let text = "x".repeat(crate::limits::STATEMENT_BYTES_MAX - 100);
    for name in ["a", "b"] {
        drive.bot(&join(&[p(name, &text), sync()]));
        drive.target(&join(&[ok("1"), z(b'I')]));
    }
    drive.take();
    drive.bot(&join(&[p("c", &text), sync()]));
    assert_eq!(drive.take().1, "P! S");
    drive.target(&join(&[error("42601"), z(b'I')]));
    assert_eq!(drive.heard(), "E(54000) Z(I)");
    drive.bot(&join(&[close(b'S', "a"), sync()]));
    drive.target(&join(&[ok("3"), z(b'I')]));
    drive.take();
    drive.bot(&p("c", &text));
    assert_eq!(drive.got(), "P");
}
