use serde_json::json;

use super::{plannable, quoted, rows};
use crate::model::facts::{Body, Effects, Facts, Function, Origin, Statement};

fn update() -> Facts {
    let statement = Statement { verb: "UPDATE", effects: Effects::UPDATE, ..Statement::default() };
    Facts { effects: Effects::UPDATE, statements: vec![statement], ..Facts::default() }
}

fn calling(name: &str, origin: Origin) -> Facts {
    let mut facts = update();
    let function = Function { schema: None, name: name.into(), origin, body: Body::Own };
    facts.statements[0].functions.push(function);
    facts
}

#[test]
fn a_plain_write_is_planned() {
    assert!(plannable(&update()).is_ok());
    assert!(plannable(&calling("lower", Origin::Server)).is_ok());
}

#[test]
fn what_the_planner_might_run_is_not_planned() {
    assert!(plannable(&calling("pg_read_file", Origin::Server)).is_err());
    assert!(plannable(&calling("lower", Origin::Elsewhere)).is_err());
    let mut two = update();
    two.statements.push(two.statements[0].clone());
    assert!(plannable(&two).is_err());
    for effect in [Effects::CODE_EXEC, Effects::UNKNOWN, Effects::DDL_DROP, Effects::EXPLAIN] {
        assert!(plannable(&Facts { effects: Effects::UPDATE | effect, ..update() }).is_err());
    }
}

#[test]
fn a_write_counts_the_rows_that_feed_it() {
    let read = json!([{ "Plan": { "Node Type": "Seq Scan", "Plan Rows": 7 } }]);
    assert_eq!(rows(&read), Some(7));
    let write = json!([{ "Plan": { "Node Type": "ModifyTable", "Plan Rows": 0, "Plans": [
        { "Parent Relationship": "InitPlan", "Plan Rows": 1 },
        { "Parent Relationship": "Outer", "Plan Rows": 42 },
    ] } }]);
    assert_eq!(rows(&write), Some(42));
    assert_eq!(rows(&json!([])), None);
}

#[test]
fn a_name_is_quoted_as_the_server_reads_it() {
    assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
}
