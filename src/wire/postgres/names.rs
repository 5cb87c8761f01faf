//! What the names of a session stand for: prepared statements, portals and cursors.
//!
//! A name is bound by a message that may still fail, so the answer to "what runs under this name"
//! is every binding that the server may hold when the question reaches it. Statements prepared by
//! message and by SQL share one space of names; so do portals and cursors.
//! Limit: names that code inside the server binds (a function that runs `PREPARE`) are not seen.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::limits::{JOINED_STATEMENTS_MAX, NAMED_TEXT_BYTES_MAX, NAMES_MAX};
use crate::model::facts::{Definition, Facts, Unknown};
use crate::wire::Column;

/// A name's bytes; the unnamed statement and portal have none.
pub type Name = Box<[u8]>;
type Map<V> = HashMap<Name, V, foldhash::fast::RandomState>;

/// A text and what is known of it.
#[derive(Clone)]
pub struct Prepared {
    pub text: Arc<[u8]>,
    pub facts: Arc<Facts>,
}

impl Prepared {
    /// Either of two: the newer text, and what one of them may do.
    fn or(&self, older: &Self) -> Self {
        if Arc::ptr_eq(&self.facts, &older.facts) {
            return self.clone();
        }
        let mut facts = self.facts.union(&older.facts);
        if facts.statements.len() > JOINED_STATEMENTS_MAX {
            let (effects, flags) = (facts.effects, facts.flags);
            facts = Facts::unknown(Unknown::UnseenName);
            facts.effects |= effects;
            facts.flags |= flags;
        }
        Self { text: self.text.clone(), facts: Arc::new(facts) }
    }
}

#[derive(Default)]
struct Meaning {
    /// By message, and confirmed.
    parsed: Option<Stamped>,
    /// By SQL that may have run.
    spoken: Option<Spoken>,
}

impl Meaning {
    fn text_bytes(&self) -> usize {
        let parsed = self.parsed.as_ref().map_or(0, |bound| bound.prepared.text.len());
        parsed + self.spoken.as_ref().map_or(0, |bound| bound.newest.text.len())
    }
}

struct Stamped {
    at: u64,
    prepared: Prepared,
}

struct Spoken {
    at: u64,
    /// Everything that the name may stand for through SQL, and the latest of it.
    joined: Prepared,
    newest: Prepared,
}

impl Spoken {
    fn join(older: Option<&Self>, newest: &Prepared, at: u64) -> Self {
        let joined = older.map_or_else(|| newest.clone(), |older| newest.or(&older.joined));
        Self { at, joined, newest: newest.clone() }
    }
}

/// A text whose only statement defines a name, so that its completion proves the definition.
struct Defining {
    sent_at: u64,
    spoken_at: u64,
    definition: Definition,
}

struct Parsing {
    name: Name,
    stamped: Stamped,
}

#[derive(Default)]
pub struct Names {
    statements: Map<Meaning>,
    /// Parse messages that have not been answered, oldest first.
    parsing: VecDeque<Parsing>,
    cursors: Map<Spoken>,
    /// Definitions that a completion tag would prove, oldest first.
    defining: VecDeque<Defining>,
    /// Bytes of text in `statements` and `parsing`.
    text_bytes: usize,
    /// Orders all bindings of the session.
    clock: u64,
    /// Bindings up to here belong to batches that a Sync has closed.
    batch_began: u64,
}

