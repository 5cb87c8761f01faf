//! What was recorded, as far as it can be judged again. Knows recordings and the classifier; no
//! policy. A text is read alone, as in a new session: where that may differ from how it was read
//! when it ran, it counts as doubtful and is never guessed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::cli::screen::{CommandError, rfc3339};
use crate::judge::Classifier;
use crate::limits::PAST_TEXT_BYTES_MAX;
use crate::model::command::{Language, Lexing};
use crate::model::facts::Facts;
use crate::model::session::{Exchange, SessionId};
use crate::model::verdict::{BUILT_IN, PROTOCOL, TOO_SOON};
use crate::record::SessionStart;
use crate::record::reader::{Entry, EntryKind, Wanted, find_session, read};
use crate::wire;

/// Which statements are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// Beginning or end of a session's id.
    pub session: Option<&'a str>,
    /// `account@target`.
    pub connection: Option<&'a str>,
    pub since_unix_ns: u64,
}

/// One statement that was recorded.
pub struct Past<'e> {
    pub session: SessionId,
    /// Missing where the recording does not reach back so far.
    pub start: Option<&'e SessionStart>,
    pub connection: &'e str,
    pub exchange: &'e Exchange,
    pub unix_ns: u64,
    /// What it does, and how its session began.
    pub facts: Result<(Arc<Facts>, &'e SessionStart), Doubt>,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    pub sessions: u64,
    pub statements: u64,
    /// Places where the recording is damaged or says that something is lost.
    pub gaps: u64,
}

/// Why a statement cannot be judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Doubt {
    #[error("the start of its session is not recorded")]
    NoStart,
    #[error("the record holds only the beginning of its text")]
    Cut,
    #[error("its text was not valid UTF-8, and the record holds it otherwise than it was sent")]
    Altered,
    #[error("it runs what its session had prepared under a name")]
    Name,
    #[error("it was read otherwise when it ran: its session had set or prepared something")]
    State,
    #[error("the protocol refuses it, whatever the policy")]
    Protocol,
    #[error("it came too soon after others, and was not judged")]
    TooSoon,
    #[error("its connection is not in the configuration")]
    NoConnection,
    #[error("its target is not in the configuration")]
    NoTarget,
}

/// How often, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub count: u64,
    #[serde(serialize_with = "moment")]
    pub first: u64,
    #[serde(serialize_with = "moment")]
    pub last: u64,
}

/// Shows the chosen statements of the recordings in `dir`, in the order in which they ended.
pub fn visit(
    dir: &Path,
    choice: Choice<'_>,
    see: &mut dyn FnMut(Past<'_>),
) -> Result<Reach, CommandError> {
    let wanted = match choice.session {
        Some(session) => Wanted::Session(find_session(dir, session)?),
        None => Wanted::All,
    };
    let mut reach = Reach::default();
    let mut classifier = Classifier::new();
    let mut sessions: HashMap<SessionId, Known> = HashMap::new();
    read(dir, wanted, &mut |entry: Entry<'_>| {
        match entry.kind {
            EntryKind::Start(start) => {
                sessions.insert(entry.session, Known { start: Some(start), ..Known::default() });
            }
            EntryKind::End(_) => drop(sessions.remove(&entry.session)),
            EntryKind::Exchange(exchange) if entry.unix_ns >= choice.since_unix_ns => {
                let connection = format!("{}@{}", entry.account, entry.target);
                if choice.connection.is_some_and(|chosen| chosen != connection) {
                    return ControlFlow::Continue(());
                }
                let known = sessions.entry(entry.session).or_default();
                reach.sessions += u64::from(!std::mem::replace(&mut known.seen, true));
                reach.statements += 1;
                let start = known.start.as_deref();
                let read = start.ok_or(Doubt::NoStart).and_then(|start| {
                    let language = wire::language(start.protocol);
                    let facts = facts(&mut classifier, language, &exchange, &mut known.matched)?;
                    Ok((facts, start))
                });
                see(Past {
                    session: entry.session,
                    start,
                    facts: read,
                    connection: &connection,
                    exchange: &exchange,
                    unix_ns: entry.unix_ns,
                });
            }
            EntryKind::Lost(_) | EntryKind::LostElsewhere(_) | EntryKind::Damaged { .. } => {
                reach.gaps += 1;
            }
            EntryKind::Exchange(_)
            | EntryKind::Run { .. }
            | EntryKind::Recovered(_)
            | EntryKind::ClockStep(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(reach)
}

#[derive(Default)]
struct Known {
    start: Option<Box<SessionStart>>,
    seen: bool,
    /// A text of the session has the fingerprint that it had when it ran.
    matched: bool,
}

impl Past<'_> {
    /// As much of the text as is kept to be shown.
    pub fn sample(&self) -> String {
        let text = &self.exchange.text;
        let end = text.floor_char_boundary(PAST_TEXT_BYTES_MAX);
        text.get(..end).unwrap_or_default().to_owned()
    }

    pub const fn seen(&self) -> Seen {
        Seen { count: 1, first: self.unix_ns, last: self.unix_ns }
    }
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn facts(
    classifier: &mut Classifier,
    language: Language,
    exchange: &Exchange,
    matched: &mut bool,
) -> Result<Arc<Facts>, Doubt> {
    match exchange.rule.split_once('/') {
        Some((BUILT_IN, PROTOCOL)) => return Err(Doubt::Protocol),
        Some((BUILT_IN, TOO_SOON)) => return Err(Doubt::TooSoon),
        Some(_) | None => {}
    }
    let kept = exchange.text.len() as u64;
    if exchange.text_bytes > kept {
        return Err(Doubt::Cut);
    }
    if exchange.text_bytes < kept {
        return Err(Doubt::Altered);
    }
    let facts = classifier.facts(language, Lexing::default(), exchange.text.as_bytes());
    if !facts.executes.is_empty() {
        return Err(Doubt::Name);
    }
    // Under other settings a text is unknown; under a name that may stand for one of two, it is what
    // either of them does, and has a fingerprint of its own. A session is read by one version of the
    // classifier: if none of its fingerprints fit, it was another one, and they tell nothing.
    let fits = exchange.fingerprint == facts.fingerprint;
    *matched |= fits;
    let does = |word: &String| facts.effects.names().any(|it| it == word);
    if !exchange.effects.iter().all(does) || (!fits && *matched) {
        return Err(Doubt::State);
    }
    Ok(facts)
}

fn moment<S: Serializer>(unix_ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*unix_ns))
}

#[cfg(test)]
pub(in crate::cli) mod tests;
