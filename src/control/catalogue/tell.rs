//! Masks that match no column of a database that was read: told once each, in the log and as an
//! audit event. Knows what has been told; what matches, whoever reads a catalogue finds out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::judge::policy::MaskPattern;
use crate::limits::UNMATCHED_TOLD_MAX;
use crate::model::event::{AuditEvent, What};
use crate::model::target::TargetName;
use crate::model::time::unix_ns;
use crate::observe::sink::EventQueue;

/// A mask's pattern that matches no column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unmatched {
    /// Policy and id.
    pub(super) rule: String,
    pub(super) pattern: String,
    pub(super) names_a_table: bool,
}

impl From<MaskPattern<'_>> for Unmatched {
    fn from(pattern: MaskPattern<'_>) -> Self {
        Self {
            rule: pattern.rule().to_string(),
            pattern: pattern.written().to_owned(),
            names_a_table: pattern.names_a_table(),
        }
    }
}

/// Which database, under which version of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Where {
    pub(super) version: Arc<str>,
    pub(super) target: TargetName,
    pub(super) database: Arc<str>,
}

/// Tells operators. Its clones remember together.
#[derive(Clone)]
pub(super) struct Teller {
    events: EventQueue,
    told: Arc<Mutex<HashSet<(Where, Unmatched)>>>,
}

impl Teller {
    pub(super) fn new(events: EventQueue) -> Self {
        Self { events, told: Arc::default() }
    }

    /// Tells what has not been told of the same database under the same configuration: connections
    /// share databases, and catalogues are read again and again.
    pub(super) fn tell(&self, at: &Where, unmatched: Vec<Unmatched>) {
        for one in unmatched.into_iter().filter(|one| self.is_news(at, one)) {
            let Unmatched { rule, pattern, names_a_table } = one;
            log(at, &rule, &pattern, names_a_table);
            let what = What::MaskUnmatched { rule, pattern, names_a_table };
            // The queue counts what it cannot take.
            let _taken = self.events.offer(AuditEvent {
                target: Some(Arc::clone(&at.target)),
                database: Some(Arc::clone(&at.database)),
                ..AuditEvent::of_gateway(unix_ns(), what)
            });
        }
    }

    fn is_news(&self, at: &Where, one: &Unmatched) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= UNMATCHED_TOLD_MAX {
            told.retain(|(other, _)| other.version == at.version);
        }
        if told.len() >= UNMATCHED_TOLD_MAX {
            // Better twice than never.
            told.clear();
        }
        told.insert((at.clone(), one.clone()))
    }
}

/// A pattern for any table may rightly find nothing here; one that speaks of a table hardly.
fn log(at: &Where, rule: &str, pattern: &str, names_a_table: bool) {
    let Where { target, database, .. } = at;
    let (target, database): (&str, &str) = (target, database);
    if names_a_table {
        tracing::warn!(rule, pattern, target, database, "a mask matches no column");
    } else {
        tracing::info!(rule, pattern, target, database, "a mask matches no column");
    }
}

#[cfg(test)]
mod tests;
