use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const TEXT: u32 = 25;

fn column(number: i16, name: &str, source: Source) -> Attribute {
    Attribute {
        number,
        name: name.into(),
        type_oid: TEXT,
        typmod: -1,
        dropped: false,
        samples: false,
        source,
    }
}

fn own(names: &[&str]) -> Vec<Attribute> {
    (1..).zip(names).map(|(number, name)| column(number, name, Source::Own)).collect()
}

fn relation(oid: u32, name: &str, kind: Kind, columns: Vec<Attribute>) -> Relation {
    let (schema, name) = name.split_once('.').unwrap_or(("public", name));
    Relation {
        oid,
        schema: schema.into(),
        name: name.into(),
        kind,
        columns,
        parents: Vec::new(),
        reads: Vec::new(),
        whole_rows: false,
    }
}

fn table(oid: u32, name: &str, columns: &[&str]) -> Relation {
    relation(oid, name, Kind::Table, own(columns))
}

fn view(oid: u32, name: &str, sources: &[(&str, Source)], reads: &[(u32, i16)]) -> Relation {
    let columns = (1..).zip(sources).map(|(n, (name, source))| column(n, name, source.clone()));
    let mut view = relation(oid, name, Kind::View, columns.collect());
    view.reads = reads.to_vec();
    view
}

fn bare(relation: u32, number: i16) -> Source {
    Source::Bare { relation, number }
}

fn protection(strategy: Strategy, rule: &str) -> Protection {
    Protection { strategy, rule: RuleRef { policy: "p".into(), rule: rule.into() } }
}

/// Rules as `schema.table.column`, each with its strategy.
fn built(relations: Vec<Relation>, rules: &[(&str, Strategy)]) -> Catalogue {
    typed(relations, Vec::new(), rules)
}

fn typed(relations: Vec<Relation>, types: Vec<Type>, rules: &[(&str, Strategy)]) -> Catalogue {
    Catalogue::build(&Raw { relations, types }, &|schema, table, column| {
        let name = format!("{schema}.{table}.{column}");
        let (rule, strategy) = rules.iter().find(|(rule, _)| **rule == name)?;
        Some(protection(*strategy, rule))
    })
}

fn strategy(catalogue: &Catalogue, table: u32, number: i16) -> Option<Strategy> {
    match catalogue.column(table, number) {
        Column::Protected(protection) => Some(protection.strategy),
        Column::Free => None,
        Column::Row(shape) => Some(shape.strictest.strategy),
        Column::Unknown => panic!("{table}.{number} is unknown"),
    }
}

const CUSTOMERS: u32 = 20_000;
const SSN: (&str, Strategy) = ("public.customers.ssn", Strategy::Redact);

fn customers() -> Relation {
    table(CUSTOMERS, "customers", &["id", "name", "ssn"])
}

#[test]
fn a_column_is_what_its_rule_says() {
    let catalogue = built(vec![customers()], &[SSN]);
    assert_eq!(strategy(&catalogue, CUSTOMERS, 1), None);
    assert_eq!(
        catalogue.column(CUSTOMERS, 3),
        Column::Protected(&protection(Strategy::Redact, SSN.0))
    );
    assert_eq!(catalogue.column(CUSTOMERS, -1), Column::Free);
}

#[test]
fn what_was_not_read_is_unknown() {
    let catalogue = built(vec![customers()], &[SSN]);
    assert_eq!(catalogue.column(CUSTOMERS, 4), Column::Unknown);
    assert_eq!(catalogue.column(CUSTOMERS + 1, 1), Column::Unknown);
    assert_eq!(catalogue.column(CUSTOMERS + 1, 0), Column::Unknown);
    assert_eq!(catalogue.column(0, 0), Column::Unknown);
    assert_eq!(catalogue.column(1259, 1), Column::Free);
    assert_eq!(catalogue.touch(None, "nobody"), Touch::Unknown);
    assert_eq!(catalogue.touch(Some("other"), "customers"), Touch::Unknown);
}

