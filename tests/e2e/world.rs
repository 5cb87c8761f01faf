//! One set of servers, one provider and one gateway for all tests of a run.

use std::fmt::Write;
use std::sync::OnceLock;

use crate::support::endpoint::Endpoint;
use crate::support::gateway::Gateway;
use crate::support::oidc::OidcProvider;
use crate::support::postgres::{Postgres, Role, Version};
use crate::support::process::free_port;
use crate::support::shared::{config_head, config_listener};

pub use crate::support::shared::{oidc, pki};

pub fn postgres(version: Version) -> &'static Postgres {
    static V15: OnceLock<Postgres> = OnceLock::new();
    static V18: OnceLock<Postgres> = OnceLock::new();
    let cell = match version {
        Version::V15 => &V15,
        Version::V18 => &V18,
    };
    cell.get_or_init(|| Postgres::start(version, pki()))
}

/// The gateway that most tests cross; it stands before every server, under every kind of login.
pub fn passage() -> &'static Passage {
    static PASSAGE: OnceLock<Passage> = OnceLock::new();
    PASSAGE.get_or_init(|| Passage::start_with("group", oidc()))
}

/// A gateway of the calling test's own, to kill or to read its log.
pub fn own_passage(durability: &str) -> Passage {
    Passage::start_with(durability, oidc())
}

/// As `own_passage`, with `environment` set and the configuration as `edit` leaves it.
pub fn altered_passage(
    environment: &[(&str, &str)],
    edit: impl FnOnce(String) -> String,
) -> Passage {
    let ways = ways_to_all();
    let config = edit(config("group", oidc(), &ways));
    Passage::serve(&config, ways, environment)
}

/// A database of the calling test's own on a server that all share.
pub fn database(version: Version, name: &str) -> String {
    postgres(version).create_database(name);
    name.to_owned()
}

/// A gateway and its ways in.
pub struct Passage {
    pub gateway: Gateway,
    ways: Vec<Way>,
}

/// A listener before a server, and the role that the gateway has there.
struct Way {
    version: Version,
    role: Role,
    port: u16,
    server: u16,
}

impl Passage {
    /// Before both servers, in every role.
    pub fn start_with(durability: &str, oidc: &OidcProvider) -> Self {
        let ways = ways_to_all();
        Self::serve(&config(durability, oidc, &ways), ways, &[])
    }

    /// Before whatever listens on a port of loopback, or does not.
    pub fn before(server: u16) -> Self {
        let ways = vec![Way::new(Version::V15, Role::App, server)];
        Self::serve(&config("group", oidc(), &ways), ways, &[])
    }

    /// Before a server of the calling test's own as `Role::App`, and as `Role::Md5` before the one
    /// that all share.
    pub fn before_own_and_shared(own: &Postgres) -> Self {
        let shared = postgres(Version::V15).port();
        let ways = vec![
            Way::new(Version::V15, Role::App, own.port()),
            Way::new(Version::V15, Role::Md5, shared),
        ];
        Self::serve(&config("group", oidc(), &ways), ways, &[])
    }

    /// Before a server of the calling test's own as `role`, configured as `edit` leaves it.
    pub fn altered_before(
        server: &Postgres,
        version: Version,
        role: Role,
        edit: impl FnOnce(String) -> String,
    ) -> Self {
        let ways = vec![Way::new(version, role, server.port())];
        let config = edit(config("group", oidc(), &ways));
        Self::serve(&config, ways, &[])
    }

    fn serve(config: &str, ways: Vec<Way>, environment: &[(&str, &str)]) -> Self {
        let listeners: Vec<u16> = ways.iter().map(|way| way.port).collect();
        Self { gateway: Gateway::start(config, &listeners, environment), ways }
    }

    /// Through the gateway as `shop-bot` with a token of over 1.5 KB; the gateway logs in as `role`.
    pub fn endpoint(&self, version: Version, role: Role, database: &str) -> Endpoint {
        let found = self.ways.iter().find(|way| (way.version, way.role) == (version, role));
        Endpoint {
            port: found.unwrap().port,
            user: "shop-bot".to_owned(),
            password: oidc().token("shop-bot"),
            database: database.to_owned(),
            ca: pki().ca(),
            refused: Some(REFUSED.to_owned()),
        }
    }

