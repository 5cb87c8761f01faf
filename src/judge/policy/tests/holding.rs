//! Rules that hold: their rank among the others, and their terms.

use super::*;

/// The verdict's word and rule on a statement, under the policy `p` that `toml` writes.
fn held_under(toml: &str, text: &str) -> String {
    let policy = Library::new("v1".into(), one_policy(toml)).unwrap();
    let principal = principal();
    let labels = Labels::new();
    let circumstances =
        Circumstances { principal: &principal, labels: &labels, target: "t", database: "d" };
    let policy = policy.bind(&["p".into()], &circumstances).unwrap();
    let verdict = policy.decide(&facts(text), text.as_bytes(), &[]);
    format!("{} by {}", verdict.word(), verdict.grounds().rule)
}

fn one_policy(toml: &str) -> BTreeMap<PolicyName, PolicyDocument> {
    BTreeMap::from([("p".into(), toml::from_str(toml).unwrap())])
}

#[test]
fn deny_beats_hold_and_hold_beats_allow() {
    let rules = |actions: [&str; 2]| {
        let rule = |id: &str, action: &str| {
            let when = match action {
                "allow" => "effects.only = [\"read\", \"update\"]",
                _ => "effects.any = [\"update\"]",
            };
            format!("[[rule]]\nid = \"{id}\"\naction = \"{action}\"\nwhen = {{ {when} }}\n")
        };
        format!("default = \"deny\"\n{}{}", rule("a", actions[0]), rule("b", actions[1]))
    };
    let update = "UPDATE t SET a = 1 WHERE b = 2";
    for (actions, expected) in [
        (["allow", "hold"], "hold by p/b"),
        (["hold", "allow"], "hold by p/a"),
        (["hold", "deny"], "deny by p/b"),
        (["deny", "hold"], "deny by p/a"),
    ] {
        assert_eq!(held_under(&rules(actions), update), expected, "{actions:?}");
    }
}

#[test]
fn what_could_not_be_told_is_held_only_where_a_policy_says_so() {
    let garbage = "SELEC 1";
    let rule = "[[rule]]\nid = \"r\"\naction = \"hold\"\nwhen = { effects.none = [\"read\"] }\n";
    assert_eq!(held_under(&format!("unknown = \"deny\"\n{rule}"), garbage), "deny by p/unknown");
    assert_eq!(held_under("unknown = \"hold\"", garbage), "hold by p/unknown");
    assert_eq!(held_under("default = \"hold\"", "SELECT 1"), "hold by p/default");
    assert_eq!(held_under("default = \"hold\"", garbage), "deny by p/unknown");
}

#[test]
fn terms_that_make_no_sense_are_refused() {
    for (terms, expected) in [
        ("reviewers = [\"alice\"]", "is nobody who could decide"),
        ("quorum = 0", "cannot be reached"),
        ("quorum = 2", "cannot be reached"),
        ("for = \"ten minutes\"", "is not a duration"),
        ("wait = \"2h\"", "is not a duration"),
    ] {
        let toml = format!(
            "[[rule]]\nid = \"r\"\naction = {{ hold = {{ {terms} }} }}\n\
             when = {{ effects.any = [\"update\"] }}"
        );
        let problems = Library::new("v1".into(), one_policy(&toml)).unwrap_err();
        assert!(problems[0].to_string().contains(expected), "{terms}: {}", problems[0]);
    }
}
