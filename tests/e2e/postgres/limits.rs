//! Statements a minute and masked cells at a real server: who gets what, across sessions, workers and
//! reloads.

use std::collections::BTreeSet;
use std::fs;

use crate::support::postgres::{Role, Version};
use crate::support::raw::{
    Raw, bind, error_field, execute, extended, parse, query, sync, transcript,
};
use crate::world::{self, Passage};

const POLICIES: &str = r#"policies        = ["baseline"]"#;

fn limited(limits: &str) -> Passage {
    let limits = format!("{POLICIES}\nlimits = {{ {limits} }}");
    world::altered_passage(&[], |config| config.replace(POLICIES, &limits))
}

#[test]
fn sessions_on_all_workers_share_a_minutes_statements() {
    let passage = limited("statements = 6");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    // As many as fill the first worker, and one more.
    let mut sessions: Vec<Raw> = (0..65).map(|_| Raw::login(&endpoint)).collect();
    let listed = passage.gateway.stdout(&["sessions", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["sessions"].as_array().unwrap();
    let workers: BTreeSet<u64> =
        listed.iter().map(|session| session["worker"].as_u64().unwrap()).collect();
    assert_eq!(workers, BTreeSet::from([0, 1]), "the sessions live on two workers");

    let mut last = sessions.pop().unwrap();
    let first = &mut sessions[0];
    for _ in 0..3 {
        assert_eq!(first.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        assert_eq!(last.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    }
    for raw in [first, &mut last] {
        raw.send(&query("SELECT 1"));
        let answers = raw.until_ready();
        assert_eq!(transcript(&answers), "E(53400) Z(I)");
        let hint = error_field(&answers[0], b'H').unwrap();
        assert!(hint.contains("limits.statements") && hint.contains("is 6 a minute"), "{hint}");
        assert!(hint.starts_with("Try again in "), "{hint}");
    }
    assert_eq!(Raw::login(&endpoint).query("SELECT 1"), "E(53400) Z(I)", "nor a new session");
    // Another connection has its own.
    let other = passage.endpoint(Version::V18, Role::App, "shop");
    assert_eq!(Raw::login(&other).query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}

#[test]
fn a_transaction_and_a_batch_fail_and_can_be_ended() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "paced");
        let passage = limited("statements = 4");
        let endpoint = passage.endpoint(version, Role::App, &database);
        let mut raw = Raw::login(&endpoint);
        let kept = "SELECT count(*) FROM orders";
        let before = world::postgres(version).superuser(&database, kept);
        let insert = "INSERT INTO orders (customer_id) VALUES (7)";
        assert_eq!(raw.query("BEGIN"), "C(BEGIN) Z(T)");
        assert_eq!(raw.query(insert), "C(INSERT 0 1) Z(T)");
        let batch = [extended(insert), parse("", "SELECT 1"), bind("", "", &[]), execute("", 0)];
        let more = [extended("SELECT 2"), sync()].concat();
        raw.send(&[batch.concat(), more].concat());
        let words = transcript(&raw.until_ready());
        assert_eq!(words, "1 2 n C(INSERT 0 1) 1 2 D C(SELECT 1) 1 E(53400) Z(E)");
        assert_eq!(raw.query("SELECT 1"), "E(25P02) Z(E)", "as the server says");
        assert_eq!(raw.query("COMMIT"), "C(ROLLBACK) Z(I)");
        assert_eq!(world::postgres(version).superuser(&database, kept), before);
        assert_eq!(raw.query("ROLLBACK"), "E(53400) Z(I)", "there is nothing to end");
    }
}

#[test]
fn a_reload_keeps_what_is_left_of_the_minute() {
    let passage = limited("statements = 2");
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query("SELECT 1; SELECT 2"), "T D C(SELECT 1) T D C(SELECT 1) Z(I)");
    let file = passage.gateway.config();
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{config}\n# The same.\n")).unwrap();
    passage.gateway.stdout(&["reload"]);
    assert_eq!(raw.query("SELECT 1"), "E(53400) Z(I)");
    assert_eq!(Raw::login(&endpoint).query("SELECT 1"), "E(53400) Z(I)");
    let open = config.replace("limits = { statements = 2 }", "");
    assert_ne!(open, config);
    fs::write(&file, open).unwrap();
    passage.gateway.stdout(&["reload"]);
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}

#[test]
fn masked_cells_are_limited_in_rows_and_copies() {
    const MASKS: &str = r#"
[policy.pii]
default = "pass"

[[policy.pii.mask]]
columns = ["*.email"]
as      = "pseudonym"

[[policy.pii.mask]]
columns = ["customers.phone"]
as      = "null"
"#;
    let limited =
        r#"policies        = ["baseline", "pii"]"#.to_owned() + "\nlimits = { masked = 4 }";
    let passage = world::altered_passage(&[], |config| config.replace(POLICIES, &limited) + MASKS);
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "masked_cells");
        let mut raw = Raw::login(&passage.endpoint(version, Role::App, &database));
        let many = "(SELECT 'x' FROM generate_series(1, 1000000)) s(x)";
        raw.send(&query(&format!("SELECT email FROM customers, {many}")));
        let answers = raw.until_ready();
        assert_eq!(transcript(&answers), "T D D D D E(54000) Z(I)");
        let error = answers.iter().find(|message| message.tag == b'E').unwrap();
        assert!(error_field(error, b'M').unwrap().contains("more than 4 masked cells"));
        assert!(error_field(error, b'H').unwrap().contains("limits.masked"));
        let both = format!("SELECT email, phone FROM customers, {many} WHERE phone IS NOT NULL");
        assert_eq!(raw.query(&both), "T D D E(54000) Z(I)");
        let copy = format!("COPY (SELECT email FROM customers, {many}) TO STDOUT");
        assert_eq!(raw.query(&copy), "H d d d d E(54000) Z(I)");
        let words = raw.query("SELECT id FROM customers LIMIT 6");
        assert_eq!(words, "T D D D D D D C(SELECT 6) Z(I)", "the session goes on");
    }
}
