//! Values that a policy describes itself.

use super::*;
use crate::judge::policy::{Fault, Part};
use crate::model::entity::EntitySet;
use crate::model::mask::Strategy;
use crate::scan::{Hit, PatternError};

const PATTERNS: &str = r#"
[p]
default = "allow"
[[p.pattern]]
name  = "customer-number"
match = 'CUST-\d{8}'
[[p.pattern]]
name  = "badge"
match = '\b[A-Z]{2}\d{6}\b'
[[p.rule]]
id = "numbers"
when = { text.entities.any = ["pan", "customer-number"] }
action = "deny"
[[p.mask]]
detect = ["badge", "customer-number"]
as = { partial = { keep_last = 2 } }
[other]
default = "pass"
[[other.pattern]]
name  = "badge"
match = 'B-\d{4}'
[[other.mask]]
detect = "badge"
as = "null"
"#;

#[test]
fn rules_deny_by_them() {
    for (text, expected) in [
        ("SELECT 'CUST-12345678'", "deny p/numbers"),
        ("SELECT 'CUST-1234567'", "allow p/default"),
        ("SELECT 4111111111111111", "deny p/numbers"),
        ("SELECT 'AB123456'", "allow p/default"),
    ] {
        assert_eq!(verdict(PATTERNS, text), expected, "{text}");
    }
}

#[test]
fn masks_protect_what_their_own_policy_calls_so() {
    let library = library(PATTERNS);
    let found = |policy: &str, text: &str| -> Vec<(String, Strategy)> {
        let masks = library.masks(&[policy.into()]).unwrap();
        let mut hits: Vec<Hit> = Vec::new();
        masks.detector().unwrap().scan(text.as_bytes(), &mut hits);
        let strategy = |hit: &Hit| masks.entity(hit.entity).unwrap().strategy;
        hits.iter().map(|hit| (text[hit.range.clone()].to_owned(), strategy(hit))).collect()
    };
    let text = "CUST-12345678 AB123456 B-1234 4111111111111111";
    let two = Strategy::Partial { keep_first: 0, keep_last: 2 };
    assert_eq!(found("p", text), [("CUST-12345678".to_owned(), two), ("AB123456".to_owned(), two)]);
    assert_eq!(found("other", text), [("B-1234".to_owned(), Strategy::Null)]);
}

#[test]
fn what_masks_detect_is_not_kept_of_requests() {
    let detector = session(PATTERNS).request_detector().clone();
    let mut hits = Vec::new();
    detector.scan(b"SELECT 'CUST-12345678', 'x'", &mut hits);
    assert!(matches!(&*hits, [hit] if hit.range == (8..21)), "{hits:?}");
    assert!(!detector.entities(b"4111111111111111").intersects(EntitySet::ALL));
}

#[test]
fn masks_are_alike_by_what_they_search_for_not_by_its_number() {
    let mask = "[[p.mask]]\ndetect = \"x\"\nas = \"null\"\n";
    let pattern =
        |name: &str, text: &str| format!("[[p.pattern]]\nname = \"{name}\"\nmatch = '{text}'\n");
    let masks = |toml: String| library(&toml).masks(&["p".into()]).unwrap();
    let one = masks(pattern("x", r"ABC\d") + mask);
    let moved = masks(pattern("w", r"DEF\d") + &pattern("x", r"ABC\d") + mask);
    let other = masks(pattern("x", r"ABC\d{2}") + mask);
    assert!(one.protects_alike(&moved) && moved.protects_alike(&one));
    assert!(!one.protects_alike(&other));
}

#[test]
fn explanations_use_their_names() {
    let text = "SELECT 'CUST-12345678'";
    let explanation = session(PATTERNS).explain(&facts(text), text.as_bytes(), &[]);
    assert_eq!(explanation.entities, ["customer-number"]);
    let words = explanation.to_string();
    assert!(words.contains(r#"text.entities.any = ["pan", "customer-number"]"#), "{words}");
}

#[test]
fn policies_of_two_libraries_keep_their_own() {
    let first = library(PATTERNS);
    let second = library(
        "[late]\n[[late.pattern]]\nname = \"badge\"\nmatch = 'LATE-\\d{2}'\n\
        [[late.mask]]\ndetect = \"badge\"\nas = \"null\"\n",
    );
    let both = first.replaced_by(&second).unwrap();
    for (policy, text) in [("p", "AB123456"), ("other", "B-1234"), ("late", "LATE-12")] {
        let masks = both.masks(&[policy.into()]).unwrap();
        let found = masks.detector().unwrap().entities(text.as_bytes());
        assert!(found.iter().any(|entity| masks.entity(entity).is_some()), "{policy}");
    }
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    let pattern =
        |name: &str, text: &str| format!("[[p.pattern]]\nname = \"{name}\"\nmatch = '{text}'\n");
    let many: String = (0..41).map(|n| pattern(&format!("n{n}"), &format!("ABC{n}"))).collect();
    for (toml, expected, hint) in [
        (
            pattern("x", r"CUST-\d+"),
            Fault::Unsearchable { pattern: r"CUST-\d+".into(), reason: PatternError::Unbounded },
            "bound what repeats",
        ),
        (
            pattern("x", r"^CUST"),
            Fault::Unsearchable { pattern: "^CUST".into(), reason: PatternError::Anchored },
            r"`\b`",
        ),
        (pattern("email", "CUST"), Fault::BadPatternName, "none of the names that are built in"),
        (pattern("Customer", "CUST"), Fault::BadPatternName, "small letters"),
        (pattern("x", "CUST") + &pattern("x", "CUST"), Fault::DuplicateId, "a name of its own"),
        (many, Fault::TooManyPatterns, r"`A-\d{4}|B-\d{6}`"),
        (
            pattern("customer", "CUST") + "[[p.mask]]\ndetect = \"custmer\"\nas = \"null\"\n",
            Fault::NoSuchName {
                kind: "entity",
                name: "custmer".into(),
                nearest: Some("customer".into()),
            },
            "did you mean `customer`?",
        ),
    ] {
        let found = faults(&toml);
        assert!(found.contains(&expected), "{toml}: {found:?}");
        assert!(expected.hint().unwrap().contains(hint), "{:?}", expected.hint());
    }
    assert_eq!(Part::Pattern("x".into()).to_string(), "pattern `x`");
}
