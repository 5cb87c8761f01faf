//! What the lexer cuts, beside what the server's own says in `twin`.

use super::*;

/// The tokens of `text`, as written.
fn cut(text: &str, lexing: Lexing) -> Vec<(Kind, &str)> {
    let tokens = Tokens::of(text.as_bytes(), lexing).unwrap();
    tokens
        .map(|token| {
            let token = token.unwrap();
            (token.kind, &text[token.start..token.end])
        })
        .collect()
}

fn refused(text: &[u8], lexing: Lexing) -> Option<Refusal> {
    match Tokens::of(text, lexing) {
        Ok(tokens) => tokens.filter_map(Result::err).next(),
        Err(refusal) => Some(refusal),
    }
}

const STANDARD: Lexing = Lexing { standard_strings: true, safe_encoding: true };
const BACKSLASHES: Lexing = Lexing { standard_strings: false, safe_encoding: true };

#[test]
fn each_kind_of_token_ends_where_the_server_ends_it() {
    use Kind::{
        Bits, DollarText, EscapeText, Integer, NationalText, Operator, Parameter, Punctuation,
        QuotedName, Real, Stray, Text, UnicodeName, UnicodeText, Word,
    };
    let table: &[(&str, &[(Kind, &str)])] = &[
        ("", &[]),
        ("a\u{a0}b $c", &[(Word, "a\u{a0}b"), (Stray, "$"), (Word, "c")]),
        ("a$1 \u{e4}$b", &[(Word, "a$1"), (Word, "\u{e4}$b")]),
        ("'a''b'/**/'c'", &[(Text, "'a''b'"), (Text, "'c'")]),
        ("'a' 'b'", &[(Text, "'a'"), (Text, "'b'")]),
        ("'a'\r'b'", &[(Text, "'a'\r'b'")]),
        ("'a' -- x\n\t-- y\r'b' 1", &[(Text, "'a' -- x\n\t-- y\r'b'"), (Integer, "1")]),
        ("'a' -- x", &[(Text, "'a'")]),
        ("'a\\'", &[(Text, "'a\\'")]),
        ("E'a\\'' e'\\\\'", &[(EscapeText, "E'a\\''"), (EscapeText, "e'\\\\'")]),
        ("E'a'\n'\\''", &[(EscapeText, "E'a'\n'\\''")]),
        ("aE'x'", &[(Word, "aE"), (Text, "'x'")]),
        ("N'x' n 'x'", &[(NationalText, "N'x'"), (Word, "n"), (Text, "'x'")]),
        ("U&'a' u & 'a'", &[(UnicodeText, "U&'a'"), (Word, "u"), (Operator, "&"), (Text, "'a'")]),
        ("u&\"a\"\"b\"", &[(UnicodeName, "u&\"a\"\"b\"")]),
        ("\"a\"\"b\"\"\"", &[(QuotedName, "\"a\"\"b\"\"\"")]),
        ("B'0''1' x'f'\n'0'", &[(Bits, "B'0'"), (Text, "'1'"), (Bits, "x'f'\n'0'")]),
        ("$$'$$ $a$ $$ $a $a$", &[(DollarText, "$$'$$"), (DollarText, "$a$ $$ $a $a$")]),
        ("$\u{e4}1$;$\u{e4}1$", &[(DollarText, "$\u{e4}1$;$\u{e4}1$")]),
        ("$a$$b$$a$", &[(DollarText, "$a$$b$$a$")]),
        ("$1 $12$", &[(Parameter, "$1"), (Parameter, "$12"), (Stray, "$")]),
        (
            "1.5.5 .5e-1 1..2 1.",
            &[
                (Real, "1.5"),
                (Real, ".5"),
                (Real, ".5e-1"),
                (Integer, "1"),
                (Punctuation, ".."),
                (Integer, "2"),
                (Real, "1."),
            ],
        ),
        (
            "0x_1F 0o17 0b1_0 1_0",
            &[(Integer, "0x_1F"), (Integer, "0o17"), (Integer, "0b1_0"), (Integer, "1_0")],
        ),
        (
            "a::b:=c",
            &[(Word, "a"), (Punctuation, "::"), (Word, "b"), (Punctuation, ":="), (Word, "c")],
        ),
        ("a=-1", &[(Word, "a"), (Operator, "="), (Operator, "-"), (Integer, "1")]),
        ("a@-1", &[(Word, "a"), (Operator, "@-"), (Integer, "1")]),
        ("a<=--b\n=c", &[(Word, "a"), (Operator, "<="), (Operator, "="), (Word, "c")]),
        ("a+/*b*/-c", &[(Word, "a"), (Operator, "+"), (Operator, "-"), (Word, "c")]),
        ("a*/ b", &[(Word, "a"), (Operator, "*/"), (Word, "b")]),
        ("+-+", &[(Operator, "+"), (Operator, "-"), (Operator, "+")]),
        ("/* /* */ ; */ a -- ;\rb", &[(Word, "a"), (Word, "b")]),
        ("/*/**/*/a/***/b", &[(Word, "a"), (Word, "b")]),
        ("{\\", &[(Stray, "{"), (Stray, "\\")]),
    ];
    for (text, expected) in table {
        assert_eq!(cut(text, STANDARD), *expected, "{text:?}");
    }
}

