//! The target's messages after its login. Walks whole runs of them in one step, so that rows cost
//! a header each; an answer that was not asked for is a lie and ends the session.

use crate::limits::{ERROR_WINDOW_BYTES, SETTING_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};
use crate::model::session::Leg;
use crate::wire::postgres::cut::Cut;
use crate::wire::postgres::encode::{self, Severity};
use crate::wire::postgres::frame::{Beginning, Body, HEADER_BYTES, Header, Rest};
use crate::wire::postgres::message::{self, ErrorHead, Malformed, Reader, Status};
use crate::wire::postgres::pending::{Asker, Expected, Scope};
use crate::wire::postgres::relay::{Relay, by_bot, by_target};
use crate::wire::postgres::reply::Words;
use crate::wire::{CancelKey, Fault, Report, Said, Step};

/// What became of one message.
pub enum Taken {
    Need {
        bytes: usize,
    },
    /// It goes on, as far as it has come.
    Passed,
    /// It is dropped, as far as it has come; something else was said.
    Replaced,
}

impl Relay {
    pub fn read_target(&mut self, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if let Some(step) = self.target_rest.advance(unread) {
            return Ok(step);
        }
        if self.over {
            return Ok(match unread.len() {
                0 => Step::Need { bytes: 1 },
                bytes => Step::Drop { bytes },
            });
        }
        let step = self.walk(unread, said);
        self.settle_run();
        step
    }

