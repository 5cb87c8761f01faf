//! Stand-ins of single values against a real server: it gives each value in both formats, takes
//! every stand-in back in both, and reads the same in each.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use narrows::mask::cell::{Field, Format, Keys, Replaced, Shape, replace, replace_fields};
use narrows::model::mask::Strategy;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::support::pki::Pki;
use crate::support::postgres::{Postgres, Role, Version};

#[expect(dead_code, reason = "what other tests stand on is more than this one needs")]
mod support {
    pub mod pki;
    pub mod postgres;
    pub mod process;
}

/// Every built-in type that has a shape, and values of it.
const TYPES: &[(&str, &[&str])] = &[
    ("bool", &["true", "false"]),
    (
        "bytea",
        &[
            "",
            r"\x00ff41",
            r"\x5c5c22",
            "hello world, and more of it to fill two pieces: 0123456789",
        ],
    ),
    ("\"char\"", &["x"]),
    ("name", &["customers", "Ünïcode"]),
    ("int8", &["0", "-1", "9223372036854775807", "-9223372036854775808", "1234567"]),
    ("int2", &["0", "-32768", "32767", "77"]),
    ("int4", &["0", "-2147483648", "2147483647", "123456", "-654321"]),
    ("text", &["", "ada@example.com", "219-09-9999", "Jürgen Müller", "a\"b\\c,{}()", "NULL", " "]),
    ("varchar", &["ADA.Lovelace@Example.com", "+49 30 1234567"]),
    ("varchar(8)", &["x@y.de", "12345678", "ada"]),
    ("bpchar", &["x", "trailing  "]),
    ("char(6)", &["a", "123456"]),
    ("char(40)", &["ada@example.com"]),
    ("oid", &["0", "4294967295", "2147483648", "16384"]),
    ("xid", &["4294967295"]),
    ("cid", &["7"]),
    ("json", &["1", "null", r#"{"a": [1, "ü"]}"#, r#""s""#]),
    ("jsonb", &["1", "null", r#"{"a": [1, "ü"]}"#, r#""s""#]),
    ("jsonpath", &["$.a[*]"]),
    ("xml", &["<a>1</a>", "text"]),
    ("point", &["(1.5,-2)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(1,2),(3,4)]"]),
    ("box", &["(1,2),(3,4)"]),
    ("path", &["[(1,2),(3,4)]", "((1,2),(3,4))"]),
    ("polygon", &["((1,2),(3,4),(5,6))"]),
    ("circle", &["<(1,2),3>"]),
    ("float4", &["1.5", "-0", "NaN", "Infinity", "0.1", "1e30", "1.1754944e-38"]),
    ("float8", &["1.5", "-0", "NaN", "-Infinity", "0.1", "1e300", "5e-324"]),
    ("money", &["1234.56", "-0.01"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("inet", &["10.1.2.3", "10.1.2.3/8", "::1", "2001:db8::1/64", "::ffff:1.2.3.4"]),
    ("cidr", &["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"]),
    (
        "date",
        &[
            "1999-12-31",
            "2000-02-29",
            "0044-03-15 BC",
            "4714-11-24 BC",
            "5874897-12-31",
            "infinity",
            "-infinity",
        ],
    ),
    ("time", &["00:00:00", "23:59:59.999999", "24:00:00"]),
    ("timetz", &["12:34:56.7-08:15"]),
    (
        "timestamp",
        &[
            "1999-12-31 23:59:59.5",
            "294276-12-31 23:59:59.999999",
            "4714-11-24 00:00:00 BC",
            "infinity",
            "-infinity",
        ],
    ),
    (
        "timestamptz",
        &[
            "1999-12-31 23:59:59.000001+02",
            "2000-01-01 00:30:00+05:45",
            "0001-06-01 12:00:00+00 BC",
            "infinity",
            "1800-01-01 00:00:00+00",
        ],
    ),
    ("interval", &["1 year 2 days 03:04:05.6", "-1 day", "0"]),
    (
        "numeric",
        &[
            "0",
            "0.00",
            "1",
            "-1",
            "1234.50",
            "-0.000123",
            "0.00001234567",
            "12345678901234567890.123456789",
            "10000",
            "100000000",
            "NaN",
            "Infinity",
            "-Infinity",
            "0.1",
            "99999999",
            "1e30",
            "9223372036854775808",
        ],
    ),
    ("numeric(30,4)", &["1234.5", "1000000"]),
    ("bit", &["1"]),
    ("bit(11)", &["10101010111"]),
    ("varbit", &["", "101"]),
    ("uuid", &["123e4567-e89b-12d3-a456-426614174000"]),
    ("tsvector", &["a fat cat", ""]),
    ("tsquery", &["fat & rat"]),
    ("int4range", &["[1,5)", "empty"]),
    ("numrange", &["[1.5,)"]),
    ("tstzrange", &["[2000-01-01 00:00:00+00,)"]),
    ("int8multirange", &["{[1,5),[7,9)}"]),
    ("refcursor", &["c"]),
    // Made by `TYPES_MADE`.
    ("mood", &["sad", "so-so", "it's \"ok\""]),
];

const TYPES_MADE: &str = "CREATE TYPE mood AS ENUM ('sad', 'so-so', 'it''s \"ok\"');";

const STRATEGIES: &[Strategy] = &[
    Strategy::Null,
    Strategy::Redact,
    Strategy::Mask,
    Strategy::Hash,
    Strategy::Pseudonym,
    Strategy::Fpe,
    Strategy::Partial { keep_first: 1, keep_last: 4 },
    Strategy::Year,
];

/// Where the type is one of ours, its shape is not known by number.
fn shape(type_name: &str, oid: u32, typmod: i32) -> Shape {
    if type_name == "mood" {
        return Shape::Enum(Arc::from(["sad", "so-so", "it's \"ok\""].map(Box::from)));
    }
    Shape::built_in(oid, typmod).unwrap_or_else(|| unreachable!("{type_name} has no shape"))
}

struct Server {
    client: Client,
    keys: Keys,
    _process: Postgres,
}

/// A value in both formats; `None` is NULL.
#[derive(Debug)]
struct Forms {
    text: Option<Vec<u8>>,
    binary: Option<Vec<u8>>,
}

impl Server {
    async fn start() -> Self {
        let process = Postgres::start(Version::V15, &Pki::new());
        let config = format!(
            "host=127.0.0.1 port={} user={} dbname=shop",
            process.port(),
            Role::Trust.name()
        );
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(TYPES_MADE).await.unwrap();
        Self { client, keys: Keys::new(&[7; 32]), _process: process }
    }

    async fn one(&self, sql: &str) -> Option<String> {
        let messages = self.client.simple_query(sql).await;
        let messages = messages.unwrap_or_else(|error| unreachable!("{sql}: {error:?}"));
        let row = messages.iter().find_map(|message| {
            if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
        });
        row.unwrap().get(0).map(str::to_owned)
    }

    async fn forms(&self, expression: &str) -> Forms {
        let text = self.one(&format!("SELECT {expression}")).await.map(String::into_bytes);
        let copy = format!("COPY (SELECT {expression}) TO STDOUT BINARY");
        let chunks: Vec<Bytes> =
            self.client.copy_out(&copy).await.unwrap().try_collect().await.unwrap();
        let bytes = chunks.concat();
        // Signature, flags, extension; then how many fields, and the field.
        let field = bytes.get(21..).unwrap();
        let length = i32::from_be_bytes(field.get(..4).unwrap().try_into().unwrap());
        let binary = usize::try_from(length).ok().map(|n| field.get(4..4 + n).unwrap().to_vec());
        Forms { text, binary }
    }

    /// A table with one column of the type, empty; the type's number and what the column declares.
    async fn table(&self, type_name: &str) -> (u32, i32) {
        let sql = format!(
            "SET client_min_messages = error; DROP TABLE IF EXISTS cell; \
             CREATE TEMP TABLE cell (v {type_name})"
        );
        self.client.batch_execute(&sql).await.unwrap();
        let sql = "SELECT atttypid || ' ' || atttypmod FROM pg_attribute \
                   WHERE attrelid = 'cell'::regclass AND attname = 'v'";
        let answer = self.one(sql).await.unwrap();
        let (oid, typmod) = answer.split_once(' ').unwrap();
        (oid.parse().unwrap(), typmod.parse().unwrap())
    }

    /// Both forms put into the table's column, and `shown` of it as the server sees it then.
    async fn taken_back(&self, forms: &Forms, shown: &str) -> [Option<String>; 2] {
        let text = match &forms.text {
            Some(text) => literal(std::str::from_utf8(text).unwrap()),
            None => "NULL".to_owned(),
        };
        let sql = format!("INSERT INTO cell VALUES ({text}) RETURNING {shown}");
        let by_text = self.one(&sql).await;
        self.client.batch_execute("TRUNCATE cell").await.unwrap();
        let mut row = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01".to_vec();
        match &forms.binary {
            Some(binary) => {
                row.extend(i32::try_from(binary.len()).unwrap().to_be_bytes());
                row.extend(binary);
            }
            None => row.extend((-1_i32).to_be_bytes()),
        }
        row.extend([0xff; 2]);
        let sink = self.client.copy_in("COPY cell FROM STDIN BINARY").await.unwrap();
        let mut sink = Box::pin(sink);
        sink.send(Bytes::from(row)).await.unwrap();
        let taken = sink.as_mut().finish().await;
        taken.unwrap_or_else(|error| unreachable!("{forms:?}: {error:?}"));
        let by_binary = self.one(&format!("SELECT {shown} FROM cell")).await;
        self.client.batch_execute("TRUNCATE cell").await.unwrap();
        [by_text, by_binary]
    }

    fn stand_ins(&self, strategy: Strategy, shape: &Shape, forms: &Forms) -> Forms {
        let stand_in = |format, cell: &Option<Vec<u8>>| {
            let mut out = Vec::new();
            match replace(strategy, shape, format, cell.as_ref()?, &self.keys, &mut out) {
                Replaced::Null => None,
                Replaced::Written => Some(out),
            }
        };
        Forms {
            text: stand_in(Format::Text, &forms.text),
            binary: stand_in(Format::Binary, &forms.binary),
        }
    }

    /// Every strategy on one value: the server takes it, and both formats say the same.
    async fn check(&self, type_name: &str, value: &str, shape: &Shape) {
        let forms = self.forms(value).await;
        for strategy in STRATEGIES {
            let context = format!("{strategy:?} of {value} as {type_name}");
            let others = self.stand_ins(*strategy, shape, &forms);
            let [by_text, by_binary] = self.taken_back(&others, "v::text").await;
            assert_eq!(by_text, by_binary, "{context}: {forms:?} became {others:?}");
            let must_be_null = *strategy == Strategy::Null || is_before_the_first_year(value);
            assert!(must_be_null || by_text.is_some(), "{context} is NULL");
        }
    }
}

/// The first year that the server knows has no first of January.
fn is_before_the_first_year(value: &str) -> bool {
    value.contains("4714")
}

fn literal(text: &str) -> String {
    // The other kind of quote knows no escapes.
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn the_server_takes_every_stand_in_in_both_formats() {
    let server = Server::start().await;
    for (type_name, values) in TYPES {
        let (oid, typmod) = server.table(type_name).await;
        let scalar = shape(type_name, oid, typmod);
        for value in *values {
            let value = format!("{}::{type_name}", literal(value));
            server.check(type_name, &value, &scalar).await;
        }
        let array_name = format!("{type_name}[]");
        let (array_oid, _) = server.table(&array_name).await;
        let array = Shape::built_in(array_oid, typmod)
            .unwrap_or_else(|| Shape::Array(Arc::new(scalar.clone()), oid));
        assert_eq!(array, Shape::Array(Arc::new(scalar), oid), "{array_name}");
        let items: Vec<_> =
            values.iter().map(|value| format!("{}::{type_name}", literal(value))).collect();
        let row = items.join(",");
        for value in [
            format!("ARRAY[{row}, NULL]::{array_name}"),
            format!("ARRAY[ARRAY[{row}], ARRAY[{row}]]::{array_name}"),
            format!(
                "array_fill({}, ARRAY[2, 2], ARRAY[-1, 3])::{array_name}",
                items.last().unwrap()
            ),
            format!("'{{}}'::{array_name}"),
        ] {
            server.check(&array_name, &value, &array).await;
        }
    }
    every_array_is_known(&server).await;
    rows_are_replaced_field_by_field(&server).await;
    styles_of_text_are_met(&server).await;
}

/// Seeded, so that a failure comes again.
#[test]
fn cells_of_any_bytes_hold() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Bytes that structure is made of come more often than they would by chance.
    let signs = b"{}(),;\"\\ 0123456789-+:./[]=NULinfBC@x\0\0\0\x01\xff\xc3\xbc";
    for _ in 0..100_000 {
        let length = random() % 48;
        let bytes: Vec<u8> = (0..length + 3)
            .map(|at| match random() {
                any if at < 3 || any % 4 == 0 => (any >> 8) as u8,
                any => signs[(any >> 8) as usize % signs.len()],
            })
            .collect();
        narrows::fuzzing::mask_cell(&bytes);
    }
}

/// The numbers of types and of their arrays are what this server says.
async fn every_array_is_known(server: &Server) {
    let sql = "SELECT string_agg(oid || ' ' || typarray, ',') FROM pg_type \
               WHERE oid < 16384 AND typarray <> 0";
    let pairs = server.one(sql).await.unwrap();
    let mut known = 0;
    for pair in pairs.split(',') {
        let (element, array) = pair.split_once(' ').unwrap();
        let (element, array): (u32, u32) = (element.parse().unwrap(), array.parse().unwrap());
        let expected = Shape::built_in(element, 20).map(|it| Shape::Array(Arc::new(it), element));
        known += usize::from(expected.is_some());
        assert_eq!(Shape::built_in(array, 20), expected, "array {array} of {element}");
    }
    assert!(known > 50, "only {known} arrays have shapes");
}

/// A composite with a field of every type, alone and in an array.
async fn rows_are_replaced_field_by_field(server: &Server) {
    let (mut declared, mut fields, mut values, mut shown) =
        (String::new(), Vec::new(), String::new(), String::new());
    for (at, (type_name, literals)) in TYPES.iter().enumerate() {
        let (type_oid, typmod) = server.table(type_name).await;
        let separator = if at > 0 { "," } else { "" };
        write!(declared, "{separator} f{at} {type_name}").unwrap();
        write!(values, "{separator} {}", literal(literals.last().unwrap())).unwrap();
        if at % 2 == 0 {
            write!(shown, "{} (v).f{at}::text", if at > 0 { " || '|' ||" } else { "" }).unwrap();
        }
        let protection = (at % 2 == 1).then_some(Strategy::Redact);
        fields.push(Field { type_oid, shape: shape(type_name, type_oid, typmod), protection });
    }
    let sql = format!(
        "CREATE TYPE every AS ({declared}); CREATE TYPE within AS (a int4, e every, l every[])"
    );
    server.client.batch_execute(&sql).await.unwrap();
    let every = Shape::Composite(fields.into());
    let (every_oid, _) = server.table("every").await;
    let (list_oid, _) = server.table("every[]").await;
    let field = |type_oid, shape| Field { type_oid, shape, protection: None };
    let list = Shape::Array(Arc::new(every.clone()), every_oid);
    let within = Shape::Composite(Arc::from([
        field(23, Shape::Int4),
        field(every_oid, every.clone()),
        field(list_oid, list.clone()),
    ]));
    let value = format!("ROW({values})::every");
    for (type_name, value, shape) in [
        ("every", value.clone(), &every),
        ("every", "ROW()::every".replace("()", &nulls()), &every),
        ("every[]", format!("ARRAY[{value}, NULL, {value}]"), &list),
        ("within", format!("ROW(1, {value}, ARRAY[{value}])::within"), &within),
    ] {
        server.table(type_name).await;
        server.check(type_name, &value, shape).await;
    }

    server.table("every").await;
    let forms = server.forms(&value).await;
    let open = |format, cell: &Option<Vec<u8>>| {
        let mut out = Vec::new();
        let replaced =
            replace_fields(&every, format, cell.as_ref().unwrap(), &server.keys, &mut out);
        assert_eq!(replaced, Replaced::Written);
        Some(out)
    };
    let others = Forms {
        text: open(Format::Text, &forms.text),
        binary: open(Format::Binary, &forms.binary),
    };
    let [before, _] = server.taken_back(&forms, &shown).await;
    let after = server.taken_back(&others, &shown).await;
    assert_eq!([before.clone(), before], after, "open fields changed");
    let [by_text, by_binary] = server.taken_back(&others, "v::text").await;
    assert_eq!(by_text, by_binary);
    assert!(!by_text.unwrap().contains("hello"), "a protected field is left");
}

fn nulls() -> String {
    format!("({})", vec!["NULL"; TYPES.len()].join(","))
}

/// Settings that change how text looks.
async fn styles_of_text_are_met(server: &Server) {
    for (setting, type_name, value) in [
        ("bytea_output = escape", "bytea", r"'\x00ff415c27'"),
        ("bytea_output = escape", "bytea[]", r"ARRAY['\x00ff415c27'::bytea]"),
        ("IntervalStyle = iso_8601", "interval", "'1 day 2 hours'"),
        ("IntervalStyle = postgres_verbose", "interval", "'1 day 2 hours'"),
        ("IntervalStyle = sql_standard", "interval", "'1 day 2 hours'"),
        ("TimeZone = 'America/St_Johns'", "timestamptz", "'1999-12-31 23:59:59.000001+02'"),
        ("TimeZone = 'Asia/Kathmandu'", "timestamptz", "'1900-01-01 00:00:00+00'"),
        ("extra_float_digits = 3", "float4", "'0.1'"),
    ] {
        let (oid, typmod) = server.table(type_name).await;
        server.client.batch_execute(&format!("SET {setting}")).await.unwrap();
        let shape = shape(type_name, oid, typmod);
        server.check(type_name, &format!("{value}::{type_name}"), &shape).await;
        let name = setting.split(' ').next().unwrap();
        server.client.batch_execute(&format!("RESET {name}")).await.unwrap();
    }
    // A style that is not read: nothing of the value is left.
    for style in ["German", "SQL, DMY", "Postgres"] {
        server.client.batch_execute(&format!("SET DateStyle = '{style}'")).await.unwrap();
        for type_name in ["date", "timestamp", "timestamptz"] {
            let (oid, typmod) = server.table(type_name).await;
            let shape = shape(type_name, oid, typmod);
            let forms = server.forms(&format!("'1999-12-31'::{type_name}")).await;
            for strategy in STRATEGIES {
                let others = server.stand_ins(*strategy, &shape, &forms);
                assert_eq!(others.text, None, "{strategy:?} in style {style}");
            }
        }
    }
}
