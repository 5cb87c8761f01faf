//! Policies as written, to rules that are quick to evaluate. Refuses what cannot mean what its
//! author hoped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::judge::policy::check;
use crate::judge::policy::condition::{
    Condition, FunctionPattern, ObjectPattern, Quantifier, Side,
};
use crate::judge::policy::document::{
    ActionDocument, BitsDocument, DefaultWord, HoldDocument, HoldMode, InTransaction, Mode,
    ObjectsDocument, PatternsDocument, PolicyDocument, RuleDocument, Texts, UnknownWord,
    WhenDocument, WritesWord,
};
use crate::judge::policy::expression::Expression;
use crate::judge::policy::glob::Glob;
use crate::judge::policy::masks::MaskRule;
use crate::judge::policy::problem::{Fault, Part, Problem, nearest};
use crate::judge::policy::values::{Patterns, Values};
use crate::limits::{
    HOLD_STANDS_MS, HOLD_STANDS_MS_MAX, HOLD_WAIT_MS, HOLD_WAIT_MS_MAX, PATTERN_BYTES_MAX,
    RULES_MAX,
};
use crate::model::approval::{HoldTerms, Reviewer};
use crate::model::entity::EntitySet;
use crate::model::facts::{Access, Effects, Flags};
use crate::model::mask::Derived;
use crate::model::target::PolicyName;
use crate::model::units;
use crate::scan::Detector;

/// All policies of a configuration.
#[derive(Clone, Debug)]
pub struct Library {
    pub(super) policies: BTreeMap<PolicyName, Arc<Policy>>,
    /// Looks for what any rule asks for, in one pass; `None` where no rule does.
    pub(super) detector: Option<Arc<Detector>>,
    /// What policies describe themselves.
    pub(super) patterns: Patterns,
    /// Looks for what is not kept of requests: that, and credentials.
    pub(super) request_detector: Arc<Detector>,
    /// As written: numbers of patterns are of one library.
    documents: BTreeMap<PolicyName, PolicyDocument>,
    version: Arc<str>,
}

impl Library {
    /// Compiles `documents`. `version` names the configuration that they come from.
    pub fn new(
        version: Arc<str>,
        documents: BTreeMap<PolicyName, PolicyDocument>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut policies = BTreeMap::new();
        let mut patterns = Patterns::default();
        for (name, document) in &documents {
            let policy = compile(name, document, &mut patterns, &mut problems);
            policies.insert(Arc::clone(name), Arc::new(policy));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let wanted = policies.values().map(|policy| policy.entities());
        let wanted = wanted.fold(EntitySet::NONE, EntitySet::union);
        let detector = patterns.detector(wanted);
        let masked = policies.values().flat_map(|policy| &policy.masks);
        let masked = masked.fold(EntitySet::NONE, |all, mask| all.union(mask.entities));
        let hidden = masked.union(EntitySet::CREDENTIALS);
        let request_detector = Arc::new(Detector::new(hidden, patterns.as_slice()));
        Ok(Self { policies, detector, patterns, request_detector, documents, version })
    }

    /// These policies, with those of `newer` in place of the ones of the same name and beside the
    /// others. Together they may have too many patterns.
    pub fn replaced_by(&self, newer: &Self) -> Result<Self, Vec<Problem>> {
        let mut documents = self.documents.clone();
        documents.extend(newer.documents.clone());
        Self::new(Arc::clone(&newer.version), documents)
    }

    /// The configuration that the policies come from.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// True if there is a policy of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.policies.contains_key(name)
    }

    /// Names of all policies.
    pub fn names(&self) -> impl Iterator<Item = &PolicyName> {
        self.policies.keys()
    }

    /// Everybody who may decide on what some rule holds, with the rule's policy.
    pub fn reviewers(&self) -> impl Iterator<Item = (&PolicyName, &Reviewer)> {
        self.policies.values().flat_map(|policy| {
            let terms = policy.rules.iter().filter_map(|rule| match &rule.action {
                Action::Hold(terms) => Some(terms),
                Action::Allow | Action::Deny => None,
            });
            let name = &policy.name;
            terms.flat_map(move |terms| terms.reviewers.iter().map(move |one| (name, one)))
        })
    }

