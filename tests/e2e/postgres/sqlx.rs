//! sqlx: the checks of tests/clients/README.md, by a pool of connections.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Acquire, Connection, Executor, Row};

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::world;

#[test]
fn sqlx_works_without_the_gateway() {
    for version in [Version::V15, Version::V18] {
        let server = world::postgres(version);
        all_checks(&Endpoint::direct(server, Role::App, "shop", world::pki().ca()));
    }
}

#[test]
fn sqlx_works_through_the_gateway() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "through_sqlx");
        all_checks(&world::passage().endpoint(version, Role::App, &database));
    }
}

/// The way to `endpoint`.
pub fn options(endpoint: &Endpoint) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .port(endpoint.port)
        .username(&endpoint.user)
        .password(&endpoint.password)
        .database(&endpoint.database)
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(&endpoint.ca)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn all_checks(endpoint: &Endpoint) {
    let pool =
        PgPoolOptions::new().max_connections(10).connect_with(options(endpoint)).await.unwrap();
    values_cross(&pool).await;
    a_pool_is_used_at_once(&pool).await;
    copies_cross(&pool).await;
    errors_leave_the_session_usable(&pool).await;
    a_large_result_streams(&pool).await;
    notifications_arrive(&pool).await;
    if let Some(refused) = &endpoint.refused {
        refusals_leave_the_session_usable(&pool, refused).await;
    }
    pool.close().await;
}

async fn values_cross(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    for n in 0..300_i64 {
        let text = format!("naïve ☎ 漢字 🦀 {n}");
        let row = sqlx::query("SELECT $1, $2, $3, $4::text, $5")
            .bind(n)
            .bind(&text)
            .bind(vec![0_u8, 255])
            .bind(None::<String>)
            .bind(vec![1_i32, 2, 3])
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!((row.get::<i64, _>(0), row.get::<String, _>(1)), (n, text));
        assert_eq!(row.get::<Vec<u8>, _>(2), [0, 255]);
        assert_eq!(row.get::<Option<String>, _>(3), None);
        assert_eq!(row.get::<Vec<i32>, _>(4), [1, 2, 3]);
    }
    // More texts than the driver keeps prepared: it closes the oldest.
    for n in 0..300 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {n}::int4 + $1"));
        let row = sqlx::query(sql).bind(1_i32).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(row.get::<i32, _>(0), n + 1);
    }
    let large = "x".repeat(5 * 1024 * 1024);
    let length: i32 = sqlx::query_scalar("SELECT length($1)")
        .bind(large)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(length, 5 * 1024 * 1024);
    // No parameters and no preparation: the simple protocol, several results.
    let results: Vec<_> = connection.fetch_many("SELECT 1; SELECT 2").try_collect().await.unwrap();
    assert!(results.len() >= 4);
}

async fn a_pool_is_used_at_once(pool: &PgPool) {
    let queries =
        (0..500_i32).map(|n| sqlx::query_scalar::<_, i32>("SELECT $1").bind(n).fetch_one(pool));
    let numbers = future::join_all(queries).await;
    for (n, got) in (0..).zip(numbers) {
        assert_eq!(got.unwrap(), n);
    }
}

async fn copies_cross(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    connection
        .execute("CREATE TEMP TABLE IF NOT EXISTS sqlx_scratch (id int4, label text)")
        .await
        .unwrap();
    let mut copy = connection.copy_in_raw("COPY sqlx_scratch FROM STDIN").await.unwrap();
    for n in 0..1000 {
        copy.send(format!("{n}\tlabel {n}\n").into_bytes()).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 1000);
    let mut copy = connection.copy_in_raw("COPY sqlx_scratch FROM STDIN").await.unwrap();
    copy.send(&b"1\tgiven up\n"[..]).await.unwrap();
    copy.abort("changed my mind").await.unwrap();
    let chunks: Vec<_> = connection
        .copy_out_raw("COPY sqlx_scratch TO STDOUT (FORMAT csv)")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(chunks.concat().iter().filter(|&&byte| byte == b'\n').count(), 1000);
}

async fn errors_leave_the_session_usable(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let error = connection.execute("SELECT * FROM nowhere").await.unwrap_err();
    assert_eq!(code(&error), "42P01");
    let mut transaction = connection.begin().await.unwrap();
    let divide = sqlx::query("SELECT 1 / $1::int4").bind(0_i32);
    assert_eq!(code(&transaction.execute(divide).await.unwrap_err()), "22012");
    assert_eq!(code(&transaction.execute("SELECT 1").await.unwrap_err()), "25P02");
    transaction.rollback().await.unwrap();
    connection.ping().await.unwrap();
}

async fn a_large_result_streams(pool: &PgPool) {
    let mut rows =
        sqlx::query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)").fetch(pool);
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        bytes += row.unwrap().get::<&str, _>(0).len();
    }
    assert_eq!(bytes, 100_000_000);
}

async fn notifications_arrive(pool: &PgPool) {
    let mut listener = PgListener::connect_with(pool).await.unwrap();
    listener.listen("sqlx").await.unwrap();
    sqlx::query("SELECT pg_notify('sqlx', $1)").bind("ping").execute(pool).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await;
    assert_eq!(heard.unwrap().unwrap().payload(), "ping");
}

async fn refusals_leave_the_session_usable(pool: &PgPool, refused: &str) {
    let refused = || sqlx::AssertSqlSafe(refused.to_owned());
    let mut connection = pool.acquire().await.unwrap();
    for _ in 0..3 {
        assert_eq!(code(&connection.execute(refused()).await.unwrap_err()), "42501");
        let prepared = sqlx::query(refused()).persistent(true);
        assert_eq!(code(&connection.execute(prepared).await.unwrap_err()), "42501");
        connection.ping().await.unwrap();
    }
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("CREATE TABLE kept (id int4)").await.unwrap();
    assert_eq!(code(&transaction.execute(refused()).await.unwrap_err()), "42501");
    transaction.commit().await.unwrap();
    let gone: bool = sqlx::query_scalar("SELECT to_regclass('kept') IS NULL")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert!(gone, "a refusal fails its transaction");
}

fn code(error: &sqlx::Error) -> String {
    let error = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
    error.code().unwrap().into_owned()
}
