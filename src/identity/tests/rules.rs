use crate::identity::{Pattern, PatternError};
use crate::model::identity::ClaimValue;

fn matches(pattern: &str, text: &str) -> bool {
    Pattern::parse(pattern).unwrap().matches_text(text)
}

#[test]
fn a_pattern_covers_the_whole_text() {
    let table = [
        ("acme/shop", "acme/shop", true),
        ("acme/shop", "acme/shop2", false),
        ("acme/shop", "xacme/shop", false),
        ("acme/*", "acme/shop", true),
        ("acme/*", "acme/", true),
        ("acme/*", "acme", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("?", "", false),
        ("?", "é", true),
        ("refs/tags/v*", "refs/tags/v1/x", true),
        ("*-prod", "a-prod-prod", true),
        ("*-prod", "a-prod-x", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXbY", false),
        ("a*?c", "abc", true),
        ("a*?c", "ac", false),
        ("**a**", "bab", true),
        (r"\*", "*", true),
        (r"\*", "x", false),
        (r"a\?b", "a?b", true),
        ("ACME", "acme", false),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
    }
}

#[test]
fn a_pattern_agrees_with_its_definition_on_all_short_words() {
    /// Follows the definition word by word, without any cleverness.
    fn defined(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', more)), _) => {
                defined(more, text)
                    || text.split_first().is_some_and(|(_, rest)| defined(pattern, rest))
            }
            (Some(('?', more)), Some((_, rest))) => defined(more, rest),
            (Some((wanted, more)), Some((found, rest))) if wanted == found => defined(more, rest),
            (None | Some(_), _) => false,
        }
    }
    fn words(letters: &[char], length: usize) -> Vec<Vec<char>> {
        (0..length).fold(vec![Vec::new()], |words, _| {
            let longer = words.iter().flat_map(|word: &Vec<char>| {
                letters.iter().map(move |letter| [word.as_slice(), &[*letter]].concat())
            });
            words.iter().cloned().chain(longer).collect()
        })
    }
    for pattern in words(&['a', '*', '?'], 4) {
        let parsed = Pattern::parse(&pattern.iter().collect::<String>()).unwrap();
        for text in words(&['a', 'b'], 4) {
            let found = parsed.matches_text(&text.iter().collect::<String>());
            assert_eq!(found, defined(&pattern, &text), "{pattern:?} against {text:?}");
        }
    }
}

#[test]
fn a_hostile_text_costs_pattern_times_text_at_most() {
    let pattern = "*a".repeat(200) + "b";
    assert!(!matches(&pattern, &"a".repeat(16 * 1024)));
}

#[test]
fn any_member_of_a_list_may_match() {
    let pattern = Pattern::parse("db*").unwrap();
    let list = |items: &[&str]| ClaimValue::List(items.iter().map(ToString::to_string).collect());
    assert!(pattern.matches(&list(&["web", "dba"])));
    assert!(!pattern.matches(&list(&["web"])));
    assert!(!Pattern::parse("*").unwrap().matches(&list(&[])));
}

#[test]
fn a_trailing_backslash_is_refused() {
    assert_eq!(Pattern::parse(r"acme\"), Err(PatternError::EndsInBackslash));
}

#[test]
fn only_a_lone_star_is_universal() {
    let universal = |text: &str| Pattern::parse(text).unwrap().is_universal();
    assert!(universal("*") && universal("***"));
    assert!(!universal("?*") && !universal("a*") && !universal("") && !universal(r"\*"));
}
