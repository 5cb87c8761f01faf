//! Roads of several steps: each is a text of its own, so that what one leaves behind is met by
//! another whose text says nothing of it. As in `masks`, a road is closed if no secret comes along.

use crate::masks::{Secrets, bind_binary};
use crate::support::raw::{Raw, bind, describe, execute, message, parse, query, sync, transcript};
use crate::world::{Account, Room, server, world};

const CLEAN: &str = "ROLLBACK; CLOSE ALL; DEALLOCATE ALL; RESET ALL; RESET ROLE; UNLISTEN *";

/// Walks the steps by the simple protocol, then by the extended one.
fn walk(raw: &mut Raw, secrets: &Secrets, steps: &[&str]) -> Option<String> {
    for is_extended in [false, true] {
        for part in CLEAN.split("; ") {
            raw.send(&query(part));
            raw.until_ready();
        }
        let mut words = Vec::new();
        for step in steps {
            let extended = [parse("", step), bind_binary(), execute("", 0), sync()].concat();
            raw.send(&if is_extended { extended } else { query(step) });
            let answers = raw.until_ready();
            words.push(transcript(&answers));
            if let Some(secret) = secrets.leaked(&answers) {
                return Some(format!("{secret} in {} of {words:?}", answers.len()));
            }
        }
        if std::env::var_os("ROADS").is_some() {
            eprintln!("{steps:?}\n    {words:?}");
        }
    }
    None
}

fn assert_closed(name: &str, prepare: &str, roads: &[&[&str]]) {
    let room = Room::open(name);
    if !prepare.is_empty() {
        server().superuser(&room.database, prepare);
    }
    let secrets = Secrets::of(&room);
    let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
    let open: Vec<String> = roads
        .iter()
        .filter_map(|steps| Some(format!("{steps:#?} {}", walk(&mut raw, &secrets, steps)?)))
        .collect();
    let count = open.len();
    assert!(count == 0, "{count} of {} roads are open:\n{}", roads.len(), open.join("\n"));
}

#[test]
fn a_name_stands_for_what_it_was_given() {
    assert_closed(
        "masks_names_later",
        "",
        &[
            &["BEGIN", "DECLARE c CURSOR FOR SELECT ssn || '' FROM customers", "FETCH ALL c"],
            &[
                "BEGIN",
                "DECLARE c SCROLL CURSOR FOR SELECT reverse(ssn) FROM customers",
                "MOVE 3 c",
                "FETCH BACKWARD 2 c",
                "FETCH ABSOLUTE 7 c",
            ],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT upper(email) FROM customers", "FETCH 9 c"],
            &[
                "BEGIN",
                "DECLARE c CURSOR WITH HOLD FOR SELECT upper(email) FROM customers",
                "COMMIT",
                "FETCH 9 c",
            ],
            &["PREPARE p AS SELECT ssn || '' FROM customers", "EXECUTE p"],
            &[
                "PREPARE p AS SELECT ssn || '' FROM customers",
                "PREPARE p AS SELECT 'x'",
                "EXECUTE p",
            ],
            &[
                "PREPARE p AS SELECT ssn || '' FROM customers",
                "BEGIN",
                "SELECT 1 / 0",
                "DEALLOCATE p",
                "PREPARE p AS SELECT 'x'",
                "ROLLBACK",
                "EXECUTE p",
            ],
            &[
                "PREPARE p AS SELECT ssn || '' FROM customers",
                "BEGIN",
                "DISCARD ALL",
                "ROLLBACK",
                "EXECUTE p",
            ],
            &["PREPARE p AS SELECT ssn || '' FROM customers", "DEALLOCATE \"P\"", "EXECUTE p"],
            &["PREPARE p(text) AS SELECT $1 || ssn FROM customers", "EXECUTE p('')"],
            &[
                "PREPARE p(text) AS SELECT $1",
                "EXECUTE p((SELECT ssn FROM customers WHERE id = 7))",
            ],
            &[
                "PREPARE p AS SELECT ssn || '' FROM customers",
                "EXPLAIN ANALYZE EXECUTE p",
                "CREATE TABLE kept AS EXECUTE p",
                "TABLE kept",
            ],
            &["PREPARE p AS SELECT ssn::int FROM customers WHERE id = 7", "EXECUTE p"],
            &[
                "PREPARE p AS SELECT ssn::int FROM customers WHERE id = 7",
                "EXPLAIN ANALYZE EXECUTE p",
            ],
            &[
                "PREPARE p AS SELECT ssn::int FROM customers WHERE id = 7",
                "CREATE TABLE q AS EXECUTE p",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT ssn || '' FROM customers",
                "SAVEPOINT s",
                "DECLARE c CURSOR FOR SELECT 'x'",
                "ROLLBACK TO s",
                "FETCH ALL c",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT ssn || '' FROM customers",
                "SAVEPOINT s",
                "CLOSE c",
                "DECLARE c CURSOR FOR SELECT 'x'",
                "ROLLBACK TO s",
                "FETCH ALL c",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT ssn || '' FROM customers",
                "SAVEPOINT s",
                "CLOSE c",
                "ROLLBACK TO s",
                "FETCH ALL c",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT ssn::int FROM customers WHERE id = 7",
                "FETCH ALL c",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT ssn::int FROM customers WHERE id = 7",
                "MOVE ALL c",
            ],
            &[
                "BEGIN",
                "DECLARE c CURSOR FOR SELECT id FROM customers WHERE id = 7 FOR UPDATE",
                "FETCH c",
                "UPDATE customers SET notes = ssn WHERE CURRENT OF c RETURNING notes",
            ],
        ],
    );
}

