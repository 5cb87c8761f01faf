//! Masked rows do not wait for each other: the first ones are there while the statement still runs,
//! be there no end to it, or nothing more to come for hours. Nor do the parts of a row wait that is
//! too large to be held.

use std::process::Command;

use crate::postgres::exact::{Format, cells, whole_exchange};
use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::raw::{Message, Raw, cancel_request, query, transcript};
use crate::world;

const MASKS: &str = r#"
[policy.pii]
default = "pass"

[[policy.pii.mask]]
columns = ["customers.email"]
as      = "pseudonym"

[[policy.pii.mask]]
detect = ["pan", "email"]
as     = "redact"
"#;

/// A row for each number, of 1 KB so that the server does not gather many before it sends.
const ENDLESS: &str = "WITH RECURSIVE e(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM e) \
    SELECT c.email, e.n, repeat('x', 1000) AS filler FROM e, \
    LATERAL (SELECT email FROM customers WHERE id = 1 + e.n % 200 OFFSET 0) c";

/// After so many rows nothing comes for hours.
const ROWS_THEN_NONE: usize = 100;

#[test]
fn first_rows_come_while_the_statement_runs() {
    let passage = world::altered_passage(&[], |config| {
        let both = r#"policies        = ["baseline", "pii"]"#;
        config.replace(r#"policies        = ["baseline"]"#, both) + MASKS
    });
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "masked_streaming");
        let endpoint = passage.endpoint(version, Role::App, &database);
        let mut bot = Raw::login(&endpoint);
        let stalling = format!("{ENDLESS} WHERE e.n <= {ROWS_THEN_NONE} OR pg_sleep(3600) IS NULL");
        for sql in [ENDLESS, &stalling] {
            stands_still_running(&endpoint, &mut bot, &query(sql), b'D');
            for format in Format::BOTH {
                let exchange = whole_exchange(sql, &[], Format::Text, format);
                stands_still_running(&endpoint, &mut bot, &exchange, b'D');
            }
            let copy = query(&format!("COPY ({sql}) TO STDOUT"));
            stands_still_running(&endpoint, &mut bot, &copy, b'd');
        }
    }
}

/// Reads rows of a statement that has no end, then cancels it: it had not ended.
fn stands_still_running(endpoint: &Endpoint, bot: &mut Raw, request: &[u8], tag: u8) {
    bot.send(request);
    let mut first: Vec<Message> = Vec::new();
    // What the server has not sent yet fits into one of its buffers, of 8 KB.
    while first.iter().filter(|message| message.tag == tag).count() < ROWS_THEN_NONE - 10 {
        let message = bot.read().unwrap();
        assert!(!matches!(message.tag, b'C' | b'E' | b'Z'), "{}", transcript(&first));
        first.push(message);
    }
    if tag == b'D' {
        for row in cells(&first) {
            let email = String::from_utf8(row[0].clone().unwrap()).unwrap();
            assert!(email.ends_with("@pseudonym.invalid"), "{email}");
            assert_eq!(row[2].as_deref(), Some([b'x'; 1000].as_slice()));
        }
    }
    assert!(!first.iter().any(|row| String::from_utf8_lossy(&row.body).contains("@example.com")));
    let (pid, secret) = bot.key.clone().unwrap();
    let mut canceller = Raw::tls(endpoint.port, &endpoint.ca);
    canceller.send(&cancel_request(pid, &secret));
    assert!(canceller.is_finished());
    let rest = bot.until_ready();
    let rest: Vec<Message> = rest.into_iter().filter(|message| message.tag != tag).collect();
    assert_eq!(transcript(&rest), "E(57014) Z(I)", "it ran until it was cancelled");
}

/// Columns alone are masked, so that nothing is searched.
const COLUMNS: &str = r#"
[policy.pii]
default = "pass"

[[policy.pii.mask]]
columns = ["customers.email"]
as      = "pseudonym"
"#;

const LARGE_BYTES: usize = 5 * 1024 * 1024;

#[test]
fn a_large_value_streams_beside_a_protected_one() {
    let passage = world::altered_passage(&[], |config| {
        let both = r#"policies        = ["baseline", "pii"]"#;
        config.replace(r#"policies        = ["baseline"]"#, both) + COLUMNS
    });
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "masked_large");
        let larger = format!(
            "UPDATE customers SET notes = repeat('0123456789abcdef', {}) WHERE id <= 2",
            LARGE_BYTES / 16
        );
        world::postgres(version).superuser(&database, &larger);
        let notes = "0123456789abcdef".repeat(LARGE_BYTES / 16);
        let endpoint = passage.endpoint(version, Role::App, &database);
        let mut bot = Raw::login(&endpoint);
        let sql = "SELECT email, id, notes FROM customers WHERE id <= 3 ORDER BY id";
        for format in Format::BOTH {
            bot.send(&whole_exchange(sql, &[], Format::Text, format));
            let answers = bot.until_ready();
            let rows = cells(&answers);
            assert_eq!(rows.len(), 3, "{}", transcript(&answers));
            for row in &rows[..2] {
                let email = String::from_utf8_lossy(row[0].as_deref().unwrap());
                assert!(email.ends_with("@pseudonym.invalid"), "{email}");
                assert!(row[2].as_deref() == Some(notes.as_bytes()), "a large value is another");
            }
        }
        // The length of a row stands before it, so what is behind a large value cannot be replaced.
        let behind = "SELECT notes, email FROM customers WHERE id <= 3 ORDER BY id";
        assert_eq!(bot.query(behind), "T E(54000) Z(I)");
        assert_eq!(bot.query("SELECT 1"), "T D C(SELECT 1) Z(I)");

        let mut psql = Command::new("psql");
        psql.args(["-X", "-A", "-t", "-c", sql]);
        let output = endpoint.prepare(&mut psql).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        for (line, id) in lines.iter().zip(["1", "2"]) {
            let fields: Vec<&str> = line.split('|').collect();
            assert!(fields[0].ends_with("@pseudonym.invalid"), "{}", fields[0]);
            assert_eq!(fields[1], id);
            assert!(fields[2] == notes, "psql shows another value");
        }
    }
}

#[test]
fn a_large_value_that_would_have_to_be_searched_is_withheld() {
    let passage = world::altered_passage(&[], |config| {
        let both = r#"policies        = ["baseline", "pii"]"#;
        config.replace(r#"policies        = ["baseline"]"#, both) + MASKS
    });
    let database = world::database(Version::V15, "masked_large_searched");
    let endpoint = passage.endpoint(Version::V15, Role::App, &database);
    let mut bot = Raw::login(&endpoint);
    let half = LARGE_BYTES / 2;
    let sql = format!(
        "SELECT id, repeat('x ', {half}) || '4111111111111111' || repeat(' x', {half}) AS text \
         FROM customers WHERE id = 1"
    );
    bot.send(&query(&sql));
    let answers = bot.until_ready();
    assert_eq!(transcript(&answers), "T E(54000) Z(I)");
    assert!(!answers.iter().any(|it| String::from_utf8_lossy(&it.body).contains("4111111111")));
    // A large value of a type that is never searched streams all the same.
    let bytes = format!("SELECT id, decode(repeat('00', {LARGE_BYTES}), 'hex') AS bytes");
    bot.send(&query(&format!("{bytes} FROM customers WHERE id = 1")));
    let answers = bot.until_ready();
    assert_eq!(transcript(&answers), "T D C(SELECT 1) Z(I)");
    assert_eq!(answers[1].body.len(), 2 + 4 + 1 + 4 + 2 + 2 * LARGE_BYTES);
}
