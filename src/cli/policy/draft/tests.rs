use super::*;
use crate::config::policies_in;
use crate::judge::Classifier;
use crate::model::command::Lexing;
use crate::model::target::Protocol;
use crate::wire;

fn shape(text: &str) -> Option<Shape> {
    let language = wire::language(Protocol::Postgres);
    let facts = Classifier::new().facts(language, Lexing::default(), text.as_bytes());
    assert_eq!(facts.unknown, None, "{text}");
    Shape::of(&facts, "shop")
}

fn draft(texts: &[&str]) -> String {
    let mut ran = BTreeMap::new();
    for (number, text) in texts.iter().enumerate() {
        let at = number as u64 * 1_000_000_000;
        let seen = Seen { count: 1, first: at, last: at };
        let entry = ran.entry(shape(text).unwrap());
        entry.and_modify(|known: &mut Seen| known.add(&seen)).or_insert(seen);
    }
    let ran: Vec<_> = ran.into_iter().collect();
    policy("p", &rules(&ran, &BTreeSet::new()), Flags::RETURNING)
}

#[test]
fn each_word_of_a_rule_says_how_often_it_was_seen() {
    let draft = draft(&["SELECT count(*) FROM a", "SELECT * FROM public.b, a", "SET x = 1"]);
    for line in [
        "[policy.p]\ndefault = \"deny\"\nunknown = \"deny\"\n",
        "\n# 2 statements, the last at 1970-01-01T00:00:01.000Z.\n[[policy.p.rule]]\n",
        "    \"*.a\", # 2 times, last 1970-01-01T00:00:01.000Z\n",
        "    \"public.b\", # 1 time, last 1970-01-01T00:00:01.000Z\n",
        "    \"count\", # 1 time, last 1970-01-01T00:00:00.000Z\n",
        "objects.write.only = \"@nothing\"\n",
        "objects.only = \"@nothing\"\n",
        "    \"shop\", # 2 times, last",
        "id = \"session_set\"\n",
    ] {
        assert!(draft.contains(line), "{line} in\n{draft}");
    }
    policies_in(draft).unwrap();
}

#[test]
fn flags_that_were_not_seen_are_refused_and_others_only_where_they_were_not() {
    let draft = draft(&["DELETE FROM a", "SELECT 1"]);
    let refused = draft.lines().find(|line| line.starts_with("flags.any")).unwrap();
    assert!(refused.contains("const_true_where") && !refused.contains("no_where"), "{draft}");
    assert!(!refused.contains("returning"), "a statement without effects had it: {draft}");
    let elsewhere: Vec<_> = draft.lines().filter(|line| line.starts_with("flags.none")).collect();
    let (delete, read) =
        ("flags.none = [\"returning\"]", "flags.none = [\"no_where\", \"returning\"]");
    assert_eq!(elsewhere, [delete, read], "{draft}");
    policies_in(draft).unwrap();
}

#[test]
fn code_without_a_name_has_a_rule_of_its_own() {
    let draft = draft(&["DO 'BEGIN END'", "SELECT mine()"]);
    assert!(draft.contains("# Any code:"), "{draft}");
    assert!(draft.contains("    \"mine\", # 1 time"), "{draft}");
    policies_in(draft).unwrap();
}

#[test]
fn names_are_written_so_that_they_mean_themselves() {
    let draft = draft(&[r#"SELECT * FROM "o""d\d", "späß", public."a.b""#]);
    assert!(draft.contains(r#""*.o\"d\\d""#), "{draft}");
    assert!(draft.contains(r#""*.sp\U000000E4\U000000DF""#), "{draft}");
    policies_in(draft).unwrap();
    for text in [
        r#"SELECT * FROM "a*b""#,
        r#"SELECT * FROM "a.b".c"#,
        r#"SELECT * FROM "@x".c"#,
        r#"SELECT "a.b"()"#,
        r#"SELECT "x*"()"#,
    ] {
        assert_eq!(shape(text), None, "{text}");
    }
}
