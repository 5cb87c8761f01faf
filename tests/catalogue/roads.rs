//! The roads by which a protected value comes out under another name or number.

use std::time::Instant;

use narrows::control::catalogue::read_once;
use narrows::mask::catalogue::{Catalogue, Column, Touch, TypeKind};
use narrows::model::mask::Strategy;

use crate::support::postgres::Role;
use crate::world::{World, database, lessor, place, rules, server};

const CUSTOMERS: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text);";
const SSN: &[(&str, Strategy)] = &[("public.customers.ssn", Strategy::Redact)];

async fn customers(name: &str, sql: &str) -> World {
    World::of(name, &format!("{CUSTOMERS} {sql}"), SSN).await
}

#[tokio::test]
async fn a_view_shows_what_its_source_is() {
    let sql = "
        CREATE VIEW aliased AS SELECT id AS ssn, ssn AS harmless FROM customers;
        CREATE VIEW starred AS SELECT * FROM customers;
        CREATE VIEW above AS SELECT harmless AS h, ssn AS id FROM aliased;
        CREATE VIEW higher AS SELECT upper(h) AS up, id FROM above;
        CREATE VIEW joined AS SELECT a.id, b.h FROM customers a JOIN above b ON b.id = a.id;
        CREATE VIEW cte AS WITH c AS (SELECT * FROM customers) SELECT name, ssn AS s FROM c;
        CREATE MATERIALIZED VIEW kept AS SELECT id, ssn AS s, ssn || '' AS t FROM customers;";
    let world = customers("view_sources", sql).await;
    world.is("customers", "ssn", Strategy::Redact);
    world.is("aliased", "harmless", Strategy::Redact);
    world.is_free("aliased", "ssn");
    world.is("starred", "ssn", Strategy::Redact);
    world.is_free("starred", "name");
    world.is("above", "h", Strategy::Redact);
    world.is_free("above", "id");
    world.is("higher", "up", Strategy::Redact);
    world.is_free("higher", "id");
    world.is("joined", "h", Strategy::Redact);
    world.is_free("joined", "id");
    world.is("cte", "s", Strategy::Redact);
    world.is_free("cte", "name");
    world.is("kept", "s", Strategy::Redact);
    world.is("kept", "t", Strategy::Redact);
    world.is_free("kept", "id");
}

#[tokio::test]
async fn an_expression_in_a_view_is_as_strict_as_what_the_view_reads() {
    let sql = "
        CREATE VIEW computed AS SELECT id + 1 AS next, upper(ssn) AS up FROM customers;
        CREATE VIEW harmless AS SELECT id + 1 AS next, name FROM customers;
        CREATE VIEW united AS SELECT name FROM customers UNION SELECT ssn FROM customers;
        CREATE VIEW counted AS SELECT count(*) AS n FROM customers;
        CREATE VIEW filtered AS SELECT count(*) AS n FROM customers WHERE ssn > '2';";
    let world = customers("view_expressions", sql).await;
    world.is("computed", "next", Strategy::Redact);
    world.is("computed", "up", Strategy::Redact);
    world.is_free("harmless", "next");
    world.is("united", "name", Strategy::Redact);
    world.is_free("counted", "n");
    world.is("filtered", "n", Strategy::Redact);
}

#[tokio::test]
async fn a_whole_row_takes_its_fields_along() {
    let sql = "
        ALTER TABLE customers DROP COLUMN name;
        CREATE VIEW rows AS SELECT c, c.id FROM customers c;
        CREATE VIEW documents AS SELECT to_json(c) AS document, c.id FROM customers c;
        CREATE TABLE audit (at timestamptz, before customers, history customers[], n int);
        CREATE TABLE free (id int);";
    let world = customers("whole_rows", sql).await;
    let oid = world.relation("customers").oid;
    let Column::Row(shape) = world.catalogue.column(oid, 0) else { panic!("no row") };
    let strategies: Vec<_> = shape.fields.iter().map(|field| field.strategy).collect();
    assert_eq!(strategies, [None, Some(Strategy::Redact)]);
    assert_eq!(world.catalogue.column(world.relation("free").oid, 0), Column::Free);
    world.is("rows", "c", Strategy::Redact);
    world.is_free("rows", "id");
    world.is("documents", "document", Strategy::Redact);
    world.is_free("documents", "id");
    world.is("audit", "before", Strategy::Redact);
    world.is("audit", "history", Strategy::Redact);
    world.is_free("audit", "n");
}

