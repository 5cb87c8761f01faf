//! Masks: what is protected, and how where several rules speak of one thing.

use std::sync::Arc;

use crate::judge::policy::tests::{faults, library};
use crate::judge::policy::{Fault, Masks};
use crate::model::entity::Entity;
use crate::model::mask::{Derived, Strategy};

fn masks(toml: &str) -> Option<Arc<Masks>> {
    library(toml).masks(&["p".into()])
}

const MASKS: &str = r#"
[p]
default = "pass"
[p.lists]
people = ["public.customers.ssn", "crm.*.ssn"]
[[p.mask]]
columns = "@people"
as      = { partial = { keep_last = 4 } }
[[p.mask]]
id      = "mail"
columns = ["*.email", "customers.mail*"]
as      = "pseudonym"
[[p.mask]]
columns = ["crm.people.ssn"]
as      = "null"
[[p.mask]]
detect  = ["pan", "jwt"]
as      = "redact"
[p.options]
derived = "detect"
"#;

#[test]
fn columns_are_known_by_their_names() {
    let masks = masks(MASKS).unwrap();
    let four = Strategy::Partial { keep_first: 0, keep_last: 4 };
    for (schema, table, column, expected) in [
        ("public", "customers", "ssn", Some((four, "p/mask-1"))),
        ("other", "customers", "ssn", None),
        ("crm", "anything", "ssn", Some((four, "p/mask-1"))),
        ("crm", "people", "ssn", Some((Strategy::Null, "p/mask-3"))),
        ("any", "where", "email", Some((Strategy::Pseudonym, "p/mail"))),
        ("any", "customers", "mail_2", Some((Strategy::Pseudonym, "p/mail"))),
        ("any", "orders", "mail_2", None),
        ("public", "customers", "Email", None),
    ] {
        let found = masks.column(schema, table, column);
        let found = found.as_ref().map(|it| (it.strategy, it.rule.to_string()));
        let expected = expected.map(|(strategy, rule)| (strategy, rule.to_owned()));
        assert_eq!(found, expected, "{schema}.{table}.{column}");
    }
    assert!(masks.has_columns());
    assert_eq!(masks.derived(), Derived::Detect);
    assert!(masks.guards_writes());
    assert_eq!(masks.patterns().filter(|it| it.matches("crm", "people", "ssn")).count(), 2);
}

#[test]
fn patterns_tell_whether_they_speak_of_one_table() {
    let masks = masks(MASKS).unwrap();
    let told: Vec<(String, &str, bool)> = masks
        .patterns()
        .map(|it| (it.rule().to_string(), it.written(), it.names_a_table()))
        .collect();
    let told: Vec<(&str, &str, bool)> =
        told.iter().map(|(rule, written, names)| (&**rule, *written, *names)).collect();
    assert_eq!(
        told,
        [
            ("p/mask-1", "public.customers.ssn", true),
            ("p/mask-1", "crm.*.ssn", false),
            ("p/mail", "*.email", false),
            ("p/mail", "customers.mail*", true),
            ("p/mask-3", "crm.people.ssn", true),
        ]
    );
}

#[test]
fn values_are_known_by_their_kind() {
    let masks = masks(MASKS).unwrap();
    assert_eq!(masks.entity(Entity::Pan).unwrap().strategy, Strategy::Redact);
    assert!(masks.entity(Entity::Email).is_none());
    assert!(masks.detector().is_some());
    let columns_only = library("[[p.mask]]\ncolumns = [\"a.b\"]\nas = \"hash\"");
    assert!(columns_only.masks(&["p".into()]).unwrap().detector().is_none());
}

#[test]
fn policies_add_up_and_observers_protect_nothing() {
    let library = library(
        r#"
        [[one.mask]]
        columns = ["t.a"]
        as = "mask"
        [one.options]
        derived = "off"
        writes = "pass"
        [[two.mask]]
        columns = ["t.a", "t.b"]
        as = "hash"
        [[sees.mask]]
        columns = ["t.c"]
        as = "null"
        [sees.options]
        mode = "observe"
        "#,
    );
    let masks = library.masks(&["one".into(), "two".into(), "sees".into()]).unwrap();
    assert_eq!(masks.column("s", "t", "a").unwrap().strategy, Strategy::Mask);
    assert_eq!(masks.column("s", "t", "b").unwrap().strategy, Strategy::Hash);
    assert!(masks.column("s", "t", "c").is_none());
    assert_eq!(masks.derived(), Derived::Strict);
    assert!(masks.guards_writes());
    assert!(!library.masks(&["one".into()]).unwrap().guards_writes());
    assert!(library.masks(&["sees".into()]).is_none());
}

#[test]
fn masks_that_mean_nothing_are_refused() {
    for (toml, expected) in [
        (
            "[[p.mask]]\ncolumns = [\"ssn\"]\nas = \"null\"",
            Fault::NoTable { pattern: "ssn".into() },
        ),
        ("[[p.mask]]\nas = \"null\"", Fault::MasksNothing),
        ("[[p.mask]]\ncolumns = []\nas = \"null\"", Fault::EmptyList { condition: "columns" }),
        (
            "[[p.mask]]\ndetect = [\"emial\"]\nas = \"null\"",
            Fault::NoSuchName {
                kind: "entity",
                name: "emial".into(),
                nearest: Some("email".into()),
            },
        ),
        (
            "[[p.mask]]\nid = \"a\"\ndetect = [\"pan\"]\nas = \"null\"\n[[p.mask]]\nid = \"a\"\ndetect = [\"pan\"]\nas = \"null\"",
            Fault::DuplicateId,
        ),
    ] {
        assert!(faults(toml).contains(&expected), "{toml}: {:?}", faults(toml));
    }
}
