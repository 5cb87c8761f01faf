//! Statements a minute: what counts as one, and what becomes of one too many. It is refused before it
//! is judged, and recorded like any refusal; of a flood of them one a minute becomes an event.

use crate::model::event::What;
use crate::model::facts::Facts;
use crate::model::time::NS_PER_S;
use crate::session::bucket::{Bucket, Dry};
use crate::session::{Admission, Context, Session};
use crate::wire::{Asked, Machine, Purpose, Refusal, RefusalKind};

/// A statement was refused for coming too soon.
pub(super) struct Overrun {
    pub(super) refusal: Refusal,
    /// It becomes an event of its own.
    pub(super) is_told: bool,
}

impl Session {
    /// Counts a command that is to run against what its connection may do a minute.
    pub(super) fn pace(
        &self,
        asked: &Asked,
        facts: &Facts,
        cx: &mut Context<'_>,
    ) -> Option<Overrun> {
        let admission = self.admission()?;
        let bucket = admission.bucket.as_deref()?;
        if asked.purpose == Purpose::Prepare {
            return None;
        }
        if let Some(count) = bucket.untold(cx.now) {
            self.emit(What::RefusalsUntold { count }, cx);
        }
        let count = statements(asked, facts);
        if ends_transaction(facts) && may_be_inside(&self.machine) {
            bucket.overdraw(count, cx.now);
            return None;
        }
        let dry = bucket.draw(count, cx.now).err()?;
        let refusal = too_soon(count, dry, bucket, admission);
        Some(Overrun { refusal, is_told: bucket.tells(cx.now) })
    }

    /// What nobody else may be there to tell.
    pub(super) fn tell_untold(&self, cx: &mut Context<'_>) {
        let bucket = self.admission().and_then(|admission| admission.bucket.as_deref());
        if let Some(count) = bucket.and_then(Bucket::untold_so_far) {
            self.emit(What::RefusalsUntold { count }, cx);
        }
    }
}

/// How many statements a command counts for. Not what it runs by name: that is part of the one that
/// does so. A text that is not understood has no more than it has semicolons to part them.
fn statements(asked: &Asked, facts: &Facts) -> u32 {
    let count = if asked.known.is_some() || asked.unseen {
        1
    } else if facts.statements.is_empty() {
        let text = asked.text.trim_ascii_end();
        memchr::memchr_iter(b';', text.strip_suffix(b";").unwrap_or(text)).count() + 1
    } else {
        facts.statements.len()
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Does nothing but end a transaction.
fn ends_transaction(facts: &Facts) -> bool {
    match &facts.statements[..] {
        [statement] => facts.unknown.is_none() && matches!(statement.verb, "COMMIT" | "ROLLBACK"),
        _ => false,
    }
}

/// A transaction is open, or what has been sent may have opened one.
fn may_be_inside(machine: &Machine) -> bool {
    machine.in_transaction() || machine.is_busy()
}

fn too_soon(count: u32, dry: Dry, bucket: &Bucket, admission: &Admission) -> Refusal {
    let (name, gives) = (admission.connection.name(), bucket.per_minute());
    match dry {
        Dry::For { ns } => {
            let hint = format!(
                "Try again in {} s; limits.statements of {name} is {gives} a minute.",
                ns.div_ceil(NS_PER_S)
            );
            Refusal {
                kind: RefusalKind::TooSoon,
                message: "the connection has made too many statements within a minute".into(),
                hint: Some(hint.into()),
            }
        }
        Dry::Forever => {
            let hint = format!("Split it, or have limits.statements of {name} raised.");
            let message = format!("the text has {count} statements, and {gives} may run a minute");
            Refusal {
                kind: RefusalKind::TooLarge,
                message: message.into(),
                hint: Some(hint.into()),
            }
        }
    }
}
