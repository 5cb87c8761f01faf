//! The bot's messages after its login. Each pair of message and state is decided here: judged,
//! passed on, dropped, made to wait, or taken for a broken protocol.

use std::sync::Arc;

use crate::limits::{
    BIND_WINDOW_BYTES, REFUSED_TEXT_BYTES, SMALL_MESSAGE_BYTES_MAX, STATEMENT_BYTES_MAX,
};
use crate::model::command::Language;
use crate::model::facts::Facts;
use crate::model::session::{Leg, Parameter};
use crate::wire::postgres::frame::{Beginning, Body, HEADER_BYTES, Header, Rest};
use crate::wire::postgres::message::{self, Malformed, Named, name_is_too_long};
use crate::wire::postgres::pending::{Asker, Expected};
use crate::wire::postgres::relay::{Command, Question, Relay, by_bot};
use crate::wire::{Asked, Fault, Purpose, Refusal, RefusalKind, Said, Step};

/// A message with more around its text than this leaves less for the text.
const TEXT_MESSAGE_BYTES_MAX: usize = HEADER_BYTES + STATEMENT_BYTES_MAX;

impl Relay {
    pub fn read_bot(&mut self, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        if let Some(step) = self.bot_rest.advance(unread) {
            return Ok(step);
        }
        if !self.is_ready || self.over || self.question.is_some() {
            return Ok(Step::Wait);
        }
        let Some(header) = Header::read(unread).map_err(malformed)? else {
            return Ok(Step::Need { bytes: HEADER_BYTES });
        };
        if self.skipping && !matches!(header.tag, b'S' | b'X') {
            return self.skip(header, unread);
        }
        match header.tag {
            b'd' => Ok(self.copy_data(header, unread)),
            b'c' | b'f' => self.copy_end(header, unread),
            b'H' => self.flush(header, unread),
            b'S' => self.sync(header, unread),
            b'X' => small(header, unread, |body| {
                message::empty(body)?;
                Ok(Step::Finish { bytes: header.total() })
            }),
            b'Q' | b'F' | b'P' | b'B' | b'E' | b'D' | b'C' if self.copy_in => {
                Err(by_bot("a command came in the middle of a copy"))
            }
            b'Q' | b'F' | b'P' | b'B' | b'E' | b'D' | b'C'
                if self.cancelling || self.cut.is_some() || self.pending.is_full() =>
            {
                Ok(Step::Wait)
            }
            b'Q' => self.query(header, unread),
            b'F' => Ok(self.function_call(header, unread)),
            b'P' => self.parse(header, unread),
            b'B' => self.bind(header, unread),
            b'E' => self.execute(header, unread, said),
            b'D' => self.describe(header, unread),
            b'C' => self.close(header, unread),
            _ => Err(by_bot("the client sent a message of an unknown type")),
        }
    }

    /// The target would skip this message too; what it does not see cannot surprise it.
    fn skip(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        match header.tag {
            b'Q' | b'F' | b'P' | b'B' | b'E' | b'D' | b'C' | b'H' | b'd' | b'c' | b'f' => {
                Ok(self.discard(header, unread))
            }
            _ => Err(by_bot("the client sent a message of an unknown type")),
        }
    }

    fn discard(&mut self, header: Header, unread: &[u8]) -> Step {
        let bytes = header.total().min(unread.len());
        self.bot_rest = Rest::discard(header.total() - bytes);
        Step::Drop { bytes }
    }

    /// Copied data goes on as it comes. A bot that has not heard yet that its copy failed may go
    /// on sending; the target would ignore that.
    fn copy_data(&mut self, header: Header, unread: &[u8]) -> Step {
        if !self.copy_in && !self.pending.may_copy() {
            return self.discard(header, unread);
        }
        let mut bytes = 0;
        while let Some(window) = unread.get(bytes..) {
            let Ok(Some(header)) = Header::read(window) else { break };
            if header.tag != b'd' {
                break;
            }
            let taken = header.total().min(window.len());
            bytes += taken;
            if taken < header.total() {
                self.bot_rest = Rest::relay(header.total() - taken);
                break;
            }
        }
        Step::Relay { bytes }
    }

    fn copy_end(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        let may_copy = self.copy_in || self.pending.may_copy();
        if may_copy && !self.copy_in && self.pending.is_full() {
            return Ok(Step::Wait);
        }
        small(header, unread, |body| {
            match header.tag {
                b'c' => message::empty(body)?,
                _ => drop(message::query(body)?),
            }
            if !may_copy {
                return Ok(Step::Drop { bytes: header.total() });
            }
            if !self.copy_in {
                self.pending.push(Expected::CopyEnd);
            }
            self.copy_in = false;
            Ok(Step::Relay { bytes: header.total() })
        })
    }

    fn flush(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        small(header, unread, |body| {
            message::empty(body)?;
            Ok(Step::Relay { bytes: header.total() })
        })
    }

