//! A masked column of every type: what comes instead can be read in both formats by the server
//! itself and by real drivers, is the same value in both, and is never the value.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use tokio_postgres::types::FromSql;
use tokio_postgres::types::Type;

use crate::postgres::clients::python;
use crate::postgres::exact::{Cell, Format, rows};
use crate::postgres::tokio_postgres::connect;
use crate::support::endpoint::Endpoint;
use crate::support::postgres::{Role, Version};
use crate::support::process::{Scratch, run};
use crate::support::raw::Raw;
use crate::world::{self, Passage};

/// A type, and two values of it that no stand-in is equal to by design.
struct Kind {
    name: &'static str,
    values: [&'static str; 2],
}

const fn kind(name: &'static str, one: &'static str, other: &'static str) -> Kind {
    Kind { name, values: [one, other] }
}

const KINDS: &[Kind] = &[
    kind("text", "ada.lovelace@shop.example", "Grace Höpper ☎ 12345678"),
    kind("varchar(30)", "219-09-9999 and so on", "blaise@pascal.example"),
    kind("varchar", "", "5500 0000 0000 0004"),
    kind("char(20)", "DE89370400440532", "Zürich"),
    kind("name", "some_table_of_ours", "Über"),
    kind("json", r#"{"name": "Ada", "cards": [4111, 2]}"#, r#"["x", null, "\u00e9"]"#),
    kind("jsonb", r#"{"name": "Ada", "cards": [4111, 2]}"#, "1234567"),
    kind("jsonpath", "$.\"name\"[*]", "$.\"a\""),
    kind("xml", "<person><name>Ada</name></person>", "<a b=\"1\"/>"),
    kind("bytea", r"\x00ff5c27deadbeef", r"\x616461"),
    kind("bool", "true", "true"),
    kind("int2", "1234", "-321"),
    kind("int4", "123456789", "-98765432"),
    kind("int8", "1234567890123456789", "-77777777777"),
    kind("oid", "4123456789", "16999"),
    kind("float4", "3.25", "-1.5e+10"),
    kind("float8", "2.718281828459045", "-1e+300"),
    kind("numeric", "12345678901234567890.123456789", "-0.00987"),
    kind("numeric(10,2)", "98765.43", "-12345678.90"),
    kind("money", "1234567.89", "-42.42"),
    kind("date", "1987-06-05", "2024-02-29"),
    kind("time", "12:34:56.789", "23:59:59"),
    kind("timetz", "12:34:56.789+05:30", "01:02:03-08"),
    kind("timestamp", "1987-06-05 04:03:02.100001", "2024-02-29 23:59:59"),
    kind("timestamptz", "1987-06-05 04:03:02.100001+02", "2024-02-29 23:59:59-08"),
    kind("interval", "3 years 2 mons 1 day 04:05:06.7", "-5 days"),
    kind("uuid", "6f1e3b0a-1b7c-4f5e-9d3a-0123456789ab", "00000000-0000-4000-8000-0000000000aa"),
    kind("inet", "203.0.113.77", "2a00:1450:4001:82a::200e/64"),
    kind("cidr", "203.0.113.0/24", "2a00:1450::/32"),
    kind("macaddr", "3c:07:54:12:34:56", "a4:5e:60:ab:cd:ef"),
    kind("macaddr8", "3c:07:54:ff:fe:12:34:56", "a4:5e:60:ff:fe:ab:cd:ef"),
    kind("bit(12)", "101100111000", "111111111111"),
    kind("varbit(40)", "1011001", "1111111111111111111"),
    kind("point", "(12.5,-3.25)", "(1e+20,7)"),
    kind("line", "{1,-2,3}", "{0.5,1,9}"),
    kind("lseg", "[(1,2),(3,4)]", "[(5,6),(7,8)]"),
    kind("box", "(3,4),(1,2)", "(9,9),(8,8)"),
    kind("path", "[(1,2),(3,4),(5,6)]", "((1,2),(3,4))"),
    kind("polygon", "((1,2),(3,4),(5,6))", "((7,8),(9,1),(2,3),(4,5))"),
    kind("circle", "<(1,2),3.5>", "<(7,8),9>"),
    kind("tsvector", "'ada':1A 'lovelace':2", "'it''s':3"),
    kind("tsquery", "'ada' & !'byron'", "'grace':*"),
    kind("int4range", "[3,77)", "(,12)"),
    kind("numrange", "[1.5,2.25]", "(7.125,)"),
    kind("tstzrange", "[\"1987-06-05 00:00:00+00\",)", "[\"2000-01-02 00:00:00+00\",infinity]"),
    kind("int4multirange", "{[3,77),[99,100)}", "{(,5)}"),
    kind("datemultirange", "{[1987-06-05,1988-01-01)}", "{[2000-01-02,)}"),
    kind("mood", "keen", "wild"),
    kind("postcode", "SW1A 1AA", "10115"),
    kind("amount", "1234.56", "98.70"),
    kind("place", "(\"12, Main \"\"St\"\"\",12,\"1987-06-05 00:00:00+00\",wild)", "(Elm,7,,keen)"),
    kind("nested_place", "(\"(Oak,3,,wild)\",\"{4,NULL,6}\")", "(,\"{7}\")"),
    kind("text[]", r#"{ada,NULL,"b \"quoted\", {x}","NULL"}"#, "{{a,b},{c,NULL}}"),
    kind("varchar(9)[]", "{some,words}", "[0:1]={zero,one}"),
    kind("int4[]", "{123456,NULL,-7}", "{{{11,12},{13,14}},{{15,16},{17,18}}}"),
    kind("int8[]", "{1234567890123456789}", "[-1:0]={55555,66666}"),
    kind("numeric[]", "{1.50,NULL}", "{{-77.125}}"),
    kind(
        "uuid[]",
        "{6f1e3b0a-1b7c-4f5e-9d3a-0123456789ab}",
        "{NULL,6f1e3b0a-1b7c-4f5e-9d3a-0123456789ab}",
    ),
    kind("timestamptz[]", "{\"1987-06-05 04:03:02+00\",NULL}", "{{\"2024-02-29 23:59:59+00\"}}"),
    kind("jsonb[]", r#"{"{\"a\": 1}",NULL}"#, r#"{"[1, 2]"}"#),
    kind("bytea[]", r#"{"\\x00ff",NULL}"#, r#"{{"\\x5c22"}}"#),
    kind("mood[]", "{keen,NULL,wild}", "{{wild},{keen}}"),
    kind("box[]", "{(3,4),(1,2);(9,9),(8,8)}", "{(7,7),(6,6)}"),
    kind("postcode[]", "{10115,NULL}", "{\"SW1A 1AA\"}"),
    kind(
        "place[]",
        r#"{"(\"12, Main\",12,,wild)",NULL,"(Elm,7,,keen)"}"#,
        r#"{{"(Oak,3,,wild)"}}"#,
    ),
    kind("citext", "Ada@Shop.Example", "Some Words"),
    kind("citext[]", "{Ada,NULL}", "{{Words}}"),
    kind("hstore", r#""name"=>"Ada", "none"=>NULL"#, r#""a"=>"b""#),
];

/// What has no stand-in of its own, and so is NULL under every strategy.
const ALWAYS_NULL: &[&str] = &["hstore"];

/// Under `pseudonym` and `hash` different values of these stay different.
const TELLING: &[&str] = &[
    "text",
    "varchar(30)",
    "char(20)",
    "name",
    "json",
    "jsonb",
    "xml",
    "bytea",
    "int4",
    "int8",
    "oid",
    "numeric",
    "uuid",
    "inet",
    "macaddr",
    "macaddr8",
    "postcode",
    "citext",
];

/// What asyncpg can read inside of a row.
const WHOLE: &[&str] = &[
    "text",
    "varchar(30)",
    "char(20)",
    "jsonb",
    "bytea",
    "int4",
    "numeric",
    "timestamptz",
    "uuid",
    "inet",
    "point",
    "numrange",
    "int4multirange",
    "mood",
    "place",
    "nested_place",
    "text[]",
    "int4[]",
    "uuid[]",
    "place[]",
];

/// Strategies as policies spell them, each in a schema of its own.
const STRATEGIES: &[(&str, &str)] = &[
    ("as_redact", r#""redact""#),
    ("as_mask", r#""mask""#),
    ("as_null", r#""null""#),
    ("as_hash", r#""hash""#),
    ("as_pseudonym", r#""pseudonym""#),
    ("as_fpe", r#""fpe""#),
    ("as_year", r#""year""#),
    ("as_partial", "{ partial = { keep_first = 1, keep_last = 2 } }"),
];

const TYPES: &str = "
    CREATE EXTENSION citext SCHEMA public;
    CREATE EXTENSION hstore SCHEMA public;
    SET ROLE shop_app;
    CREATE TYPE mood AS ENUM ('calm', 'keen', 'wild');
    CREATE DOMAIN postcode AS text CHECK (length(VALUE) < 40);
    CREATE DOMAIN amount AS numeric(12, 2);
    CREATE TYPE place AS (street text, number int4, seen timestamptz, mood mood);
    CREATE TYPE nested_place AS (place place, numbers int4[]);
";

/// A database with a table of every type for each strategy: two rows that differ, one that is as
/// the first, one of NULLs.
fn types_database(version: Version, name: &str) -> String {
    let database = world::database(version, name);
    let mut sql = TYPES.to_owned();
    let columns: Vec<String> =
        KINDS.iter().enumerate().map(|(at, kind)| format!("v{at} {}", kind.name)).collect();
    let literals = |row: usize| -> String {
        let literals =
            KINDS.iter().map(|kind| format!("'{}'", kind.values[row].replace('\'', "''")));
        literals.collect::<Vec<_>>().join(", ")
    };
    for (schema, _) in STRATEGIES {
        sql += &format!(
            "CREATE SCHEMA {schema};\nCREATE TABLE {schema}.kinds (n int4, {});\n\
             INSERT INTO {schema}.kinds VALUES (1, {one}), (2, {}), (3, {one});\n\
             INSERT INTO {schema}.kinds VALUES (4);\n\
             CREATE TABLE {schema}.whole AS SELECT {} FROM {schema}.kinds;\n\
             CREATE TABLE {schema}.every AS SELECT n, {} FROM {schema}.kinds;\n",
            columns.join(", "),
            literals(1),
            WHOLE.iter().map(|name| format!("v{}", position(name))).collect::<Vec<_>>().join(", "),
            every().map(|at| format!("v{at}")).collect::<Vec<_>>().join(", "),
            one = literals(0),
        );
    }
    run(world::postgres(version).superuser_psql(&database).args(["-c", &sql]));
    database
}

/// The gateway's key is given: what stands in for a value of a small domain is the value itself
/// once in a while, and whether it is here shall not change from run to run.
fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<(Scratch, Passage)> = OnceLock::new();
    let (_, passage) = PASSAGE.get_or_init(|| {
        let state = Scratch::new("state");
        let key = state.join("mask.key");
        fs::write(&key, [0x2a; 32]).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
        let rule = |(schema, strategy): &(&str, &str)| {
            format!("[[policy.types.mask]]\ncolumns = [\"{schema}.*.v*\"]\nas = {strategy}\n")
        };
        let masks: String = STRATEGIES.iter().map(rule).collect();
        let passage = world::altered_passage(&[], |config| {
            let own = format!(r#"state_dir = "{}""#, state.path().display());
            let both = r#"policies        = ["baseline", "types"]"#;
            config
                .replace(r#"state_dir = "STATE""#, &own)
                .replace(r#"policies        = ["baseline"]"#, both)
                + "[policy.types]\ndefault = \"pass\"\n"
                + &masks
        });
        (state, passage)
    });
    passage
}

/// Places of the types that the server takes back inside of a row.
fn every() -> impl Iterator<Item = usize> {
    (0..KINDS.len()).filter(|at| KINDS[*at].name != "tsquery")
}

fn position(name: &str) -> usize {
    KINDS.iter().position(|kind| kind.name == name).unwrap()
}

/// The four rows of a schema's table, in one format.
fn kinds(raw: &mut Raw, schema: &str, format: Format) -> Vec<Vec<Cell>> {
    let sql = format!("SELECT * FROM {schema}.kinds ORDER BY n");
    rows(raw, &sql, &[], Format::Text, format)
}

/// The server's own reading of a value, as text, when it is put into a column of its kind: what is
/// too long or too large for it is an error.
fn read_by_server(server: &mut Raw, kind: usize, cell: &Cell, format: Format) -> Cell {
    let sql = format!("INSERT INTO probe (v{kind}) VALUES ($1) RETURNING v{kind}::text");
    if KINDS[kind].name == "tsquery" && format == Format::Binary && *cell == Some(vec![0; 4]) {
        // The server sends an empty one like this and does not take it back.
        return Some(Vec::new());
    }
    rows(server, &sql, std::slice::from_ref(cell), format, Format::Text)[0][0].clone()
}

#[test]
fn every_stand_in_is_a_value_of_its_type_and_the_same_one_in_both_formats() {
    for version in [Version::V15, Version::V18] {
        let database = types_database(version, "masked_types_exact");
        let (role, ca) = (Role::Cleartext, world::pki().ca());
        let mut bot = Raw::login(&passage().endpoint(version, role, &database));
        let direct = Endpoint::direct(world::postgres(version), role, &database, ca);
        let mut server = Raw::login(&direct);
        server.query("CREATE TEMP TABLE probe (LIKE as_null.kinds)");
        for (schema, _) in STRATEGIES {
            let text = kinds(&mut bot, schema, Format::Text);
            let binary = kinds(&mut bot, schema, Format::Binary);
            let original = kinds(&mut server, schema, Format::Text);
            assert_eq!((text.len(), binary.len()), (4, 4));
            for (row, column) in (0..4).flat_map(|row| (1..=KINDS.len()).map(move |at| (row, at))) {
                let kind = &KINDS[column - 1];
                let at = format!("{version:?} {schema} {} row {row}", kind.name);
                let (text, binary) = (&text[row][column], &binary[row][column]);
                let nothing = row == 3 || *schema == "as_null" || ALWAYS_NULL.contains(&kind.name);
                assert_eq!((text.is_none(), binary.is_none()), (nothing, nothing), "{at}");
                let from_text = read_by_server(&mut server, column - 1, text, Format::Text);
                let from_binary = read_by_server(&mut server, column - 1, binary, Format::Binary);
                assert_eq!(from_text, from_binary, "{at}: {text:?} {binary:?}");
                let value =
                    read_by_server(&mut server, column - 1, &original[row][column], Format::Text);
                let is_empty = value.as_deref() == Some(b"");
                assert!(
                    nothing || is_empty || from_text != value,
                    "{at}: {:?} came back",
                    value.map(|value| String::from_utf8_lossy(&value).into_owned())
                );
            }
            for rows in [&text, &binary] {
                assert_eq!(rows[0][1..], rows[2][1..], "{schema}: equal values are equal");
                if matches!(*schema, "as_hash" | "as_pseudonym") {
                    for name in TELLING {
                        let at = 1 + position(name);
                        assert_ne!(rows[0][at], rows[1][at], "{schema} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_whole_row_holds_what_its_columns_do() {
    for version in [Version::V15, Version::V18] {
        let database = types_database(version, "masked_types_whole");
        let (role, ca) = (Role::Cleartext, world::pki().ca());
        let mut bot = Raw::login(&passage().endpoint(version, role, &database));
        let direct = Endpoint::direct(world::postgres(version), role, &database, ca);
        let mut server = Raw::login(&direct);
        server.query("CREATE TEMP TABLE probe (LIKE as_null.kinds)");
        let columns: Vec<String> = every().map(|at| format!("($1::EVERY).v{at}::text")).collect();
        for (schema, _) in STRATEGIES {
            let sql = format!("SELECT e FROM {schema}.every e ORDER BY n");
            let taken_apart = format!("SELECT {}", columns.join(", "));
            let taken_apart = taken_apart.replace("EVERY", &format!("{schema}.every"));
            let alone = kinds(&mut bot, schema, Format::Text);
            for format in Format::BOTH {
                let wholes = rows(&mut bot, &sql, &[], Format::Text, format);
                assert_eq!(wholes.len(), 4);
                for (whole, alone) in wholes.iter().zip(&alone) {
                    let fields = rows(&mut server, &taken_apart, whole, format, Format::Text);
                    for (place, at) in every().enumerate() {
                        let of_column =
                            read_by_server(&mut server, at, &alone[at + 1], Format::Text);
                        let at = format!("{schema} {} {format:?}", KINDS[at].name);
                        assert_eq!(fields[0][place], of_column, "{at}");
                    }
                }
            }
        }
    }
}

#[test]
fn python_drivers_read_every_stand_in() {
    for version in [Version::V15, Version::V18] {
        let database = types_database(version, "masked_types_python");
        let server = world::postgres(version);
        let endpoint =
            Endpoint { refused: None, ..passage().endpoint(version, Role::App, &database) };
        let mut program: Command = python("masked_types.py");
        program
            .env("DIRECT_PORT", server.port().to_string())
            .env("DIRECT_USER", Role::App.name())
            .env("DIRECT_PASSWORD", Role::App.password())
            .env("ALWAYS_NULL", ALWAYS_NULL.join(","))
            .env("TELLING", TELLING.join(","));
        let checks = endpoint.run_client(&mut program);
        assert_eq!(checks.len(), 3 * STRATEGIES.len(), "{checks:?}");
    }
}

#[test]
fn tokio_postgres_reads_every_stand_in() {
    for version in [Version::V15, Version::V18] {
        let database = types_database(version, "masked_types_tokio");
        read_all(&passage().endpoint(version, Role::App, &database));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn read_all(endpoint: &Endpoint) {
    let (client, _heard) = connect(endpoint).await;
    let mut read = HashMap::new();
    for (schema, _) in STRATEGIES {
        let sql = format!("SELECT * FROM {schema}.kinds ORDER BY n");
        let rows = client.query(&sql, &[]).await.unwrap();
        assert_eq!(rows.len(), 4);
        for row in &rows {
            for (at, column) in row.columns().iter().enumerate() {
                if let Some(result) = as_its_type(row, at) {
                    result.unwrap_or_else(|error| panic!("{schema} {column:?}: {error}"));
                    *read.entry(column.type_().name().to_owned()).or_insert(0) += 1;
                }
            }
        }
    }
    assert!(read.len() >= 24, "{read:?}");
}

/// Reads a value as what the driver takes this type for; `None` where it has nothing of the kind.
fn as_its_type(row: &tokio_postgres::Row, at: usize) -> Option<Result<(), tokio_postgres::Error>> {
    fn read<'a, T: FromSql<'a>>(
        row: &'a tokio_postgres::Row,
        at: usize,
    ) -> Option<Result<(), tokio_postgres::Error>> {
        Some(row.try_get::<_, Option<T>>(at).map(|_| ()))
    }
    match row.columns()[at].type_() {
        &Type::BOOL => read::<bool>(row, at),
        &Type::INT2 => read::<i16>(row, at),
        &Type::INT4 => read::<i32>(row, at),
        &Type::INT8 => read::<i64>(row, at),
        &Type::OID => read::<u32>(row, at),
        &Type::FLOAT4 => read::<f32>(row, at),
        &Type::FLOAT8 => read::<f64>(row, at),
        &Type::BYTEA => read::<Vec<u8>>(row, at),
        &Type::INET => read::<IpAddr>(row, at),
        &Type::TIMESTAMP | &Type::TIMESTAMPTZ => read::<SystemTime>(row, at),
        // Those of more than one dimension are not for this driver.
        &Type::TEXT_ARRAY | &Type::VARCHAR_ARRAY if is_flat(row, at) => {
            read::<Vec<Option<String>>>(row, at)
        }
        &Type::INT4_ARRAY if is_flat(row, at) => read::<Vec<Option<i32>>>(row, at),
        &Type::INT8_ARRAY if is_flat(row, at) => read::<Vec<Option<i64>>>(row, at),
        &Type::BYTEA_ARRAY if is_flat(row, at) => read::<Vec<Option<Vec<u8>>>>(row, at),
        &Type::TIMESTAMPTZ_ARRAY if is_flat(row, at) => read::<Vec<Option<SystemTime>>>(row, at),
        kind if kind.name() == "hstore" => read::<HashMap<String, Option<String>>>(row, at),
        kind if <String as FromSql>::accepts(kind) => read::<String>(row, at),
        _ => read::<Bytes>(row, at),
    }
}

fn is_flat(row: &tokio_postgres::Row, at: usize) -> bool {
    let bytes = row.try_get::<_, Option<Bytes>>(at).unwrap();
    bytes.is_none_or(|bytes| {
        bytes.0[..4] != 2_i32.to_be_bytes() && bytes.0[..4] != 3_i32.to_be_bytes()
    })
}

/// A value of any type, as it came.
struct Bytes(Vec<u8>);

impl FromSql<'_> for Bytes {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
