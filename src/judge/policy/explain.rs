//! Why a command gets its verdict: its facts, and each rule with each of its conditions. Asks the
//! same conditions as `decide`, one by one.

use serde::Serialize;

use crate::judge::policy::compile::{Rule, Static};
use crate::judge::policy::condition::{Condition, Quantifier, Side};
use crate::judge::policy::decide::{Bound, Judgement, SessionPolicy, names_unknown};
use crate::judge::policy::document::Mode;
use crate::judge::policy::expression::counts;
use crate::judge::policy::glob::Glob;
use crate::judge::policy::text::Text;
use crate::model::approval::HoldTerms;
use crate::model::facts::{Access, Code, Effects, Facts, Origin, Relation};
use crate::model::session::Parameter;
use crate::model::verdict::Verdict;

/// The whole account. Renders as text by `Display`, and as JSON by `serde`.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `allow`, `hold` or `deny`.
    pub verdict: &'static str,
    /// `policy/rule`.
    pub rule: String,
    /// What a policy in observe mode would have denied by.
    pub observed: Option<String>,
    /// What the bot would be told.
    pub message: Option<String>,
    pub facts: FactsReport,
    /// Sensitive values in the text, of the kinds that a rule asks for.
    pub entities: Vec<String>,
    pub policies: Vec<PolicyReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FactsReport {
    pub effects: Vec<&'static str>,
    pub flags: Vec<&'static str>,
    pub verbs: Vec<&'static str>,
    pub relations: Vec<Relation>,
    pub functions: Vec<String>,
    /// Those of the functions that are not the server's own.
    pub foreign_functions: Vec<String>,
    /// Whether code is run that has no name which `functions.only` could ask for.
    pub unnamed_code: bool,
    pub unknown: Option<&'static str>,
    /// Sixteen hexadecimal digits.
    pub fingerprint: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    pub policy: String,
    pub mode: &'static str,
    /// `allow`, `hold`, `deny` or `pass`.
    pub says: &'static str,
    /// By which rule, built-in ones included.
    pub by: Option<String>,
    pub rules: Vec<RuleReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleReport {
    pub rule: String,
    pub action: &'static str,
    pub matched: bool,
    pub conditions: Vec<ConditionReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ConditionReport {
    /// As it would be written in a policy.
    pub condition: String,
    pub holds: bool,
}

impl SessionPolicy {
    /// Why `decide` says what it says.
    #[must_use]
    pub fn explain(&self, facts: &Facts, text: &[u8], parameters: &[Parameter]) -> Explanation {
        let text = &self.text(text, parameters);
        let verdict = self.decide_on(facts, text);
        let message = match &verdict {
            Verdict::Allow(_) => None,
            Verdict::Hold { terms, .. } => Some(held(terms)),
            Verdict::Deny { message, .. } => Some(message.to_string()),
        };
        let grounds = verdict.grounds();
        Explanation {
            verdict: verdict.word(),
            rule: grounds.rule.to_string(),
            observed: grounds.observed.as_ref().map(ToString::to_string),
            message,
            facts: FactsReport::of(facts),
            entities: text.entity_names(),
            policies: self.bound.iter().map(|bound| PolicyReport::of(bound, facts, text)).collect(),
        }
    }
}

/// What a bot is told while it waits, and by whom it is decided.
fn held(terms: &HoldTerms) -> String {
    let reviewers: Vec<String> = terms.reviewers.iter().map(ToString::to_string).collect();
    let whom = if reviewers.is_empty() { "an operator".to_owned() } else { reviewers.join(", ") };
    format!("wait for approval ({} of {whom})", terms.quorum)
}

impl FactsReport {
    /// A copy of `facts` in words.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let statements = || facts.statements.iter();
        let functions = || statements().flat_map(|statement| &statement.functions);
        Self {
            effects: facts.effects.names().collect(),
            flags: facts.flags.names().collect(),
            verbs: statements().map(|statement| statement.verb).collect(),
            relations: statements().flat_map(|s| s.relations.iter().cloned()).collect(),
            functions: functions().map(ToString::to_string).collect(),
            foreign_functions: functions()
                .filter(|function| function.origin == Origin::Elsewhere)
                .map(ToString::to_string)
                .collect(),
            unnamed_code: statements().any(|statement| statement.code == Code::Unnamed),
            unknown: facts.unknown.map(|why| why.reason()),
            fingerprint: format!("{:016x}", facts.fingerprint),
        }
    }
}

impl PolicyReport {
    fn of(bound: &Bound, facts: &Facts, text: &Text<'_>) -> Self {
        let (says, by) = match bound.judge(facts, text) {
            Judgement::Pass => ("pass", None),
            Judgement::Allow(rule) => ("allow", Some(rule.rule.to_string())),
            Judgement::Hold { rule, .. } => ("hold", Some(rule.rule.to_string())),
            Judgement::Deny { rule, .. } => ("deny", Some(rule.rule.to_string())),
        };
        let rules = bound.policy.rules.iter().enumerate();
        Self {
            policy: bound.policy.name.to_string(),
            mode: match bound.policy.mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            },
            says,
            by,
            rules: rules
                .map(|(index, rule)| RuleReport::of(bound, index, rule, facts, text))
                .collect(),
        }
    }
}

