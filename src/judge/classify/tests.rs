//! What the caches may and may not change.

use std::collections::BTreeSet;

use super::postgres::tests::corpus::CORPUS;
use super::*;
use crate::model::command::Lexing;
use crate::model::facts::Access;

fn fresh(text: &[u8]) -> Arc<Facts> {
    Classifier::new().facts(Language::PostgresSql, Lexing::default(), text)
}

/// Everything that facts say, for comparing.
fn said(facts: &Facts) -> String {
    format!("{facts:?}")
}

/// A generator of our own, so that a failure can be had again.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }
}

/// For comparing what has no order.
pub(super) fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// Relations as `r:schema.name`, by how they are touched.
pub(super) fn touched(facts: &Facts) -> BTreeSet<String> {
    let relations = facts.statements.iter().flat_map(|statement| &statement.relations);
    let named = relations.map(|relation| {
        let access = match relation.access {
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Define => 'd',
        };
        let schema = relation.schema.as_ref().map(|schema| format!("{schema}."));
        format!("{access}:{}{}", schema.unwrap_or_default(), relation.name)
    });
    named.collect()
}

/// Pieces that change what a text is, and pieces that only look as if.
const PIECES: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "99",
    "1234567890",
    "2147483648",
    "1.5",
    "0.0",
    ".5",
    "1.",
    "1e3",
    "0x1F",
    "1_000",
    "'x'",
    "'?'",
    "''",
    "'%'",
    "'a''b'",
    "'a\\'",
    "E'a\\''",
    "U&'d'",
    "N'x'",
    "B'1'",
    "$1",
    "$2",
    "$$x$$",
    "$a$;$a$",
    "--",
    "-- x\r",
    "-- x\n",
    "/*",
    "*/",
    "/* x */",
    ";",
    "'",
    "\"",
    "\\",
    " ",
    "\n",
    "\r",
    "\t",
    "\x0b",
    "\u{a0}",
    "\u{e4}",
    "true",
    "false",
    "NULL",
    "id",
    "\"id\"",
    " OR 1=1",
    " AND 1=2",
    " OR true",
    "::float(2)",
    "::float(99)",
    "::numeric(10,2)",
    "+",
    "-",
    " UNION SELECT 1",
    " RETURNING id",
    "pg_read_file('x')",
    "purge()",
    "lower(purge('x', 1))",
    "app.lower('x')",
    "\"Lower\"(1)",
    "pg_catalog.lower('x')",
    "set_config(name, 'x', true)",
    "set_config('work_mem', '1', true)",
    " FROM pg_settings WHERE name = 'work_mem'",
    " FROM pg_settings WHERE name = 'role'",
    "work_mem",
    "role",
    "pg_catalog.",
    "app.",
    "f",
    "set_config('role', 'x', true)",
    "LIMIT 5",
    "?",
    "(",
    ")",
    ",",
    ".",
    "u&",
    "e",
    "float",
];

fn mutated(text: &str, random: &mut Random) -> String {
    let mut bytes = text.to_owned();
    for _ in 0..=random.below(3) {
        let digits: Vec<usize> = bytes
            .char_indices()
            .filter(|(_, letter)| letter.is_ascii_digit() || *letter == '\'')
            .map(|(at, _)| at)
            .collect();
        let boundaries: Vec<usize> = bytes.char_indices().map(|(at, _)| at).collect();
        let from = if digits.is_empty() || random.below(2) == 0 { &boundaries } else { &digits };
        let at = if from.is_empty() { 0 } else { from[random.below(from.len())] };
        let piece = PIECES[random.below(PIECES.len())];
        let behind = bytes[at..].chars().next().map_or(at, |letter| at + letter.len_utf8());
        let end = if random.below(2) == 0 { at } else { behind };
        bytes.replace_range(at..end, piece);
    }
    bytes
}

#[test]
fn a_text_without_statements_has_no_effects() {
    for text in ["", "   ", ";", ";;;", "-- nothing", "/* nothing /* at all */ */ ;"] {
        let facts = fresh(text.as_bytes());
        assert_eq!(facts.effects, Effects::NONE, "{text:?}");
        assert!(facts.statements.is_empty() && facts.unknown.is_none(), "{text:?}");
    }
}

#[test]
fn facts_are_the_same_with_and_without_caches() {
    let mut classifier = Classifier::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..12 {
        for (text, ..) in CORPUS {
            let text = if round == 0 { (*text).to_owned() } else { mutated(text, &mut random) };
            let cached =
                classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
            assert_eq!(said(&cached), said(&fresh(text.as_bytes())), "{text:?}");
            let again = classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
            assert_eq!(said(&again), said(&cached), "{text:?}");
        }
    }
}

#[test]
fn the_lexer_cuts_where_the_servers_does_and_shared_facts_are_fresh_ones() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for round in 0..25 {
        for (number, (text, ..)) in CORPUS.iter().enumerate() {
            let text = if round == 0 { (*text).to_owned() } else { mutated(text, &mut random) };
            twin::lexes_alike(text.as_bytes());
            twin::shares_rightly(number as u64 * 25 + round, text.as_bytes());
        }
    }
}

