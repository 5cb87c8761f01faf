//! Facts to a verdict. Knows the policy language, identities and labels; no protocol, no bytes of
//! a wire, no clock.
//!
//! - Deny beats allow, whatever the order; a policy that says nothing falls to its `default`, and
//!   to `unknown` where the command could not be understood.
//! - Of several policies, one that denies is enough; otherwise one must allow.
//! - What could match is taken to match where a rule denies, and not to match where it allows.
//! - A command without any effect (no statement at all, `CLOSE`, `DEALLOCATE`) is allowed by the
//!   built-in rule `harmless`, unless a rule denies it.

mod check;
mod compile;
mod condition;
mod decide;
mod document;
mod explain;
mod expression;
mod glob;
mod masks;
mod problem;
mod text;
mod values;
#[cfg(test)]
mod tests;

pub use compile::Library;
pub use decide::{Circumstances, SessionPolicy, UnknownPolicy};
pub use document::PolicyDocument;
pub use explain::{ConditionReport, Explanation, FactsReport, PolicyReport, RuleReport};
pub use masks::{MaskPattern, Masks};
pub use problem::{Fault, Part, Problem};
