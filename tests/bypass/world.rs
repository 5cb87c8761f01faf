//! One server, one provider and one gateway for the whole museum; a database for each room of it.

use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::support::endpoint::Endpoint;
use crate::support::gateway::Gateway;
use crate::support::postgres::{Postgres, Role, Version};
use crate::support::process::{eventually, free_port};
use crate::support::raw::{Raw, error_field, extended, query, sync, transcript};
use crate::support::shared::{config_head, config_listener};
use crate::targets;

pub use crate::support::shared::{oidc, pki};

pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Postgres::start(Version::V15, pki());
        server.superuser("postgres", "ALTER ROLE shop_app SUPERUSER");
        server
    })
}

/// A service account by the policy that binds it. All of them match the same token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// `config/policies/read-only.toml`
    Reader,
    /// `config/policies/application.toml`
    Writer,
    /// `config/policies/migration.toml`
    Migrator,
    /// Everything but a few things; see `OPEN`.
    Open,
    /// As `Open`, and five columns of customers are protected; see `MASKED`. Nothing is searched for, so
    /// that nothing but provenance and caution stands in the way.
    Masked,
    /// As `Masked`, with computed columns searched instead of replaced, and everything else too.
    Searched,
}

impl Account {
    const ALL: [Self; 6] =
        [Self::Reader, Self::Writer, Self::Migrator, Self::Open, Self::Masked, Self::Searched];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Migrator => "migrator",
            Self::Open => "open",
            Self::Masked => "masked",
            Self::Searched => "searched",
        }
    }

    const fn policy(self) -> &'static str {
        match self {
            Self::Reader => "read-only",
            Self::Writer => "application",
            Self::Migrator => "migration",
            Self::Open => "open",
            Self::Masked => "open\", \"masked",
            Self::Searched => "open\", \"searched",
        }
    }
}

pub struct World {
    pub gateway: Gateway,
    port: u16,
    liar_port: u16,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (port, liar_port) = (free_port(), free_port());
        let config = config(port, liar_port);
        World { gateway: Gateway::start(&config, &[port, liar_port], &[]), port, liar_port }
    })
}

impl World {
    pub fn endpoint(&self, account: Account, database: &str) -> Endpoint {
        Endpoint {
            port: self.port,
            user: account.name().to_owned(),
            password: token().to_owned(),
            database: database.to_owned(),
            ca: pki().ca(),
            refused: None,
        }
    }

    /// To the hostile target; the database names what it shall do.
    pub fn liar(&self, deed: &str) -> Endpoint {
        Endpoint { port: self.liar_port, ..self.endpoint(Account::Open, deed) }
    }

    /// The recorded statements whose text has `mark` in it, waited for.
    pub fn recorded(&self, mark: &str) -> Vec<Value> {
        let mut found = Vec::new();
        eventually(&format!("{mark} is recorded"), Duration::from_secs(10), || {
            let told = self.gateway.json(&["tail", "-n", "1000000"]);
            found = told.into_iter().filter(|line| line.to_string().contains(mark)).collect();
            !found.is_empty()
        });
        found
    }
}

fn token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| oidc().token("shop-bot"))
}

/// A database with a shop in it, and how it looked before.
pub struct Room {
    pub database: String,
    before: String,
}

impl Room {
    pub fn open(name: &str) -> Self {
        let database = format!("bypass_{name}");
        server().create_database(&database);
        let before = server().superuser(&database, EVERYTHING);
        Self { database, before }
    }

    pub fn login(&self, account: Account) -> Raw {
        Raw::login(&world().endpoint(account, &self.database))
    }

    /// Nothing that anybody could have changed is different.
    #[track_caller]
    pub fn assert_unchanged(&self, after: &str) {
        let now = server().superuser(&self.database, EVERYTHING);
        assert_eq!(now, self.before, "the database has changed: {after}");
    }

    /// Refused in every clothing that a text can come in, in a session that outlives it.
    #[track_caller]
    pub fn assert_refused(raw: &mut Raw, account: Account, sql: &str) {
        let mark =
            format!("/* mark-{} */", MARKS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        // Behind a line comment only a new line is outside.
        let text = format!("{sql}\n{mark}");
        raw.send(&query(&text));
        let answers = raw.until_ready();
        assert_eq!(transcript(&answers), "E(42501) Z(I)", "{account:?}: {sql}");
        let hint = error_field(&answers[0], b'H').unwrap_or_default();
        assert!(hint.contains("Rule "), "{sql}: refused, but by the server: {hint}");
        raw.send(&[extended(&text), sync()].concat());
        assert_eq!(transcript(&raw.until_ready()), "E(42501) Z(I)", "extended: {sql}");
        raw.send(&[query("BEGIN"), query(&text), query("COMMIT"), query("SELECT 1")].concat());
        let words: Vec<_> = (0..4).map(|_| transcript(&raw.until_ready())).collect();
        assert_eq!(
            words,
            ["C(BEGIN) Z(T)", "E(42501) Z(E)", "C(ROLLBACK) Z(I)", "T D C(SELECT 1) Z(I)"],
            "in a transaction: {sql}"
        );
        MARKED.lock().unwrap().push((mark, sql.to_owned()));
    }

    /// What was refused so far is recorded as denied, every time that it came, and the server has
    /// not seen it once.
    #[track_caller]
    pub fn assert_recorded(&self) {
        let marked = MARKED.lock().unwrap().clone();
        let lines = world().recorded(&marked.last().unwrap().0);
        assert_eq!(lines.len(), 3);
        let told = world().gateway.json(&["tail", "-n", "1000000"]);
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        let log = server().log();
        for (mark, sql) in marked {
            assert!(!log.contains(&mark), "the server has seen it: {sql}");
            let lines: Vec<_> = told.iter().filter(|line| line.contains(&mark)).collect();
            assert_eq!(lines.len(), 3, "{sql}: {lines:?}");
            assert!(lines.iter().all(|line| line.contains("\"deny\"")), "{sql}: {lines:?}");
        }
    }
}

static MARKS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1000);
static MARKED: std::sync::Mutex<Vec<(String, String)>> = std::sync::Mutex::new(Vec::new());

