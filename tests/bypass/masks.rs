//! Roads by which a protected value may reach a bot, past the mask of its column.
//!
//! A road is walked by the simple and by the extended protocol, in text and in binary. It is closed if
//! no secret of any customer is in anything that comes back: as it is, turned around, encoded, cut
//! into its characters. Whether a statement is refused or answered with stand-ins is all the same.

use std::collections::BTreeSet;

use crate::support::raw::{
    Message, Raw, describe, execute, message, parse, query, sync, transcript,
};
use crate::world::{Account, Room, server, world};

/// What no bot may see, and what it looks like in disguise.
pub struct Secrets(Vec<String>);

impl Secrets {
    pub fn of(room: &Room) -> Self {
        let values = server().superuser(
            &room.database,
            "SELECT unnest(ARRAY[name, email, phone, ssn, card]) FROM customers WHERE id IN (7, 8)",
        );
        let plain = values.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let mut all = BTreeSet::new();
        for value in plain {
            let bare: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
            for form in [value.clone(), bare] {
                let bytes = form.as_bytes();
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let octal: String = bytes.iter().map(|byte| format!("{byte:o}")).collect();
                let codes: String = bytes.iter().map(ToString::to_string).collect();
                all.extend([form.chars().rev().collect(), form.to_uppercase(), hex, octal, codes]);
                all.insert(base64(bytes));
                all.insert(form);
            }
        }
        Self(all.into_iter().filter(|form| form.len() >= 8).collect())
    }

    pub fn leaked(&self, answers: &[Message]) -> Option<String> {
        let mut cells = String::new();
        let mut everything = String::new();
        for message in answers {
            everything += &String::from_utf8_lossy(&message.body);
            everything.push('\n');
            if message.tag == b'D' {
                row(&message.body).iter().for_each(|cell| cells += cell);
            }
        }
        let bare: String = cells.chars().filter(char::is_ascii_alphanumeric).collect();
        let texts = [everything, cells, bare];
        self.0.iter().find(|secret| texts.iter().any(|text| text.contains(*secret))).cloned()
    }
}

fn row(body: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    let mut rest = &body[2..];
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        cells.push(String::from_utf8_lossy(&tail[..length]).into_owned());
        rest = &tail[length..];
    }
    cells
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bind with all results in binary.
pub fn bind_binary() -> Vec<u8> {
    message(b'B', b"\0\0\0\0\0\0\0\x01\0\x01")
}

/// Walks a road in every way that the protocol has, and returns the first secret that comes along.
fn walk(raw: &mut Raw, secrets: &Secrets, sql: &str) -> Option<String> {
    let described =
        [parse("", sql), bind_binary(), describe('P', ""), execute("", 0), sync()].concat();
    let undescribed =
        [parse("", sql), bind_binary(), execute("", 3), execute("", 0), sync()].concat();
    for bytes in [query(sql), described, undescribed] {
        raw.send(&bytes);
        let answers = raw.until_ready();
        if !transcript(&answers).ends_with("Z(I)") {
            raw.send(&query("ROLLBACK"));
            raw.until_ready();
        }
        if let Some(secret) = secrets.leaked(&answers) {
            return Some(format!("{secret} in {}", transcript(&answers)));
        }
    }
    None
}

pub fn assert_closed(name: &str, prepare: &str, roads: &[&str]) {
    let room = Room::open(name);
    if !prepare.is_empty() {
        server().superuser(&room.database, prepare);
    }
    let secrets = Secrets::of(&room);
    let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
    let open: Vec<String> = roads
        .iter()
        .filter_map(|sql| Some(format!("{sql}\n    gives {}", walk(&mut raw, &secrets, sql)?)))
        .collect();
    assert!(
        open.is_empty(),
        "{} of {} roads are open:\n{}",
        open.len(),
        roads.len(),
        open.join("\n")
    );
}

#[test]
fn the_judge_of_this_room_sees_a_leak() {
    let room = Room::open("masks_judge");
    let secrets = Secrets::of(&room);
    let mut raw = Raw::login(&world().endpoint(Account::Open, &room.database));
    for sql in [
        "SELECT * FROM customers",
        "SELECT reverse(ssn) FROM customers",
        "SELECT encode(email::bytea, 'hex') FROM customers",
        "SELECT string_to_table(ssn, NULL) FROM customers WHERE id = 7",
        "SELECT ascii(string_to_table(name, NULL)) FROM customers WHERE id = 7",
    ] {
        assert!(walk(&mut raw, &secrets, sql).is_some(), "{sql}");
    }
}

