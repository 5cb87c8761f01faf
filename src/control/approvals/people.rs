//! Who decides: humans as the kernel or a token tells, and what each of them may see and decide.
//! Knows groups and names; not what becomes of a vote.

use std::collections::BTreeMap;

use crate::control::api::{ApprovalLine, VoteLine};
use crate::control::approvals::Undecided;
use crate::identity::{Bearer, Gate, Group, Rejection};
use crate::model::approval::Reviewer;
use crate::model::identity::ClaimValue;
use crate::model::time::Now;

/// A human who asks.
#[derive(Clone, Debug)]
pub struct Human {
    /// As records and refusals name them.
    pub name: String,
    pub known: Known,
    /// The gateway's own user, or root.
    pub operates: bool,
}

/// How we know who it is.
#[derive(Clone, Debug)]
pub enum Known {
    /// By the kernel, at the admin socket.
    Local { uid: u32 },
    /// By a token, at the admin address.
    Bearer(Bearer),
}

/// Who may decide at all. Replaced whole on reload.
#[derive(Default)]
pub struct People {
    groups: Vec<Group>,
    /// Judges tokens. Without it nobody comes by a token.
    gate: Option<Gate>,
}

impl Human {
    #[must_use]
    pub const fn local(uid: u32, name: String, operates: bool) -> Self {
        Self { name, known: Known::Local { uid }, operates }
    }

    /// Named by issuer and subject, which are unique, and by what people call them, which is not.
    #[must_use]
    pub fn bearer(bearer: Bearer) -> Self {
        let unique = format!("{}/{}", bearer.issuer, plain(&bearer.subject));
        let called = CALLED.iter().find_map(|claim| text_of(bearer.claims.get(*claim)?));
        let name = match called {
            Some(called) if called != &*bearer.subject => format!("{unique} ({})", plain(called)),
            Some(_) | None => unique,
        };
        Self { name, known: Known::Bearer(bearer), operates: false }
    }

    #[must_use]
    pub fn vote(&self, approve: bool, unix_ms: u64) -> VoteLine {
        let by = self.name.clone();
        match &self.known {
            Known::Local { uid } => {
                VoteLine { by, uid: Some(*uid), issuer: None, subject: None, approve, unix_ms }
            }
            Known::Bearer(bearer) => VoteLine {
                by,
                uid: None,
                issuer: Some(bearer.issuer.to_string()),
                subject: Some(bearer.subject.to_string()),
                approve,
                unix_ms,
            },
        }
    }

    fn is_voter(&self, vote: &VoteLine) -> bool {
        match &self.known {
            Known::Local { uid } => vote.uid == Some(*uid),
            Known::Bearer(bearer) => {
                vote.issuer.as_deref() == Some(&*bearer.issuer)
                    && vote.subject.as_deref() == Some(&*bearer.subject)
            }
        }
    }

    /// Everything that a bot's token could call this human.
    fn names(&self) -> Vec<&str> {
        match &self.known {
            Known::Local { .. } => vec![&self.name],
            Known::Bearer(bearer) => CALLED
                .iter()
                .filter_map(|claim| text_of(bearer.claims.get(*claim)?))
                .chain([&*bearer.subject])
                .collect(),
        }
    }
}

impl People {
    #[must_use]
    pub const fn new(groups: Vec<Group>, gate: Option<Gate>) -> Self {
        Self { groups, gate }
    }

    /// The human whom a token names. Whether they may decide is another question.
    pub fn identify(&self, token: &[u8], now: Now) -> Result<Human, Rejection> {
        let gate = self.gate.as_ref().ok_or(Rejection::IssuerUnknown)?;
        gate.identify(token, now).map(Human::bearer)
    }

    /// Whether this human may ask for requests at all.
    #[must_use]
    pub fn is_reviewer(&self, human: &Human) -> bool {
        human.operates || self.groups.iter().any(|group| belongs(group, human))
    }

