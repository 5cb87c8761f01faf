//! What takes the place of a protected value.

use crate::model::verdict::RuleRef;

/// How a value is replaced. Where several rules speak of one value the strictest is taken: the one
/// that stands first here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    /// No value at all.
    Null,
    /// A fixed stand-in that tells nothing.
    Redact,
    /// As many stars as the text has characters.
    Mask,
    /// A keyed digest: equal values stay equal, nothing else is told.
    Hash,
    /// A keyed stand-in of the same kind: it can be joined on, and looks like the real thing.
    Pseudonym,
    /// Digits are encrypted to as many digits (NIST SP 800-38G, FF1); everything else stays.
    Fpe,
    /// Stars, but for so many characters at either end.
    Partial { keep_first: u8, keep_last: u8 },
    /// The first of January of the value's year.
    Year,
}

/// That a value is protected: how it is replaced, and which rule says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    pub strategy: Strategy,
    pub rule: RuleRef,
}

/// What becomes of columns that a statement computes from a protected relation.
///
/// The strictest stands first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Derived {
    /// They are replaced, unless they provably hold nothing of a protected column.
    #[default]
    Strict,
    /// They are searched for values that look protected.
    Detect,
    /// They pass.
    Off,
}
