//! Patterns of operators: what they find, where, and which of them are refused.

use super::generate::{Random, WORDS};
use super::*;
use crate::limits::SCANNED_PATTERN_VALUE_BYTES_MAX;

fn pattern(source: &str) -> Pattern {
    Pattern::new("own", source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn detector(source: &str) -> Detector {
    let own = EntitySet::NONE.with(Entity::Own(0));
    Detector::new(own, &[Arc::new(pattern(source))])
}

fn values<'t>(source: &str, text: &'t str) -> Vec<&'t str> {
    let mut hits = Vec::new();
    detector(source).scan(text.as_bytes(), &mut hits);
    hits.iter().map(|hit| &text[hit.range.clone()]).collect()
}

#[test]
fn values_are_found_amid_text() {
    let table: [(&str, &str, &[&str]); 13] = [
        (r"CUST-\d{8}", "see CUST-12345678, CUST-87654321.", &["CUST-12345678", "CUST-87654321"]),
        // Also inside of words, unless the pattern says where words end.
        (r"CUST-\d{4}", "xCUST-12345678", &["CUST-1234"]),
        (r"\bCUST-\d{4}\b", "xCUST-1234 CUST-12345 CUST-1234x", &[]),
        (r"\bCUST-\d{4}\b", "'CUST-1234' äCUST-5678ä", &["CUST-1234", "CUST-5678"]),
        (r"(?i)cust-\d{2}", "Cust-12 CUST-34 cUsT-56", &["Cust-12", "CUST-34", "cUsT-56"]),
        // The text that all have in common stands in the middle, at the end, in branches.
        (r"\d{2,6}/ACME/[a-z]{1,9}", "a 17/ACME/north", &["17/ACME/north"]),
        (r"[a-z]{1,20}\.corp\.example", "on db1.corp.example", &[]),
        (r"[a-z0-9]{1,20}\.corp\.example", "on db1.corp.example", &["db1.corp.example"]),
        (r"\d{2}(?:-EU|-US)-\d|X(?:YZ){2,3}", "17-US-4 XYZYZYZYZ", &["17-US-4", "XYZYZYZ"]),
        (r"(\d{3}) @acme", "a 123 @acme", &["123 @acme"]),
        (r"größe: \d{1,3}", "größe: 42", &["größe: 42"]),
        // Nothing in common: everything is searched.
        (r"\b[A-Z]{2}\d{6}\b", "id AB123456, ABC123456", &["AB123456"]),
        (r"[ab]c", "ac bc", &["ac", "bc"]),
    ];
    for (source, text, expected) in table {
        assert_eq!(values(source, text), expected, "{source} in {text}");
    }
}

#[test]
fn text_that_all_values_have_is_looked_for_in_the_one_pass() {
    for (source, is_found) in [
        (r"CUST-\d{8}", true),
        (r"(?i)customer-\d{8}", true),
        (r"\d{3}-ACME", true),
        (r"(?:\d{3}-)?(ACME)", true),
        (r"A12|B(?:ab|cd)", true),
        (r"(?:A12|\d{4}-XX)\d", true),
        (r"(?:ACME){1,3}", true),
        (r"(?:ACME){0,3}\d", false),
        (r"\d{8}", false),
        (r"4\d{8}", false),
        (r"[A-Z]{2}-\d{4}", false),
        (r"ACME|\d{4}", false),
        // The pass knows marks by their first byte, and an `@` is none.
        (r"@ab", false),
        (r"@abc", true),
    ] {
        assert_eq!(!pattern(source).needles().is_empty(), is_found, "{source}");
    }
}