    /// Rules that mean something else than their author may think: they match nothing, everything,
    /// or what another rule has already decided.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        self.policies.values().flat_map(|policy| check::policy(policy)).collect()
    }
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: PolicyName,
    pub(super) default: DefaultWord,
    pub(super) unknown: UnknownWord,
    pub(super) mode: Mode,
    /// In the order of the file, which decides nothing but which of several matches is named.
    pub(super) rules: Vec<Rule>,
    pub(super) masks: Vec<Arc<MaskRule>>,
    pub(super) derived: Derived,
    pub(super) writes: WritesWord,
}

impl Policy {
    /// All that its rules ask for in texts.
    fn entities(&self) -> EntitySet {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.fold(EntitySet::NONE, |all, condition| {
            if let Condition::Entities { entities, .. } = condition {
                all.union(*entities)
            } else {
                all
            }
        })
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    /// Which way its conditions lean.
    pub(super) side: Side,
    pub(super) action: Action,
    /// What the bot is told when the rule denies.
    pub(super) message: Arc<str>,
    pub(super) statics: Vec<Static>,
    pub(super) conditions: Vec<Condition>,
    /// Asked last.
    pub(super) cel: Option<Expression>,
}

/// What a rule does with a command.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Allow,
    Deny,
    Hold(Arc<HoldTerms>),
}

impl Action {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Hold(_) => "hold",
        }
    }
}

/// A condition that a session answers once.
#[derive(Debug)]
pub(super) enum Static {
    Claim { name: Box<str>, patterns: Vec<Glob> },
    Label { name: Box<str>, patterns: Vec<Glob> },
    Account(Vec<Glob>),
    Target(Vec<Glob>),
    Database(Vec<Glob>),
}

/// Ids of what a policy does without a rule.
pub(super) const DEFAULT: &str = "default";
pub(super) const UNKNOWN: &str = "unknown";
pub(super) const HARMLESS: &str = "harmless";

fn compile(
    name: &PolicyName,
    document: &PolicyDocument,
    patterns: &mut Patterns,
    problems: &mut Vec<Problem>,
) -> Policy {
    let values = Values::compile(&document.pattern, patterns, |pattern, fault| {
        let part = Some(Part::Pattern(pattern.into()));
        problems.push(Problem { policy: Arc::clone(name), part, fault });
    });
    let mut blame = |rule: Option<&Arc<str>>, fault: Fault| {
        let part = rule.cloned().map(Part::Rule);
        problems.push(Problem { policy: Arc::clone(name), part, fault });
    };
    let count = document.rule.len() + document.mask.len();
    if count > RULES_MAX {
        blame(None, Fault::TooManyRules { count });
    }
    let mut ids = BTreeSet::new();
    let mut rules = Vec::new();
    for written in &document.rule {
        let id: Arc<str> = written.id.as_str().into();
        if id.is_empty() {
            blame(Some(&id), Fault::EmptyId);
        }
        if [DEFAULT, UNKNOWN, HARMLESS].contains(&&*id) {
            blame(Some(&id), Fault::ReservedId);
        }
        if !ids.insert(Arc::clone(&id)) {
            blame(Some(&id), Fault::DuplicateId);
        }
        let mut faults = Vec::new();
        rules.push(rule(name, written, &id, &document.lists, &values, &mut faults));
        for fault in faults {
            blame(Some(&id), fault);
        }
    }
    let mut masks = Vec::new();
    for (index, written) in document.mask.iter().enumerate() {
        let id: Arc<str> = match &written.id {
            Some(id) => id.as_str().into(),
            None => format!("mask-{}", index + 1).into(),
        };
        if !ids.insert(Arc::clone(&id)) {
            blame(Some(&id), Fault::DuplicateId);
        }
        let mut faults = Vec::new();
        let lists = &document.lists;
        masks.push(Arc::new(MaskRule::compile(name, &id, written, lists, &values, &mut faults)));
        for fault in faults {
            blame(Some(&id), fault);
        }
    }
    let passes = document.default == DefaultWord::Pass;
    Policy {
        name: Arc::clone(name),
        default: document.default,
        unknown: document.unknown.unwrap_or(if passes {
            UnknownWord::Pass
        } else {
            UnknownWord::Deny
        }),
        mode: document.options.mode,
        rules,
        masks,
        derived: document.options.derived,
        writes: document.options.writes,
    }
}

