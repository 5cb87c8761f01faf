//! Values in other clothes: encodings, the forms of copies, nested types, rows that are very wide or
//! very long. Here the second account is tried as well, for which nothing is protected by its column
//! and values are found where they stand.

use crate::masks::{Secrets, bind_binary};
use crate::support::raw::{Message, Raw, describe, execute, parse, query, sync, transcript};
use crate::world::{Account, Room, server, world};

fn all_bytes(answers: &[Message]) -> String {
    let bytes: Vec<u8> = answers.iter().flat_map(|message| message.body.clone()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Customer 7's columns have free texts on both sides that the bot may write.
const BETWEEN: &str = "ALTER TABLE customers RENAME COLUMN notes TO before;
     CREATE TABLE pinched (left_of text, email text, right_of text);
     INSERT INTO pinched SELECT NULL, email, NULL FROM customers WHERE id IN (7, 8);
     ALTER TABLE customers RENAME COLUMN before TO notes;
     GRANT ALL ON pinched TO shop_app";

#[test]
fn a_copy_in_an_encoding_that_hides_marks_tells_nothing() {
    let room = Room::open("masks_encodings");
    server().superuser(&room.database, BETWEEN);
    let secrets = Secrets::of(&room);
    // Second bytes of these are a backslash and a bar in the encodings below.
    let fill = "UPDATE pinched SET left_of = '表能構十ソ', right_of = 'ポ弌アａ|能'";
    let mut open = Vec::new();
    for encoding in ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB", "SHIFT_JIS_2004", "LATIN1"] {
        for copy in [
            "COPY pinched TO STDOUT",
            "COPY pinched TO STDOUT DELIMITER '|'",
            "COPY pinched TO STDOUT (FORMAT csv, DELIMITER '|', QUOTE '\\')",
            "COPY pinched (left_of, email) TO STDOUT (FORMAT csv, DELIMITER '|', QUOTE '^')",
            "SELECT * FROM pinched",
        ] {
            let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
            raw.query(fill);
            let set = format!("SET client_encoding = {encoding}");
            let steps = [
                vec![query(&format!("{set}; {copy}"))],
                vec![query(&set), query(copy)],
                vec![
                    [
                        parse("", &set),
                        bind_binary(),
                        execute("", 0),
                        parse("", copy),
                        bind_binary(),
                        execute("", 0),
                        sync(),
                    ]
                    .concat(),
                ],
                vec![
                    query(&format!("SELECT set_config('client_encoding', '{encoding}', false)")),
                    query(copy),
                ],
                vec![
                    query("PREPARE nothing AS SELECT 1"),
                    query("RESET ALL"),
                    query(&format!("{set};")),
                    query(copy),
                ],
            ];
            for step in steps.into_iter().flatten() {
                if raw.try_send(&step).is_err() {
                    break;
                }
                let answers = raw.until_ready();
                if let Some(secret) = secrets.leaked(&answers) {
                    open.push(format!("{encoding} {copy}: {secret} in {}", transcript(&answers)));
                }
                if all_bytes(&answers).contains("@example.com") {
                    open.push(format!("{encoding} {copy}: {}", all_bytes(&answers)));
                }
            }
        }
    }
    assert!(open.is_empty(), "{} roads are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn a_copy_with_odd_marks_tells_nothing() {
    let room = Room::open("masks_marks");
    server().superuser(&room.database, BETWEEN);
    let secrets = Secrets::of(&room);
    let seven = server().superuser(&room.database, "SELECT email FROM customers WHERE id = 7");
    let mut open = Vec::new();
    for fill in [
        "UPDATE pinched SET left_of = E'a\\\\', right_of = E'b|c\"\\n'",
        "UPDATE pinched SET left_of = E'\\\\.', right_of = E'\\r\\n,,'",
        "UPDATE pinched SET left_of = '', right_of = NULL",
        "UPDATE pinched SET left_of = E'\"\"\\n\"', right_of = E'x\\ty\\bz\\v'",
        "UPDATE pinched SET left_of = '\\N', right_of = '\"'",
    ] {
        let mut raw = Raw::login(&world().endpoint(Account::Masked, &room.database));
        assert_eq!(raw.query(fill), "C(UPDATE 2) Z(I)");
        for options in [
            "",
            "DELIMITER 'A'",
            "DELIMITER E'\\x01'",
            "NULL ''",
            "NULL E'a\\\\b'",
            "DELIMITER '@'",
            "(FORMAT csv)",
            "(FORMAT csv, DELIMITER '@')",
            "(FORMAT csv, DELIMITER '.', QUOTE '@')",
            "(FORMAT csv, QUOTE E'\\n', FORCE_QUOTE *)",
            "(FORMAT csv, ESCAPE E'\\n')",
            "(FORMAT csv, QUOTE E'\\r')",
            "(FORMAT csv, QUOTE 'e', ESCAPE 'x', FORCE_QUOTE (email))",
            "(FORMAT csv, NULL 'a', HEADER)",
            "(FORMAT csv, QUOTE '''', ESCAPE ',', DELIMITER ';')",
            "(FORMAT csv, DELIMITER 'x', ESCAPE 'x')",
            "(FORMAT csv, HEADER, FORCE_QUOTE (left_of))",
            "WITH CSV QUOTE '.' ESCAPE '@'",
            "CSV HEADER FORCE QUOTE email",
            "(FORMAT 'CSV')",
            "(FORMAT CSV)",
            "(\"format\" csv)",
            "(FORMAT text, HEADER)",
            "(HEADER match)",
            "(FORMAT binary)",
            "WITH BINARY",
            "(NULL E'\\t')",
            "(FORMAT csv, NULL '@')",
            "(FORMAT csv, NULL '\"\"')",
            "(FORMAT csv, FORCE_NULL (email))",
        ] {
            for list in [
                "",
                "(email)",
                "(right_of, email, left_of)",
                "(email, left_of)",
                "(left_of, email)",
            ] {
                let sql = format!("COPY pinched {list} TO STDOUT {options}");
                raw.send(&query(&sql));
                let answers = raw.until_ready();
                assert!(transcript(&answers).ends_with("Z(I)"), "{sql} after {fill}");
                let told =
                    all_bytes(&answers).replace(['@', '.', 'e', 'x', 'A', '\n', '"', '\''], "");
                let plain =
                    |text: &str| text.replace(['@', '.', 'e', 'x', 'A', '\n', '"', '\''], "");
                if secrets.leaked(&answers).is_some() || told.contains(&plain(&seven)) {
                    open.push(format!("{sql} after {fill}: {}", all_bytes(&answers)));
                }
            }
        }
    }
    assert!(open.is_empty(), "{} roads are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn intact_values_are_found_in_every_type() {
    let room = Room::open("masks_found");
    server().superuser(
        &room.database,
        "CREATE TYPE person AS (email text, ages int[]);
         CREATE DOMAIN address AS text;
         CREATE TYPE addresses AS RANGE (subtype = text);
         CREATE TYPE mood AS ENUM ('ada@example.com', 'sad')",
    );
    let mut raw = Raw::login(&world().endpoint(Account::Searched, &room.database));
    let mut open = Vec::new();
    for sql in [
        "SELECT 'ada@example.com'",
        "SELECT 'ada@example.com'::varchar(15)",
        "SELECT 'ada@example.com'::char(30)",
        "SELECT 'ada@example.com'::name",
        "SELECT 'ada@example.com'::xml",
        "SELECT 'ada@example.com'::address",
        "SELECT ARRAY['x', 'ada@example.com']",
        "SELECT ARRAY[ARRAY['ada@example.com']]",
        "SELECT ARRAY['ada@example.com']::varchar(20)[]",
        "SELECT ARRAY['ada@example.com'::name]",
        "SELECT ROW('ada@example.com', 1)",
        "SELECT ROW('ada@example.com', '{1}')::person",
        "SELECT ARRAY[ROW('ada@example.com', '{1}')::person]",
        "SELECT addresses('ada@example.com', 'b@example.com')",
        "SELECT 'ada@example.com'::mood",
        "SELECT ARRAY['ada@example.com'::mood]",
        "SELECT '{\"a\": \"ada@example.com\"}'::json",
        "SELECT '{\"ada@example.com\": 1}'::jsonb",
        "SELECT '\"ada\\u0040example.com\"'::json",
        "SELECT '{\"a\": \"\\u0061da@example\\u002ecom\"}'::json",
        "SELECT '\"ada\\u0040example.com\"'::jsonb",
        "SELECT ARRAY['\"ada\\u0040example.com\"'::json]",
        "SELECT '{\"a\": \"x@example.com\", \"b\": \"ada\\u0040example.com\"}'::json",
        "SELECT 'ada@example.com:1'::tsvector",
        "SELECT '''ada@example.com'''::tsquery",
        "SELECT 'ada@example.com'::bytea::text",
        "SELECT '$.\"ada@example.com\"'::jsonpath",
        "SELECT 'ada@example.com' AS \"ada@example.com\"",
        "SELECT 1 AS \"ada@example.com\"",
        "SELECT 'ada@example.com'::int",
        "SELECT 'ada@example.com'::regclass",
        "SELECT * FROM \"ada@example.com\"",
        "SELECT \"ada@example.com\"(1)",
        "SELECT 1::\"ada@example.com\"",
        "SET application_name = 'ada@example.com'",
        "SHOW application_name",
        "LISTEN \"ada@example.com\"; NOTIFY \"ada@example.com\", 'ada@example.com'",
        "LISTEN c; NOTIFY c, 'to ada@example.com'",
        "COPY (SELECT 'ada@example.com') TO STDOUT",
        "COPY (SELECT 'ada@example.com') TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT 'ada@example.com' AS \"ada@example.com\") TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT 'ada@example.com') TO STDOUT (FORMAT binary)",
        "COPY (SELECT 'ada@example.com') TO STDOUT (FORMAT csv, DELIMITER '@')",
        "COPY (SELECT 'ada@example.com') TO STDOUT (FORMAT csv, QUOTE '@')",
        "COPY (SELECT ARRAY['ada@example.com', E'\\\\']) TO STDOUT",
        "CREATE TEMP TABLE IF NOT EXISTS t (a text UNIQUE); INSERT INTO t VALUES ('ada@example.com'), ('ada@example.com')",
        "EXPLAIN SELECT * FROM customers WHERE email = 'ada@example.com'",
        "EXPLAIN (FORMAT JSON) SELECT * FROM customers WHERE email = 'ada@example.com'",
        "EXPLAIN (FORMAT XML) SELECT * FROM customers WHERE email = 'ada@example.com'",
        "SELECT * FROM customers WHERE id = 7",
        "SELECT c FROM customers c WHERE id = 7",
        "SELECT to_jsonb(c) FROM customers c WHERE id = 7",
        "SELECT array_agg(c) FROM customers c WHERE id = 7",
        "SELECT xmlforest(email) FROM customers WHERE id = 7",
        "SELECT repeat('x', 2000000) || ' ada@example.com ' || repeat('y', 2000000)",
        "SELECT repeat(' ada@example.com', 100000)",
        "SELECT ' <ada@example.com>, \"Ada\" ada@example.com;'",
        "SELECT 'mailto:ada@example.com?subject=1'",
        "SELECT E'x\\nada@example.com\\n'",
        "SELECT 'ada@example.com.'",
        "SELECT 'user=ada@example.com&x=1'",
        "SELECT '(ada@example.com)'",
        "SELECT 'ada@example.comé'",
        "SELECT 'éada@example.com'",
        "DO $$ BEGIN RAISE NOTICE 'ada@example.com'; END $$",
        "SELECT format('%s', 'ada@example.com'), 'x', now()",
        "PREPARE \"ada@example.com\" AS SELECT 1; SELECT name, statement FROM pg_prepared_statements; DEALLOCATE ALL",
        "DECLARE \"ada@example.com\" CURSOR WITH HOLD FOR SELECT 1; SELECT * FROM pg_cursors; CLOSE ALL",
        "SELECT '107-17-1259', '4111-1111-1111-1111', '4111 1111 1111 1111', '+1 555 500 5543 3'",
        "SELECT ARRAY['107-17-1259'], ROW('107-17-1259')",
    ] {
        let extended =
            [parse("", sql), bind_binary(), describe('P', ""), execute("", 0), sync()].concat();
        for bytes in [query(sql), extended] {
            raw.send(&bytes);
            let answers = raw.until_ready();
            assert!(transcript(&answers).ends_with("Z(I)"), "{sql}: {}", transcript(&answers));
            let told = all_bytes(&answers);
            for value in [
                "ada@example.com",
                "\\u0040example",
                "107-17-1259",
                "4111 1111 1111 1111",
                "4111-1111-1111-1111",
            ] {
                if told.contains(value) {
                    open.push(format!(
                        "{sql}: {value} in {} {}",
                        transcript(&answers),
                        &told[..told.len().min(300)]
                    ));
                }
            }
        }
    }
    assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
    assert!(open.is_empty(), "{} roads are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn huge_answers_disturb_nobody() {
    let room = Room::open("masks_huge");
    let secrets = Secrets::of(&room);
    let mut other = Raw::login(&world().endpoint(Account::Masked, &room.database));
    let columns: Vec<String> = (0..1600).map(|n| format!("ssn AS c{n}")).collect();
    let wide = format!("SELECT {} FROM customers WHERE id < 20", columns.join(", "));
    let computed = wide.replace("ssn AS", "ssn || '' AS");
    let many = "SELECT ssn, email, upper(name) FROM customers WHERE id IN (7, 8);".repeat(300);
    for account in [Account::Masked, Account::Searched] {
        let mut raw = Raw::login(&world().endpoint(account, &room.database));
        for sql in [
            wide.as_str(),
            computed.as_str(),
            many.as_str(),
            "SELECT repeat(ssn, 400000) FROM customers WHERE id IN (7, 8)",
            "SELECT array_fill(ssn::text, ARRAY[100000]) FROM customers WHERE id = 7",
            "SELECT array_fill(email, ARRAY[10, 10, 10, 10, 10]) FROM customers WHERE id = 7",
            "SELECT array_fill(c, ARRAY[2000], ARRAY[-5]) FROM customers c WHERE id = 7",
            "SELECT '[-2:1]={a,b,NULL,\"x,\\\"y\"}'::text[], '{}'::text[], ARRAY[NULL]::text[]",
            "SELECT c, ARRAY[c], ROW(c, ARRAY[c, c]) FROM customers c WHERE id < 10",
            "SELECT * FROM customers c, generate_series(1, 200) WHERE c.id < 100",
            "COPY (SELECT * FROM customers c, generate_series(1, 200) WHERE c.id < 100) TO STDOUT",
        ] {
            for bytes in
                [query(sql), [parse("", sql), bind_binary(), execute("", 0), sync()].concat()]
            {
                raw.send(&bytes);
                let answers = raw.until_ready();
                assert!(transcript(&answers).ends_with("Z(I)"), "{}", &sql[..sql.len().min(80)]);
                if account == Account::Masked {
                    assert_eq!(secrets.leaked(&answers), None, "{}", &sql[..sql.len().min(80)]);
                }
            }
        }
        assert_eq!(raw.query("SELECT 1"), "T D C(SELECT 1) Z(I)");
        assert_eq!(other.query("SELECT ssn FROM customers WHERE id = 7"), "T D C(SELECT 1) Z(I)");
    }
}
