//! A result is cut off: past one of the connection's limits nothing of it goes to the bot, who gets
//! an error in its place. Knows what is withheld and until when, not how messages are read.
//!
//! The target is asked to cancel. Mostly it then fails the command itself, and its error gives way to
//! our words, so that both sides agree on everything. A target that was quicker has completed the
//! command: then what it says up to its next ReadyForQuery is withheld as well, and a transaction
//! that is still open is made to fail.

use crate::wire::postgres::encode::{self, Severity};
use crate::wire::postgres::frame::Header;
use crate::wire::postgres::message::{Malformed, Status};
use crate::wire::postgres::pending::{Expected, Scope};
use crate::wire::postgres::relay::Relay;
use crate::wire::postgres::reply::Words;
use crate::wire::{Report, Said, Shown};

/// What an exchange may give to the bot at most.
#[derive(Default)]
pub struct Limits {
    pub rows: Option<Limit>,
    /// Of all messages that answer; only rows are ever withheld for it, the first that does not fit
    /// and whatever comes behind.
    pub bytes: Option<Limit>,
    /// Cells that something else stands in the place of. Known once a row has been gone through, which
    /// is after it was counted.
    pub masked: Option<Limit>,
}

/// How much, and what is said past it.
pub struct Limit {
    pub most: u64,
    pub words: Words,
}

/// Where a cut stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The command still runs.
    Running { scope: Scope },
    /// The command completed all the same, and the bot has been told that it failed.
    Told,
}

/// What the message at hand has counted for since the exchange's sum was last brought up to date.
#[derive(Default)]
pub struct Run {
    pub rows: u64,
    /// Messages of copied data. The server sends one a row.
    pub lines: u64,
    pub bytes: u64,
    /// Of the exchange before this run; looked up once.
    before: Option<Given>,
}

/// What an exchange has given to the bot.
#[derive(Clone, Copy, Default)]
pub struct Given {
    /// And lines of copies.
    pub rows: u64,
    pub bytes: u64,
    pub masked: u64,
}

impl Relay {
    /// The target's next message is a row that the bot may not have any more.
    pub fn is_past_limit(&mut self, header: Header) -> bool {
        self.limit_passed(header).is_some()
    }

    /// The limit that the target's next message would go past, if it is a row.
    pub fn limit_passed(&mut self, header: Header) -> Option<&Limit> {
        let is_row = header.tag == b'D' || (header.tag == b'd' && self.copy_out);
        if !is_row || (self.limits.rows.is_none() && self.limits.bytes.is_none()) {
            return None;
        }
        let Some(&mut (Expected::Query { number, .. } | Expected::Execute { number, .. })) =
            self.pending.head()
        else {
            return None;
        };
        let before = *self.run.before.get_or_insert_with(|| self.exchanges.given(number));
        let rows = before.rows + self.run.rows + self.run.lines + 1;
        let bytes = before.bytes + self.run.bytes + header.total() as u64;
        let by_rows = self.limits.rows.as_ref().filter(|limit| rows > limit.most);
        by_rows.or(self.limits.bytes.as_ref().filter(|limit| bytes > limit.most))
    }

    /// How many more cells of these rows may be replaced; no bound for what can be cut off no more.
    pub fn masked_left(&mut self, shown: &Shown) -> u64 {
        let (Some(number), Some(limit)) = (shown.rows_of(), &self.limits.masked) else {
            return u64::MAX;
        };
        match self.pending.head() {
            Some(
                Expected::Query { number: running, .. } | Expected::Execute { number: running, .. },
            ) if *running == number && self.cut.is_none() => {
                limit.most.saturating_sub(self.exchanges.given(number).masked)
            }
            _ => u64::MAX,
        }
    }

