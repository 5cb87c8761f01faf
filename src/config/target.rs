//! Sections about what is reached and how: `[[target]]`, `[[listener]]`, `[[connection]]`.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::section::{Field, Place, Section, optional};
use crate::limits::STATEMENTS_PER_MINUTE_MAX;
use crate::model::target::{
    AuditStatements, Connection, Credential, KeyPairFiles, Labels, Listener, Protocol,
    SecretSource, Target, UpstreamTls,
};

/// Names that are defined in other sections.
pub struct Names {
    pub issuers: Vec<String>,
    pub accounts: Vec<String>,
    pub targets: Vec<String>,
    pub policies: Vec<String>,
}

pub fn target<'a>(section: Section<'a>) -> Option<(Target, Place<'a>)> {
    let place = section.place.clone();
    let name = section.require("name", "the name that listeners and connections refer to");
    let name = name.and_then(|field| field.name());
    let protocol = section.require("protocol", "what the target speaks: \"postgres\"");
    let protocol = protocol.and_then(|field| protocol_of(&field));
    let address = section.require("address", "where the target is, such as \"10.0.5.12:5432\"");
    let address = address.and_then(|field| {
        let hint = "write host:port, with an IPv6 address in brackets";
        let address = field.parsed(host_and_port, "a host and a port", hint)?;
        Some((address, field.place))
    });
    let tls = match section.find("tls").and_then(|field| field.section()) {
        None => Some((UpstreamTls::VerifyFull { ca: None, name: None }, None)),
        Some(tls) => upstream_tls(tls),
    };
    let labels = section.find("labels").map_or(Some(Labels::new()), |field| labels(&field));
    section.finish();
    let ((host, port), address_place) = address?;
    let (tls, client_cert) = tls?;
    warn_of_weak_tls(&tls, &host, &address_place);
    let target = Target {
        name: name?.into(),
        protocol: protocol?,
        host,
        port,
        tls,
        client_cert,
        labels: Arc::new(labels?),
    };
    Some((target, place))
}

fn protocol_of(field: &Field<'_>) -> Option<Protocol> {
    const LATER: [&str; 7] = ["mysql", "ssh", "kubernetes", "http", "redis", "mongodb", "tds"];
    if LATER.contains(&field.text()?) {
        field.refuse_later();
        return None;
    }
    field.choice(&[("postgres", Protocol::Postgres)])
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
        None => {
            let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (!host.is_empty() && host.bytes().all(of_a_name)).then(|| host.to_owned())?
        }
    };
    let port: u16 = port.parse().ok()?;
    (port != 0).then_some((host, port))
}

fn upstream_tls(section: Section<'_>) -> Option<(UpstreamTls, Option<KeyPairFiles>)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Disable,
        Require,
        VerifyFull,
    }
    let modes =
        [("disable", Mode::Disable), ("require", Mode::Require), ("verify-full", Mode::VerifyFull)];
    let mode = section.find("mode").map_or(Some(Mode::VerifyFull), |field| field.choice(&modes));
    let only_verified = |field: &Field<'_>| {
        if mode.is_some_and(|mode| mode != Mode::VerifyFull) {
            let hint = "use mode = \"verify-full\", or take this out";
            field.place.problem("this has a use in mode \"verify-full\" alone", hint);
        }
    };
    let ca = section.find("ca").map(|field| {
        only_verified(&field);
        field.existing_file()
    });
    let name = section.find("name").map(|field| {
        only_verified(&field);
        field.text().map(str::to_owned)
    });
    let pair = key_pair(&section, false);
    if mode == Some(Mode::Disable) && pair.as_ref().is_some_and(Option::is_some) {
        let hint = "use another mode, or take the certificate out";
        section.place.problem("a client certificate needs TLS", hint);
    }
    section.finish();
    let ca = optional(ca)?;
    let name = optional(name)?;
    let tls = match mode? {
        Mode::Disable => UpstreamTls::Disable,
        Mode::Require => UpstreamTls::Require,
        Mode::VerifyFull => UpstreamTls::VerifyFull { ca, name },
    };
    Some((tls, pair?))
}

fn warn_of_weak_tls(tls: &UpstreamTls, host: &str, place: &Place<'_>) {
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback {
        return;
    }
    let hint = "use tls = { mode = \"verify-full\" }";
    match tls {
        UpstreamTls::Disable => {
            place.warning("statements and rows cross the network unencrypted", hint);
        }
        UpstreamTls::Require => {
            place.warning("whoever answers at this address is taken for the target", hint);
        }
        UpstreamTls::VerifyFull { .. } => {}
    }
}

