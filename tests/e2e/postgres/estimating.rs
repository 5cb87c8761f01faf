//! How many rows a held command would touch, as reviewers see it; and what is never planned.

use std::time::Duration;

use serde_json::Value;

use crate::postgres::holding::{RULES, id, request};
use crate::support::postgres::{Role, Version};
use crate::support::process::eventually;
use crate::support::raw::{Raw, bind, execute, parse, query, sync};
use crate::world::{self, Passage};

fn passage() -> &'static Passage {
    static PASSAGE: std::sync::OnceLock<Passage> = std::sync::OnceLock::new();
    PASSAGE.get_or_init(|| world::altered_passage(&[], |config| config + RULES))
}

/// The estimate of the request whose statement holds `marker`.
fn estimate(marker: &str) -> Value {
    let mut found = Value::Null;
    eventually(&format!("an estimate for {marker}"), Duration::from_secs(15), || {
        found = request(passage(), marker)["estimate"].clone();
        !found.is_null()
    });
    found
}

fn held(version: Version, database: &str, messages: &[u8]) -> Raw {
    let mut raw = Raw::login(&passage().endpoint(version, Role::App, database));
    raw.send(messages);
    raw
}

/// The words for why there is no estimate; none where there is one.
fn reason(estimate: &Value) -> &str {
    estimate["unknown"]["reason"].as_str().unwrap_or_default()
}

#[test]
fn a_reviewer_sees_the_rows_that_an_update_would_change() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "estimate_rows");
        world::postgres(version).superuser(&database, "ANALYZE products");
        let marker = format!("/* all {version:?} */");
        let all = format!("UPDATE products SET price = price * 2 WHERE price IS NOT NULL {marker}");
        let _raw = held(version, &database, &query(&all));
        let estimate = estimate(&marker);
        let count = world::postgres(version).superuser(&database, "SELECT count(*) FROM products");
        let count: u64 = count.trim().parse().unwrap();
        assert_eq!(estimate["rows"]["rows"], count, "{estimate}");
        assert_eq!(estimate["rows"]["tables"][0]["rows"], count, "{estimate}");
        let shown =
            passage().gateway.stdout(&["approvals", "show", id(&request(passage(), &marker))]);
        assert!(shown.contains(&format!("about {count} rows")), "{shown}");
    }
}

#[test]
fn parameters_are_planned_without_their_values() {
    for (version, expected) in [(Version::V15, "before PostgreSQL 16"), (Version::V18, "")] {
        let database = world::database(version, "estimate_parameters");
        world::postgres(version).superuser(&database, "ANALYZE products");
        let marker = format!("/* one {version:?} */");
        let text = format!("UPDATE products SET price = $1 WHERE id = $2 {marker}");
        let batch = [parse("", &text), bind("", "", &["5", "1"]), execute("", 0), sync()].concat();
        let _raw = held(version, &database, &batch);
        let estimate = estimate(&marker);
        assert!(reason(&estimate).contains(expected), "{estimate}");
        if expected.is_empty() {
            assert_eq!(estimate["rows"]["rows"], 1, "{estimate}");
        }
    }
}

#[test]
fn what_would_run_code_when_planned_is_not_planned() {
    let traps = [
        (
            "operator",
            "CREATE FUNCTION public.twist(int, int) RETURNS boolean LANGUAGE plpgsql \
            IMMUTABLE AS $$ BEGIN RETURN true; END $$; \
            CREATE OPERATOR public.<<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = public.twist)",
            "1 OPERATOR(public.<<<<) 2",
        ),
        (
            "cast",
            "CREATE TYPE public.mood AS ENUM ('low'); \
            CREATE FUNCTION public.felt(int) RETURNS public.mood LANGUAGE plpgsql IMMUTABLE \
            AS $$ BEGIN RETURN 'low'; END $$; \
            CREATE CAST (int AS public.mood) WITH FUNCTION public.felt(int)",
            "1::public.mood = 'low'",
        ),
        (
            "row function",
            "CREATE FUNCTION public.shown(products) RETURNS int LANGUAGE sql \
            AS $$ SELECT 1 $$",
            "products.shown = 1",
        ),
        (
            "default",
            "CREATE FUNCTION public.fresh() RETURNS int LANGUAGE plpgsql IMMUTABLE \
            AS $$ BEGIN RETURN 1; END $$; \
            ALTER TABLE products ADD COLUMN extra int DEFAULT public.fresh()",
            "id = 1",
        ),
        (
            "namesake",
            "CREATE FUNCTION public.lower(int) RETURNS text LANGUAGE plpgsql IMMUTABLE \
            AS $$ BEGIN RETURN 'x'; END $$",
            "lower(1) = 'x'",
        ),
        ("row policy", "ALTER TABLE products ENABLE ROW LEVEL SECURITY", "id = 1"),
        ("function", "", "name = repeat('x', 9)"),
    ];
    for (at, (what, set_up, condition)) in traps.into_iter().enumerate() {
        let database = world::database(Version::V18, &format!("estimate_trap_{at}"));
        world::postgres(Version::V18).superuser(&database, set_up);
        let marker = format!("/* trap {at} */");
        let text = format!("UPDATE products SET price = 1 WHERE id = 1 AND {condition} {marker}");
        let _raw = held(Version::V18, &database, &query(&text));
        let estimate = estimate(&marker);
        assert!(!reason(&estimate).is_empty(), "{what}: {estimate}");
        assert!(!reason(&estimate).contains("refused to plan"), "{what}: {estimate}");
    }
}

#[test]
fn a_session_that_has_set_something_gets_no_estimate() {
    let database = world::database(Version::V15, "estimate_settings");
    let mut raw = Raw::login(&passage().endpoint(Version::V15, Role::App, &database));
    raw.query("SET search_path = public");
    raw.send(&query("UPDATE products SET price = 1 WHERE id = 1 /* set before */"));
    let estimate = estimate("/* set before */");
    assert!(reason(&estimate).contains("settings"), "{estimate}");
}
