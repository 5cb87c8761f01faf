//! The museum against the classifier, and how `COPY` is written.

use super::museum::MUSEUM;
use super::*;
use crate::model::facts::{
    Copy, CopyDirection, CopyFormat, CopySource, Draws, ForceQuote, Outputs, Statement,
};

fn statement(text: &str) -> Statement {
    let mut statements = read(text.as_bytes()).facts.statements;
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0)
}

fn spelt(draws: &Draws) -> String {
    match draws {
        Draws::Nothing => "-".to_owned(),
        Draws::Columns(names) => names.join("+"),
        Draws::Anything => "*".to_owned(),
    }
}

fn outputs(outputs: &Outputs) -> String {
    match outputs {
        Outputs::Unknown => "?".to_owned(),
        Outputs::Each(each) => each.iter().map(spelt).collect::<Vec<_>>().join(" "),
        Outputs::All(draws) => format!("all {}", spelt(draws)),
    }
}

#[test]
fn every_value_of_the_museum_is_made_of_what_it_says_there() {
    let mut wrong = Vec::new();
    for (text, made_of, stored) in MUSEUM {
        let statement = statement(text);
        let found = (outputs(&statement.outputs), spelt(&statement.assigned));
        if found != ((*made_of).to_owned(), (*stored).to_owned()) {
            wrong.push(format!("{text}\n  found    {found:?}\n  expected {made_of:?} {stored:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(MUSEUM.len() >= 150);
}

#[test]
fn literals_change_nothing_about_what_values_are_made_of() {
    for (text, ..) in MUSEUM {
        for seed in 0..8 {
            twin::shares_rightly(seed, text.as_bytes());
        }
    }
}

#[test]
fn more_columns_than_are_kept_are_anything() {
    let names: Vec<String> = (0..=64).map(|number| format!("c{number}")).collect();
    let of = |names: &[String]| statement(&format!("SELECT concat({}) FROM t", names.join(", ")));
    assert_eq!(of(&names).outputs, Outputs::Each([Draws::Anything].into()));
    let kept = of(&names[..64]);
    assert!(matches!(&kept.outputs, Outputs::Each(each) if matches!(each[0], Draws::Columns(_))));
    let apart = statement(&format!("INSERT INTO u SELECT {} FROM t", names.join(", ")));
    assert_eq!(apart.assigned, Draws::Anything);
}

#[test]
fn more_outputs_than_a_result_can_have_are_told_together() {
    let text = format!("SELECT {} FROM t", vec!["upper(a)"; 1_665].join(", "));
    assert_eq!(statement(&text).outputs, Outputs::All(Draws::columns(vec!["a".into()])));
}

fn copy(text: &str) -> Copy {
    *statement(text).copy.unwrap()
}

#[test]
fn a_copy_without_options_has_the_servers_own() {
    let text = copy("COPY public.customers TO STDOUT");
    let expected = Copy {
        direction: CopyDirection::ToClient,
        source: CopySource::Relation {
            schema: Some("public".into()),
            name: "customers".into(),
            columns: None,
        },
        format: CopyFormat::Text,
        delimiter: b'\t',
        null: (*b"\\N").into(),
        quote: b'"',
        escape: b'"',
        header: false,
        force_quote: ForceQuote::No,
        encoding_given: false,
    };
    assert_eq!(text, expected);
    let csv = Copy { format: CopyFormat::Csv, delimiter: b',', null: [].into(), ..expected };
    assert_eq!(copy("COPY public.customers TO STDOUT (FORMAT csv)"), csv);
    assert_eq!(copy("COPY public.customers TO STDOUT CSV"), csv);
}

#[test]
fn what_is_copied_is_told() {
    let columns = |names: &[&str]| Some(names.iter().map(|name| Box::from(*name)).collect());
    let of = |columns| CopySource::Relation { schema: None, name: "t".into(), columns };
    assert_eq!(copy("COPY t (b, \"A\") TO STDOUT").source, of(columns(&["b", "A"])));
    assert_eq!(copy("COPY t FROM STDIN").source, of(None));
    assert_eq!(copy("COPY t FROM STDIN").direction, CopyDirection::FromClient);
    assert_eq!(copy("COPY (SELECT 1) TO STDOUT").source, CopySource::Query);
    for text in ["COPY t TO '/tmp/x'", "COPY t FROM PROGRAM 'x'", "SELECT 1"] {
        assert_eq!(statement(text).copy, None, "{text}");
    }
}

#[test]
fn options_of_a_copy_are_taken_as_the_server_takes_them() {
    let with = |options: &str| copy(&format!("COPY t TO STDOUT {options}"));
    for (options, format) in [
        ("(FORMAT text)", CopyFormat::Text),
        ("(FORMAT 'csv')", CopyFormat::Csv),
        ("(FORMAT CSV)", CopyFormat::Csv),
        ("(FORMAT binary)", CopyFormat::Binary),
        ("BINARY", CopyFormat::Binary),
        ("(FORMAT 'CSV')", CopyFormat::Unknown),
        ("(FORMAT yaml)", CopyFormat::Unknown),
        ("(FORMAT)", CopyFormat::Unknown),
        ("(FORMAT csv, FORMAT text)", CopyFormat::Unknown),
        ("(\"FORMAT\" csv)", CopyFormat::Unknown),
        ("(FORMAT csv, novelty)", CopyFormat::Unknown),
        ("(DELIMITER 'ab')", CopyFormat::Unknown),
        ("(DELIMITER '')", CopyFormat::Unknown),
        ("(NULL)", CopyFormat::Unknown),
        ("(HEADER 2)", CopyFormat::Unknown),
        ("(HEADER perhaps)", CopyFormat::Unknown),
        ("(FORMAT csv, FORCE_QUOTE)", CopyFormat::Unknown),
    ] {
        assert_eq!(with(options).format, format, "{options}");
    }
    assert_eq!(copy("COPY BINARY t TO STDOUT").format, CopyFormat::Binary);
    assert_eq!(with("USING DELIMITERS '|'").delimiter, b'|');
    assert_eq!(with("(DELIMITER ';')").delimiter, b';');
    assert_eq!(with("(DELIMITER E'\\x01')").delimiter, 1);
    assert_eq!(&*with("NULL AS 'nil'").null, b"nil");
    assert_eq!(&*with("(FORMAT csv, NULL 0)").null, b"0");
    for (options, header) in [
        ("(HEADER)", true),
        ("(HEADER on)", true),
        ("(HEADER TRUE)", true),
        ("(HEADER 1)", true),
        ("CSV HEADER", true),
        ("(HEADER off)", false),
        ("(HEADER 'False')", false),
        ("(HEADER 0)", false),
    ] {
        assert_eq!(with(options).header, header, "{options}");
        assert_ne!(with(options).format, CopyFormat::Unknown, "{options}");
    }
    let quoted = with("(FORMAT csv, QUOTE '''')");
    assert_eq!((quoted.quote, quoted.escape), (b'\'', b'\''));
    let escaped = with("CSV QUOTE AS '|' ESCAPE AS '\\'");
    assert_eq!((escaped.quote, escaped.escape), (b'|', b'\\'));
    assert_eq!(with("CSV FORCE QUOTE *").force_quote, ForceQuote::All);
    let some = ForceQuote::Columns(["a".into(), "b".into()].into());
    assert_eq!(with("(FORMAT csv, FORCE_QUOTE (a, b))").force_quote, some);
    assert!(with("(ENCODING 'LATIN1')").encoding_given);
    assert!(with("ENCODING 'LATIN1'").encoding_given);
}

#[test]
fn two_copies_of_one_shape_do_not_share_their_facts() {
    for text in ["COPY t TO STDOUT", "COPY t TO STDOUT (DELIMITER ';')"] {
        assert_eq!(read(text.as_bytes()).dependence, Dependence::Literals, "{text}");
    }
}

#[test]
fn what_shows_samples_secrets_or_what_others_do_is_marked() {
    for name in [
        "pg_stats",
        "pg_catalog.pg_statistic",
        "pg_statistic_ext_data",
        "pg_stats_ext",
        "pg_stats_ext_exprs",
        "pg_stat_activity",
        "pg_stat_statements",
        "app.pg_stat_statements",
        "pg_largeobject",
        "pg_authid",
        "pg_shadow",
        "pg_user_mapping",
        "pg_user_mappings",
        "information_schema.user_mapping_options",
        "information_schema._pg_user_mappings",
        "pg_toast.pg_toast_16400",
        "pg_toast.pg_toast_16400_index",
        "pg_qualstats",
        "pg_store_plans",
        "pg_stat_monitor",
        "pg_stat_get_activity(NULL)",
        "pg_stat_get_backend_activity(1)",
        "pg_mcv_list_items(NULL)",
        "pg_stat_statements(true)",
    ] {
        let flags = read(format!("SELECT * FROM {name}").as_bytes()).facts.flags;
        assert!(flags.contains(Flags::CATALOG_SENSITIVE), "{name}");
    }
    for name in ["pg_class", "pg_statistic_ext", "information_schema.columns", "customers"] {
        let flags = read(format!("SELECT * FROM {name}").as_bytes()).facts.flags;
        assert!(!flags.contains(Flags::CATALOG_SENSITIVE), "{name}");
    }
}
