//! Messages whose values are replaced: lengths fit, everything else stays.

use super::showing::{d, t, values};
use super::*;

/// What becomes of a target's message outside of any command.
fn aside(message: &[u8]) -> Vec<u8> {
    let mut drive = Drive::showing();
    drive.target(message);
    assert_eq!(drive.seen.fault, None);
    drive.seen.to_bot
}

fn row(values: &[&str]) -> Vec<u8> {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&t(&vec![5; values.len()]));
    drive.seen.to_bot.clear();
    drive.target(&d(values));
    assert_eq!(drive.seen.fault, None);
    drive.seen.to_bot
}

#[test]
fn cells_are_replaced_whatever_their_length_and_place() {
    let all = ["secret", "secret-short", "secret-empty", "secret-null", "", "-", "kept"];
    let told = ["[gone]!", "*", "", "-", "", "-", "kept"];
    assert_eq!(row(&all), d(&told));
    assert_eq!(row(&["a", "secret"]), d(&["a", "[gone]!"]));
    assert_eq!(row(&["secret", "a"]), d(&["[gone]!", "a"]));
    assert_eq!(row(&["a", "b"]), d(&["a", "b"]));
    assert_eq!(row(&[]), d(&[]));
}

#[test]
fn rows_that_come_together_are_rewritten_one_by_one() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    let rows = [["a", "secret"], ["-", "b"], ["secret-null", "secret-short"], ["x", ""]];
    let rows: Vec<Vec<u8>> = rows.iter().map(|row| d(row)).collect();
    drive.target(&join(&[t(&[5, 5]), join(&rows), done("SELECT 4"), z(b'I')]));
    let told = values(&drive.seen.to_bot);
    assert_eq!(told, [["a", "[gone]!"], ["-", "b"], ["-", "*"], ["x", ""]]);
    assert_eq!(drive.editing().rows, 4);
    assert_eq!(drive.editing().tables.len(), 1, "they are shown at once");
}

#[test]
fn labels_are_replaced_and_columns_stay() {
    let described = |label: &str| {
        let mut body = vec![0, 2];
        for name in ["a", label] {
            body.extend(name.as_bytes());
            body.extend([0, 0, 0, 0, 9, 0, 3, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 1]);
        }
        frame(b'T', &body)
    };
    for (label, told) in [("b", "b"), ("secret", "[gone]!"), ("secret-null", "")] {
        let mut drive = Drive::showing();
        drive.bot(&q("SELECT 1"));
        drive.target(&described(label));
        assert_eq!(drive.seen.to_bot, described(told), "{label}");
    }
}

#[test]
fn fields_of_an_error_are_replaced_or_dropped_and_codes_stay() {
    let all = "SERROR\0VERROR\0C23505\0Msecret\0Dsecret-null\0Hsecret\0P7\0p8\0qsecret-short\0\
               Wsecret-null\0spublic\0tsecret\0csecret-null\0dsecret-empty\0nsecret\0Fx.c\0L1\0Rr\0\0";
    let told = "SERROR\0VERROR\0C23505\0M[gone]!\0H[gone]!\0P7\0p8\0q*\0\
                spublic\0t[gone]!\0d\0n[gone]!\0Fx.c\0L1\0Rr\0\0";
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&frame(b'E', all.as_bytes()));
    assert_eq!(drive.seen.to_bot, frame(b'E', told.as_bytes()));
    let parts = drive.editing().words.iter().map(|(part, _)| part.clone()).collect::<Vec<_>>();
    let message = ["message 23505 at a place", "addition", "addition", "addition"];
    let rest = ["addition", "name", "name", "name", "name", "name"];
    assert_eq!(parts, [&message[..], &rest].concat());
    assert_eq!(aside(&frame(b'N', all.as_bytes())), frame(b'N', told.as_bytes()));
}

/// Severities stand before the code in what a server sends; nothing promises that.
#[test]
fn a_code_is_found_wherever_it_stands() {
    let mut drive = Drive::showing();
    drive.bot(&q("SELECT 1"));
    drive.target(&frame(b'E', b"Msecret\0SERROR\0C22012\0\0"));
    assert_eq!(drive.editing().words[0].0, "message 22012");
    assert_eq!(drive.seen.to_bot, frame(b'E', b"M[gone]!\0SERROR\0C22012\0\0"));
}

#[test]
fn fields_of_a_kind_that_is_not_known_are_additions() {
    let notice = frame(b'N', b"SNOTICE\0C00000\0Zsecret\0\0");
    assert_eq!(aside(&notice), frame(b'N', b"SNOTICE\0C00000\0Z[gone]!\0\0"));
}

#[test]
fn words_with_a_zero_inside_lose_it() {
    let notice = frame(b'N', b"Msecret-zero\0\0");
    assert_eq!(aside(&notice), frame(b'N', b"Mab\0\0"));
}

#[test]
fn what_other_sessions_say_is_shown() {
    let told = |channel: &str, payload: &str| {
        let strings = [channel.as_bytes(), b"\0", payload.as_bytes(), b"\0"].concat();
        frame(b'A', &[&[0, 0, 0, 9], &strings[..]].concat())
    };
    assert_eq!(aside(&told("a", "b")), told("a", "b"));
    assert_eq!(aside(&told("secret", "secret-short")), told("[gone]!", "*"));
    assert_eq!(aside(&told("secret-null", "b")), told("", "b"));
}

#[test]
fn a_settings_value_is_shown_and_its_name_is_not() {
    let status = |name: &str, value: &str| {
        frame(b'S', &[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat())
    };
    assert_eq!(aside(&status("secret", "x")), status("secret", "x"));
    let to_bot = aside(&status("application_name", "secret"));
    assert_eq!(to_bot, status("application_name", "[gone]!"));
}

#[test]
fn a_setting_is_believed_as_the_target_said_it() {
    let mut drive = Drive::showing();
    drive.target(&frame(b'S', b"client_encoding\0SJIS\0"));
    assert!(!drive.machine.lexing().safe_encoding);
}
