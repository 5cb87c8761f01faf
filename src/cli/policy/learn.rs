//! `narrows policy learn`: drafts a policy from what ran. Reads recordings alone; of the
//! configuration, only where they lie. The draft is compiled and asked again before it is printed:
//! it allows what it was made of, and what it cannot help allowing beside that is said in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::policy::draft::{self, Group, Rule, Shape};
use crate::cli::policy::past::{self, Choice, Past, Reach, Seen};
use crate::cli::screen::CommandError;
use crate::cli::text::{counted, fit, moment, visible};
use crate::cli::{Context, Exit, Output, complain, over_recordings};
use crate::config::{self, Diagnostic};
use crate::judge::policy::{Circumstances, Library};
use crate::limits::{PAST_STATEMENTS_MAX, RULES_MAX};
use crate::model::facts::{Facts, Flags};
use crate::model::identity::Principal;
use crate::model::target::Labels;
use crate::wire;

/// Draft a policy that allows what a connection was recorded to run, and nothing else
///
/// The draft goes to standard output. Statements that were refused, by a policy or by the target's
/// own grants, stand in it as comments; so do those of which it cannot be told what they do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows policy learn --connection ci@db > draft.toml
  narrows policy learn --connection ci@db --since 30d --name ci > draft.toml
  narrows policy replay --policy draft.toml --by ci --connection ci@db

Exits with 1 if nothing that ran is recorded.")]
pub struct Args {
    /// The connection: ACCOUNT@TARGET
    #[arg(long, value_name = "ACCOUNT@TARGET")]
    connection: String,
    /// Only statements that ended since: a time, a day (UTC), or a span such as 30d
    #[arg(long, value_name = "TIME", value_parser = super::since)]
    since: Option<u64>,
    /// Name of the policy
    #[arg(long, value_name = "NAME", default_value = "learned", value_parser = policy_name)]
    name: String,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("use letters, digits, `_` and `-`")]
struct NoName;

fn policy_name(text: &str) -> Result<String, NoName> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (!text.is_empty() && text.bytes().all(fits)).then(|| text.to_owned()).ok_or(NoName)
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> ExitCode {
    let failed = Exit::Failure as u8;
    over_recordings(context, args.recordings.clone(), failed, |dir, _, out| {
        let lesson = gather(dir, &args.connection, args.since.unwrap_or(0))?;
        if lesson.ran.is_empty() {
            complain(&format!("nothing is recorded that ran on {}", args.connection));
            return Ok(Exit::Failure.into());
        }
        match Draft::of(lesson, &args.connection, &args.name) {
            Ok(draft) => {
                match context.output {
                    Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&draft)?)?,
                    Output::People => out.write_all(draft.toml.as_bytes())?,
                }
                Ok(Exit::Done.into())
            }
            Err(problems) => {
                problems.iter().for_each(|problem| complain(&problem.to_string()));
                Ok(Exit::Failure.into())
            }
        }
    })
}

/// What a recording teaches about one connection.
#[derive(Default)]
struct Lesson {
    reach: Reach,
    ran: BTreeMap<Shape, Seen>,
    refused: Notes,
    doubtful: Notes,
    /// Statements without any effect, which every policy allows.
    harmless: u64,
    harmless_flags: Flags,
    /// Statements that are of no account here: there were too many different ones.
    untold: u64,
}

/// Statements that are noted and not allowed.
type Notes = HashMap<Note, Noted>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Note {
    why: String,
    database: String,
    fingerprint: u64,
    /// Literals have a say in them, and none in the fingerprint.
    flags: Vec<&'static str>,
}

struct Noted {
    seen: Seen,
    /// The first of the texts.
    statement: String,
    facts: Option<Arc<Facts>>,
}

fn gather(dir: &Path, connection: &str, since_unix_ns: u64) -> Result<Lesson, CommandError> {
    let choice = Choice { connection: Some(connection), since_unix_ns, session: None };
    let mut lesson = Lesson::default();
    let reach = past::visit(dir, choice, &mut |past| lesson.learn(&past))?;
    Ok(Lesson { reach, ..lesson })
}

