//! `narrows policy replay`: what a policy would have decided on what was recorded. Changes nothing,
//! and asks no target.
//!
//! Each text is judged alone, by the claims that its session began with and the labels that its
//! target has now. What a session would have sent after another verdict is not known.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::policy::past::{self, Choice, Doubt, Past, Reach, Seen};
use crate::cli::screen::{CommandError, Screen, time};
use crate::cli::text::{self, Colour, counted, visible};
use crate::cli::{Context, Exit, Output, complain, fail, over_recordings};
use crate::config::{self, Config};
use crate::judge::policy::{Circumstances, Library, SessionPolicy, UnknownPolicy};
use crate::limits::PAST_STATEMENTS_MAX;
use crate::model::identity::Principal;
use crate::model::session::{Exchange, SessionId};
use crate::model::target::PolicyName;
use crate::model::verdict::Verdict;
use crate::record::SessionStart;

/// Judge what was recorded by another policy, and show what would change
///
/// The connections, and which policies each of them has, are those of the configuration. Policies
/// of --policy take the place of those of the same name. Without it the configuration itself is
/// tried: narrows policy replay -c new/narrows.toml
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows policy replay --policy new.toml --since 7d
  narrows policy replay --policy draft.toml --by learned --connection ci@db
  narrows policy replay -c new.toml --recordings /var/lib/narrows/recordings --fail-on-change

A file of --policy holds [policy.NAME] tables and nothing else.
Exits with 0 whether something would change or not, with 1 on an error, and with
--fail-on-change with 4 if something would change.")]
pub struct Args {
    /// A file of policies to try
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Judge by this policy, whatever the connection names; may be given several times
    #[arg(long, value_name = "POLICY")]
    by: Vec<String>,
    /// Only statements that ended since: a time, a day (UTC), or a span such as 7d
    #[arg(long, value_name = "TIME", value_parser = super::since)]
    since: Option<u64>,
    /// Only the session whose id begins or ends like this
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only sessions of this connection
    #[arg(long, value_name = "ACCOUNT@TARGET")]
    connection: Option<String>,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// Exit with 4 if something would change
    #[arg(long)]
    fail_on_change: bool,
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> ExitCode {
    let trial = match Trial::of(args, &context.config) {
        Ok(trial) => trial,
        Err(TrialError::Unsound(problems)) => {
            problems.iter().for_each(|problem| complain(problem));
            return Exit::Failure.into();
        }
        Err(TrialError::Policy(error)) => return fail(&error).into(),
    };
    let failed = Exit::Failure as u8;
    over_recordings(context, args.recordings.clone(), failed, |dir, screen, out| {
        let choice = Choice {
            session: args.session.as_deref(),
            connection: args.connection.as_deref(),
            since_unix_ns: args.since.unwrap_or(0),
        };
        let report = trial.replay(dir, choice)?;
        match context.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
            Output::People => out.write_all(report.text(screen).as_bytes())?,
        }
        let changed = args.fail_on_change && report.changed > 0;
        Ok(if changed { Exit::Unsound.into() } else { Exit::Done.into() })
    })
}

enum TrialError {
    /// What is wrong with the files, or with the policies of two of them together.
    Unsound(Vec<String>),
    Policy(UnknownPolicy),
}

fn unsound<T: ToString>(problems: Vec<T>) -> TrialError {
    TrialError::Unsound(problems.iter().map(ToString::to_string).collect())
}

/// What is tried.
struct Trial {
    config: Config,
    policies: Library,
    /// In place of what the connections name, unless it is empty.
    by: Vec<PolicyName>,
}

impl Trial {
    fn of(args: &Args, config: &Path) -> Result<Self, TrialError> {
        let config = config::load(config).map_err(unsound)?;
        let policies = match &args.policy {
            Some(file) => {
                let newer = config::load_policies(file).map_err(unsound)?;
                config.policies.replaced_by(&newer).map_err(unsound)?
            }
            None => config.policies.as_ref().clone(),
        };
        let by: Vec<PolicyName> = args.by.iter().map(|name| name.as_str().into()).collect();
        match by.iter().find(|name| !policies.contains(name)) {
            Some(name) => Err(TrialError::Policy(UnknownPolicy { name: Arc::clone(name) })),
            None => Ok(Self { config, policies, by }),
        }
    }

