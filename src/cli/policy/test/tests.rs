use std::fs;
use std::path::Path;

use super::*;
use crate::cli::policy::past::tests::World;

const POLICY: &str = r#"
[policy.p]
default = "deny"
[[policy.p.rule]]
id = "reads"
when = { effects.only = ["read"] }
action = "allow"
[[policy.p.rule]]
id = "main"
action = "allow"
[policy.p.rule.when]
effects.only = ["insert"]
claims = { ref = "main", kubernetes.namespace = "prod" }
labels.env = "prod"
database = "shop"
"#;

fn report(world: &World, cases: &str) -> Result<Report, Vec<String>> {
    let config = config::load(&world.config()).unwrap();
    let file = world.put("cases.toml", cases);
    let cases = config::load_cases(&file, &config);
    let cases =
        cases.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(Report::of("cases.toml".into(), &cases, &config).unwrap())
}

#[test]
fn what_came_is_told_beside_what_was_expected() {
    let world = World::new(POLICY);
    let report = report(
        &world,
        r#"
connection = "bot@shop"
[[case]]
name = "reads"
statement = ["SELECT 1", "SELECT 2"]
expect = "allow"
rule = "p/reads"
[[case]]
name = "drops"
statement = "DROP TABLE t"
parameters = ["7"]
expect = "allow"
[[case]]
name = "another rule"
account = "other"
target = "shop"
statement = "SELECT 1"
expect = "allow"
rule = "main"
"#,
    );
    let report = report.unwrap();
    assert_eq!((report.cases, report.statements, report.failed), (3, 4, 2));
    let text = report.text(Paint::Plain);
    for told in [
        "cases.toml:8: drops: failed\n  statement: DROP TABLE t\n  parameters: 7\n",
        "  connection: bot@shop\n  expected: allow\n  came: deny by p/default\n",
        "  | deny by p/default\n",
        "  |   effects: ddl_drop\n",
        "  |   allow reads: does not match\n",
        "  connection: other@shop\n  expected: allow by main\n  came: allow by p/reads\n",
    ] {
        assert!(text.contains(told), "{told} in\n{text}");
    }
    assert!(text.ends_with("\n4 statements in 3 cases: 2 not as expected"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["failed"], 2);
    assert_eq!(json["results"][2]["explanation"]["facts"]["effects"][0], "ddl_drop");
}

#[test]
fn a_case_says_whose_session_it_is() {
    let world = World::new(POLICY);
    let insert = |more: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"x\"\nstatement = \"INSERT INTO t VALUES (1)\"\n\
             expect = \"{expect}\"\n{more}\n"
        )
    };
    let shared = "connection = \"bot@shop\"\ndatabase = \"shop\"\n\
                  claims = { ref = [\"dev\", \"main\"], kubernetes = { namespace = \"prod\" } }\n";
    let cases = [
        shared.to_owned(),
        insert("", "allow"),
        insert("database = \"other\"", "deny"),
        insert("labels = { env = \"lab\" }", "deny"),
        insert("claims = { ref = \"main\" }", "deny"),
        insert("claims = { ref = \"main\", \"kubernetes.namespace\" = \"prod\" }", "allow"),
    ]
    .concat();
    let report = report(&world, &cases).unwrap();
    assert_eq!((report.statements, report.failed), (5, 0), "{}", report.text(Paint::Plain));
    assert_eq!(report.text(Paint::Plain), "5 statements in 5 cases: all as expected");
}

#[test]
fn a_case_may_be_in_another_language() {
    let world = World::new(POLICY);
    let case = |language: &str, statement: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"x\"\nlanguage = \"{language}\"\nstatement = \"{statement}\"\n\
             expect = \"{expect}\"\n"
        )
    };
    let cases = [
        "connection = \"bot@shop\"\n".to_owned(),
        case("mysql", "SELECT `a` FROM t # x", "allow"),
        case("postgresql", "SELECT `a` FROM t # x", "deny"),
        case("tsql", "SELECT TOP 1 [a] FROM t", "allow"),
        case("tsql", "SELECT 1 DELETE FROM t", "deny"),
        case("sqlite", "SELECT [a] FROM 't'", "allow"),
    ]
    .concat();
    let report = report(&world, &cases).unwrap();
    assert_eq!((report.statements, report.failed), (5, 0), "{}", report.text(Paint::Plain));
    let wrong = case("oracle", "SELECT 1", "allow");
    let problems = self::report(&world, &format!("connection = \"bot@shop\"\n{wrong}"));
    let problems = problems.unwrap_err().join("\n");
    assert!(problems.contains("`case.language` cannot be \"oracle\""), "{problems}");
}

#[test]
fn a_wrong_file_is_told_line_by_line() {
    let world = World::new(POLICY);
    let problems = |cases: &str| report(&world, cases).unwrap_err().join("\n");
    let told = problems(
        "[[case]]\nname = \"x\"\nconnection = \"bot@shp\"\nstatement = \"SELECT 1\"\n\
         expect = \"alow\"\nrul = \"r\"\n",
    );
    for line in [
        "cases.toml:3: there is no connection \"bot@shp\"\n  did you mean \"bot@shop\"?",
        "cases.toml:5: `case.expect` cannot be \"alow\"\n  did you mean \"allow\"?",
        "cases.toml:6: `case.rul` is not known\n  did you mean `rule`?",
    ] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    assert!(problems("").contains("`case` is missing"));
    assert!(
        problems("[[case]]\nname = \"x\"\nstatement = \"\"\nexpect = \"deny\"\n")
            .contains("cases.toml:1: `case.connection` is missing")
    );
    let alone = "[[case]]\nname = \"x\"\naccount = \"bot\"\nstatement = \"\"\nexpect = \"deny\"\n";
    assert!(problems(alone).contains("stand together"));
    let nobody = format!("{alone}target = \"nowhere\"\n");
    assert!(problems(&nobody).contains(":3: there is no connection \"bot@nowhere\""));
    assert!(problems("x = \n").contains("cases.toml:1:"));
}

#[test]
fn the_shipped_cases_hold_for_the_shipped_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let text = fs::read_to_string(root.join("narrows.toml")).unwrap();
    let text = text.replace("\"/etc/narrows/", &format!("\"{place}/etc/"));
    for path in text.split('"').filter(|quoted| quoted.starts_with(&place)).map(Path::new) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir_all(folder.path().join("conf.d")).unwrap();
    let file = folder.path().join("narrows.toml");
    fs::write(&file, text).unwrap();
    let config = config::load(&file).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(root.join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let cases = config::load_cases(&path, &config).unwrap();
        let report = Report::of(path, &cases, &config).unwrap();
        assert_eq!(report.failed, 0, "{}", report.text(Paint::Plain));
        files += 1;
    }
    assert!(files > 0);
}