#[test]
fn names_do_not_change_where_a_value_comes_from() {
    assert_closed(
        "masks_names",
        "",
        &[
            "SELECT * FROM customers",
            "TABLE customers",
            "SELECT ssn AS harmless, email \"id\" FROM customers",
            "SELECT c.* FROM public.customers AS c(a, b, c, d, e)",
            "SELECT e FROM customers AS c(a, b, c, d, e)",
            "SELECT x FROM (SELECT ssn AS x FROM customers OFFSET 0) q",
            "WITH q AS MATERIALIZED (SELECT email AS x FROM customers) SELECT x FROM q",
            "SELECT DISTINCT ssn FROM customers",
            "SELECT ssn FROM customers GROUP BY 1",
            "SELECT q.* FROM orders o JOIN LATERAL (SELECT ssn FROM customers c WHERE c.id = o.customer_id) q ON true",
            "SELECT (c).ssn FROM customers c",
            "SELECT (c).* FROM customers c",
            "SELECT c FROM customers c",
            "SELECT c.*::customers FROM customers c",
            "SELECT q.c FROM (SELECT c FROM customers c) q",
            "SELECT q.c.ssn FROM (SELECT c FROM customers c) q",
            "SELECT ARRAY(SELECT c FROM customers c)",
            "UPDATE customers SET notes = NULL WHERE id = 7 RETURNING ssn AS q, email",
            "DELETE FROM customers WHERE id = 99999 OR false RETURNING *",
            "SELECT email::text, email::varchar, email COLLATE \"C\", ssn::text FROM customers",
            "SELECT * FROM ONLY customers TABLESAMPLE SYSTEM (100) FOR SHARE",
            "DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM customers; FETCH ALL c; CLOSE c",
            "PREPARE p AS SELECT ssn FROM customers; EXECUTE p; DEALLOCATE p",
            "SELECT 1; SELECT ssn FROM customers; SELECT 2",
            "SELECT U&\"\\0073sn\" FROM U&\"\\0063ustomers\"",
        ],
    );
}

