//! A policy that allows what was seen and no more, as it is written. Knows what rules can tell of a
//! statement, and TOML; nothing of recordings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::cli::policy::past::Seen;
use crate::cli::text::{counted, moment};
use crate::model::facts::{Access, Code, Facts, Flags, Function, Relation};

/// What rules can tell of a statement, in the words of policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    pub group: Group,
    database: String,
    verbs: BTreeSet<&'static str>,
    flags: BTreeSet<&'static str>,
    /// Patterns, by `ACCESSES`.
    objects: [BTreeSet<String>; 3],
    functions: BTreeSet<String>,
}

/// What goes into one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    effects: Vec<&'static str>,
    /// Code is run that `functions.only` cannot name.
    unnamed_code: bool,
}

impl Shape {
    /// `None` where a name can be written as no pattern that means it and nothing else.
    pub fn of(facts: &Facts, database: &str) -> Option<Self> {
        let statements = || facts.statements.iter();
        let objects = |access| {
            let relations = statements().flat_map(|statement| &statement.relations);
            let chosen = relations.filter(|relation| relation.access == access);
            chosen.map(relation_pattern).collect::<Option<BTreeSet<String>>>()
        };
        let [read, write, define] = ACCESSES.map(|(access, _)| objects(access));
        let functions = statements().flat_map(|statement| &statement.functions);
        Some(Self {
            group: Group {
                effects: facts.effects.names().collect(),
                unnamed_code: statements().any(|statement| statement.code == Code::Unnamed),
            },
            database: plain(database)?.to_owned(),
            verbs: statements().map(|statement| statement.verb).collect(),
            flags: facts.flags.names().collect(),
            objects: [read?, write?, define?],
            functions: functions.map(function_pattern).collect::<Option<_>>()?,
        })
    }
}

impl Group {
    fn id(&self) -> String {
        let effects = self.effects.join("-");
        if self.unnamed_code { format!("{effects}-unnamed") } else { effects }
    }
}

/// A rule that covers some shapes of one group.
pub struct Rule {
    pub id: String,
    pub group: Group,
    seen: Seen,
    flags: BTreeSet<&'static str>,
    databases: BTreeMap<String, Seen>,
    verbs: BTreeMap<String, Seen>,
    objects: [BTreeMap<String, Seen>; 3],
    functions: BTreeMap<String, Seen>,
}

/// A rule for each group, or for each shape of those groups that are in `split`.
pub fn rules(ran: &[(Shape, Seen)], split: &BTreeSet<Group>) -> Vec<Rule> {
    let mut whole: BTreeMap<Group, Rule> = BTreeMap::new();
    let mut rules = Vec::new();
    for (number, (shape, seen)) in ran.iter().enumerate() {
        let id = shape.group.id();
        if split.contains(&shape.group) {
            rules.push(Rule::new(format!("{id}-{}", number + 1), shape, seen));
        } else if let Some(rule) = whole.get_mut(&shape.group) {
            rule.seen.add(seen);
            rule.widen(shape, seen);
        } else {
            whole.insert(shape.group.clone(), Rule::new(id, shape, seen));
        }
    }
    rules.extend(whole.into_values());
    let mut totals: BTreeMap<Group, u64> = BTreeMap::new();
    for rule in &rules {
        *totals.entry(rule.group.clone()).or_default() += rule.seen.count;
    }
    // What was seen most often stands first, and rules of one group stand together.
    rules.sort_by_cached_key(|rule| {
        let total = totals.get(&rule.group).copied();
        (Reverse(total), rule.group.clone(), Reverse(rule.seen.count), rule.id.clone())
    });
    rules
}

impl Rule {
    fn new(id: String, shape: &Shape, seen: &Seen) -> Self {
        let mut rule = Self {
            id,
            group: shape.group.clone(),
            seen: seen.clone(),
            flags: BTreeSet::new(),
            databases: BTreeMap::new(),
            verbs: BTreeMap::new(),
            objects: Default::default(),
            functions: BTreeMap::new(),
        };
        rule.widen(shape, seen);
        rule
    }

    fn widen(&mut self, shape: &Shape, seen: &Seen) {
        self.flags.extend(&shape.flags);
        add(&mut self.databases, [&shape.database], seen);
        add(&mut self.verbs, &shape.verbs, seen);
        for (known, new) in self.objects.iter_mut().zip(&shape.objects) {
            add(known, new, seen);
        }
        add(&mut self.functions, &shape.functions, seen);
    }

