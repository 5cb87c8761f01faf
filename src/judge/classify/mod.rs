//! Command text to facts, by language, remembered. Knows no protocol and no policy.
//!
//! Facts are cached, verdicts never are: rules run each time, so a new policy needs no flush.
//! An exact text is looked up first, then its shape (a normal form of its tokens, with stand-ins
//! for literals), then the language's grammar is asked. A shape's facts are kept only where no
//! literal had a say. Both caches compare what they look up in full.

mod cache;
mod dialects;
mod postgres;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::judge) use postgres::tests::corpus::CORPUS;

pub(crate) use dialects::Dialect;
pub(crate) use dialects::twin as dialect_twin;
pub(crate) use postgres::twin;

use std::sync::Arc;

use crate::judge::classify::cache::Cache;
use crate::judge::classify::postgres::walk::Dependence;
use crate::limits::{EXACT_CACHE_BYTES, PARSED_TEXT_BYTES_MAX, SHAPE_CACHE_BYTES};
use crate::model::command::{Language, Lexing};
use crate::model::facts::{Definition, Effects, Facts, Flags, Unknown};

/// A worker's classifier, with its caches. The thread that owns it needs a stack of
/// [`crate::limits::CLASSIFIER_STACK_BYTES`].
pub struct Classifier {
    exact: Cache,
    shapes: Cache,
    /// Of other languages than the two above, each by its tag and the exact text.
    tagged: Cache,
    /// What the text at hand is looked up by: its shape, or a tag and the text.
    shape: Vec<u8>,
}

impl Default for Classifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Classifier {
    #[must_use]
    pub fn new() -> Self {
        Self {
            exact: Cache::new(EXACT_CACHE_BYTES),
            shapes: Cache::new(SHAPE_CACHE_BYTES),
            tagged: Cache::new(EXACT_CACHE_BYTES),
            shape: Vec::new(),
        }
    }

    /// What `text` does. Text without any statement (nothing, blanks, comments, semicolons) has
    /// no statements and no effects.
    pub fn facts(&mut self, language: Language, lexing: Lexing, text: &[u8]) -> Arc<Facts> {
        match language {
            Language::PostgresSql => self.postgres_facts(lexing, text),
            Language::MySql => self.dialect_facts(Dialect::MySql, lexing, text),
            Language::Sqlite => self.dialect_facts(Dialect::Sqlite, lexing, text),
            Language::TSql => self.dialect_facts(Dialect::TSql, lexing, text),
        }
    }

    fn dialect_facts(&mut self, dialect: Dialect, lexing: Lexing, text: &[u8]) -> Arc<Facts> {
        // Nothing is kept of sessions that read text in an unusual way, nor of long texts.
        let kept = lexing == Lexing::default() && text.len() <= PARSED_TEXT_BYTES_MAX;
        if kept {
            self.shape.clear();
            self.shape.push(dialect.tag());
            self.shape.extend_from_slice(text);
            if let Some(facts) = self.tagged.find(&self.shape) {
                return facts;
            }
        }
        let facts = dialects::read(dialect, lexing, text);
        let facts = Arc::new(Facts { fingerprint: fingerprint(text), ..facts });
        if kept {
            self.tagged.insert(&self.shape, Arc::clone(&facts));
        }
        facts
    }

    fn postgres_facts(&mut self, lexing: Lexing, text: &[u8]) -> Arc<Facts> {
        if !postgres::reads_alike(text, lexing) {
            return unknown(Unknown::UnsafeLexing, Flags::NONE, text);
        }
        if let Some(facts) = self.exact.find(text) {
            return facts;
        }
        if text.len() > PARSED_TEXT_BYTES_MAX {
            return unknown(Unknown::TooLarge, Flags::TOO_LARGE, text);
        }
        let shaped = postgres::shape::of(text, &mut self.shape).is_some();
        // A text that is spoken for by its shape is likely to differ next time: it is not kept.
        if shaped && let Some(facts) = self.shapes.find(&self.shape) {
            return facts;
        }
        let mut reading = postgres::read(text);
        reading.facts.fingerprint = fingerprint(if shaped { &self.shape } else { text });
        let facts = Arc::new(reading.facts);
        // Next time there may be an answer.
        if facts.unknown == Some(Unknown::NotClassified) {
            return facts;
        }
        if shaped && reading.dependence == Dependence::Shape {
            self.shapes.insert(&self.shape, Arc::clone(&facts));
        }
        self.exact.insert(text, Arc::clone(&facts));
        facts
    }
}

/// Adds to `facts` what the statements do that it runs by name. `find` gives the facts of what a
/// session has prepared under a name. As long as one name is not found, the whole stays unknown.
pub fn resolved(facts: &Facts, mut find: impl FnMut(&str) -> Option<Arc<Facts>>) -> Facts {
    let mut whole = facts.clone();
    let mut unknown = facts.unknown.filter(|why| *why != Unknown::UnseenName);
    for name in &facts.executes {
        match find(name) {
            Some(named) => {
                whole.effects |= named.effects;
                whole.flags |= named.flags;
                whole.statements.extend(named.statements.iter().cloned());
                unknown = unknown.or(named.unknown);
            }
            None => unknown = unknown.or(Some(Unknown::UnseenName)),
        }
    }
    whole.unknown = unknown;
    whole.effects = if unknown.is_some() {
        whole.effects | Effects::UNKNOWN
    } else {
        whole.effects.without(Effects::UNKNOWN)
    };
    whole
}

/// Adds to `facts` the statements whose rows it fetches, so that it can be told what these are made
/// of. A name that is not found stays among `fetches`.
pub fn fetched(facts: &Facts, mut find: impl FnMut(&str) -> Option<Arc<Facts>>) -> Facts {
    let mut whole = facts.clone();
    let mut left = Vec::new();
    for name in std::mem::take(&mut whole.fetches) {
        let here = Definition::Cursor(name.clone());
        match find(&name) {
            Some(named) if named.unknown.is_none() && named.fetches.is_empty() => {
                whole.statements.extend(named.statements.iter().cloned());
            }
            None if facts.definitions.contains(&here) => {}
            Some(_) | None => left.push(name),
        }
    }
    whole.fetches = left;
    whole
}

fn unknown(why: Unknown, flags: Flags, text: &[u8]) -> Arc<Facts> {
    Arc::new(Facts { flags, fingerprint: fingerprint(text), ..Facts::unknown(why) })
}

/// FNV-1a of the first bytes and the length: the same in every process and on every machine, and
/// so only ever shown, never trusted.
fn fingerprint(text: &[u8]) -> u64 {
    let length = (text.len() as u64).to_le_bytes();
    let hashed = text.iter().take(PARSED_TEXT_BYTES_MAX).chain(&length);
    hashed.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