#[test]
fn what_fails_at_the_end_tells_nothing() {
    assert_closed(
        "masks_at_the_end",
        "CREATE TABLE accounts (id int PRIMARY KEY);
         INSERT INTO accounts SELECT id FROM customers;
         CREATE TABLE branches (id int PRIMARY KEY);
         INSERT INTO branches SELECT id FROM customers;
         ALTER TABLE customers ADD branch int NOT NULL DEFAULT 7 REFERENCES branches ON DELETE SET NULL;
         ALTER TABLE customers ADD account int REFERENCES accounts ON DELETE CASCADE;
         UPDATE customers SET account = id;
         DELETE FROM order_items; DELETE FROM orders WHERE customer_id IN (7, 8);
         CREATE TABLE letters (address text REFERENCES customers (email) DEFERRABLE);
         CREATE TABLE fixed (address text REFERENCES customers (email));
         INSERT INTO fixed SELECT email FROM customers WHERE id = 8;
         INSERT INTO letters SELECT email FROM customers WHERE id IN (7, 8);
         CREATE VIEW filtered AS SELECT id FROM customers WHERE id = 7 AND ssn::int > 0;
         CREATE VIEW joined AS SELECT o.id FROM orders o JOIN customers c ON c.name::int = o.id;
         CREATE MATERIALIZED VIEW stale AS SELECT id FROM customers WHERE id = 7 AND ssn::int > 0 WITH NO DATA;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO shop_app",
        &[
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT ssn::int FROM customers WHERE id = 7", "COMMIT"],
            &["DECLARE c CURSOR WITH HOLD FOR SELECT ssn::int FROM customers WHERE id = 7"],
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT email::json FROM customers WHERE id = 7", "END"],
            &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT email::json FROM customers WHERE id = 7", "COMMIT AND CHAIN"],
            &["BEGIN", "SET CONSTRAINTS ALL DEFERRED", "DELETE FROM customers WHERE id = 7", "COMMIT"],
            &["BEGIN", "SET CONSTRAINTS ALL DEFERRED", "DELETE FROM customers WHERE id = 7", "SET CONSTRAINTS ALL IMMEDIATE"],
            &["DELETE FROM branches WHERE id = 7"],
            &["DELETE FROM branches WHERE id = 7 RETURNING *"],
            &["WITH d AS (DELETE FROM branches WHERE id = 7) SELECT 1"],
            &["DELETE FROM accounts WHERE id = 7"],
            &["DELETE FROM accounts WHERE id = 8"],
            &["TRUNCATE accounts CASCADE"],
            &["SELECT * FROM filtered"],
            &["SELECT count(*) FROM filtered"],
            &["SELECT * FROM joined"],
            &["EXPLAIN ANALYZE SELECT * FROM filtered"],
            &["COPY (SELECT * FROM filtered) TO STDOUT"],
            &["INSERT INTO products (id) SELECT id FROM filtered"],
            &["REFRESH MATERIALIZED VIEW stale"],
            &["CREATE VIEW mine AS SELECT id FROM customers WHERE id = 7 AND ssn::int > 0", "SELECT * FROM mine"],
            &["CREATE VIEW mine2 AS SELECT 1 AS x FROM products WHERE (SELECT ssn::int FROM customers WHERE id = 7) > 0", "SELECT * FROM mine2"],
            &["CREATE VIEW mine3 AS SELECT id FROM customers WHERE id = 7 ORDER BY ssn::int", "SELECT * FROM mine3"],
            &["CREATE MATERIALIZED VIEW mine4 AS SELECT id FROM customers WHERE id = 7 AND ssn::int > 0 WITH NO DATA", "REFRESH MATERIALIZED VIEW mine4"],
            &["CREATE VIEW swap AS SELECT id FROM products", "SELECT * FROM swap", "CREATE OR REPLACE VIEW swap AS SELECT id FROM products WHERE (SELECT ssn::int FROM customers WHERE id = 7) > 0", "SELECT * FROM swap"],
            &["CREATE POLICY p ON products USING ((SELECT ssn::int FROM customers WHERE id = 7) > 0)", "ALTER TABLE products ENABLE ROW LEVEL SECURITY", "SET ROLE pg_read_all_data", "SELECT id FROM products"],
        ],
    );
}