    fn replay(&self, dir: &Path, choice: Choice<'_>) -> Result<Report, CommandError> {
        let mut tally = Tally::default();
        let mut bound: Option<(SessionId, Result<SessionPolicy, Doubt>)> = None;
        let reach = past::visit(dir, choice, &mut |past| {
            let judged = past.facts.as_ref().map_err(|doubt| *doubt).and_then(|(facts, start)| {
                let session = match &bound {
                    Some((session, policy)) if *session == past.session => policy,
                    Some(_) | None => &bound.insert((past.session, self.bind(start))).1,
                };
                let policy = session.as_ref().map_err(|doubt| *doubt)?;
                Ok((
                    policy.decide(facts, past.exchange.text.as_bytes(), &past.exchange.parameters),
                    facts.fingerprint,
                ))
            });
            tally.count(&past, judged);
        })?;
        Ok(Report::of(tally, reach))
    }

    /// The policies that would judge a session that began like this.
    fn bind(&self, start: &SessionStart) -> Result<SessionPolicy, Doubt> {
        let target = self.config.targets.iter().find(|target| *target.name == *start.target);
        let target = target.ok_or(Doubt::NoTarget)?;
        let principal = Principal {
            account: start.account.as_str().into(),
            issuer: start.issuer.as_str().into(),
            subject: start.subject.as_str().into(),
            token_id: start.token_id.as_deref().map(Arc::from),
            expires_unix_s: start.token_expires_unix_s,
            claims: Arc::new(start.claims.clone()),
        };
        let circumstances = Circumstances {
            principal: &principal,
            labels: &target.labels,
            target: &target.name,
            database: &start.database,
        };
        let mut connections = self.config.connections.iter();
        let connection =
            connections.find(|it| *it.account == *start.account && it.target == target.name);
        let names = match connection {
            _ if !self.by.is_empty() => &self.by,
            Some(connection) => &*connection.policies,
            None => return Err(Doubt::NoConnection),
        };
        // That each name stands for a policy was seen to when the files were read.
        self.policies.bind(names, &circumstances).map_err(|_| Doubt::NoConnection)
    }
}

/// A verdict in a recording's words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
struct Decision {
    verdict: String,
    /// `policy/rule`.
    rule: String,
    /// What a policy in observe mode would have denied by.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed: Option<String>,
}

impl Decision {
    fn recorded(exchange: &Exchange) -> Self {
        Self {
            verdict: exchange.verdict.clone(),
            rule: exchange.rule.clone(),
            observed: exchange.observed.clone(),
        }
    }

    fn of(verdict: &Verdict) -> Self {
        let grounds = verdict.grounds();
        Self {
            verdict: verdict.word().to_owned(),
            rule: grounds.rule.to_string(),
            observed: grounds.observed.as_ref().map(ToString::to_string),
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by {}", visible(&self.verdict), visible(&self.rule))?;
        match &self.observed {
            Some(observed) => write!(f, " (observed: {})", visible(observed)),
            None => Ok(()),
        }
    }
}

/// What distinguishes one line of the report from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    change: Change,
    connection: String,
    fingerprint: u64,
    old: Decision,
    new: Option<Decision>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Change {
    /// From one verdict's word to another's.
    Verdict(String, String),
    Rule,
    /// It cannot be judged again.
    None(Doubt),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Verdict(old, new) => write!(f, "{old} -> {new}"),
            Self::Rule => f.write_str("rule changed"),
            Self::None(_) => f.write_str("cannot be judged again"),
        }
    }
}

#[derive(Default)]
struct Tally {
    unchanged: u64,
    by_change: HashMap<Change, u64>,
    listed: HashMap<Key, (Seen, String)>,
    unlisted: u64,
}

impl Tally {
    fn count(&mut self, past: &Past<'_>, judged: Result<(Verdict, u64), Doubt>) {
        let old = Decision::recorded(past.exchange);
        let (change, fingerprint, new) = match judged {
            Err(doubt) => (Change::None(doubt), past.exchange.fingerprint, None),
            Ok((verdict, fingerprint)) => {
                let new = Decision::of(&verdict);
                let change = if new == old {
                    self.unchanged += 1;
                    return;
                } else if new.verdict == old.verdict {
                    Change::Rule
                } else {
                    Change::Verdict(old.verdict.clone(), new.verdict.clone())
                };
                (change, fingerprint, Some(new))
            }
        };
        *self.by_change.entry(change.clone()).or_default() += 1;
        let connection = past.connection.to_owned();
        let key = Key { change, connection, fingerprint, old, new };
        if let Some((seen, _)) = self.listed.get_mut(&key) {
            seen.add(&past.seen());
        } else if self.listed.len() < PAST_STATEMENTS_MAX {
            self.listed.insert(key, (past.seen(), past.sample()));
        } else {
            self.unlisted += 1;
        }
    }
}

/// What the trial came to.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    reach: Reach,
    unchanged: u64,
    /// With another verdict, or the same by another rule.
    changed: u64,
    not_judged: u64,
    counts: Vec<Count>,
    lines: Vec<Line>,
    /// Statements of further lines: there are too many different ones.
    unlisted: u64,
}

