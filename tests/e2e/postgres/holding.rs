//! Commands that wait for a human: bots at real servers, and the human at the command line.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::postgres::{Role, Version};
use crate::support::process::{eventually, free_port};
use crate::support::raw::{self, Raw, bind, error_field, execute, parse, query, sync, transcript};
use crate::world::{self, Passage};

pub const RULES: &str = r#"
[[policy.baseline.rule]]
id     = "prices-need-a-human"
when   = { effects.any = ["update"], objects.write.any = "*.products" }
action = { hold = { wait = "20s", for = "5m" } }

[[policy.baseline.rule]]
id     = "stock-needs-a-ticket"
when   = { effects.any = ["insert"], objects.write.any = "*.products" }
action = { hold = { mode = "ticket", for = "5m" } }
"#;

fn own_passage() -> Passage {
    world::altered_passage(&[], |config| config + RULES)
}

/// A gateway whose policy holds what changes products.
fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(own_passage)
}

/// The request whose statement holds `marker`, once there is one.
pub fn request(passage: &Passage, marker: &str) -> Value {
    let mut found = Value::Null;
    eventually(&format!("a request for {marker}"), Duration::from_secs(10), || {
        let answer = passage.gateway.json(&["approvals", "ls", "--all"]);
        let requests = answer[0]["requests"].as_array().unwrap().clone();
        let ours = |request: &Value| request["text"].as_str().unwrap().contains(marker);
        found = requests.into_iter().find(ours).unwrap_or_default();
        !found.is_null()
    });
    found
}

pub fn id(request: &Value) -> &str {
    request["id"].as_str().unwrap()
}

pub fn approve(passage: &Passage, request: &Value) {
    let hash = &request["hash"].as_str().unwrap()[..12];
    let done = passage.gateway.command(&["approvals", "approve", id(request), "--hash", hash]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

pub fn update(price: &str) -> String {
    format!("UPDATE products SET price = {price} WHERE id = 1")
}

fn price(version: Version, database: &str) -> String {
    let price = "SELECT price FROM products WHERE id = 1";
    world::postgres(version).superuser(database, price).trim().to_owned()
}

/// What came until the server was ready, without our notices.
pub fn answer(raw: &mut Raw) -> String {
    let mut answers = raw.until_ready();
    answers.retain(|message| message.tag != b'N');
    transcript(&answers)
}

#[test]
fn an_approved_statement_runs_and_leaves_its_trace() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "held_approved");
        let mut raw = Raw::login(&passage().endpoint(version, Role::App, &database));
        raw.send(&query(&update(&format!("71.{version:?}").replace('V', ""))));
        let notice = raw.read().unwrap();
        assert_eq!(notice.tag, b'N');
        let asked = request(passage(), &format!("71.{version:?}").replace('V', ""));
        assert!(error_field(&notice, b'M').unwrap().contains(id(&asked)));
        assert_eq!(asked["state"], "pending");
        assert_eq!(asked["rule"], "baseline/prices-need-a-human");
        assert_ne!(price(version, &database), "71.15");
        approve(passage(), &asked);
        assert_eq!(answer(&mut raw), "C(UPDATE 1) Z(I)");
        assert!(price(version, &database).starts_with("71."));
        assert_eq!(request(passage(), asked["text"].as_str().unwrap())["state"], "used");
        assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        let told = format!("{} approved by ", id(&asked));
        eventually("the record names the approval", Duration::from_secs(10), || {
            let exchanges = passage().gateway.json(&["tail"]);
            exchanges.iter().any(|line| line.to_string().contains(&told))
        });
    }
}

#[test]
fn a_rejected_statement_fails_with_the_reason() {
    let database = world::database(Version::V15, "held_rejected");
    let mut raw = Raw::login(&passage().endpoint(Version::V15, Role::App, &database));
    raw.send(&[query(&update("72.01")), query("SELECT 1")].concat());
    let asked = request(passage(), "72.01");
    let done =
        passage().gateway.command(&["approvals", "reject", id(&asked), "-m", "not on a Friday"]);
    assert!(done.status.success());
    let answers = raw.until_ready();
    let error = answers.iter().find(|message| message.tag == b'E').unwrap();
    assert_eq!(error_field(error, b'C').as_deref(), Some("42501"));
    assert!(error_field(error, b'M').unwrap().contains("not on a Friday"));
    assert_eq!(answer(&mut raw), "T D C(SELECT 1) Z(I)", "what stood behind it runs");
    assert_ne!(price(Version::V15, &database), "72.01");
}

