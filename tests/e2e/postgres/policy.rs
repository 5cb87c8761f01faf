//! What the policy tools make of real sessions: a replay that finds what a policy would change, and a
//! draft that allows what ran.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::postgres::{Role, Version};
use crate::support::process::{Scratch, eventually};
use crate::support::raw::{self, Raw, transcript};
use crate::world::{self, Passage, REFUSED};

const CONNECTION: &str = "shop-bot@shop-app-v15";

/// A session of reads, writes, refusals of both kinds, and a statement run by name. Returns when all
/// of it is recorded.
fn work(passage: &Passage, database: &str) {
    let mut raw = Raw::login(&passage.endpoint(Version::V15, Role::App, database));
    for id in [1, 2, 3] {
        raw.query(&format!("SELECT name FROM customers WHERE id = {id}"));
    }
    let select = "SELECT count(*) FROM orders WHERE id = $1";
    raw.send(&[raw::parse("s", select), raw::sync()].concat());
    raw.until_ready();
    let run = [raw::bind("", "s", &["1"]), raw::execute("", 0), raw::sync()].concat();
    raw.send(&run);
    assert_eq!(transcript(&raw.until_ready()), "2 D C(SELECT 1) Z(I)");
    assert_eq!(
        raw.query("UPDATE orders SET customer_id = customer_id WHERE id = 1"),
        "C(UPDATE 1) Z(I)"
    );
    assert_eq!(raw.query(REFUSED), "E(42501) Z(I)");
    assert_eq!(raw.query("SELECT rolname FROM pg_authid"), "E(42501) Z(I)");
    assert_eq!(raw.query("PREPARE q AS SELECT 'by name'"), "C(PREPARE) Z(I)");
    assert_eq!(raw.query("EXECUTE q"), "T D C(SELECT 1) Z(I)");
    assert_eq!(raw.query("SELECT 'the end'"), "T D C(SELECT 1) Z(I)");
    eventually("recorded", Duration::from_secs(5), || {
        let told = passage.gateway.json(&["tail", "-n", "1000"]);
        told.iter().any(|line| line.to_string().contains("the end"))
    });
}

/// The report of a replay of `CONNECTION`.
fn replay(passage: &Passage, arguments: &[&str]) -> Value {
    let line = [&["policy", "replay", "--connection", CONNECTION], arguments].concat();
    passage.gateway.json(&line).remove(0)
}

fn counted(report: &Value, change: &str) -> u64 {
    let counts = report["counts"].as_array().unwrap().iter();
    counts.filter(|count| count["change"] == change).map(|it| it["count"].as_u64().unwrap()).sum()
}

#[test]
fn a_replay_tells_what_another_policy_would_change() {
    let passage = world::own_passage("group");
    work(&passage, &world::database(Version::V15, "replayed"));
    let same = replay(&passage, &[]);
    assert_eq!((&same["statements"], &same["changed"]), (&10.into(), &0.into()), "{same}");
    assert_eq!(counted(&same, "cannot be judged again"), 1, "EXECUTE q: {same}");

    let scratch = Scratch::new("replay");
    let file = scratch.join("new.toml");
    fs::write(
        &file,
        "[policy.baseline]\ndefault = \"allow\"\nunknown = \"deny\"\n\
         [[policy.baseline.rule]]\nid = \"no-customers\"\naction = \"deny\"\n\
         when = { objects.read.any = \"*.customers\", claims.repository = \"acme/shop\", labels.env = \"test\", database = \"replayed\" }\n",
    )
    .unwrap();
    let new = ["--policy", file.to_str().unwrap()];
    let report = replay(&passage, &new);
    assert_eq!(counted(&report, "allow -> deny"), 3, "{report}");
    assert_eq!(counted(&report, "deny -> allow"), 1, "{report}");
    let lines = report["lines"].as_array().unwrap();
    let reads = lines.iter().find(|line| line["change"] == "allow -> deny").unwrap();
    assert_eq!(
        (&reads["count"], &reads["new"]["rule"]),
        (&3.into(), &"baseline/no-customers".into())
    );
    let text = passage.gateway.stdout(&[&["policy", "replay"][..], &new].concat());
    assert!(text.contains("allow by baseline/default -> deny by baseline/no-customers"), "{text}");

    let code = |more: &[&str]| {
        let output = passage.gateway.command(&[&["policy", "replay"], more].concat());
        output.status.code()
    };
    assert_eq!(code(&new), Some(0));
    assert_eq!(code(&[&new[..], &["--fail-on-change"]].concat()), Some(4));
    assert_eq!(code(&["--fail-on-change"]), Some(0));
    assert_eq!(code(&["--policy", "/nonexistent"]), Some(1));
    assert_eq!(code(&["--session", "nosuch"]), Some(1));
    assert_eq!(code(&["--since", "1h"]), Some(0));
}

#[test]
fn a_draft_allows_what_ran_and_loads_as_the_policy() {
    let passage = world::own_passage("group");
    work(&passage, &world::database(Version::V15, "learned"));
    let learn = ["policy", "learn", "--connection", CONNECTION];
    let draft = passage.gateway.stdout(&learn);
    assert!(draft.contains("by baseline/no-drops):\n#     DROP TABLE order_items\n"), "{draft}");
    assert!(draft.contains("the target's own grants, 42501):\n"), "{draft}");
    assert!(draft.contains("#     EXECUTE q\n"), "{draft}");

    let scratch = Scratch::new("learn");
    let file = scratch.join("draft.toml");
    fs::write(&file, &draft).unwrap();
    let report = replay(&passage, &["--policy", file.to_str().unwrap(), "--by", "learned"]);
    assert_eq!(counted(&report, "deny -> allow"), 0, "{report}");
    let lines = report["lines"].as_array().unwrap().iter();
    let lost: Vec<_> = lines.filter(|line| line["change"] == "allow -> deny").collect();
    assert_eq!(lost.len(), 1, "{draft}\n{report}");
    assert_eq!(lost[0]["statement"], "SELECT rolname FROM pg_authid", "what the grants refused");

    // In force, it judges as it did on paper.
    let config = fs::read_to_string(passage.gateway.config()).unwrap();
    let config = config.replace("policies        = [\"baseline\"]", "policies = [\"learned\"]");
    fs::write(passage.gateway.config(), config + "\n" + &draft).unwrap();
    passage.gateway.stdout(&["check"]);
    passage.gateway.stdout(&["reload"]);
    let mut raw = Raw::login(&passage.endpoint(Version::V15, Role::App, "learned"));
    assert_eq!(raw.query("SELECT name FROM customers WHERE id = 9"), "T D C(SELECT 1) Z(I)");
    assert_eq!(raw.query("PREPARE q AS SELECT 'by name'"), "C(PREPARE) Z(I)");
    assert_eq!(raw.query("SELECT name FROM products"), "E(42501) Z(I)");
    assert_eq!(raw.query("UPDATE orders SET customer_id = 1"), "E(42501) Z(I)");

    let nobody = passage.gateway.command(&["policy", "learn", "--connection", "no@body"]);
    assert_eq!(nobody.status.code(), Some(1));
    let json = passage.gateway.json(&learn).remove(0);
    assert_eq!(json["policy"], "learned");
}
