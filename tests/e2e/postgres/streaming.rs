//! Masked rows do not wait for each other: the first ones are there while the statement still runs,
//! be there no end to it, or nothing more to come for hours.

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
