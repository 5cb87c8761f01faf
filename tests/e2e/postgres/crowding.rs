//! Many held commands beside many that run. Counted, not timed.

use std::fmt::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::raw::{Raw, query, transcript};
use crate::world::{self, Passage};

const ACCOUNTS: usize = 20;
/// As many as one account may have.
const HELD_EACH: usize = 5;
const RUNNING: usize = 1_000;
const ROUNDS: usize = 3;

const RULE: &str = r#"
[[policy.baseline.rule]]
id     = "prices-need-a-human"
when   = { effects.any = ["update"], objects.write.any = "*.products" }
action = { hold = { wait = "15m", for = "30m" } }
"#;

/// A gateway with accounts of their own for those who wait.
fn crowded() -> Passage {
    world::altered_passage(&[], |config| with_seats(&config, ACCOUNTS) + RULE)
}

/// The configuration with as many accounts more, each of which may do what `shop-bot` may.
pub fn with_seats(config: &str, count: usize) -> String {
    // The connection that all others are like.
    let start =
        config.find("service_account = \"shop-bot\"\ntarget          = \"shop-app-v15\"").unwrap();
    let connection = config[start..].split("\n\n").next().unwrap();
    let connection = connection.split("\n[").next().unwrap();
    let mut all = config.to_owned();
    for seat in 0..count {
        let connection = connection.replace("shop-bot", &format!("seat-{seat}"));
        write!(
            all,
            "\n[[service_account]]\nname = \"seat-{seat}\"\n\
             match = [ {{ issuer = \"provider\", claims = {{ seat = \"{seat}\" }} }} ]\n\
             \n[[connection]]\n{connection}\n"
        )
        .unwrap();
    }
    all
}

pub fn seated(passage: &Passage, database: &str, seat: usize) -> Endpoint {
    let claims = json!({ "repository": "none", "seat": seat.to_string(), "groups": [] });
    Endpoint {
        user: format!("seat-{seat}"),
        password: world::oidc().mint(&claims),
        ..passage.endpoint(Version::V15, Role::App, database)
    }
}

fn pending(passage: &Passage) -> Vec<Value> {
    let answer = passage.gateway.json(&["approvals", "ls", "--limit", "1000"]);
    answer[0]["requests"].as_array().unwrap().clone()
}

#[test]
fn a_hundred_who_wait_disturb_no_thousand_who_run() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let database = world::database(Version::V15, "held_crowd");
    world::passage();
    let passage = crowded();
    let price = || -> f64 {
        let price = "SELECT price FROM products WHERE id = 1";
        world::postgres(Version::V15).superuser(&database, price).trim().parse().unwrap()
    };
    let before = price();

    let mut held = Vec::new();
    for seat in 0..ACCOUNTS {
        let endpoint = seated(&passage, &database, seat);
        for place in 0..HELD_EACH {
            let mut raw = Raw::login(&endpoint);
            let text =
                format!("UPDATE products SET price = price + 1 WHERE id = 1 /* {seat}.{place} */");
            raw.send(&query(&text));
            assert_eq!(raw.read().unwrap().tag, b'N', "{seat}.{place} waits");
            held.push(raw);
        }
    }
    let asked = pending(&passage);
    assert_eq!(asked.len(), ACCOUNTS * HELD_EACH);
    // One more of any of them is refused, and waits for nobody.
    let mut raw = Raw::login(&seated(&passage, &database, 0));
    assert_eq!(raw.query("UPDATE products SET price = 0 WHERE id = 1"), "E(42501) Z(I)");

    let endpoint = passage.endpoint(Version::V15, Role::App, &database);
    let mut running: Vec<Raw> = (0..RUNNING).map(|_| Raw::login(&endpoint)).collect();
    for round in 0..ROUNDS {
        for (at, raw) in running.iter_mut().enumerate() {
            raw.send(&query(&format!("SELECT {at} * 1000 + {round}")));
        }
        for (at, raw) in running.iter_mut().enumerate() {
            let answer = raw.until_ready();
            assert_eq!(transcript(&answer), "T D C(SELECT 1) Z(I)", "{at} in round {round}");
            let row = answer.iter().find(|message| message.tag == b'D').unwrap();
            let right = (at * 1000 + round).to_string();
            assert!(row.body.ends_with(right.as_bytes()), "{at} in round {round}");
        }
    }
    assert_eq!(pending(&passage).len(), ACCOUNTS * HELD_EACH, "all of them wait still");
    assert_eq!(price().to_bits(), before.to_bits());

    for request in &asked {
        let hash = &request["hash"].as_str().unwrap()[..12];
        let id = request["id"].as_str().unwrap();
        passage.gateway.stdout(&["approvals", "approve", id, "--hash", hash]);
    }
    for raw in &mut held {
        let mut answer = raw.until_ready();
        answer.retain(|message| message.tag != b'N');
        assert_eq!(transcript(&answer), "C(UPDATE 1) Z(I)");
    }
    assert_eq!(pending(&passage), [Value::Null; 0]);
    let ran = price() - before;
    assert_eq!(ran.round() as usize, ACCOUNTS * HELD_EACH, "each of them once");
}