#[test]
fn nothing_is_kept_in_the_servers_own_places() {
    assert_closed(
        "masks_places",
        "",
        &[
            &[
                "SELECT lo_create(replace(ssn, '-', '')::oid) FROM customers WHERE id = 7",
                "SELECT oid FROM pg_largeobject_metadata",
                "SELECT loid FROM pg_largeobject",
            ],
            &[
                "SELECT lo_creat(replace(ssn, '-', '')::int) FROM customers WHERE id = 7",
                "SELECT oid FROM pg_largeobject_metadata",
            ],
            &[
                "SELECT lo_create(77)",
                "BEGIN",
                "SELECT lo_open(77, 393216)",
                "SELECT lo_lseek64(0, replace(ssn, '-', '')::bigint, 0) FROM customers WHERE id = 7",
                "SELECT lo_tell64(0)",
            ],
            &[
                "SELECT lo_create(78)",
                "BEGIN",
                "SELECT lo_open(78, 393216)",
                "SELECT lo_lseek(0, replace(ssn, '-', '')::int, 0) FROM customers WHERE id = 7",
                "SELECT lo_tell(0)",
            ],
            &[
                "SELECT lo_create(79)",
                "BEGIN",
                "SELECT lo_open(79, 393216)",
                "SELECT lo_truncate64(0, replace(ssn, '-', '')::bigint) FROM customers WHERE id = 7",
                "SELECT lo_lseek64(0, 0, 2)",
            ],
            &[
                "SELECT lo_create(80)",
                "SELECT lo_put(80, 0, ssn::bytea) FROM customers WHERE id = 7",
                "SELECT lo_get(80)",
            ],
            &[
                "SELECT lo_create(81)",
                "SELECT lo_put(81, replace(ssn, '-', '')::bigint, 'x') FROM customers WHERE id = 7",
                "SELECT pageno FROM pg_largeobject",
            ],
            &["LISTEN c", "SELECT pg_notify('c', ssn) FROM customers WHERE id = 7", "SELECT 1"],
            &[
                "SELECT pg_try_advisory_lock(replace(ssn, '-', '')::bigint) FROM customers WHERE id = 7",
                "SELECT objid FROM pg_locks WHERE locktype = 'advisory'",
            ],
            &[
                "SELECT setval('orders_id_seq', replace(ssn, '-', '')::bigint) FROM customers WHERE id = 7",
                "SELECT lastval()",
                "SELECT currval('orders_id_seq')",
                "SELECT last_value FROM pg_sequences",
            ],
            &[
                "SELECT set_config('my.x', ssn, false) FROM customers WHERE id = 7",
                "SHOW my.x",
                "SELECT * FROM pg_settings WHERE name = 'my.x'",
            ],
            &[
                "CREATE SCHEMA away",
                "ALTER SCHEMA public RENAME TO away2",
                "SELECT ssn FROM away2.customers",
                "ALTER SCHEMA away2 RENAME TO public",
            ],
            &[
                "CREATE SCHEMA away3",
                "ALTER TABLE customers SET SCHEMA away3",
                "SELECT ssn FROM away3.customers",
            ],
            &[
                "SELECT count(*) FROM customers WHERE ssn = 'no'",
                "SELECT query FROM pg_stat_activity",
                "SELECT * FROM pg_prepared_statements",
                "SELECT * FROM pg_cursors",
            ],
            &[
                "ANALYZE customers",
                "SELECT most_common_vals FROM pg_stats",
                "SELECT stavalues1 FROM pg_statistic",
                "SELECT s FROM pg_stats s",
                "SELECT to_jsonb(s) FROM pg_statistic s",
            ],
            &[
                "CREATE VIEW st AS SELECT tablename, attname, histogram_bounds::text AS h FROM pg_stats",
                "SELECT * FROM st",
                "SELECT upper(h) FROM st",
            ],
            &["COMMENT ON TABLE products IS 'x'", "SELECT obj_description('products'::regclass)"],
        ],
    );
}

