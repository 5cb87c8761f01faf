//! Answers that are shown before they go on, so that values in them can be replaced. Knows which
//! messages hold values and which columns a row has; not which values are protected.
//!
//! A row's columns are those of its description. Where the bot runs a portal without having had it
//! described just before, we ask the target ourselves. An older description may be of another
//! portal: SQL that ran in between can have closed the one and declared another of the same name.

use std::sync::Arc;

use crate::limits::{DESCRIPTION_BYTES_MAX, SHOWN_ROW_BYTES_MAX, SHOWN_WORDS_BYTES_MAX};
use crate::wire::postgres::copied::Form;
use crate::wire::postgres::encode::{self, Severity};
use crate::wire::postgres::frame::{Body, HEADER_BYTES, Header, Rest};
use crate::wire::postgres::message::{self, Malformed};
use crate::wire::postgres::names::Name;
use crate::wire::postgres::pending::{Asker, Expected};
use crate::wire::postgres::relay::{Relay, by_target};
use crate::wire::postgres::relay_target::Taken;
use crate::wire::postgres::reply::Words;
use crate::wire::{Cause, Column, Fault, Said, Shown, Step};

/// What is known of the results on their way to the bot.
#[derive(Default)]
pub struct Showing {
    /// Columns of the result that a text gives now.
    columns: Option<Arc<[Column]>>,
    /// A cursor that SQL declared, described for the Execute behind it.
    cursor: Option<(Name, Arc<[Column]>)>,
    /// Commands sent so far.
    sent: u64,
    /// The rest of the result or copy at hand holds nothing to be replaced.
    rows_pass: bool,
    /// How the rows of the copy at hand are written.
    pub copied: Option<Form>,
}

impl Relay {
    /// Whether a message of this type is shown.
    pub fn shows(&self, tag: u8) -> bool {
        let Some(showing) = &self.showing else { return false };
        match tag {
            b'D' => !showing.rows_pass,
            b'd' => self.copy_out && !showing.rows_pass,
            b'T' | b'H' | b'E' | b'N' | b'A' | b'S' => self.is_ready,
            _ => false,
        }
    }

    pub fn rows_pass(&mut self) {
        if let Some(showing) = &mut self.showing {
            showing.rows_pass = true;
        }
    }

    /// A result, or what stood in its place, has ended.
    pub fn result_ended(&mut self) {
        if let Some(showing) = &mut self.showing {
            showing.rows_pass = false;
            showing.columns = None;
            showing.copied = None;
        }
    }

    /// Shows the message at the front of `window`; rows, as many as have come.
    pub fn show(&mut self, header: Header, window: &[u8], said: &mut Said) -> Result<Step, Fault> {
        if header.total() > largest(header.tag) {
            return match header.tag {
                b'D' => self.show_large(header, window, said),
                _ => self.show_none(header, window, said),
            };
        }
        if window.len() < header.total() {
            return Ok(Step::Need { bytes: header.total() });
        }
        if matches!(header.tag, b'D' | b'd') {
            return self.show_rows(header, window, said);
        }
        let number = self.at_hand();
        let cause = self.cause();
        let shown = match header.tag {
            b'T' => {
                self.take_columns(header, window)?;
                Shown::Description
            }
            b'H' => copy_begins(header, window, number)?,
            b'E' | b'N' => Shown::Words { cause },
            _ => Shown::Aside,
        };
        Ok(match self.message(header, window, said)? {
            Taken::Need { bytes } => Step::Need { bytes },
            Taken::Passed => Step::Show { bytes: header.total(), shown },
            Taken::Replaced => Step::Drop { bytes: header.total() },
        })
    }

    fn show_rows(&mut self, first: Header, window: &[u8], said: &mut Said) -> Result<Step, Fault> {
        let number = self.running()?;
        let shown = match first.tag {
            b'D' => {
                let columns = self.columns_at_hand();
                let columns = columns.ok_or(by_target("a row came without a description"))?;
                Shown::Rows { number, columns }
            }
            _ => Shown::Copied { number },
        };
        if let Taken::Replaced = self.message(first, window, said)? {
            return Ok(Step::Drop { bytes: first.total() });
        }
        let mut bytes = first.total();
        while let Some(rest) = window.get(bytes..)
            && let Ok(Some(header)) = Header::read(rest)
            && header.tag == first.tag
            && header.total() <= rest.len()
            && header.total() <= largest(header.tag)
            && !self.is_past_limit(header)
        {
            self.message(header, rest, said)?;
            bytes += header.total();
        }
        Ok(Step::Show { bytes, shown })
    }

    /// What an error or a notice that comes now is about.
    fn cause(&mut self) -> Cause {
        if let Some(Expected::Sync) = self.pending.head() {
            return Cause::End;
        }
        self.at_hand().map_or(Cause::Nothing, Cause::Command)
    }