#[test]
fn where_backslashes_escape_a_string_ends_later() {
    let text = "'\\'; DROP TABLE t; --'";
    assert_eq!(cut(text, BACKSLASHES), [(Kind::EscapeText, text)]);
    assert_eq!(cut(text, STANDARD).len(), 6);
    assert_eq!(cut("N'\\''", BACKSLASHES), [(Kind::NationalText, "N'\\''")]);
    assert_eq!(refused(b"U&'a'", BACKSLASHES), Some(Refusal::Forbidden));
    assert_eq!(cut("U&\"a\"", BACKSLASHES), [(Kind::UnicodeName, "U&\"a\"")]);
}

#[test]
fn what_has_no_end_or_no_meaning_is_refused() {
    for text in [
        "'a", "'a''", "\"a", "E'a\\'", "E'\\", "B'0", "U&'a", "u&\"a", "$$a", "$a$ $A$", "/*",
        "/*/", "/* /* */", "N'",
    ] {
        assert_eq!(refused(text.as_bytes(), STANDARD), Some(Refusal::Unterminated), "{text:?}");
    }
    for text in ["1a", "0x", "0b2", "1e+", "1_", "1.5_", "0x1g", "1e5x", ".5a"] {
        assert_eq!(refused(text.as_bytes(), STANDARD), Some(Refusal::Number), "{text:?}");
    }
    assert_eq!(refused(b"a\0", STANDARD), Some(Refusal::ZeroByte));
    assert_eq!(refused(b"'\xc0\xa7'", STANDARD), Some(Refusal::InvalidEncoding));
}

#[test]
fn nothing_follows_a_refusal() {
    let mut tokens = Tokens::of(b"a 1b c", STANDARD).unwrap();
    assert!(tokens.next().is_some_and(|token| token.is_ok()));
    assert!(tokens.next().is_some_and(|token| token.is_err()));
    assert!(tokens.next().is_none());
}

/// Twice the text takes about twice the time: none of these makes the lexer go back.
#[test]
fn hostile_texts_take_linear_time() {
    for unit in [
        "+-",
        "/*",
        "/**/",
        "--\n",
        "'a'\n",
        "'a' -- b\n",
        "$a",
        "$a$",
        "$$",
        "E'\\\\'\n",
        "1.",
        "::",
        "@-",
        "-+@",
        "(",
        "\"\"",
        "/*/",
        "' ",
        "<=/**/",
    ] {
        let text = unit.repeat(1_000_000 / unit.len());
        let started = std::time::Instant::now();
        let count = Tokens::of(text.as_bytes(), STANDARD).unwrap().count();
        assert!(started.elapsed().as_secs() < 5, "{unit:?}: {count} in {:?}", started.elapsed());
    }
}