#[derive(Debug, Serialize)]
struct Count {
    change: String,
    /// Why it cannot be judged again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    count: u64,
}

/// One distinct statement.
#[derive(Debug, Serialize)]
struct Line {
    change: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    connection: String,
    fingerprint: String,
    /// The first text with this fingerprint, or its beginning.
    statement: String,
    #[serde(flatten)]
    seen: Seen,
    old: Decision,
    new: Option<Decision>,
}

impl Report {
    fn of(tally: Tally, reach: Reach) -> Self {
        let mut counts: Vec<(Change, u64)> = tally.by_change.into_iter().collect();
        counts.sort();
        let reason = |change: &Change| match change {
            Change::None(doubt) => Some(doubt.to_string()),
            Change::Verdict(_, _) | Change::Rule => None,
        };
        let total = |doubtful: bool| {
            let chosen = counts.iter().filter(|(change, _)| reason(change).is_some() == doubtful);
            chosen.map(|(_, count)| count).sum()
        };
        let (changed, not_judged) = (total(false), total(true));
        let mut lines: Vec<(Key, (Seen, String))> = tally.listed.into_iter().collect();
        lines.sort_by(|(one, (seen, _)), (other, (others, _))| {
            let more_often_first = others.count.cmp(&seen.count);
            one.change.cmp(&other.change).then(more_often_first).then_with(|| one.cmp(other))
        });
        let line = |(key, (seen, statement)): (Key, (Seen, String))| Line {
            change: key.change.to_string(),
            reason: reason(&key.change),
            connection: key.connection,
            fingerprint: format!("{:016x}", key.fingerprint),
            statement,
            seen,
            old: key.old,
            new: key.new,
        };
        let count = |(change, count): (Change, u64)| Count {
            reason: reason(&change),
            change: change.to_string(),
            count,
        };
        Self {
            reach,
            unchanged: tally.unchanged,
            changed,
            not_judged,
            lines: lines.into_iter().map(line).collect(),
            counts: counts.into_iter().map(count).collect(),
            unlisted: tally.unlisted,
        }
    }

    fn text(&self, screen: Screen) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{} of {}",
            counted(self.reach.statements, "statement", "statements"),
            counted(self.reach.sessions, "session", "sessions")
        );
        let _ = writeln!(out, "  unchanged: {}", text::count(self.unchanged));
        for count in &self.counts {
            let reason = count.reason.as_ref().map(|reason| format!(", {reason}"));
            let reason = reason.unwrap_or_default();
            let _ =
                writeln!(out, "  {}{reason}: {}", visible(&count.change), text::count(count.count));
        }
        let mut head = "";
        for line in &self.lines {
            if head != line.change {
                head = &line.change;
                let _ = writeln!(out, "\n{}", screen.paint.paint(colour(head), &visible(head)));
            }
            line.text(screen, &mut out);
        }
        if self.unlisted > 0 {
            let more = counted(self.unlisted, "statement is", "statements are");
            let _ = writeln!(out, "\n{more} counted above and not listed: too many different ones");
        }
        if self.reach.gaps > 0 {
            let gaps = counted(self.reach.gaps, "place", "places");
            let _ =
                writeln!(out, "\nThe recording is damaged or incomplete in {gaps}: narrows verify");
        }
        let _ = writeln!(out, "\n{OPEN}");
        out
    }
}

impl Line {
    fn text(&self, screen: Screen, out: &mut String) {
        let statement = format!("    {}", visible(&self.statement));
        let verdicts = match (&self.new, &self.reason) {
            (Some(new), _) => format!("{} -> {new}", self.old),
            (None, reason) => format!("{}; {}", self.old, reason.as_deref().unwrap_or_default()),
        };
        let lines = [
            format!(
                "  {}  {}  {}",
                counted(self.seen.count, "time", "times"),
                visible(&self.connection),
                self.fingerprint
            ),
            format!("    {verdicts}"),
            format!("    first {}, last {}", time(self.seen.first), time(self.seen.last)),
            statement,
        ];
        for line in &lines {
            out.push_str(&screen.fit(line));
            out.push('\n');
        }
    }
}

fn colour(change: &str) -> Colour {
    match change {
        "allow -> deny" => Colour::Red,
        "deny -> allow" => Colour::Yellow,
        _ => Colour::Bold,
    }
}

const OPEN: &str =
    "Each text was judged alone, as in a new session. Left open: what a session would have
sent after another verdict, and labels that a target had then and has no more.";

#[cfg(test)]
mod tests;
