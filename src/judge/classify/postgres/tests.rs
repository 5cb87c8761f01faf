//! The corpus against the classifier, and the classifier against the grammar.

pub(in crate::judge) mod clients;
pub(in crate::judge) mod corpus;
mod lineage;
mod museum;

use std::collections::BTreeSet;

use super::*;
use crate::judge::classify::tests::{touched, words};
use crate::limits::{CLASSIFIER_STACK_BYTES, PARSED_TEXT_BYTES_MAX};
use crate::model::facts::Definition;
use corpus::CORPUS;

#[test]
fn every_statement_of_the_corpus_does_what_it_says_there() {
    let mut wrong = Vec::new();
    for (text, effects, flags, touches) in CORPUS {
        let facts = read(text.as_bytes()).facts;
        let found = (words(facts.effects.names()), words(facts.flags.names()), touched(&facts));
        let expected = (
            words(effects.split_whitespace()),
            words(flags.split_whitespace()),
            words(touches.split_terminator(' ').filter(|word| !word.is_empty())),
        );
        if found != expected {
            wrong.push(format!("{text}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CORPUS.len() >= 150);
}

#[test]
fn what_clients_ask_of_the_catalogue_is_reading_and_nothing_else() {
    let mut wrong = Vec::new();
    for (client, text) in clients::STATEMENTS {
        let facts = read(text.as_bytes()).facts;
        let plain = Effects::READ | Effects::SESSION_SET | Effects::TXN;
        if !facts.effects.only(plain) || facts.flags.intersects(Flags::DANGEROUS_FUNCTION) {
            wrong.push(format!("{client}: {text}\n  {:?} {:?}", facts.effects, facts.flags));
        }
    }
    for (client, names) in clients::FUNCTIONS {
        for name in names.split_whitespace() {
            let facts = read(format!("SELECT {name}()").as_bytes()).facts;
            if !facts.effects.only(Effects::READ) {
                wrong.push(format!("{client}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn effects_name_unknown_exactly_when_something_is() {
    for (text, ..) in CORPUS {
        let facts = read(text.as_bytes()).facts;
        assert_eq!(facts.effects.contains(Effects::UNKNOWN), facts.unknown.is_some(), "{text}");
    }
}

#[test]
fn every_statement_has_a_verb() {
    for (text, ..) in CORPUS {
        for statement in read(text.as_bytes()).facts.statements {
            assert!(!statement.verb.is_empty(), "{text}");
        }
    }
}

/// Nodes in a tree, counted by a route of its own: every node is written as an object that has
/// nothing but a `node`.
fn nodes(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(fields) => {
            let own = usize::from(fields.len() == 1 && fields.contains_key("node"));
            own + fields.values().map(nodes).sum::<usize>()
        }
        serde_json::Value::Array(items) => items.iter().map(nodes).sum(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

#[test]
fn no_node_is_passed_by() {
    for (text, ..) in CORPUS {
        for statement in parser::statements(text).unwrap() {
            let mut walk = Walk::new();
            statement.walk(&mut walk);
            let written = serde_json::to_value(&statement).unwrap();
            assert_eq!(walk.nodes_passed, nodes(&written), "{text}\n{written}");
        }
    }
}

#[test]
fn text_that_no_grammar_accepts_is_unknown() {
    for text in ["SELEC 1", "SELECT 'open", "DROP", "SELECT 1; garbage", "$$", "/* open"] {
        assert_eq!(read(text.as_bytes()).facts.unknown, Some(Unknown::Unparsable), "{text}");
    }
}

#[test]
fn bytes_that_are_not_text_are_unknown() {
    assert_eq!(read(b"SELECT 1\0; DROP TABLE t").facts.unknown, Some(Unknown::NulByte));
    assert_eq!(read(b"SELECT '\xff'").facts.unknown, Some(Unknown::InvalidEncoding));
    assert_eq!(read(b"SELECT '\xc0\xa7'").facts.unknown, Some(Unknown::InvalidEncoding));
}

#[test]
fn a_session_that_reads_strings_otherwise_makes_them_unsafe() {
    let backslashes = Lexing { standard_strings: false, safe_encoding: true };
    let encoding = Lexing { standard_strings: true, safe_encoding: false };
    for lexing in [backslashes, encoding] {
        assert!(reads_alike(b"SELECT * FROM t WHERE a = $1", lexing));
        assert!(!reads_alike(b"SELECT '\\'", lexing));
        assert!(!reads_alike(b"SELECT N'\\'", lexing));
        assert!(!reads_alike(b"SELECT U&'a'", lexing));
        assert!(!reads_alike(b"SELECT 'a' 'b\\''", lexing));
    }
    assert!(reads_alike("SELECT '\u{e4}'".as_bytes(), backslashes));
    assert!(reads_alike(b"SELECT E'\\'' || $$\\$$ || '/'", backslashes));
    assert!(!reads_alike(b"SELECT 'a'", encoding));
    assert!(!reads_alike("SELECT \u{e4}".as_bytes(), encoding));
    assert!(reads_alike(b"SELECT 'a\\'", Lexing::default()));
}

#[test]
fn names_that_a_session_keeps_are_told() {
    let facts = read(b"PREPARE p AS SELECT 1; DECLARE c CURSOR FOR SELECT 2; EXECUTE q").facts;
    assert_eq!(
        facts.definitions,
        [Definition::Statement("p".into()), Definition::Cursor("c".into())]
    );
    assert_eq!(facts.executes, ["q".into()]);
    assert_eq!(facts.unknown, Some(Unknown::UnseenName));
}

#[test]
fn functions_are_found_wherever_they_are_called() {
    let text = "SELECT app.F(1), \"G\"(), count(*) FROM ROWS FROM (h(), i(j())) \
                WHERE k() ORDER BY l() LIMIT m()";
    let facts = read(text.as_bytes()).facts;
    let functions: BTreeSet<String> =
        facts.statements[0].functions.iter().map(ToString::to_string).collect();
    assert_eq!(functions, words(["G", "app.f", "count", "h", "i", "j", "k", "l", "m"]));
}

/// Texts that nest as deep, or make the lexer work as hard, as the bound on length lets them.
fn hostile() -> Vec<(&'static str, String)> {
    let most = PARSED_TEXT_BYTES_MAX - 64;
    let nested = |open: &str, inner: &str, close: &str| {
        let depth = most / (open.len() + close.len());
        format!("SELECT {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let mut texts = Vec::new();
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("f(", "1", ")"),
        ("a[", "1", "]"),
        ("ARRAY[", "1", "]"),
        ("- ", "1", ""),
        ("NOT ", "a", ""),
        ("CASE WHEN ", "a", " THEN 1 END"),
        ("(SELECT ", "1", ")"),
        ("", "1", "+1"),
        ("", "1", "::a"),
        ("", "a", " IS NULL"),
        ("", "a", " COLLATE c"),
        ("", "a", "||a"),
        ("", "a", "[1]"),
        ("", "a", ".a"),
        ("", "a", " AND a"),
        ("", "1", " UNION SELECT 1"),
        ("", "1 FROM a", " NATURAL JOIN a"),
        ("", "1", "; SELECT 1"),
        ("/*", "1", "*/"),
        ("+-", "1", ""),
        ("/*", "", ""),
    ] {
        texts.push((open, nested(open, inner, close)));
        // Short of what the grammar's own stack holds.
        let depth = 2_000.min(most / (open.len() + close.len()));
        texts.push((close, format!("SELECT {}{inner}{}", open.repeat(depth), close.repeat(depth))));
    }
    // Many values, each of which is held against many names.
    let repeated = |part: &str| vec![part; most / 3 / (part.len() + 1)].join(",");
    let distinct = |bytes: usize| {
        (0..bytes / 8).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",")
    };
    texts.push(("FROM", format!("SELECT {} FROM {}", repeated("a"), repeated("b"))));
    texts.push(("columns", format!("SELECT f({}) FROM a", distinct(most))));
    texts.push(("targets", format!("SELECT {} FROM {}", distinct(most / 2), distinct(most / 2))));
    let changes = "w AS (UPDATE a SET b = c FROM d RETURNING e || f),".repeat(most / 51);
    texts.push(("WITH", format!("WITH {changes} v AS (TABLE w) SELECT {}", "x")));
    texts.push((
        "windows",
        format!(
            "SELECT {} FROM a WINDOW w AS (ORDER BY {})",
            vec!["f() OVER w"; most / 24].join(","),
            distinct(most / 3)
        ),
    ));
    texts.push(("", "(".repeat(100_000)));
    texts
}

#[test]
fn hostile_nesting_is_refused_or_read_and_never_fatal() {
    let checked = std::thread::Builder::new()
        .stack_size(CLASSIFIER_STACK_BYTES)
        .spawn(|| {
            for (what, text) in hostile() {
                let started = std::time::Instant::now();
                let facts = read(text.as_bytes()).facts;
                assert!(started.elapsed().as_secs() < 5, "{what:?} took {:?}", started.elapsed());
                assert!(facts.unknown.is_some() || !facts.effects.is_empty(), "{what:?}");
            }
        })
        .unwrap()
        .join();
    assert!(checked.is_ok());
}

#[test]
fn texts_over_the_bound_are_not_parsed() {
    let text = format!("SELECT '{}'", "x".repeat(PARSED_TEXT_BYTES_MAX));
    assert_eq!(read(text.as_bytes()).facts.unknown, Some(Unknown::TooLarge));
}

#[test]
fn threads_that_read_at_once_leave_standard_error_where_it_was() {
    let target = || std::fs::read_link("/proc/self/fd/2").ok();
    let before = target();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(read(b"SELECT 1").facts.unknown.is_none());
                }
            });
        }
    });
    let _held = parser::lock();
    assert_eq!(target(), before);
}
