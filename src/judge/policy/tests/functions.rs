//! What `functions.only` allows, and what it must not.

use super::*;

/// Whether a rule that allows `effects` and `functions` allows `text`.
fn allows(effects: &str, functions: &str, text: &str) -> bool {
    let toml = format!(
        "[p]\n[[p.rule]]\nid = \"r\"\naction = \"allow\"\n\
         when = {{ effects.only = {effects}, functions.only = {functions} }}\n"
    );
    verdict(&toml, text) == "allow p/r"
}

/// As the shipped policy for reading shows it.
const READS: &str = r#"["read", "session_set", "txn", "code_exec"]"#;
const OWN_AND_ONE: &str = r#"["pg_catalog.*", "my_fn", "app.report_*"]"#;

#[test]
fn a_list_of_functions_allows_those_and_no_other_code() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("SELECT 1", true),
        ("SELECT lower(name), count(*) FROM t GROUP BY 1", true),
        ("SELECT pg_catalog.lower('x')", true),
        ("SELECT my_fn()", true),
        ("SELECT lower(my_fn())", true),
        ("SELECT * FROM my_fn() f", true),
        ("SELECT pg_catalog.my_fn()", true),
        ("SELECT app.report_daily(1)", true),
        ("CALL my_fn()", true),
        ("CALL app.report_daily(1)", true),
        ("EXPLAIN SELECT 1", false),
        // Other functions, and others of the same name.
        ("SELECT purge()", false),
        ("SELECT my_fn(), purge()", false),
        ("SELECT my_fn(purge())", false),
        ("SELECT app.my_fn()", false),
        ("SELECT report_daily(1)", false),
        ("SELECT app.lower('x')", false),
        ("SELECT \"My_fn\"()", false),
        ("SELECT \"app.report_daily\"(1)", false),
        ("SELECT \"pg_catalog.lower\"('x')", false),
        ("SELECT \"app.x\".report_daily(1)", false),
        ("SELECT * FROM t TABLESAMPLE purge (1)", false),
        ("CALL purge()", false),
        ("CALL lower('x')", false),
        ("CALL my_fn(purge())", false),
        ("SELECT my_fn(); SELECT purge()", false),
        // Code without a name of a function.
        ("DO $$ BEGIN PERFORM my_fn(); END $$", false),
        ("DO 'begin end'", false),
        ("SELECT my_fn(); DO 'begin end'", false),
        ("DO 'begin end'; SELECT my_fn()", false),
        ("SET local_preload_libraries = 'x'", false),
        ("EXECUTE p", false),
        // Code in an argument: the star is not meant for it.
        ("SELECT query_to_xml('delete from t', true, true, '')", false),
        ("SELECT pg_catalog.query_to_xml('delete from t', true, true, '')", false),
        ("SELECT * FROM ts_stat('select purge()')", false),
        ("SELECT database_to_xml(true, true, '')", false),
        // Effects are asked as well.
        ("SELECT pg_read_file('x')", false),
        ("SELECT pg_terminate_backend(1)", false),
        ("INSERT INTO t VALUES (my_fn())", false),
    ] {
        if allows(READS, OWN_AND_ONE, text) != expected {
            wrong.push(text);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn code_without_a_name_is_allowed_by_no_list_of_functions() {
    let effects = r#"["read", "code_exec", "ddl_create", "ddl_alter", "ddl_drop", "session_set", "file_read", "network", "delete"]"#;
    for text in [
        "DO 'begin end'",
        "CREATE FUNCTION my_fn() RETURNS int LANGUAGE sql AS 'select 1'",
        "ALTER FUNCTION my_fn() SECURITY DEFINER",
        "ALTER FUNCTION purge() RENAME TO my_fn",
        "ALTER FUNCTION purge() SET SCHEMA app",
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION my_fn()",
        "CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM u WHERE a = 1",
        "CREATE EXTENSION dblink",
        "CREATE OPERATOR @@@ (FUNCTION = purge, LEFTARG = int, RIGHTARG = int)",
        "CREATE AGGREGATE my_fn (int) (sfunc = purge, stype = int)",
        "CREATE CAST (a AS b) WITH FUNCTION purge (a) AS IMPLICIT",
        "CREATE CONVERSION c FOR 'UTF8' TO 'LATIN1' FROM purge",
        "LOAD 'auto_explain'",
        "DROP TRIGGER g ON t",
        "SELEC",
    ] {
        for functions in [r#"["*"]"#, r#"["*.*"]"#, r#"["my_fn", "pg_catalog.*"]"#] {
            assert!(!allows(effects, functions, text), "{functions}: {text}");
        }
    }
    let unknown = r#"["read", "unknown"]"#;
    for text in ["SELEC", "EXECUTE p", "SELECT 1; EXECUTE p"] {
        assert!(!allows(unknown, r#"["*"]"#, text), "{text}");
    }
}

#[test]
fn a_function_that_runs_what_it_is_given_is_allowed_by_its_name_only() {
    let text = "SELECT query_to_xml('select 1', true, true, '')";
    assert!(allows(READS, r#"["query_to_xml"]"#, text));
    assert!(allows(READS, r#"["pg_catalog.query_to_xml"]"#, text));
    assert!(!allows(READS, r#"["query_to_*"]"#, text));
    assert!(!allows(READS, r#"["*"]"#, text));
    assert!(!allows(READS, r#"["app.query_to_xml"]"#, text));
}

#[test]
fn a_denial_by_name_meets_a_function_however_it_is_written() {
    let toml = |functions: &str| {
        format!(
            "[p]\ndefault = \"allow\"\n[[p.rule]]\nid = \"r\"\naction = \"deny\"\n\
             when = {{ functions.any = {functions} }}\n"
        )
    };
    for (functions, text, denied) in [
        (r#""query_to_*""#, "SELECT query_to_xml('x', true, true, '')", true),
        (r#""query_to_*""#, "SELECT pg_catalog.query_to_xml('x', true, true, '')", true),
        (r#""pg_catalog.lower""#, "SELECT lower('x')", true),
        // Whose `lower` it is depends on the search path.
        (r#""app.lower""#, "SELECT lower('x')", true),
        (r#""app.lower""#, "SELECT pg_catalog.lower('x')", false),
        (r#""purge""#, "CALL purge()", true),
        (r#""purge""#, "SELECT * FROM app.purge()", true),
    ] {
        let found = verdict(&toml(functions), text);
        assert_eq!(found == "deny p/r", denied, "{functions} {text}: {found}");
    }
}

#[test]
fn an_explanation_names_the_functions_that_are_not_the_servers_own() {
    let toml =
        "[p]\n[[p.rule]]\nid = \"r\"\naction = \"allow\"\nwhen = { effects.only = [\"read\"] }\n";
    let explain = |text: &str| session(toml).explain(&facts(text), text.as_bytes(), &[]);
    let explained = explain("SELECT lower(app.purge(my_fn()))");
    let shown = explained.to_string();
    for line in [
        "deny by p/default",
        "  effects: read, code_exec",
        "  calls lower, app.purge, my_fn",
        "  code_exec by app.purge, my_fn: not among the server's own functions",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["facts"]["foreign_functions"], serde_json::json!(["app.purge", "my_fn"]));
    assert_eq!(json["facts"]["unnamed_code"], false);
    let shown = explain("DO 'begin end'").to_string();
    let line = "  code_exec by the statement itself: no functions.only covers it";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
}
