//! Masks that name columns which are not there: what `narrows check --live` says before anything is
//! served, and what the gateway tells while it serves.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::gateway::EVENTS;
use crate::support::postgres::{Postgres, Role, Version};
use crate::support::process::{eventually, free_port};
use crate::support::raw::Raw;
use crate::world::{self, Passage, REFUSED};

const MASKS: &str = r#"
[policy.pii]
default = "pass"

[[policy.pii.mask]]
id      = "cards"
columns = ["public.customers.ssn", "public.customers.crad"]
as      = "redact"

[[policy.pii.mask]]
columns = ["*.email", "*.e_mail"]
as      = "pseudonym"
"#;

/// Before PostgreSQL 15 alone, with the masks and with audit events.
fn masked(role: Role, edit: impl FnOnce(String) -> String) -> Passage {
    masked_before(world::postgres(Version::V15), role, edit)
}

fn masked_before(server: &Postgres, role: Role, edit: impl FnOnce(String) -> String) -> Passage {
    Passage::altered_before(server, Version::V15, role, |config| {
        let both = r#"policies        = ["baseline", "pii"]"#;
        edit(config.replace(r#"policies        = ["baseline"]"#, both) + MASKS + EVENTS)
    })
}

fn spelt_right(config: &str) -> String {
    config.replace("crad", "card").replace(r#", "*.e_mail""#, "")
}

/// Exit code and standard output.
fn check(passage: &Passage, arguments: &[&str]) -> (i32, String) {
    let output = passage.gateway.command(&[&["check"], arguments].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line_of(config: &str, text: &str) -> usize {
    config[..config.find(text).unwrap()].matches('\n').count() + 1
}

#[test]
fn masks_without_a_column_are_problems_with_their_place() {
    let passage = masked(Role::App, |config| config);
    assert_eq!(check(&passage, &[]).0, 0, "nothing is wrong that the file could tell");
    let (code, told) = check(&passage, &["--live", "--database", "shop"]);
    assert_eq!(code, 4, "{told}");
    let file = passage.gateway.config();
    let config = fs::read_to_string(&file).unwrap();
    let place = |text: &str| format!("error: {}:{}: ", file.display(), line_of(&config, text) - 1);
    for expected in [
        place(r#"id      = "cards""#)
            + "policy `pii`, mask `cards`: `public.customers.crad` matches no column of shop-app-v15/shop\n",
        place(r#"columns = ["*.email""#)
            + "policy `pii`, mask `mask-2`: `*.e_mail` matches no column of shop-app-v15/shop\n",
        "reached: shop-bot@shop-app-v15, database shop: 2 masked columns found by 4 patterns\n"
            .to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected}\n{told}");
    }
    assert!(told.ends_with("2 problems to mend\n"), "{told}");

    fs::write(&file, spelt_right(&config)).unwrap();
    let (code, told) = check(&passage, &["--live", "--database", "shop"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("database shop: 3 masked columns found by 3 patterns\n"), "{told}");
    assert!(told.lines().last().unwrap().starts_with("ok: version "), "{told}");
}

#[test]
fn every_way_to_log_in_is_the_gateways_own() {
    for role in Role::ALL {
        let passage = masked(role, |config| spelt_right(&config));
        let (code, told) = check(&passage, &["--live", "--database", "shop", "--json"]);
        assert_eq!(code, 0, "{role:?}: {told}");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["ok"], true);
        let [reached] = told["live"].as_array().unwrap().as_slice() else { panic!("{told}") };
        assert_eq!((&reached["database"], &reached["columns"]), (&"shop".into(), &3.into()));
    }
}

#[test]
fn what_keeps_from_looking_is_told_with_what_to_do() {
    let passage = masked(Role::App, |config| spelt_right(&config));
    let file = passage.gateway.config();
    let good = fs::read_to_string(&file).unwrap();

    let (code, told) = check(&passage, &["--live"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("warning: "), "{told}");
    assert!(told.contains("shop-bot@shop-app-v15 opens any database"), "{told}");
    assert!(told.contains("narrows check --live --database NAME"), "{told}");

    let absent = ["--live", "--database", "absent", "--database", "shop"];
    let (code, told) = check(&passage, &absent);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains(r#"database absent: the target refused"#), "{told}");
    assert!(told.contains("mend the connection's `databases`"), "{told}");
    assert!(told.contains("reached: shop-bot@shop-app-v15, database shop: "), "{told}");

    let wrong = world::pki().secret("wrong.password", "wrong-pässword-8");
    let right = world::pki().secret("shop_app.password", &Role::App.password());
    let edited = good.replace(right.to_str().unwrap(), wrong.to_str().unwrap());
    assert_ne!(edited, good);
    fs::write(&file, &edited).unwrap();
    let (code, told) = check(&passage, &["--live", "--database", "shop", "--database", "pristine"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("password authentication failed"), "{told}");
    assert!(told.contains("mend the connection's `credential`"), "{told}");
    assert!(told.contains("not asked any more: pristine"), "{told}");
    assert!(!told.contains("pässword"), "{told}");

    let from_file = format!(r#"{{ file = "{}" }}"#, right.display());
    let from_command = good.replace(&from_file, r#"{ exec = ["/bin/false"] }"#);
    assert_ne!(from_command, good);
    fs::write(&file, from_command).unwrap();
    let (code, told) = check(&passage, &["--live", "--database", "shop"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("the credential could not be leased: /bin/false failed"), "{told}");

    let server = format!("localhost:{}", world::postgres(Version::V15).port());
    let nobody = format!("localhost:{}", free_port());
    fs::write(&file, good.replace(&server, &nobody)).unwrap();
    let (code, told) = check(&passage, &["--live", "--database", "shop"]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("the target cannot be reached: Connection refused"), "{told}");
}

#[test]
fn a_live_check_changes_nothing_and_says_goodbye() {
    let own = Postgres::start(Version::V15, world::pki());
    let passage = masked_before(&own, Role::App, |config| spelt_right(&config));
    assert_eq!(check(&passage, &["--live", "--database", "shop"]).0, 0);
    let log = own.log();
    assert_eq!(log.matches("application_name=narrows catalogue").count(), 1, "one login");
    assert!(!log.contains("connection to client lost") && !log.contains("unexpected EOF"), "{log}");
    let states = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'narrows%'";
    assert_eq!(own.superuser("shop", states), "0");
}

/// Database and pattern of each that was told, sorted.
fn unmatched(passage: &Passage) -> Vec<(String, String)> {
    let events = passage.gateway.events();
    let told = events.iter().filter(|event| event["metadata"]["event_code"] == "mask.unmatched");
    let mut told: Vec<(String, String)> = told
        .map(|event| {
            assert_eq!(event["dst_endpoint"]["name"], "shop-app-v15");
            let own = &event["unmapped"]["narrows"];
            let text = |name: &str| own[name].as_str().unwrap().to_owned();
            (text("database"), text("pattern"))
        })
        .collect();
    told.sort();
    told
}

fn until_told(passage: &Passage, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    eventually("the events are there", Duration::from_secs(10), || {
        unmatched(passage).len() >= expected.len()
    });
    assert_eq!(unmatched(passage), expected);
}

#[test]
fn masks_without_a_column_are_told_once_and_again_after_a_reload() {
    let database = world::database(Version::V15, "unmatched");
    let passage = masked(Role::App, |config| config);
    let endpoint = passage.endpoint(Version::V15, Role::App, &database);
    let own = |pattern| (&*database, pattern);
    let (any, card) = (own("*.e_mail"), own("public.customers.crad"));
    let mut bot = Raw::login(&endpoint);
    assert_eq!(bot.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    until_told(&passage, &[any, card]);
    let events = passage.gateway.events();
    let event = events.iter().find(|event| event["policy"]["uid"] == "pii/cards").unwrap();
    assert_eq!((&event["severity_id"], &event["is_alert"]), (&3.into(), &true.into()));
    let log = passage.gateway.log();
    let line = log.lines().find(|line| line.contains("a mask matches no column")).unwrap();
    for named in ["pii/cards", "public.customers.crad", "shop-app-v15", &*database] {
        assert!(line.contains(named), "{named}: {line}");
    }

    // News of the same database: it is read again, and only what is news is told.
    let server = world::postgres(Version::V15);
    server.superuser(&database, "ALTER TABLE customers RENAME email TO mail");
    assert_eq!(bot.query("CREATE TABLE news (id int)"), "C(CREATE TABLE) Z(I)");
    assert_eq!(bot.query("SELECT count(*) FROM news"), "T D C(SELECT 1) Z(I)");
    let gone = own("*.email");
    until_told(&passage, &[any, gone, card]);

    // Another version of the policy is told of anew.
    let file = passage.gateway.config();
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}\n# another version\n")).unwrap();
    passage.gateway.stdout(&["reload"]);
    Raw::login(&endpoint).query("SELECT 1");
    until_told(&passage, &[any, any, gone, gone, card, card]);

    // What is spelt right is not told of.
    server.superuser(&database, "ALTER TABLE customers RENAME mail TO email");
    fs::write(&file, spelt_right(&config)).unwrap();
    passage.gateway.stdout(&["reload"]);
    assert_eq!(Raw::login(&endpoint).query(REFUSED), "E(42501) Z(I)");
    eventually("a later event", Duration::from_secs(10), || {
        let events = passage.gateway.events();
        events.iter().any(|event| event["metadata"]["event_code"] == "stmt.blocked")
    });
    assert_eq!(unmatched(&passage).len(), 6);
}
