//! What is tried out before it is in force: policies in a file of their own, and cases that say how
//! policies should decide. Gives no verdict.

use std::path::Path;
use std::sync::Arc;

use crate::config::load::{self, parse};
use crate::config::section::{Field, Notes, Section};
use crate::config::source::Source;
use crate::config::{Config, Diagnostic, policy};
use crate::judge::policy::Library;
use crate::model::command::Language;
use crate::model::identity::{ClaimValue, Claims};
use crate::model::target::{Connection, Labels, Target};

/// A statement, or several, and the verdict that each of them should get.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Counts from 1.
    pub line: usize,
    pub connection: Arc<Connection>,
    pub target: Arc<Target>,
    pub database: String,
    pub claims: Claims,
    /// The target's, unless the case names others.
    pub labels: Arc<Labels>,
    pub statements: Vec<String>,
    /// The target's protocol's, unless the case names another.
    pub language: Option<Language>,
    /// Shown with a failure. No rule asks for them.
    pub parameters: Vec<String>,
    /// A verdict's word.
    pub expect: &'static str,
    /// `policy/rule`, or the rule's id alone.
    pub rule: Option<String>,
}

/// The policies of a file that holds `[policy.NAME]` tables and nothing else.
pub fn load_policies(path: &Path) -> Result<Library, Vec<Diagnostic>> {
    policies_of(from_file(path)?)
}

/// As `load_policies`, of text that stands in no file yet.
pub fn policies_in(text: String) -> Result<Library, Vec<Diagnostic>> {
    policies_of(Source::new("draft".into(), text))
}

/// The cases of a file, for the connections of `config`.
pub fn load_cases(path: &Path, config: &Config) -> Result<Vec<Case>, Vec<Diagnostic>> {
    within(&from_file(path)?, |root| {
        let shared = Shared::of(&root);
        let cases = root.require("case", "add [[case]] with name, statement and expect");
        let sections = cases.map(|field| field.sections()).unwrap_or_default();
        let cases = sections.into_iter().map(|section| case(section, &shared, config)).collect();
        root.finish();
        cases
    })
}

fn policies_of(source: Source) -> Result<Library, Vec<Diagnostic>> {
    let version = load::version(std::slice::from_ref(&source));
    within(&source, |root| {
        let policies = policy::policies(&root);
        if policies.is_empty() {
            root.place.problem("there is no policy", "begin with [policy.NAME]");
        }
        root.finish();
        policy::compile(policies, &version, None)
    })
    .map(|library| library.as_ref().clone())
}

fn from_file(path: &Path) -> Result<Source, Vec<Diagnostic>> {
    Source::read(path).map_err(|error| {
        vec![Diagnostic {
            file: path.to_owned(),
            line: 0,
            message: format!("cannot read the file: {error}"),
            hint: None,
        }]
    })
}

/// What `read` makes of the file, if nothing in it is wrong.
fn within<T>(
    source: &Source,
    read: impl FnOnce(Section<'_>) -> Option<T>,
) -> Result<T, Vec<Diagnostic>> {
    let notes = Notes::default();
    let table = parse(source, &notes);
    // Half a file would only make up problems that are not there.
    let value =
        notes.is_empty().then(|| read(Section::root(source, table.get_ref(), &notes))).flatten();
    let (mut problems, _, _) = notes.into_parts();
    problems.sort_by_key(|problem| problem.line);
    problems.dedup();
    value.filter(|_| problems.is_empty()).ok_or(problems)
}

/// What stands above the cases, for those that do not say otherwise.
struct Shared<'a> {
    connection: Option<Field<'a>>,
    database: Option<&'a str>,
    claims: Option<Claims>,
    labels: Option<Labels>,
    language: Option<Language>,
}

impl<'a> Shared<'a> {
    fn of(section: &Section<'a>) -> Self {
        Self {
            connection: section.find("connection"),
            database: section.find("database").and_then(|field| field.text()),
            claims: section.find("claims").and_then(|field| claims(&field)),
            labels: section.find("labels").and_then(|field| labels(&field)),
            language: section.find("language").and_then(|field| field.choice(&Language::NAMES)),
        }
    }
}

