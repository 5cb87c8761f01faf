//! A session's policies and their verdicts. What a session answers once (its identity, its
//! target) is asked when it is bound; what is left is asked of each command.

use std::sync::Arc;

use crate::judge::policy::compile::{
    Action, DEFAULT, HARMLESS, Library, Policy, Rule, Static, UNKNOWN, plain_terms,
};
use crate::judge::policy::condition::{Condition, Quantifier};
use crate::judge::policy::document::{DefaultWord, Mode, UnknownWord};
use crate::judge::policy::expression::Scene;
use crate::judge::policy::glob::Glob;
use crate::judge::policy::masks::Masks;
use crate::judge::policy::text::Text;
use crate::model::approval::HoldTerms;
use crate::model::facts::{Effects, Facts, Flags};
use crate::model::identity::{ClaimValue, Principal};
use crate::model::session::Parameter;
use crate::model::target::{Labels, PolicyName};
use crate::model::verdict::{Grounds, RuleRef, Verdict};
use crate::scan::Detector;

/// What a session answers once.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'s> {
    pub principal: &'s Principal,
    /// The target's labels.
    pub labels: &'s Labels,
    pub target: &'s str,
    pub database: &'s str,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no policy `{name}`")]
pub struct UnknownPolicy {
    pub name: PolicyName,
}

impl Library {
    /// The policies of a connection, for one session on it.
    pub fn bind(
        &self,
        names: &[PolicyName],
        circumstances: &Circumstances<'_>,
    ) -> Result<SessionPolicy, UnknownPolicy> {
        let mut bound = Vec::with_capacity(names.len());
        let mut scene = None;
        for name in names {
            let policy =
                self.policies.get(name).ok_or_else(|| UnknownPolicy { name: Arc::clone(name) })?;
            let asks = policy.rules.iter().any(|rule| rule.cel.is_some());
            let scene = asks.then(|| {
                Arc::clone(scene.get_or_insert_with(|| Arc::new(Scene::new(circumstances))))
            });
            bound.push(Bound::new(policy, circumstances, scene));
        }
        let first = names.first().map_or_else(|| Arc::from("connection"), Arc::clone);
        Ok(SessionPolicy {
            bound,
            detector: self.detector.clone(),
            masks: self.masks(names),
            request_detector: Arc::clone(&self.request_detector),
            undecided: RuleRef { policy: Arc::clone(&first), rule: DEFAULT.into() },
            harmless: RuleRef { policy: first, rule: HARMLESS.into() },
        })
    }
}

/// The policies of one session, as far as they can still matter to it.
#[derive(Clone, Debug)]
pub struct SessionPolicy {
    pub(super) bound: Vec<Bound>,
    detector: Option<Arc<Detector>>,
    masks: Option<Arc<Masks>>,
    request_detector: Arc<Detector>,
    /// Speaks when no policy does.
    undecided: RuleRef,
    harmless: RuleRef,
}

impl SessionPolicy {
    /// What is protected from the session; `None` where nothing is.
    #[must_use]
    pub const fn masks(&self) -> Option<&Arc<Masks>> {
        self.masks.as_ref()
    }

    /// Finds what is not kept of requests.
    #[must_use]
    pub const fn request_detector(&self) -> &Arc<Detector> {
        &self.request_detector
    }

    /// The verdict on a command with these facts. `text` and what it is bound to are asked only by
    /// rules about text.
    #[must_use]
    pub fn decide(&self, facts: &Facts, text: &[u8], parameters: &[Parameter]) -> Verdict {
        self.decide_on(facts, &self.text(text, parameters))
    }

    pub(super) fn text<'t>(&'t self, bytes: &'t [u8], parameters: &'t [Parameter]) -> Text<'t> {
        Text::new(bytes, parameters, self.detector.as_deref())
    }

    pub(super) fn decide_on(&self, facts: &Facts, text: &Text<'_>) -> Verdict {
        let mut allowed = None;
        let mut held = None;
        let mut observed = None;
        for bound in &self.bound {
            match bound.judge(facts, text) {
                Judgement::Pass => {}
                Judgement::Allow(rule) => {
                    allowed.get_or_insert(rule);
                }
                Judgement::Deny { rule, .. } | Judgement::Hold { rule, .. }
                    if bound.mode == Mode::Observe =>
                {
                    allowed.get_or_insert(rule);
                    observed.get_or_insert_with(|| rule.clone());
                }
                Judgement::Hold { rule, terms } => {
                    held.get_or_insert((rule, terms));
                }
                Judgement::Deny { rule, told } => {
                    let grounds = Grounds { rule: rule.clone(), observed };
                    return Verdict::Deny { grounds, message: told.message(rule, facts) };
                }
            }
        }
        if let Some((rule, terms)) = held {
            let grounds = Grounds { rule: rule.clone(), observed };
            return Verdict::Hold { grounds, terms: Arc::clone(terms) };
        }
        let harmless = facts.effects.is_empty().then_some(&self.harmless);
        match allowed.or(harmless) {
            Some(rule) => Verdict::Allow(Grounds { rule: rule.clone(), observed }),
            None => Verdict::Deny {
                grounds: Grounds { rule: self.undecided.clone(), observed },
                message: "no policy of this connection decides on the statement".into(),
            },
        }
    }
}

