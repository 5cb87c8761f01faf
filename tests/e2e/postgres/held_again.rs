//! Statements that were held and come again: after a restart, from another session, under settings
//! that mean something else by then.

use std::time::Duration;

use super::holding::{RULES, answer, approve, id, is_asked_anew, request, update};
use crate::support::postgres::{Role, Version};
use crate::support::process::eventually;
use crate::support::raw::{Raw, query};
use crate::world::{self, Passage};

fn own_passage() -> Passage {
    // Were it started meanwhile, it could take a port of ours.
    world::passage();
    world::altered_passage(&[], |config| config + RULES)
}

#[test]
fn what_waited_when_the_gateway_died_is_decided_later_and_runs_once_when_it_comes_again() {
    let database = world::database(Version::V15, "held_died");
    let mut own = own_passage();
    let endpoint = own.endpoint(Version::V15, Role::App, &database);
    let price = || {
        let price = "SELECT price FROM products WHERE id = 1";
        world::postgres(Version::V15).superuser(&database, price)
    };
    let mut raw = Raw::login(&endpoint);
    raw.send(&query(&update("81.01")));
    assert_eq!(raw.read().unwrap().tag, b'N', "it waits, and is not told to come again");
    let asked = request(&own, "81.01");
    own.gateway.kill();
    drop(raw);
    own.gateway.restart();
    assert_eq!(request(&own, "81.01")["state"], "pending", "nobody took it back");
    assert_eq!(request(&own, "81.01")["hash"], asked["hash"]);
    approve(&own, &asked);
    assert_eq!(request(&own, "81.01")["state"], "approved");
    assert_ne!(price(), "81.01");

    own.gateway.kill();
    own.gateway.restart();
    let mut raw = Raw::login(&endpoint);
    raw.send(&query(&update("81.01")));
    assert_eq!(answer(&mut raw), "C(UPDATE 1) Z(I)");
    assert_eq!(price(), "81.01");
    raw.send(&query(&update("81.01")));
    assert_eq!(raw.read().unwrap().tag, b'N', "once");
    let anew = request(&own, "81.01");
    assert_ne!(id(&anew), id(&asked));
    assert_eq!(anew["state"], "pending");
}

#[test]
fn a_path_or_a_role_that_the_start_up_asks_for_is_refused_before_anything_is_held() {
    let database = world::database(Version::V15, "held_start_up");
    let endpoint = world::passage().endpoint(Version::V15, Role::App, &database);
    for (name, value) in [
        ("search_path", "evil,public"),
        ("role", "shop_md5"),
        ("session_authorization", "shop_md5"),
        ("options", "-c search_path=evil"),
    ] {
        let mut raw = Raw::tls(endpoint.port, &endpoint.ca);
        raw.send(&startup_with(&endpoint.user, &endpoint.database, name, value));
        let refused = raw.read().unwrap();
        assert_eq!(refused.tag, b'E', "{name}");
    }
}

/// A start-up packet that asks for a setting.
fn startup_with(user: &str, database: &str, name: &str, value: &str) -> Vec<u8> {
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, name, value] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

#[test]
fn settings_made_inside_a_transaction_or_by_a_function_make_it_another_statement() {
    let database = world::database(Version::V15, "held_set_inside");
    let own = own_passage();
    let endpoint = own.endpoint(Version::V15, Role::App, &database);
    let insert = "INSERT INTO products (sku, name, price) VALUES ('S-1', 'set', 1)";
    let mut raw = Raw::login(&endpoint);
    raw.send(&query(insert));
    assert!(is_asked_anew(&mut raw));
    approve(&own, &request(&own, "S-1"));
    let before: [&[&str]; 4] = [
        &["BEGIN", "SET LOCAL search_path = pg_temp, public"],
        &["SELECT set_config('search_path', 'pg_temp, public', false)"],
        &["CREATE TEMP TABLE products (sku text, name text, price numeric)"],
        &["SELECT set_config('role', 'none', false)"],
    ];
    for texts in before {
        let mut other = Raw::login(&endpoint);
        for text in texts {
            other.query(text);
        }
        other.send(&query(insert));
        assert!(is_asked_anew(&mut other), "after {texts:?}");
    }
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query(insert), "C(INSERT 0 1) Z(I)", "as it was approved");
}

#[test]
fn of_two_sessions_that_wait_for_one_approval_one_has_it() {
    let database = world::database(Version::V15, "held_twice");
    let own = own_passage();
    let endpoint = own.endpoint(Version::V15, Role::App, &database);
    let text = "UPDATE products SET price = price + 1000 WHERE id = 1 /* twice */";
    let mut bots = [Raw::login(&endpoint), Raw::login(&endpoint)];
    for raw in &mut bots {
        raw.send(&query(text));
        assert_eq!(raw.read().unwrap().tag, b'N');
    }
    approve(&own, &request(&own, "/* twice */"));
    let mut answers = bots.each_mut().map(answer);
    answers.sort();
    assert_eq!(answers, ["C(UPDATE 1) Z(I)", "E(42501) Z(I)"]);
    eventually("one request, used", Duration::from_secs(10), || {
        request(&own, "/* twice */")["state"] == "used"
    });
}