#[test]
fn parameters_are_shown_and_bound() {
    let database = world::database(Version::V15, "held_parameters");
    let mut raw = Raw::login(&passage().endpoint(Version::V15, Role::App, &database));
    let text = "UPDATE products SET price = $1 WHERE id = $2 /* bound */";
    let batch = |price: &str| {
        [parse("", text), bind("", "", &[price, "1"]), execute("", 0), sync()].concat()
    };
    raw.send(&batch("73.50"));
    let asked = request(passage(), "/* bound */");
    assert!(asked["parameters"].to_string().contains("73.50"));
    let shown = passage().gateway.stdout(&["approvals", "show", id(&asked)]);
    assert!(shown.contains("$1 = '73.50'") && shown.contains("/* bound */"), "{shown}");
    approve(passage(), &asked);
    assert_eq!(answer(&mut raw), "1 2 C(UPDATE 1) Z(I)");
    assert_eq!(price(Version::V15, &database), "73.50");
}

#[test]
fn a_cancelled_or_abandoned_statement_cannot_be_approved() {
    let database = world::database(Version::V15, "held_cancelled");
    let endpoint = passage().endpoint(Version::V15, Role::App, &database);
    let mut bot = Raw::tls(endpoint.port, &endpoint.ca);
    let greeting = bot.authenticate(&endpoint);
    let key = greeting.iter().find(|message| message.tag == b'K').unwrap().body.clone();
    bot.send(&query(&update("74.01")));
    let asked = request(passage(), "74.01");
    let pid = u32::from_be_bytes(key[..4].try_into().unwrap());
    let mut cancel = Raw::tls(endpoint.port, &endpoint.ca);
    cancel.send(&raw::cancel_request(pid, &key[4..]));
    assert_eq!(answer(&mut bot), "E(57014) Z(I)");
    let refused = passage().gateway.command(&["approvals", "approve", id(&asked)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cancelled"));

    bot.send(&query(&update("74.02")));
    request(passage(), "74.02");
    drop(bot);
    eventually("the request is taken back", Duration::from_secs(10), || {
        request(passage(), "74.02")["state"] == "cancelled"
    });
}

#[test]
fn a_ticket_is_good_for_one_run_also_after_a_restart() {
    let database = world::database(Version::V15, "held_ticket");
    // Were it started meanwhile, it could take a port of ours.
    passage();
    let mut own = own_passage();
    let endpoint = own.endpoint(Version::V15, Role::App, &database);
    let insert = "INSERT INTO products (sku, name, price) VALUES ('T-1', 'ticket', 1)";
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query(insert), "E(42501) Z(I)");
    let asked = request(&own, "'T-1'");
    own.gateway.kill();
    own.gateway.restart();
    approve(&own, &asked);
    let mut raw = Raw::login(&endpoint);
    assert_eq!(
        raw.query("INSERT INTO products (sku, name, price) VALUES ('T-1', 'ticket', 2)"),
        "E(42501) Z(I)"
    );
    assert_eq!(raw.query("SET search_path = public"), "C(SET) Z(I)");
    assert_eq!(raw.query(insert), "E(42501) Z(I)", "other settings, another statement");
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query(insert), "C(INSERT 0 1) Z(I)");
    assert_eq!(raw.query(insert), "E(42501) Z(I)", "once");
}

#[test]
fn a_statement_that_waits_in_a_transaction_fails_it_when_it_is_refused() {
    let database = world::database(Version::V15, "held_transaction");
    let mut raw = Raw::login(&passage().endpoint(Version::V15, Role::App, &database));
    assert_eq!(raw.query("BEGIN"), "C(BEGIN) Z(T)");
    assert_eq!(raw.query("INSERT INTO orders (customer_id) VALUES (7)"), "C(INSERT 0 1) Z(T)");
    raw.send(&query(&update("75.01")));
    let asked = request(passage(), "75.01");
    assert_eq!(asked["in_transaction"], true);
    passage().gateway.command(&["approvals", "reject", id(&asked), "-m", "no"]);
    assert_eq!(answer(&mut raw), "E(42501) Z(E)");
    assert_eq!(raw.query("COMMIT"), "C(ROLLBACK) Z(I)");
}