    /// Whether this human may look at the request: the operator, and who is named by it.
    #[must_use]
    pub fn may_see(&self, line: &ApprovalLine, human: &Human) -> bool {
        human.operates || self.is_named(line, human)
    }

    /// Who may decide: a reviewer, or the operator where none is named; never whoever the bot works
    /// for, root neither; and nobody twice.
    pub fn admit(&self, line: &ApprovalLine, human: &Human) -> Result<(), Undecided> {
        let name = || human.name.clone();
        let entitled = self.is_named(line, human) || (line.reviewers.is_empty() && human.operates);
        if !entitled {
            return Err(Undecided::NotAReviewer { name: name() });
        }
        if stands_behind(line, human) {
            return Err(Undecided::OwnRequest { name: name() });
        }
        Ok(())
    }

    fn is_named(&self, line: &ApprovalLine, human: &Human) -> bool {
        line.reviewers.iter().any(|reviewer| match reviewer {
            Reviewer::User(user) => is_user(user, human),
            Reviewer::Group(name) => {
                self.groups.iter().any(|one| *one.name == **name && belongs(one, human))
            }
        })
    }
}

/// Whether this human's approval is among the votes.
#[must_use]
pub fn has_voted(line: &ApprovalLine, human: &Human) -> bool {
    line.votes.iter().any(|vote| human.is_voter(vote))
}

/// How many humans have approved, for certain. The same human may be a local user and bear a token
/// of each issuer, and nothing tells; so what counts is the directory with the most of them.
#[must_use]
pub fn approvals(votes: &[VoteLine]) -> usize {
    let mut directories: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| vote.approve) {
        // Nobody is in twice: see `has_voted`.
        *directories.entry(vote.issuer.as_deref()).or_default() += 1;
    }
    directories.into_values().max().unwrap_or(0)
}

/// Whether the bot does this human's work, as far as names tell: in full, or what stands before the
/// `@` of one that is an address.
fn stands_behind(line: &ApprovalLine, human: &Human) -> bool {
    let same = |one: &str, other: &str| {
        one.eq_ignore_ascii_case(other) || local_part(one).eq_ignore_ascii_case(local_part(other))
    };
    let names = human.names();
    let is_human = |text: &String| names.iter().any(|name| same(name, text));
    let named =
        BEHIND.iter().filter_map(|claim| line.claims.get(*claim)).any(|value| match value {
            ClaimValue::Text(text) => is_human(text),
            ClaimValue::List(list) => list.iter().any(is_human),
        });
    let is_bearer = match &human.known {
        Known::Local { .. } => false,
        Known::Bearer(bearer) => {
            *line.subject == *bearer.subject && line.claims.get("iss") == bearer.claims.get("iss")
        }
    };
    named || is_bearer
}

fn local_part(name: &str) -> &str {
    name.split_once('@').map_or(name, |(local, _)| local)
}

fn belongs(group: &Group, human: &Human) -> bool {
    match &human.known {
        Known::Local { .. } => group.users.iter().any(|user| is_user(user, human)),
        Known::Bearer(bearer) => group.has_bearer(&bearer.issuer, &bearer.claims),
    }
}

/// A local user by name or number; no token makes anybody one.
fn is_user(user: &str, human: &Human) -> bool {
    match &human.known {
        Known::Local { uid } => user == human.name || user.parse() == Ok(*uid),
        Known::Bearer(_) => false,
    }
}

fn text_of(value: &ClaimValue) -> Option<&str> {
    match value {
        ClaimValue::Text(text) => Some(text),
        ClaimValue::List(_) => None,
    }
}

/// Short and on one line, whatever an issuer lets its people call themselves.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(NAME_CHARACTERS_MAX).map(shown).collect()
}

/// Claims by which a human goes.
const CALLED: [&str; 4] = ["email", "preferred_username", "login", "nickname"];
/// Claims that name the human whose work a bot does.
const BEHIND: [&str; 4] = ["actor", "triggering_actor", "user_login", "user_email"];
/// Of a name in records.
const NAME_CHARACTERS_MAX: usize = 100;