    fn sync(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        if self.pending.is_full() && !self.copy_in {
            return Ok(Step::Wait);
        }
        small(header, unread, |body| {
            message::empty(body)?;
            if self.copy_in {
                self.maybe_syncs = self.maybe_syncs.saturating_add(1);
            } else {
                self.pending.push(Expected::Sync);
                self.names.batch_ended();
                self.batch_open = false;
                self.skipping = false;
            }
            Ok(Step::Relay { bytes: header.total() })
        })
    }

    fn query(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        if self.must_settle() {
            return Ok(Step::Wait);
        }
        if header.body_bytes > STATEMENT_BYTES_MAX {
            return Ok(self.too_large(header, unread));
        }
        match header.body(unread, TEXT_MESSAGE_BYTES_MAX).map_err(malformed)? {
            Body::Need { bytes } => Ok(Step::Need { bytes }),
            Body::Whole(body) => {
                let text: Arc<[u8]> = message::query(body).map_err(malformed)?.into();
                let asked = asked(Purpose::Run, text.clone());
                Ok(self.ask(Command::Query { text }, header, header.total(), asked))
            }
        }
    }

    fn parse(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        if self.must_settle() {
            return Ok(Step::Wait);
        }
        if header.body_bytes > STATEMENT_BYTES_MAX {
            return Ok(self.too_large(header, unread));
        }
        match header.body(unread, TEXT_MESSAGE_BYTES_MAX).map_err(malformed)? {
            Body::Need { bytes } => Ok(Step::Need { bytes }),
            Body::Whole(body) => {
                let parse = message::parse(body).map_err(malformed)?;
                let text: Arc<[u8]> = parse.text.into();
                let mut asked = asked(Purpose::Prepare, text.clone());
                if name_is_too_long(parse.name) {
                    asked.overruled = Some(name_too_long());
                } else if !self.names.has_room(parse.name, text.len()) {
                    asked.overruled = Some(too_many_names());
                }
                let command = Command::Parse { name: parse.name.into(), text };
                Ok(self.ask(command, header, header.total(), asked))
            }
        }
    }

    /// A text that nobody will read whole: its beginning is asked about, the rest thrown away.
    fn too_large(&mut self, header: Header, unread: &[u8]) -> Step {
        let body = match header.beginning(unread, HEADER_BYTES + REFUSED_TEXT_BYTES) {
            Beginning::Need { bytes } => return Step::Need { bytes },
            Beginning::Part { body, .. } => body,
        };
        let name = match header.tag {
            b'P' => body.split(|byte| *byte == 0).next().unwrap_or_default(),
            _ => &[],
        };
        let skipped = if header.tag == b'P' { name.len() + 1 } else { 0 };
        let text: Arc<[u8]> = body.get(skipped..).unwrap_or_default().into();
        let (purpose, command) = match header.tag {
            b'P' => (Purpose::Prepare, Command::Parse { name: name.into(), text: text.clone() }),
            _ => (Purpose::Run, Command::Query { text: text.clone() }),
        };
        let mut asked = asked(purpose, text);
        asked.text_bytes = header.body_bytes.saturating_sub(skipped + 1) as u64;
        asked.overruled = Some(refusal(
            RefusalKind::TooLarge,
            "the statement is too large to be judged",
            "Send data by COPY or as parameters; a statement's text may have 16 MiB.",
        ));
        self.ask(command, header, HEADER_BYTES + body.len(), asked)
    }

    /// A function called by its number bypasses every text.
    fn function_call(&mut self, header: Header, unread: &[u8]) -> Step {
        const OID_BYTES: usize = 4;
        let body = match header.beginning(unread, HEADER_BYTES + OID_BYTES) {
            Beginning::Need { bytes } => return Step::Need { bytes },
            Beginning::Part { body, .. } => body,
        };
        let oid = body.iter().fold(0_u32, |oid, byte| oid << 8 | u32::from(*byte));
        let mut asked = asked(Purpose::Run, format!("function call {oid}").into_bytes().into());
        asked.overruled = Some(refusal(
            RefusalKind::Unsupported,
            "function calls by number are not supported",
            "Call the function in a SELECT.",
        ));
        self.ask(Command::FunctionCall, header, HEADER_BYTES + body.len(), asked)
    }

    fn bind(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        let (body, whole) = match header.beginning(unread, HEADER_BYTES + BIND_WINDOW_BYTES) {
            Beginning::Need { bytes } => return Ok(Step::Need { bytes }),
            Beginning::Part { body, whole } => (body, whole),
        };
        let bind = message::bind(body, header.body_bytes, whole).map_err(malformed)?;
        let known = self.names.statement(bind.statement);
        let text = known.as_ref().map(|known| known.text.clone()).unwrap_or_default();
        let mut asked = asked(Purpose::Run, text.clone());
        asked.unseen = known.is_none();
        asked.known = known.map(|known| known.facts);
        asked.parameters = bind.parameters;
        if name_is_too_long(bind.portal) || name_is_too_long(bind.statement) {
            asked.overruled = Some(name_too_long());
        } else if !self.portals.has_room() && self.portals.find(bind.portal).is_none() {
            asked.overruled = Some(too_many_names());
        }
        let command = Command::Bind { portal: bind.portal.into(), text };
        Ok(self.ask(command, header, HEADER_BYTES + body.len(), asked))
    }

