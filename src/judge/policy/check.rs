//! Looks for rules that do not do what they seem to. Finds what follows from effects, flags and
//! equal patterns; that two different patterns mean the same is not seen.

use std::sync::Arc;

use crate::judge::policy::compile::{Action, Policy, Rule, Static};
use crate::judge::policy::condition::{Condition, Quantifier, Side};
use crate::judge::policy::problem::{Fault, Part, Problem};
use crate::model::facts::{Effects, Flags};

pub(super) fn policy(policy: &Policy) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in &policy.rules {
        if let Some(fault) = fault(policy, rule) {
            problems.push(Problem {
                policy: Arc::clone(&policy.name),
                part: Some(Part::Rule(Arc::clone(&rule.id))),
                fault,
            });
        }
    }
    problems
}

fn fault(policy: &Policy, rule: &Rule) -> Option<Fault> {
    if rule.conditions.is_empty() && rule.statics.is_empty() && rule.cel.is_none() {
        return Some(Fault::NoCondition);
    }
    let bits = Bits::of(&rule.conditions);
    if let Some(reason) = bits.contradiction() {
        return Some(Fault::NeverMatches { reason });
    }
    if rule.side == Side::Deny {
        return None;
    }
    let mut denials = policy.rules.iter().filter(|other| matches!(other.action, Action::Deny));
    denials
        .find(|denial| covers(denial, rule))
        .map(|denial| Fault::Shadowed { by: Arc::clone(&denial.id) })
}

/// The conditions of a rule over effects and flags.
struct Bits {
    any: Option<Effects>,
    all: Effects,
    only: Option<Effects>,
    none: Effects,
    flags_any: Option<Flags>,
    flags_none: Flags,
}

impl Bits {
    fn of(conditions: &[Condition]) -> Self {
        let mut bits = Self {
            any: None,
            all: Effects::NONE,
            only: None,
            none: Effects::NONE,
            flags_any: None,
            flags_none: Flags::NONE,
        };
        for condition in conditions {
            if let Condition::Effects(quantifier, effects) = condition {
                match quantifier {
                    Quantifier::Any => bits.any = Some(*effects),
                    Quantifier::All => bits.all = *effects,
                    Quantifier::Only => bits.only = Some(*effects),
                    Quantifier::None => bits.none = *effects,
                }
            } else if let Condition::Flags(Quantifier::Any, flags) = condition {
                bits.flags_any = Some(*flags);
            } else if let Condition::Flags(Quantifier::None, flags) = condition {
                bits.flags_none = *flags;
            }
        }
        bits
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.all.intersects(self.none) {
            return Some("effects.all asks for what effects.none forbids");
        }
        if self.any.is_some_and(|any| self.none.contains(any)) {
            return Some("effects.none forbids all of effects.any");
        }
        if let Some(only) = self.only {
            if !only.contains(self.all) {
                return Some("effects.all asks for what effects.only leaves out");
            }
            if self.any.is_some_and(|any| !only.intersects(any)) {
                return Some("effects.only leaves out all of effects.any");
            }
            if self.none.contains(only) {
                return Some("effects.none forbids all of effects.only");
            }
        }
        if self.flags_any.is_some_and(|any| self.flags_none.contains(any)) {
            return Some("flags.none forbids all of flags.any");
        }
        None
    }

    /// True if every command that fits `narrow` fits the bits here.
    fn follow_from(&self, narrow: &Self) -> bool {
        let any = self.any.is_none_or(|any| {
            any.intersects(narrow.all)
                || narrow.only.is_some_and(|only| any.contains(only))
                || narrow.any.is_some_and(|inner| any.contains(inner))
        });
        let only = self.only.is_none_or(|only| narrow.only.is_some_and(|n| only.contains(n)));
        let none = narrow.none.contains(self.none)
            || narrow.only.is_some_and(|only| !only.intersects(self.none));
        let flags_any = self
            .flags_any
            .is_none_or(|any| narrow.flags_any.is_some_and(|inner| any.contains(inner)));
        any && only
            && none
            && narrow.all.contains(self.all)
            && flags_any
            && narrow.flags_none.contains(self.flags_none)
    }
}

/// True if `denial` matches whatever `allowance` matches. Says no where it cannot tell.
fn covers(denial: &Rule, allowance: &Rule) -> bool {
    denial.cel.is_none()
        && Bits::of(&denial.conditions).follow_from(&Bits::of(&allowance.conditions))
        && denial
            .statics
            .iter()
            .all(|wide| allowance.statics.iter().any(|narrow| same(wide, narrow)))
        && denial.conditions.iter().all(|wide| {
            matches!(
                wide,
                Condition::Effects(_, _) | Condition::Flags(Quantifier::Any | Quantifier::None, _)
            ) || allowance.conditions.iter().any(|narrow| follows(wide, narrow))
        })
}

/// True if the denial's condition holds wherever the allowance's does.
fn follows(wide: &Condition, narrow: &Condition) -> bool {
    match (wide, narrow) {
        (Condition::Verbs(wide), Condition::Verbs(narrow)) => {
            narrow.iter().all(|verb| wide.contains(verb))
        }
        _ => false,
    }
}

fn same(wide: &Static, narrow: &Static) -> bool {
    match (wide, narrow) {
        (
            Static::Claim { name, patterns },
            Static::Claim { name: narrow_name, patterns: narrow_patterns },
        )
        | (
            Static::Label { name, patterns },
            Static::Label { name: narrow_name, patterns: narrow_patterns },
        ) => name == narrow_name && narrow_patterns.iter().all(|glob| patterns.contains(glob)),
        (Static::Account(wide), Static::Account(narrow))
        | (Static::Target(wide), Static::Target(narrow))
        | (Static::Database(wide), Static::Database(narrow)) => {
            narrow.iter().all(|glob| wide.contains(glob))
        }
        _ => false,
    }
}
