//! Texts that look like something else than they are.

use crate::support::raw::{Raw, extended, message, parse, query, sync, transcript};
use crate::world::{Account, Room, server, world};

/// What a bot that may only read sends to write, to reach files, programs and networks, to become
/// somebody else.
const PAST_READING: &[&str] = &[
    // Stacked, and behind comments.
    "SELECT 1; DROP TABLE orders",
    "SELECT 1;;; /* x */ ; DELETE FROM orders; SELECT 2",
    "/* /* SELECT 1 */ */ DELETE FROM orders --",
    "-- SELECT 1\rDELETE FROM orders",
    "--\nDELETE FROM orders",
    "SELECT 1 --'\n; DELETE FROM orders; --'",
    "SELECT 1 /* -- */ ; DELETE FROM orders",
    "SELECT '/*'; DELETE FROM orders; SELECT '*/'",
    "BEGIN; DELETE FROM orders; COMMIT",
    "COMMIT; DELETE FROM orders",
    "ROLLBACK; DROP TABLE orders",
    "ROLLBACK AND CHAIN; DELETE FROM orders; COMMIT",
    // Writes inside of what begins with SELECT, WITH, EXPLAIN, COPY.
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
    "WITH a AS (SELECT 1), b AS (UPDATE orders SET customer_id = 1 RETURNING 1) TABLE a",
    "SELECT * INTO stolen FROM customers",
    "CREATE TEMP TABLE customers AS SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "EXPLAIN (ANALYZE off, ANALYZE) DELETE FROM orders",
    "EXPLAIN (VERBOSE, ANALYZE 1) DELETE FROM orders",
    "EXPLAIN ANALYZE CREATE TABLE stolen AS SELECT * FROM customers",
    "COPY (DELETE FROM orders RETURNING *) TO STDOUT",
    "COPY (WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d) TO STDOUT",
    "PREPARE p AS DELETE FROM orders",
    "DECLARE c CURSOR WITH HOLD FOR SELECT lo_create(0)",
    "MERGE INTO orders o USING orders s ON o.id = s.id WHEN MATCHED THEN DELETE",
    "SELECT * FROM orders FOR UPDATE",
    "VALUES (lo_create(0))",
    "TABLE orders LIMIT (SELECT lo_create(0))",
    "SELECT 1 ORDER BY lo_create(0)",
    "SELECT count(*) FILTER (WHERE lo_create(0) > 0) FROM orders",
    "SELECT nextval('orders_id_seq')",
    // Quoting.
    "SELECT U&\"lo\\005fcreate\"(0)",
    "SELECT U&\"lo!005fcreate\" UESCAPE '!' (0)",
    "SELECT pg_catalog . \"lo_create\" /* */ (0)",
    "SELECT LO_CREATE(0)",
    "DELETE FROM U&\"\\006frders\"",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "DO LANGUAGE plpgsql $ä$ BEGIN EXECUTE 'DROP TABLE orders'; END $ä$",
    "DO 'BEGIN DELETE FROM orders; END'",
    "SELECT E'\\'; DELETE FROM orders; --'; DELETE FROM orders",
    "SELECT $a$;$a$; DELETE FROM orders; SELECT $b$$a$$b$",
    "SELECT 'a'\n'b'; DELETE FROM orders",
    // Functions: in FROM, and in the notation of a column.
    "SELECT * FROM lo_create(0)",
    "SELECT * FROM ROWS FROM (lo_create(0), generate_series(1, 2)) WITH ORDINALITY",
    "SELECT (0::oid).lo_create",
    "SELECT (SELECT 0::oid).lo_create",
    "SELECT q.lo_create FROM unnest(ARRAY[0::oid]) q",
    "SELECT unnest.lo_create FROM unnest(ARRAY[0::oid])",
    "SELECT coalesce.lo_create FROM COALESCE(0::oid)",
    "SELECT 1 FROM unnest(ARRAY[0::oid]) AS q(x) WHERE (q).lo_create > 0",
    "SELECT ('PG_VERSION'::text).pg_read_file",
    "SELECT concat.pg_read_file FROM concat('PG_VERSION')",
    "SELECT ('base'::text).pg_ls_dir",
    // Files, programs, networks, other code.
    "COPY orders TO PROGRAM 'touch /tmp/narrows-bypass'",
    "COPY orders FROM PROGRAM 'touch /tmp/narrows-bypass'",
    "COPY customers TO '/tmp/narrows-bypass'",
    "COPY orders FROM STDIN",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT * FROM pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/narrows-bypass')",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT dblink_exec('dbname=shop', 'DROP TABLE orders')",
    "SELECT query_to_xml('SELECT lo_create(0)', true, true, '')",
    "SELECT * FROM ts_stat('SELECT ''a''::tsvector FROM lo_create(0)')",
    "SELECT table_to_xml('orders', true, true, '')",
    "CALL anything()",
    "LOAD 'plpgsql'",
    "CREATE EXTENSION dblink",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE orders'",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_create_physical_replication_slot('bypass')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_reload_conf()",
    "ALTER SYSTEM SET log_statement = 'none'",
    "NOTIFY orders, 'x'",
    "SELECT pg_notify('orders', 'x')",
    // Becoming somebody else.
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET LOCAL \"ROLE\" = postgres",
    "RESET ROLE",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('ro' || 'le', 'postgres', false)",
    "SELECT set_config(new_value => 'postgres', setting_name => 'role', is_local => false)",
    "SELECT * FROM set_config('session_replication_role', 'replica', false)",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SET local_preload_libraries = 'evil'",
    "ALTER ROLE shop_app SET role = 'postgres'",
    "GRANT ALL ON customers TO PUBLIC",
    // Not SQL that anybody knows.
    "EXECUTE never_prepared",
    "SELEKT 1",
    "SELECT 'unterminated",
    "SELECT \"unterminated",
    "SELECT /* unterminated",
];

