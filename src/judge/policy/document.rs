//! The policy language as it is written. Knows its keys, not what they come to: a key that is
//! not here is refused, and one that later versions will have is refused by its name.

use std::collections::BTreeMap;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::model::mask::Derived;

/// One `[policy.NAME]`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    #[serde(default)]
    pub(super) default: DefaultWord,
    /// Absent: `deny`, or `pass` in a policy whose default is `pass`.
    pub(super) unknown: Option<UnknownWord>,
    #[serde(default)]
    pub(super) options: OptionsDocument,
    /// Lists of patterns, named `@name` in rules.
    #[serde(default)]
    pub(super) lists: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) rule: Vec<RuleDocument>,
    #[serde(default)]
    pub(super) mask: Vec<MaskDocument>,
    #[serde(default)]
    pub(super) pattern: Vec<PatternDocument>,
    #[expect(dead_code, reason = "refused while it is read")]
    record: Option<RecordingLevels>,
    #[expect(dead_code, reason = "refused while it is read")]
    alert: Option<Alerts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DefaultWord {
    Allow,
    #[default]
    Deny,
    Hold,
    Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownWord {
    Deny,
    Hold,
    Pass,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptionsDocument {
    #[serde(default)]
    pub(super) mode: Mode,
    /// What becomes of columns that are computed from a protected one.
    #[serde(default)]
    pub(super) derived: Derived,
    /// What becomes of statements that take protected values elsewhere.
    #[serde(default)]
    pub(super) writes: WritesWord,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WritesWord {
    #[default]
    Deny,
    /// As the rules say.
    Pass,
}

/// One `[[policy.NAME.mask]]`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaskDocument {
    /// Names the mask in reports; `mask-1` and so on where it is absent.
    pub(super) id: Option<String>,
    pub(super) columns: Option<Texts>,
    pub(super) detect: Option<Texts>,
    #[serde(rename = "as")]
    pub(super) how: StrategyDocument,
}

/// One `[[policy.NAME.pattern]]`: a kind of value that masks and rules of the policy can name.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternDocument {
    pub(super) name: String,
    #[serde(rename = "match")]
    pub(super) expression: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StrategyDocument {
    Redact,
    Mask,
    Null,
    Hash,
    Pseudonym,
    Fpe,
    Year,
    Partial(PartialDocument),
}

/// How many characters stay at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartialDocument {
    #[serde(default)]
    pub(super) keep_first: u8,
    #[serde(default)]
    pub(super) keep_last: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    #[default]
    Enforce,
    /// What would be denied is allowed, and named.
    Observe,
}

#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleDocument {
    pub(super) id: String,
    #[serde(default)]
    pub(super) when: WhenDocument,
    pub(super) action: ActionDocument,
    pub(super) message: Option<String>,
    /// Asked where `when` holds.
    pub(super) cel: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum ActionDocument {
    Allow,
    Deny,
    Hold(HoldDocument),
}

/// `{ hold = { … } }`; what is absent has the terms of a plain `"hold"`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HoldDocument {
    pub(super) reviewers: Vec<String>,
    pub(super) quorum: Option<u16>,
    /// How long the request stands.
    #[serde(rename = "for")]
    pub(super) stands: Option<String>,
    /// How long the bot waits.
    pub(super) wait: Option<String>,
    pub(super) mode: Option<HoldMode>,
    pub(super) in_transaction: Option<InTransaction>,
}

/// What becomes of a command inside an open transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InTransaction {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum HoldMode {
    Wait,
    /// The bot is told at once to come again.
    Ticket,
}

/// All that are present must hold.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WhenDocument {
    pub(super) effects: BitsDocument,
    pub(super) flags: FlagsDocument,
    pub(super) objects: ObjectsDocument,
    pub(super) functions: PatternsDocument,
    pub(super) verb: Option<Texts>,
    pub(super) claims: BTreeMap<String, ClaimDocument>,
    pub(super) labels: BTreeMap<String, Texts>,
    pub(super) account: Option<Texts>,
    pub(super) target: Option<Texts>,
    pub(super) database: Option<Texts>,
    pub(super) text: TextDocument,
    time: Option<Times>,
    rows_estimate: Option<RowEstimates>,
}

