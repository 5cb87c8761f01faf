//! Statements of a text, and what makes two readings of it differ.

use super::*;

fn pieces(text: &str) -> Vec<&str> {
    let pieces = Pieces::of(text.as_bytes(), Lexing::default()).unwrap();
    pieces
        .map(|piece| {
            let piece = piece.unwrap();
            &text[piece.start..piece.end]
        })
        .collect()
}

fn parsed(text: &str) -> Vec<pg::RawStmt> {
    pg_query::parse(text, 0).unwrap().protobuf.stmts
}

#[test]
fn a_semicolon_ends_a_statement_unless_it_is_inside_one() {
    let routine = "CREATE OR REPLACE FUNCTION f(begin int) RETURNS int BEGIN ATOMIC \
                   SELECT CASE begin WHEN 1 THEN 2 END AS end; SELECT t.end FROM t; END";
    let procedure = "create procedure p() begin atomic insert into t values (1); end";
    let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)";
    for (text, expected) in [
        ("", vec![]),
        (" ; -- a;\n;", vec![]),
        ("SELECT 1", vec!["SELECT 1"]),
        (" SELECT ';' ;; /*;*/ SELECT $$;$$;", vec!["SELECT ';' ", "SELECT $$;$$"]),
        (&format!("{routine}; {procedure}; SELECT 1"), vec![routine, procedure, "SELECT 1"]),
        (&format!("{rule}; SELECT 1"), vec![rule, "SELECT 1"]),
        ("BEGIN; ATOMIC", vec!["BEGIN", "ATOMIC"]),
        ("CREATE TABLE begin (atomic int); END", vec!["CREATE TABLE begin (atomic int)", "END"]),
    ] {
        assert_eq!(pieces(text), expected, "{text:?}");
        if let Ok(result) = pg_query::parse(text, 0) {
            let statements = &result.protobuf.stmts;
            assert!(agrees(text.as_bytes(), Lexing::default(), statements), "{text:?}");
        }
    }
}

#[test]
fn another_number_place_or_kind_of_statements_is_a_dispute() {
    let texts = [
        "SELECT 1; SELECT 2",
        "SELECT 1",
        " SELECT 1;",
        "DELETE FROM t",
        "SELECT 1 ; DELETE FROM t",
    ];
    for text in texts {
        for other in texts {
            let agreed = agrees(text.as_bytes(), Lexing::default(), &parsed(other));
            assert_eq!(agreed, text == other, "{text:?} read as {other:?}");
        }
    }
    assert!(!agrees(b"SELECT 1", Lexing::default(), &[]));
    assert!(!agrees(b"DELETE 1", Lexing::default(), &parsed("SELECT 1")));
    assert!(!agrees(b"'", Lexing::default(), &[]));
}
