use super::{Found, Groups, Live, Pattern, listed};
use crate::cli::check::tests::SOUND;
use crate::config::{Config, load_text};
use crate::model::verdict::RuleRef;

/// Nobody listens where its target is.
fn config(connection: &str, policies: &str) -> Config {
    let (rest, _) = SOUND.split_once("credential = ").unwrap();
    let rest = rest.replace("127.0.0.1:5432\"", "127.0.0.1:1\"\ntls = { mode = \"disable\" }");
    let own = format!("credential = {{ username = \"app\" }}\npolicies = [\"p\"]\n{connection}\n");
    load_text("narrows.toml".as_ref(), &(rest + &own + policies)).unwrap()
}

const MASKS: &str = r#"
[policy.p]
default = "allow"
[[policy.p.mask]]
id = "cards"
columns = ["public.customers.card", "*.email"]
as = "redact"
"#;

fn found(database: &str, patterns: &[(&str, bool, bool)]) -> Found {
    let patterns = patterns.iter().map(|(written, names_a_table, matches)| Pattern {
        rule: RuleRef { policy: "p".into(), rule: "cards".into() },
        written: (*written).to_owned(),
        names_a_table: *names_a_table,
        matches: *matches,
    });
    Found { database: database.into(), columns: 0, patterns: patterns.collect() }
}

fn messages(looked: &[(&str, Found)]) -> Vec<String> {
    let mut groups = Groups::default();
    for (target, found) in looked {
        groups.add(&(*target).into(), found);
    }
    let config = config("", MASKS);
    let problems = groups.problems(&config);
    problems.map(|problem| format!("{}: {}", problem.line, problem.message)).collect()
}

#[test]
fn a_pattern_of_one_table_is_missed_in_each_target_that_has_it_nowhere() {
    let (here, missing) = (("customers.card", true, true), ("customers.card", true, false));
    let one_of_two = [("db", found("a", &[missing])), ("db", found("b", &[here]))];
    assert_eq!(messages(&one_of_two), Vec::<String>::new());
    let elsewhere = [("db", found("a", &[missing])), ("other", found("b", &[here]))];
    let expected = "30: policy `p`, mask `cards`: `customers.card` matches no column of db/a";
    assert_eq!(messages(&elsewhere), [expected]);
}

#[test]
fn a_pattern_of_any_table_is_missed_where_no_target_has_it() {
    let (here, missing) = (("*.email", false, true), ("*.email", false, false));
    let elsewhere = [("db", found("a", &[missing])), ("other", found("b", &[here]))];
    assert_eq!(messages(&elsewhere), Vec::<String>::new());
    // Two connections may look into one database.
    let nowhere = ["a", "a", "b"].map(|database| ("db", found(database, &[missing])));
    let expected = "30: policy `p`, mask `cards`: `*.email` matches no column of db/a, db/b";
    assert_eq!(messages(&nowhere), [expected]);
}

#[test]
fn a_target_that_cannot_be_reached_is_a_problem_once() {
    let config = config(r#"databases = ["a", "b", "c"]"#, MASKS);
    let live = Live::ask(&config, &["ignored".to_owned()]);
    assert_eq!((live.reached, live.warnings), (vec![], vec![]));
    let [problem] = live.problems.as_slice() else { panic!("{:?}", live.problems) };
    let begins = "deploy@db, database a: the target cannot be reached: ";
    assert!(problem.message.starts_with(begins), "{}", problem.message);
    assert!(problem.message.ends_with("; not asked any more: b, c"), "{}", problem.message);
    assert!(problem.hint.as_ref().unwrap().contains("listens on its `address`"));
}

#[test]
fn a_database_that_only_a_bot_names_is_warned_of_unless_one_is_given() {
    let config = config("", MASKS);
    let live = Live::ask(&config, &[]);
    assert_eq!((live.reached, live.problems), (vec![], vec![]));
    let [warning] = live.warnings.as_slice() else { panic!("{:?}", live.warnings) };
    assert!(warning.message.starts_with("deploy@db opens any database"), "{}", warning.message);
    assert!(warning.hint.as_ref().unwrap().contains("--database NAME"));
    let live = Live::ask(&config, &["shop".to_owned()]);
    assert_eq!(live.warnings, []);
    assert!(live.problems[0].message.starts_with("deploy@db, database shop: "));
}

#[test]
fn nobody_is_asked_where_no_column_is_masked() {
    let values =
        "[policy.p]\ndefault = \"allow\"\n[[policy.p.mask]]\ndetect = [\"pan\"]\nas = \"redact\"";
    let observed = format!("{MASKS}[policy.p.options]\nmode = \"observe\"");
    for policies in [values, &observed] {
        let live = Live::ask(&config(r#"databases = ["a"]"#, policies), &[]);
        assert_eq!((live.reached, live.problems, live.warnings), (vec![], vec![], vec![]));
    }
}

#[test]
fn long_lists_are_cut() {
    let names = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>();
    assert_eq!(listed(&names(5)), "0, 1, 2, 3, 4");
    assert_eq!(listed(&names(7)), "0, 1, 2, 3, 4 and 2 more");
}
