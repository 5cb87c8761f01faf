//! Masked columns through real clients: what a bot gets instead of a value, in text and in binary,
//! and that everything else comes as it is.

use std::process::Command;
use std::sync::OnceLock;

use crate::support::postgres::{Role, Version};
use crate::support::raw::{Message, Raw, query, transcript};
use crate::world::{self, Passage};

const MASKS: &str = r#"
[policy.pii]
default = "pass"

[[policy.pii.mask]]
id      = "cards"
columns = ["public.customers.ssn", "public.customers.card"]
as      = { partial = { keep_last = 4 } }

[[policy.pii.mask]]
columns = ["*.email"]
as      = "pseudonym"

[[policy.pii.mask]]
columns = ["customers.joined"]
as      = "year"

[[policy.pii.mask]]
columns = ["customers.phone"]
as      = "null"

[[policy.pii.mask]]
detect = ["pan", "jwt", "email"]
as     = "redact"
"#;

fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(|| {
        world::altered_passage(&[], |config| {
            let both = r#"policies        = ["baseline", "pii"]"#;
            config.replace(r#"policies        = ["baseline"]"#, both) + MASKS
        })
    })
}

fn raw(version: Version, database: &str) -> Raw {
    Raw::login(&passage().endpoint(version, Role::App, database))
}

/// The cells of all rows, as text; `None` for null.
fn cells(answers: &[Message]) -> Vec<Vec<Option<String>>> {
    let rows = answers.iter().filter(|message| message.tag == b'D');
    rows.map(|message| {
        let mut row = Vec::new();
        let mut rest = &message.body[2..];
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            row.push(length.map(|it| String::from_utf8_lossy(&tail[..it]).into_owned()));
            rest = &tail[length.unwrap_or(0)..];
        }
        row
    })
    .collect()
}

fn ask_in_transaction(raw: &mut Raw, sql: &str) -> Vec<Vec<Option<String>>> {
    raw.send(&query(sql));
    let answers = raw.until_ready();
    assert!(transcript(&answers).ends_with("Z(T)"), "{sql}: {}", transcript(&answers));
    cells(&answers)
}

fn ask(raw: &mut Raw, sql: &str) -> Vec<Vec<Option<String>>> {
    raw.send(&query(sql));
    let answers = raw.until_ready();
    assert!(transcript(&answers).ends_with("Z(I)"), "{sql}: {}", transcript(&answers));
    assert!(!answers.iter().any(|message| message.tag == b'E'), "{sql}: {}", transcript(&answers));
    cells(&answers)
}

#[test]
fn a_customer_is_seen_without_what_is_protected() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "masked_customer");
        let sql = "SELECT id, name, email, phone, ssn, card, joined FROM customers WHERE id = 7";
        let direct = world::postgres(version).superuser(&database, sql);
        let direct: Vec<&str> = direct.split('|').collect();
        let mut bot = raw(version, &database);
        let row = ask(&mut bot, sql).remove(0);
        let row: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL")).collect();
        assert_eq!(row[..2], direct[..2], "what is not protected comes as it is");
        assert!(row[2].starts_with("u-") && row[2].ends_with("@pseudonym.invalid"), "{row:?}");
        assert_eq!(row[3], "NULL");
        assert_eq!(row[4], format!("***-**-{}", &direct[4][7..]));
        assert_eq!(row[5].get(15..), direct[5].get(15..));
        assert!(!row[5].starts_with("4111"), "{row:?}");
        assert!(row[6].starts_with(&direct[6][..4]) && row[6].contains("-01-01"), "{row:?}");
        assert_eq!(ask(&mut bot, sql)[0][2].as_deref(), Some(row[2]), "it can be joined on");
    }
}

#[test]
fn what_is_provably_free_of_protected_values_passes() {
    let database = world::database(Version::V15, "masked_free");
    let mut bot = raw(Version::V15, &database);
    for sql in [
        "SELECT count(*) FROM customers",
        "SELECT count(*), max(id), min(name) FROM customers",
        "SELECT upper(name), length(notes) FROM customers WHERE id = 50",
        "SELECT status, count(*), sum(quantity * price) FROM orders JOIN order_items ON order_id = id GROUP BY 1 ORDER BY 1",
        "SELECT upper(name) || '!' FROM products ORDER BY id LIMIT 3",
        "SELECT 1 + 1, now() > '2020-01-01', 'text'",
        "SELECT o.id, c.name, c.id % 3 FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY 1 LIMIT 4",
        "SELECT name, orders FROM spending ORDER BY id LIMIT 3",
        "SHOW server_version",
        "SELECT relname, relkind::text FROM pg_class WHERE relname = 'customers'",
    ] {
        let direct = world::postgres(Version::V15).superuser(&database, sql);
        let text = |row: &Vec<Option<String>>| {
            let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or("")).collect();
            cells.join("|")
        };
        let masked: Vec<String> = ask(&mut bot, sql).iter().map(text).collect();
        assert_eq!(masked.join("\n"), direct, "{sql}");
    }
}