/// `cert` and `key`, both or none. Outer `None`: something was reported.
pub fn key_pair(section: &Section<'_>, required: bool) -> Option<Option<KeyPairFiles>> {
    let cert = section.find("cert");
    let key = section.find("key");
    match (cert, key) {
        (None, None) if !required => Some(None),
        (Some(cert), Some(key)) => {
            let (cert, key) = (cert.existing_file(), key.existing_file());
            Some(Some(KeyPairFiles { cert: cert?, key: key? }))
        }
        (None, None) | (Some(_), None) | (None, Some(_)) => {
            let hint = "name both PEM files: cert = \"…\", key = \"…\"";
            section.place.problem("a certificate and its key belong together", hint);
            None
        }
    }
}

fn labels(field: &Field<'_>) -> Option<Labels> {
    let label =
        |(name, field): (&str, Field<'_>)| Some((name.to_owned(), field.text()?.to_owned()));
    field.section()?.free_keys().map(label).collect()
}

pub fn listener<'a>(section: Section<'a>, names: &Names) -> Option<(Listener, Place<'a>)> {
    let target = section
        .require("target", "the name of a [[target]]")
        .and_then(|field| field.resolved(&names.targets, "target").map(Arc::from));
    let bind_field = section.require("bind", "where bots connect, such as \"0.0.0.0:5432\"");
    let place = bind_field.as_ref().map_or(section.place.clone(), |field| field.place.clone());
    let bind: Option<SocketAddr> = bind_field.and_then(|field| {
        field.parsed(|text| text.parse().ok(), "an address", "such as \"0.0.0.0:5432\"")
    });
    let hint = "name the PEM files: tls = { cert = \"…\", key = \"…\" }";
    let tls = section.require("tls", hint).and_then(|field| {
        if field.is_text() {
            field.choice(&[("off", ())])?;
            return match bind {
                Some(bind) if !bind.ip().is_loopback() => {
                    let message = "bots send tokens, and this listener would take them unencrypted";
                    field.place.problem(message, hint);
                    None
                }
                Some(_) | None => Some(None),
            };
        }
        let section = field.section()?;
        let pair = key_pair(&section, true);
        section.finish();
        pair
    });
    section.finish();
    Some((Listener { target: target?, bind: bind?, tls: tls? }, place))
}

pub fn connection<'a>(section: Section<'a>, names: &Names) -> Option<(Connection, Place<'a>)> {
    let place = section.place.clone();
    let account = section.require("service_account", "the name of a [[service_account]]");
    let account =
        account.and_then(|field| field.resolved(&names.accounts, "service account").map(Arc::from));
    let target = section
        .require("target", "the name of a [[target]]")
        .and_then(|field| field.resolved(&names.targets, "target").map(Arc::from));
    let hint = "credential = { username = \"…\", password = { vault = \"…\" } }";
    let credential =
        section.require("credential", hint).and_then(|field| field.section()).and_then(credential);
    let databases = section.find("databases").map(|field| {
        let databases = field.texts()?;
        Some(databases.into_iter().map(str::to_owned).collect::<Arc<[String]>>())
    });
    let hint = "name at least one [policy.…]; without one, nothing would be allowed";
    let policies = section.require("policies", hint).and_then(|field| {
        let policy = |field: &Field<'_>| field.resolved(&names.policies, "policy").map(Arc::from);
        field.list()?.iter().map(policy).collect::<Option<Arc<[_]>>>()
    });
    let audit = match section.find("audit").and_then(|field| field.section()) {
        None => Some(AuditStatements::default()),
        Some(section) => audit(section),
    };
    let limits = match section.find("limits").and_then(|field| field.section()) {
        None => Some(Limits::default()),
        Some(section) => limits(section),
    };
    section.finish();
    let limits = limits?;
    let connection = Connection {
        account: account?,
        target: target?,
        credential: credential?,
        databases: optional(databases)?,
        policies: policies?,
        audit: audit?,
        sessions_max: limits.sessions,
        rows_max: limits.rows,
        bytes_max: limits.bytes,
        masked_max: limits.masked,
        statements_per_minute_max: limits.statements,
    };
    Some((connection, place))
}

