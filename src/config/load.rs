//! From files to a `Config`: reads all sections, then resolves what they say about each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use crate::config::policy::Policy;
use crate::config::section::{Notes, Place, Section};
use crate::config::source::{self, Source};
use crate::config::target::{self, Names};
use crate::config::{Config, Diagnostic, access, node, notifier, policy};
use crate::identity::vault::Vault;
use crate::identity::{Account, Group, Issuer};
use crate::model::hex::hex;
use crate::model::target::{Connection, Listener, Target};

/// Reads `path` and everything that it includes. Problems are ordered by file and line.
pub fn load(path: &Path) -> Result<Config, Vec<Diagnostic>> {
    load_noting_keys(path).0
}

/// Reads `text` as if it were the file `path`. Follows no `include`.
pub fn load_text(path: &Path, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let sources = vec![Source::new(path.to_owned(), text.to_owned())];
    of_sources(sources, Notes::default()).0
}

/// As `load`, and the full names of all keys that a file could have set.
pub(super) fn load_noting_keys(path: &Path) -> (Result<Config, Vec<Diagnostic>>, BTreeSet<String>) {
    let mut problems = Vec::new();
    let sources = source::read_all(path, &mut problems);
    of_sources(sources, Notes::starting_with(problems))
}

fn of_sources(
    sources: Vec<Source>,
    notes: Notes,
) -> (Result<Config, Vec<Diagnostic>>, BTreeSet<String>) {
    let tables: Vec<Spanned<DeTable<'_>>> =
        sources.iter().map(|source| parse(source, &notes)).collect();
    let roots: Vec<Section<'_>> = sources
        .iter()
        .zip(&tables)
        .map(|(source, table)| Section::root(source, table.get_ref(), &notes))
        .collect();
    // Half a file would only make up problems that are not there.
    let whole = !roots.is_empty() && notes.is_empty();
    let config = whole.then(|| read(roots, &sources)).flatten();

    let (mut problems, mut warnings, asked) = notes.into_parts();
    let order = |diagnostic: &Diagnostic| {
        let file = sources.iter().position(|source| source.path == diagnostic.file);
        (file, diagnostic.line)
    };
    problems.sort_by_key(order);
    problems.dedup();
    warnings.sort_by_key(order);
    match config {
        Some(config) if problems.is_empty() => (Ok(Config { warnings, ..config }), asked),
        Some(_) | None => (Err(problems), asked),
    }
}

/// Where the configuration puts the vault, whatever else is wrong with it.
pub fn vault_of(path: &Path) -> Result<Vault, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let sources = source::read_all(path, &mut problems);
    if sources.is_empty() {
        return Err(problems);
    }
    let notes = Notes::default();
    let tables: Vec<Spanned<DeTable<'_>>> =
        sources.iter().map(|source| parse(source, &notes)).collect();
    let node = sources.iter().zip(&tables).find_map(|(source, table)| {
        Section::root(source, table.get_ref(), &notes).find("node")?.section()
    });
    let vault = node.and_then(|section| node::vault_alone(&section));
    let (problems, _, _) = notes.into_parts();
    vault.ok_or(problems)
}

pub(super) fn parse<'a>(source: &'a Source, notes: &Notes) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        notes.problem(Diagnostic {
            file: source.path.clone(),
            line: source.line(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
            hint: None,
        });
    }
    table
}