#[test]
fn values_are_found_wherever_they_stand() {
    let database = world::database(Version::V15, "masked_found");
    let mut bot = raw(Version::V15, &database);
    for (sql, expected) in [
        (
            "SELECT 'write to ada@example.com or 4111 1111 1111 1111'",
            "write to [redacted] or [redacted]",
        ),
        (
            "SELECT '{\"card\": 4111111111111111, \"to\": \"a@example.com\"}'::jsonb",
            "{\"to\": \"[redacted]\", \"card\": 9999999999999999}",
        ),
        ("SELECT ARRAY['ada@example.com', 'b']", "{***************,b}"),
        ("SELECT 'no value'", "no value"),
        ("SELECT 4111111111111111::bigint", "4111111111111111"),
    ] {
        assert_eq!(ask(&mut bot, sql)[0][0].as_deref(), Some(expected), "{sql}");
    }
    bot.send(&query("DO $$ BEGIN RAISE NOTICE 'to ada@example.com'; END $$"));
    assert_eq!(transcript(&bot.until_ready()), "E(42501) Z(I)", "code that is not shown");
    bot.send(&query("SELECT 'bob@example.com'::int"));
    let error = bot.until_ready();
    assert!(!String::from_utf8_lossy(&error[0].body).contains("bob@"), "{error:?}");
    bot.send(&query("SET application_name = 'carol@example.com'"));
    let told = bot.until_ready();
    assert!(told.iter().any(|message| message.tag == b'S'));
    assert!(!told.iter().any(|message| String::from_utf8_lossy(&message.body).contains("carol@")));
}

#[test]
fn statements_that_move_protected_values_are_refused_and_others_are_not() {
    let database = world::database(Version::V15, "masked_moves");
    let mut bot = raw(Version::V15, &database);
    for (sql, expected) in [
        ("CREATE TABLE copied AS SELECT email FROM customers", "E(42501) Z(I)"),
        ("UPDATE customers SET notes = ssn WHERE id = 1", "E(42501) Z(I)"),
        ("UPDATE customers SET notes = 'called' WHERE id = 1", "C(UPDATE 1) Z(I)"),
        ("UPDATE customers SET email = 'new@example.com' WHERE id = 1", "C(UPDATE 1) Z(I)"),
        (
            "UPDATE customers SET email = 'u-0123456789ab@pseudonym.invalid' WHERE id = 1",
            "E(42501) Z(I)",
        ),
        (
            "INSERT INTO customers (name, email, ssn) VALUES ('New', 'n@example.com', '219-09-9999')",
            "C(INSERT 0 1) Z(I)",
        ),
        ("CREATE TABLE names AS SELECT id, name FROM customers", "C(SELECT 201) Z(I)"),
        ("DELETE FROM customers WHERE email = 'n@example.com'", "C(DELETE 1) Z(I)"),
    ] {
        assert_eq!(bot.query(sql), expected, "{sql}");
    }
}

#[test]
fn a_table_of_the_bots_own_is_seen_as_soon_as_it_is_there() {
    let database = world::database(Version::V15, "masked_own");
    let mut bot = raw(Version::V15, &database);
    let make = "CREATE TABLE own (id int, note text, email text)";
    assert_eq!(bot.query(make), "C(CREATE TABLE) Z(I)");
    let fill = "INSERT INTO own VALUES (1, 'hello', 'me')";
    assert_eq!(bot.query(fill), "C(INSERT 0 1) Z(I)");
    let row = ask(&mut bot, "SELECT note, upper(note), email FROM own").remove(0);
    assert_eq!(row[..2], [Some("hello".to_owned()), Some("HELLO".to_owned())]);
    assert_ne!(row[2].as_deref(), Some("me"), "a rule names its column");
    assert_eq!(
        bot.query("BEGIN; CREATE TEMP TABLE mine AS SELECT 2 AS n"),
        "C(BEGIN) C(SELECT 1) Z(T)"
    );
    let row = ask_in_transaction(&mut bot, "SELECT n FROM mine").remove(0);
    assert_eq!(row, [None], "until it is committed nobody else can tell what it is");
    assert_eq!(bot.query("COMMIT"), "C(COMMIT) Z(I)");
    assert_eq!(ask(&mut bot, "SELECT n FROM mine")[0], [Some("2".to_owned())]);
}

#[test]
fn psql_shows_stand_ins_and_pg_dump_saves_them() {
    let database = world::database(Version::V15, "masked_tools");
    let endpoint = passage().endpoint(Version::V15, Role::App, &database);
    let mut psql = Command::new("psql");
    psql.args(["-X", "-c", "\\d customers", "-c", "SELECT email, ssn FROM customers WHERE id = 3"]);
    let output = endpoint.prepare(&mut psql).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        shown.contains("@pseudonym.invalid") && shown.contains("customers_email_key"),
        "{shown}"
    );
    let output =
        endpoint.prepare(Command::new("pg_dump").args(["-t", "customers"])).output().unwrap();
    let dump = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(dump.matches("@pseudonym.invalid").count(), 200, "{dump}");
    assert!(!dump.contains("@example.com"), "{dump}");
}

#[test]
fn the_recording_holds_what_was_delivered() {
    let database = world::database(Version::V15, "masked_recorded");
    let secret = world::postgres(Version::V15)
        .superuser(&database, "SELECT email FROM customers WHERE id = 11");
    let mut bot = raw(Version::V15, &database);
    let got = ask(&mut bot, "SELECT email /* masked-recorded */ FROM customers WHERE id = 11");
    let stand_in = got[0][0].clone().unwrap();
    drop(bot);
    let gateway = &passage().gateway;
    crate::support::process::eventually(
        "it is recorded",
        std::time::Duration::from_secs(10),
        || {
            // Until it is there, `grep` exits as one that found nothing.
            let found = gateway.command(&["grep", &stand_in]);
            String::from_utf8_lossy(&found.stdout).contains(&stand_in)
        },
    );
    let found = gateway.command(&["grep", &secret]);
    assert!(!String::from_utf8_lossy(&found.stdout).contains(&secret));
}