impl Lesson {
    fn learn(&mut self, past: &Past<'_>) {
        let facts = past.facts.as_ref().ok().map(|(facts, _)| Arc::clone(facts));
        if let Some(why) = refusal(past) {
            return note(&mut self.refused, past, why, facts, &mut self.untold);
        }
        let (facts, start) = match &past.facts {
            Ok((facts, start)) => (facts, start),
            Err(doubt) => {
                return note(&mut self.doubtful, past, doubt.to_string(), None, &mut self.untold);
            }
        };
        if let Some(unknown) = facts.unknown {
            let why = unknown.reason().to_owned();
            return note(&mut self.doubtful, past, why, None, &mut self.untold);
        }
        if facts.effects.is_empty() {
            self.harmless += 1;
            self.harmless_flags |= facts.flags;
            return;
        }
        let Some(shape) = Shape::of(facts, &start.database) else {
            let why = "a name in it cannot be written as a pattern".to_owned();
            return note(&mut self.doubtful, past, why, None, &mut self.untold);
        };
        if let Some(seen) = self.ran.get_mut(&shape) {
            seen.add(&past.seen());
        } else if self.ran.len() < PAST_STATEMENTS_MAX {
            self.ran.insert(shape, past.seen());
        } else {
            self.untold += 1;
        }
    }
}

/// Who refused the statement, if somebody did.
fn refusal(past: &Past<'_>) -> Option<String> {
    let exchange = past.exchange;
    if exchange.verdict != ALLOW {
        return Some(format!("{} by {}", exchange.verdict, exchange.rule));
    }
    let start = past.start?;
    let code = exchange.error.as_deref()?;
    let by_target = wire::lacks_privilege(start.protocol, code);
    by_target.then(|| format!("the target's own grants, {code}"))
}

fn note(
    notes: &mut Notes,
    past: &Past<'_>,
    why: String,
    facts: Option<Arc<Facts>>,
    untold: &mut u64,
) {
    let note = Note {
        why,
        database: past.start.map(|start| start.database.clone()).unwrap_or_default(),
        fingerprint: past.exchange.fingerprint,
        flags: facts.iter().flat_map(|facts| facts.flags.names()).collect(),
    };
    if let Some(noted) = notes.get_mut(&note) {
        noted.seen.add(&past.seen());
    } else if notes.len() < PAST_STATEMENTS_MAX {
        notes.insert(note, Noted { seen: past.seen(), statement: past.sample(), facts });
    } else {
        *untold += 1;
    }
}

/// The draft, and what its comments say.
#[derive(Debug, Serialize)]
struct Draft {
    connection: String,
    policy: String,
    #[serde(flatten)]
    reach: Reach,
    rules: usize,
    /// Refused once, and not allowed by the draft.
    refused: Vec<Remark>,
    /// Refused once, and allowed by the draft all the same.
    not_told_apart: Vec<Remark>,
    /// Not refused, and not allowed by the draft.
    doubtful: Vec<Remark>,
    harmless: u64,
    untold: u64,
    toml: String,
}

#[derive(Clone, Debug, Serialize)]
struct Remark {
    why: String,
    statement: String,
    #[serde(flatten)]
    seen: Seen,
}

impl Draft {
    fn of(lesson: Lesson, connection: &str, name: &str) -> Result<Self, Vec<Diagnostic>> {
        let ran: Vec<(Shape, Seen)> = lesson.ran.into_iter().collect();
        let mut split = BTreeSet::new();
        // Rules that are as narrow as can be tell more apart; others are better to read.
        let (rules, text, allowed) = loop {
            let rules = draft::rules(&ran, &split);
            let text = draft::policy(name, &rules, lesson.harmless_flags);
            let allowed = allowed(&config::policies_in(text.clone())?, name, &lesson.refused);
            let culprits = culprits(&rules, &allowed, &split);
            let larger: BTreeSet<Group> = split.iter().chain(&culprits).cloned().collect();
            if culprits.is_empty() || draft::rules(&ran, &larger).len() >= RULES_MAX {
                break (rules, text, allowed);
            }
            split = larger;
        };
        let (not_told_apart, refused): (Vec<_>, Vec<_>) =
            lesson.refused.into_iter().partition(|(note, _)| allowed.contains_key(note));
        let mut draft = Self {
            connection: connection.to_owned(),
            policy: name.to_owned(),
            reach: lesson.reach,
            rules: rules.len(),
            refused: remarks(refused),
            not_told_apart: remarks(not_told_apart),
            doubtful: remarks(lesson.doubtful),
            harmless: lesson.harmless,
            untold: lesson.untold,
            toml: String::new(),
        };
        draft.toml = draft.head() + &text + &draft.tail();
        Ok(draft)
    }