/// A gateway whose `dba` are bearers of tokens with that group, and where its admin address is.
fn reviewed_by_token() -> (Passage, String) {
    let port = free_port();
    let own = world::pki().server("narrows");
    let tls = format!(
        "admin = {{ socket = \"STATE/admin.sock\", bind = \"127.0.0.1:{port}\", \
         tls = {{ cert = \"{}\", key = \"{}\" }} }}",
        own.cert.display(),
        own.key.display()
    );
    let passage = world::altered_passage(&[], |config| {
        config
            .replace("admin     = { socket = \"STATE/admin.sock\" }", &tls)
            .replace("audiences = [\"narrows\"]", AUDIENCES)
            + &RULES.replace("{ wait = \"20s\"", "{ reviewers = [\"group:dba\"], wait = \"20s\"")
            + GROUP
    });
    (passage, format!("https://localhost:{port}"))
}

const AUDIENCES: &str = "audiences = [\"narrows\"]\nreviewer_audiences = [\"review\"]";
const GROUP: &str = r#"
[[group]]
name  = "dba"
match = [ { issuer = "provider", claims = { groups = "dba" } } ]
"#;

/// Of a human of the group, with `claims` changed.
fn human_token(claims: Value) -> String {
    let mut all = json!({
        "aud": "review", "sub": "u1", "groups": ["dba"], "repository": "none", "actor": "none",
        "email": "alice@acme.example",
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    world::oidc().mint(&all)
}

#[test]
fn a_human_approves_by_a_token_of_the_same_provider_over_tls() {
    let database = world::database(Version::V15, "held_by_token");
    passage();
    let (passage, url) = reviewed_by_token();
    let ca = world::pki().ca().display().to_string();
    let file = passage.gateway.state_dir().join("token");
    let ask = |token: &str, arguments: &[&str]| {
        std::fs::write(&file, token).unwrap();
        let way = ["approvals", "--url", &url, "--ca", &ca, "--token-file", file.to_str().unwrap()];
        let done = passage.gateway.command(&[&way, arguments].concat());
        (done.status.code().unwrap(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let mut raw = Raw::login(&passage.endpoint(Version::V15, Role::App, &database));
    raw.send(&query(&update("76.01")));
    let asked = request(&passage, "76.01");
    let hash = &asked["hash"].as_str().unwrap()[..12];
    let approve = ["approve", id(&asked), "--hash", hash];

    let bot = world::oidc().token("shop-bot");
    assert_eq!(ask(&bot, &approve).0, 1, "the bot itself");
    let posing = human_token(json!({ "repository": "acme/shop", "ref": "refs/heads/main" }));
    assert!(ask(&posing, &approve).1.contains("not one of a human"), "with its account's claims");
    let login = human_token(json!({ "aud": "narrows" }));
    assert!(ask(&login, &approve).1.contains("not one of a human"), "meant for logins");
    let stranger = human_token(json!({ "groups": ["staff"] }));
    assert!(ask(&stranger, &approve).1.contains("may not ask for this"));
    let human = human_token(json!({}));
    assert!(ask(&human, &["approve", id(&asked)]).1.contains("needs the hash"));
    assert_eq!(ask(&human, &["ls"]), (0, String::new()));
    assert_eq!(ask(&human, &approve), (0, String::new()));
    assert_eq!(answer(&mut raw), "C(UPDATE 1) Z(I)");
    assert_eq!(price(Version::V15, &database), "76.01");
    let used = request(&passage, "76.01");
    assert_eq!(used["votes"][0]["by"], "provider/u1 (alice@acme.example)");
    assert!(ask(&human, &approve).1.contains("the request is used"));
}

fn inserting(text: &str, price: &str) -> Vec<u8> {
    [parse("", text), bind("", "", &[price]), execute("", 0), sync()].concat()
}

/// Whether the bot was told that its statement is a request of its own.
pub fn is_asked_anew(raw: &mut Raw) -> bool {
    let answers = raw.until_ready();
    let error = answers.iter().find(|message| message.tag == b'E').unwrap();
    error_field(error, b'M').unwrap().contains("waits as apr_")
}

#[test]
fn a_byte_a_parameter_a_role_or_a_path_makes_it_another_statement() {
    let database = world::database(Version::V15, "held_bound");
    passage();
    // With its own share of requests that may wait.
    let own = own_passage();
    let login = || Raw::login(&own.endpoint(Version::V15, Role::App, &database));
    let text = "INSERT INTO products (sku, name, price) VALUES ('B-1', 'bound', $1)";
    let mut raw = login();
    raw.send(&inserting(text, "5"));
    assert!(is_asked_anew(&mut raw));
    approve(&own, &request(&own, "B-1"));
    for (text, price) in [(format!("{text} "), "5"), (text.to_owned(), "5.0")] {
        raw.send(&inserting(&text, price));
        assert!(is_asked_anew(&mut raw), "{text:?} with {price}");
    }
    for setting in ["SET search_path = public, pg_temp", "SET ROLE NONE"] {
        let mut other = login();
        assert_eq!(other.query(setting), "C(SET) Z(I)");
        other.send(&inserting(text, "5"));
        assert!(is_asked_anew(&mut other), "after {setting}");
    }
    raw.send(&inserting(text, "5"));
    assert_eq!(answer(&mut raw), "1 2 C(INSERT 0 1) Z(I)", "as it was approved");
    raw.send(&inserting(text, "5"));
    assert!(is_asked_anew(&mut raw), "used up");
}

#[test]
fn of_two_clicks_one_counts_and_the_statement_runs_once() {
    let database = world::database(Version::V15, "held_raced");
    let mut raw = Raw::login(&passage().endpoint(Version::V15, Role::App, &database));
    let text = "UPDATE products SET price = price + 1000 WHERE id = 1 /* raced */";
    let before: f64 = price(Version::V15, &database).parse().unwrap();
    raw.send(&query(text));
    let asked = request(passage(), "/* raced */");
    let click =
        || passage().gateway.command(&["approvals", "approve", id(&asked)]).status.success();
    let counted = std::thread::scope(|scope| {
        let clicks: Vec<_> = (0..6).map(|_| scope.spawn(click)).collect();
        clicks.into_iter().map(|one| one.join().unwrap()).filter(|ok| *ok).count()
    });
    assert_eq!(counted, 1);
    assert_eq!(answer(&mut raw), "C(UPDATE 1) Z(I)");
    assert_eq!(request(passage(), "/* raced */")["votes"].as_array().unwrap().len(), 1);
    let after: f64 = price(Version::V15, &database).parse().unwrap();
    assert!((after - before - 1000.0).abs() < 0.01, "{before} {after}");
}

#[test]
fn a_request_that_has_expired_can_neither_be_decided_nor_used() {
    let database = world::database(Version::V15, "held_expired");
    passage();
    let own = world::altered_passage(&[], |config| {
        config + &RULES.replace("for = \"5m\"", "for = \"3s\"")
    });
    let endpoint = own.endpoint(Version::V15, Role::App, &database);
    let insert = |marker: &str| {
        format!("INSERT INTO products (sku, name, price) VALUES ('{marker}', 'late', 1)")
    };
    let mut raw = Raw::login(&endpoint);
    assert_eq!(raw.query(&insert("E-1")), "E(42501) Z(I)");
    eventually("it expires undecided", Duration::from_secs(20), || {
        request(&own, "E-1")["state"] == "expired"
    });
    let late = own.gateway.command(&["approvals", "approve", id(&request(&own, "E-1"))]);
    assert!(String::from_utf8_lossy(&late.stderr).contains("the request is expired"));

    assert_eq!(raw.query(&insert("E-2")), "E(42501) Z(I)");
    approve(&own, &request(&own, "E-2"));
    eventually("the approval lapses", Duration::from_secs(20), || {
        request(&own, "E-2")["state"] == "expired"
    });
    assert_eq!(raw.query(&insert("E-2")), "E(42501) Z(I)", "it has to be asked for anew");
}
