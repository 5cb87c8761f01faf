//! News of requests that wait to be sent, beside the requests and written with them: what has
//! changed is told even if the process dies in between. Knows when a message is due; not how it
//! travels.
//!
//! ```text
//! due -> (taken: due later) -> gone, or `sent` where it asked for a decision
//!                           -> due again, or `lost` when its time is up
//! ```

use std::sync::Arc;

use rusqlite::params;

use crate::control::api::{ApprovalLine, ApprovalState};
use crate::control::approvals::store::{Store, StoreError};
use crate::limits::{NEWS_DUE_MAX, NEWS_KEPT_MS, NEWS_LATE_MS};

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Created,
    Decided,
    Used,
    Expired,
    Cancelled,
}

impl News {
    /// What a change of state amounts to, for those who look on.
    pub const fn of(from: ApprovalState, to: ApprovalState) -> Option<Self> {
        use ApprovalState::{Approved, Cancelled, Expired, Pending, Rejected, Used};
        match (from, to) {
            (Pending, Approved | Rejected) => Some(Self::Decided),
            (Approved, Used) => Some(Self::Used),
            (_, Expired) => Some(Self::Expired),
            (_, Cancelled) => Some(Self::Cancelled),
            (Pending | Approved | Used | Rejected | Expired | Cancelled, _) => None,
        }
    }

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "approval.created",
            Self::Decided => "approval.decided",
            Self::Used => "approval.used",
            Self::Expired => "approval.expired",
            Self::Cancelled => "approval.cancelled",
        }
    }
}

/// A message that is due.
#[derive(Clone, Debug)]
pub struct Due {
    /// The same however often it is tried.
    pub id: String,
    pub notifier: Arc<str>,
    /// Of the request that it is about.
    pub request: String,
    pub is_question: bool,
    /// JSON.
    pub body: String,
    /// How often it was tried before.
    pub attempts: u32,
    /// Nobody needs it afterwards.
    pub until_ms: u64,
}

impl Store {
    pub(super) fn post(
        &self,
        news: News,
        line: &ApprovalLine,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        // A question ends with its request; an answer may come a little later.
        let until_ms = match news {
            News::Created => line.expires_unix_ms,
            News::Decided | News::Used | News::Expired | News::Cancelled => {
                line.expires_unix_ms.max(now_ms + NEWS_LATE_MS)
            }
        };
        let moment =
            jiff::Timestamp::from_millisecond(now_ms as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let body = serde_json::json!({
            "type": news.word(), "timestamp": moment.to_string(), "data": line,
        });
        let body = body.to_string();
        for notifier in &self.notifiers {
            let waiting: i64 = self.db.query_row(
                "SELECT count(*) FROM outbox WHERE notifier = ?1 AND state = 'due'",
                [&**notifier],
                |row| row.get(0),
            )?;
            // It is given up at once, and that is known.
            let until_ms = if waiting >= NEWS_DUE_MAX { now_ms } else { until_ms };
            self.db.execute(
                "INSERT INTO outbox (id, notifier, request, question, state, due_ms, until_ms, \
                 attempts, body) VALUES (?1, ?2, ?3, ?4, 'due', ?5, ?6, 0, ?7)",
                params![
                    format!("msg_{}", uuid::Uuid::now_v7().simple()),
                    &**notifier,
                    line.id,
                    news == News::Created,
                    now_ms as i64,
                    until_ms as i64,
                    body,
                ],
            )?;
        }
        Ok(())
    }

    /// Takes messages that are due, of each notifier at most as many as `room` has for it. They are
    /// due again at `again_ms`, should nothing be heard of them.
    pub fn take(
        &self,
        now_ms: u64,
        again_ms: u64,
        room: impl Fn(&str) -> usize,
    ) -> Result<Vec<Due>, StoreError> {
        let mut names = self
            .db
            .prepare("SELECT DISTINCT notifier FROM outbox WHERE state = 'due' AND due_ms <= ?1")?;
        let names: Vec<String> =
            names.query_map([now_ms as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut taken = Vec::new();
        for name in names {
            let mut query = self.db.prepare(
                "SELECT id, request, question, until_ms, attempts, body FROM outbox \
                 WHERE notifier = ?1 AND state = 'due' AND due_ms <= ?2 ORDER BY due_ms, id LIMIT ?3",
            )?;
            let notifier: Arc<str> = name.as_str().into();
            let rows =
                query.query_map(params![name, now_ms as i64, room(&name) as i64], |row| {
                    Ok(Due {
                        id: row.get(0)?,
                        notifier: Arc::clone(&notifier),
                        request: row.get(1)?,
                        is_question: row.get(2)?,
                        until_ms: row.get::<_, i64>(3)? as u64,
                        attempts: row.get(4)?,
                        body: row.get(5)?,
                    })
                })?;
            for due in rows {
                taken.push(due?);
            }
        }
        for due in &taken {
            self.db.execute(
                "UPDATE outbox SET due_ms = ?2 WHERE id = ?1",
                params![due.id, again_ms as i64],
            )?;
        }
        Ok(taken)
    }

    /// The message has arrived.
    pub fn sent(&self, due: &Due) -> Result<(), StoreError> {
        self.close(due, "sent")
    }

    /// The message is tried again at `due_ms`.
    pub fn postpone(&self, due: &Due, due_ms: u64) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE outbox SET due_ms = ?2, attempts = attempts + 1 WHERE id = ?1",
            params![due.id, due_ms as i64],
        )?;
        Ok(())
    }

    /// The message will not arrive. True if nobody has heard of its request and nobody will.
    pub fn lose(&self, due: &Due) -> Result<bool, StoreError> {
        self.close(due, "lost")?;
        let others: i64 = self.db.query_row(
            "SELECT count(*) FROM outbox WHERE request = ?1 AND question AND state <> 'lost'",
            [&due.request],
            |row| row.get(0),
        )?;
        Ok(due.is_question && others == 0)
    }

    /// When the next message is due.
    pub fn next_due_ms(&self) -> Result<Option<u64>, StoreError> {
        let next: Option<i64> =
            self.db.query_row("SELECT min(due_ms) FROM outbox WHERE state = 'due'", [], |row| {
                row.get(0)
            })?;
        Ok(next.map(|ms| ms as u64))
    }

    /// Forgets what became of questions that nobody asks any longer.
    pub fn forget_news(&self, now_ms: u64) -> Result<(), StoreError> {
        self.db.execute(
            "DELETE FROM outbox WHERE state <> 'due' AND until_ms < ?1",
            [now_ms.saturating_sub(NEWS_KEPT_MS) as i64],
        )?;
        Ok(())
    }

    /// What became of a question is kept, so that it shows whether anybody has heard it.
    fn close(&self, due: &Due, state: &str) -> Result<(), StoreError> {
        if due.is_question {
            self.db.execute(
                "UPDATE outbox SET state = ?2, body = '' WHERE id = ?1",
                params![due.id, state],
            )?;
        } else {
            self.db.execute("DELETE FROM outbox WHERE id = ?1", [&due.id])?;
        }
        Ok(())
    }
}

pub const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        id       TEXT PRIMARY KEY,
        notifier TEXT NOT NULL,
        request  TEXT NOT NULL,
        question INTEGER NOT NULL,
        state    TEXT NOT NULL,
        due_ms   INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        body     TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS outbox_due ON outbox (state, notifier, due_ms);
    CREATE INDEX IF NOT EXISTS outbox_request ON outbox (request);
";
