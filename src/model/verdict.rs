//! Verdicts: what may happen with a command, and on what grounds.

use std::sync::Arc;

use crate::model::approval::HoldTerms;
use crate::model::target::PolicyName;

/// The rule that decided, by policy and id. `default` and `unknown` are the ids of a policy's
/// stated fall-backs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRef {
    pub policy: PolicyName,
    pub rule: Arc<str>,
}

/// The policy of rules that no file holds.
pub const BUILT_IN: &str = "narrows";
/// Its rule against what the protocol itself forbids.
pub const PROTOCOL: &str = "protocol";
/// Its rule against more statements than a connection may make a minute.
pub const TOO_SOON: &str = "limits.statements";

impl RuleRef {
    /// A rule that no file holds.
    #[must_use]
    pub fn built_in(rule: &str) -> Self {
        Self { policy: BUILT_IN.into(), rule: rule.into() }
    }
}

impl std::fmt::Display for RuleRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.policy, self.rule)
    }
}

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    pub rule: RuleRef,
    /// A denial that a policy in `observe` mode would have spoken.
    pub observed: Option<RuleRef>,
}

/// The judge's word on one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow(Grounds),
    /// A human decides, on these terms.
    Hold {
        grounds: Grounds,
        terms: Arc<HoldTerms>,
    },
    Deny {
        grounds: Grounds,
        /// What the bot is told.
        message: Arc<str>,
    },
}

impl Verdict {
    #[must_use]
    pub const fn grounds(&self) -> &Grounds {
        match self {
            Self::Allow(grounds) | Self::Hold { grounds, .. } | Self::Deny { grounds, .. } => {
                grounds
            }
        }
    }

    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Hold { .. } => "hold",
            Self::Deny { .. } => "deny",
        }
    }
}