#[test]
fn texts_that_differ_in_literals_share_facts_unless_a_literal_has_a_say() {
    let mut classifier = Classifier::new();
    let mut ask =
        |text: &str| classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
    let one = ask("SELECT * FROM t WHERE a = 1 AND b = 'x'");
    let two = ask("SELECT * FROM t WHERE a = 22 AND b = 'it''s'");
    assert!(Arc::ptr_eq(&one, &two));
    let three = ask("select * from T where a=3 /* x */ and b = E'\\n' -- y");
    assert!(Arc::ptr_eq(&one, &three));
    let rows = ask("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
    assert!(Arc::ptr_eq(&rows, &ask("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")));
    let all = ask("DELETE FROM t WHERE 1 = 1");
    let none = ask("DELETE FROM t WHERE 1 = 2");
    assert_ne!(all.flags, none.flags);
    assert_eq!(all.fingerprint, none.fingerprint);
}

/// What the literals of a text decide must not be answered from another text's facts, whichever
/// of the two came first.
#[test]
fn texts_of_one_shape_and_several_meanings_do_not_answer_for_each_other() {
    let families: &[&[&str]] = &[
        &[
            "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'work_mem'",
            "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'role'",
            "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'client_encoding'",
            "SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'log_statement'",
        ],
        &[
            "SELECT purge(), set_config('work_mem', 'x', true)",
            "SELECT purge(), set_config('role', 'x', true)",
        ],
        &[
            "SELECT lower('a')",
            "SELECT app.lower('a')",
            "SELECT purge('a')",
            "SELECT \"lower\"('a')",
        ],
        &["DELETE FROM t WHERE a LIKE '%'", "DELETE FROM t WHERE a LIKE 'a%'"],
        &["DELETE FROM t WHERE a IN (1, 2)", "DELETE FROM t WHERE a IN (1, 2, a)"],
        &["DELETE FROM t WHERE a=a", "DELETE FROM t WHERE a='a'", "DELETE FROM t WHERE a=\"a\""],
        &["DELETE FROM t WHERE 1 < 2", "DELETE FROM t WHERE 2 < 1", "DELETE FROM t WHERE 2<1.5"],
        &["UPDATE t SET a = 1 WHERE true", "UPDATE t SET a = 1 WHERE 't'"],
        &["SET role = 'a'", "SET role = 'b'", "SET work_mem = '1'"],
        &["COPY t TO 'a'", "COPY t TO 'b'", "COPY t TO PROGRAM 'b'", "COPY t TO STDOUT"],
        &["EXPLAIN (ANALYZE 0) DELETE FROM t", "EXPLAIN (ANALYZE 1) DELETE FROM t"],
        &["PREPARE p AS SELECT 1", "PREPARE q AS SELECT 1", "EXECUTE p", "EXECUTE q (1)"],
        &["SELECT U&\"d!0061\" UESCAPE '!'", "SELECT U&\"d!0061\" UESCAPE '?'"],
        &["SELECT U&\"\\0061\"('x')", "SELECT U&\"\\0062\"('x')"],
        &["SELECT 1 -- x\n; DELETE FROM t", "SELECT 1 -- x; DELETE FROM t"],
        &["SELECT 1 -- x\r; DELETE FROM t", "SELECT 1 /* x\r; DELETE FROM t */"],
        &["SELECT 'a', f()", "SELECT 'a, f()'", "SELECT $$a, f()$$", "SELECT 'a'', f()'"],
        &["SELECT 1::float(53)", "SELECT 1::float(54)", "SELECT 1::float(0)"],
        &["SELECT E'\\x41'", "SELECT E'\\xff'", "SELECT E'\\u12'"],
        &["VALUES (1), (2)", "VALUES (1), (2), (purge())", "VALUES (1), ((TABLE t))"],
        &["SELECT lower(1)", "SELECT lower(2147483648)", "SELECT lower(1.5)"],
        &["SELECT \"a\"('1')", "SELECT \"a\"('2')", "SELECT \"a1\"('1')", "SELECT a1('1')"],
        &["DO 'begin end'", "DO 'begin null; end'"],
        &["CALL p('lower')", "CALL p('purge')"],
        &["LOCK t", "LOCK TABLE t IN ACCESS SHARE MODE"],
        &["CREATE AGGREGATE a (int) (sfunc = 'f')", "CREATE COLLATION a (locale = 'f')"],
        &["SELECT query_to_xml('a', true, true, '')", "SELECT lower_to_xml('a', true, true, '')"],
    ];
    for family in families {
        for first in 0..family.len() {
            let mut classifier = Classifier::new();
            let rotated = family.iter().cycle().skip(first).take(family.len() * 2);
            for text in rotated {
                let cached =
                    classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
                assert_eq!(said(&cached), said(&fresh(text.as_bytes())), "{text}");
            }
        }
    }
}

/// One session's texts may push out another's facts, which costs a parse; they neither change
/// what is answered nor take more memory than the bound.
#[test]
fn a_flood_of_texts_takes_bounded_memory_and_changes_no_answer() {
    let mut classifier = Classifier::new();
    let mut ask = |text: &str| {
        said(&classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes()))
    };
    let victim = "SELECT * FROM t WHERE a = 1 AND purge('x')";
    let expected = ask(victim);
    for number in 0..300 {
        // Many names, each a fact; and the first text has no shape.
        let calls: Vec<String> = (0..200).map(|call| format!("f{number}_{call}()")).collect();
        ask(&format!("SELECT {}, U&'{number}'", calls.join(", ")));
        ask(&format!("SELECT {}", calls.join(", ")));
    }
    assert_eq!(ask(victim), expected);
    assert!(classifier.exact.bytes() <= EXACT_CACHE_BYTES);
    assert!(classifier.shapes.bytes() <= SHAPE_CACHE_BYTES);
}

