use super::since;
use crate::cli::tree;

#[test]
fn each_command_shows_examples() {
    let mut tree = tree();
    let policy = tree.find_subcommand_mut("policy").unwrap();
    for command in policy.get_subcommands_mut().filter(|it| it.get_name() != "help") {
        let name = command.get_name().to_owned();
        assert!(command.get_about().is_some(), "{name} says what it does");
        let help = command.render_long_help().to_string();
        let example = format!("narrows policy {name}");
        assert!(help.contains("Examples:") && help.contains(&example), "{help}");
    }
}

#[test]
fn a_time_is_a_moment_a_day_or_a_span() {
    for (text, unix_s) in [
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T02:00:10+02:00", 10),
        ("1970-01-01T00:00:10", 10),
        ("1970-01-01 00:00:10", 10),
        ("1970-01-02", 86_400),
    ] {
        assert_eq!(since(text), Ok(unix_s * 1_000_000_000), "{text}");
    }
    let (day, hour) = (since("1d").unwrap(), since("1h").unwrap());
    let between = (hour - day) / 1_000_000_000;
    assert!((23 * 3600 - 5..=23 * 3600 + 5).contains(&between), "{between}");
    for text in ["", "yesterday", "7", "1969-12-31", "2026-13-01"] {
        assert!(since(text).is_err(), "{text}");
    }
}
