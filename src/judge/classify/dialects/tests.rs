//! The museums against the readers, and the readers against each other.

mod mysql;
mod sqlite;
mod tsql;

use super::*;
use crate::judge::classify::tests::{Random, touched, words};
use crate::limits::CLASSIFIER_STACK_BYTES;

type Museum = &'static [(&'static str, &'static str, &'static str, &'static str)];

const MUSEUMS: [(Dialect, Museum, usize); 3] = [
    (Dialect::MySql, mysql::MUSEUM, 120),
    (Dialect::Sqlite, sqlite::MUSEUM, 60),
    (Dialect::TSql, tsql::MUSEUM, 120),
];

fn facts(dialect: Dialect, text: &str) -> Facts {
    read(dialect, Lexing::default(), text.as_bytes())
}

#[test]
fn every_statement_of_the_museums_does_what_it_says_there() {
    let mut wrong = Vec::new();
    for (dialect, museum, least) in MUSEUMS {
        assert!(museum.len() >= least);
        for (text, effects, flags, touches) in museum {
            let facts = facts(dialect, text);
            let found = (words(facts.effects.names()), words(facts.flags.names()), touched(&facts));
            let expected = (
                words(effects.split_whitespace()),
                words(flags.split_whitespace()),
                words(touches.split_whitespace()),
            );
            if found != expected {
                wrong.push(format!("{text}\n  found    {found:?}\n  expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_statement_has_a_verb() {
    for (dialect, museum, _) in MUSEUMS {
        for (text, ..) in museum {
            let facts = facts(dialect, text);
            assert!(facts.statements.iter().all(|statement| !statement.verb.is_empty()), "{text}");
        }
    }
}

/// Pieces that change what a text is, and pieces that only look as if.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    "[",
    "]",
    "\\",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "/*!50000 ",
    "\n",
    "\r",
    "(",
    ")",
    ",",
    ";",
    ".",
    "@",
    "$",
    ":",
    "?",
    "=",
    "1",
    "1e",
    "0x",
    " DELETE FROM t ",
    " EXEC p ",
    " DROP TABLE t ",
    " UNION SELECT * FROM secret ",
    " INTO x ",
    " AS d ",
    " WHERE 1 ",
    " SET a = 1 ",
    " FROM customers c ",
    " WITH x AS (SELECT 1) ",
    " CASE ",
    " END ",
    " UPDATE t SET a = 1 ",
    " TRUNCATE ",
    " USING ",
    "replace(",
    "purge(",
    " GO ",
    "N",
    "_gbk",
    "\u{a0}",
    "\u{e4}",
];

#[test]
fn both_readings_of_damaged_statements_agree_or_the_whole_is_unknown() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..8 {
        for (dialect, museum, _) in MUSEUMS {
            for (number, (text, ..)) in museum.iter().enumerate() {
                let mut damaged = (*text).to_owned();
                for _ in 0..round.min(3) {
                    let places: Vec<usize> = damaged.char_indices().map(|(at, _)| at).collect();
                    let at = places.get(random.below(places.len().max(1))).copied();
                    let piece = PIECES[random.below(PIECES.len())];
                    damaged.insert_str(at.unwrap_or_default(), piece);
                }
                let seed = (number as u64 + 1) * 0x9e37_79b9 + round;
                twin::scans_soundly(dialect, seed, damaged.as_bytes());
            }
        }
    }
}

#[test]
fn a_session_that_reads_quotes_otherwise_makes_them_unsafe() {
    let otherwise = Lexing { standard_strings: false, ..Lexing::default() };
    let encoding = Lexing { safe_encoding: false, ..Lexing::default() };
    let refused = |dialect, lexing, text: &str| {
        read(dialect, lexing, text.as_bytes()).unknown == Some(Unknown::UnsafeLexing)
    };
    let text = "SELECT '\\'; DROP TABLE t; -- '";
    assert!(refused(Dialect::MySql, otherwise, text));
    let facts = read(Dialect::MySql, otherwise, text.as_bytes());
    assert!(facts.effects.contains(Effects::DDL_DROP));
    assert!(refused(Dialect::MySql, otherwise, "SELECT \"a\""));
    assert!(!refused(Dialect::MySql, otherwise, "SELECT 'a'"));
    assert!(refused(Dialect::TSql, otherwise, "SELECT \"a\""));
    assert!(!refused(Dialect::TSql, otherwise, "SELECT 'a\\'"));
    for dialect in Dialect::ALL {
        assert!(refused(dialect, encoding, "SELECT 'a'"));
        assert!(!refused(dialect, encoding, "SELECT a"));
    }
}

#[test]
fn what_is_no_text_or_too_long_is_unknown_and_shows_what_it_may_do() {
    for dialect in Dialect::ALL {
        let of = |text: &[u8]| {
            let facts = read(dialect, Lexing::default(), text);
            assert!(facts.effects.contains(Effects::DDL_DROP | Effects::UNKNOWN));
            facts.unknown
        };
        assert_eq!(of(b"SELECT 1\0; DROP TABLE t"), Some(Unknown::NulByte));
        assert_eq!(of(b"SELECT '\xff'; DROP TABLE t"), Some(Unknown::InvalidEncoding));
        let long = format!("DROP TABLE t -- {}", "x".repeat(PARSED_TEXT_BYTES_MAX));
        assert_eq!(of(long.as_bytes()), Some(Unknown::TooLarge));
    }
}

/// Texts that nest, or lean to one side, as far as the bound on length lets them.
const HOSTILE: &[(&str, &str, &str)] = &[
    ("(", "1", ")"),
    ("f(", "1", ")"),
    ("- ", "1", ""),
    ("NOT ", "a", ""),
    ("CASE WHEN ", "a", " THEN 1 END"),
    ("(SELECT ", "1", ")"),
    ("", "1", "+1"),
    ("", "a", " IS NULL"),
    ("", "a", " COLLATE c"),
    ("", "a", ".a"),
    ("", "a", "->a"),
    ("", "a", "::a"),
    ("", "a", " AND a"),
    ("", "1", " UNION SELECT 1"),
    ("", "1, 2", " UNION SELECT 1, 2"),
    ("", "1 FROM a", " JOIN a ON 1"),
    ("", "1 FROM a", ", a"),
    ("", "1", "; SELECT 1"),
    ("1 FROM (", "a", ")"),
    ("* FROM (SELECT ", "1", ") d"),
    ("a IN (", "1", ")"),
    ("EXISTS (SELECT ", "1", ")"),
    ("/*", "1", "*/"),
    ("[", "1", "]"),
    ("{", "1", "}"),
    ("", "1 ", "("),
    ("CAST(", "1", " AS int)"),
    ("(1, ", "1", ")"),
    ("x = ANY (", "1", ")"),
    ("INTERVAL ", "1", ""),
    ("a BETWEEN ", "1", " AND 1"),
    ("1 FROM (a JOIN ", "a", ")"),
];

#[test]
fn hostile_nesting_is_refused_or_read_and_never_fatal() {
    let work = || {
        for dialect in Dialect::ALL {
            for (open, inner, close) in HOSTILE {
                for most in [15, 30, 45, 600, usize::MAX] {
                    let fits = (PARSED_TEXT_BYTES_MAX - 64) / (open.len() + close.len());
                    let depth = fits.min(most);
                    let text =
                        format!("SELECT {}{inner}{}", open.repeat(depth), close.repeat(depth));
                    let started = std::time::Instant::now();
                    let facts = facts(dialect, &text);
                    let took = started.elapsed();
                    assert!(took.as_secs() < 2, "{dialect:?} {open:?} {close:?} {depth}: {took:?}");
                    assert!(facts.unknown.is_some() || !facts.effects.is_empty());
                }
            }
        }
    };
    let checked = std::thread::Builder::new().stack_size(CLASSIFIER_STACK_BYTES).spawn(work);
    assert!(checked.unwrap().join().is_ok());
}

#[test]
fn the_lists_of_functions_are_in_the_order_that_the_search_needs() {
    for list in [
        include_str!("known_mysql.txt"),
        include_str!("known_sqlite.txt"),
        include_str!("known_tsql.txt"),
    ] {
        let names: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(names.len() > 150 && names.is_sorted_by(|one, next| one < next));
    }
}