fn case(section: Section<'_>, shared: &Shared<'_>, config: &Config) -> Option<Case> {
    let name = section.require("name", "say what the case shows").and_then(|field| field.text());
    let own = Shared::of(&section);
    let connection = connection(&section, own.connection.as_ref(), shared, config);
    let statement = section.require("statement", "write the SQL, or a list of statements");
    let statements = statement.and_then(|field| {
        let fields = field.one_or_list()?;
        fields.iter().map(|field| field.text().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    let parameters = section.find("parameters").and_then(|field| field.texts());
    let expect = section.require("expect", "write \"allow\" or \"deny\"");
    let expect = expect.and_then(|field| field.choice(&VERDICTS));
    let rule = section.find("rule").and_then(|field| field.text());
    let line = section.place.line();
    section.finish();

    let connection = connection?;
    let target = config.targets.iter().find(|target| target.name == connection.target)?;
    let labels = own.labels.or_else(|| shared.labels.clone());
    Some(Case {
        name: name?.to_owned(),
        line,
        database: own.database.or(shared.database).unwrap_or_default().to_owned(),
        claims: own.claims.or_else(|| shared.claims.clone()).unwrap_or_default(),
        labels: labels.map_or_else(|| Arc::clone(&target.labels), Arc::new),
        target: Arc::clone(target),
        connection,
        statements: statements?,
        language: own.language.or(shared.language),
        parameters: parameters.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        expect: expect?,
        rule: rule.map(str::to_owned),
    })
}

/// The connection that a case names, in one word or by its account and target.
fn connection(
    section: &Section<'_>,
    own: Option<&Field<'_>>,
    shared: &Shared<'_>,
    config: &Config,
) -> Option<Arc<Connection>> {
    let names: Vec<String> = config.connections.iter().map(|known| known.name()).collect();
    let account = section.find("account");
    let target = section.find("target");
    let name = match (own.or(shared.connection.as_ref()), account, target) {
        (_, Some(account), Some(target)) if own.is_none() => {
            let name = format!("{}@{}", account.text()?, target.text()?);
            if !names.contains(&name) {
                let hint = format!("known: {}", names.join(", "));
                account.place.problem(format!("there is no connection \"{name}\""), hint);
            }
            name
        }
        (Some(field), None, None) => field.resolved(&names, "connection")?.to_owned(),
        (_, account, target) => {
            let hint = "write connection = \"ACCOUNT@TARGET\", or account and target";
            let message = if account.is_some() || target.is_some() {
                "`case.account` and `case.target` stand together, and instead of `connection`"
            } else {
                "`case.connection` is missing"
            };
            section.place.problem(message, hint);
            return None;
        }
    };
    config.connections.iter().find(|known| known.name() == name).cloned()
}

fn claims(field: &Field<'_>) -> Option<Claims> {
    let mut claims = Claims::new();
    gather_claims("", field, &mut claims);
    Some(claims)
}

/// Claims by their dotted names, as tokens' are.
fn gather_claims(prefix: &str, field: &Field<'_>, claims: &mut Claims) {
    let Some(section) = field.section() else { return };
    for (name, field) in section.free_keys() {
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        if field.is_table() {
            gather_claims(&name, &field, claims);
        } else if field.is_list() {
            let items = field.list().unwrap_or_default();
            let items = items.iter().filter_map(Field::scalar).collect();
            claims.insert(name, ClaimValue::List(items));
        } else if let Some(value) = field.scalar() {
            claims.insert(name, ClaimValue::Text(value));
        }
    }
}

fn labels(field: &Field<'_>) -> Option<Labels> {
    let section = field.section()?;
    let labels = section.free_keys();
    Some(
        labels
            .filter_map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())))
            .collect(),
    )
}

/// The words of verdicts.
const VERDICTS: [(&str, &str); 3] = [("allow", "allow"), ("deny", "deny"), ("hold", "hold")];