    fn head(&self) -> String {
        let mut out = format!(
            "# Drafted from {} in {} of {}.\n\
             # It allows what ran there, whether it should have or not: read it before it is\n\
             # used, and try it: narrows policy replay --policy FILE --by {} --connection {}\n",
            counted(self.reach.statements, "statement", "statements"),
            counted(self.reach.sessions, "session", "sessions"),
            visible(&self.connection),
            self.policy,
            visible(&self.connection),
        );
        if self.harmless > 0 {
            let harmless = counted(self.harmless, "statement", "statements");
            let _ = writeln!(out, "# {harmless} did nothing that needs to be allowed.");
        }
        if self.untold > 0 {
            let untold = counted(self.untold, "statement", "statements");
            let _ = writeln!(out, "# {untold} are not in it: there were too many different ones.");
        }
        if self.reach.gaps > 0 {
            let gaps = counted(self.reach.gaps, "place", "places");
            let _ =
                writeln!(out, "# The recording is damaged or incomplete in {gaps}: narrows verify");
        }
        out.push('\n');
        out
    }

    fn tail(&self) -> String {
        let mut out = String::new();
        for (head, remarks) in [
            ("Refused when it was recorded, and so not allowed here", &self.refused),
            (
                "Refused when it was recorded, and allowed here all the same: the rules above\n\
                 # cannot tell it from what ran",
                &self.not_told_apart,
            ),
            ("Not allowed here, since it cannot be told what it does", &self.doubtful),
        ] {
            if remarks.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n# {head}:");
            for remark in remarks.iter().take(REMARKS_MAX) {
                let times = counted(remark.seen.count, "time", "times");
                let (why, statement) = (visible(&remark.why), visible(&remark.statement));
                let last = moment(remark.seen.last);
                let _ = writeln!(out, "#   {times}, last {last} ({why}):");
                let _ = writeln!(out, "#     {}", fit(&statement, REMARK_COLUMNS));
            }
            let more = remarks.len().saturating_sub(REMARKS_MAX);
            if more > 0 {
                let more = counted(more as u64, "other", "others");
                let _ = writeln!(out, "#   and {more}; --json lists them all");
            }
        }
        out
    }
}

/// Refused statements that the draft would allow, and by which of its rules.
fn allowed(library: &Library, name: &str, refused: &Notes) -> BTreeMap<Note, String> {
    let principal = Principal {
        account: "".into(),
        issuer: "".into(),
        subject: "".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::default(),
    };
    let labels = Labels::new();
    let rule = |note: &Note, noted: &Noted| {
        let database = note.database.as_str();
        let circumstances =
            Circumstances { principal: &principal, labels: &labels, target: "", database };
        let session = library.bind(&[name.into()], &circumstances).ok()?;
        let verdict = session.decide(noted.facts.as_ref()?, noted.statement.as_bytes(), &[]);
        (verdict.word() == ALLOW).then(|| verdict.grounds().rule.rule.to_string())
    };
    refused.iter().filter_map(|(note, noted)| Some((note.clone(), rule(note, noted)?))).collect()
}

/// Groups whose rule allows too much and can be split.
fn culprits(
    rules: &[Rule],
    allowed: &BTreeMap<Note, String>,
    split: &BTreeSet<Group>,
) -> BTreeSet<Group> {
    let named = |rule: &&Rule| allowed.values().any(|id| *id == rule.id);
    let groups = rules.iter().filter(named).map(|rule| rule.group.clone());
    groups.filter(|group| !split.contains(group)).collect()
}

fn remarks(notes: impl IntoIterator<Item = (Note, Noted)>) -> Vec<Remark> {
    let mut notes: Vec<(Note, Noted)> = notes.into_iter().collect();
    notes.sort_by(|(one, noted), (other, others)| {
        others.seen.count.cmp(&noted.seen.count).then_with(|| one.cmp(other))
    });
    let remark = |(note, noted): (Note, Noted)| Remark {
        why: note.why,
        statement: noted.statement,
        seen: noted.seen,
    };
    notes.into_iter().map(remark).collect()
}

/// A recording's word for what was forwarded.
const ALLOW: &str = "allow";
/// Remarks of one kind that the comments hold.
const REMARKS_MAX: usize = 200;
const REMARK_COLUMNS: usize = 160;

#[cfg(test)]
mod tests;
