use super::*;
use crate::cli::policy::past::tests::World;

const OPEN: &str = r#"
[policy.p]
default = "allow"
unknown = "deny"
[[policy.p.rule]]
id = "no-drops"
when = { effects.any = ["ddl_drop"] }
action = "deny"
[[policy.p.rule]]
id = "no-unbounded-writes"
when = { effects.any = ["update", "delete"], flags.any = ["no_where"] }
action = "deny"
[[policy.p.rule]]
id = "not-both"
when = { objects.any = ["*.secrets"], functions.any = ["count"] }
action = "deny"
[[policy.p.rule]]
id = "words"
when = { text.keywords = ["4711"] }
action = "deny"
"#;

fn learn(world: &World) -> Draft {
    let lesson = gather(&world.recordings(), "bot@shop", 0).unwrap();
    Draft::of(lesson, "bot@shop", "learned").unwrap()
}

/// Verdicts of the draft on `texts`, as a session of `bot@shop`.
fn verdicts(world: &World, draft: &Draft, texts: &[&str]) -> Vec<String> {
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.split("[policy.p]").next().unwrap().replace("\"p\"", "\"learned\"");
    let tried = World::new("");
    tried.put("narrows.toml", &(config + &draft.toml));
    crate::config::load(&tried.config()).unwrap_or_else(|problems| panic!("{problems:?}"));
    tried.judged("bot", texts).into_iter().map(|exchange| exchange.verdict).collect()
}

const RAN: &[&str] = &[
    "SELECT a, count(*) FROM orders WHERE id = 1 GROUP BY a",
    "SELECT a, count(*) FROM orders WHERE id = 2 GROUP BY a",
    "SELECT now()",
    "SELECT public.price(7)",
    "SELECT s FROM secrets",
    "INSERT INTO public.orders VALUES (1)",
    "UPDATE orders SET a = 1 WHERE id = 2",
    "DELETE FROM orders WHERE id = 2",
    "BEGIN",
    "SET statement_timeout = 1",
    "CREATE TABLE t (a int)",
    "DO 'BEGIN END'",
    "COMMIT",
    "DEALLOCATE ALL",
    "DEALLOCATE a; DEALLOCATE b",
];

const REFUSED: &[&str] =
    &["DROP TABLE orders", "DELETE FROM orders", "SELECT count(*) FROM secrets"];

#[test]
fn a_draft_allows_what_ran_and_nothing_that_was_refused() {
    let world = World::new(OPEN);
    world.record_texts("bot", &[RAN, REFUSED].concat());
    world.record_texts("other", &["SELECT x FROM elsewhere"]);
    let draft = learn(&world);
    assert!(verdicts(&world, &draft, RAN).iter().all(|it| it == "allow"), "{}", draft.toml);
    assert!(verdicts(&world, &draft, REFUSED).iter().all(|it| it == "deny"), "{}", draft.toml);
    let strange = [
        "SELECT x FROM elsewhere",
        "SELECT a FROM orders, elsewhere",
        "SELECT pg_read_file('x')",
        "SELECT other.price(7)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO orders VALUES (1) RETURNING a",
        "UPDATE orders SET a = 1",
        "SET ROLE postgres",
        "CREATE TABLE u (a int)",
        "CREATE VIEW t AS SELECT 1",
        "SELECT 1; SELECT 1",
        "SELEC 1",
    ];
    let allowed: Vec<_> = strange
        .iter()
        .zip(verdicts(&world, &draft, &strange))
        .filter(|(_, verdict)| verdict != "deny")
        .collect();
    assert!(allowed.is_empty(), "{allowed:?}\n{}", draft.toml);

    assert_eq!((draft.reach.statements, draft.harmless, draft.untold), (18, 2, 0));
    assert_eq!(draft.refused.len(), 3);
    assert!(draft.not_told_apart.is_empty() && draft.doubtful.is_empty(), "{}", draft.toml);
    for comment in [
        "# Drafted from 18 statements in 1 session of bot@shop.\n",
        "# Refused when it was recorded, and so not allowed here:\n",
        "(deny by p/no-drops):\n#     DROP TABLE orders\n",
    ] {
        assert!(draft.toml.contains(comment), "{comment} in\n{}", draft.toml);
    }
    assert_eq!(serde_json::to_value(&draft).unwrap()["statements"], 18);
}

#[test]
fn what_rules_cannot_tell_apart_is_said() {
    let world = World::new(OPEN);
    world.record_texts("bot", &["SELECT a FROM t WHERE a = 1", "SELECT a FROM t WHERE a = 4711"]);
    let draft = learn(&world);
    assert_eq!(draft.not_told_apart.len(), 1);
    assert!(draft.toml.contains("allowed here all the same"), "{}", draft.toml);
    assert!(draft.toml.contains("#     SELECT a FROM t WHERE a = 4711\n"), "{}", draft.toml);
    assert_eq!(verdicts(&world, &draft, &["SELECT a FROM t WHERE a = 1"]), ["allow"]);
}

#[test]
fn what_the_target_refused_or_nobody_understands_is_not_allowed() {
    let world = World::new(OPEN);
    let texts = ["SELECT 1", "SELECT s FROM vault", "SELECT 2 FROM d", "TABLE e", "TABLE \"a*\""];
    let mut ran = world.judged("bot", &[&texts[..], &["EXECUTE q", "SELEC\n1"]].concat());
    ran[1].error = Some("42501".to_owned());
    ran[2].error = Some("23505".to_owned());
    ran[3].text_bytes = 1_000_000;
    // As under a policy that allows what is not understood.
    ran.iter_mut().for_each(|exchange| exchange.verdict = "allow".to_owned());
    world.record("bot", &ran);
    let draft = learn(&world);
    assert_eq!((draft.refused.len(), draft.doubtful.len()), (1, 4), "{}", draft.toml);
    assert!(draft.toml.contains("(the target's own grants, 42501):\n#     SELECT s FROM vault\n"));
    assert!(draft.toml.contains("(the text is not valid SQL):\n#     SELEC 1\n"), "{}", draft.toml);
    assert!(draft.toml.contains("cannot be written as a pattern"), "{}", draft.toml);
    let expected = ["allow", "deny", "allow", "deny", "deny"];
    assert_eq!(verdicts(&world, &draft, &texts), expected, "{}", draft.toml);
}

#[test]
fn a_name_in_a_comment_stays_in_the_comment() {
    let world = World::new(OPEN);
    world.record_texts(
        "bot",
        &["SELECT 1", "DROP TABLE \"x\n[policy.y]\n\"", "DROP TABLE \"\u{1b}[2J\""],
    );
    let draft = learn(&world);
    assert_eq!(draft.refused.len(), 2);
    assert!(
        !draft.toml.contains("\n[policy.y]") && !draft.toml.contains('\u{1b}'),
        "{}",
        draft.toml
    );
    assert_eq!(verdicts(&world, &draft, &["SELECT 1"]), ["allow"]);
}

#[test]
fn a_policy_is_named_so_that_it_can_be_written() {
    assert!(policy_name("ci-1_x").is_ok());
    for name in ["", "a b", "a.b", "\"", "]\nx"] {
        assert!(policy_name(name).is_err(), "{name}");
    }
}
