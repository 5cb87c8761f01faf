//! Statements that mappers and drivers send: values of every type, parameters, copies, pipelines.

use super::*;
use crate::postgres::exact::bind;
use crate::support::raw::{
    close, copy_data, copy_done, copy_fail, describe, execute, flush, message, parse,
};

pub fn psql() -> Command {
    let mut psql = Command::new("psql");
    psql.arg("-X");
    for word in [
        "d",
        "d customers",
        "d+ customers",
        "d orders",
        "d+ order_items",
        "d spending",
        "d+ spending",
        "d customers_pkey",
        "d orders_id_seq",
        "dt",
        "dtS",
        "dv",
        "di",
        "ds",
        "dm",
        "dE",
        "df",
        "dfS lower",
        "da",
        "dn",
        "dn+",
        "du",
        "dg",
        "l",
        "dT",
        "dT+ order_status",
        "dTS int4",
        "dC",
        "do ->>",
        "dD",
        "dF",
        "dFd",
        "dFp",
        "dFt",
        "dL",
        "dO",
        "dp",
        "z products",
        "ddp",
        "drds",
        "dx",
        "dy",
        "dA",
        "dAc",
        "dAo btree",
        "dAp btree",
        "dAf btree",
        "db",
        "dc",
        "dd",
        "des",
        "dew",
        "det",
        "deu",
        "dP",
        "dRp",
        "dX",
        "sv spending",
        "encoding",
        "conninfo",
        "dconfig work_mem",
        "sf lower(text)",
    ] {
        psql.args(["-c", &format!("\\{word}")]);
    }
    psql
}

/// What object mappers send: the same few shapes over each table, each in its own spelling.
pub fn mapped() -> Vec<Step> {
    let tables: [(&str, &str, &[&str]); 3] = [
        ("products", "id", &["id", "sku", "name", "price", "attributes", "picture"]),
        ("orders", "id", &["id", "customer_id", "status", "placed"]),
        ("order_items", "order_id", &["order_id", "product_id", "quantity", "price"]),
    ];
    let mut steps = Vec::new();
    for (table, key, columns) in tables {
        let each = |shape: &dyn Fn(&str) -> String| -> String {
            columns.iter().map(|column| shape(column)).collect::<Vec<_>>().join(", ")
        };
        let labelled = each(&|column| format!("{table}.{column} AS {table}_{column}"));
        let quoted = each(&|column| format!("\"{table}\".\"{column}\""));
        let aliased = each(&|column| format!("t1_0.{column}"));
        let numbered = each(&|column| format!("this_.{column} as {column}1_0_"));
        let last = columns[columns.len() - 1];
        let mut add = |text: String| steps.push(Step::Text(text));
        for id in [1, 7, 0] {
            add(format!("SELECT {labelled} \nFROM {table} \nWHERE {table}.{key} = {id}"));
            add(format!(
                "SELECT {quoted} FROM \"{table}\" WHERE \"{table}\".\"{key}\" = {id} LIMIT 21"
            ));
            add(format!(
                "SELECT \"{table}\".* FROM \"{table}\" WHERE \"{table}\".\"{key}\" = {id} LIMIT 1"
            ));
            add(format!("select {aliased} from {table} t1_0 where t1_0.{key}={id}"));
            add(format!(
                "select {numbered} from public.{table} this_ where this_.{key}={id} fetch first 2 rows only"
            ));
        }
        add(format!(
            "SELECT {labelled} FROM {table} ORDER BY {table}.{key}, {last} LIMIT 10 OFFSET 5"
        ));
        add(format!(
            "SELECT {quoted} FROM \"{table}\" ORDER BY \"{table}\".\"{key}\" ASC, 2 LIMIT 3"
        ));
        add(format!("SELECT count(*) AS count_1 FROM (SELECT {labelled} FROM {table}) AS anon_1"));
        add(format!("SELECT COUNT(*) AS \"__count\" FROM \"{table}\""));
        add(format!(
            "SELECT 1 AS one FROM \"{table}\" WHERE \"{table}\".\"{key}\" IN (1, 2, 3) LIMIT 1"
        ));
        add(format!(
            "SELECT (1) AS \"a\" FROM \"{table}\" WHERE \"{table}\".\"{key}\" > 3 LIMIT 1"
        ));
        add(format!("select max(t1_0.{key}), min(t1_0.{key}), avg(t1_0.{key}) from {table} t1_0"));
        add(format!(
            "SELECT t0.{last} FROM {table} AS t0 GROUP BY t0.{last} ORDER BY t0.{last} LIMIT 5"
        ));
        add(format!(
            "SELECT {aliased}, a.n FROM {table} t1_0 LEFT JOIN LATERAL (SELECT count(*) AS n FROM {table} u WHERE u.{key} = t1_0.{key}) a ON true ORDER BY 1, 2 LIMIT 4"
        ));
        add(format!(
            "BEGIN; UPDATE \"{table}\" SET \"{last}\" = \"{table}\".\"{last}\" WHERE \"{table}\".\"{key}\" = 3; ROLLBACK"
        ));
        add(format!("DELETE FROM {table} WHERE {table}.{key} = -1 RETURNING {table}.{key}"));
    }
    steps
}