#[test]
fn what_is_computed_from_a_value_is_replaced() {
    assert_closed(
        "masks_computed",
        "",
        &[
            "SELECT ssn FROM customers UNION ALL SELECT ''",
            "VALUES ((SELECT ssn FROM customers WHERE id = 7))",
            "SELECT (SELECT email FROM customers WHERE id = 7)",
            "SELECT ssn || '' FROM customers",
            "SELECT upper(email), lower(name), initcap(name) FROM customers",
            "SELECT coalesce(ssn, ''), nullif(ssn, ''), greatest(ssn, '') FROM customers",
            "SELECT CASE WHEN true THEN email END FROM customers",
            "SELECT max(ssn), min(email), string_agg(name, ',') FROM customers WHERE id = 7",
            "SELECT array_agg(ssn), array_agg(email), json_agg(c), jsonb_agg(c), xmlagg(xmlforest(name)) FROM customers c",
            "SELECT first_value(ssn) OVER (ORDER BY id) FROM customers WHERE id = 7",
            "SELECT lag(email) OVER (ORDER BY id) FROM customers",
            "SELECT row_to_json(c), to_jsonb(c), row(c.*), c::text FROM customers c",
            "SELECT to_json(customers) FROM customers",
            "SELECT jsonb_build_object('a', ssn)->>'a' FROM customers",
            "SELECT key, value FROM customers c, jsonb_each_text(to_jsonb(c))",
            "SELECT reverse(ssn), reverse(email) FROM customers",
            "SELECT substr(ssn, 1, 3), substr(ssn, 4) FROM customers WHERE id = 7",
            "SELECT left(ssn, 5) a, right(ssn, 6) b FROM customers WHERE id = 7",
            "SELECT string_to_table(ssn, NULL) FROM customers WHERE id = 7",
            "SELECT unnest(string_to_array(ssn, '-')) FROM customers WHERE id = 7",
            "SELECT regexp_split_to_table(email, '') FROM customers WHERE id = 7",
            "SELECT ascii(string_to_table(ssn, NULL)) FROM customers WHERE id = 7",
            "SELECT encode(email::bytea, 'hex'), encode(ssn::bytea, 'base64'), encode(ssn::bytea, 'escape') FROM customers",
            "SELECT convert_to(email, 'UTF8'), email::bytea FROM customers",
            "SELECT get_byte(ssn::bytea, n) FROM customers, generate_series(0, 10) n WHERE id = 7",
            "SELECT translate(ssn, '-', ''), replace(ssn, '-', ''), overlay(ssn PLACING '' FROM 4 FOR 1) FROM customers",
            "SELECT replace(ssn, '-', '')::bigint FROM customers",
            "SELECT to_number(ssn, '999-99-9999') FROM customers",
            "SELECT format('%s', email), concat(ssn, ''), concat_ws('', name) FROM customers",
            "SELECT quote_literal(ssn), quote_ident(email), lpad(ssn, 20), rpad(email, 60) FROM customers",
            "SELECT to_tsvector('simple', email), ts_debug('simple', email) FROM customers WHERE id = 7",
            "SELECT (ts_debug('simple', email)).token FROM customers WHERE id = 7",
            "SELECT regexp_matches(ssn, '.*'), regexp_match(email, '(.*)') FROM customers",
            "SELECT xmlelement(name a, ssn), xmlforest(email), xmlserialize(content xmlelement(name a, name) as text) FROM customers",
            "SELECT q.* FROM customers c, xmltable('/a' PASSING xmlelement(name a, c.ssn) COLUMNS v text PATH '.') q",
            "SELECT q.* FROM customers c, ROWS FROM (unnest(ARRAY[c.ssn])) q",
            "SELECT x FROM customers, unnest(ARRAY[ssn, email]) AS x",
            "SELECT a.* FROM (SELECT 1) b LEFT JOIN (SELECT ssn || '' AS c1 FROM customers) a ON true",
            "SELECT (SELECT array_to_string(array_agg(ssn), ',') FROM customers)",
            "WITH RECURSIVE r(x) AS (SELECT ssn FROM customers WHERE id = 7 UNION SELECT x FROM r) TABLE r",
            "SELECT tsvector_to_array(to_tsvector('simple', name)) FROM customers WHERE id = 7",
            "SELECT name::name, ssn::\"char\", ssn::xml FROM customers WHERE id = 7",
            "SELECT (c.name, c.ssn), ROW(c.email), ARRAY[c.ssn] FROM customers c",
            "SELECT crosstab FROM (SELECT ssn || '' AS crosstab FROM customers) x",
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn), mode() WITHIN GROUP (ORDER BY email) FROM customers WHERE id = 7",
            "SELECT ssn::text COLLATE \"C\" || '' FROM customers UNION SELECT NULL",
            "SELECT * FROM customers NATURAL JOIN (SELECT id, email || '' AS e2 FROM customers) x",
            "SELECT email FROM customers a FULL JOIN (SELECT email FROM customers) b USING (email)",
            "SELECT x FROM customers a FULL JOIN (SELECT email AS x, id FROM customers) b USING (id)",
            "SELECT coalesce(a.email, b.email) FROM customers a FULL JOIN customers b USING (id)",
            "SELECT j.email FROM (customers a JOIN customers b USING (email)) AS j",
            "SELECT count(*), max(n) FROM (SELECT ssn AS n FROM customers WHERE id = 7) q",
            "SELECT m.id FROM (SELECT email || '' AS id FROM customers) m",
            "SELECT lower(id) FROM (SELECT email AS id FROM customers) m",
            "SELECT lower(id) FROM customers AS c(x, y, id)",
            "SELECT upper(total) FROM orders o JOIN (SELECT id, ssn AS total FROM customers) x ON x.id = o.customer_id",
        ],
    );
}