    /// The rule in TOML. Comments say how often each word of it was seen. `flags` are those that are
    /// not refused already.
    fn write(&self, policy: &str, flags: &BTreeSet<&'static str>, out: &mut String) {
        let seen = counted(self.seen.count, "statement", "statements");
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n# {seen}, the last at {}.\n[[policy.{policy}.rule]]\nid = {}\naction = \"allow\"\n\n\
             [policy.{policy}.rule.when]\neffects.only = {}\n",
            moment(self.seen.last),
            quoted(&self.id),
            inline(&self.group.effects),
        );
        let unseen: Vec<&str> = flags.difference(&self.flags).copied().collect();
        if !unseen.is_empty() {
            let _ = writeln!(out, "flags.none = {}", inline(&unseen));
        }
        list(out, "database", &self.databases);
        list(out, "verb", &self.verbs);
        if self.objects.iter().all(BTreeMap::is_empty) {
            list(out, "objects.only", &BTreeMap::new());
        } else {
            for ((_, word), names) in ACCESSES.iter().zip(&self.objects) {
                list(out, &format!("objects.{word}.only"), names);
            }
        }
        if self.group.unnamed_code {
            out.push_str("# Any code: the statement brings its own, beyond any list.\n");
        } else {
            list(out, "functions.only", &self.functions);
        }
    }
}

/// The policy `name` with these rules. `harmless` are the flags of statements without any effect,
/// which need no rule and must not be refused by one.
pub fn policy(name: &str, rules: &[Rule], harmless: Flags) -> String {
    let mut out = format!(
        "[policy.{name}]\ndefault = \"deny\"\nunknown = \"deny\"\n\n[policy.{name}.lists]\n\
         # No name is empty: a rule that allows only these allows none.\n{NOTHING} = [\".\"]\n"
    );
    let mut flags: BTreeSet<&'static str> = harmless.names().collect();
    flags.extend(rules.iter().flat_map(|rule| &rule.flags));
    let unseen: Vec<&str> = Flags::all_names().filter(|flag| !flags.contains(flag)).collect();
    if !unseen.is_empty() {
        let _ = write!(
            out,
            "\n# None of what ran was like this.\n[[policy.{name}.rule]]\nid = \"never-seen\"\n\
             action = \"deny\"\n\n[policy.{name}.rule.when]\nflags.any = {}\n",
            inline(&unseen)
        );
    }
    for rule in rules {
        rule.write(name, &flags, &mut out);
    }
    out
}

fn add<'n>(
    known: &mut BTreeMap<String, Seen>,
    names: impl IntoIterator<Item = &'n (impl ToString + ?Sized + 'n)>,
    seen: &Seen,
) {
    for name in names {
        let entry = known.entry(name.to_string());
        entry.and_modify(|before| before.add(seen)).or_insert_with(|| seen.clone());
    }
}

fn list(out: &mut String, key: &str, names: &BTreeMap<String, Seen>) {
    if names.is_empty() {
        let _ = writeln!(out, "{key} = \"@{NOTHING}\"");
        return;
    }
    let _ = writeln!(out, "{key} = [");
    for (name, seen) in names {
        let times = counted(seen.count, "time", "times");
        let _ = writeln!(out, "    {}, # {times}, last {}", quoted(name), moment(seen.last));
    }
    out.push_str("]\n");
}

fn inline(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

/// A basic string of TOML. Everything beyond printable ASCII is written by its number, so that no
/// name acts on a terminal.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            other => {
                let _ = write!(out, "\\U{:08X}", u32::from(other));
            }
        }
    }
    out.push('"');
    out
}

/// A relation as a pattern. One without a schema is whatever the search path makes of it, so that
/// only a pattern for every schema covers it; one called `*` is a whole schema.
fn relation_pattern(relation: &Relation) -> Option<String> {
    let name = if &*relation.name == "*" { "*" } else { plain(&relation.name)? };
    match &relation.schema {
        Some(schema) => Some(format!("{}.{name}", plain_schema(schema)?)),
        None => Some(format!("*.{name}")),
    }
}

fn function_pattern(function: &Function) -> Option<String> {
    match &function.schema {
        Some(schema) => Some(format!("{}.{}", plain_schema(schema)?, plain(&function.name)?)),
        None => Some(plain_schema(&function.name)?.to_owned()),
    }
}

/// A name in which nothing is special to patterns.
fn plain(name: &str) -> Option<&str> {
    (!name.contains('*')).then_some(name).filter(|name| !name.starts_with('@'))
}

/// The same for what stands first: a dot would end it.
fn plain_schema(name: &str) -> Option<&str> {
    plain(name).filter(|name| !name.contains('.'))
}

const ACCESSES: [(Access, &str); 3] =
    [(Access::Read, "read"), (Access::Write, "write"), (Access::Define, "define")];

/// The list that nothing is on.
const NOTHING: &str = "nothing";

#[cfg(test)]
mod tests;
