//! tokio-postgres: the checks of tests/clients/README.md, with queries in flight side by side.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt, TryStreamExt, future, pin_mut};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::world;

#[test]
fn tokio_postgres_works_without_the_gateway() {
    for version in [Version::V15, Version::V18] {
        let server = world::postgres(version);
        let endpoint = Endpoint::direct(server, Role::App, "shop", world::pki().ca());
        all_checks(&endpoint);
    }
}

#[test]
fn tokio_postgres_works_through_the_gateway() {
    for version in [Version::V15, Version::V18] {
        let database = world::database(version, "through_tokio_postgres");
        all_checks(&world::passage().endpoint(version, Role::App, &database));
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn all_checks(endpoint: &Endpoint) {
    let (mut client, mut heard) = connect(endpoint).await;
    values_cross_in_both_formats(&client).await;
    queries_cross_side_by_side(&client).await;
    portals_are_read_in_parts(&mut client).await;
    copies_cross(&mut client).await;
    errors_leave_the_session_usable(&mut client).await;
    a_large_result_streams(&client).await;
    a_sleeping_statement_is_cancelled(endpoint, &client).await;

    client.batch_execute("LISTEN tokio").await.unwrap();
    client.execute("SELECT pg_notify('tokio', 'ping')", &[]).await.unwrap();
    loop {
        let message = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
        if let AsyncMessage::Notification(notification) = message {
            assert_eq!(notification.payload(), "ping");
            break;
        }
    }
    if let Some(refused) = &endpoint.refused {
        refusals_leave_the_session_usable(&mut client, refused).await;
    }
}

async fn values_cross_in_both_formats(client: &Client) {
    let statement = client
        .prepare_typed(
            "SELECT $1, $2, $3, $4, $5",
            &[Type::INT8, Type::TEXT, Type::FLOAT8, Type::BYTEA, Type::TEXT],
        )
        .await
        .unwrap();
    for n in 0..100_i64 {
        let text = format!("naïve ☎ 漢字 🦀 {n}");
        let row = client
            .query_one(&statement, &[&n, &text, &1.5_f64, &[0_u8, 255].as_slice(), &None::<&str>])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), n);
        assert_eq!(row.get::<_, String>(1), text);
        assert_eq!(row.get::<_, Vec<u8>>(3), [0, 255]);
        assert_eq!(row.get::<_, Option<String>>(4), None);
    }
    let large = "x".repeat(5 * 1024 * 1024);
    let row = client.query_one("SELECT length($1::text)", &[&large]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 5 * 1024 * 1024);
    let text = client.simple_query("SELECT 1; SELECT 2").await.unwrap();
    assert!(text.len() >= 4);
}

async fn queries_cross_side_by_side(client: &Client) {
    let statement = client.prepare("SELECT $1::int4 * 2").await.unwrap();
    let numbers: Vec<i32> = (0..500).collect();
    let queries = numbers.iter().map(|n| async {
        let row = client.query_one(&statement, &[n]).await.unwrap();
        row.get::<_, i32>(0)
    });
    let doubled = future::join_all(queries).await;
    assert!(doubled.iter().zip(&numbers).all(|(double, n)| *double == n * 2));
}

async fn portals_are_read_in_parts(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    let (sql, none) = ("SELECT n FROM generate_series(1, 1000) n", &[]);
    let (a, b) = (transaction.bind(sql, none).await, transaction.bind(sql, none).await);
    let (a, b) = (a.unwrap(), b.unwrap());
    let mut rows = 0;
    loop {
        let part = transaction.query_portal(&a, 300).await.unwrap();
        rows += part.len();
        if part.is_empty() {
            break;
        }
        let other = transaction.query_portal(&b, 10).await.unwrap();
        assert_eq!(other.len(), 10, "two portals do not mix");
    }
    assert_eq!(rows, 1000);
    transaction.commit().await.unwrap();
}

