use super::*;
use crate::cli::policy::past::tests::World;

#[test]
fn a_language_goes_by_the_names_of_configuration_and_no_others() {
    for (name, expected) in Language::NAMES {
        assert_eq!(language(name).unwrap(), expected);
    }
    let error = language("MySQL").unwrap_err().to_string();
    assert_eq!(error, "no such language; there are: postgresql, mysql, sqlite, tsql");
}

#[test]
fn text_in_another_language_is_judged_in_that_language() {
    let world = World::new(
        "[policy.p]\ndefault = \"deny\"\n[[policy.p.rule]]\nid = \"reads\"\n\
                            when = { effects.only = [\"read\"] }\naction = \"allow\"\n",
    );
    let config = config::load(&world.config()).unwrap();
    let verdict = |language: &str, statement: &str| {
        let args = Args {
            connection: "bot@shop".to_owned(),
            database: String::new(),
            claims: Vec::new(),
            file: None,
            statement: Some(statement.to_owned()),
            parameters: Vec::new(),
            language: Some(super::language(language).unwrap()),
        };
        explain(&args, &config).unwrap()
    };
    assert_eq!(verdict("mysql", "SELECT `a` FROM `t`").verdict, "allow");
    let backticks = verdict("postgresql", "SELECT `a` FROM `t`");
    assert_eq!((backticks.verdict, backticks.facts.unknown.is_some()), ("deny", true));
    let replaced = verdict("mysql", "REPLACE INTO t VALUES (1)");
    assert_eq!((replaced.verdict, replaced.facts.effects), ("deny", vec!["insert", "delete"]));
}