impl Names {
    /// The place of a new event in the session's order.
    pub fn stamp(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub fn batch_ended(&mut self) {
        self.batch_began = self.clock;
    }

    /// There is room for a text of so many bytes under this name. Unanswered ones come on top of
    /// `NAMES_MAX`; there are never more than `PENDING_MAX` of them.
    pub fn has_room(&self, name: &[u8], text_bytes: usize) -> bool {
        let is_known = || self.statements.contains_key(name);
        (self.statements.len() < NAMES_MAX || is_known())
            && self.text_bytes + text_bytes <= NAMED_TEXT_BYTES_MAX
    }

    pub fn parse(&mut self, name: Name, prepared: Prepared) {
        let at = self.stamp();
        self.text_bytes += prepared.text.len();
        self.parsing.push_back(Parsing { name, stamped: Stamped { at, prepared } });
    }

    /// The oldest unanswered Parse took effect. What SQL bound before it is gone, for a name can
    /// only be parsed when it is free.
    pub fn parse_completed(&mut self) {
        let Some(Parsing { name, stamped }) = self.parsing.pop_front() else { return };
        let meaning = self.statements.entry(name).or_default();
        self.text_bytes -= meaning.text_bytes();
        if meaning.spoken.as_ref().is_some_and(|spoken| spoken.at < stamped.at) {
            meaning.spoken = None;
        }
        let bytes = stamped.prepared.text.len();
        meaning.parsed = Some(stamped);
        self.text_bytes += meaning.text_bytes() - bytes;
    }

    /// The oldest unanswered Parse failed or was skipped.
    pub fn parse_failed(&mut self) {
        if let Some(parsing) = self.parsing.pop_front() {
            self.text_bytes -= parsing.stamped.prepared.text.len();
        }
    }

    /// A Close of a statement that was sent at `at` took effect.
    pub fn statement_closed(&mut self, name: &[u8], at: u64) {
        let Some(meaning) = self.statements.get_mut(name) else { return };
        self.text_bytes -= meaning.text_bytes();
        meaning.parsed = meaning.parsed.take().filter(|bound| bound.at >= at);
        meaning.spoken = meaning.spoken.take().filter(|bound| bound.at >= at);
        self.text_bytes += meaning.text_bytes();
        if meaning.parsed.is_none() && meaning.spoken.is_none() {
            self.statements.remove(name);
        }
    }

    pub fn cursor_closed(&mut self, name: &[u8], at: u64) {
        if self.cursors.get(name).is_some_and(|cursor| cursor.at < at) {
            self.cursors.remove(name);
        }
    }

    /// A completion tag said that everything bound before `at` is gone.
    pub fn forget_statements(&mut self, at: u64) {
        let names: Vec<Name> = self.statements.keys().cloned().collect();
        for name in names {
            self.statement_closed(&name, at);
        }
    }

    /// SQL that was sent at `sent_at` and binds names may run from now on: each may mean what it
    /// meant or the new text. Definitions in statements that the text runs by name count too.
    pub fn define(&mut self, prepared: &Prepared, sent_at: u64) {
        let mut visited: Vec<Box<str>> = Vec::new();
        let mut open = vec![prepared.clone()];
        while let Some(next) = open.pop() {
            for definition in &next.facts.definitions {
                let spoken_at = match definition {
                    Definition::Statement(name) => self.statement_spoken(name, &next),
                    Definition::Cursor(name) => self.cursor_spoken(name, &next),
                };
                let facts = &prepared.facts;
                if facts.statements.len() == 1 && facts.definitions.len() == 1 {
                    let definition = definition.clone();
                    self.defining.push_back(Defining { sent_at, spoken_at, definition });
                }
            }
            for name in &next.facts.executes {
                if !visited.contains(name) && visited.len() < JOINED_STATEMENTS_MAX {
                    visited.push(name.clone());
                    open.extend(self.every_meaning(name.as_bytes()));
                }
            }
        }
    }

    /// The text that was sent at `sent_at` completed as a definition. If it defined one name and
    /// did nothing else, the name means just this from then on.
    pub fn defined(&mut self, sent_at: u64) {
        while let Some(defining) = self.defining.pop_front_if(|next| next.sent_at <= sent_at) {
            if defining.sent_at < sent_at {
                continue;
            }
            match defining.definition {
                Definition::Statement(name) => {
                    let Some(meaning) = self.statements.get_mut(name.as_bytes()) else { continue };
                    self.text_bytes -= meaning.text_bytes();
                    settle(&mut meaning.spoken, defining.spoken_at);
                    let at = defining.spoken_at;
                    meaning.parsed = meaning.parsed.take().filter(|bound| bound.at > at);
                    self.text_bytes += meaning.text_bytes();
                }
                Definition::Cursor(name) => {
                    if let Some(cursor) = self.cursors.get_mut(name.as_bytes())
                        && cursor.at == defining.spoken_at
                    {
                        cursor.joined = cursor.newest.clone();
                    }
                }
            }
        }
    }

    fn statement_spoken(&mut self, name: &str, prepared: &Prepared) -> u64 {
        let at = self.stamp();
        let key = name.as_bytes();
        if !self.statements.contains_key(key) {
            self.make_room();
        }
        let meaning = self.statements.entry(key.into()).or_default();
        self.text_bytes -= meaning.text_bytes();
        meaning.spoken = Some(Spoken::join(meaning.spoken.as_ref(), prepared, at));
        self.text_bytes += meaning.text_bytes();
        at
    }

    fn cursor_spoken(&mut self, name: &str, prepared: &Prepared) -> u64 {
        let at = self.stamp();
        let key = name.as_bytes();
        if !self.cursors.contains_key(key) && self.cursors.len() >= NAMES_MAX {
            forget_oldest(&mut self.cursors, |cursor| cursor.at);
        }
        let spoken = Spoken::join(self.cursors.get(key), prepared, at);
        self.cursors.insert(key.into(), spoken);
        at
    }

    /// SQL cannot be refused for want of room once it may run; the oldest name goes, and counts as
    /// never seen.
    fn make_room(&mut self) {
        if self.statements.len() >= NAMES_MAX || self.text_bytes > NAMED_TEXT_BYTES_MAX {
            let gone = forget_oldest(&mut self.statements, |meaning| {
                let parsed = meaning.parsed.as_ref().map_or(0, |bound| bound.at);
                parsed.max(meaning.spoken.as_ref().map_or(0, |bound| bound.at))
            });
            self.text_bytes -= gone.map_or(0, |meaning| meaning.text_bytes());
        }
    }

    /// What a Bind of this name may run. Within a batch a failure skips the rest, so the latest
    /// Parse is the one; across a Sync each unanswered Parse may or may not have taken effect.
    pub fn statement(&self, name: &[u8]) -> Option<Prepared> {
        let latest = self.parsing.iter().rev().find(|parsing| &*parsing.name == name);
        let latest = latest.filter(|parsing| parsing.stamped.at > self.batch_began);
        let Some(latest) = latest else { return self.every_meaning(name) };
        let spoken = self.statements.get(name).and_then(|meaning| meaning.spoken.as_ref());
        match spoken.filter(|spoken| spoken.at > latest.stamped.at) {
            Some(spoken) => Some(spoken.joined.or(&latest.stamped.prepared)),
            None => Some(latest.stamped.prepared.clone()),
        }
    }

    pub fn cursor(&self, name: &[u8]) -> Option<Prepared> {
        self.cursors.get(name).map(|cursor| cursor.joined.clone())
    }

    /// What runs by a name that SQL or a Bind may have given last: SQL closes a portal as well, and
    /// declares another one in its place.
    pub fn cursor_or(&self, name: &[u8], portal: Option<Prepared>) -> Option<Prepared> {
        match (self.cursor(name), portal) {
            (Some(cursor), Some(portal)) => Some(cursor.or(&portal)),
            (cursor, portal) => cursor.or(portal),
        }
    }

    /// Everything that a statement's name may stand for.
    pub fn every_meaning(&self, name: &[u8]) -> Option<Prepared> {
        let settled = self.statements.get(name);
        let parsed = settled.and_then(|meaning| meaning.parsed.as_ref());
        let spoken = settled.and_then(|meaning| meaning.spoken.as_ref());
        let parsing = self.parsing.iter().filter(|parsing| &*parsing.name == name);
        parsed
            .map(|bound| &bound.prepared)
            .into_iter()
            .chain(spoken.map(|bound| &bound.joined))
            .chain(parsing.map(|parsing| &parsing.stamped.prepared))
            .fold(None, |joined: Option<Prepared>, prepared| match joined {
                Some(older) => Some(prepared.or(&older)),
                None => Some(prepared.clone()),
            })
    }

    /// Everything that SQL may run by this name, be it a statement or a cursor.
    pub fn facts(&self, name: &[u8]) -> Option<Arc<Facts>> {
        match (self.every_meaning(name), self.cursor(name)) {
            (Some(statement), Some(cursor)) => Some(cursor.or(&statement).facts),
            (Some(one), None) | (None, Some(one)) => Some(one.facts),
            (None, None) => None,
        }
    }
}

/// The binding of `at` is proved, and with it that all before it are gone.
fn settle(spoken: &mut Option<Spoken>, at: u64) {
    if let Some(spoken) = spoken
        && spoken.at == at
    {
        spoken.joined = spoken.newest.clone();
    }
}

fn forget_oldest<V>(map: &mut Map<V>, at: impl Fn(&V) -> u64) -> Option<V> {
    let name = map.iter().min_by_key(|(_, value)| at(value)).map(|(name, _)| name.clone())?;
    map.remove(&name)
}

/// A statement with its parameters, ready to run or running.
#[derive(Clone)]
pub struct Portal {
    pub number: u64,
    pub prepared: Prepared,
    /// As the target described it last.
    pub columns: Option<Arc<[Column]>>,
    /// What `Showing` counted when that was last asked for.
    pub asked_at: Option<u64>,
}

#[derive(Default)]
pub struct Portals {
    bound: Map<Portal>,
    /// Bind messages that have not been answered, oldest first.
    binding: VecDeque<(Name, Portal)>,
}

impl Portals {
    pub fn bind(&mut self, name: Name, portal: Portal) {
        self.binding.push_back((name, portal));
    }

