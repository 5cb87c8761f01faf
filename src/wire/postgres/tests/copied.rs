//! Copies to the bot in their three forms, as a server of version 15 sends them.

use super::*;
use crate::wire::CopyForm;

const TEXT: CopyForm = CopyForm::Text { delimiter: b'\t' };
const CSV: CopyForm = CopyForm::Csv { delimiter: b',', quote: b'"', escape: b'"' };

/// A copy of this form and so many columns has begun.
fn begun(form: CopyForm, null: &'static [u8], header: bool, columns: u16) -> Drive {
    let mut drive = Drive::copying(form, null, header);
    drive.bot(&q("COPY a TO STDOUT"));
    drive.target(&began(form == CopyForm::Binary, columns));
    drive.seen.to_bot.clear();
    drive
}

fn began(binary: bool, columns: u16) -> Vec<u8> {
    let format = u16::from(binary).to_be_bytes().repeat(usize::from(columns));
    frame(b'H', &[&[u8::from(binary)], &columns.to_be_bytes()[..], &format].concat())
}

/// What becomes of a copy's lines, each in a message of its own.
fn copy(
    form: CopyForm,
    null: &'static [u8],
    header: bool,
    columns: u16,
    lines: &[&str],
) -> Vec<String> {
    let mut drive = begun(form, null, header, columns);
    let lines: Vec<Vec<u8>> = lines.iter().map(|line| frame(b'd', line.as_bytes())).collect();
    drive.target(&join(&[lines.concat(), frame(b'c', b""), done("COPY 1"), z(b'I')]));
    assert_eq!(drive.seen.fault, None);
    assert!(drive.machine.idle());
    copied(&drive.seen.to_bot)
}

/// The contents of the messages with copied data.
fn copied(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some((&[tag, a, b, c, e], _)) = rest.split_first_chunk::<5>() {
        let (message, after) = rest.split_at(u32::from_be_bytes([a, b, c, e]) as usize + 1);
        rest = after;
        if tag == b'd' {
            lines.push(String::from_utf8_lossy(&message[5..]).into_owned());
        }
    }
    lines
}

fn faults(form: CopyForm, columns: u16, data: &[u8]) -> bool {
    let mut drive = begun(form, b"\\N", false, columns);
    drive.target(&frame(b'd', data));
    assert!(drive.seen.fault.is_none() || drive.seen.to_bot.is_empty());
    drive.seen.fault.is_some()
}

#[test]
fn text_is_read_and_written_with_its_escapes() {
    let lines = ["a\tsecret\n", "secret-null\t\\N\n", "\\N\tsecret-empty\n", "secret-quoted\tb\n"];
    let told = ["a\t[gone]!\n", "\\N\t\\N\n", "\\N\t\n", "a\\t,\"'\\\\\\n|;\tb\n"];
    assert_eq!(copy(TEXT, b"\\N", false, 2, &lines), told);
}

#[test]
fn values_of_text_are_shown_as_they_are_meant() {
    let mut drive = begun(TEXT, b"\\N", false, 3);
    drive.target(&frame(b'd', b"a\\tb\\\\c\\nd\\re\\b\\f\\vx\t\\N\t\n"));
    let value = b"a\tb\\c\nd\re\x08\x0c\x0bx".to_vec();
    assert_eq!(drive.editing().cells, [(0, value), (2, Vec::new())]);
    // What is kept stays as the server wrote it.
    assert_eq!(copied(&drive.seen.to_bot), ["a\\tb\\\\c\\nd\\re\\b\\f\\vx\t\\N\t\n"]);
    assert_eq!(drive.editing().rows, 1);
}

#[test]
fn text_may_have_its_own_delimiter_and_null() {
    let form = CopyForm::Text { delimiter: b'|' };
    let lines = ["secret-quoted|secret-null\n", "a\\|b|secret\n", "NA|x\n"];
    let told = ["a\\t,\"'\\\\\\n\\|;|NA\n", "a\\|b|[gone]!\n", "NA|x\n"];
    assert_eq!(copy(form, b"NA", false, 2, &lines), told);
}

#[test]
fn csv_is_read_and_written_with_its_quotes() {
    let lines = ["a,secret\n", "\"secret\",\"a,\"\"b\"\"\nc\"\n", "secret-null,\n"];
    let told = ["a,[gone]!\n", "[gone]!,\"a,\"\"b\"\"\nc\"\n", ",\n"];
    assert_eq!(copy(CSV, b"", false, 2, &lines), told);
    let lines = ["secret-quoted,secret-empty\n", "\\.,secret-dot\n"];
    let told = ["\"a\t,\"\"'\\\n|;\",\"\"\n", "\\.,\"\\.\"\n"];
    assert_eq!(copy(CSV, b"", false, 2, &lines), told);
}

#[test]
fn a_quoted_null_of_csv_is_a_value() {
    let mut drive = begun(CSV, b"NA", false, 4);
    drive.target(&frame(b'd', b"NA,\"NA\",,\"\"\n"));
    let cells = [(1, b"NA".to_vec()), (2, Vec::new()), (3, Vec::new())];
    assert_eq!(drive.editing().cells, cells);
    let told = copy(CSV, b"NA", false, 2, &["secret-na,secret-null\n"]);
    assert_eq!(told, ["\"NA\",NA\n"]);
}

