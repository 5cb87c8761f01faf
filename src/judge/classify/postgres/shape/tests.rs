//! Which texts have one normal form, and which must not.

use super::*;

fn shape(text: &str) -> Option<String> {
    let mut shape = Vec::new();
    of(text.as_bytes(), &mut shape)?;
    Some(String::from_utf8(shape).unwrap())
}

#[test]
fn blanks_comments_letters_and_literals_make_no_difference() {
    let families: &[&[&str]] = &[
        &[
            "SELECT a FROM t WHERE b='x' AND c=1",
            "select  a\nfrom t -- '\rwhere B = 'it''s' /* ; */ and c =\t2147483647",
            "SELECT a FROM t WHERE b = E'\\'' AND c = 007",
            "SELECT a FROM t WHERE b = 'x'\n'y' AND c = 0",
        ],
        &["SELECT 1.5", "SELECT 1e3", "SELECT .5", "SELECT 2147483648", "SELECT 1."],
        &["SELECT $$a$$", "SELECT $b$ ' $b$"],
        &["SELECT $1", "SELECT $9"],
        &["SELECT a IN (1, 2)", "SELECT a IN (3,4,5,6)"],
        &["SELECT a IN ('x', $1, 2, 3)", "SELECT a IN ('y', $2, 4, 5, 6)"],
        &["SELECT a NOT IN ($1, $2) AND b", "SELECT a NOT IN ($4, $5, $6) AND b"],
        &[
            "INSERT INTO t VALUES (1, 'a', -2, NULL), (3, 'b', -4, NULL)",
            "INSERT INTO t VALUES (1, 'a', -2, NULL), (3, 'b', -4, NULL), (5, 'c', -6, null)",
        ],
        &[
            "INSERT INTO t (a) VALUES ($1), ($2) RETURNING a",
            "INSERT INTO t (a) VALUES ($1), ($2), ($3) RETURNING a",
        ],
    ];
    for family in families {
        for text in *family {
            assert!(shape(text).is_some(), "{text}");
            assert_eq!(shape(text), shape(family[0]), "{text}");
        }
    }
}

#[test]
fn what_the_grammar_tells_apart_stays_apart() {
    let texts = [
        "SELECT 1",
        "SELECT 1.5",
        "SELECT '1'",
        "SELECT $$1$$",
        "SELECT $1",
        "SELECT $0",
        "SELECT $100000",
        "SELECT N'1'",
        "SELECT N '1'",
        "SELECT B'1'",
        "SELECT B'10'",
        "SELECT X'1'",
        "SELECT 0x1",
        "SELECT E'\\x41'",
        "SELECT E'\\xff'",
        "SELECT - 1",
        "SELECT -1;",
        "SELECT '1' '1'",
        "SELECT \"1\"",
        "SELECT a",
        "SELECT \"A\"",
        "SELECT \"a\"",
        "SELECT true",
        "SELECT null",
        "SELECT a @- 1",
        "SELECT a @ - 1",
        "SELECT a::float(1)",
        "SELECT a::float(2)",
        "SELECT a IN (1)",
        "SELECT a IN (1, 2)",
        "SELECT a IN (1, 2, a)",
        "SELECT a IN (1, 2, 'x')",
        "SELECT a IN (1, (2))",
        "SELECT (1, 2, 3)",
        "SELECT (1, 2)",
        "VALUES (1)",
        "VALUES (1), (2)",
        "VALUES (1), ('x')",
        "VALUES (1), (2), (f())",
        "VALUES (1), (2), (3, 4)",
        "VALUES (f()), (f())",
        "VALUES (f()), (f()), (f())",
    ];
    for (number, text) in texts.iter().enumerate() {
        for other in &texts[number + 1..] {
            assert_ne!(shape(text), shape(other), "{text} and {other}");
        }
    }
}

#[test]
fn what_could_be_taken_for_something_else_has_no_shape() {
    for text in [
        "SELECT U&'a'",
        "SELECT U&\"d!0061\" UESCAPE '!'",
        "SELECT 'a",
        "SELECT 1a",
        "SELECT a IN (1\u{1})",
        "SELECT \\",
        "SELECT '\0'",
    ] {
        assert_eq!(shape(text), None, "{text:?}");
    }
    assert_eq!(of(b"SELECT '\xc0\xa7'", &mut Vec::new()), None);
}

/// The normal form of a normal form is the form itself, so no two token sequences share one.
#[test]
fn a_shape_is_its_own_shape() {
    for text in [
        "SELECT 'a' 'b', N'x', $$y$$, $7, .5.5, E'\\n', a.b::c, -1 FROM \"T\" -- x",
        "select+-1@-2,a$b from t where e'x'='y'",
    ] {
        let once = shape(text).unwrap();
        assert_eq!(shape(&once), Some(once.clone()), "{text}");
    }
}