#[test]
fn views_and_relatives_are_followed() {
    assert_closed(
        "masks_views",
        "CREATE VIEW plain AS SELECT id, ssn AS number, email AS address FROM customers;
         CREATE VIEW over_it AS SELECT number AS n FROM plain;
         CREATE VIEW computed AS SELECT id, lower(email) AS e, 'x' || ssn AS s FROM customers;
         CREATE VIEW star AS SELECT * FROM customers;
         CREATE VIEW whole AS SELECT c FROM customers c;
         CREATE VIEW unioned AS SELECT ssn FROM customers UNION ALL SELECT 'a';
         CREATE MATERIALIZED VIEW stored AS SELECT ssn AS kept, email || '' AS e FROM customers;
         CREATE TABLE heirs () INHERITS (customers);
         INSERT INTO heirs SELECT * FROM ONLY customers WHERE id = 7;
         CREATE TABLE generated (id int, email text, copy text GENERATED ALWAYS AS ('<' || email || '>') STORED);
         INSERT INTO generated SELECT id, email FROM customers;
         CREATE TABLE parts (id int, email text) PARTITION BY RANGE (id);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
         INSERT INTO parts SELECT id, email FROM customers WHERE id < 100;
         CREATE TYPE person AS (email text, age int);
         CREATE TABLE boxed (id int, who person, all_of_them person[]);
         INSERT INTO boxed SELECT id, ROW(email, 1)::person, ARRAY[ROW(email, 1)::person] FROM customers;
         CREATE DOMAIN address AS text;
         CREATE TABLE domains (email address, emails address[]);
         INSERT INTO domains SELECT email, ARRAY[email]::address[] FROM customers;
         CREATE VIEW spending_2 AS SELECT name, orders FROM spending;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO shop_app",
        &[
            "SELECT * FROM plain",
            "SELECT n FROM over_it",
            "SELECT * FROM computed",
            "SELECT e || '' FROM computed",
            "SELECT * FROM star",
            "SELECT star FROM star",
            "SELECT * FROM whole",
            "SELECT (c).ssn FROM whole",
            "SELECT * FROM unioned",
            "SELECT * FROM stored",
            "SELECT upper(kept) FROM stored",
            "SELECT * FROM heirs",
            "SELECT heirs FROM heirs",
            "SELECT * FROM generated",
            "SELECT copy FROM generated",
            "SELECT * FROM parts",
            "SELECT * FROM parts_1",
            "SELECT * FROM spending",
            "SELECT name FROM spending_2",
            "SELECT row_to_json(plain) FROM plain",
            "SELECT * FROM boxed",
            "SELECT (who).email FROM boxed",
            "SELECT all_of_them[1] FROM boxed",
            "SELECT (all_of_them[1]).email FROM boxed",
            "SELECT email FROM domains",
        ],
    );
}

#[test]
fn messages_beside_rows_tell_nothing() {
    assert_closed(
        "masks_messages",
        "",
        &[
            "SELECT ssn::int FROM customers WHERE id = 7",
            "SELECT email::int FROM customers WHERE id = 7",
            "SELECT name::date FROM customers WHERE id = 7",
            "SELECT email::json FROM customers WHERE id = 7",
            "SELECT ssn::uuid FROM customers WHERE id = 7",
            "SELECT ('{' || email)::int[] FROM customers WHERE id = 7",
            "SELECT * FROM customers WHERE ssn::int = 1",
            "SELECT 1 FROM customers WHERE email::inet IS NOT NULL",
            "SELECT count(*) FROM customers WHERE name::numeric > 0",
            "SELECT to_date(ssn, 'YYYY-MM-DD') FROM customers WHERE id = 7",
            "SELECT regexp_replace('a', ssn || '(', '') FROM customers WHERE id = 7",
            "SELECT set_config('application_name', email, false) FROM customers WHERE id = 7",
            "SELECT set_config(email, 'x', false) FROM customers WHERE id = 7",
            "SELECT set_config('search_path', ssn, false) FROM customers WHERE id = 7",
            "SELECT set_config('TimeZone', email, false) FROM customers WHERE id = 7",
            "LISTEN seven; SELECT pg_notify('seven', ssn) FROM customers WHERE id = 7",
            "INSERT INTO customers (name, email, ssn) SELECT 'x', email, 'y' FROM customers WHERE id = 7",
            "UPDATE customers SET email = (SELECT email FROM customers WHERE id = 8) WHERE id = 7",
            "UPDATE customers SET email = 'x' WHERE id IN (7, 8)",
            "UPDATE customers SET ssn = NULL WHERE id = 7",
            "UPDATE customers SET name = NULL WHERE id = 8",
            "DO $$ BEGIN RAISE NOTICE '%', (SELECT ssn FROM customers WHERE id = 7); END $$",
            "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT email FROM customers WHERE id = 7); END $$",
            "DO $$ BEGIN EXECUTE (SELECT ssn FROM customers WHERE id = 7); END $$",
            "EXPLAIN ANALYZE VERBOSE SELECT ssn FROM customers WHERE id = 7",
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT max(ssn) FROM customers WHERE id = 7",
            "EXPLAIN SELECT * FROM customers WHERE ssn > '100-10-0000'",
            "SELECT currval(email) FROM customers WHERE id = 7",
            "SELECT email::regclass FROM customers WHERE id = 7",
            "SELECT to_regclass(email), ssn::regtype FROM customers WHERE id = 7",
            "SELECT 1 / (length(ssn) - 11), ssn FROM customers WHERE id = 7",
            "SELECT pg_size_bytes(ssn) FROM customers WHERE id = 7",
            "SELECT to_timestamp(ssn, email) FROM customers WHERE id = 7",
            "SELECT xmlparse(document ssn) FROM customers WHERE id = 7",
            "SELECT xpath(ssn, '<a/>') FROM customers WHERE id = 7",
            "SELECT jsonb_path_query('{}', email::jsonpath) FROM customers WHERE id = 7",
        ],
    );
}