/// What one policy says of a command.
pub(super) enum Judgement<'b> {
    Pass,
    Allow(&'b RuleRef),
    Hold { rule: &'b RuleRef, terms: &'b Arc<HoldTerms> },
    Deny { rule: &'b RuleRef, told: Told<'b> },
}

/// What the bot is told of a denial.
pub(super) enum Told<'b> {
    Rule(&'b Arc<str>),
    Default,
    Unknown,
}

impl Told<'_> {
    fn message(&self, rule: &RuleRef, facts: &Facts) -> Arc<str> {
        match self {
            Self::Rule(message) => Arc::clone(message),
            Self::Default => {
                let effects: Vec<&str> = facts.effects.names().collect();
                format!("policy {} does not allow: {}", rule.policy, effects.join(", ")).into()
            }
            Self::Unknown => {
                let reason = facts.unknown.map_or("it is unknown", |why| why.reason());
                format!("policy {} refuses what it cannot tell: {reason}", rule.policy).into()
            }
        }
    }
}

/// One policy, as far as it can still matter to a session.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) policy: Arc<Policy>,
    mode: Mode,
    /// Rules that deny, then those that hold, then those that allow, so that the first match decides.
    live: Vec<Live>,
    /// Of each rule in its policy: whether its static conditions hold.
    applying: Arc<[bool]>,
    /// For rules with a `cel`; `None` where no rule has one.
    pub(super) scene: Option<Arc<Scene>>,
    /// Of what is held without a rule.
    plain: Arc<HoldTerms>,
    on_default: RuleRef,
    on_unknown: RuleRef,
}

impl Bound {
    fn new(
        policy: &Arc<Policy>,
        circumstances: &Circumstances<'_>,
        scene: Option<Arc<Scene>>,
    ) -> Self {
        let applying: Arc<[bool]> =
            policy.rules.iter().map(|rule| applies(rule, circumstances)).collect();
        let mut live = Vec::new();
        let ranks: [fn(&Action) -> bool; 3] = [
            |action| matches!(action, Action::Deny),
            |action| matches!(action, Action::Hold(_)),
            |action| matches!(action, Action::Allow),
        ];
        for rank in ranks {
            let rules = policy.rules.iter().zip(&*applying).enumerate();
            let alive = rules.filter(|(_, (rule, applying))| {
                rank(&rule.action) && **applying && may_match(rule, scene.as_deref())
            });
            live.extend(alive.map(|(index, (rule, _))| Live::new(policy, index, rule)));
        }
        let reference = |id: &str| RuleRef { policy: Arc::clone(&policy.name), rule: id.into() };
        Self {
            policy: Arc::clone(policy),
            mode: policy.mode,
            live,
            applying,
            scene,
            plain: Arc::new(plain_terms()),
            on_default: reference(DEFAULT),
            on_unknown: reference(UNKNOWN),
        }
    }

