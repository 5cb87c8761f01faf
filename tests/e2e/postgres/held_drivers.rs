//! Ordinary drivers whose statements wait for a human, and that human: each statement waits, is
//! approved and has its result, is rejected and has the reason, is told to come again and then
//! passes once. See tests/clients/README.md.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, pin_mut};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client};

use super::clients::{go, java, node, python, shell};
use super::crowding::{seated, with_seats};
use crate::support::endpoint::Endpoint;
use crate::support::postgres::Version;
use crate::world::{self, Passage};

const RULES: &str = r#"
[[policy.baseline.rule]]
id     = "prices-need-a-human"
when   = { effects.any = ["update"], objects.write.any = "*.products" }
action = { hold = { wait = "2m", for = "5m" } }

[[policy.baseline.rule]]
id     = "copies-need-a-human"
when   = { effects.any = ["copy_in"], objects.write.any = "*.intake" }
action = { hold = { wait = "2m", for = "5m" } }

[[policy.baseline.rule]]
id     = "products-need-patience"
when   = { effects.any = ["insert"], objects.write.any = "*.products" }
action = { hold = { wait = "2s", for = "5m" } }
"#;

/// Each driver has an account of its own, and with it its own share of requests that may wait.
fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(|| world::altered_passage(&[], |config| with_seats(&config, 9) + RULES))
}

/// A database of its own with an `intake`, and the way there.
fn endpoint(seat: usize, driver: &str) -> Endpoint {
    let database = world::database(Version::V15, &format!("held_by_{driver}"));
    let create = "SET ROLE shop_app; CREATE TABLE intake (n int, label text)";
    world::postgres(Version::V15).superuser(&database, create);
    seated(passage(), &database, seat)
}

/// Runs `work` while a human decides on what waits in its database.
fn attended<T>(endpoint: &Endpoint, work: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                decide_all(&endpoint.database);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let _over = Over(&over);
        work()
    })
}

/// Sends the human home however the work ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn decide_all(database: &str) {
    let answer = &passage().gateway.json(&["approvals", "ls"])[0];
    let now_ms = answer["now_unix_ms"].as_u64().unwrap();
    let ours = |one: &&Value| one["database"] == *database && one["state"] == "pending";
    for asked in answer["requests"].as_array().unwrap().iter().filter(ours) {
        let id = asked["id"].as_str().unwrap();
        let text = asked["text"].as_str().unwrap();
        let age_ms = now_ms - asked["created_unix_ms"].as_u64().unwrap();
        let hash = &asked["hash"].as_str().unwrap()[..12];
        let verb: &[&str] = match text {
            text if text.contains("reject") => &["reject", id, "-m", "not on a Friday"],
            text if text.contains("nobody") => continue,
            text if text.contains("INSERT") && age_ms < TOLD_MS => continue,
            _ => &["approve", id, "--hash", hash],
        };
        let done = passage().gateway.command(&[&["approvals"], verb].concat());
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{text}: {said}");
    }
}

/// Later than a bot that waits for two seconds was told to come again.
const TOLD_MS: u64 = 3_000;

fn run(seat: usize, driver: &str, command: &mut Command, more: &[&str]) {
    let endpoint = endpoint(seat, driver);
    let checks = attended(&endpoint, || endpoint.run_client(command));
    let all = ["approved", "rejected", "came again", "in a transaction", "copied"];
    assert_eq!(checks, [&all, more].concat());
}

#[test]
fn psql_waits_for_a_human() {
    run(0, "psql", &mut shell("held.sh"), &["given up"]);
}

#[test]
fn psycopg_waits_for_a_human() {
    run(1, "psycopg", &mut python("held_psycopg.py"), &["in a pipeline", "asynchronous"]);
}

#[test]
fn asyncpg_waits_for_a_human() {
    run(2, "asyncpg", &mut python("held_asyncpg.py"), &["given up"]);
}

#[test]
fn node_postgres_waits_for_a_human() {
    run(3, "node", &mut node("held.mjs"), &[]);
}

#[test]
fn pgjdbc_waits_for_a_human() {
    run(4, "pgjdbc", &mut java("Held"), &["in a batch"]);
}

#[test]
fn pgx_waits_for_a_human() {
    run(5, "pgx", &mut go("pgx_held"), &[]);
}

#[test]
fn tokio_postgres_waits_for_a_human() {
    let endpoint = endpoint(6, "tokio");
    attended(&endpoint, || by_tokio(&endpoint));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn by_tokio(endpoint: &Endpoint) {
    let (mut client, mut heard) = super::tokio_postgres::connect(endpoint).await;
    assert_eq!(price(&client, "approve", 41).await.unwrap(), "41.00");
    let notice = heard.recv().await.unwrap();
    let AsyncMessage::Notice(notice) = notice else { panic!("not a notice") };
    assert!(notice.message().starts_with("narrows: waiting for approval apr_"), "{notice}");
    // In flight side by side: what stands behind waits with it, and has its own result.
    let (waits, behind) = futures_util::future::join(
        price(&client, "reject", 0),
        client.query_one("SELECT price::text FROM products WHERE id = 1", &[]),
    )
    .await;
    is_refused(&waits.unwrap_err(), "not on a Friday");
    assert_eq!(behind.unwrap().get::<_, String>(0), "41.00");

    let mut told = 0;
    while let Err(error) = insert(&client).await {
        is_refused(&error, "waits as apr_");
        told += 1;
    }
    assert!(told > 0, "approved before it was told to come again");
    is_refused(&insert(&client).await.unwrap_err(), "waits as apr_");

    for (n, word) in [(1, "approve"), (2, "reject")] {
        let transaction = client.transaction().await.unwrap();
        transaction.execute("INSERT INTO intake VALUES ($1, 'tokio')", &[&n]).await.unwrap();
        let price = price(transaction.client(), word, 42).await;
        assert_eq!(price.is_ok(), word == "approve");
        transaction.commit().await.unwrap();
    }
    let kept = "SELECT n FROM intake WHERE label = 'tokio'";
    assert_eq!(client.query_one(kept, &[]).await.unwrap().get::<_, i32>(0), 1);
    let sink = client.copy_in("COPY intake FROM STDIN").await.unwrap();
    pin_mut!(sink);
    sink.send(bytes::Bytes::from("7\tcopied\n".repeat(2_000))).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 2_000);
}

