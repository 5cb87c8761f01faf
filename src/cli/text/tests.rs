use super::*;

#[test]
fn nothing_escaped_acts_on_a_terminal() {
    for hostile in [
        "\u{1b}[2J\u{1b}[31mred",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;cm0gLXJm\u{1b}\\",
        "\u{9b}31m\u{9d}0;x\u{9c}",
        "over\rwritten\u{8}\u{7f}",
        "two\nlines\u{2028}three\u{b}\u{c}\u{85}",
        "\u{202e}txt.exe\u{202c}\u{2066}\u{2069}\u{200f}\u{61c}",
        "hid\u{200b}den\u{feff}\u{ad}\u{e0041}",
        "\0",
    ] {
        let safe = escape(hostile);
        assert!(!safe.chars().any(acts), "{safe}");
        assert!(safe.contains('\\'), "{safe}");
        assert!(!escape_bytes(hostile.as_bytes()).chars().any(acts));
        assert!(!visible(hostile).chars().any(acts));
    }
}

#[test]
fn every_character_of_both_control_sets_is_escaped() {
    for code in (0..0x20).chain(0x7f..0xa0) {
        let text = char::from_u32(code).unwrap().to_string();
        assert_ne!(escape(&text), text, "{code:x}");
    }
}

#[test]
fn escapes_tell_what_they_stand_for() {
    assert_eq!(escape("a\tb\r\nc\u{1b}[m\u{9b}"), "a\\tb\\r\\nc\\x1b[m\\u{9b}");
    assert_eq!(escape_block("a\tb\r\nc"), "a\tb\\r\nc");
    assert_eq!(escape_bytes(b"ok \xff\xfe \x1b \xc3\xbc"), "ok \\xff\\xfe \\x1b ü");
}

#[test]
fn white_space_of_any_kind_becomes_one_space() {
    assert_eq!(visible("  select\r\n\t 1 \n"), "select 1");
    assert_eq!(visible("a\u{1b}[2J\u{b} b"), "a\\x1b[2J\\x0b b");
}

#[test]
fn harmless_text_is_not_copied() {
    for text in ["SELECT 'ü', '表'", "", "a \\ b"] {
        assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
    }
}

#[test]
fn width_counts_columns() {
    for (text, columns) in
        [("abc", 3), ("für", 3), ("表計算", 6), ("e\u{301}", 1), ("한글", 4), ("🦀!", 3), ("", 0)]
    {
        assert_eq!(width(text), columns, "{text}");
    }
}

#[test]
fn what_does_not_fit_ends_in_an_ellipsis() {
    assert_eq!(fit("abcdef", 6), "abcdef");
    assert_eq!(fit("abcdef", 5), "abcd…");
    assert_eq!(fit("表計算", 5), "表計…");
    assert_eq!(fit("表計算", 4), "表…");
    assert_eq!(fit("abc", 0), "");
    for columns in 0..8 {
        assert!(width(&fit("a表b計c", columns)) <= columns, "{columns}");
    }
}

#[test]
fn numbers_read_well() {
    for (number, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "1638.3 PiB"),
    ] {
        assert_eq!(bytes(number), text);
    }
    for (number, text) in [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_830, "1.8 ms"),
        (2_350_000, "2.35 s"),
        (1_005_000, "1.00 s"),
    ] {
        assert_eq!(micros(number), text);
    }
    for (number, text) in [(5, "5s"), (125, "2m 5s"), (3_660, "1h 1m"), (90_000, "1d 1h")] {
        assert_eq!(span(number), text);
    }
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(number), text);
    }
}

#[test]
fn one_thing_is_not_called_many() {
    for (number, text) in [(0, "0 policies"), (1, "1 policy"), (1_200, "1,200 policies")] {
        assert_eq!(counted(number, "policy", "policies"), text);
    }
}

#[test]
fn moments_are_utc_to_the_millisecond() {
    assert_eq!(moment(1_795_392_012_345_678_901), "2026-11-23T00:00:12.345Z");
    assert!(!moment(u64::MAX).is_empty());
}

#[test]
fn plain_paint_paints_nothing() {
    assert_eq!(Paint::Plain.paint(Colour::Red, "x"), "x");
    assert_eq!(Paint::Coloured.paint(Colour::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
}
