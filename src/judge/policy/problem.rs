//! What is wrong with a policy, and what would mend it.

use std::sync::Arc;

use crate::limits::SCANNED_PATTERNS_MAX;
use crate::model::target::PolicyName;
use crate::model::units;
use crate::scan::PatternError;

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub policy: PolicyName,
    /// `None` where the policy itself is at fault.
    pub part: Option<Part>,
    pub fault: Fault,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.part {
            Some(part) => write!(f, "policy `{}`, {part}: {}", self.policy, self.fault),
            None => write!(f, "policy `{}`: {}", self.policy, self.fault),
        }
    }
}

/// What of a policy is at fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A rule or a mask, by its id.
    Rule(Arc<str>),
    /// A pattern, by its name.
    Pattern(Arc<str>),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule(id) => write!(f, "rule `{id}`"),
            Self::Pattern(name) => write!(f, "pattern `{name}`"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("there is no {kind} `{name}`")]
    NoSuchName { kind: &'static str, name: String, nearest: Option<String> },
    #[error("there is no list `@{name}`")]
    NoSuchList { name: String, nearest: Option<String> },
    #[error("the rule's id is empty")]
    EmptyId,
    #[error("the id stands for a built-in rule")]
    ReservedId,
    #[error("the id is used twice")]
    DuplicateId,
    #[error("the rule has no condition and so matches every command")]
    NoCondition,
    #[error("`{condition}` is an empty list, which nothing matches")]
    EmptyList { condition: &'static str },
    #[error("the pattern `{pattern}` names no schema")]
    NoSchema { pattern: String },
    #[error(
        "a rule that allows by `{condition}` must say what it allows: `effects.only` is missing"
    )]
    AllowWithoutOnly { condition: &'static str },
    #[error("a rule that allows cannot rest on `{condition}`")]
    AllowByAny { condition: &'static str },
    #[error("the pattern `{pattern}` is not a regular expression that can be used: {reason}")]
    BadPattern { pattern: String, reason: String },
    #[error("the expression in `cel` cannot be used: {reason}")]
    BadExpression { reason: String },
    #[error("the rule can never match: {reason}")]
    NeverMatches { reason: &'static str },
    #[error("rule `{by}` denies everything that this rule would allow")]
    Shadowed { by: Arc<str> },
    #[error("`{text}` is nobody who could decide")]
    NoReviewer { text: String },
    #[error("a quorum of {quorum} cannot be reached")]
    NoQuorum { quorum: u16 },
    #[error("`{key} = \"{text}\"` is not a duration of at most {most_s} s")]
    BadDuration { key: &'static str, text: String, most_s: u64 },
    #[error("the pattern `{pattern}` names no table")]
    NoTable { pattern: String },
    #[error("the mask names neither columns nor anything to detect")]
    MasksNothing,
    #[error("there are too many rules: {count}")]
    TooManyRules { count: usize },
    #[error("`{pattern}` cannot be searched for: {reason}")]
    Unsearchable { pattern: String, reason: PatternError },
    #[error("the name is not one that a pattern can have")]
    BadPatternName,
    #[error("all policies together have more than {SCANNED_PATTERNS_MAX} patterns")]
    TooManyPatterns,
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSuchName { nearest, .. } => {
                nearest.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::NoSuchList { nearest, .. } => Some(nearest.as_ref().map_or_else(
                || "declare it in the policy's [lists]".to_owned(),
                |name| format!("did you mean `@{name}`?"),
            )),
            Self::EmptyId | Self::ReservedId | Self::DuplicateId => {
                Some("give the rule a name of its own; verdicts are reported by it".to_owned())
            }
            Self::NoCondition => Some("say it with the policy's `default` instead".to_owned()),
            Self::EmptyList { .. } => Some("leave the condition out, or fill it".to_owned()),
            Self::NoSchema { pattern } => {
                Some(format!("write `*.{pattern}` for any schema, or name one: `public.{pattern}`"))
            }
            Self::AllowWithoutOnly { .. } => Some(
                "a statement may have effects beside those that are asked for, as in `WITH x AS \
                 (DELETE ...) SELECT`; effects.only lists all that it may have"
                    .to_owned(),
            ),
            Self::AllowByAny { condition } => Some(if condition.starts_with("text") {
                "a comment could satisfy it; deny by text, allow by effects and objects".to_owned()
            } else {
                format!("`{condition}` holds if one of many fits; write `only`, which all must fit")
            }),
            Self::BadPattern { .. } => None,
            Self::BadExpression { .. } => Some(
                "an expression compares `claims`, `account`, `target`, `database`, `labels`, \
                 `effects`, `flags`, `verbs`, `objects`, `functions` and `text`; it has \
                 no loops within loops: `!('oncall' in claims.groups)`"
                    .to_owned(),
            ),
            Self::NeverMatches { .. } => Some("remove it, or mend its conditions".to_owned()),
            Self::Shadowed { .. } => Some("deny beats allow: narrow one of the two".to_owned()),
            Self::NoReviewer { .. } => {
                Some("write \"user:NAME\" for a local user or \"group:NAME\"".to_owned())
            }
            Self::NoQuorum { .. } => {
                Some("use 1, or name as many reviewers as are needed".to_owned())
            }
            Self::BadDuration { .. } => Some(units::DURATION_HINT.to_owned()),
            Self::NoTable { pattern } => Some(format!(
                "write `*.{pattern}` for any table, or name one: `customers.{pattern}`"
            )),
            Self::MasksNothing => Some("add `columns = [...]` or `detect = [...]`".to_owned()),
            Self::TooManyRules { .. } => Some("split the policy".to_owned()),
            Self::Unsearchable { reason, .. } => unsearchable(reason).map(ToOwned::to_owned),
            Self::BadPatternName => Some(
                "use small letters, digits, `-` and `_`, and none of the names that are built in"
                    .to_owned(),
            ),
            Self::TooManyPatterns => Some("make one of several: `A-\\d{4}|B-\\d{6}`".to_owned()),
        }
    }
}

fn unsearchable(reason: &PatternError) -> Option<&'static str> {
    match reason {
        PatternError::Unbounded => Some("bound what repeats: `{1,64}` for `+`, `{0,64}` for `*`"),
        PatternError::Anchored => {
            Some("a value may stand amid other text: use `\\b`, where a word begins or ends")
        }
        PatternError::LongText | PatternError::LongValue { .. } | PatternError::TooLarge { .. } => {
            Some("describe less of it: what is left of a value says little")
        }
        PatternError::Empty => Some("leave out what may be absent, at either end"),
        PatternError::Malformed { .. } | PatternError::Impossible => None,
    }
}

/// The name that `wrong` was most likely meant to be.
pub(super) fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let ranked = names.into_iter().map(|name| (distance(wrong, name), name));
    let (edits, name) = ranked.min_by_key(|(edits, _)| *edits)?;
    (edits <= 2.max(wrong.len() / 3)).then(|| name.to_owned())
}

/// Insertions, deletions and replacements that make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, byte) in one.bytes().enumerate() {
        let mut above_left = line;
        let mut left = line + 1;
        let mut next = vec![left];
        for (against, above) in other.bytes().zip(row.iter().skip(1)) {
            let replaced = above_left + usize::from(byte != against);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
            above_left = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn edits_are_counted_as_by_hand() {
        for (one, other, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("delete", "delte", 1),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(one, other), edits, "{one} {other}");
        }
    }

    #[test]
    fn a_name_far_from_all_others_is_near_none() {
        assert_eq!(nearest("delte", ["read", "delete"]).as_deref(), Some("delete"));
        assert_eq!(nearest("zzzz", ["read", "delete"]), None);
    }
}
