//! Requests for approval on disk (SQLite). Knows states and votes and changes them in transactions;
//! not who waits for them.
//!
//! ```text
//! pending -> approved -> used        by votes, then by the command that runs
//! pending -> rejected                by one vote
//! pending -> cancelled | expired     by the bot, by time
//! approved -> expired                by time
//! ```

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::control::api::{ApprovalLine, ApprovalState, VoteLine};
use crate::control::approvals::outbox::{self, News};
use crate::limits::{APPROVALS_KEPT_MAX, APPROVALS_KEPT_MS, APPROVALS_LISTED_MAX};
use crate::model::approval::{ApprovalId, HoldRequest};
use crate::model::hex::hex;
use crate::model::time::NS_PER_MS;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot create {}", path.display())]
    Create { path: std::path::PathBuf, source: std::io::Error },
    #[error("the state store")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a request cannot be rendered")]
    Render(#[from] serde_json::Error),
}

/// Which requests are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub state: Option<ApprovalState>,
    /// Older than this one.
    pub before: Option<ApprovalId>,
    pub limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { state: None, before: None, limit: APPROVALS_LISTED_MAX }
    }
}

pub struct Store {
    pub(super) db: Connection,
    /// Who hears of changes.
    pub(super) notifiers: Vec<Arc<str>>,
}