/// A value of each type, in every format.
pub fn values() -> Vec<Step> {
    let mut steps: Vec<Step> = LITERALS
        .iter()
        .flat_map(|(name, literal)| {
            [
                format!("SELECT '{literal}'::{name} AS v"),
                format!("SELECT ARRAY['{literal}', NULL]::{name}[], ROW('{literal}'::{name}, 1)"),
            ]
        })
        .map(Step::Text)
        .collect();
    steps.push(Step::Text("SELECT 4111111111111111, '{4111111111111111}'::int8[]".to_owned()));
    let wide: Vec<String> = (0..1000).map(|n| format!("{n} AS column_{n}")).collect();
    steps.push(Step::Text(format!("SELECT {}", wide.join(", "))));
    let wide: Vec<String> = (0..1000).map(|n| format!("'{n}'::text || n")).collect();
    steps.push(Step::Text(format!("SELECT {} FROM generate_series(1, 3) n", wide.join(", "))));
    steps
}

const LITERALS: &[(&str, &str)] = &[
    ("text", "naïve ☎ 漢字 🦀"),
    ("varchar(9)", "words"),
    ("char(7)", "pad"),
    ("name", "a_name"),
    ("json", "{\"a\": [1, null]}"),
    ("jsonb", "{\"a\": {\"b\": \"c\\\\d\"}}"),
    ("jsonpath", "$.a[*]"),
    ("xml", "<a>b</a>"),
    ("bytea", "\\x00ff"),
    ("bool", "t"),
    ("int2", "-7"),
    ("int4", "2147483647"),
    ("int8", "9007199254740993"),
    ("oid", "4294967295"),
    ("float4", "1.5"),
    ("float8", "1e-300"),
    ("numeric", "12345678901234567890.0123"),
    ("money", "-1.50"),
    ("date", "0044-03-15 BC"),
    ("time", "24:00"),
    ("timetz", "01:02:03+04"),
    ("timestamp", "infinity"),
    ("timestamptz", "1999-12-31 23:59:59.999999+00"),
    ("interval", "-1 mon 2 days"),
    ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet", "10.0.0.1/8"),
    ("cidr", "::/0"),
    ("macaddr", "08:00:2b:01:02:03"),
    ("macaddr8", "08:00:2b:01:02:03:04:05"),
    ("bit(3)", "101"),
    ("varbit", ""),
    ("point", "(1,2)"),
    ("line", "{1,2,3}"),
    ("lseg", "[(1,2),(3,4)]"),
    ("box", "(3,4),(1,2)"),
    ("path", "[(1,2)]"),
    ("polygon", "((1,2),(3,4))"),
    ("circle", "<(1,2),3>"),
    ("tsvector", "a:1 b:2"),
    ("tsquery", "a & b"),
    ("int4range", "[1,5)"),
    ("tstzrange", "empty"),
    ("int8multirange", "{[1,2),[5,)}"),
    ("order_status", "paid"),
    ("products", "(1,a,b,2.50,{},)"),
    ("regclass", "orders"),
    ("pg_lsn", "16/B374D848"),
    ("xid8", "42"),
    ("hstore", "a=>1"),
    ("\"char\"", "x"),
    ("int2vector", "1 2"),
    ("tid", "(0,1)"),
    ("refcursor", "portal"),
];