#[tokio::test]
async fn partitions_and_children_share_protection() {
    let sql = "
        CREATE TABLE events (id int, who text, what text) PARTITION BY LIST (id);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
        CREATE TABLE events_2 (what text, who text, id int);
        ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES IN (2);
        CREATE TABLE base (id int, mail text);
        CREATE TABLE grown (extra text) INHERITS (base);
        CREATE TABLE other () INHERITS (base);
        CREATE VIEW seen AS SELECT mail AS m FROM base;";
    let protected = &[
        ("public.events.who", Strategy::Hash),
        ("public.events_2.what", Strategy::Mask),
        ("public.grown.mail", Strategy::Null),
    ];
    let world = World::of("families", sql, protected).await;
    world.is("events_1", "who", Strategy::Hash);
    world.is("events_2", "who", Strategy::Hash);
    world.is("events_2", "what", Strategy::Mask);
    world.is("events", "what", Strategy::Mask);
    world.is_free("events_1", "what");
    world.is("grown", "mail", Strategy::Null);
    world.is("base", "mail", Strategy::Null);
    world.is("seen", "m", Strategy::Null);
    world.is_free("other", "mail");
    world.is_free("grown", "extra");
}

#[tokio::test]
async fn generated_and_dropped_columns_are_told_apart() {
    let sql = "
        ALTER TABLE customers ADD last4 text GENERATED ALWAYS AS (right(ssn, 4)) STORED;
        ALTER TABLE customers ADD loud text GENERATED ALWAYS AS (upper(name)) STORED;
        ALTER TABLE customers DROP COLUMN id;";
    let world = customers("generated", sql).await;
    world.is("customers", "last4", Strategy::Redact);
    world.is_free("customers", "loud");
    let oid = world.relation("customers").oid;
    assert_eq!(world.catalogue.column(oid, 1), Column::Unknown);
    assert_eq!(world.catalogue.column(oid, 6), Column::Unknown);
    let copied = world.catalogue.copy_columns(None, "customers", None).unwrap();
    let strategies: Vec<_> =
        copied.iter().map(|one| one.protection.as_ref().map(|one| one.strategy)).collect();
    assert_eq!(strategies, [None, Some(Strategy::Redact)]);
    assert!(copied.iter().all(|column| column.type_oid == 25));
}

#[tokio::test]
async fn types_are_known_to_the_bottom() {
    let sql = "
        CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
        CREATE TYPE mood AS ENUM ('sad', 'ok', 'very \"good\"');
        ALTER TYPE mood ADD VALUE 'so-so' BEFORE 'ok';
        CREATE TYPE address AS (street text, code varchar(5), gone int);
        ALTER TYPE address DROP ATTRIBUTE gone;
        CREATE TYPE span AS RANGE (subtype = float8);
        CREATE TABLE people (m mail, feels mood, moods mood[], lives address, during span);";
    let world = World::of("types", sql, &[]).await;
    let kind = |column: &str| {
        let oid = world.attribute("people", column).type_oid;
        world.catalogue.type_of(oid).map(|info| (info.name.to_string(), info.kind.clone()))
    };
    assert_eq!(kind("m"), Some(("mail".into(), TypeKind::Domain { base: 25, typmod: -1 })));
    let labels = ["sad", "so-so", "ok", "very \"good\""].map(Into::into).into();
    assert_eq!(kind("feels"), Some(("mood".into(), TypeKind::Enum { labels })));
    let element = world.attribute("people", "feels").type_oid;
    assert_eq!(kind("moods"), Some(("_mood".into(), TypeKind::Array { element })));
    let Some((_, TypeKind::Composite { relation, fields })) = kind("lives") else { panic!() };
    assert_eq!(relation, world.relation("address").oid);
    let fields: Vec<_> =
        fields.iter().map(|field| (&*field.name, field.type_oid, field.typmod)).collect();
    assert_eq!(fields, [("street", 25, -1), ("code", 1043, 9)]);
    assert_eq!(kind("during"), Some(("span".into(), TypeKind::Range { subtype: 701 })));
    let range = world.attribute("people", "during").type_oid;
    let multirange = world.raw.types.iter().find(|one| &*one.info.name == "span_multirange");
    assert_eq!(multirange.unwrap().info.kind, TypeKind::Multirange { range });
    assert_eq!(world.catalogue.type_of(25), None);
}