#[test]
fn a_dropped_column_is_unknown_and_in_no_row() {
    let mut customers = customers();
    customers.columns[1].dropped = true;
    let catalogue = built(vec![customers], &[SSN]);
    assert_eq!(catalogue.column(CUSTOMERS, 2), Column::Unknown);
    let Column::Row(shape) = catalogue.column(CUSTOMERS, 0) else { panic!("no row") };
    let strategies: Vec<_> = shape.fields.iter().map(|field| field.strategy).collect();
    assert_eq!(strategies, [None, Some(Strategy::Redact)]);
    let copied = catalogue.copy_columns(None, "customers", None).unwrap();
    assert_eq!(copied.len(), 2);
}

#[test]
fn a_row_without_protected_fields_is_free() {
    let catalogue = built(vec![customers(), table(20_001, "orders", &["id"])], &[SSN]);
    assert_eq!(catalogue.column(20_001, 0), Column::Free);
}

#[test]
fn nothing_readable_protects_everything() {
    let catalogue = Catalogue::unreadable();
    assert_eq!(catalogue.column(CUSTOMERS, 1), Column::Unknown);
    assert_eq!(catalogue.column(1259, 1), Column::Unknown);
    let Touch::Protected { strictest, .. } = catalogue.touch(None, "x") else { panic!("free") };
    assert_eq!(strictest.strategy, Strategy::Null);
    assert_eq!(catalogue.copy_columns(None, "x", None), None);
}

#[test]
fn a_views_column_is_its_source_through_other_views() {
    let catalogue = built(
        vec![
            view(20_002, "outer", &[("b", bare(20_001, 1))], &[(20_001, 1)]),
            view(20_001, "inner", &[("a", bare(CUSTOMERS, 3)), ("i", bare(CUSTOMERS, 1))], &[]),
            customers(),
        ],
        &[SSN],
    );
    assert_eq!(strategy(&catalogue, 20_002, 1), Some(Strategy::Redact));
    assert_eq!(strategy(&catalogue, 20_001, 2), None);
    let touched = catalogue.touch(None, "outer");
    let strictest = &protection(Strategy::Redact, SSN.0);
    assert_eq!(touched, Touch::Protected { strictest, columns: &["b".into()] });
}

#[test]
fn a_computed_column_is_as_strict_as_what_the_view_reads() {
    let rules = [SSN, ("public.customers.name", Strategy::Hash)];
    let computed = [("up", Source::Computed), ("id", bare(CUSTOMERS, 1))];
    let catalogue = built(
        vec![
            customers(),
            view(20_001, "both", &computed, &[(CUSTOMERS, 2), (CUSTOMERS, 3)]),
            view(20_002, "one", &computed, &[(CUSTOMERS, 1), (CUSTOMERS, 2)]),
            view(20_003, "none", &computed, &[(CUSTOMERS, 0), (CUSTOMERS, 1)]),
            view(20_004, "again", &computed, &[(20_001, 1)]),
        ],
        &rules,
    );
    assert_eq!(strategy(&catalogue, 20_001, 1), Some(Strategy::Redact));
    assert_eq!(strategy(&catalogue, 20_001, 2), None);
    assert_eq!(strategy(&catalogue, 20_002, 1), Some(Strategy::Hash));
    assert_eq!(strategy(&catalogue, 20_003, 1), None);
    assert_eq!(strategy(&catalogue, 20_004, 1), Some(Strategy::Redact));
}

#[test]
fn a_view_that_holds_whole_rows_reads_every_column() {
    let mut whole = view(20_001, "whole", &[("j", Source::Computed)], &[(CUSTOMERS, 1)]);
    whole.whole_rows = true;
    let catalogue = built(vec![customers(), whole], &[SSN]);
    assert_eq!(strategy(&catalogue, 20_001, 1), Some(Strategy::Redact));
}

#[test]
fn a_source_that_was_not_read_is_unknown_unless_it_is_the_servers() {
    let sources = [("a", bare(30_000, 1)), ("b", bare(1259, 2)), ("c", bare(CUSTOMERS, -1))];
    let catalogue = built(vec![customers(), view(20_001, "v", &sources, &[])], &[SSN]);
    assert_eq!(catalogue.column(20_001, 1), Column::Unknown);
    assert_eq!(catalogue.column(20_001, 2), Column::Free);
    assert_eq!(catalogue.column(20_001, 3), Column::Free);
    assert_eq!(catalogue.column(20_001, 0), Column::Unknown);
    assert_eq!(catalogue.touch(None, "v"), Touch::Unknown);
}

