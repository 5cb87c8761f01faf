//! Values that a policy describes itself: replaced in rows, documents and errors, refused in
//! statements, and not kept in recordings.

use std::sync::OnceLock;

use crate::support::postgres::{Role, Version};
use crate::support::raw::{Raw, bind, execute, parse, query, sync, transcript};
use crate::world::{self, Passage};

const PATTERNS: &str = r#"
[policy.numbers]
default = "pass"

[[policy.numbers.pattern]]
name  = "customer-number"
match = '\bCUST-\d{8}\b'

[[policy.numbers.pattern]]
name  = "badge"
match = '\b[A-Z]{2}\d{6}\b'

[[policy.numbers.pattern]]
name  = "secret"
match = 'secret": "[a-z]{4,20}'

[[policy.numbers.mask]]
detect = ["customer-number", "badge", "secret"]
as     = { partial = { keep_last = 2 } }

[[policy.numbers.rule]]
id     = "no-badges"
when   = { text.entities.any = ["badge"] }
action = "deny"
"#;

fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(|| {
        world::altered_passage(&[], |config| {
            let both = r#"policies        = ["baseline", "numbers"]"#;
            config.replace(r#"policies        = ["baseline"]"#, both) + PATTERNS
        })
    })
}

/// What came back: the messages' tags, and all that they say.
fn answer(bot: &mut Raw, asked: &[u8]) -> (String, String) {
    bot.send(asked);
    let answers = bot.until_ready();
    let bytes: Vec<u8> = answers.iter().flat_map(|message| message.body.clone()).collect();
    (transcript(&answers), String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_value_of_the_policys_own_reaches_nobody() {
    let version = Version::V15;
    let database = world::database(version, "own_patterns");
    let table = r#"CREATE TABLE tickets (id int, note text, body jsonb, tags text[]);
        INSERT INTO tickets VALUES (1, 'call CUST-12345678, not CUST-123456789',
            '{"of": "CUST-12345678", "n": 5}', '{CUST-87654321,plain}');
        INSERT INTO tickets VALUES (2, 'badge AB123456', '[true]', NULL);
        INSERT INTO tickets VALUES (3, '', '{"secret": "abcdef"}', NULL);
        GRANT SELECT ON tickets TO PUBLIC"#;
    let _created = world::postgres(version).superuser(&database, table);
    let passage = passage();
    let mut bot = Raw::login(&passage.endpoint(version, Role::App, &database));
    let mut ask = |sql: &str| answer(&mut bot, &query(sql));
    let (_, rows) = ask("SELECT * FROM tickets ORDER BY id");
    for kept in [
        "call ****-******78, not CUST-123456789",
        r#""n": 5"#,
        "plain}",
        "badge ******56",
        "\"[redacted]\"",
    ] {
        assert!(rows.contains(kept), "{kept} in {rows}");
    }
    for gone in ["CUST-12345678\"", "CUST-12345678,", "87654321", "AB1234", "abcdef"] {
        assert!(!rows.contains(gone), "{gone} in {rows}");
    }
    let (_, error) = ask("SELECT note::int FROM tickets WHERE id = 1");
    assert!(error.contains("invalid input syntax") && !error.contains("CUST-12345678,"), "{error}");
    let (refused, words) = ask("SELECT * FROM tickets WHERE note = 'AB654321'");
    assert!(refused.contains('E') && words.contains("no-badges"), "{refused}: {words}");
    let _found = ask("SELECT count(*) FROM tickets WHERE note LIKE '%CUST-55555555%'");
}

#[test]
fn a_rule_about_values_sees_what_a_statement_is_bound_to() {
    let version = Version::V15;
    let database = world::database(version, "bound_values");
    let mut bot = Raw::login(&passage().endpoint(version, Role::App, &database));
    let mut ask = |value: &str| {
        let batch =
            [parse("", "SELECT length($1::text)"), bind("", "", &[value]), execute("", 0), sync()];
        answer(&mut bot, &batch.concat())
    };
    for (value, words) in [
        ("AB654321".to_owned(), "no-badges"),
        (format!("{} AB654321", "x ".repeat(1_000)), "no-badges"),
        // Past what is searched, none is let by.
        ("x".repeat(80_000), "cannot be searched"),
    ] {
        let (refused, said) = ask(&value);
        assert!(refused.contains('E') && said.contains(words), "{refused}: {said}");
    }
    let (answered, said) = ask("AB65432");
    assert!(answered.contains('D') && said.contains('7'), "{answered}: {said}");
}