    pub(super) fn judge(&self, facts: &Facts, text: &Text<'_>) -> Judgement<'_> {
        let is_unknown = facts.effects.contains(Effects::UNKNOWN);
        for live in &self.live {
            if !live.gate.admits(facts) || !self.rest_holds(live, facts, text) {
                continue;
            }
            match &live.action {
                Action::Deny => {
                    let message = self.policy.rules.get(live.index).map(|rule| &rule.message);
                    let told = message.map_or(Told::Default, Told::Rule);
                    return Judgement::Deny { rule: &live.reference, told };
                }
                // What could not be told is never loosened by a rule that does not name it.
                Action::Hold(_) | Action::Allow if is_unknown && !live.names_unknown => {}
                Action::Hold(terms) => return Judgement::Hold { rule: &live.reference, terms },
                Action::Allow => return Judgement::Allow(&live.reference),
            }
        }
        if is_unknown {
            return match self.policy.unknown {
                UnknownWord::Deny => {
                    Judgement::Deny { rule: &self.on_unknown, told: Told::Unknown }
                }
                UnknownWord::Hold => Judgement::Hold { rule: &self.on_unknown, terms: &self.plain },
                UnknownWord::Pass => Judgement::Pass,
            };
        }
        match self.policy.default {
            DefaultWord::Allow => Judgement::Allow(&self.on_default),
            DefaultWord::Pass => Judgement::Pass,
            // Nothing to refuse: what has no effect falls to the built-in rule.
            DefaultWord::Deny | DefaultWord::Hold if facts.effects.is_empty() => Judgement::Pass,
            DefaultWord::Hold => Judgement::Hold { rule: &self.on_default, terms: &self.plain },
            DefaultWord::Deny => Judgement::Deny { rule: &self.on_default, told: Told::Default },
        }
    }

    /// True if the rule's static conditions hold for this session.
    pub(super) fn applies(&self, index: usize) -> bool {
        self.applying.get(index).is_some_and(|applies| *applies)
    }

    /// What the gate leaves open.
    fn rest_holds(&self, live: &Live, facts: &Facts, text: &Text<'_>) -> bool {
        !live.has_more
            || self.policy.rules.get(live.index).is_some_and(|rule| {
                let mut rest = rule.conditions.iter().filter(|condition| !is_gated(condition));
                rest.all(|condition| condition.holds(rule.side, facts, text))
                    && rule.cel.as_ref().filter(|cel| !cel.is_of_session()).is_none_or(|cel| {
                        let scene = self.scene.as_ref();
                        scene.is_some_and(|it| cel.holds(rule.side, it, facts, text.bytes()))
                    })
            })
    }
}

/// A rule whose static conditions hold for the session.
#[derive(Clone, Debug)]
struct Live {
    gate: Gate,
    action: Action,
    names_unknown: bool,
    /// The gate is not all there is to it.
    has_more: bool,
    /// Of the rule in its policy.
    index: usize,
    reference: RuleRef,
}

impl Live {
    fn new(policy: &Policy, index: usize, rule: &Rule) -> Self {
        Self {
            gate: Gate::of(&rule.conditions),
            action: rule.action.clone(),
            names_unknown: names_unknown(&rule.conditions),
            has_more: !rule.conditions.iter().all(is_gated)
                || rule.cel.as_ref().is_some_and(|cel| !cel.is_of_session()),
            index,
            reference: RuleRef { policy: Arc::clone(&policy.name), rule: Arc::clone(&rule.id) },
        }
    }
}

/// The conditions over bits, folded into masks.
#[derive(Clone, Copy, Debug)]
struct Gate {
    effects_all: Effects,
    effects_none: Effects,
    effects_only: Option<Effects>,
    effects_any: Option<Effects>,
    flags_any: Option<Flags>,
    flags_none: Flags,
}

impl Gate {
    fn of(conditions: &[Condition]) -> Self {
        let mut gate = Self {
            effects_all: Effects::NONE,
            effects_none: Effects::NONE,
            effects_only: None,
            effects_any: None,
            flags_any: None,
            flags_none: Flags::NONE,
        };
        for condition in conditions {
            match condition {
                Condition::Effects(Quantifier::Any, effects) => gate.effects_any = Some(*effects),
                Condition::Effects(Quantifier::All, effects) => gate.effects_all = *effects,
                Condition::Effects(Quantifier::Only, effects) => gate.effects_only = Some(*effects),
                Condition::Effects(Quantifier::None, effects) => gate.effects_none = *effects,
                Condition::Flags(Quantifier::Any, flags) => gate.flags_any = Some(*flags),
                Condition::Flags(Quantifier::None, flags) => gate.flags_none = *flags,
                Condition::Flags(Quantifier::All | Quantifier::Only, _)
                | Condition::Objects { .. }
                | Condition::Functions { .. }
                | Condition::Verbs(_)
                | Condition::Keywords { .. }
                | Condition::Matches { .. }
                | Condition::Entities { .. } => {}
            }
        }
        gate
    }

    fn admits(&self, facts: &Facts) -> bool {
        facts.effects.contains(self.effects_all)
            && !facts.effects.intersects(self.effects_none)
            && self.effects_any.is_none_or(|any| facts.effects.intersects(any))
            && self.effects_only.is_none_or(|only| facts.effects.only(only))
            && self.flags_any.is_none_or(|any| facts.flags.intersects(any))
            && !facts.flags.intersects(self.flags_none)
    }
}

/// True for conditions that the gate answers.
const fn is_gated(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::Effects(_, _) | Condition::Flags(Quantifier::Any | Quantifier::None, _)
    )
}

/// True if the rule says in so many words that it is about what could not be told.
pub(super) fn names_unknown(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| {
        matches!(
            condition,
            Condition::Effects(Quantifier::Any | Quantifier::All | Quantifier::Only, effects)
                if effects.contains(Effects::UNKNOWN)
        )
    })
}

/// False if the rule's `cel` says for the whole session that it matches nothing.
fn may_match(rule: &Rule, scene: Option<&Scene>) -> bool {
    rule.cel
        .as_ref()
        .filter(|cel| cel.is_of_session())
        .is_none_or(|cel| scene.is_some_and(|scene| cel.holds_for(rule.side, scene)))
}

fn applies(rule: &Rule, circumstances: &Circumstances<'_>) -> bool {
    rule.statics.iter().all(|condition| condition.holds(circumstances))
}

impl Static {
    fn holds(&self, circumstances: &Circumstances<'_>) -> bool {
        let any = |patterns: &[Glob], text: &str| patterns.iter().any(|glob| glob.matches(text));
        match self {
            Self::Claim { name, patterns } => match circumstances.principal.claims.get(&**name) {
                Some(ClaimValue::Text(value)) => any(patterns, value),
                Some(ClaimValue::List(values)) => values.iter().any(|value| any(patterns, value)),
                None => false,
            },
            Self::Label { name, patterns } => {
                circumstances.labels.get(&**name).is_some_and(|value| any(patterns, value))
            }
            Self::Account(patterns) => any(patterns, &circumstances.principal.account),
            Self::Target(patterns) => any(patterns, circumstances.target),
            Self::Database(patterns) => any(patterns, circumstances.database),
        }
    }
}
