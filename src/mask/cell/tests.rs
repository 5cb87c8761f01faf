use super::*;

const STRATEGIES: [Strategy; 8] = [
    Strategy::Null,
    Strategy::Redact,
    Strategy::Mask,
    Strategy::Hash,
    Strategy::Pseudonym,
    Strategy::Fpe,
    Strategy::Partial { keep_first: 1, keep_last: 4 },
    Strategy::Year,
];

fn keys() -> Keys {
    Keys::new(&[7; 32])
}

fn shape(oid: u32) -> Shape {
    Shape::built_in(oid, -1).unwrap()
}

/// The stand-in as readable text, or `NULL`.
fn text(strategy: Strategy, shape: &Shape, cell: &str) -> String {
    let mut out = Vec::new();
    match replace(strategy, shape, Format::Text, cell.as_bytes(), &keys(), &mut out) {
        Replaced::Null => "NULL".to_owned(),
        Replaced::Written => String::from_utf8(out).unwrap(),
    }
}

#[test]
fn text_is_replaced_as_each_strategy_says() {
    let varchar = |chars| Shape::built_in(1043, chars + 4).unwrap();
    let bpchar = Shape::built_in(1042, 14).unwrap();
    let partial = |keep_first, keep_last| Strategy::Partial { keep_first, keep_last };
    for (strategy, shape, cell, expected) in [
        (Strategy::Null, shape(25), "ada", "NULL"),
        (Strategy::Redact, shape(25), "ada", "[redacted]"),
        (Strategy::Redact, varchar(4), "ada", "[red"),
        (Strategy::Redact, bpchar.clone(), "ada       ", "[redacted]"),
        (Strategy::Mask, shape(25), "Jürgen", "******"),
        (Strategy::Mask, bpchar.clone(), "ada       ", "***       "),
        (partial(0, 4), shape(25), "4111-1111-1111-1234", "****-****-****-1234"),
        (partial(6, 4), shape(25), "4111111111111234", "4111********1234"),
        (partial(2, 2), shape(25), "abcdef", "a***ef"),
        (partial(9, 9), shape(25), "ü", "*"),
        (partial(1, 0), shape(25), "-- -", "****"),
        (Strategy::Fpe, shape(25), "12345", "[redacted]"),
        (Strategy::Year, shape(25), "2001-02-03", "[redacted]"),
        (Strategy::Mask, shape(25), "", ""),
    ] {
        assert_eq!(text(strategy, &shape, cell), expected, "{strategy:?} of {cell:?}");
    }
}

#[test]
fn null_is_all_that_stands_in_for_the_opaque() {
    for strategy in STRATEGIES {
        let mut out = b"before".to_vec();
        let replaced = replace(strategy, &Shape::Opaque, Format::Binary, b"x", &keys(), &mut out);
        assert_eq!((replaced, out.as_slice()), (Replaced::Null, b"before".as_slice()));
    }
}

#[test]
fn pseudonyms_of_text_keep_its_look() {
    let other = text(Strategy::Pseudonym, &shape(25), "Ada-12 Ω!");
    let chars: Vec<char> = other.chars().collect();
    assert_eq!(chars.len(), 9, "{other}");
    assert!(chars[0].is_ascii_uppercase() && chars[1..3].iter().all(char::is_ascii_lowercase));
    assert!(chars[4..6].iter().all(char::is_ascii_digit) && chars[7].is_ascii_uppercase());
    assert_eq!([chars[3], chars[6], chars[8]], ['-', ' ', '!']);
    assert_ne!(other, text(Strategy::Pseudonym, &shape(25), "Ada-13 Ω!"));

    let other = text(Strategy::Pseudonym, &shape(25), "Ada@Example.com");
    assert!(other.starts_with("u-") && other.ends_with("@pseudonym.invalid"), "{other}");
    assert_eq!(other, text(Strategy::Pseudonym, &shape(1043), "ada@example.COM"));
    let narrow = Shape::built_in(1043, 24).unwrap();
    assert!(other.starts_with(&text(Strategy::Pseudonym, &narrow, "ada@example.com")));
    let padded = Shape::built_in(1042, 44).unwrap();
    let in_padded = text(Strategy::Pseudonym, &padded, &format!("{:40}", "ada@example.com"));
    assert_eq!(in_padded, format!("{other:40}"));
}

