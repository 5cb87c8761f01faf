//! What `text.entities` finds, refuses to mean, and tells.

use super::*;
use crate::judge::policy::text::Text;
use crate::model::entity::EntitySet;
use crate::model::hex::hex;
use crate::model::session::Parameter;
use crate::scan::Detector;

const VALUES: &str = r#"
[p]
default = "allow"
lists.keys = ["aws_key", "private_key"]
[[p.rule]]
id = "keys"
when = { text.entities.any = ["@keys", "github_token"] }
action = "deny"
message = "keys do not belong into statements"
[[p.rule]]
id = "cards"
when = { text.entities.any = "pan", effects.any = ["insert", "update"] }
action = "deny"
"#;

#[test]
fn a_rule_denies_texts_that_hold_what_it_names() {
    for (text, expected) in [
        ("INSERT INTO t VALUES ('AKIAIOSFODNN7EXAMPLE')", "deny p/keys"),
        ("SELECT 1 -- AKIAIOSFODNN7EXAMPLE", "deny p/keys"),
        ("SELECT 'https://u:AKIAIOSFODNN7EXAMPLE@host.example'", "deny p/keys"),
        ("INSERT INTO t VALUES (4111111111111111)", "deny p/cards"),
        ("UPDATE t SET c = '4111 1111 1111 1111' WHERE id = 1", "deny p/cards"),
        ("SELECT * FROM t WHERE c = '4111111111111111'", "allow p/default"),
        ("INSERT INTO t VALUES (4111111111111112)", "allow p/default"),
        // No rule names addresses.
        ("INSERT INTO t VALUES ('bob@example.com')", "allow p/default"),
    ] {
        assert_eq!(verdict(VALUES, text), expected, "{text}");
    }
}

#[test]
fn what_a_text_is_bound_to_is_searched_with_it() {
    let card = "4111111111111111";
    let said = |toml: &str, parameters: &[Parameter]| {
        let text = "INSERT INTO t VALUES ($1, $2)";
        spoken(&session(toml).decide(&facts(text), text.as_bytes(), parameters))
    };
    for (parameter, expected) in [
        (Parameter::Text(card.to_owned()), "deny p/cards"),
        (Parameter::Binary(hex(card.as_bytes())), "deny p/cards"),
        (Parameter::Text("AKIAIOSFODNN7EXAMPLE".to_owned()), "deny p/keys"),
        (Parameter::Text("4111111111111112".to_owned()), "allow p/default"),
        (Parameter::Binary("00ff7".to_owned()), "allow p/default"),
        (Parameter::Null, "allow p/default"),
        // What nobody can look through is not let past a rule that would deny it.
        (Parameter::Long(70_000), "deny p/keys"),
    ] {
        assert_eq!(said(VALUES, &[Parameter::Null, parameter.clone()]), expected, "{parameter:?}");
    }
    // No rule asks for values.
    assert!(!said(BASELINE, &[Parameter::Long(70_000)]).contains("keys"));
}

#[test]
fn a_rule_is_not_disturbed_by_what_other_rules_look_for() {
    // The address and the password overlap the key.
    let both = "[p]\ndefault = \"allow\"\n\
        [[p.rule]]\nid = \"a\"\naction = \"deny\"\n\
        when = { text.entities.any = [\"url_credentials\"], effects.any = [\"delete\"] }\n\
        [[p.rule]]\nid = \"b\"\naction = \"deny\"\n\
        when = { text.entities.any = [\"aws_key\"] }\n";
    assert_eq!(verdict(both, "SELECT 'ftp://u:AKIAIOSFODNN7EXAMPLE@h'"), "deny p/b");
}

#[test]
fn a_text_is_looked_through_only_if_a_rule_comes_to_ask() {
    let detector = Detector::new(EntitySet::ALL, &[]);
    let cards = "[p]\n[[p.rule]]\nid = \"r\"\naction = \"deny\"\n\
        when = { text.entities.any = [\"pan\"], effects.any = [\"insert\"] }\n";
    for (toml, text, asked) in [
        (VALUES, "SELECT 1", true),
        (cards, "INSERT INTO t VALUES (1)", true),
        (cards, "SELECT 1", false),
        (BASELINE, "SELECT 1", false),
    ] {
        let shown = Text::new(text.as_bytes(), &[], Some(&detector));
        let _verdict = session(toml).decide_on(&facts(text), &shown);
        assert_eq!(shown.is_looked_through(), asked, "{text}");
    }
    assert!(session(BASELINE).text(b"", &[]).entities().is_empty());
}

#[test]
fn a_misspelt_entity_is_refused_with_the_name_that_was_meant() {
    let rule = |action: &str, when: &str| {
        format!("[p]\n[[p.rule]]\nid = \"r\"\naction = \"{action}\"\nwhen = {{ {when} }}\n")
    };
    for (action, when, expected, hint) in [
        (
            "deny",
            "text.entities.any = [\"aws_keys\"]",
            "there is no entity `aws_keys`",
            "did you mean `aws_key`?",
        ),
        ("deny", "text.entities.any = []", "`text.entities.any` is an empty list", "leave"),
        ("deny", "text.entities.any = [\"@none\"]", "there is no list `@none`", "declare it"),
        (
            "allow",
            "text.entities.any = [\"pan\"], effects.only = [\"read\"]",
            "cannot rest on `text.entities.any`",
            "a comment could satisfy it",
        ),
    ] {
        let found = faults(&rule(action, when));
        assert!(!found.is_empty(), "{when}");
        assert!(found[0].to_string().contains(expected), "{}", found[0]);
        assert!(found[0].hint().is_some_and(|told| told.contains(hint)), "{found:?}");
    }
}

#[test]
fn an_explanation_names_the_condition_and_what_was_found() {
    let text = "INSERT INTO t VALUES ('AKIAIOSFODNN7EXAMPLE')";
    let explained = session(VALUES).explain(&facts(text), text.as_bytes(), &[]);
    let shown = explained.to_string();
    for line in [
        "deny by p/keys",
        "  the bot is told: keys do not belong into statements",
        "  text holds: aws_key",
        "    + text.entities.any = [\"aws_key\", \"github_token\", \"private_key\"]",
        "    - text.entities.any = [\"pan\"]",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    assert!(!shown.contains("AKIA"), "the value itself is shown\n{shown}");
}