    fn walk(&mut self, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        let mut relayed = 0;
        loop {
            let window = unread.get(relayed..).unwrap_or_default();
            let taken = match Header::read(window) {
                Ok(None) => Ok((Taken::Need { bytes: HEADER_BYTES }, 0)),
                Ok(Some(header))
                    if relayed > 0 && (self.replaces(header) || self.shows(header.tag)) =>
                {
                    return Ok(Step::Relay { bytes: relayed });
                }
                Ok(Some(header)) if self.shows(header.tag) => {
                    return self.show(header, window, said);
                }
                Ok(Some(header)) => {
                    self.message(header, window, said).map(|taken| (taken, header.total()))
                }
                Err(malformed) => Err(malformed.by(Leg::Upstream)),
            };
            match taken {
                Ok((Taken::Need { bytes }, _)) if relayed == 0 => return Ok(Step::Need { bytes }),
                Ok((Taken::Need { .. }, _)) => return Ok(Step::Relay { bytes: relayed }),
                Ok((Taken::Passed, total)) => {
                    let bytes = total.min(window.len());
                    relayed += bytes;
                    self.target_rest = Rest::relay(total - bytes);
                    if relayed == unread.len() || self.over {
                        return Ok(Step::Relay { bytes: relayed });
                    }
                }
                Ok((Taken::Replaced, total)) => {
                    let bytes = total.min(window.len());
                    self.target_rest = Rest::discard(total - bytes);
                    return Ok(Step::Drop { bytes });
                }
                Err(fault) if relayed == 0 => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    return Ok(Step::Relay { bytes: relayed });
                }
            }
        }
    }

    /// Something else will be said in the place of this message.
    fn replaces(&mut self, header: Header) -> bool {
        match header.tag {
            b'K' => true,
            _ if self.cut.is_some() || self.is_past_limit(header) => true,
            b'E' if !self.is_ready => true,
            b'T' | b'n' => matches!(
                self.pending.head(),
                Some(Expected::DescribePortal { asked_by: Asker::Narrows, .. })
            ),
            b'E' => {
                matches!(self.pending.head(), Some(Expected::Poison { .. } | Expected::Undo { .. }))
            }
            _ => false,
        }
    }

    pub fn message(
        &mut self,
        header: Header,
        window: &[u8],
        said: &mut Said,
    ) -> Result<Taken, Fault> {
        match header.tag {
            b'D' => return self.row(header, 1, 0),
            b'd' if self.copy_out => return self.row(header, 0, 1),
            _ => self.settle_run(),
        }
        let cut = self.cut;
        let asked = self.asked_for(header.tag);
        let taken = self.answer_part(header, window, said)?;
        if matches!(header.tag, b'C' | b's' | b'I' | b'E' | b'Z') {
            self.result_ended();
        }
        if let (Taken::Passed, Asker::Narrows) = (&taken, asked) {
            return Ok(Taken::Replaced);
        }
        match (taken, cut, header.tag) {
            (Taken::Passed, Some(Cut::Running { scope }), b'C' | b's') => {
                self.told_in_spite(scope, said);
                Ok(Taken::Replaced)
            }
            (Taken::Passed, Some(Cut::Running { .. }), b'Z') => {
                Err(by_target("the target is ready before its work is done"))
            }
            (Taken::Passed, Some(Cut::Told), b'Z') if self.told_until_ready(said) => {
                Ok(Taken::Replaced)
            }
            (Taken::Passed, Some(_), b'G') => {
                Err(by_bot("a copy stood behind a result that was cut off"))
            }
            (Taken::Passed, Some(_), tag) if self.withholds(tag) => Ok(Taken::Replaced),
            (taken, _, _) => Ok(taken),
        }
    }

    /// A row, or a line of a copy.
    fn row(&mut self, header: Header, rows: u64, lines: u64) -> Result<Taken, Fault> {
        self.running()?;
        if self.cut.is_none()
            && let Some(words) = self.limit_passed(header).map(|limit| limit.words.clone())
        {
            self.settle_run();
            self.cut_off(words);
        }
        if self.cut.is_some() {
            return Ok(Taken::Replaced);
        }
        self.run.rows += rows;
        self.run.lines += lines;
        self.run.bytes += header.total() as u64;
        Ok(Taken::Passed)
    }

    /// Any message but a row.
    fn answer_part(
        &mut self,
        header: Header,
        window: &[u8],
        said: &mut Said,
    ) -> Result<Taken, Fault> {
        match header.tag {
            b'E' => self.error(header, window, said),
            b'K' => self.key_data(header, window, said),
            // Long by nature or of no interest: they stream.
            b'T' | b't' => {
                self.credit(header);
                self.description(header.tag)?;
                Ok(Taken::Passed)
            }
            b'N' | b'A' => {
                self.credit(header);
                Ok(Taken::Passed)
            }
            b'S' => whole(header, window, SETTING_BYTES_MAX, |body| {
                let (name, value) = message::parameter_status(body).map_err(malformed)?;
                self.credit(header);
                self.lexing.reported(name, value);
                Ok(())
            }),
            b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'c' | b'C' | b'G' | b'H' | b'Z' => {
                whole(header, window, SMALL_MESSAGE_BYTES_MAX, |body| self.short(header, body))
            }
            _ => Err(by_target("the target sent a message that has no place here")),
        }
    }

    /// Messages that are short and read whole.
    fn short(&mut self, header: Header, body: &[u8]) -> Result<(), Fault> {
        match header.tag {
            b'Z' => return self.ready(header, body),
            b'C' => return self.complete(header, body),
            b'G' => {
                self.running()?;
                self.credit(header);
                let began = self.pending.copy_began();
                self.copy_in = began.open;
                self.maybe_syncs = self.maybe_syncs.saturating_add(began.ignored_syncs);
                return Ok(());
            }
            b'H' => {
                self.running()?;
                self.credit(header);
                self.copy_out = true;
                return Ok(());
            }
            _ => message::empty(body).map_err(malformed)?,
        }
        self.credit(header);
        match (header.tag, self.pending.head()) {
            (b'1', Some(Expected::Parse)) => {
                self.pending.pop();
                self.names.parse_completed();
                self.exchanges.parse_done();
            }
            (b'2', Some(Expected::Bind)) => {
                self.pending.pop();
                if let Some(replaced) = self.portals.bind_completed() {
                    self.exchanges.end(replaced.number);
                }
            }
            (b'3', Some(Expected::CloseStatement { .. } | Expected::ClosePortal { .. })) => {
                self.closed();
            }
            (b'n', Some(Expected::DescribePortal { portal, .. })) => {
                let name = std::mem::take(portal);
                self.pending.pop();
                self.has_no_columns(&name);
            }
            (b'n', Some(Expected::DescribeStatement { described: true })) => {
                self.pending.pop();
            }
            (b's', Some(&mut Expected::Execute { number, of_bind, .. })) => {
                self.pending.pop();
                if !of_bind {
                    self.exchanges.end(number);
                }
            }
            (b'I', Some(Expected::Query { answered, .. })) => *answered = true,
            (b'I', Some(&mut Expected::Execute { number, .. })) => {
                self.pending.pop();
                self.exchanges.end(number);
            }
            (b'c', Some(Expected::Query { .. } | Expected::Execute { .. })) if self.copy_out => {
                self.copy_out = false;
            }
            (_, _) => return Err(by_target("the target's answer does not fit the question")),
        }
        self.maybe_syncs = 0;
        Ok(())
    }

    fn description(&mut self, tag: u8) -> Result<(), Fault> {
        match (tag, self.pending.head()) {
            (b'T', Some(Expected::Query { .. })) => {}
            (b'T', Some(Expected::DescribePortal { .. }))
            | (b'T', Some(Expected::DescribeStatement { described: true })) => {
                self.pending.pop();
            }
            (b't', Some(Expected::DescribeStatement { described })) if !*described => {
                *described = true;
            }
            (_, _) => return Err(by_target("the target describes what was not asked for")),
        }
        Ok(())
    }

    fn closed(&mut self) {
        match self.pending.pop() {
            Some(Expected::CloseStatement { name, at }) => self.names.statement_closed(&name, at),
            Some(Expected::ClosePortal { name, at }) => {
                self.names.cursor_closed(&name, at);
                if let Some(portal) = self.portals.close(&name) {
                    self.exchanges.end(portal.number);
                }
            }
            _ => {}
        }
    }

    fn complete(&mut self, header: Header, body: &[u8]) -> Result<(), Fault> {
        let mut reader = Reader::new(body);
        let tag = reader.string().map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        let number = self.running()?;
        self.credit(header);
        let tag = String::from_utf8_lossy(tag).into_owned();
        self.copy_in = false;
        self.copy_out = false;
        // Whatever was sent before the end of a copy that completed was read as part of it.
        self.maybe_syncs = 0;
        let mut ends = false;
        let at = match self.pending.head() {
            Some(Expected::Query { at, answered, .. }) => {
                *answered = true;
                *at
            }
            Some(&mut Expected::Execute { at, .. }) => {
                self.pending.pop();
                ends = true;
                at
            }
            _ => return Err(by_target("the target completes what was not begun")),
        };
        match tag.as_str() {
            "DISCARD ALL" | "DEALLOCATE ALL" => self.names.forget_statements(at),
            "PREPARE" | "DECLARE CURSOR" => self.names.defined(at),
            _ => {}
        }
        self.exchanges.complete(number, tag);
        if ends {
            self.exchanges.end(number);
        }
        Ok(())
    }

    fn ready(&mut self, header: Header, body: &[u8]) -> Result<(), Fault> {
        let status = message::ready(body).map_err(malformed)?;
        if self.is_ready {
            self.credit(header);
            match self.pending.head() {
                Some(Expected::Sync | Expected::Ready) => {
                    self.pending.pop();
                }
                Some(&mut Expected::Query { number, answered: true, .. }) => {
                    self.pending.pop();
                    self.exchanges.end(number);
                }
                _ if self.maybe_syncs > 0 => {
                    self.maybe_syncs -= 1;
                    if self.pending.is_empty() {
                        self.skipping = false;
                        self.batch_open = false;
                    }
                }
                _ => return Err(by_target("the target is ready before its work is done")),
            }
        }
        self.is_ready = true;
        self.status = status;
        self.copy_in = false;
        self.copy_out = false;
        if status == Status::Idle && !self.portals.is_empty() {
            for portal in self.portals.drain() {
                self.exchanges.end(portal.number);
            }
        }
        if !self.is_busy() {
            self.lexing.settled();
        }
        Ok(())
    }

    fn error(&mut self, header: Header, window: &[u8], said: &mut Said) -> Result<Taken, Fault> {
        let (body, is_whole) = match header.beginning(window, ERROR_WINDOW_BYTES) {
            Beginning::Need { bytes } => return Ok(Taken::Need { bytes }),
            Beginning::Part { body, whole } => (body, whole),
        };
        let head = message::error(body, is_whole).map_err(malformed)?;
        if !self.is_ready {
            return Ok(self.not_admitted(head, said));
        }
        let code = head.code.as_deref().unwrap_or("XX000");
        if head.fatal {
            return Ok(self.fatal(header, code));
        }
        self.copy_in = false;
        self.copy_out = false;
        let cut = self.cut;
        let code = match (&self.cut_words, cut) {
            (Some(words), Some(Cut::Running { .. })) => words.code,
            _ => code,
        };
        // A question of ours before a refused command may fail first; then the target skips what
        // was sent to fail.
        if self.asked_for(b'T') == Asker::Narrows && self.pending.refuses_next() {
            self.pending.pop();
        }
        match self.pending.head() {
            Some(Expected::Poison { .. }) => return Ok(self.refused(said)),
            Some(Expected::Undo { .. }) => {
                self.undone();
                return Ok(Taken::Replaced);
            }
            Some(&mut Expected::Query { number, ref mut answered, .. }) => {
                *answered = true;
                self.credit(header);
                self.exchanges.fail(number, code);
            }
            // The end of the transaction failed; ReadyForQuery follows all the same.
            Some(Expected::Sync) => self.credit(header),
            None | Some(Expected::Ready | Expected::CopyEnd) => {
                return Err(by_target("the target sent an error that nothing caused"));
            }
            Some(Expected::Parse) => {
                self.pending.pop();
                self.names.parse_failed();
                self.exchanges.parse_refused(code, header.total() as u64);
                self.skip_batch(code);
            }
            Some(
                Expected::Bind
                | Expected::DescribeStatement { .. }
                | Expected::DescribePortal { .. }
                | Expected::Execute { .. }
                | Expected::CloseStatement { .. }
                | Expected::ClosePortal { .. },
            ) => {
                self.credit(header);
                self.skip_batch(code);
            }
        }
        if cut.is_none() {
            return Ok(Taken::Passed);
        }
        self.told_by_error(said);
        Ok(Taken::Replaced)
    }

    /// The credential was good, but the target does not begin the session. Its words may name what
    /// the bot is not to know; they go to the log.
    fn not_admitted(&mut self, head: ErrorHead, said: &mut Said) -> Taken {
        let code = head.code.unwrap_or_default();
        Words::not_admitted(&code).say(Severity::Fatal, &mut said.downstream);
        let message = head.message.unwrap_or_default();
        self.exchanges.note(Report::UpstreamLoginFailed { code, message });
        self.over = true;
        Taken::Replaced
    }

    /// The target ends the session in its own words, and no further ones may follow them.
    fn fatal(&mut self, header: Header, code: &str) -> Taken {
        self.credit(header);
        if let Some(number) = self.at_hand() {
            self.exchanges.fail(number, code);
            self.exchanges.end(number);
        }
        self.over = true;
        Taken::Passed
    }

    /// The error that a poisoned message caused gives way to the refusal.
    fn refused(&mut self, said: &mut Said) -> Taken {
        let Some(Expected::Poison { scope, number, words }) = self.pending.pop() else {
            return Taken::Passed;
        };
        let bytes = words.say(Severity::Error, &mut said.downstream);
        self.exchanges.deliver(number, 0, bytes);
        self.exchanges.fail(number, words.code);
        self.exchanges.end(number);
        match scope {
            Scope::Simple => self.pending.push_front(Expected::Ready),
            Scope::Extended => self.skip_batch(words.code),
        }
        Taken::Replaced
    }

    fn key_data(&mut self, header: Header, window: &[u8], said: &mut Said) -> Result<Taken, Fault> {
        if self.is_ready || self.upstream_key.is_some() {
            return Err(by_target("the target sent a cancel key out of place"));
        }
        let taken = whole(header, window, SMALL_MESSAGE_BYTES_MAX, |body| {
            let (process_id, secret) = message::key(body).map_err(malformed)?;
            self.upstream_key = Some(CancelKey { process_id, secret: secret.to_vec() });
            let key = self.own_key(process_id);
            encode::key_data(&mut said.downstream, &key);
            self.exchanges.note(Report::CancelKey { key });
            Ok(())
        })?;
        Ok(match taken {
            Taken::Need { bytes } => Taken::Need { bytes },
            Taken::Passed | Taken::Replaced => Taken::Replaced,
        })
    }

    /// The exchange whose command produces what comes now.
    pub fn running(&mut self) -> Result<u64, Fault> {
        match self.pending.head() {
            Some(&mut (Expected::Query { number, .. } | Expected::Execute { number, .. })) => {
                Ok(number)
            }
            _ => Err(by_target("the target sends results of what does not run")),
        }
    }

    /// The exchange that the next answer belongs to, if it belongs to one.
    pub fn at_hand(&mut self) -> Option<u64> {
        match self.pending.head()? {
            Expected::Query { number, .. }
            | Expected::Execute { number, .. }
            | Expected::Poison { number, .. } => Some(*number),
            Expected::DescribePortal { number, .. } => *number,
            Expected::Bind => self.portals.binding(),
            Expected::Parse
            | Expected::DescribeStatement { .. }
            | Expected::CloseStatement { .. }
            | Expected::ClosePortal { .. }
            | Expected::Sync
            | Expected::Ready
            | Expected::Undo { .. }
            | Expected::CopyEnd => None,
        }
    }

    /// Who has asked for what a message of this type answers.
    fn asked_for(&mut self, tag: u8) -> Asker {
        match (tag, self.pending.head()) {
            (b'T' | b'n', Some(&mut Expected::DescribePortal { asked_by, .. })) => asked_by,
            _ => Asker::Bot,
        }
    }

    /// What goes to the bot counts for the exchange that it answers.
    fn credit(&mut self, header: Header) {
        if !self.withholds(header.tag)
            && self.asked_for(header.tag) == Asker::Bot
            && (header.tag != b'E' || self.cut.is_none())
            && let Some(number) = self.at_hand()
        {
            self.exchanges.deliver(number, 0, header.total() as u64);
        }
    }

    pub fn settle_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if run.bytes > 0
            && let Some(number) = self.at_hand()
        {
            self.exchanges.deliver(number, run.rows, run.bytes);
            self.exchanges.copy(number, run.lines);
        }
    }
}

fn whole(
    header: Header,
    window: &[u8],
    bytes_max: usize,
    read: impl FnOnce(&[u8]) -> Result<(), Fault>,
) -> Result<Taken, Fault> {
    match header.body(window, bytes_max).map_err(malformed)? {
        Body::Need { bytes } => Ok(Taken::Need { bytes }),
        Body::Whole(body) => {
            read(body)?;
            Ok(Taken::Passed)
        }
    }
}

const fn malformed(malformed: Malformed) -> Fault {
    malformed.by(Leg::Upstream)
}