#[test]
fn other_keys_and_other_strategies_give_other_stand_ins() {
    for (oid, cell) in [
        (25, "ada@example.com"),
        (25, "219-09-9999"),
        (23, "1234567"),
        (1700, "1234567.89"),
        (2950, "123e4567-e89b-12d3-a456-426614174000"),
        (17, "\\x0102"),
        (869, "10.0.0.1"),
        (829, "08:00:2b:01:02:03"),
        (3802, "{}"),
    ] {
        let mut seen = std::collections::HashSet::from([cell.as_bytes().to_vec()]);
        for site in [1, 2] {
            for strategy in [Strategy::Hash, Strategy::Pseudonym] {
                let mut out = Vec::new();
                let keys = Keys::new(&[site; 32]);
                let how = Format::Text;
                let replaced =
                    replace(strategy, &shape(oid), how, cell.as_bytes(), &keys, &mut out);
                assert_eq!(replaced, Replaced::Written);
                assert!(seen.insert(out), "{strategy:?} of {cell} as {oid} is seen twice");
            }
        }
    }
}

#[test]
fn keys_of_tables_never_meet_and_are_the_same_in_every_width() {
    let mut seen = std::collections::HashSet::new();
    for number in 0..5000 {
        let cell = number.to_string();
        let other = text(Strategy::Pseudonym, &shape(20), &cell);
        assert!((0..1 << 31).contains(&other.parse::<i64>().unwrap()), "{other} for {number}");
        for oid in [23, 26, 1700] {
            assert_eq!(text(Strategy::Pseudonym, &shape(oid), &cell), other, "{oid} {number}");
        }
        assert!(seen.insert(other), "{number} meets another");
    }
    let large = text(Strategy::Pseudonym, &shape(20), "9223372036854775807");
    assert_eq!(text(Strategy::Pseudonym, &shape(1700), "9223372036854775807"), large);
    let exact = text(Strategy::Pseudonym, &shape(1700), "7");
    assert_eq!(text(Strategy::Pseudonym, &shape(1700), "7.00"), format!("{exact}.00"));
}

#[test]
fn encrypted_digits_stay_as_many_and_in_place() {
    let long = "0123456789".repeat(40);
    for (oid, cell) in [
        (25, "4111-1111-1111-1111"),
        (25, "AB 000001 x"),
        (25, long.as_str()),
        (23, "100000"),
        (23, "-2147483647"),
        (23, "2147483647"),
        (20, "-9223372036854775808"),
        (26, "4294967295"),
        (1700, "-1234.5678"),
        (1700, "0.0012345"),
    ] {
        let other = text(Strategy::Fpe, &shape(oid), cell);
        let form = |text: &str| text.replace(|char: char| char.is_ascii_digit(), "0");
        assert_eq!(form(&other), form(cell), "{other} for {cell}");
        assert_ne!(other, cell);
        if oid == 23 {
            other.parse::<i32>().unwrap();
        }
    }
    // A permutation: no two numbers of six digits meet in one.
    let seen: std::collections::HashSet<_> = (100_000..104_000)
        .map(|number| text(Strategy::Fpe, &shape(23), &number.to_string()))
        .collect();
    assert_eq!(seen.len(), 4000);
    for (oid, cell, expected) in [(23, "-99999", "0"), (21, "12345", "0"), (1700, "123.45", "0")] {
        assert_eq!(text(Strategy::Fpe, &shape(oid), cell), expected);
    }
}

#[test]
fn years_begin_on_the_first_of_january() {
    for (oid, cell, expected) in [
        (1082, "1999-12-31", "1999-01-01"),
        (1082, "0044-03-15 BC", "0044-01-01 BC"),
        (1082, "5874897-12-31", "5874897-01-01"),
        (1082, "4714-11-24 BC", "NULL"),
        (1082, "infinity", "infinity"),
        (1082, "1999-02-29", "NULL"),
        (1082, "31.12.1999", "NULL"),
        (1082, "0000-01-01", "NULL"),
        (1114, "2001-02-03 04:05:06.789", "2001-01-01 00:00:00"),
        (1114, "0001-02-03 04:05:06 BC", "0001-01-01 00:00:00 BC"),
        (1184, "2000-01-01 00:30:00+05:45", "1999-01-01 00:00:00+00"),
        (1184, "1999-12-31 23:30:00-00:30:01", "2000-01-01 00:00:00+00"),
        (1184, "1999-12-31 23:30:00", "NULL"),
        (23, "1999", "0"),
    ] {
        assert_eq!(text(Strategy::Year, &shape(oid), cell), expected, "{cell}");
    }
}