fn rule(
    policy: &PolicyName,
    written: &RuleDocument,
    id: &Arc<str>,
    lists: &BTreeMap<String, Vec<String>>,
    values: &Values<'_>,
    faults: &mut Vec<Fault>,
) -> Rule {
    // What could match is held, as it would be denied.
    let (side, action) = match &written.action {
        ActionDocument::Allow => (Side::Allow, Action::Allow),
        ActionDocument::Deny => (Side::Deny, Action::Deny),
        ActionDocument::Hold(terms) => (Side::Deny, Action::Hold(hold_terms(terms, faults))),
    };
    let mut reading = Reading { lists, values, faults, side };
    let statics = reading.statics(&written.when);
    let cel = written.cel.as_deref().and_then(|source| reading.expression(source));
    let conditions = reading.conditions(&written.when);
    reading.demand_effects(&written.when, &statics, &conditions, cel.as_ref());
    let message = written.message.as_ref().map_or_else(
        || format!("denied by policy {policy}, rule {id}").into(),
        |message| message.as_str().into(),
    );
    Rule { id: Arc::clone(id), side, action, message, statics, conditions, cel }
}

fn hold_terms(written: &HoldDocument, faults: &mut Vec<Fault>) -> Arc<HoldTerms> {
    let mut terms = plain_terms();
    for text in &written.reviewers {
        if Reviewer::parse(text).is_none() {
            faults.push(Fault::NoReviewer { text: text.clone() });
        }
    }
    terms.reviewers = written.reviewers.iter().filter_map(|text| Reviewer::parse(text)).collect();
    terms.quorum = written.quorum.unwrap_or(terms.quorum);
    if terms.quorum == 0 || (written.reviewers.is_empty() && terms.quorum > 1) {
        faults.push(Fault::NoQuorum { quorum: terms.quorum });
    }
    let mut time = |key: &'static str, text: &Option<String>, plain: u64, most: u64| {
        let Some(text) = text else { return plain };
        let ms = units::duration_ms(text).ok().filter(|ms| *ms <= most);
        if ms.is_none() {
            faults.push(Fault::BadDuration { key, text: text.clone(), most_s: most / 1_000 });
        }
        ms.unwrap_or(plain)
    };
    terms.stands_ms = time("for", &written.stands, terms.stands_ms, HOLD_STANDS_MS_MAX);
    terms.wait_ms = time("wait", &written.wait, terms.wait_ms, HOLD_WAIT_MS_MAX);
    if written.mode == Some(HoldMode::Ticket) {
        terms.wait_ms = 0;
    }
    terms.wait_ms = terms.wait_ms.min(terms.stands_ms);
    terms.in_transaction = written.in_transaction != Some(InTransaction::Deny);
    Arc::new(terms)
}

/// Of a hold that states none.
pub(super) fn plain_terms() -> HoldTerms {
    HoldTerms {
        reviewers: Arc::default(),
        quorum: 1,
        stands_ms: HOLD_STANDS_MS,
        wait_ms: HOLD_WAIT_MS,
        in_transaction: true,
    }
}

/// One rule's conditions, being read.
struct Reading<'d> {
    lists: &'d BTreeMap<String, Vec<String>>,
    values: &'d Values<'d>,
    faults: &'d mut Vec<Fault>,
    side: Side,
}

