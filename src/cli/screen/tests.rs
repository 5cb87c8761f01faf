use super::*;

#[test]
fn nothing_that_is_shown_can_steer_a_terminal() {
    let nasty = "a\u{1b}[2J\u{7}b\u{9b}31m\u{202e}c\u{200b}\0\u{7f}\u{2028}d";
    assert_eq!(visible(nasty), "a\\x1b[2J\\x07b\\x9b31m\\u{202e}c\\u{200b}\\x00\\x7f\\u{2028}d");
    for code in 0..0x11_0000 {
        let Some(character) = char::from_u32(code) else { continue };
        let shown = visible(&format!("x{character}y"));
        assert!(!shown.chars().any(char::is_control), "{code:#x}");
    }
}

#[test]
fn white_space_of_any_kind_becomes_one_space() {
    assert_eq!(visible("  select\r\n\t 1 \n"), "select 1");
}

#[test]
fn bytes_that_are_no_text_are_spelt_out() {
    assert_eq!(visible_bytes(b"a\xff\n\x00\xc3\xa9\x1b"), "a\\xff\\n\\x00é\\x1b");
}

#[test]
fn a_line_is_fitted_by_characters() {
    assert_eq!(fit("héllo", 5), "héllo");
    assert_eq!(fit("héllo!", 5), "héll…");
    assert_eq!(fit("x", 0), "…");
}

#[test]
fn figures_are_short() {
    assert_eq!(
        (bytes(999), bytes(1_536), bytes(5 << 30)),
        ("999B".into(), "1.5K".into(), "5.0G".into())
    );
    assert_eq!(
        (latency(12), latency(1_250), latency(2_500_000)),
        ("12us".into(), "1.2ms".into(), "2.50s".into())
    );
    assert_eq!(time(1_700_000_000_123_000_000), "2023-11-14 22:13:20.123");
    assert_eq!(rfc3339(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123000Z");
}