/// What a bot that may change rows, one by one, sends to change all of them.
const PAST_ROWS: &[&str] = &[
    "DELETE FROM orders",
    "DELETE FROM orders WHERE true",
    "DELETE FROM orders WHERE id = id",
    "DELETE FROM orders WHERE 1 IN (1)",
    "DELETE FROM orders WHERE EXISTS (SELECT 1)",
    "DELETE FROM orders USING customers c WHERE c.id = c.id",
    "UPDATE orders SET customer_id = 1 WHERE random() >= 0",
    "WITH d AS (DELETE FROM orders RETURNING *) SELECT 1",
    "MERGE INTO orders USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE orders",
    "INSERT INTO pg_authid (rolname) VALUES ('evil')",
    "UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname = 'shop_md5'",
    "SELECT (id::oid).lo_unlink FROM orders WHERE id = 1; DROP TABLE orders",
];

/// What a bot that may create and alter sends to drop, or to have others run what it must not.
const PAST_DEFINING: &[&str] = &[
    "DROP TABLE orders",
    "ALTER TABLE orders DROP COLUMN customer_id",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE orders'",
    "CREATE RULE r AS ON INSERT TO orders DO INSTEAD DELETE FROM customers",
    "CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE OPERATOR public.=== (rightarg = text, function = pg_read_file)",
    "CREATE OPERATOR public.=== (rightarg = text, \"procedure\" = 'pg_read_file')",
    "CREATE AGGREGATE a (text) (sfunc = textcat, stype = text, finalfunc = pg_read_file)",
    "CREATE CAST (text AS int) WITH FUNCTION pg_read_file(text)",
    "CREATE VIEW v AS SELECT pg_read_file('PG_VERSION')",
    "CREATE VIEW v AS SELECT ('PG_VERSION'::text).pg_read_file",
    "CREATE TABLE t (a text DEFAULT ('PG_VERSION'::text).pg_read_file)",
    "ALTER ROLE shop_md5 SUPERUSER",
    "REASSIGN OWNED BY shop_app TO shop_md5",
    "ALTER TABLE orders DISABLE TRIGGER ALL",
];

/// What a bot that may do nearly anything sends to drop, or to leave the database.
const PAST_OPENNESS: &[&str] = &[
    "DROP TABLE order_items",
    "DROP/**/TABLE/**/order_items",
    "SELECT 1; drop table order_items",
    "PREPARE p AS SELECT ('PG_VERSION'::text).pg_read_file",
    "TRUNCATE order_items",
    "ALTER TABLE order_items DROP COLUMN quantity",
    "DROP OWNED BY shop_app",
    "CREATE OPERATOR public.=== (rightarg = text, function = pg_read_file)",
    "COPY orders TO PROGRAM 'touch /tmp/narrows-bypass'",
];

#[test]
fn no_clothing_hides_what_a_text_does() {
    let room = Room::open("statements");
    let cases = [
        (Account::Reader, PAST_READING),
        (Account::Writer, PAST_ROWS),
        (Account::Migrator, PAST_DEFINING),
        (Account::Open, PAST_OPENNESS),
    ];
    for (account, texts) in cases {
        let mut raw = room.login(account);
        for sql in texts {
            Room::assert_refused(&mut raw, account, sql);
        }
    }
    room.assert_unchanged("every text of the tables");
    room.assert_recorded();
    assert!(!std::path::Path::new("/tmp/narrows-bypass").exists());
}