/// Statements with parameters, as text and as bytes.
pub fn parameters() -> Vec<Step> {
    let text = |sql: &str, values: &[&str]| {
        let cells = values.iter().map(|value| Some(value.as_bytes().to_vec())).collect();
        Step::With(sql.to_owned(), cells, Format::Text)
    };
    let binary = |sql: &str, cells: Vec<Cell>| Step::With(sql.to_owned(), cells, Format::Binary);
    let int4 = |n: i32| Some(n.to_be_bytes().to_vec());
    vec![
        text("SELECT $1", &["untyped"]),
        text("SELECT $1::int + $2::int", &["1", "2"]),
        text("SELECT id, sku FROM products WHERE id = $1", &["3"]),
        text("SELECT id FROM products WHERE sku = $1 OR price > $2 ORDER BY id", &["x", "20.5"]),
        text("SELECT name FROM products WHERE id = ANY ($1::int[]) ORDER BY id", &["{1,2,3}"]),
        text(
            "SELECT $1::jsonb -> 'a', $2::timestamptz, $3::uuid",
            &["{\"a\": [1]}", "2024-05-06 07:08:09+02", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
        ),
        text("SELECT $1::int", &["not a number"]),
        text("SELECT $1::int, $2::int", &["1"]),
        text("SELECT 1", &["too", "many"]),
        text("SELECT $1::order_status", &["paid"]),
        text("UPDATE products SET name = $1 WHERE id = $2 RETURNING id", &["x", "-1"]),
        text("SELECT * FROM products LIMIT $1 OFFSET $2", &["2", "1"]),
        text("SELECT $1 || $2", &["a", "b"]),
        text("INSERT INTO orders (customer_id) VALUES ($1)", &["999999"]),
        text("SELECT missing FROM products WHERE id = $1", &["1"]),
        binary("SELECT $1::int4 * 2", vec![int4(21)]),
        binary("SELECT id, sku, price FROM products WHERE id = $1", vec![int4(4)]),
        binary("SELECT $1::int4, $2::text", vec![None, Some(b"bytes".to_vec())]),
        binary("SELECT $1::int8", vec![int4(1)]),
        binary("SELECT $1::bytea, length($1)", vec![Some(vec![0, 255, 39, 92])]),
        binary("SELECT $1::float8", vec![Some(2.5_f64.to_be_bytes().to_vec())]),
        binary("SELECT $1::bool", vec![Some(vec![1])]),
        binary("SELECT octet_length($1::text)", vec![Some(vec![b'x'; 300_000])]),
        binary("SELECT $1::text", vec![Some(vec![b'x'; 300_000])]),
    ]
}

pub fn copies() -> Vec<Step> {
    let mut steps: Vec<Step> = [
        "COPY products TO STDOUT",
        "COPY products (id, sku, price) TO STDOUT (FORMAT csv, HEADER)",
        "COPY products TO STDOUT (FORMAT binary)",
        "COPY order_items TO STDOUT WITH CSV QUOTE '''' FORCE QUOTE *",
        "COPY (SELECT id, name FROM customers ORDER BY id LIMIT 20) TO STDOUT (DELIMITER '|', NULL 'none')",
        "COPY (SELECT n, repeat('x', n), E'tab\\tand\\nline' FROM generate_series(1, 200) n) TO STDOUT",
        "COPY (SELECT n, repeat('x', n) FROM generate_series(1, 200) n) TO STDOUT (FORMAT binary)",
        "COPY (SELECT n / (n - 150) FROM generate_series(1, 200) n) TO STDOUT",
        "COPY (SELECT) TO STDOUT",
        "COPY (SELECT 1 WHERE false) TO STDOUT",
        "COPY (SELECT repeat('x', 500000)) TO STDOUT",
        "BEGIN",
    ]
    .map(|sql| Step::Text(sql.to_owned()))
    .into();
    let data = |lines: &[&str]| -> Vec<u8> {
        let lines: Vec<u8> = lines.iter().flat_map(|line| copy_data(line)).collect();
        [lines, copy_done()].concat()
    };
    let wrong = [copy_data("1\tone\nnot a number\tx\n"), copy_done()].concat();
    let given_up = [copy_data("1\tone\n"), copy_fail("changed my mind")].concat();
    let taken = |options: &str| format!("COPY harmless (n, value) FROM STDIN{options}");
    steps.extend([
        Step::CopyIn(taken(""), data(&["1\tone\n2\t", "two\n3\t\\N\n"])),
        Step::CopyIn(taken(" (FORMAT csv)"), data(&["4,\"four, and more\"\n", "5,\n"])),
        Step::Text("SELECT * FROM harmless ORDER BY n".to_owned()),
        Step::Text("SAVEPOINT before".to_owned()),
        Step::CopyIn(taken(""), wrong),
        Step::Text("ROLLBACK TO before".to_owned()),
        Step::CopyIn(taken(""), given_up),
        Step::Text("ROLLBACK".to_owned()),
    ]);
    steps
}

/// Messages that no single statement gives.
pub fn exact() -> Vec<Step> {
    let sql = "SELECT id, sku FROM products ORDER BY id";
    let in_parts = [
        parse("s", sql),
        message(b'B', &[&b"p\0s\0"[..], &[0; 6]].concat()),
        describe('P', "p"),
        execute("p", 3),
        execute("p", 2),
        execute("p", 0),
        close('P', "p"),
        sync(),
    ];
    let undescribed = [bind(&[], Format::Text, Format::Text), execute("", 4), sync()];
    let no_statement = [describe('S', "missing"), sync()];
    let pipelined = [
        whole_exchange("SELECT 1", &[], Format::Text, Format::Text),
        whole_exchange("SELECT 1 / 0", &[], Format::Text, Format::Text),
        whole_exchange("SELECT 3", &[], Format::Text, Format::Binary),
    ];
    let mut exact = vec![
        in_parts.concat(),
        [parse("", sql), undescribed.concat()].concat(),
        [parse("t", sql), describe('S', "t"), flush(), close('S', "t"), sync()].concat(),
        [close('S', "s"), sync()].concat(),
        [close('P', "never"), sync()].concat(),
        no_statement.concat(),
        [
            parse("", ""),
            bind(&[], Format::Text, Format::Text),
            describe('P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
        [
            parse("", "SELECT"),
            bind(&[], Format::Text, Format::Text),
            describe('P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
        sync(),
        [flush(), sync()].concat(),
    ];
    // Only the first of several answers is waited for by each step, the others by those behind it.
    exact.push(pipelined[0].clone());
    exact.push(pipelined.concat());
    exact.push(Vec::new());
    exact.push(Vec::new());
    exact.into_iter().map(Step::Exact).collect()
}

pub fn obscure() -> Vec<Step> {
    let mut steps = texts(include_str!("../../statements/obscure.sql"));
    steps.push(Step::Exact([execute("missing", 0), sync()].concat()));
    steps
}