/// Rows, relations with their columns, functions, large objects, roles and what waits prepared.
const EVERYTHING: &str = "
    SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM customers t;
    SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM orders t;
    SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM order_items t;
    SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM products t;
    SELECT md5(string_agg(c.oid || c.relname || coalesce(c.relacl::text, '') || c.relnatts
        || coalesce(a.attname, ''), '|' ORDER BY c.oid, a.attnum))
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'public'::regnamespace OR c.relnamespace > 16383;
    SELECT count(*), max(oid) FROM pg_proc;
    SELECT count(*), max(oid) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp';
    SELECT count(*) FROM pg_largeobject_metadata;
    SELECT count(*) FROM pg_operator WHERE oid > 16383;
    SELECT string_agg(rolname || rolsuper || coalesce(rolconfig::text, ''), '|' ORDER BY rolname)
        FROM pg_roles;
    SELECT count(*) FROM pg_prepared_xacts;
    SELECT count(*) FROM pg_replication_slots;
    SELECT last_value, is_called FROM orders_id_seq";

const OPEN: &str = r#"
[policy.open]
default = "allow"
unknown = "deny"

[[policy.open.rule]]
id     = "no-drops"
when   = { effects.any = ["ddl_drop", "truncate"] }
action = "deny"

[[policy.open.rule]]
id     = "never"
when   = { effects.any = ["program_exec", "file_read", "file_write", "network", "server_admin"] }
action = "deny"
"#;

const MASKED: &str = r#"
[policy.masked]
default = "pass"

[[policy.masked.mask]]
columns = ["customers.name"]
as      = "hash"

[[policy.masked.mask]]
columns = ["public.customers.ssn"]
as      = "mask"

[[policy.masked.mask]]
columns = ["*.email"]
as      = "pseudonym"

[[policy.masked.mask]]
columns = ["*.customers.card", "customers.phone", "boxed.who", "boxed.all_of_them"]
as      = "redact"

[policy.searched]
default = "pass"

[[policy.searched.mask]]
detect = ["email", "pan", "us_ssn", "phone"]
as     = "redact"
"#;

fn config(port: u16, liar_port: u16) -> String {
    let mut config = config_head("museum", "group", oidc());
    write!(
        config,
        r#"
[[target]]
name     = "shop"
protocol = "postgres"
address  = "localhost:{server}"
tls      = {{ mode = "verify-full", ca = "{ca}" }}

[[target]]
name     = "liar"
protocol = "postgres"
address  = "localhost:{liar}"
tls      = {{ mode = "disable" }}

[[service_account]]
name  = "stranger"
match = [ {{ issuer = "provider", claims = {{ repository = "acme/reader" }} }} ]

[[connection]]
service_account = "stranger"
target          = "shop"
credential      = {{ username = "shop_app", password = {{ file = "{secret}" }} }}
policies        = ["open"]
{OPEN}{MASKED}{reading}{application}{migration}"#,
        server = server().port(),
        liar = targets::port(),
        ca = pki().ca().display(),
        secret = secret().display(),
        reading = include_str!("../../config/policies/read-only.toml"),
        application = include_str!("../../config/policies/application.toml"),
        migration = include_str!("../../config/policies/migration.toml"),
    )
    .unwrap();
    config.push_str(&config_listener("shop", port));
    config.push_str(&config_listener("liar", liar_port));
    for account in Account::ALL {
        write!(
            config,
            r#"
[[service_account]]
name  = "{name}"
match = [ {{ issuer = "provider", claims = {{ repository = "acme/shop" }} }} ]

[[connection]]
service_account = "{name}"
target          = "shop"
credential      = {{ username = "shop_app", password = {{ file = "{secret}" }} }}
policies        = ["{policy}"]
"#,
            name = account.name(),
            policy = account.policy(),
            secret = secret().display(),
        )
        .unwrap();
    }
    write!(
        config,
        r#"
[[connection]]
service_account = "open"
target          = "liar"
credential      = {{ username = "shop_app", password = {{ file = "{}" }} }}
policies        = ["open"]
"#,
        secret().display()
    )
    .unwrap();
    config
}

fn secret() -> std::path::PathBuf {
    pki().secret("museum.password", &Role::App.password())
}