#[test]
fn values_are_not_carried_elsewhere() {
    assert_closed(
        "masks_carried",
        "",
        &[
            "CREATE TABLE cheat AS SELECT ssn AS x FROM customers",
            "SELECT * FROM cheat",
            "CREATE TEMP TABLE cheat2 AS SELECT ssn AS x FROM customers; SELECT * FROM cheat2",
            "SELECT ssn AS x INTO cheat3 FROM customers; SELECT * FROM cheat3",
            "CREATE TEMP TABLE box (x text); INSERT INTO box SELECT ssn FROM customers; SELECT * FROM box",
            "INSERT INTO products (sku, name, price) SELECT 'X' || id, ssn, 1 FROM customers RETURNING name",
            "INSERT INTO products (sku, name, price) VALUES ('Y', (SELECT ssn FROM customers WHERE id = 7), 1) RETURNING name",
            "UPDATE products SET name = c.ssn FROM customers c WHERE c.id = 7 AND products.id = 1 RETURNING products.name",
            "UPDATE products SET name = (SELECT email FROM customers WHERE id = 7) WHERE id = 1 RETURNING name",
            "UPDATE customers SET notes = ssn WHERE id = 7 RETURNING notes",
            "UPDATE customers SET notes = email WHERE id = 7",
            "SELECT notes FROM customers WHERE id = 7",
            "UPDATE customers SET (notes, card) = (ssn, email) WHERE id = 7 RETURNING notes",
            "INSERT INTO customers (id, name, email, ssn) VALUES (7, 'a', 'b', 'c') ON CONFLICT (id) DO UPDATE SET notes = customers.ssn RETURNING notes",
            "MERGE INTO products p USING customers c ON p.id = c.id WHEN MATCHED THEN UPDATE SET name = c.ssn",
            "WITH m AS (INSERT INTO products (sku, name, price) SELECT 'Z' || id, ssn, 1 FROM customers RETURNING name) SELECT * FROM m",
            "WITH s AS (SELECT ssn FROM customers WHERE id = 7) UPDATE products SET name = s.ssn FROM s WHERE id = 2 RETURNING name",
            "SELECT name FROM products",
            "CREATE VIEW v AS SELECT ssn || '' AS x FROM customers; SELECT * FROM v",
            "CREATE VIEW v2 AS SELECT * FROM customers; SELECT v2.ssn FROM v2",
            "CREATE MATERIALIZED VIEW m AS SELECT email FROM customers; SELECT * FROM m",
            "CREATE TABLE lk (LIKE customers INCLUDING ALL); INSERT INTO lk SELECT * FROM customers; SELECT * FROM lk",
            "ALTER TABLE customers RENAME COLUMN ssn TO harmless",
            "ALTER TABLE customers RENAME TO strangers",
            "ALTER TABLE customers SET SCHEMA pg_temp",
            "ALTER TABLE customers ADD COLUMN again text GENERATED ALWAYS AS (ssn || '') STORED",
            "SELECT again FROM customers",
            "CREATE TABLE heir (extra int) INHERITS (customers)",
            "CREATE TABLE whole (LIKE customers INCLUDING ALL) PARTITION BY RANGE (id); ALTER TABLE whole ATTACH PARTITION customers DEFAULT; SELECT * FROM whole",
            "CREATE TABLE parent (LIKE customers); ALTER TABLE customers INHERIT parent; SELECT * FROM parent",
            "SELECT * FROM parent",
            "CREATE VIEW later AS SELECT id FROM customers; CREATE OR REPLACE VIEW later AS SELECT replace(ssn, '-', '')::int AS id FROM customers; SELECT * FROM later",
            "SELECT * FROM later",
            "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS 'SELECT ssn FROM customers'",
            "SELECT f()",
            "SELECT * FROM f()",
            "CREATE FUNCTION pg_temp.g() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM public.customers WHERE id = 7'; SELECT pg_temp.g()",
            "CREATE RULE r AS ON UPDATE TO products DO ALSO UPDATE products SET name = (SELECT ssn FROM customers WHERE id = 7)",
            "SELECT lo_from_bytea(0, ssn::bytea) FROM customers WHERE id = 7",
            "SELECT pg_advisory_lock(replace(ssn, '-', '')::bigint) FROM customers WHERE id = 7; SELECT * FROM pg_locks WHERE locktype = 'advisory'",
            "SELECT setval('orders_id_seq', replace(ssn, '-', '')::bigint) FROM customers WHERE id = 7; SELECT last_value FROM orders_id_seq",
            "SELECT set_config('my.x', ssn, false) FROM customers WHERE id = 7; SELECT current_setting('my.x')",
            "SELECT query_to_xml('SELECT ssn FROM customers', true, false, '')",
            "SELECT table_to_xml('customers', true, false, '')",
            "SELECT schema_to_xml('public', true, false, '')",
            "SELECT database_to_xml(true, false, '')",
            "SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', email) FROM customers')",
            "DECLARE c CURSOR FOR SELECT ssn FROM customers; SELECT cursor_to_xml('c', 10, false, false, '')",
            "SELECT pg_read_file('postgresql.conf')",
            "SELECT * FROM pg_stats WHERE tablename = 'customers'",
            "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = 'customers'",
            "SELECT stavalues1::text FROM pg_statistic",
            "SELECT array_to_string(histogram_bounds::text::text[], ',') FROM pg_catalog.pg_stats WHERE attname = 'ssn'",
            "CREATE TEMP TABLE customers (id int, ssn text); SELECT ssn FROM public.customers",
            "SET search_path = pg_temp, public; SELECT ssn FROM customers",
            "CREATE INDEX ON customers ((ssn::int))",
            "CREATE STATISTICS st ON ssn, email FROM customers",
            "ALTER TABLE customers ADD CONSTRAINT c CHECK (ssn::int > 0)",
            "ALTER TABLE customers ALTER COLUMN ssn TYPE int USING ssn::int",
            "CREATE TABLE fk (email text REFERENCES customers (email))",
        ],
    );
}