    /// Through the gateway as `reader-bot`, which may read in the shop of PostgreSQL 15.
    pub fn reader(&self) -> Endpoint {
        Endpoint {
            user: "reader-bot".to_owned(),
            password: oidc().token("reader-bot"),
            ..self.endpoint(Version::V15, Role::App, "shop")
        }
    }
}

impl Way {
    fn new(version: Version, role: Role, server: u16) -> Self {
        Self { version, role, port: free_port(), server }
    }
}

fn ways_to_all() -> Vec<Way> {
    let before = |version| {
        let server = postgres(version).port();
        Role::ALL.map(|role| Way::new(version, role, server))
    };
    [Version::V15, Version::V18].into_iter().flat_map(before).collect()
}

/// What the policy below refuses and the server would run.
pub const REFUSED: &str = "DROP TABLE order_items";

fn config(durability: &str, oidc: &OidcProvider, ways: &[Way]) -> String {
    let ca = pki().ca();
    let mut config = config_head("edge-test", durability, oidc) + ACCOUNTS + POLICY;
    for &Way { version, role, port, server } in ways {
        let name = format!("{}-{version:?}", role.name().replace('_', "-")).to_lowercase();
        let address = format!("localhost:{server}");
        let tls = match role {
            Role::Plain => r#"{ mode = "disable" }"#.to_owned(),
            Role::Cert => {
                let files = pki().client(role.name());
                format!(
                    r#"{{ mode = "verify-full", ca = "{}", cert = "{}", key = "{}" }}"#,
                    ca.display(),
                    files.cert.display(),
                    files.key.display()
                )
            }
            Role::App | Role::Md5 | Role::Cleartext | Role::Trust => {
                format!(r#"{{ mode = "verify-full", ca = "{}" }}"#, ca.display())
            }
        };
        let credential = match role {
            Role::Trust | Role::Cert => format!(r#"{{ username = "{}" }}"#, role.name()),
            Role::App | Role::Plain | Role::Md5 | Role::Cleartext => {
                let file = pki().secret(&format!("{}.password", role.name()), &role.password());
                format!(
                    r#"{{ username = "{}", password = {{ file = "{}" }} }}"#,
                    role.name(),
                    file.display()
                )
            }
        };
        if (version, role) == (Version::V15, Role::App) {
            write!(
                config,
                r#"
[[connection]]
service_account = "reader-bot"
target          = "{name}"
credential      = {credential}
databases       = ["shop"]
policies        = ["reading"]
"#
            )
            .unwrap();
        }
        write!(
            config,
            r#"
[[target]]
name     = "{name}"
protocol = "postgres"
address  = "{address}"
tls      = {tls}
labels   = {{ env = "test" }}

[[connection]]
service_account = "shop-bot"
target          = "{name}"
credential      = {credential}
policies        = ["baseline"]
"#
        )
        .unwrap();
        config.push_str(&config_listener(&name, port));
    }
    config
}

const ACCOUNTS: &str = r#"
[[service_account]]
name  = "shop-bot"
match = [ { issuer = "provider", claims = { repository = "acme/shop", ref = ["refs/heads/main", "refs/tags/v*"] } } ]

[[service_account]]
name  = "reader-bot"
match = [ { issuer = "provider", claims = { repository = "acme/reader" } } ]
"#;

const POLICY: &str = r#"
[policy.baseline]
default = "allow"
unknown = "deny"

[[policy.baseline.rule]]
id      = "no-drops"
when    = { effects.any = ["ddl_drop", "truncate"] }
action  = "deny"
message = "dropping and truncating need a migration"

[[policy.baseline.rule]]
id      = "no-unbounded-writes"
when    = { effects.any = ["update", "delete"], flags.any = ["no_where", "const_true_where"] }
action  = "deny"
message = "UPDATE and DELETE need a selective WHERE"

[[policy.baseline.rule]]
id     = "never"
when   = { effects.any = ["program_exec", "file_read", "file_write", "network", "server_admin"] }
action = "deny"

[policy.reading]
default = "deny"
unknown = "deny"

[[policy.reading.rule]]
id     = "reads"
when   = { effects.only = ["read", "session_set", "txn"] }
action = "allow"
"#;