#[test]
fn csv_may_have_its_own_marks() {
    let form = CopyForm::Csv { delimiter: b';', quote: b'\'', escape: b'\\' };
    let mut drive = begun(form, b"", false, 2);
    drive.target(&frame(b'd', b"'a\\'b\\\\c;\n';x\\y\n"));
    assert_eq!(drive.editing().cells, [(0, b"a'b\\c;\n".to_vec()), (1, b"x\\y".to_vec())]);
    let told = copy(form, b"", false, 2, &["secret-quoted;'secret'\n"]);
    assert_eq!(told, ["'a\t,\"\\'\\\\\n|;';[gone]!\n"]);
}

#[test]
fn a_header_is_not_a_row() {
    for (form, null, line) in [(TEXT, &b"\\N"[..], "secret\tb\n"), (CSV, b"", "secret,b\n")] {
        let mut drive = begun(form, null, true, 2);
        drive.target(&frame(b'd', line.as_bytes()).repeat(2));
        let told = copied(&drive.seen.to_bot);
        assert_eq!(told, [line.replace("secret", "[gone]!"), line.replace("secret", "[gone]!")]);
        assert_eq!((drive.editing().rows, drive.editing().cells.len()), (1, 2));
    }
    let names = "\"a\nb\",b\n";
    assert_eq!(copy(CSV, b"", true, 2, &[names, "a,b\n"]), [names, "a,b\n"]);
}

#[test]
fn the_next_copy_of_a_text_has_its_own_header() {
    let mut drive = begun(CSV, b"", true, 1);
    drive.target(&frame(b'd', b"secret\n").repeat(2));
    drive.target(&join(&[frame(b'c', b""), done("COPY 1"), began(false, 1)]));
    drive.target(&frame(b'd', b"secret\n").repeat(2));
    assert_eq!(copied(&drive.seen.to_bot), ["[gone]!\n"; 4]);
    assert_eq!(drive.editing().rows, 2);
}

#[test]
fn rows_without_columns_are_empty_lines() {
    for (form, null) in [(TEXT, &b"\\N"[..]), (CSV, b"")] {
        assert_eq!(copy(form, null, true, 0, &["\n", "\n", "\n"]), ["\n", "\n", "\n"]);
        let mut drive = begun(form, null, false, 0);
        drive.target(&frame(b'd', b"\n"));
        assert!(drive.editing().cells.is_empty());
    }
    assert!(faults(TEXT, 0, b"secret\n"));
    assert!(faults(TEXT, 0, b"\tsecret\n"));
}

#[test]
fn several_rows_in_a_message_are_several_rows() {
    let told = copy(TEXT, b"\\N", false, 1, &["a\nsecret\nb\n", "secret-null\n"]);
    assert_eq!(told, ["a\n[gone]!\nb\n", "\\N\n"]);
}

#[test]
fn rows_of_another_shape_are_not_believed() {
    for form in [TEXT, CopyForm::Csv { delimiter: b'\t', quote: b'"', escape: b'"' }] {
        assert!(!faults(form, 2, b"a\tsecret\n"));
        assert!(faults(form, 2, b"secret\n"), "too few columns");
        assert!(faults(form, 2, b"a\tb\tsecret\n"), "too many columns");
        assert!(faults(form, 2, b"a\tsecret"), "cut in the middle");
        assert!(faults(form, 2, b"\n"), "an empty line");
        assert!(!faults(form, 2, b""), "no row at all");
    }
    assert!(faults(TEXT, 1, b"a\\"), "an escape of nothing");
    assert!(faults(CSV, 1, b"\"secret\n"), "an open quote");
    assert!(faults(CSV, 1, b"\"a\"secret\n"), "a value behind its quotes");
}

/// A row of a binary copy.
fn tuple(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| value.len() as i32);
        out.extend(length.to_be_bytes());
        out.extend(value.unwrap_or_default());
    }
    out
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = &[255, 255];

#[test]
fn a_binary_copy_has_its_signature_before_the_first_row() {
    let mut drive = begun(CopyForm::Binary, b"", false, 2);
    let rows = |one: &[u8], two: Option<&[u8]>| {
        let first = [SIGNATURE, &tuple(&[Some(one), Some(b"x")])].concat();
        let second = tuple(&[None, two]);
        join(&[frame(b'd', &first), frame(b'd', &second), frame(b'd', END)])
    };
    drive.target(&rows(b"secret", Some(b"secret-null")));
    assert_eq!(drive.seen.to_bot, rows(b"[gone]!", None));
    drive.target(&join(&[frame(b'c', b""), done("COPY 2"), z(b'I')]));
    assert_eq!(drive.seen.fault, None);
    assert_eq!(drive.editing().rows, 2);
}