#[test]
fn a_row_that_is_spelt_as_a_column_is_replaced() {
    assert_closed(
        "masks_spelt",
        "CREATE TABLE heirs () INHERITS (customers);
         INSERT INTO heirs SELECT * FROM ONLY customers WHERE id = 7",
        &[
            &[
                "CREATE TABLE own (customers text)",
                "INSERT INTO own VALUES ('x')",
                "SELECT c.customers FROM public.customers c, own",
                "SELECT h.customers FROM heirs h, own",
            ],
            &[
                "CREATE SCHEMA other",
                "CREATE TABLE other.customers (customers text, heirs text)",
                "SELECT c.customers FROM public.customers c",
                "SELECT h.customers FROM heirs h, other.customers o",
            ],
            &[
                "CREATE TABLE own2 (record_out text, row_to_json text, hash_record text, pg_typeof text)",
                "INSERT INTO own2 VALUES ('x', 'y')",
                "SELECT c.record_out FROM customers c, own2",
                "SELECT c.row_to_json FROM customers c, own2",
            ],
            &[
                "CREATE TABLE own3 (json_build_object text, jsonb_build_object text, json_build_array text, concat text, format text, text text, name text, varchar text)",
                "INSERT INTO own3 VALUES ('x')",
                "SELECT c.json_build_array FROM customers c, own3",
                "SELECT c.concat FROM customers c, own3",
                "SELECT c.text FROM customers c, own3",
                "SELECT c.name FROM customers c, own3",
            ],
            &[
                "CREATE DOMAIN dc AS customers",
                "CREATE TABLE own4 (dc text)",
                "INSERT INTO own4 VALUES ('x')",
                "SELECT c.dc FROM customers c, own4",
            ],
            &[
                "CREATE TABLE own5 (ssn text, q text)",
                "SELECT q FROM (SELECT ssn || '' AS q FROM customers) x, own5",
            ],
            &[
                "UPDATE customers c SET notes = NULL FROM products customers WHERE c.id = 7 AND customers.id = 1 RETURNING c.customers",
            ],
            &[
                "CREATE TABLE own6 (customers text, \"array\" text)",
                "INSERT INTO own6 VALUES ('x')",
                "UPDATE customers c SET notes = NULL FROM own6 WHERE c.id = 7 RETURNING c.customers",
                "DELETE FROM customers c USING own6 WHERE c.id = -1 RETURNING c.customers",
            ],
            &[
                "CREATE TABLE own7 (customers text)",
                "CREATE TABLE box (x text)",
                "INSERT INTO box SELECT c.customers FROM public.customers c, own7",
                "TABLE box",
            ],
            &[
                "UPDATE customers SET notes = c.customers::text FROM own c",
                "UPDATE customers SET notes = customers.customers FROM own",
                "SELECT notes FROM customers",
            ],
        ],
    );
}