async fn price(client: &Client, word: &str, price: i32) -> Result<String, tokio_postgres::Error> {
    let text = format!(
        "UPDATE products SET price = $1::int WHERE id = 1 RETURNING price::text /* {word} */"
    );
    Ok(client.query_one(&text, &[&price]).await?.get(0))
}

async fn insert(client: &Client) -> Result<u64, tokio_postgres::Error> {
    let text = "INSERT INTO products (sku, name, price) VALUES ($1, 'later', 1)";
    client.execute(text, &[&"later-tokio"]).await
}

fn is_refused(error: &tokio_postgres::Error, words: &str) {
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    let message = error.as_db_error().unwrap().message();
    assert!(message.contains(words), "{message}");
}

#[test]
fn sqlx_waits_for_a_human() {
    let endpoint = endpoint(7, "sqlx");
    attended(&endpoint, || by_sqlx(&endpoint));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn by_sqlx(endpoint: &Endpoint) {
    let options = super::sqlx::options(endpoint);
    let mut own = PgConnection::connect_with(&options).await.unwrap();
    assert_eq!(sqlx_price(&mut own, "approve", 41).await.unwrap(), "41.00");
    is_sqlx_refused(&sqlx_price(&mut own, "reject", 0).await.unwrap_err(), "not on a Friday");

    let mut told = 0;
    while let Err(error) = sqlx_insert(&mut own).await {
        is_sqlx_refused(&error, "waits as apr_");
        told += 1;
    }
    assert!(told > 0, "approved before it was told to come again");
    is_sqlx_refused(&sqlx_insert(&mut own).await.unwrap_err(), "waits as apr_");

    for (n, word) in [(1, "approve"), (2, "reject")] {
        let mut transaction = own.begin().await.unwrap();
        let insert = sqlx::query("INSERT INTO intake VALUES ($1, 'sqlx')").bind(n);
        transaction.execute(insert).await.unwrap();
        let price = sqlx_price(&mut transaction, word, 42).await;
        assert_eq!(price.is_ok(), word == "approve");
        transaction.commit().await.unwrap();
    }
    let kept = sqlx::query_scalar::<_, i32>("SELECT n FROM intake WHERE label = 'sqlx'");
    assert_eq!(kept.fetch_all(&mut own).await.unwrap(), [1]);
    let mut copy = own.copy_in_raw("COPY intake FROM STDIN").await.unwrap();
    copy.send("7\tcopied\n".repeat(2_000).into_bytes()).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2_000);
    own.close().await.unwrap();
}

async fn sqlx_price(own: &mut PgConnection, word: &str, price: i32) -> sqlx::Result<String> {
    let text = format!(
        "UPDATE products SET price = $1::int WHERE id = 1 RETURNING price::text /* {word} */"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(text)).bind(price).fetch_one(own).await
}

async fn sqlx_insert(own: &mut PgConnection) -> sqlx::Result<()> {
    let text = "INSERT INTO products (sku, name, price) VALUES ($1, 'later', 1)";
    sqlx::query(text).bind("later-sqlx").execute(own).await.map(drop)
}

fn is_sqlx_refused(error: &sqlx::Error, words: &str) {
    let error = error.as_database_error().unwrap();
    assert_eq!(error.code().as_deref(), Some("42501"));
    assert!(error.message().contains(words), "{error}");
}

/// A bot whose own time limit strikes while its statement waits: the statement is taken back.
#[test]
fn a_future_that_is_dropped_and_cancelled_takes_its_statement_back() {
    let endpoint = endpoint(8, "dropped");
    attended(&endpoint, || by_impatience(&endpoint));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn by_impatience(endpoint: &Endpoint) {
    let (client, mut heard) = super::tokio_postgres::connect(endpoint).await;
    let waits = price(&client, "nobody", 0);
    pin_mut!(waits);
    let told = heard.recv();
    pin_mut!(told);
    // Until the driver was told that it waits.
    let first = futures_util::future::select(waits.as_mut(), told).await;
    assert!(matches!(
        first,
        futures_util::future::Either::Right((Some(AsyncMessage::Notice(_)), _))
    ));
    assert!(waits.as_mut().now_or_never().is_none());
    client.cancel_token().cancel_query(super::tokio_postgres::tls(endpoint)).await.unwrap();
    assert_eq!(waits.await.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let row = client.query_one("SELECT price > 0 FROM products WHERE id = 1", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
}