impl Reading<'_> {
    fn statics(&mut self, when: &WhenDocument) -> Vec<Static> {
        let mut statics = Vec::new();
        for (name, texts) in when.claims_by_name() {
            let patterns = self.globs("claims", texts);
            statics.push(Static::Claim { name: name.into(), patterns });
        }
        for (name, texts) in &when.labels {
            let patterns = self.globs("labels", texts);
            statics.push(Static::Label { name: name.as_str().into(), patterns });
        }
        if let Some(texts) = &when.account {
            statics.push(Static::Account(self.globs("account", texts)));
        }
        if let Some(texts) = &when.target {
            statics.push(Static::Target(self.globs("target", texts)));
        }
        if let Some(texts) = &when.database {
            statics.push(Static::Database(self.globs("database", texts)));
        }
        statics
    }

    fn conditions(&mut self, when: &WhenDocument) -> Vec<Condition> {
        let mut conditions = Vec::new();
        self.effects(&when.effects, &mut conditions);
        for (quantifier, names, condition) in [
            (Quantifier::Any, &when.flags.any, "flags.any"),
            (Quantifier::None, &when.flags.none, "flags.none"),
        ] {
            let bits = names.as_ref().map(|names| self.bits(condition, names, FLAGS));
            conditions.extend(bits.map(|bits| Condition::Flags(quantifier, bits)));
        }
        self.objects(&when.objects, &mut conditions);
        self.functions(&when.functions, &mut conditions);
        if let Some(verbs) = &when.verb {
            let verbs = self.texts("verb", verbs);
            let verbs = verbs.into_iter().map(|verb| verb.to_ascii_uppercase().into());
            conditions.push(Condition::Verbs(verbs.collect()));
        }
        self.text(when, &mut conditions);
        self.entities(when, &mut conditions);
        conditions
    }

    fn expression(&mut self, source: &str) -> Option<Expression> {
        Expression::compile(source, self.side).map_err(|fault| self.faults.push(fault)).ok()
    }

    /// A rule that allows by what a command does must list everything that it may do.
    /// What a session is worth only says for whom, beside a condition that says so, too.
    fn demand_effects(
        &mut self,
        when: &WhenDocument,
        statics: &[Static],
        conditions: &[Condition],
        cel: Option<&Expression>,
    ) {
        let asks = cel.is_some_and(|cel| statics.is_empty() || !cel.is_of_session());
        let is_unasked = conditions.is_empty() && !asks;
        if self.side == Side::Deny || is_unasked || when.effects.only.is_some() {
            return;
        }
        let condition = match conditions.first() {
            None => "cel",
            Some(Condition::Effects(Quantifier::Any, _)) => "effects.any",
            Some(Condition::Effects(_, _)) => "effects",
            Some(Condition::Flags(_, _)) => "flags",
            Some(Condition::Objects { .. }) => "objects",
            Some(Condition::Functions { .. }) => "functions",
            Some(Condition::Verbs(_)) => "verb",
            Some(
                Condition::Keywords { .. } | Condition::Matches { .. } | Condition::Entities { .. },
            ) => "text",
        };
        self.faults.push(Fault::AllowWithoutOnly { condition });
    }

    fn effects(&mut self, written: &BitsDocument, conditions: &mut Vec<Condition>) {
        for (quantifier, names, condition) in [
            (Quantifier::Any, &written.any, "effects.any"),
            (Quantifier::All, &written.all, "effects.all"),
            (Quantifier::Only, &written.only, "effects.only"),
            (Quantifier::None, &written.none, "effects.none"),
        ] {
            let bits = names.as_ref().map(|names| self.bits(condition, names, EFFECTS));
            conditions.extend(bits.map(|bits| Condition::Effects(quantifier, bits)));
        }
    }

    fn bits<B: std::ops::BitOr<Output = B> + Copy + 'static>(
        &mut self,
        condition: &'static str,
        names: &[String],
        kind: Bits<B>,
    ) -> B {
        if names.is_empty() {
            self.faults.push(Fault::EmptyList { condition });
        }
        let mut bits = kind.none;
        for name in names {
            match (kind.named)(name) {
                Some(bit) => bits = bits | bit,
                None => self.faults.push(Fault::NoSuchName {
                    kind: kind.word,
                    name: name.clone(),
                    nearest: nearest(name, (kind.names)()),
                }),
            }
        }
        bits
    }

    fn objects(&mut self, written: &ObjectsDocument, conditions: &mut Vec<Condition>) {
        for (access, quantifier, texts, condition) in [
            (None, Quantifier::Any, &written.any, "objects.any"),
            (None, Quantifier::Only, &written.only, "objects.only"),
            (Some(Access::Read), Quantifier::Any, &written.read.any, "objects.read.any"),
            (Some(Access::Read), Quantifier::Only, &written.read.only, "objects.read.only"),
            (Some(Access::Write), Quantifier::Any, &written.write.any, "objects.write.any"),
            (Some(Access::Write), Quantifier::Only, &written.write.only, "objects.write.only"),
            (Some(Access::Define), Quantifier::Any, &written.define.any, "objects.define.any"),
            (Some(Access::Define), Quantifier::Only, &written.define.only, "objects.define.only"),
        ] {
            let Some(texts) = texts else { continue };
            self.refuse_any(quantifier, condition);
            let mut patterns = Vec::new();
            for text in self.texts(condition, texts) {
                match text.split_once('.') {
                    Some((schema, name)) => patterns
                        .push(ObjectPattern { schema: Glob::new(schema), name: Glob::new(name) }),
                    None => self.faults.push(Fault::NoSchema { pattern: text }),
                }
            }
            conditions.push(Condition::Objects { access, quantifier, patterns });
        }
    }

    fn functions(&mut self, written: &PatternsDocument, conditions: &mut Vec<Condition>) {
        for (quantifier, texts, condition) in [
            (Quantifier::Any, &written.any, "functions.any"),
            (Quantifier::Only, &written.only, "functions.only"),
        ] {
            let Some(texts) = texts else { continue };
            self.refuse_any(quantifier, condition);
            let patterns =
                self.texts(condition, texts).into_iter().map(|text| match text.split_once('.') {
                    Some((schema, name)) => {
                        FunctionPattern { schema: Some(Glob::new(schema)), name: Glob::new(name) }
                    }
                    None => FunctionPattern { schema: None, name: Glob::new(&text) },
                });
            conditions.push(Condition::Functions { quantifier, patterns: patterns.collect() });
        }
    }

    fn text(&mut self, when: &WhenDocument, conditions: &mut Vec<Condition>) {
        if let Some(words) = &when.text.keywords {
            self.refuse_any(Quantifier::Any, "text.keywords");
            let words = self.texts("text.keywords", words);
            let built = AhoCorasick::builder().ascii_case_insensitive(true).build(&words);
            match built {
                Ok(search) => {
                    let words = words.into_iter().map(String::into_boxed_str).collect();
                    conditions.push(Condition::Keywords { words, search });
                }
                Err(error) => self.faults.push(bad_pattern(&words, &error)),
            }
        }
        if let Some(patterns) = &when.text.matches {
            self.refuse_any(Quantifier::Any, "text.matches");
            let patterns = self.texts("text.matches", patterns);
            let built = Regex::builder()
                .syntax(syntax::Config::new().utf8(false))
                .configure(
                    Regex::config()
                        .utf8_empty(false)
                        .nfa_size_limit(Some(PATTERN_BYTES_MAX))
                        .onepass_size_limit(Some(PATTERN_BYTES_MAX))
                        .dfa_size_limit(Some(PATTERN_BYTES_MAX))
                        .hybrid_cache_capacity(PATTERN_BYTES_MAX),
                )
                .build_many(&patterns);
            match built {
                Ok(search) => {
                    let patterns = patterns.into_iter().map(String::into_boxed_str).collect();
                    conditions.push(Condition::Matches { patterns, search });
                }
                Err(error) => self.faults.push(bad_pattern(&patterns, &error)),
            }
        }
    }

    fn entities(&mut self, when: &WhenDocument, conditions: &mut Vec<Condition>) {
        let Some(names) = &when.text.entities.any else { return };
        self.refuse_any(Quantifier::Any, "text.entities.any");
        let names = self.texts("text.entities.any", names);
        let entities = self.values.named(&names, self.faults);
        conditions.push(Condition::Entities { names: self.values.names(entities), entities });
    }

    /// What holds as soon as one of many fits says nothing about the others, so nothing can be
    /// allowed on its account.
    fn refuse_any(&mut self, quantifier: Quantifier, condition: &'static str) {
        if self.side == Side::Allow && quantifier == Quantifier::Any {
            self.faults.push(Fault::AllowByAny { condition });
        }
    }

    fn globs(&mut self, condition: &'static str, texts: &Texts) -> Vec<Glob> {
        self.texts(condition, texts).iter().map(|text| Glob::new(text)).collect()
    }

    /// The texts of a condition, the lists that it names put in place.
    fn texts(&mut self, condition: &'static str, written: &Texts) -> Vec<String> {
        let mut texts = Vec::new();
        for text in written.iter() {
            let Some(list) = text.strip_prefix('@') else {
                texts.push(text.to_owned());
                continue;
            };
            match self.lists.get(list) {
                Some(members) => texts.extend(members.iter().cloned()),
                None => self.faults.push(Fault::NoSuchList {
                    name: list.to_owned(),
                    nearest: nearest(list, self.lists.keys().map(String::as_str)),
                }),
            }
        }
        if texts.is_empty() {
            self.faults.push(Fault::EmptyList { condition });
        }
        texts
    }
}

/// How a set of bits is spelt.
#[derive(Clone, Copy)]
struct Bits<B: 'static> {
    word: &'static str,
    none: B,
    named: fn(&str) -> Option<B>,
    names: fn() -> Vec<&'static str>,
}

const EFFECTS: Bits<Effects> = Bits {
    word: "effect",
    none: Effects::NONE,
    named: Effects::named,
    names: || Effects::all_names().collect(),
};

const FLAGS: Bits<Flags> = Bits {
    word: "flag",
    none: Flags::NONE,
    named: Flags::named,
    names: || Flags::all_names().collect(),
};

fn bad_pattern(patterns: &[String], error: &dyn std::error::Error) -> Fault {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Fault::BadPattern { pattern: patterns.join("`, `"), reason }
}