    /// The oldest unanswered Bind took effect. Returns the portal that it replaced.
    pub fn bind_completed(&mut self) -> Option<Portal> {
        let (name, portal) = self.binding.pop_front()?;
        self.bound.insert(name, portal)
    }

    /// The oldest unanswered Bind failed or was skipped.
    pub fn bind_failed(&mut self) -> Option<Portal> {
        self.binding.pop_front().map(|(_, portal)| portal)
    }

    /// The exchange of the oldest unanswered Bind.
    pub fn binding(&self) -> Option<u64> {
        self.binding.front().map(|(_, portal)| portal.number)
    }

    pub fn has_room(&self) -> bool {
        self.bound.len() < NAMES_MAX
    }

    pub fn find(&self, name: &[u8]) -> Option<&Portal> {
        let binding = self.binding.iter().rev().find(|(bound, _)| &**bound == name);
        binding.map(|(_, portal)| portal).or_else(|| self.bound.get(name))
    }

    /// The portal that a message sent now would mean, to take note of what is asked about it.
    pub fn latest_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        let binding = self.binding.iter_mut().rev().find(|(bound, _)| &**bound == name);
        match binding {
            Some((_, portal)) => Some(portal),
            None => self.bound.get_mut(name),
        }
    }

    /// The portal that an answer coming now means.
    pub fn bound_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        self.bound.get_mut(name)
    }

    pub fn close(&mut self, name: &[u8]) -> Option<Portal> {
        self.bound.remove(name)
    }

    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// The transaction is over, and its portals with it.
    pub fn drain(&mut self) -> Vec<Portal> {
        let mut portals: Vec<Portal> = self.bound.drain().map(|(_, portal)| portal).collect();
        portals.sort_by_key(|portal| portal.number);
        portals
    }
}