fn credential(section: Section<'_>) -> Option<Credential> {
    let username = section.require("username", "the user that Narrows logs in as");
    let username = username.and_then(|field| field.text());
    let password = section.find("password").map(|field| match field.is_text() {
        true => {
            let hint = "name where it lies instead: { vault = \"…\" }, { file = \"…\" }, \
                        { env = \"…\" } or { exec = [\"…\"] }, and replace this one";
            field.place.problem("a secret stands in the configuration", hint);
            None
        }
        false => secret_source(field.section()?),
    });
    section.finish();
    let password = optional(password)?;
    Some(Credential { username: username?.into(), password })
}

pub fn secret_source(section: Section<'_>) -> Option<SecretSource> {
    let place = section.place.clone();
    let found = [
        section.find("vault").map(|field| vault_name(&field)),
        section.find("file").map(|field| field.existing_file().map(SecretSource::File)),
        section.find("env").map(|field| {
            let usable = |text: &str| {
                let fits = !text.is_empty() && !text.contains(['=', '\0']);
                fits.then(|| text.to_owned())
            };
            let hint = "such as \"PAYMENTS_DB_PASSWORD\"";
            field.parsed(usable, "the name of an environment variable", hint).map(SecretSource::Env)
        }),
        section.find("exec").map(|field| command(&field)),
    ];
    section.refuse_later(&["hashicorp", "kubernetes", "aws", "gcp"]);
    section.finish();
    let mut sources = found.into_iter().flatten();
    match (sources.next(), sources.next()) {
        (Some(source), None) => source,
        (None, _) | (Some(_), Some(_)) => {
            let hint = "{ vault = \"…\" }, { file = \"…\" }, { env = \"…\" } or { exec = [\"…\"] }";
            place.problem("a secret comes from exactly one place", hint);
            None
        }
    }
}

fn vault_name(field: &Field<'_>) -> Option<SecretSource> {
    let usable = |text: &str| is_vault_name(text).then(|| text.to_owned());
    field.parsed(usable, "a name of the vault", VAULT_NAME_HINT).map(SecretSource::Vault)
}

/// Names in the vault: as other names, and `/` to group them.
#[must_use]
pub fn is_vault_name(text: &str) -> bool {
    (1..=VAULT_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

fn command(field: &Field<'_>) -> Option<SecretSource> {
    let words: Option<Vec<String>> =
        field.list()?.iter().map(|field| field.text().map(str::to_owned)).collect();
    let words = words?;
    if !words.first().is_some_and(|program| program.starts_with('/')) {
        let hint = "such as [\"/usr/bin/pass\", \"show\", \"payments\"]; there is no shell";
        field.place.problem("the program is not an absolute path", hint);
        return None;
    }
    Some(SecretSource::Exec(words))
}

fn audit(section: Section<'_>) -> Option<AuditStatements> {
    let choices = [
        ("all", AuditStatements::All),
        ("changes", AuditStatements::Changes),
        ("denied", AuditStatements::Denied),
    ];
    let statements = section
        .find("statements")
        .map_or(Some(AuditStatements::default()), |field| field.choice(&choices));
    section.finish();
    statements
}

#[derive(Default)]
struct Limits {
    sessions: Option<u32>,
    rows: Option<u64>,
    bytes: Option<u64>,
    masked: Option<u64>,
    statements: Option<u32>,
}

fn limits(section: Section<'_>) -> Option<Limits> {
    let sessions = section.find("sessions").map(|field| field.integer(1..u64::from(u32::MAX) + 1));
    let rows = section.find("rows").map(|field| field.integer(1..i64::MAX as u64));
    let bytes = section.find("bytes").map(|field| field.size_bytes(1..i64::MAX as u64));
    let masked = section.find("masked").map(|field| field.integer(1..i64::MAX as u64));
    let statements = section
        .find("statements")
        .map(|field| field.integer(1..u64::from(STATEMENTS_PER_MINUTE_MAX) + 1));
    section.finish();
    // Their ranges fit.
    let small = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
    Some(Limits {
        sessions: small(optional(sessions)?),
        rows: optional(rows)?,
        bytes: optional(bytes)?,
        masked: optional(masked)?,
        statements: small(optional(statements)?),
    })
}

const VAULT_NAME_BYTES_MAX: usize = 255;
pub const VAULT_NAME_HINT: &str = "use letters, digits, `.`, `_`, `-` and `/`";