/// `None` only where a problem was noted.
fn read(roots: Vec<Section<'_>>, sources: &[Source]) -> Option<Config> {
    for root in &roots {
        // Read when the files were gathered; here only its kind is checked.
        if let Some(field) = root.find("include") {
            field.texts();
        }
    }
    let node = only_one(&roots, "node");
    if let (None, Some(root)) = (&node, roots.first()) {
        root.place.problem("`node` is missing", "begin with [node] and name = \"…\"");
    }
    let node = node.and_then(node::node);
    let recording = only_one(&roots, "recording");
    let state_dir = node.as_ref().map_or(Path::new(""), |node| &node.state_dir);
    let recording = node::recording(recording, state_dir);
    let sinks: Vec<_> = every(&roots, "sink").into_iter().map(node::sink).collect();
    let names = Names {
        issuers: names_in(&roots, "issuer"),
        accounts: names_in(&roots, "service_account"),
        targets: names_in(&roots, "target"),
        policies: roots.iter().flat_map(policy::names).collect(),
    };
    let issuers = every(&roots, "issuer").into_iter().filter_map(access::issuer);
    let issuers = unique(issuers, "issuer", |issuer| issuer.name.to_string());
    refuse_same_url(&issuers);
    let accounts = every(&roots, "service_account").into_iter();
    let accounts = accounts.filter_map(|section| access::account(section, &names));
    let accounts = unique(accounts, "service account", |account| account.name.to_string());
    let targets = every(&roots, "target").into_iter().filter_map(target::target);
    let targets = unique(targets, "target", |target| target.name.to_string());
    let listeners = every(&roots, "listener").into_iter();
    let listeners: Vec<_> =
        listeners.filter_map(|section| target::listener(section, &names)).collect();
    refuse_port_clashes(&listeners, node.as_ref().and_then(|node| node.admin.bind));
    let connections = every(&roots, "connection").into_iter();
    let connections = connections.filter_map(|section| target::connection(section, &names));
    let connections = unique(connections, "connection", Connection::name);
    let policies = roots.iter().flat_map(policy::policies);
    let policies = unique(policies, "policy", |policy| policy.name.to_string());
    let groups =
        every(&roots, "group").into_iter().filter_map(|section| access::group(section, &names));
    let groups = unique(groups, "group", |group| group.name.to_string());
    let notifiers = every(&roots, "notifier").into_iter().filter_map(notifier::notifier);
    let notifiers = unique(notifiers, "notifier", |notifier| notifier.name.to_string());
    for root in roots {
        root.finish();
    }
    warn_of_bots_in_groups(&groups, &accounts);
    warn_of_idle(&accounts, &targets, &policies, &listeners, &connections);

    let version = version(sources);
    let group_names: Vec<&str> = groups.iter().map(|(group, _)| &*group.name).collect();
    let rule_places = policy::places(&policies);
    let policies = policy::compile(policies, &version, Some(&group_names));

    Some(Config {
        node: node?,
        recording: recording?,
        issuers: values(issuers).map(Arc::new).collect(),
        accounts: values(accounts).collect(),
        targets: values(targets).map(Arc::new).collect(),
        listeners: values(listeners).collect(),
        connections: values(connections).map(Arc::new).collect(),
        policies: policies?,
        rule_places,
        groups: values(groups).collect(),
        notifiers: values(notifiers).collect(),
        sinks: sinks.into_iter().collect::<Option<_>>()?,
        version,
        files: sources.iter().map(|source| source.path.clone()).collect(),
        warnings: Vec::new(),
    })
}

/// A value and where it was defined.
type Placed<'a, T> = (T, Place<'a>);

fn values<T>(placed: Vec<Placed<'_, T>>) -> impl Iterator<Item = T> {
    placed.into_iter().map(|(value, _)| value)
}

/// The table `key` of whichever file has it.
fn only_one<'a>(roots: &[Section<'a>], key: &'static str) -> Option<Section<'a>> {
    let mut found = roots.iter().filter_map(|root| root.find(key)?.section());
    let first = found.next();
    for again in found {
        let before = first.as_ref().map(|section| section.place.name()).unwrap_or_default();
        let hint = format!("it stands at {before} already; join them there");
        again.place.problem(format!("`{key}` is defined twice"), hint);
    }
    first
}

/// The tables `[[key]]` of all files.
fn every<'a>(roots: &[Section<'a>], key: &'static str) -> Vec<Section<'a>> {
    roots.iter().filter_map(|root| root.find(key)).flat_map(|field| field.sections()).collect()
}

/// Names that are defined, soundly or not, so that one mistake is reported once.
fn names_in(roots: &[Section<'_>], key: &'static str) -> Vec<String> {
    every(roots, key).iter().filter_map(Section::peek_name).collect()
}

fn unique<'a, T>(
    defined: impl Iterator<Item = Placed<'a, T>>,
    what: &str,
    name: impl Fn(&T) -> String,
) -> Vec<Placed<'a, T>> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::new();
    for (value, place) in defined {
        let name = name(&value);
        if let Some(before) = seen.get(&name) {
            let hint = format!("it stands at {before} already");
            place.problem(format!("the {what} {name} is defined twice"), hint);
            continue;
        }
        seen.insert(name, place.name());
        kept.push((value, place));
    }
    kept
}