    /// Runs a portal that its Bind was judged for. A cursor that SQL declared, also under a portal's
    /// name, a portal that was never seen, and one whose exchange has ended are judged here.
    fn execute(&mut self, header: Header, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        let body = match header.body(unread, SMALL_MESSAGE_BYTES_MAX).map_err(malformed)? {
            Body::Need { bytes } => return Ok(Step::Need { bytes }),
            Body::Whole(body) => body,
        };
        let name = message::execute(body).map_err(malformed)?;
        self.describe_first(name, said);
        let portal = self.portals.find(name).cloned();
        if let (Some(portal), None) = (&portal, self.names.cursor(name))
            && self.exchanges.is_open(portal.number)
        {
            let at = self.names.stamp();
            self.runs(&portal.prepared, at);
            let number = portal.number;
            self.pending.push(Expected::Execute { number, at, of_bind: true, portal: name.into() });
            self.batch_open = true;
            return Ok(Step::Relay { bytes: header.total() });
        }
        let known = self.names.cursor_or(name, portal.map(|portal| portal.prepared));
        let text = known.as_ref().map(|known| known.text.clone()).unwrap_or_default();
        let mut asked = asked(Purpose::Run, text.clone());
        asked.unseen = known.is_none();
        asked.known = known.map(|known| known.facts);
        if name_is_too_long(name) {
            asked.overruled = Some(name_too_long());
        }
        let command = Command::Execute { portal: name.into(), text };
        Ok(self.ask(command, header, header.total(), asked))
    }

    fn describe(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        small(header, unread, |body| {
            match message::named(body)? {
                Named::Statement(_) => {
                    self.pending.push(Expected::DescribeStatement { described: false });
                }
                Named::Portal(name) => self.describe_portal(name, Asker::Bot),
            }
            self.batch_open = true;
            Ok(Step::Relay { bytes: header.total() })
        })
    }

    fn close(&mut self, header: Header, unread: &[u8]) -> Result<Step, Fault> {
        small(header, unread, |body| {
            let named = message::named(body)?;
            let at = self.names.stamp();
            self.pending.push(match named {
                Named::Statement(name) => Expected::CloseStatement { name: name.into(), at },
                Named::Portal(name) => Expected::ClosePortal { name: name.into(), at },
            });
            self.batch_open = true;
            Ok(Step::Relay { bytes: header.total() })
        })
    }

    fn ask(&mut self, command: Command, header: Header, bytes: usize, asked: Asked) -> Step {
        let overruled = asked.overruled.is_some();
        let (rest, unseen) = (header.total() - bytes, asked.unseen);
        self.question = Some(Question { command, rest, overruled, unseen });
        Step::Judge { bytes, asked: Box::new(asked) }
    }

    /// How the next text is read is in doubt, and the answer that settles it is on its way.
    fn must_settle(&self) -> bool {
        self.lexing.in_doubt() && !self.batch_open && !self.pending.is_empty()
    }
}

/// Reads a message that is short by nature.
fn small(
    header: Header,
    unread: &[u8],
    read: impl FnOnce(&[u8]) -> Result<Step, Malformed>,
) -> Result<Step, Fault> {
    match header.body(unread, SMALL_MESSAGE_BYTES_MAX).map_err(malformed)? {
        Body::Need { bytes } => Ok(Step::Need { bytes }),
        Body::Whole(body) => read(body).map_err(malformed),
    }
}

fn asked(purpose: Purpose, text: Arc<[u8]>) -> Asked {
    Asked {
        purpose,
        language: Language::PostgresSql,
        text_bytes: text.len() as u64,
        text,
        known: None::<Arc<Facts>>,
        unseen: false,
        parameters: Vec::<Parameter>::new(),
        overruled: None,
    }
}

fn name_too_long() -> Refusal {
    refusal(
        RefusalKind::Unsupported,
        "the name of the statement or portal is too long",
        "Use a name of at most 63 bytes.",
    )
}

fn too_many_names() -> Refusal {
    refusal(
        RefusalKind::TooLarge,
        "the session holds too many prepared statements or portals",
        "Close those that are no longer used.",
    )
}

fn refusal(kind: RefusalKind, message: &str, hint: &str) -> Refusal {
    Refusal { kind, message: message.into(), hint: Some(hint.into()) }
}

const fn malformed(malformed: Malformed) -> Fault {
    malformed.by(Leg::Downstream)
}