impl RuleReport {
    fn of(bound: &Bound, index: usize, rule: &Rule, facts: &Facts, text: &Text<'_>) -> Self {
        let mut conditions = Vec::new();
        if !rule.statics.is_empty() {
            let all: Vec<String> = rule.statics.iter().map(ToString::to_string).collect();
            conditions
                .push(ConditionReport { condition: all.join(", "), holds: bound.applies(index) });
        }
        for condition in &rule.conditions {
            conditions.push(ConditionReport {
                condition: condition.to_string(),
                holds: condition.holds(rule.side, facts, text),
            });
        }
        if let (Some(cel), Some(scene)) = (&rule.cel, &bound.scene) {
            let outcome = cel.outcome(rule.side, scene, facts, text.bytes());
            let unclear = match (&outcome, rule.side) {
                (Ok(_), _) => String::new(),
                (Err(why), Side::Deny) => format!(" ({why}: counts as true)"),
                (Err(why), Side::Allow) => format!(" ({why}: counts as false)"),
            };
            conditions.push(ConditionReport {
                condition: format!("cel = {:?}{unclear}", cel.source()),
                holds: counts(&outcome, rule.side),
            });
        }
        if rule.side == Side::Allow
            && facts.effects.contains(Effects::UNKNOWN)
            && !names_unknown(&rule.conditions)
        {
            conditions.push(ConditionReport {
                condition: "the rule names `unknown`".to_owned(),
                holds: false,
            });
        }
        Self {
            rule: rule.id.to_string(),
            action: rule.action.word(),
            matched: conditions.iter().all(|condition| condition.holds),
            conditions,
        }
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} by {}", self.verdict, self.rule)?;
        if let Some(message) = &self.message {
            writeln!(f, "  the bot is told: {message}")?;
        }
        if let Some(observed) = &self.observed {
            writeln!(f, "  would be denied by {observed}, which only observes")?;
        }
        write!(f, "{}", self.facts)?;
        if !self.entities.is_empty() {
            writeln!(f, "  text holds: {}", self.entities.join(", "))?;
        }
        for policy in &self.policies {
            write!(f, "{policy}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for FactsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let or_none = |words: &[&str]| {
            if words.is_empty() { "none".to_owned() } else { words.join(", ") }
        };
        writeln!(f, "\nfacts")?;
        writeln!(f, "  statements: {}", or_none(&self.verbs))?;
        writeln!(f, "  effects: {}", or_none(&self.effects))?;
        if !self.flags.is_empty() {
            writeln!(f, "  flags: {}", self.flags.join(", "))?;
        }
        for relation in &self.relations {
            let schema = relation.schema.as_ref().map(|schema| format!("{schema}."));
            let access = match relation.access {
                Access::Read => "reads",
                Access::Write => "writes",
                Access::Define => "defines",
            };
            writeln!(f, "  {access} {}{}", schema.unwrap_or_default(), relation.name)?;
        }
        if !self.functions.is_empty() {
            writeln!(f, "  calls {}", self.functions.join(", "))?;
        }
        if !self.foreign_functions.is_empty() {
            let foreign = self.foreign_functions.join(", ");
            writeln!(f, "  code_exec by {foreign}: not among the server's own functions")?;
        }
        if self.unnamed_code {
            writeln!(f, "  code_exec by the statement itself: no functions.only covers it")?;
        }
        if let Some(reason) = self.unknown {
            writeln!(f, "  unknown: {reason}")?;
        }
        writeln!(f, "  fingerprint: {}", self.fingerprint)
    }
}

impl std::fmt::Display for PolicyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.by.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        writeln!(f, "\npolicy {} ({}): {}{by}", self.policy, self.mode, self.says)?;
        for rule in &self.rules {
            let matched = if rule.matched { "matches" } else { "does not match" };
            writeln!(f, "  {} {}: {matched}", rule.action, rule.rule)?;
            for condition in &rule.conditions {
                let mark = if condition.holds { "+" } else { "-" };
                writeln!(f, "    {mark} {}", condition.condition)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Effects(quantifier, effects) => {
                write!(f, "effects.{} = {}", quantifier.word(), list(effects.names()))
            }
            Self::Flags(quantifier, flags) => {
                write!(f, "flags.{} = {}", quantifier.word(), list(flags.names()))
            }
            Self::Objects { access, quantifier, patterns } => {
                let access = match access {
                    None => "",
                    Some(Access::Read) => ".read",
                    Some(Access::Write) => ".write",
                    Some(Access::Define) => ".define",
                };
                write!(f, "objects{access}.{} = {}", quantifier.word(), list(patterns))
            }
            Self::Functions { quantifier, patterns } => {
                write!(f, "functions.{} = {}", quantifier.word(), list(patterns))
            }
            Self::Verbs(verbs) => write!(f, "verb = {}", list(verbs)),
            Self::Keywords { words, .. } => write!(f, "text.keywords = {}", list(words)),
            Self::Matches { patterns, .. } => write!(f, "text.matches = {}", list(patterns)),
            Self::Entities { names, .. } => {
                write!(f, "text.entities.any = {}", list(names))
            }
        }
    }
}

impl Quantifier {
    const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
            Self::Only => "only",
            Self::None => "none",
        }
    }
}

impl std::fmt::Display for Static {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let globs = |patterns: &[Glob]| list(patterns.iter().map(Glob::as_str));
        match self {
            Self::Claim { name, patterns } => write!(f, "claims.{name} = {}", globs(patterns)),
            Self::Label { name, patterns } => write!(f, "labels.{name} = {}", globs(patterns)),
            Self::Account(patterns) => write!(f, "account = {}", globs(patterns)),
            Self::Target(patterns) => write!(f, "target = {}", globs(patterns)),
            Self::Database(patterns) => write!(f, "database = {}", globs(patterns)),
        }
    }
}

/// A list as policies are written.
fn list(words: impl IntoIterator<Item: ToString>) -> String {
    let words: Vec<String> =
        words.into_iter().map(|word| format!("{:?}", word.to_string())).collect();
    format!("[{}]", words.join(", "))
}
