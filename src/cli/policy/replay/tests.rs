use clap::Parser;

use super::*;
use crate::cli::policy::past::tests::World;

const OLD: &str = r#"
[policy.p]
default = "allow"
unknown = "deny"
[[policy.p.rule]]
id = "no-drops"
when = { effects.any = ["ddl_drop"] }
action = "deny"
"#;

const NEW: &str = r#"
[policy.p]
default = "deny"
unknown = "deny"
[[policy.p.rule]]
id = "reads"
when = { effects.only = ["read"], claims.ref = "main", labels.env = "prod" }
action = "allow"
[[policy.p.rule]]
id = "drops"
when = { effects.only = ["ddl_drop"] }
action = "allow"
[policy.closed]
default = "deny"
"#;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Args {
    Line::try_parse_from(std::iter::once("replay").chain(line.split_whitespace())).unwrap().args
}

fn trial(world: &World, line: &str) -> Result<Report, Vec<String>> {
    let trial = Trial::of(&args(line), &world.config()).map_err(|error| match error {
        TrialError::Unsound(problems) => problems,
        TrialError::Policy(error) => vec![error.to_string()],
    })?;
    Ok(trial.replay(&world.recordings(), Choice::default()).unwrap())
}

fn counts(report: &Report) -> Vec<(&str, u64)> {
    report.counts.iter().map(|count| (count.change.as_str(), count.count)).collect()
}

#[test]
fn differences_are_counted_and_listed_by_statement() {
    let world = World::new(OLD);
    world.record_texts(
        "bot",
        &[
            "SELECT a FROM t WHERE id = 1",
            "SELECT a FROM t WHERE id = 2",
            "INSERT INTO t VALUES (1)",
            "DROP TABLE t",
            "EXECUTE q",
            "SELEC 1",
        ],
    );
    let session = world.record_texts("other", &["INSERT INTO t VALUES (2)"]);
    let new = world.put("new.toml", NEW);
    let report = trial(&world, &format!("--policy {}", new.display())).unwrap();
    assert_eq!((report.reach.sessions, report.reach.statements), (2, 7));
    assert_eq!((report.unchanged, report.changed, report.not_judged), (1, 5, 1));
    assert_eq!(
        counts(&report),
        [
            ("allow -> deny", 2),
            ("deny -> allow", 1),
            ("rule changed", 2),
            ("cannot be judged again", 1)
        ]
    );
    let line = |change: &str| report.lines.iter().find(|line| line.change == change).unwrap();
    let reads = line("rule changed");
    assert_eq!((reads.seen.count, reads.statement.as_str()), (2, "SELECT a FROM t WHERE id = 1"));
    assert_eq!(reads.old.to_string(), "allow by p/default");
    assert_eq!(reads.new.as_ref().unwrap().to_string(), "allow by p/reads");
    assert!(reads.seen.first < reads.seen.last);
    assert_eq!(line("deny -> allow").old.rule, "p/no-drops");
    let unjudged = line("cannot be judged again");
    assert_eq!((unjudged.statement.as_str(), &unjudged.new), ("EXECUTE q", &None));
    // The same text of another connection is another line.
    assert_eq!(report.lines.iter().filter(|line| line.change == "allow -> deny").count(), 2);

    let text = report.text(Screen::plain());
    for told in [
        "7 statements of 2 sessions\n  unchanged: 1\n  allow -> deny: 2\n",
        "cannot be judged again, it runs what its session had prepared under a name: 1\n",
        "    allow by p/default -> allow by p/reads\n",
        "    SELECT a FROM t WHERE id = 1\n",
        "\nallow -> deny\n  1 time  bot@shop  ",
        "Left open:",
    ] {
        assert!(text.contains(told), "{told} in\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["changed"], 5);
    assert_eq!(json["lines"][0]["old"]["rule"], "p/default");
    assert!(json["lines"][0]["first"].as_str().unwrap().ends_with('Z'));

    let trial = Trial::of(&args(&format!("--policy {}", new.display())), &world.config());
    let Ok(trial) = trial else { panic!("it was read before") };
    let id = session.to_string();
    let choice = Choice { session: Some(&id), ..Choice::default() };
    assert_eq!(trial.replay(&world.recordings(), choice).unwrap().reach.statements, 1);
}

#[test]
fn the_configuration_itself_can_be_tried() {
    let world = World::new(OLD);
    world.record_texts("bot", &["SELECT 1", "DROP TABLE t"]);
    assert_eq!(trial(&world, "").unwrap().changed, 0);
    let text = std::fs::read_to_string(world.config()).unwrap();
    world.put("narrows.toml", &text.replace("\"ddl_drop\"", "\"read\""));
    assert_eq!(counts(&trial(&world, "").unwrap()), [("allow -> deny", 1), ("deny -> allow", 1)]);
    // Without its connection there is nothing to judge by, unless policies are named.
    let parts: Vec<&str> = text.splitn(3, "[[connection]]").collect();
    world.put("narrows.toml", &format!("{}[[connection]]{}", parts[0], parts[2]));
    let report = trial(&world, "").unwrap();
    assert_eq!(counts(&report), [("cannot be judged again", 2)]);
    assert!(report.lines[0].reason.as_ref().unwrap().contains("connection is not"));
    assert_eq!(trial(&world, "--by p").unwrap().changed, 0);
}

#[test]
fn policies_can_be_named_in_place_of_the_connections() {
    let world = World::new(OLD);
    world.record_texts("bot", &["SELECT 1"]);
    let new = world.put("new.toml", NEW);
    let by = |name: &str| trial(&world, &format!("--policy {} --by {name}", new.display()));
    assert_eq!(counts(&by("closed").unwrap()), [("allow -> deny", 1)]);
    assert_eq!(by("nosuch").unwrap_err(), ["there is no policy `nosuch`"]);
}

#[test]
fn a_file_that_is_more_than_policies_or_wrong_is_refused() {
    let world = World::new(OLD);
    let problems = |text: &str| {
        let file = world.put("new.toml", text);
        trial(&world, &format!("--policy {}", file.display())).unwrap_err().join("\n")
    };
    assert!(
        problems("[node]\nname = \"n\"\n[policy.p]\n").contains("new.toml:1: `node` is not known")
    );
    assert!(problems("").contains("there is no policy"));
    let wrong = problems(
        "[policy.p]\n[[policy.p.rule]]\nid = \"x\"\naction = \"deny\"\n\
         when = { effects.any = [\"red\"] }\n",
    );
    assert!(
        wrong.contains("new.toml:2: policy `p`, rule `x`: there is no effect `red`"),
        "{wrong}"
    );
    let missing = trial(&world, "--policy /nonexistent").unwrap_err().join("\n");
    assert!(missing.contains("cannot read the file"), "{missing}");
}

#[test]
fn a_policy_that_begins_to_observe_is_a_change() {
    let world = World::new(OLD);
    world.record_texts("bot", &["SELECT 1"]);
    let text = "[policy.p]\ndefault = \"allow\"\noptions.mode = \"observe\"\n\
                [[policy.p.rule]]\nid = \"r\"\nwhen = { effects.any = [\"read\"] }\naction = \"deny\"\n";
    let new = world.put("new.toml", text);
    let report = trial(&world, &format!("--policy {}", new.display())).unwrap();
    assert_eq!(counts(&report), [("rule changed", 1)]);
    let new = report.lines[0].new.as_ref().unwrap().to_string();
    assert_eq!(new, "allow by p/r (observed: p/r)");
}