impl Store {
    /// Opens the file, made readable for its owner alone.
    pub fn open(path: &Path, now_ms: u64) -> Result<Self, StoreError> {
        let created = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| StoreError::Create { path: path.to_owned(), source });
        drop(created?);
        let db = Connection::open(path)?;
        db.execute_batch(SCHEMA)?;
        db.execute_batch(outbox::SCHEMA)?;
        // Whoever took messages is gone.
        db.execute("UPDATE outbox SET due_ms = 0 WHERE state = 'due'", [])?;
        let store = Self { db, notifiers: Vec::new() };
        store.shorten(now_ms)?;
        Ok(store)
    }

    /// Nothing stands longer than it was promised to, counted from now: the wall clock may have been
    /// set back while nobody looked.
    fn shorten(&self, now_ms: u64) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE request SET expires_ms = ?1 + (line ->> 'stands_ms'), \
             line = json_set(line, '$.expires_unix_ms', ?1 + (line ->> 'stands_ms')) \
             WHERE state IN ('pending', 'approved') AND expires_ms > ?1 + (line ->> 'stands_ms')",
            [now_ms as i64],
        )?;
        Ok(())
    }

    pub fn insert(&self, request: &HoldRequest, now_ms: u64) -> Result<(), StoreError> {
        let line = line_of(request, now_ms);
        let both = self.db.unchecked_transaction()?;
        self.db.execute(
            "INSERT INTO request (id, digest, account, state, expires_ms, line) \
             VALUES (?1, ?2, ?3, 'pending', ?4, ?5)",
            params![
                line.id,
                &request.digest[..],
                line.account,
                line.expires_unix_ms as i64,
                serde_json::to_string(&line)?
            ],
        )?;
        self.post(News::Created, &line, now_ms)?;
        both.commit()?;
        Ok(())
    }

    pub fn get(&self, id: ApprovalId) -> Result<Option<ApprovalLine>, StoreError> {
        let mut query = self.db.prepare("SELECT line FROM request WHERE id = ?1")?;
        let text: Option<String> = query.query_row([id.to_string()], first).optional()?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// The newest request with this digest.
    pub fn newest(&self, digest: &[u8; 32]) -> Result<Option<ApprovalLine>, StoreError> {
        let mut query = self
            .db
            .prepare("SELECT line FROM request WHERE digest = ?1 ORDER BY id DESC LIMIT 1")?;
        let text: Option<String> = query.query_row([&digest[..]], first).optional()?;
        Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// How many wait: of one account, and in all.
    pub fn pending(&self, account: &str) -> Result<(u64, u64), StoreError> {
        let mut query = self.db.prepare(
            "SELECT count(*) FILTER (WHERE account = ?1), count(*) FROM request \
             WHERE state = 'pending'",
        )?;
        let counts: (i64, i64) =
            query.query_row([account], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((counts.0 as u64, counts.1 as u64))
    }

    /// Writes a request's new state, and the news of it. `false` if it has left the state that it had.
    pub fn change(
        &self,
        line: &ApprovalLine,
        from: ApprovalState,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let both = self.db.unchecked_transaction()?;
        let changed = self.db.execute(
            "UPDATE request SET state = ?2, expires_ms = ?3, line = ?4 WHERE id = ?1 AND state = ?5",
            params![
                line.id,
                line.state.word(),
                line.expires_unix_ms as i64,
                serde_json::to_string(line)?,
                from.word()
            ],
        )? == 1;
        if changed && let Some(news) = News::of(from, line.state) {
            self.post(news, line, now_ms)?;
        }
        both.commit()?;
        Ok(changed)
    }

    /// Adds what a reviewer of a request that waits should know.
    pub fn annotate(&self, line: &ApprovalLine) -> Result<(), StoreError> {
        self.db.execute(
            "UPDATE request SET line = ?2 WHERE id = ?1 AND state = 'pending'",
            params![line.id, serde_json::to_string(line)?],
        )?;
        Ok(())
    }

    /// Ends what nobody decided or used in time; their numbers.
    pub fn expire(&self, now_ms: u64) -> Result<Vec<ApprovalLine>, StoreError> {
        let mut query = self.db.prepare(
            "SELECT line FROM request WHERE state IN ('pending', 'approved') AND expires_ms <= ?1",
        )?;
        let texts: Vec<String> =
            query.query_map([now_ms as i64], first)?.collect::<Result<_, _>>()?;
        let mut expired = Vec::new();
        for text in texts {
            let mut line: ApprovalLine = serde_json::from_str(&text)?;
            let from = line.state;
            line.state = ApprovalState::Expired;
            if self.change(&line, from, now_ms)? {
                expired.push(line);
            }
        }
        Ok(expired)
    }

    /// Deletes what has long been over, and the oldest of what is over where there is too much.
    pub fn forget(&self, now_ms: u64) -> Result<(), StoreError> {
        // A number begins with its time.
        let old = format!("apr_{:012x}", now_ms.saturating_sub(APPROVALS_KEPT_MS));
        self.db.execute(
            "DELETE FROM request WHERE state NOT IN ('pending', 'approved') AND expires_ms < ?3 \
             AND (id < ?1 OR id < (SELECT id FROM request ORDER BY id DESC LIMIT 1 OFFSET ?2))",
            params![old, APPROVALS_KEPT_MAX as i64, now_ms as i64],
        )?;
        Ok(())
    }

    /// The newest first, as far as `visible` lets them be.
    pub fn list(
        &self,
        page: &Page,
        visible: impl Fn(&ApprovalLine) -> bool,
    ) -> Result<Vec<ApprovalLine>, StoreError> {
        // Numbers sort by time.
        let mut query = self.db.prepare(
            "SELECT line FROM request WHERE id < ?1 AND (?2 IS NULL OR state = ?2) \
             ORDER BY id DESC",
        )?;
        let before = page.before.map_or_else(|| "b".to_owned(), |id| id.to_string());
        let texts = query.query_map(params![before, page.state.map(ApprovalState::word)], first)?;
        let mut lines = Vec::new();
        for text in texts {
            let line: ApprovalLine = serde_json::from_str(&text?)?;
            if visible(&line) {
                lines.push(line);
            }
            if lines.len() >= page.limit {
                break;
            }
        }
        Ok(lines)
    }
}

fn first(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn line_of(request: &HoldRequest, now_ms: u64) -> ApprovalLine {
    ApprovalLine {
        id: request.id.to_string(),
        state: ApprovalState::Pending,
        hash: hex(&request.digest),
        account: request.principal.account.to_string(),
        subject: request.principal.subject.to_string(),
        claims: (*request.principal.claims).clone(),
        target: request.target.to_string(),
        database: request.database.to_string(),
        peer: request.peer,
        session: request.session.to_string(),
        exchange: request.exchange,
        rule: request.rule.clone(),
        effects: request.effects.iter().map(|effect| (*effect).to_owned()).collect(),
        text: String::from_utf8_lossy(&request.text).into_owned(),
        parameters: request.parameters.clone(),
        in_transaction: request.in_transaction,
        reviewers: request.terms.reviewers.to_vec(),
        quorum: request.terms.quorum,
        created_unix_ms: request.unix_ns / NS_PER_MS,
        expires_unix_ms: now_ms + request.terms.stands_ms,
        stands_ms: request.terms.stands_ms,
        votes: Vec::<VoteLine>::new(),
        reason: None,
        estimate: None,
    }
}

/// The request as JSON in `line`; beside it what is searched for.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS request (
        id         TEXT PRIMARY KEY,
        digest     BLOB NOT NULL,
        account    TEXT NOT NULL,
        state      TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        line       TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS request_digest ON request (digest, id);
    CREATE INDEX IF NOT EXISTS request_state ON request (state, expires_ms);
";