    /// In the first of these rows, which have been counted as delivered, there are too many cells that
    /// were replaced.
    pub fn cut_masked(&mut self, shown: &Shown, rows: &[u8]) -> Result<(), Malformed> {
        let (Some(number), Some(limit)) = (shown.rows_of(), &self.limits.masked) else {
            return Ok(());
        };
        let words = limit.words.clone();
        if let Shown::RowBegins { behind, .. } = shown {
            self.withhold_begun(number, rows.len() + behind);
        } else {
            let count = message_count(rows)?;
            let is_copy = matches!(shown, Shown::Copied { .. });
            let (rows_left, lines_left) = if is_copy { (0, count) } else { (count, 0) };
            self.exchanges.take_back(number, rows_left, lines_left, rows.len() as u64);
        }
        self.cut_off(words);
        Ok(())
    }

    /// From here on the result of the command at hand is withheld.
    pub fn cut_off(&mut self, words: Words) {
        let (number, scope) = match self.pending.head() {
            Some(&mut Expected::Query { number, .. }) => (number, Scope::Simple),
            Some(&mut Expected::Execute { number, .. }) => (number, Scope::Extended),
            _ => return,
        };
        self.exchanges.fail(number, words.code);
        let words_bytes = words.say(Severity::Error, &mut Vec::new());
        self.exchanges.deliver(number, 0, words_bytes);
        self.cut = Some(Cut::Running { scope });
        self.cut_words = Some(words);
        // A cancel request hits whatever runs when it arrives: only where that cannot be a later
        // command of the bot's. Elsewhere the result is waited out.
        if self.pending.is_last_batch() {
            self.exchanges.note(Report::CancelWanted);
        }
    }

    /// Whether a message of this type is withheld. Notices, notifications and settings are not part
    /// of a result; errors and ReadyForQuery find their own way.
    pub fn withholds(&self, tag: u8) -> bool {
        self.cut.is_some() && !matches!(tag, b'N' | b'A' | b'S' | b'E' | b'Z')
    }

    /// An error of the target has been dealt with; it never goes to the bot. The one that ends the
    /// command gives way to ours, and the rest goes as after any error.
    pub fn told_by_error(&mut self, said: &mut Said) {
        if let Some(Cut::Running { .. }) = self.cut {
            self.cut = None;
            self.say_why_cut(said);
        }
    }

    /// The command completed before the request to cancel came.
    pub fn told_in_spite(&mut self, scope: Scope, said: &mut Said) {
        self.cut = Some(Cut::Told);
        self.say_why_cut(said);
        // The batch is still open: what the bot adds to it would run, and its Sync would commit.
        if scope == Scope::Extended && self.batch_open && !self.pending.has_sync() {
            encode::poison_parse(&mut said.upstream);
            self.pending.push(Expected::Undo { scope });
            self.skipping = true;
        }
    }

    /// The target is ready. Returns whether that is withheld, since the transaction has to fail
    /// first. It cannot any more where the bot's next commands are on their way.
    pub fn told_until_ready(&mut self, said: &mut Said) -> bool {
        self.cut = None;
        let may_fail = self.status == Status::InTransaction && !self.is_busy();
        if may_fail {
            encode::poison_query(&mut said.upstream);
            self.pending.push(Expected::Undo { scope: Scope::Simple });
        }
        may_fail
    }

    /// The error that was to make the transaction fail has come. The bot knows of one already.
    pub fn undone(&mut self) {
        let Some(Expected::Undo { scope }) = self.pending.pop() else { return };
        match scope {
            Scope::Simple => self.pending.push_front(Expected::Ready),
            Scope::Extended => {
                self.cut = None;
                self.skip_batch(LIMIT_CODE);
            }
        }
    }

    fn say_why_cut(&mut self, said: &mut Said) {
        if let Some(words) = self.cut_words.take() {
            words.say(Severity::Error, &mut said.downstream);
        }
    }
}

/// How many messages there are in `messages`, which are whole.
fn message_count(messages: &[u8]) -> Result<u64, Malformed> {
    let (mut count, mut at) = (0, 0);
    while let Some(rest) = messages.get(at..).filter(|rest| !rest.is_empty()) {
        at += Header::read(rest)?.ok_or(Malformed::Short)?.total();
        count += 1;
    }
    Ok(count)
}

/// What the exchanges end with that the target skips because of a cut.
const LIMIT_CODE: &str = "54000";
