//! Sums up exchanges until they are complete, and keeps what is to be reported.
//! Knows numbers and counts; which message belongs to which exchange is the relay's matter.

use std::collections::{HashMap, VecDeque};

use crate::wire::postgres::cut::Given;
use crate::wire::postgres::message::tag_rows;
use crate::wire::{Outcome, Report};

#[derive(Default)]
pub struct Exchanges {
    open: HashMap<u64, Tally, foldhash::fast::RandomState>,
    reports: VecDeque<Report>,
}

#[derive(Default)]
struct Tally {
    outcome: Outcome,
    /// Rows of the command that has not completed yet.
    rows: u64,
    /// Rows and lines of copies, of all commands.
    given: u64,
    /// Bytes of the answer, as the target sent them.
    sent_bytes: u64,
    /// Cells of them that something else stands in the place of.
    masked: u64,
}

impl Exchanges {
    pub fn begin(&mut self, number: u64) {
        self.open.insert(number, Tally::default());
    }

    pub fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    /// Rows and bytes that went to the bot.
    pub fn deliver(&mut self, number: u64, rows: u64, bytes: u64) {
        if let Some(tally) = self.open.get_mut(&number) {
            tally.rows += rows;
            tally.given += rows;
            tally.outcome.rows += rows;
            tally.outcome.answer_bytes += bytes;
            tally.sent_bytes += bytes;
        }
    }

    /// Bytes that were counted as delivered went to the bot in another form.
    pub fn rewritten(&mut self, number: u64, before: u64, after: u64) {
        if let Some(tally) = self.open.get_mut(&number) {
            let bytes = tally.outcome.answer_bytes.saturating_sub(before);
            tally.outcome.answer_bytes = bytes.saturating_add(after);
        }
    }

    /// Cells of rows that were counted as delivered were replaced.
    pub fn masked(&mut self, number: u64, cells: u64) {
        if let Some(tally) = self.open.get_mut(&number) {
            tally.masked += cells;
        }
    }

    /// Rows, or lines of copies, that were counted as delivered do not go to the bot.
    pub fn take_back(&mut self, number: u64, rows: u64, lines: u64, bytes: u64) {
        if let Some(tally) = self.open.get_mut(&number) {
            tally.rows = tally.rows.saturating_sub(rows);
            tally.given = tally.given.saturating_sub(rows + lines);
            tally.outcome.rows = tally.outcome.rows.saturating_sub(rows);
            tally.outcome.answer_bytes = tally.outcome.answer_bytes.saturating_sub(bytes);
            tally.sent_bytes = tally.sent_bytes.saturating_sub(bytes);
        }
    }

    /// Lines of a copy that went to the bot. Its completion tells them as rows.
    pub fn copy(&mut self, number: u64, lines: u64) {
        if let Some(tally) = self.open.get_mut(&number) {
            tally.given += lines;
        }
    }

    /// What of the answer went to the bot.
    pub fn given(&self, number: u64) -> Given {
        self.open.get(&number).map_or(Given::default(), |tally| Given {
            rows: tally.given,
            bytes: tally.sent_bytes,
            masked: tally.masked,
        })
    }

    /// A command of the exchange completed. Its tag counts rows that were not sent.
    pub fn complete(&mut self, number: u64, tag: String) {
        if let Some(tally) = self.open.get_mut(&number) {
            if tally.rows == 0 {
                tally.outcome.rows += tag_rows(&tag).unwrap_or(0);
            }
            tally.rows = 0;
            tally.outcome.tag = Some(tag);
        }
    }

    pub fn fail(&mut self, number: u64, code: &str) {
        if let Some(tally) = self.open.get_mut(&number) {
            tally.outcome.error = Some(code.to_owned());
        }
    }

    /// The exchange is complete. Nothing happens if it was so before.
    pub fn end(&mut self, number: u64) {
        if let Some(tally) = self.open.remove(&number) {
            self.reports.push_back(Report::Ended { number, outcome: tally.outcome });
        }
    }

    /// The oldest text that the target was to prepare is prepared, or was skipped.
    pub fn parse_done(&mut self) {
        self.reports.push_back(Report::Prepared { refused: None });
    }

    /// The target refused the oldest text that it was to prepare.
    pub fn parse_refused(&mut self, code: &str, answer_bytes: u64) {
        let error = Some(code.to_owned());
        let refused = Outcome { error, answer_bytes, ..Outcome::default() };
        self.reports.push_back(Report::Prepared { refused: Some(refused) });
    }

    pub fn note(&mut self, report: Report) {
        self.reports.push_back(report);
    }

    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }
}