async fn copies_cross(client: &mut Client) {
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute("CREATE TEMP TABLE scratch (id int4, label text) ON COMMIT DROP")
        .await
        .unwrap();
    let sink = transaction.copy_in("COPY scratch FROM STDIN").await.unwrap();
    pin_mut!(sink);
    for n in 0..1000 {
        sink.send(bytes::Bytes::from(format!("{n}\tlabel {n}\n"))).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 1000);

    let sink = transaction.copy_in("COPY scratch FROM STDIN (FORMAT binary)").await.unwrap();
    let writer = BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]);
    pin_mut!(writer);
    for n in 0..1000_i32 {
        writer.as_mut().write(&[&n, &None::<&str>]).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap(), 1000);

    let rows = transaction.copy_out("COPY scratch TO STDOUT (FORMAT binary)").await.unwrap();
    let rows: Vec<_> =
        BinaryCopyOutStream::new(rows, &[Type::INT4, Type::TEXT]).try_collect().await.unwrap();
    assert_eq!(rows.len(), 2000);
    transaction.commit().await.unwrap();
}

async fn errors_leave_the_session_usable(client: &mut Client) {
    let error = client.query("SELECT * FROM nowhere", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    let transaction = client.transaction().await.unwrap();
    let error = transaction.query("SELECT 1 / $1::int4", &[&0]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
    let error = transaction.query("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    client.query_one("SELECT 1", &[]).await.unwrap();
}

async fn a_large_result_streams(client: &Client) {
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let rows = client.query_raw(sql, std::iter::empty::<i32>()).await.unwrap();
    pin_mut!(rows);
    let mut bytes = 0;
    while let Some(row) = rows.next().await {
        bytes += row.unwrap().get::<_, &str>(0).len();
    }
    assert_eq!(bytes, 100_000_000);
}

async fn a_sleeping_statement_is_cancelled(endpoint: &Endpoint, client: &Client) {
    let (token, tls) = (client.cancel_token(), tls(endpoint));
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(tls).await.unwrap();
    };
    let (result, ()) = future::join(client.batch_execute("SELECT pg_sleep(30)"), cancel).await;
    assert_eq!(result.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.query_one("SELECT 1", &[]).await.unwrap();
}

async fn refusals_leave_the_session_usable(client: &mut Client, refused: &str) {
    let code = Some(&SqlState::INSUFFICIENT_PRIVILEGE);
    for _ in 0..3 {
        assert_eq!(client.batch_execute(refused).await.unwrap_err().code(), code);
        assert_eq!(client.prepare(refused).await.err().unwrap().code(), code);
        client.query_one("SELECT 1", &[]).await.unwrap();
    }
    // In flight side by side: only the refused one fails.
    let (before, denied, after) = future::join3(
        client.query_one("SELECT 1::int4", &[]),
        client.execute(refused, &[]),
        client.query_one("SELECT 2::int4", &[]),
    )
    .await;
    assert_eq!(before.unwrap().get::<_, i32>(0), 1);
    assert_eq!(denied.unwrap_err().code(), code);
    assert_eq!(after.unwrap().get::<_, i32>(0), 2);

    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute("CREATE TABLE kept (id int4)").await.unwrap();
    assert_eq!(transaction.execute(refused, &[]).await.unwrap_err().code(), code);
    transaction.commit().await.unwrap();
    let row = client.query_one("SELECT to_regclass('kept') IS NULL", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0), "a refusal fails its transaction");
}

pub async fn connect(
    endpoint: &Endpoint,
) -> (Client, tokio::sync::mpsc::UnboundedReceiver<AsyncMessage>) {
    let mut config = Config::new();
    config
        .host("localhost")
        .port(endpoint.port)
        .user(&endpoint.user)
        .password(&endpoint.password)
        .dbname(&endpoint.database)
        .ssl_mode(SslMode::Require);
    let (client, mut connection) = config.connect(tls(endpoint)).await.unwrap();
    let (say, heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = future::poll_fn(|cx| connection.poll_message(cx)).await {
            let _ = say.send(message);
        }
    });
    (client, heard)
}

pub fn tls(endpoint: &Endpoint) -> MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&endpoint.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

const PATIENCE: Duration = Duration::from_secs(10);