#[test]
fn a_name_of_the_protocol_stands_for_what_it_was_given() {
    let room = Room::open("masks_portals");
    let secrets = Secrets::of(&room);
    let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
    let leak = "SELECT ssn || '' FROM customers WHERE id IN (7, 8)";
    let fails = "SELECT ssn::int FROM customers WHERE id = 7";
    let held = "DECLARE h CURSOR WITH HOLD FOR SELECT ssn::int FROM customers WHERE id = 7";
    let all = |parts: &[Vec<u8>]| parts.concat();
    let roads: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "a second Parse of a name fails",
            vec![
                all(&[parse("p", leak), sync()]),
                all(&[parse("p", "SELECT 'x'"), sync()]),
                all(&[bind("", "p", &[]), execute("", 0), sync()]),
            ],
        ),
        (
            "a Parse of a name fails in its text",
            vec![
                all(&[parse("p2", leak), sync()]),
                all(&[message(b'C', b"Sp2\0"), parse("p2", "SELECT nothing"), sync()]),
                all(&[bind("", "p2", &[]), describe('P', ""), execute("", 0), sync()]),
            ],
        ),
        (
            "what is skipped after an error does not count",
            vec![
                all(&[parse("p3", leak), sync()]),
                all(&[
                    parse("bad", "SELECT 1 FROM nowhere"),
                    message(b'C', b"Sp3\0"),
                    parse("p3", "SELECT 'x'"),
                    sync(),
                ]),
                all(&[bind("", "p3", &[]), execute("", 0), sync()]),
            ],
        ),
        (
            "SQL runs what the protocol has named",
            vec![all(&[parse("p4", leak), sync()]), query("EXECUTE p4")],
        ),
        (
            "SQL fetches from a portal",
            vec![
                query("BEGIN"),
                all(&[parse("", leak), bind("c4", "", &[]), sync()]),
                query("FETCH ALL c4"),
                query("ROLLBACK"),
            ],
        ),
        (
            "a portal of the name of a cursor",
            vec![
                query("BEGIN"),
                query("DECLARE c5 CURSOR FOR SELECT ssn || '' FROM customers"),
                all(&[
                    parse("", "SELECT 'x'"),
                    bind("c5", "", &[]),
                    describe('P', "c5"),
                    execute("c5", 0),
                    sync(),
                ]),
                query("ROLLBACK"),
            ],
        ),
        (
            "the protocol runs a cursor",
            vec![
                query("BEGIN"),
                query("DECLARE c6 CURSOR FOR SELECT ssn || '' FROM customers"),
                all(&[execute("c6", 1), execute("c6", 2), sync()]),
                all(&[describe('P', "c6"), execute("c6", 0), sync()]),
                query("ROLLBACK"),
            ],
        ),
        (
            "a description of one, rows of another",
            vec![all(&[
                parse("a", "SELECT id::text FROM products"),
                parse("b", leak),
                bind("x", "a", &[]),
                describe('P', "x"),
                message(b'C', b"Px\0"),
                bind("x", "b", &[]),
                execute("x", 0),
                sync(),
            ])],
        ),
        (
            "a portal in parts across another",
            vec![
                query("BEGIN"),
                all(&[
                    parse("", leak),
                    bind("y", "", &[]),
                    describe('P', "y"),
                    execute("y", 1),
                    parse("", "SELECT id FROM products"),
                    bind("z", "", &[]),
                    describe('P', "z"),
                    execute("z", 1),
                    execute("y", 1),
                    execute("z", 0),
                    execute("y", 0),
                    sync(),
                ]),
                query("ROLLBACK"),
            ],
        ),
        (
            "an error at Sync",
            vec![all(&[parse("", held), bind("", "", &[]), execute("", 0), sync()])],
        ),
        (
            "an error at Sync behind another command",
            vec![all(&[
                parse("", held),
                bind("", "", &[]),
                execute("", 0),
                parse("", "SELECT 1"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ])],
        ),
        (
            "an error at a COMMIT in a pipeline",
            vec![all(&[
                parse("", "BEGIN"),
                bind("", "", &[]),
                execute("", 0),
                parse("", held),
                bind("", "", &[]),
                execute("", 0),
                parse("", "COMMIT"),
                bind("", "", &[]),
                execute("", 0),
                sync(),
            ])],
        ),
        (
            "an error in an Execute",
            vec![all(&[
                parse("", fails),
                bind("", "", &[]),
                describe('P', ""),
                execute("", 0),
                sync(),
            ])],
        ),
        ("a function by its number", vec![message(b'F', b"\0\0\x0b\x5d\0\0\0\0\0\0")]),
        (
            "a definition in the middle of a pipeline",
            vec![
                query("CREATE TABLE soft (a text, b text)"),
                query("INSERT INTO soft VALUES ('1', '2')"),
                all(&[
                    parse("s", "SELECT a FROM soft"),
                    bind("", "s", &[]),
                    execute("", 0),
                    parse("", "DROP TABLE soft"),
                    bind("", "", &[]),
                    execute("", 0),
                    parse("", "CREATE VIEW soft AS SELECT ssn::text AS a FROM customers"),
                    bind("", "", &[]),
                    execute("", 0),
                    bind("", "s", &[]),
                    execute("", 0),
                    sync(),
                ]),
            ],
        ),
        (
            "the search path changes under a prepared statement",
            vec![
                query("CREATE SCHEMA aside; CREATE TABLE aside.customers (ssn text, email text)"),
                query("SET search_path = aside, public"),
                all(&[
                    parse("sp", "SELECT ssn || '' FROM customers"),
                    bind("", "sp", &[]),
                    describe('P', ""),
                    execute("", 0),
                    sync(),
                ]),
                query("SET search_path = public"),
                all(&[bind("", "sp", &[]), execute("", 0), sync()]),
                query("DROP SCHEMA aside CASCADE"),
                all(&[bind("", "sp", &[]), execute("", 0), sync()]),
            ],
        ),
    ];
    let mut open = Vec::new();
    for (name, steps) in roads {
        let mut words = Vec::new();
        for bytes in steps {
            raw.send(&bytes);
            let answers = raw.until_ready();
            words.push(transcript(&answers));
            if let Some(secret) = secrets.leaked(&answers) {
                open.push(format!("{name}: {secret}: {words:?}"));
            }
        }
        if std::env::var_os("ROADS").is_some() {
            eprintln!("{name}\n    {words:?}");
        }
        raw.query("ROLLBACK");
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}