#[test]
fn bytes_that_are_no_text_run_nothing() {
    let room = Room::open("bytes");
    let cases: [(&str, &[u8]); 6] = [
        ("a zero byte", b"SELECT 1\0; DELETE FROM orders\0"),
        ("two ends", b"SELECT 1\0\0"),
        ("no end", b"DELETE FROM orders"),
        ("not UTF-8", b"SELECT '\xff'; DELETE FROM orders\0"),
        ("half a character before a quote", b"SELECT '\xc3'; DELETE FROM orders; --'\0"),
        ("an overlong quote", b"SELECT '\xc0\xa7; DELETE FROM orders; --'\0"),
    ];
    for (name, body) in cases {
        for tag in [b'Q', b'P'] {
            let mut raw = room.login(Account::Writer);
            let body = if tag == b'P' { [b"\0", body, b"\0\0"].concat() } else { body.to_vec() };
            raw.send(&[message(tag, &body), sync()].concat());
            let words = transcript(&raw.until_ready());
            assert!(words.starts_with("E("), "{name}: {words}");
            assert!(!words.contains('C'), "{name}: {words}");
        }
    }
    room.assert_unchanged("bytes");
}

#[test]
fn size_is_no_clothing() {
    let room = Room::open("size");
    let mut raw = room.login(Account::Reader);
    let padded = |bytes: usize| format!("SELECT '{}'; DELETE FROM orders", "x".repeat(bytes));
    for bytes in [64 * 1024 - 32, 64 * 1024, 70 * 1024, 1024 * 1024] {
        assert_eq!(raw.query(&padded(bytes)), "E(42501) Z(I)", "{bytes} bytes");
    }
    let deep = format!("SELECT {}1{}; DELETE FROM orders", "(".repeat(9000), ")".repeat(9000));
    assert_eq!(raw.query(&deep), "E(42501) Z(I)");
    let huge = padded(16 * 1024 * 1024);
    raw.send(&[query(&huge), query("SELECT 1")].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(54000) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
    raw.send(&[parse("huge", &huge), sync(), extended("SELECT 1"), sync()].concat());
    assert_eq!(transcript(&raw.until_ready()), "E(54000) Z(I)");
    assert_eq!(transcript(&raw.until_ready()), "1 2 T D C(SELECT 1) Z(I)");
    room.assert_unchanged("large texts");
}

/// The server reads such data as rows, and the gateway as data.
#[test]
fn statements_inside_copied_data_are_data() {
    let room = Room::open("copied");
    let mut raw = room.login(Account::Writer);
    let evil = query("DELETE FROM orders");
    raw.send(&query("COPY customers (name) FROM STDIN"));
    assert_eq!(transcript(&raw.until(b'G')), "G");
    let data = [message(b'd', &evil), message(b'f', b"no\0"), query("SELECT 1")].concat();
    raw.send(&data);
    assert!(transcript(&raw.until_ready()).starts_with("E("));
    assert_eq!(transcript(&raw.until_ready()), "T D C(SELECT 1) Z(I)");
    // A command in the middle of a copy ends the session, and with it the copy.
    raw.send(&query("COPY customers (name) FROM STDIN"));
    assert_eq!(transcript(&raw.until(b'G')), "G");
    raw.send(&[message(b'd', b"x\n"), evil.clone()].concat());
    assert!(transcript(&raw.until_ready()).starts_with("E(FATAL"));
    // The same sent before anybody has said that a copy begins.
    let mut raw = room.login(Account::Writer);
    let _ = raw.try_send(&[query("COPY customers (name) FROM STDIN"), evil].concat());
    let words = transcript(&raw.until(b'Z'));
    assert!(!words.contains("C("), "{words}");
    drop(raw);
    room.assert_unchanged("data");
}

/// A text that differs in one byte from one that is allowed and remembered.
#[test]
fn nothing_is_allowed_for_its_likeness() {
    let room = Room::open("likeness");
    let mut raw = room.login(Account::Reader);
    for _ in 0..3 {
        assert_eq!(raw.query("EXPLAIN (ANALYZE 0) SELECT 1"), "T D C(EXPLAIN) Z(I)");
        assert_eq!(raw.query("SELECT set_config('x.y', 'role', false)"), "T D C(SELECT 1) Z(I)");
        assert_eq!(raw.query("SELECT 1 AS lo_create"), "T D C(SELECT 1) Z(I)");
    }
    for near in [
        "EXPLAIN (ANALYZE 1) DELETE FROM orders",
        "SELECT set_config('role', 'postgres', false)",
        "SELECT lo_create(1)",
        "SELECT 1 AS x; SELECT lo_create(2)",
    ] {
        assert_eq!(raw.query(near), "E(42501) Z(I)", "{near}");
    }
    room.assert_unchanged("near texts");
    assert!(world().gateway.stdout(&["status"]).contains("museum"));
    assert!(!server().log().contains("lo_create(2)"));
    let _: &Raw = &raw;
}