#[test]
fn views_that_read_each_other_end() {
    let circle = vec![
        view(20_001, "a", &[("x", bare(20_002, 1))], &[(20_002, 1)]),
        view(20_002, "b", &[("x", bare(20_001, 1))], &[(20_001, 1)]),
    ];
    let catalogue = built(circle, &[("public.a.x", Strategy::Mask)]);
    assert_eq!(strategy(&catalogue, 20_002, 1), Some(Strategy::Mask));
}

#[test]
fn a_rule_may_name_a_views_own_column() {
    let sources = [("x", bare(CUSTOMERS, 1))];
    let views = vec![customers(), view(20_001, "v", &sources, &[])];
    let catalogue = built(views, &[("public.v.x", Strategy::Mask)]);
    assert_eq!(strategy(&catalogue, 20_001, 1), Some(Strategy::Mask));
    assert_eq!(strategy(&catalogue, CUSTOMERS, 1), None);
}

fn partitioned() -> Vec<Relation> {
    let mut relations = vec![
        relation(20_010, "events", Kind::Partitioned, own(&["id", "who"])),
        // Attached later, with its columns in another order.
        table(20_011, "events_a", &["who", "id"]),
        table(20_012, "events_b", &["id", "who"]),
        table(20_013, "events_b_1", &["id", "who"]),
    ];
    relations[1].parents = vec![20_010];
    relations[2].parents = vec![20_010];
    relations[3].parents = vec![20_012];
    relations
}

#[test]
fn partitions_inherit_by_name() {
    let catalogue = built(partitioned(), &[("public.events.who", Strategy::Hash)]);
    assert_eq!(strategy(&catalogue, 20_011, 1), Some(Strategy::Hash));
    assert_eq!(strategy(&catalogue, 20_011, 2), None);
    assert_eq!(strategy(&catalogue, 20_013, 2), Some(Strategy::Hash));
}

#[test]
fn a_partitions_rule_speaks_of_its_parents_not_of_its_siblings() {
    let catalogue = built(partitioned(), &[("public.events_b_1.who", Strategy::Hash)]);
    assert_eq!(strategy(&catalogue, 20_013, 2), Some(Strategy::Hash));
    assert_eq!(strategy(&catalogue, 20_012, 2), Some(Strategy::Hash));
    assert_eq!(strategy(&catalogue, 20_010, 2), Some(Strategy::Hash));
    assert_eq!(strategy(&catalogue, 20_011, 1), None);
}

#[test]
fn generated_columns_are_what_they_come_from() {
    let mut customers = customers();
    customers.columns.push(column(4, "last4", Source::Generated(vec![3])));
    customers.columns.push(column(5, "initial", Source::Generated(vec![2])));
    let catalogue = built(vec![customers], &[SSN]);
    assert_eq!(strategy(&catalogue, CUSTOMERS, 4), Some(Strategy::Redact));
    assert_eq!(strategy(&catalogue, CUSTOMERS, 5), None);
    assert_eq!(catalogue.copy_columns(None, "customers", None).unwrap().len(), 3);
}

#[test]
fn columns_that_hold_rows_are_as_strict_as_the_rows() {
    let mut audit = table(20_020, "audit", &["old", "history"]);
    audit.columns[0].type_oid = 20_001;
    audit.columns[1].type_oid = 20_003;
    let one = |oid, kind| Type { oid, info: TypeInfo { name: "t".into(), kind } };
    let types = vec![
        one(20_001, TypeKind::Composite { relation: CUSTOMERS, fields: Box::new([]) }),
        one(20_002, TypeKind::Domain { base: 20_001, typmod: -1 }),
        one(20_003, TypeKind::Array { element: 20_002 }),
    ];
    let catalogue = typed(vec![audit, customers()], types, &[SSN]);
    assert_eq!(strategy(&catalogue, 20_020, 1), Some(Strategy::Redact));
    assert_eq!(strategy(&catalogue, 20_020, 2), Some(Strategy::Redact));
}