#[test]
fn structure_stays_and_what_breaks_it_is_null() {
    let field = |type_oid, protection| Field { type_oid, shape: shape(type_oid), protection };
    let masked = Some(Strategy::Mask);
    let row = Shape::Composite([field(23, None), field(25, masked), field(25, None)].into());
    let rows = Shape::Array(std::sync::Arc::new(row.clone()), 16384);
    let array = shape(1009);
    for (shape, cell, expected) in [
        (&array, r#"{"a\"b",NULL,"NULL",c}"#, "{***,NULL,****,*}"),
        (&array, "[0:1][-1:0]={{a,b},{cc,dd}}", "[0:1][-1:0]={{*,*},{**,**}}"),
        (&array, r#"{"","{}"}"#, r#"{"",**}"#),
        (&array, "{}", "{}"),
        (&array, "", "NULL"),
        (&array, "{a", "NULL"),
        (&array, "{a}}", "NULL"),
        (&array, "{a,}", "NULL"),
        (&array, "{,a}", "NULL"),
        (&array, "a", "NULL"),
        (&array, "[x]={a}", "NULL"),
        (&array, "{{{{{{{a}}}}}}}", "NULL"),
        (&row, r#"(1,"b c",)"#, "(0,***,)"),
        (&row, r#"(,"b""c\\",x)"#, "(,****,*)"),
        (&row, "(1,b)", "NULL"),
        (&row, "(1,b,c,d)", "NULL"),
        (&row, "(1,b,c", "NULL"),
        (&row, r#"(1,b,"c)"#, "NULL"),
        (&rows, r#"{"(1,\"b c\",)",NULL}"#, r#"{"(0,***,)",NULL}"#),
        (&rows, r#"{"(1,"}"#, "NULL"),
    ] {
        // A broken item is NULL within a sound list.
        let expected = if cell == r#"{"(1,"}"# { "{NULL}" } else { expected };
        assert_eq!(text(Strategy::Mask, shape, cell), expected, "{cell}");
    }
    let mut out = Vec::new();
    let cell = br#"{"(7,\"b c\",\"y \\\"\\\" z\")"}"#;
    assert_eq!(replace_fields(&rows, Format::Text, cell, &keys(), &mut out), Replaced::Written);
    // Quotes are doubled, as the server does, and then each has a backslash in the array.
    assert_eq!(out, br#"{"(7,***,\"y \"\"\"\" z\")"}"#);
}

#[test]
fn what_nests_too_deeply_is_null() {
    let mut deep = shape(25);
    let mut cell = b"x".to_vec();
    for level in 1..12 {
        let shape = deep.clone();
        deep = Shape::Composite([Field { type_oid: 25, shape, protection: None }].into());
        let length = u32::try_from(cell.len()).unwrap().to_be_bytes();
        cell = [&[0, 0, 0, 1, 0, 0, 0, 25][..], &length, &cell].concat();
        let mut out = Vec::new();
        let _replaced = replace(Strategy::Mask, &deep, Format::Binary, &cell, &keys(), &mut out);
        assert_eq!(out.ends_with(b"*"), level <= 8, "level {level}");
        assert!(!out.ends_with(b"x"), "level {level}");
    }
}

#[test]
fn stand_ins_are_recognised_and_values_are_not() {
    let partial = Strategy::Partial { keep_first: 1, keep_last: 4 };
    for strategy in [Strategy::Redact, Strategy::Mask, Strategy::Hash, partial] {
        for cell in ["219-09-9999", "ada@example.com", "Ada Lovelace", "4111 1111 1111 1111"] {
            for oid in [25, 1043] {
                let other = text(strategy, &shape(oid), cell);
                assert!(is_ours(other.as_bytes()), "{other}");
                assert!(!is_ours(cell.as_bytes()), "{cell}");
            }
        }
    }
    for strategy in [Strategy::Redact, Strategy::Mask, Strategy::Hash, Strategy::Pseudonym] {
        assert!(is_ours(text(strategy, &shape(3802), "[1, 2]").as_bytes()));
    }
    assert!(is_ours(text(Strategy::Hash, &shape(142), "<a/>").as_bytes()));
    assert!(is_ours(text(Strategy::Pseudonym, &shape(25), "ada@example.com").as_bytes()));
    for own in [
        "",
        "*",
        "**",
        "* * * * *",
        "5 * * * *",
        "**bold**",
        "***bold***",
        "a*b",
        "[re",
        "h-1",
        "u-boat",
        "h-0123456789abcdeg",
        "u-0123456789ab@example.com",
        "4**2 = 16",
    ] {
        assert!(!is_ours(own.as_bytes()), "{own}");
    }
}