#[test]
fn what_a_name_stands_for_is_added_and_a_name_unseen_stays_unknown() {
    let facts = fresh(b"EXECUTE p; EXECUTE q");
    let deletes = fresh(b"DELETE FROM t WHERE a = 1");
    let half = resolved(&facts, |name| (name == "p").then(|| Arc::clone(&deletes)));
    assert_eq!(half.unknown, Some(Unknown::UnseenName));
    assert!(half.effects.contains(Effects::UNKNOWN | Effects::DELETE));
    let whole = resolved(&facts, |_| Some(Arc::clone(&deletes)));
    assert_eq!(whole.unknown, None);
    assert_eq!(whole.effects, Effects::DELETE);
    let garbage = fresh(b"SELEC");
    assert_eq!(resolved(&garbage, |_| None).unknown, Some(Unknown::Unparsable));
}

#[test]
fn a_session_with_unsafe_strings_never_meets_the_caches() {
    let mut classifier = Classifier::new();
    let text = b"SELECT '\\'; DROP TABLE t; --'";
    let unsafe_strings = Lexing { standard_strings: false, safe_encoding: true };
    for _ in 0..2 {
        let safe = classifier.facts(Language::PostgresSql, Lexing::default(), text);
        assert!(safe.effects.contains(Effects::DDL_DROP));
        let other = classifier.facts(Language::PostgresSql, unsafe_strings, text);
        assert_eq!(other.unknown, Some(Unknown::UnsafeLexing));
    }
}

#[test]
fn one_text_in_several_languages_has_facts_of_its_own_in_each() {
    let mut classifier = Classifier::new();
    // A comment in one, an operator or nothing at all in others.
    let text = b"SELECT 1 # 2; DELETE FROM t";
    let languages = [Language::PostgresSql, Language::MySql, Language::Sqlite, Language::TSql];
    for _ in 0..2 {
        for language in languages {
            let cached = classifier.facts(language, Lexing::default(), text);
            let fresh = Classifier::new().facts(language, Lexing::default(), text);
            assert_eq!(said(&cached), said(&fresh), "{language:?}");
            let deletes = language != Language::MySql;
            assert_eq!(cached.effects.contains(Effects::DELETE), deletes, "{language:?}");
        }
    }
    let quoted = b"SELECT \"a\"";
    let otherwise = Lexing { standard_strings: false, ..Lexing::default() };
    for (lexing, unknown) in [
        (Lexing::default(), None),
        (otherwise, Some(Unknown::UnsafeLexing)),
        (Lexing::default(), None),
    ] {
        assert_eq!(classifier.facts(Language::MySql, lexing, quoted).unknown, unknown);
    }
}

#[test]
fn a_fingerprint_is_the_same_everywhere() {
    assert_eq!(fresh(b"SELECT 1").fingerprint, fresh(b"SELECT 2").fingerprint);
    assert_ne!(fresh(b"SELECT 1").fingerprint, fresh(b"SELECT '1'").fingerprint);
    assert_ne!(fresh(b"SELECT * FROM t_1").fingerprint, fresh(b"SELECT * FROM t_2").fingerprint);
}

#[test]
fn entries_are_dropped_before_the_bound_is_passed() {
    let mut cache = Cache::new(64 * 1024);
    for number in 0..10_000 {
        cache.insert(format!("select {number}").as_bytes(), Arc::new(Facts::default()));
        assert!(cache.bytes() <= 64 * 1024, "after {number}");
    }
    assert!(cache.find(b"select 9999").is_some());
    assert!(cache.find(b"select 1").is_none());
}

#[test]
fn an_entry_in_use_outlives_those_that_are_not() {
    let mut cache = Cache::new(64 * 1024);
    cache.insert(b"in use", Arc::new(Facts::default()));
    for number in 0..10_000 {
        cache.insert(format!("select {number}").as_bytes(), Arc::new(Facts::default()));
        assert!(cache.find(b"in use").is_some(), "after {number}");
    }
}