    /// A message too large to be looked at whole does not go on.
    fn show_none(&mut self, header: Header, window: &[u8], said: &mut Said) -> Result<Step, Fault> {
        match header.tag {
            b'd' => {
                self.running()?;
                if self.cut.is_none() {
                    self.settle_run();
                    self.cut_off(Words::row_too_large());
                }
            }
            b'N' | b'A' => {}
            b'E' => match self.message(header, window, said)? {
                Taken::Need { bytes } => return Ok(Step::Need { bytes }),
                Taken::Replaced => {}
                Taken::Passed => {
                    Words::too_long_to_show().say(Severity::Error, &mut said.downstream);
                }
            },
            _ => return Err(by_target("a description is too long")),
        }
        let bytes = header.total().min(window.len());
        self.target_rest = Rest::discard(header.total() - bytes);
        Ok(Step::Drop { bytes })
    }

    /// Something is sent that may close portals and open others under their names.
    pub fn descriptions_age(&mut self) {
        if let Some(showing) = &mut self.showing {
            showing.sent += 1;
        }
    }

    /// Asks for a portal's columns where nobody has since the last command.
    pub fn describe_first(&mut self, portal: &[u8], said: &mut Said) {
        let Some(showing) = &self.showing else { return };
        let asked_at = self.portals.latest_mut(portal).and_then(|portal| portal.asked_at);
        if asked_at != Some(showing.sent) {
            encode::describe_portal(&mut said.upstream, portal);
            self.describe_portal(portal, Asker::Narrows);
            self.batch_open = true;
        }
    }

    pub fn describe_portal(&mut self, name: &[u8], asked_by: Asker) {
        let mut number = None;
        let sent = self.showing.as_ref().map(|showing| showing.sent);
        if let Some(portal) = self.portals.latest_mut(name) {
            number = Some(portal.number);
            portal.asked_at = sent;
        }
        self.pending.push(Expected::DescribePortal { portal: name.into(), number, asked_by });
    }

    fn take_columns(&mut self, header: Header, window: &[u8]) -> Result<(), Fault> {
        let body = whole_body(header, window)?;
        let columns: Arc<[Column]> = message::columns(body).map_err(of_target)?.into();
        let Some(showing) = &mut self.showing else { return Ok(()) };
        showing.rows_pass = false;
        match self.pending.head() {
            Some(Expected::Query { .. }) => showing.columns = Some(columns),
            Some(Expected::DescribePortal { portal, .. }) => {
                let name = portal.clone();
                match self.portals.bound_mut(&name) {
                    Some(portal) => portal.columns = Some(columns),
                    None => showing.cursor = Some((name, columns)),
                }
            }
            // A prepared statement's columns may be others by the time that it runs.
            _ => {}
        }
        Ok(())
    }

    /// The target says that a portal gives no rows.
    pub fn has_no_columns(&mut self, name: &[u8]) {
        if let Some(portal) = self.portals.bound_mut(name) {
            portal.columns = None;
        }
        if let Some(showing) = &mut self.showing
            && showing.cursor.as_ref().is_some_and(|(of, _)| **of == *name)
        {
            showing.cursor = None;
        }
    }

    /// Columns of the rows that the target sends now.
    pub fn columns_at_hand(&mut self) -> Option<Arc<[Column]>> {
        let showing = self.showing.as_ref()?;
        let head = self.pending.head()?;
        let Expected::Execute { portal: name, .. } = head else {
            let is_query = matches!(head, Expected::Query { .. });
            return showing.columns.clone().filter(|_| is_query);
        };
        match self.portals.bound_mut(name) {
            Some(portal) => portal.columns.clone(),
            None => {
                let described = showing.cursor.as_ref().filter(|(of, _)| of == name);
                described.map(|(_, columns)| Arc::clone(columns))
            }
        }
    }
}

fn copy_begins(header: Header, window: &[u8], number: Option<u64>) -> Result<Shown, Fault> {
    let number = number.ok_or(by_target("a copy began that nobody asked for"))?;
    let (columns, binary) = message::copy_out(whole_body(header, window)?).map_err(of_target)?;
    Ok(Shown::CopyBegins { number, columns, binary })
}

fn whole_body(header: Header, window: &[u8]) -> Result<&[u8], Fault> {
    match header.body(window, usize::MAX).map_err(of_target)? {
        Body::Whole(body) => Ok(body),
        Body::Need { .. } => Err(of_target(Malformed::Short)),
    }
}

const fn largest(tag: u8) -> usize {
    HEADER_BYTES
        + match tag {
            b'D' | b'd' => SHOWN_ROW_BYTES_MAX,
            b'T' | b'H' => DESCRIPTION_BYTES_MAX,
            _ => SHOWN_WORDS_BYTES_MAX,
        }
}

const fn of_target(malformed: Malformed) -> Fault {
    malformed.by(crate::model::session::Leg::Upstream)
}