#[test]
fn samples_are_protected_once_anything_is() {
    let mut stats = table(12_300, "pg_catalog.pg_stats", &["tablename", "most_common_vals"]);
    stats.columns[1].samples = true;
    let catalogue = built(vec![stats.clone(), customers()], &[SSN]);
    assert_eq!(strategy(&catalogue, 12_300, 2), Some(Strategy::Null));
    assert_eq!(strategy(&catalogue, 12_300, 1), None);
    assert!(matches!(catalogue.touch(None, "pg_stats"), Touch::Protected { .. }));
    let catalogue = built(vec![stats, customers()], &[]);
    assert_eq!(strategy(&catalogue, 12_300, 2), None);
}

#[test]
fn a_name_without_schema_means_all_of_that_name() {
    let other = table(20_030, "crm.customers", &["id", "name", "email"]);
    let rules = [SSN, ("crm.customers.email", Strategy::Null)];
    let catalogue = built(vec![customers(), other], &rules);
    let Touch::Protected { strictest, columns } = catalogue.touch(None, "customers") else {
        panic!("free")
    };
    assert_eq!(strictest.strategy, Strategy::Null);
    assert_eq!(columns, ["ssn".into(), "email".into()]);
    let Touch::Protected { strictest, .. } = catalogue.touch(Some("public"), "customers") else {
        panic!("free")
    };
    assert_eq!(strictest.strategy, Strategy::Redact);
    let copied = catalogue.copy_columns(None, "customers", None).unwrap();
    let strategies: Vec<_> =
        copied.iter().map(|one| one.protection.as_ref().map(|one| one.strategy)).collect();
    assert_eq!(strategies, [None, None, Some(Strategy::Null)]);
}

#[test]
fn copies_that_could_mean_different_columns_are_not_guessed() {
    let catalogue = built(vec![customers(), table(20_030, "crm.customers", &["id"])], &[SSN]);
    assert_eq!(catalogue.copy_columns(None, "customers", None), None);
    let id: [Box<str>; 1] = ["id".into()];
    assert_eq!(catalogue.copy_columns(None, "customers", Some(&id)).unwrap().len(), 1);
    let ssn: [Box<str>; 1] = ["ssn".into()];
    let copied = catalogue.copy_columns(None, "customers", Some(&ssn)).unwrap();
    assert!(copied[0].protection.is_some());
    let none: [Box<str>; 1] = ["none".into()];
    assert_eq!(catalogue.copy_columns(None, "customers", Some(&none)), None);
}

#[test]
fn rules_that_match_nothing_are_found() {
    let raw = Raw { relations: vec![customers()], types: Vec::new() };
    let mut unmatched = vec!["public.customers.ssn", "public.customers.snn"];
    for (schema, table, column) in raw.columns() {
        let name = format!("{schema}.{table}.{column}");
        unmatched.retain(|pattern| *pattern != name);
    }
    assert_eq!(unmatched, ["public.customers.snn"]);
    assert!(raw.columns().any(|column| column == ("public", "customers", "ssn")));
}

#[test]
fn a_cell_is_woken_once_until_it_is_asked() {
    let woken = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&woken);
    let cell = Cell::new(Arc::new(Catalogue::unreadable()), move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    cell.want();
    cell.want();
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    assert!(cell.take_want());
    assert!(!cell.take_want());
    cell.want();
    assert_eq!(woken.load(Ordering::Relaxed), 2);
    let before = cell.generation();
    cell.publish(Arc::new(built(vec![customers()], &[])));
    assert_eq!(cell.generation(), before + 1);
    assert!(!cell.load().is_unreadable());
}

#[test]
fn a_catalogue_knows_the_changes_that_it_was_read_after() {
    let cell = Cell::new(Arc::new(Catalogue::unreadable()), || {});
    let first = cell.changed();
    assert!(!cell.knows(first));
    assert!(cell.take_want());
    let begun = cell.changes();
    let second = cell.changed();
    cell.settle(begun);
    assert!(cell.knows(first) && !cell.knows(second));
    cell.settle(cell.changes());
    assert!(cell.knows(second));
}
