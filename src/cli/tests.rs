use super::*;

fn parse(line: &str) -> Result<Line, clap::Error> {
    Line::try_parse_from(line.split_whitespace())
}

#[test]
fn the_tree_is_sound_and_every_command_shows_examples() {
    tree().debug_assert();
    for command in tree().get_subcommands_mut().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:") && help.contains(&format!("narrows {name}")), "{help}");
        assert!(command.get_about().is_some(), "{name} says what it does");
    }
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let help = tree().render_help().to_string();
    for (exit, text) in [
        (Exit::Done, "0 done"),
        (Exit::Failure, "1 failed"),
        (Exit::Usage, "2 wrong usage"),
        (Exit::NotRunning, "3 narrows is not"),
        (Exit::Unsound, "4 what was checked"),
    ] {
        assert!(help.contains(text) && text.starts_with(&(exit as u8).to_string()), "{help}");
    }
}

#[test]
fn global_arguments_may_stand_anywhere() {
    for line in ["narrows --json -c /x status", "narrows status --json --config /x"] {
        let global = parse(line).unwrap().global;
        assert!(global.json);
        assert_eq!(global.config, PathBuf::from("/x"));
    }
}

#[test]
fn a_kill_names_exactly_one_scope() {
    for line in [
        "narrows kill --all",
        "narrows kill --account a",
        "narrows kill --target t",
        "narrows kill --session 0193a5c2-7a10-7c55-9f43-1c1d0a8e2b11",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
    for line in [
        "narrows kill",
        "narrows kill --all --account a",
        "narrows kill --session x",
        "narrows kill a",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