#[test]
fn copies_are_masked_in_every_form() {
    let room = Room::open("masks_copies");
    let secrets = Secrets::of(&room);
    let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
    for (sql, expected) in [
        ("COPY customers TO STDOUT", "H d"),
        ("COPY customers (id, ssn) TO STDOUT", "H d"),
        ("COPY public.customers (email) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)", "H d"),
        (
            "COPY customers (ssn, name) TO STDOUT (FORMAT csv, DELIMITER ';', QUOTE '''', NULL 'x')",
            "H d",
        ),
        ("COPY customers TO STDOUT (FORMAT binary)", "H d"),
        ("COPY customers TO STDOUT BINARY", "H d"),
        ("COPY customers TO STDOUT WITH DELIMITER '|' NULL ''", "H d"),
        ("COPY (SELECT ssn, email FROM customers) TO STDOUT", "H d"),
        ("COPY (SELECT reverse(ssn) FROM customers) TO STDOUT (FORMAT csv)", "H d"),
        ("COPY (TABLE customers) TO STDOUT (FORMAT binary)", "H d"),
        ("COPY customers (ssn) TO STDOUT (ENCODING 'LATIN1')", "E(42501)"),
        ("COPY customers (id) TO STDOUT; COPY customers (ssn) TO STDOUT", "E(42501)"),
        ("COPY (UPDATE customers SET notes = '' WHERE id = 7 RETURNING ssn) TO STDOUT", "H d"),
    ] {
        raw.send(&query(sql));
        let answers = raw.until_ready();
        let words = transcript(&answers);
        assert!(words.starts_with(expected), "{sql}: {words}");
        assert!(words.ends_with("Z(I)"), "{sql}: {words}");
        assert_eq!(secrets.leaked(&answers), None, "{sql}");
        let all: Vec<u8> = answers.iter().flat_map(|message| message.body.clone()).collect();
        let all = String::from_utf8_lossy(&all).into_owned();
        for secret in &secrets.0 {
            assert!(!all.contains(secret), "{sql}: {secret}");
        }
    }
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
}