#[test]
fn windows_leave_out_nothing_that_a_search_of_everything_finds() {
    let sources = [
        r"[a-z ]{0,12}order[a-z ]{0,12}",
        r"\d{0,5}(?:river|table)\d{0,5}",
        r"(?i)(?:STONE|paper ){1,3}",
        r"\b\w{1,8} garden\b",
        r"order order|order",
    ];
    let mut random = Random(41);
    for source in sources {
        let (detector, pattern) = (detector(source), pattern(source));
        assert!(!pattern.needles().is_empty(), "{source}");
        for _ in 0..300 {
            let words = random.below(60);
            let words: Vec<_> = (0..words)
                .map(|_| match random.below(9) {
                    0 => random.digits(7),
                    _ => random.pick(WORDS).to_owned(),
                })
                .collect();
            let text = words.join(random.pick(&[" ", "", ", "]));
            let mut hits = Vec::new();
            detector.scan(text.as_bytes(), &mut hits);
            let by_windows: Vec<_> = hits.into_iter().map(|hit| hit.range).collect();
            let by_all: Vec<_> = pattern.values(text.as_bytes(), 0..text.len()).collect();
            assert_eq!(by_windows, by_all, "{source} in {text}");
        }
    }
}

#[test]
fn what_cannot_be_searched_for_is_refused() {
    let long = SCANNED_PATTERN_VALUE_BYTES_MAX + 1;
    for (source, expected) in [
        (r"CUST-\d+", PatternError::Unbounded),
        (r"CUST-.*", PatternError::Unbounded),
        (r"CUST-\d{4}|.{2,}x", PatternError::Unbounded),
        (&format!("a{{{long}}}"), PatternError::LongValue { bytes: long }),
        (r"^CUST-\d{4}", PatternError::Anchored),
        (r"CUST-\d{4}$", PatternError::Anchored),
        (r"(?m)^CUST\z", PatternError::Anchored),
        (r"", PatternError::Empty),
        (r"(?:CUST)?", PatternError::Empty),
        (r"[a&&b]", PatternError::Impossible),
        (&"abc".repeat(400), PatternError::LongText),
    ] {
        assert_eq!(Pattern::new("own", source).unwrap_err(), expected, "{source}");
    }
    for (source, words) in [
        ("CUST-(", "unclosed group"),
        (r"\p{Greek}", "Unicode not allowed here"),
        (&format!("{}a{}", "(".repeat(60), ")".repeat(60)), "maximum number of nested"),
        (r"(?:[acegikmoqsuwy02468]|[bd]x|[fh]y|[jl]z){1,500}", "exceeded limit"),
        (r"a(?=b)", "look-around"),
        (r"(a)\1", "backreferences"),
    ] {
        let error = Pattern::new("own", source).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{source}: {error}");
    }
}

#[test]
fn of_values_that_overlap_nothing_is_left() {
    let own = [Arc::new(pattern(r"no \d{4}")), Arc::new(pattern(r"[a-z]{4}@[a-z]{3}"))];
    let wanted = EntitySet::ALL.with(Entity::Own(0)).with(Entity::Own(1));
    let detector = Detector::new(wanted, &own);
    let text = "no 4111111111111111, ada-jones@example.com";
    let mut hits = Vec::new();
    detector.scan(text.as_bytes(), &mut hits);
    let found = hits.iter().map(|hit| (detector.name(hit.entity), &text[hit.range.clone()]));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [("own", "no 4111"), ("pan", "111111111111"), ("email", "ada-jones@example.com")]
    );
    let expected =
        [Entity::Pan, Entity::Email, Entity::Own(0), Entity::Own(1)].into_iter().collect();
    assert_eq!(detector.entities(text.as_bytes()), expected);
}

#[test]
fn an_adversary_cannot_make_patterns_take_long() {
    let own =
        [r"[a-z0-9-]{1,400}CUST[a-z0-9-]{1,400}\d", r"(?i)a{1,200}b{1,200}cde", r"\d{1,500}x"];
    let own = own.map(|source| Arc::new(pattern(source)));
    let wanted = (0..3).map(Entity::Own).fold(EntitySet::ALL, EntitySet::with);
    let detector = Detector::new(wanted, &own);
    let mut hits = Vec::new();
    for piece in ["CUST", "aCUST", "CUST-1 a@b.example ", "abcde", "cde", "abcdex1", "1", "aaab"] {
        let text = piece.repeat(128 * 1024 / piece.len());
        let begin = std::time::Instant::now();
        detector.scan(text.as_bytes(), &mut hits);
        assert!(begin.elapsed().as_secs() < 20, "{piece:?} took {:?}", begin.elapsed());
    }
}
