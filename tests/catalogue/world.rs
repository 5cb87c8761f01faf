//! One server, a database a test, and its catalogue under a few rules.

use std::sync::{Arc, OnceLock};

use narrows::control::catalogue::{Place, ReadError, Rules, read_once};
use narrows::identity::lease::Lessor;
use narrows::identity::vault::Vault;
use narrows::mask::catalogue::{Attribute, Catalogue, Column, Raw, Relation};
use narrows::model::mask::{Protection, Strategy};
use narrows::model::target::{
    AuditStatements, Connection, Credential, KeyPairFiles, Labels, Protocol, SecretSource, Target,
    UpstreamTls,
};
use narrows::model::verdict::RuleRef;

use crate::support::postgres::{Postgres, Role, Version};
use crate::support::shared::pki;

pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(Version::V15, pki()))
}

/// An empty database in which `sql` has run, as the role that bots have.
pub fn database(server: &Postgres, name: &str, sql: &str) {
    server.superuser("postgres", &format!("CREATE DATABASE {name} OWNER shop_app"));
    run(server, name, sql);
}

pub fn run(server: &Postgres, name: &str, sql: &str) {
    server.superuser(name, &format!("SET ROLE shop_app; {sql}"));
}

pub fn lessor() -> Arc<Lessor> {
    Arc::new(Lessor::new(Vault::in_state_dir(&std::env::temp_dir().join("narrows-no-vault"))))
}

/// `database` as `role` reaches it, on terms that its method asks for.
pub fn place(server: &Postgres, role: Role, database: &str) -> Place {
    let verified = UpstreamTls::VerifyFull { ca: Some(pki().ca()), name: None };
    let (tls, cert) = match role {
        Role::App => (verified, None),
        Role::Cert => (UpstreamTls::Require, Some(pki().client(role.name()))),
        Role::Plain | Role::Md5 | Role::Cleartext | Role::Trust => (UpstreamTls::Disable, None),
    };
    let secret = pki().secret(&format!("{}.secret", role.name()), &role.password());
    let password = match role {
        Role::Cert | Role::Trust => None,
        Role::App | Role::Plain | Role::Md5 | Role::Cleartext => Some(SecretSource::File(secret)),
    };
    let target = Target {
        name: "shop-db".into(),
        protocol: Protocol::Postgres,
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls,
        client_cert: cert.map(|files| KeyPairFiles { cert: files.cert, key: files.key }),
        labels: Arc::new(Labels::new()),
    };
    let connection = Connection {
        account: "bot".into(),
        target: "shop-db".into(),
        credential: Credential { username: role.name().into(), password },
        databases: None,
        policies: Arc::new([]),
        audit: AuditStatements::default(),
        sessions_max: None,
        rows_max: None,
        bytes_max: None,
        masked_max: None,
        statements_per_minute_max: None,
    };
    Place { connection: Arc::new(connection), target: Arc::new(target), database: database.into() }
}

/// Rules as `schema.relation.column`, each with its strategy.
pub fn rules(rules: &'static [(&'static str, Strategy)]) -> Rules {
    Rules::by(move |schema, relation, column| {
        let name = format!("{schema}.{relation}.{column}");
        let (rule, strategy) = rules.iter().find(|(rule, _)| *rule == name)?;
        let rule = RuleRef { policy: "shop".into(), rule: (*rule).into() };
        Some(Protection { strategy: *strategy, rule })
    })
}

/// A database as it was read, and what that comes to.
pub struct World {
    pub raw: Raw,
    pub catalogue: Catalogue,
}

impl World {
    pub async fn read(place: &Place, rules: &Rules) -> Result<Self, ReadError> {
        let raw = read_once(&lessor(), place).await?;
        let catalogue = rules.apply(&raw);
        Ok(Self { raw, catalogue })
    }

    pub async fn of(name: &str, sql: &str, protected: &'static [(&'static str, Strategy)]) -> Self {
        let server = server();
        database(server, name, sql);
        let place = place(server, Role::App, name);
        Self::read(&place, &rules(protected)).await.unwrap()
    }

    pub fn relation(&self, name: &str) -> &Relation {
        let (schema, name) = name.split_once('.').unwrap_or(("public", name));
        let mut all = self.raw.relations.iter();
        all.find(|one| *one.schema == *schema && *one.name == *name)
            .unwrap_or_else(|| panic!("{schema}.{name} was not read"))
    }

    pub fn attribute(&self, relation: &str, column: &str) -> &Attribute {
        let mut columns = self.relation(relation).columns.iter();
        columns.find(|one| *one.name == *column).unwrap()
    }

    /// What an answer's column from there comes to.
    pub fn column(&self, relation: &str, column: &str) -> Column<'_> {
        let number = self.attribute(relation, column).number;
        self.catalogue.column(self.relation(relation).oid, number)
    }

    #[track_caller]
    pub fn is_free(&self, relation: &str, column: &str) {
        assert_eq!(self.column(relation, column), Column::Free, "{relation}.{column}");
    }

    #[track_caller]
    pub fn is(&self, relation: &str, column: &str, strategy: Strategy) {
        match self.column(relation, column) {
            Column::Protected(protection) => {
                assert_eq!(protection.strategy, strategy, "{relation}.{column}");
            }
            other @ (Column::Unknown | Column::Free | Column::Row(_)) => {
                panic!("{relation}.{column} is {other:?}")
            }
        }
    }
}