/// A token names its issuer by URL alone, so two of the same could not be told apart.
fn refuse_same_url(issuers: &[Placed<'_, Issuer>]) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (issuer, place) in issuers {
        if let Some(before) = seen.insert(&issuer.url, &issuer.name) {
            let hint = "join them; audiences and algorithms are lists";
            place.problem(format!("issuer {before} has the same URL"), hint);
        }
    }
}

fn refuse_port_clashes(listeners: &[Placed<'_, Listener>], admin: Option<SocketAddr>) {
    let clash = |one: SocketAddr, other: SocketAddr| {
        one.port() == other.port()
            && one.port() != 0
            && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
    };
    for (at, (listener, place)) in listeners.iter().enumerate() {
        let mut before = listeners.iter().take(at);
        if let Some((_, other)) = before.find(|(other, _)| clash(listener.bind, other.bind)) {
            let message = format!("{} is taken by another listener", listener.bind);
            place.problem(message, format!("it stands at {}", other.name()));
        }
        if admin.is_some_and(|admin| clash(listener.bind, admin)) {
            let message = format!("{} is taken by the admin address", listener.bind);
            place.problem(message, "change this one, or node.admin.bind");
        }
    }
}

/// A bot's token that no service account takes is told from a human's by nothing but its claims.
fn warn_of_bots_in_groups(groups: &[Placed<'_, Group>], accounts: &[Placed<'_, Account>]) {
    let of_bots: BTreeSet<&str> =
        accounts.iter().flat_map(|(one, _)| &one.rules).map(|rule| &*rule.issuer).collect();
    for (group, place) in groups {
        let shared = group.rules.iter().find(|rule| of_bots.contains(&*rule.issuer));
        if let Some(rule) = shared {
            let message = format!(
                "group {} and a service account take tokens of {}",
                group.name, rule.issuer
            );
            let hint = "make sure that no bot's token has the group's claims, or give humans an \
                        issuer of their own";
            place.warning(message, hint);
        }
    }
}

/// What is defined and used by nothing works as written, and is hardly meant.
fn warn_of_idle(
    accounts: &[Placed<'_, Account>],
    targets: &[Placed<'_, Target>],
    policies: &[Placed<'_, Policy>],
    listeners: &[Placed<'_, Listener>],
    connections: &[Placed<'_, Connection>],
) {
    let connected = |used: &dyn Fn(&Connection) -> bool| {
        connections.iter().any(|(connection, _)| used(connection))
    };
    for (account, place) in accounts {
        if !connected(&|connection| connection.account == account.name) {
            let message = format!("service account {} has no connection", account.name);
            place.warning(message, "it can log in nowhere; add a [[connection]]");
        }
    }
    for (target, place) in targets {
        if !listeners.iter().any(|(listener, _)| listener.target == target.name) {
            let message = format!("target {} has no listener", target.name);
            place.warning(message, "nobody can reach it; add a [[listener]]");
        }
        if !connected(&|connection| connection.target == target.name) {
            let message = format!("target {} has no connection", target.name);
            place.warning(message, "every login is refused; add a [[connection]]");
        }
    }
    for (policy, place) in policies {
        if !connected(&|connection| connection.policies.contains(&policy.name)) {
            let message = format!("policy {} is used by no connection", policy.name);
            place.warning(message, "name it in a connection's `policies`");
        }
    }
}

/// Names one state of all files. The lengths keep bytes from wandering between files unseen.
pub(super) fn version(sources: &[Source]) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for source in sources {
        digest.update(&(source.text.len() as u64).to_be_bytes());
        digest.update(source.text.as_bytes());
    }
    let digest = digest.finish();
    hex(digest.as_ref().get(..VERSION_BYTES).unwrap_or_default())
}

/// Enough to tell any two configurations of one node apart.
const VERSION_BYTES: usize = 6;