#[test]
fn an_empty_binary_copy_is_one_message() {
    let mut drive = begun(CopyForm::Binary, b"", false, 1);
    let all = join(&[frame(b'd', &[SIGNATURE, END].concat()), frame(b'c', b""), done("COPY 0")]);
    drive.target(&all);
    assert_eq!(drive.seen.to_bot, all);
    let mut drive = begun(CopyForm::Binary, b"", false, 0);
    let rows = join(&[frame(b'd', &[SIGNATURE, &[0, 0]].concat()), frame(b'd', END)]);
    drive.target(&rows);
    assert_eq!((&drive.seen.to_bot, drive.seen.fault), (&rows, None));
}

#[test]
fn a_binary_copy_may_be_extended() {
    let head = [&SIGNATURE[..11], &[0, 0, 0, 0, 0, 0, 0, 2, 9, 9]].concat();
    let mut drive = begun(CopyForm::Binary, b"", false, 1);
    drive.target(&frame(b'd', &[&head[..], &tuple(&[Some(b"secret")])].concat()));
    assert_eq!(drive.seen.to_bot[5..], [&head[..], &tuple(&[Some(b"[gone]!")])].concat());
}

#[test]
fn a_binary_copy_of_another_shape_is_not_believed() {
    let faults = |data: &[u8]| faults(CopyForm::Binary, 1, data);
    let secret = tuple(&[Some(b"secret")]);
    assert!(!faults(&[SIGNATURE, &secret].concat()));
    assert!(faults(&secret), "no signature");
    assert!(faults(b"PGCOPY"), "half a signature");
    assert!(faults(&[SIGNATURE, &tuple(&[Some(b"a"), Some(b"secret")])].concat()), "too many");
    assert!(faults(&[SIGNATURE, &tuple(&[])].concat()), "too few");
    assert!(faults(&[SIGNATURE, &secret[..9]].concat()), "cut in the middle");
    assert!(faults(&[SIGNATURE, &[0, 1, 255, 255, 255, 254]].concat()), "an impossible length");
    assert!(faults(&[SIGNATURE, END, &secret].concat()), "a row behind the end");
}

#[test]
fn rows_behind_a_binary_copys_end_are_not_believed() {
    let mut drive = begun(CopyForm::Binary, b"", false, 1);
    drive.target(&frame(b'd', &[SIGNATURE, END].concat()));
    drive.seen.to_bot.clear();
    drive.target(&frame(b'd', &tuple(&[Some(b"kept")])));
    assert!(drive.seen.fault.is_some() && drive.seen.to_bot.is_empty());
}

#[test]
fn a_copy_of_which_nothing_is_known_does_not_go_on() {
    let mut drive = Drive::showing();
    drive.bot(&q("COPY a TO STDOUT"));
    drive.target(&join(&[began(false, 1), frame(b'd', b"secret\n")]));
    assert_eq!(drive.heard(), "H");
    assert!(drive.seen.fault.is_some());
}

#[test]
fn a_copy_by_a_portal_is_shown_like_any_other() {
    let mut drive = Drive::copying(TEXT, b"\\N", false);
    drive.bot(&join(&[pbe("COPY a TO STDOUT"), sync()]));
    drive.target(&join(&[ok("12n"), began(false, 1), frame(b'd', b"secret\n").repeat(2)]));
    drive.target(&join(&[frame(b'c', b""), done("COPY 2"), z(b'I')]));
    assert_eq!(drive.heard(), "1 2 H d d c C Z(I)");
    assert_eq!(copied(&drive.seen.to_bot), ["[gone]!\n", "[gone]!\n"]);
    assert_eq!(drive.seen.ended[0].1.rows, 2);
}

#[test]
fn masked_cells_of_a_copy_count_and_names_in_its_first_line_do_not() {
    let csv = CopyForm::Csv { delimiter: b',', quote: b'"', escape: b'"' };
    let line = |text: &[u8]| frame(b'd', text);
    let row = |text: &[u8]| frame(b'd', &tuple(&[Some(text)]));
    let cases = [
        (TEXT, true, [line(b"secret\n"), line(b"secret\n"), line(b"a\n"), line(b"secret\n")]),
        (csv, true, [line(b"secret\n"), line(b"\"secret\"\n"), line(b"a\n"), line(b"secret\n")]),
        (
            CopyForm::Binary,
            false,
            [frame(b'd', SIGNATURE), row(b"secret"), row(b"a"), row(b"secret-null")],
        ),
    ];
    for (form, header, lines) in cases {
        let mut drive = begun(form, b"\\N", header, 1);
        drive.limit_masked(1);
        drive.target(&join(&[lines.concat(), line(b"a\n"), error("57014"), z(b'I')]));
        assert_eq!(drive.heard(), "d d d E(54000) Z(I)", "{form:?}");
        assert!(drive.machine.idle());
    }
}

#[test]
fn a_limit_of_rows_cuts_a_copy_that_is_shown() {
    let mut drive = begun(TEXT, b"\\N", false, 1);
    drive.limit_rows(2);
    drive.target(&join(&[frame(b'd', b"secret\n").repeat(4), error("57014"), z(b'I')]));
    assert_eq!(drive.heard(), "d d E(54000) Z(I)");
}