#[tokio::test]
async fn names_in_quotes_are_names() {
    let sql = r#"
        CREATE SCHEMA "Odd ""schema";
        CREATE TABLE "Odd ""schema"."Cust.omers" ("Id" int, "S.S""N" text);
        CREATE VIEW "Odd ""schema"."My View" AS SELECT "S.S""N" AS "a b"
            FROM "Odd ""schema"."Cust.omers";"#;
    let protected = &[("Odd \"schema.Cust.omers.S.S\"N", Strategy::Redact)];
    let world = World::of("quoted", sql, protected).await;
    let view = world.raw.relations.iter().find(|one| &*one.name == "My View").unwrap();
    assert!(matches!(world.catalogue.column(view.oid, 1), Column::Protected(_)));
    assert!(matches!(
        world.catalogue.touch(Some("Odd \"schema"), "Cust.omers"),
        Touch::Protected { .. }
    ));
    assert_eq!(world.catalogue.touch(None, "cust.omers"), Touch::Unknown);
}

#[tokio::test]
async fn a_closed_schema_is_known_and_views_over_it_are_strict() {
    let server = server();
    database(server, "closed", "CREATE TABLE plain (id int);");
    server.superuser(
        "closed",
        "CREATE SCHEMA vault; CREATE TABLE vault.customers (id int, name text, ssn text);
         CREATE VIEW public.open AS SELECT id, name FROM vault.customers WHERE ssn > '';
         CREATE VIEW public.tame AS SELECT id, name FROM vault.customers;",
    );
    let rules = rules(&[("vault.customers.ssn", Strategy::Redact)]);
    let world = World::read(&place(server, Role::App, "closed"), &rules).await.unwrap();
    world.is("vault.customers", "ssn", Strategy::Redact);
    // Not described by the server, so computed; the second reads nothing that is protected.
    world.is("open", "id", Strategy::Redact);
    world.is_free("tame", "id");
}

#[tokio::test]
async fn samples_of_the_planner_are_protected() {
    let server = server();
    database(server, "samples", CUSTOMERS);
    server.superuser(
        "samples",
        "CREATE VIEW public.stats AS SELECT tablename, most_common_vals::text AS v
         FROM pg_stats;
         CREATE VIEW public.raw AS SELECT starelid::int AS r, stavalues1::text AS v
         FROM pg_statistic;",
    );
    let place = place(server, Role::App, "samples");
    let world = World::read(&place, &rules(SSN)).await.unwrap();
    world.is("pg_catalog.pg_stats", "most_common_vals", Strategy::Null);
    world.is("pg_catalog.pg_stats", "histogram_bounds", Strategy::Null);
    world.is("pg_catalog.pg_statistic", "stavalues5", Strategy::Null);
    world.is("pg_catalog.pg_stats_ext", "most_common_vals", Strategy::Null);
    world.is("pg_catalog.pg_stats_ext_exprs", "histogram_bounds", Strategy::Null);
    world.is("pg_catalog.pg_statistic_ext_data", "stxdmcv", Strategy::Null);
    world.is_free("pg_catalog.pg_stats", "tablename");
    world.is("stats", "v", Strategy::Null);
    world.is_free("stats", "tablename");
    world.is("raw", "v", Strategy::Null);
    assert!(matches!(world.catalogue.touch(None, "pg_stats"), Touch::Protected { .. }));
    assert_eq!(world.catalogue.touch(None, "pg_class"), Touch::None);
    assert_eq!(world.catalogue.column(1259, 2), Column::Free);
    let unprotected = Catalogue::build(&world.raw, &|_, _, _| None);
    let stats = world.relation("pg_catalog.pg_stats").oid;
    let number = world.attribute("pg_catalog.pg_stats", "most_common_vals").number;
    assert_eq!(unprotected.column(stats, number), Column::Free);
}

#[tokio::test]
async fn large_values_are_protected_where_the_server_keeps_them() {
    let world = customers("overflow", "CREATE TABLE notes (note text);").await;
    let overflow = |table: &str| format!("pg_toast_{}", world.relation(table).oid);
    let of_customers = format!("pg_toast.{}", overflow("customers"));
    world.is(&of_customers, "chunk_data", Strategy::Redact);
    world.is_free(&format!("pg_toast.{}", overflow("notes")), "chunk_data");
    assert!(matches!(
        world.catalogue.touch(Some("pg_toast"), &overflow("customers")),
        Touch::Protected { .. }
    ));
}

