//! The queue of answers that the target owes, in the order in which they must come.

use std::collections::VecDeque;

use crate::limits::PENDING_MAX;
use crate::wire::postgres::names::Name;
use crate::wire::postgres::reply::Words;

/// One message that the target has yet to answer, by what the answer looks like.
pub enum Expected {
    /// Anything that commands answer, then ReadyForQuery; `answered` once one command completed.
    Query {
        number: u64,
        at: u64,
        answered: bool,
    },
    /// ParseComplete. What was parsed waits in `Names`, in the same order.
    Parse,
    /// BindComplete. What was bound waits in `Portals`, in the same order.
    Bind,
    /// ParameterDescription, then RowDescription or NoData.
    DescribeStatement {
        described: bool,
    },
    /// RowDescription or NoData.
    DescribePortal {
        portal: Name,
        number: Option<u64>,
        /// Whether the bot asked, or we did.
        asked_by: Asker,
    },
    /// Rows or copied bytes, then a completion. The exchange is that of the portal's Bind, and
    /// lives on while rows are left, or one of its own.
    Execute {
        number: u64,
        at: u64,
        of_bind: bool,
        portal: Name,
    },
    /// CloseComplete.
    CloseStatement {
        name: Name,
        at: u64,
    },
    ClosePortal {
        name: Name,
        at: u64,
    },
    /// ReadyForQuery.
    Sync,
    /// An error, which the refusal's words replace.
    Poison {
        scope: Scope,
        number: u64,
        words: Words,
    },
    /// ReadyForQuery behind a poisoned simple query.
    Ready,
    /// An error that makes a transaction fail. The bot has been told already, and not of this one.
    Undo {
        scope: Scope,
    },
    /// Nothing: the bot ended a copy that the target may have begun. Marks the place for telling
    /// which messages in front of it the target read as part of the copy.
    CopyEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Bot,
    /// The answer is not for the bot.
    Narrows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The error is followed by ReadyForQuery.
    Simple,
    /// The error makes the target skip everything up to a Sync.
    Extended,
}

#[derive(Default)]
pub struct Pending {
    queue: VecDeque<Expected>,
}

impl Pending {
    pub fn push(&mut self, expected: Expected) {
        self.queue.push_back(expected);
    }

    /// The head has been answered in part; this is left of it.
    pub fn push_front(&mut self, expected: Expected) {
        self.queue.push_front(expected);
    }

    /// What the target answers next.
    pub fn head(&mut self) -> Option<&mut Expected> {
        while let Some(Expected::CopyEnd) = self.queue.front() {
            self.queue.pop_front();
        }
        self.queue.front_mut()
    }

    pub fn pop(&mut self) -> Option<Expected> {
        self.head()?;
        self.queue.pop_front()
    }

    /// Takes the next entry that an error makes the target skip; `None` at a Sync or at the end.
    pub fn pop_skipped(&mut self) -> Option<Expected> {
        if matches!(self.head()?, Expected::Sync) {
            return None;
        }
        self.queue.pop_front()
    }

    /// What comes behind the first entry is refused.
    pub fn refuses_next(&self) -> bool {
        matches!(self.queue.get(1), Some(Expected::Poison { .. }))
    }

    pub fn is_full(&self) -> bool {
        self.queue.len() >= PENDING_MAX
    }

    /// Nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.queue.iter().all(|expected| matches!(expected, Expected::CopyEnd))
    }

    /// Nothing that the target was sent belongs to a batch behind the one at hand.
    pub fn is_last_batch(&self) -> bool {
        let ends_batch =
            |expected: &Expected| matches!(expected, Expected::Query { .. } | Expected::Sync);
        !self.queue.iter().rev().skip(1).any(ends_batch)
    }

    pub fn has_sync(&self) -> bool {
        self.queue.iter().any(|expected| matches!(expected, Expected::Sync))
    }

    /// A command that may have begun a copy has not completed.
    pub fn may_copy(&self) -> bool {
        self.queue
            .iter()
            .rev()
            .any(|expected| matches!(expected, Expected::Query { .. } | Expected::Execute { .. }))
    }

    /// The target began to take a copy for its first command. It reads what was sent behind that
    /// command as part of the copy, where Sync means nothing.
    pub fn copy_began(&mut self) -> CopyBegan {
        let mut ignored_syncs = 0;
        loop {
            match self.queue.get(1) {
                Some(Expected::Sync) => {
                    self.queue.remove(1);
                    ignored_syncs += 1;
                }
                Some(Expected::CopyEnd) => {
                    self.queue.remove(1);
                    return CopyBegan { ignored_syncs, open: false };
                }
                Some(_) => return CopyBegan { ignored_syncs, open: false },
                None => return CopyBegan { ignored_syncs, open: true },
            }
        }
    }
}

pub struct CopyBegan {
    pub ignored_syncs: u32,
    /// The bot has not ended the copy yet.
    pub open: bool,
}
