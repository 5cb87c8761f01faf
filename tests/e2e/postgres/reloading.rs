//! What a reload changes while bots are at work: policies, certificates, who may be here; and that
//! a configuration which is wrong changes nothing.

use std::fs;
use std::time::Duration;

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::process::{Scratch, eventually};
use crate::support::raw::{Raw, transcript};
use crate::world::{self, REFUSED};

#[test]
fn a_reload_swaps_the_policy_or_nothing() {
    let database = world::database(Version::V15, "reloaded");
    let passage = world::own_passage("group");
    let endpoint = passage.endpoint(Version::V15, Role::App, &database);
    let file = passage.gateway.config();
    let strict = fs::read_to_string(&file).unwrap();
    let open = strict.replace(r#"["ddl_drop", "truncate"]"#, r#"["truncate"]"#);
    assert_ne!(open, strict);

    fs::write(&file, format!("{open}\n[nonsense]\nkey = 1\n")).unwrap();
    assert!(!passage.gateway.command(&["check"]).status.success());
    passage.gateway.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        Raw::login(&endpoint).query(REFUSED),
        "E(42501) Z(I)",
        "what is wrong changes nothing"
    );

    fs::write(&file, &open).unwrap();
    passage.gateway.stdout(&["check"]);
    passage.gateway.signal("HUP");
    eventually("the new policy", Duration::from_secs(5), || {
        Raw::login(&endpoint).query(REFUSED) == "C(DROP TABLE) Z(I)"
    });
}

#[test]
fn a_live_session_is_judged_by_the_policy_in_force() {
    let database = world::database(Version::V15, "rejudged");
    let passage = world::own_passage("group");
    let mut raw = Raw::login(&passage.endpoint(Version::V15, Role::App, &database));
    let file = passage.gateway.config();
    let strict = fs::read_to_string(&file).unwrap();
    let stricter = strict.replace(
        r#"["update", "delete"], flags.any = ["no_where", "const_true_where"]"#,
        r#"["update", "delete"]"#,
    );
    assert_ne!(stricter, strict);
    let write = "UPDATE orders SET customer_id = customer_id WHERE id = 1";
    assert_eq!(raw.query(write), "C(UPDATE 1) Z(I)");
    assert_eq!(raw.query("BEGIN"), "C(BEGIN) Z(T)");

    // What is wrong changes nothing, and nobody's session ends of it.
    fs::write(&file, format!("{stricter}\n[nonsense]\nkey = 1\n")).unwrap();
    let refused = passage.gateway.command(&["reload"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nonsense"));
    assert_eq!(raw.query(write), "C(UPDATE 1) Z(T)");

    fs::write(&file, &stricter).unwrap();
    passage.gateway.stdout(&["reload"]);
    assert_eq!(raw.query(write), "E(42501) Z(E)", "the very next statement");
    assert_eq!(raw.query("ROLLBACK"), "C(ROLLBACK) Z(I)");
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}

#[test]
fn a_renewed_certificate_is_shown_to_new_bots_alone() {
    let scratch = Scratch::new("renewed");
    let (cert, key) = (scratch.join("edge.pem"), scratch.join("edge.key"));
    let install = |name: &str| {
        let files = world::pki().server(name);
        fs::copy(files.cert, &cert).unwrap();
        fs::copy(files.key, &key).unwrap();
    };
    install("narrows");
    let own = world::pki().server("narrows");
    let passage = world::altered_passage(&[], |config| {
        config
            .replace(own.cert.to_str().unwrap(), cert.to_str().unwrap())
            .replace(own.key.to_str().unwrap(), key.to_str().unwrap())
    });
    let endpoint = passage.endpoint(Version::V15, Role::App, "shop");
    let mut before = Raw::login(&endpoint);
    let shown = before.certificate().unwrap();

    // A key that does not belong to the certificate: the old pair stays.
    fs::copy(world::pki().server("renewed").cert, &cert).unwrap();
    assert!(!passage.gateway.command(&["reload"]).status.success());
    assert_eq!(Raw::login(&endpoint).certificate().unwrap(), shown);

    install("renewed");
    passage.gateway.signal("HUP");
    eventually("the renewed certificate", Duration::from_secs(5), || {
        Raw::login(&endpoint).certificate().unwrap() != shown
    });
    assert_eq!(before.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    assert_eq!(before.certificate().unwrap(), shown);
}

#[test]
fn a_connection_that_is_taken_away_ends_its_sessions() {
    let passage = world::own_passage("group");
    let mut shop = Raw::login(&passage.endpoint(Version::V15, Role::App, "shop"));
    let reader = passage.reader();
    let mut gone = Raw::login(&reader);
    let file = passage.gateway.config();
    let config = fs::read_to_string(&file).unwrap();
    let begin = config.find("[[connection]]\nservice_account = \"reader-bot\"").unwrap();
    let end = begin + config[begin..].find("[\"reading\"]\n").unwrap() + "[\"reading\"]\n".len();
    fs::write(&file, [&config[..begin], &config[end..]].concat()).unwrap();
    passage.gateway.signal("HUP");
    assert_eq!(transcript(&gone.until_ready()), "E(FATAL 57P01)");
    assert!(gone.is_finished());
    let Endpoint { port, ca, .. } = &reader;
    let words = transcript(&Raw::tls(*port, ca).authenticate(&reader));
    assert_eq!(words, "E(FATAL 28P01)");
    assert_eq!(shop.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}