#[tokio::test]
async fn a_temporary_table_of_another_session_is_known() {
    let server = server();
    database(server, "temporary", CUSTOMERS);
    let there = place(server, Role::Plain, "temporary");
    let password = Role::Plain.password();
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(server.port())
        .user("shop_plain")
        .password(password)
        .dbname("temporary")
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute("CREATE TEMP TABLE mine AS SELECT * FROM customers").await.unwrap();
    let world = World::read(&there, &rules(SSN)).await.unwrap();
    let mine = world.raw.relations.iter().find(|one| &*one.name == "mine").unwrap();
    assert!(mine.schema.starts_with("pg_temp_"));
    assert_eq!(world.catalogue.column(mine.oid, 3), Column::Free);
    assert_eq!(world.catalogue.touch(Some("pg_temp"), "mine"), Touch::None);
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn every_way_to_log_in_is_a_way_to_read() {
    let server = server();
    database(server, "logins", CUSTOMERS);
    for role in Role::ALL {
        let read = World::read(&place(server, role, "logins"), &rules(SSN)).await;
        read.unwrap_or_else(|error| panic!("{role:?}: {error:?}")).is(
            "customers",
            "ssn",
            Strategy::Redact,
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_itself_is_not_read() {
    let server = server();
    database(server, "impostor", CUSTOMERS);
    let mut place = place(server, Role::App, "impostor");
    let target = std::sync::Arc::make_mut(&mut place.target);
    let ca = Some(crate::support::shared::pki().ca());
    let name = Some("db.example".to_owned());
    target.tls = narrows::model::target::UpstreamTls::VerifyFull { ca, name };
    assert!(read_once(&lessor(), &place).await.is_err());
}

#[tokio::test]
async fn nothing_but_reading_reaches_the_server() {
    let sql = "CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'ran'; END $$;
        CREATE VIEW loaded AS SELECT boom() AS b, ssn FROM customers;";
    let world = customers("unexecuted", sql).await;
    world.is("loaded", "ssn", Strategy::Redact);
    assert!(!server().log().contains("ran\n"));
}

#[tokio::test]
async fn a_locked_view_is_not_waited_for() {
    let server = server();
    let sql = "CREATE VIEW v AS SELECT id, ssn AS s FROM customers;";
    database(server, "locked", &format!("{CUSTOMERS} {sql}"));
    let (client, connection) = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(server.port())
        .user("shop_trust")
        .dbname("locked")
        .connect(tokio_postgres::NoTls)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute("BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let began = Instant::now();
    let place = place(server, Role::App, "locked");
    let world = World::read(&place, &rules(SSN)).await.unwrap();
    assert!(began.elapsed().as_secs() < 5);
    world.is("v", "s", Strategy::Redact);
    world.is("v", "id", Strategy::Redact);
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn two_thousand_tables_are_read_at_once() {
    let columns: String = (0..20).map(|n| format!(", c{n} text")).collect();
    let sql = format!(
        "DO $do$ BEGIN FOR n IN 1..2000 LOOP
             EXECUTE format('CREATE TABLE t%s (id int{columns})', n);
         END LOOP;
         FOR n IN 1..200 LOOP
             EXECUTE format('CREATE VIEW v%s AS SELECT * FROM t%s', n, n);
         END LOOP; END $do$;"
    );
    let server = server();
    database(server, "large", &sql);
    let place = place(server, Role::App, "large");
    let began = Instant::now();
    let raw = read_once(&lessor(), &place).await.unwrap();
    let read = began.elapsed();
    let rules = rules(&[("public.t7.c3", Strategy::Redact)]);
    let began = Instant::now();
    let catalogue = rules.apply(&raw);
    let built = began.elapsed();
    let columns: usize = raw.relations.iter().map(|one| one.columns.len()).sum();
    let world = World { raw, catalogue };
    world.is("v7", "c3", Strategy::Redact);
    let oid = world.relation("t7").oid;
    let began = Instant::now();
    let found = (0..1_000_000_u32)
        .filter(|n| {
            let oid = std::hint::black_box(oid + n % 64);
            matches!(world.catalogue.column(oid, 5), Column::Protected(_))
        })
        .count();
    let looked_up = began.elapsed() / 1_000_000;
    assert!(found > 0);
    println!(
        "{} relations, {columns} columns: read in {read:?}, built in {built:?}; a look-up takes \
         {looked_up:?}",
        world.raw.relations.len()
    );
}