impl WhenDocument {
    /// Claims by their dotted names.
    pub(super) fn claims_by_name(&self) -> Vec<(String, &Texts)> {
        let mut flat = Vec::new();
        flatten("", &self.claims, &mut flat);
        flat
    }
}

fn flatten<'d>(
    prefix: &str,
    claims: &'d BTreeMap<String, ClaimDocument>,
    flat: &mut Vec<(String, &'d Texts)>,
) {
    for (name, claim) in claims {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match claim {
            ClaimDocument::Patterns(texts) => flat.push((name, texts)),
            ClaimDocument::Nested(nested) => flatten(&name, nested, flat),
        }
    }
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BitsDocument {
    pub(super) any: Option<Vec<String>>,
    pub(super) all: Option<Vec<String>>,
    pub(super) only: Option<Vec<String>>,
    pub(super) none: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FlagsDocument {
    pub(super) any: Option<Vec<String>>,
    pub(super) none: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ObjectsDocument {
    pub(super) any: Option<Texts>,
    pub(super) only: Option<Texts>,
    pub(super) read: PatternsDocument,
    pub(super) write: PatternsDocument,
    pub(super) define: PatternsDocument,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PatternsDocument {
    pub(super) any: Option<Texts>,
    pub(super) only: Option<Texts>,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TextDocument {
    pub(super) keywords: Option<Texts>,
    pub(super) matches: Option<Texts>,
    pub(super) entities: EntitiesDocument,
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EntitiesDocument {
    pub(super) any: Option<Texts>,
}

/// One text, or a list of them of which any will do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        texts.iter().map(String::as_str)
    }
}

/// A claim's patterns; a table is part of a nested claim's name.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(untagged, expecting = "a text, a list of texts, or a table of nested claims")]
pub(super) enum ClaimDocument {
    Patterns(Texts),
    Nested(BTreeMap<String, ClaimDocument>),
}

impl<'de> Deserialize<'de> for DefaultWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            "pass" => Ok(Self::Pass),
            "hold" => Ok(Self::Hold),
            other => Err(de::Error::unknown_variant(other, &["allow", "deny", "hold", "pass"])),
        }
    }
}

impl<'de> Deserialize<'de> for UnknownWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "deny" => Ok(Self::Deny),
            "pass" => Ok(Self::Pass),
            "hold" => Ok(Self::Hold),
            "allow" => Err(de::Error::custom(
                "commands that could not be understood are allowed only by a rule that names \
                 them: action = \"allow\" with `unknown` in effects.only",
            )),
            other => Err(de::Error::unknown_variant(other, &["deny", "hold", "pass"])),
        }
    }
}

impl<'de> Deserialize<'de> for ActionDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = ActionDocument;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"allow\", \"deny\", \"hold\" or { hold = { … } }")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ActionDocument, E> {
        match word {
            "allow" => Ok(ActionDocument::Allow),
            "deny" => Ok(ActionDocument::Deny),
            "hold" => Ok(ActionDocument::Hold(HoldDocument::default())),
            other => Err(E::unknown_variant(other, &["allow", "deny", "hold"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ActionDocument, A::Error> {
        let named: Option<String> = map.next_key()?;
        if named.as_deref() == Some("hold") {
            let terms = map.next_value()?;
            return match map.next_key::<String>()? {
                None => Ok(ActionDocument::Hold(terms)),
                Some(_) => Err(de::Error::custom("an action is one thing")),
            };
        }
        while map.next_value::<IgnoredAny>().is_ok() && map.next_key::<IgnoredAny>()?.is_some() {}
        Err(match named.as_deref() {
            Some("mask") => de::Error::custom("masks are not actions: write [[policy.NAME.mask]]"),
            Some(other) => de::Error::unknown_variant(other, &["hold"]),
            None => de::Error::custom("an action is \"allow\", \"deny\" or \"hold\""),
        })
    }
}

/// Keys that the language keeps for later versions.
macro_rules! later {
    ($($name:ident $what:literal)*) => {
        $(#[derive(Clone, Debug)]
        struct $name;

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(de::Error::custom(concat!($what, " not available in this version")))
            }
        })*
    };
}

later! {
    RecordingLevels "recording levels are"
    Alerts "alerts are"
    Times "`time` conditions are"
    RowEstimates "row estimates are"
}
