//! The bot's side of a connection up to its credentials: first bytes, TLS, start-up, password.
//! Knows nothing of who may enter; it hands out a `Login` and keeps the start-up packet.

use crate::limits::PASSWORD_MESSAGE_BYTES_MAX;
use crate::model::secret::Secret;
use crate::model::session::Leg;
use crate::wire::postgres::encode;
use crate::wire::postgres::frame::{Body, HEADER_BYTES, Header};
use crate::wire::postgres::message::{self, Malformed, Reader};
use crate::wire::postgres::reply::Words;
use crate::wire::postgres::startup::{self, First, Startup};
use crate::wire::{Farewell, Fault, Login, Said, Step, TlsFacts};

/// The protocol name that a client offers when it begins with TLS at once.
const ALPN: &[u8] = b"postgresql";
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

pub struct Greeting {
    state: State,
    tls_offered: bool,
    /// What the bot is to be told when the connection ends here.
    words: Option<Words>,
}

enum State {
    AwaitFirst { ssl_asked: bool, gss_asked: bool },
    AwaitTls { direct: bool },
    AwaitStartup,
    AwaitPassword { startup: Startup },
    AwaitAdmission { startup: Startup },
    Cancelling,
}

impl Greeting {
    pub const fn new(tls_offered: bool) -> Self {
        Self {
            state: State::AwaitFirst { ssl_asked: false, gss_asked: false },
            tls_offered,
            words: None,
        }
    }

    pub fn step(&mut self, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        match self.state {
            State::AwaitFirst { ssl_asked, gss_asked } => {
                self.first(ssl_asked, gss_asked, unread, said)
            }
            State::AwaitStartup => self.inside_tls(unread, said),
            State::AwaitPassword { .. } => self.password(unread),
            State::AwaitTls { .. } | State::AwaitAdmission { .. } | State::Cancelling => {
                Ok(Step::Wait)
            }
        }
    }

    pub fn tls_started(&mut self, facts: &TlsFacts) -> Result<(), Fault> {
        let State::AwaitTls { direct } = self.state else {
            return Err(fault("TLS began where nobody asked for it"));
        };
        match facts.alpn.as_deref() {
            Some(ALPN) => {}
            None if !direct => {}
            Some(_) => return Err(fault("TLS was negotiated for another protocol")),
            None => return Err(fault("TLS began at once, but without a protocol name")),
        }
        self.state = State::AwaitStartup;
        Ok(())
    }

    /// The start-up packet of a bot that awaits admission.
    pub fn admitted(self) -> Option<Startup> {
        match self.state {
            State::AwaitAdmission { startup } => Some(startup),
            State::AwaitFirst { .. }
            | State::AwaitTls { .. }
            | State::AwaitStartup
            | State::AwaitPassword { .. }
            | State::Cancelling => None,
        }
    }

    /// What the bot can be told now. Before its start-up packet it takes an error for an answer
    /// to something else, and during the handshake it cannot read one.
    pub fn last_words(&mut self, why: Farewell) -> Option<Words> {
        if let Some(words) = self.words.take() {
            return Some(words);
        }
        match self.state {
            State::AwaitPassword { .. } | State::AwaitAdmission { .. } => {
                Some(Words::farewell(why))
            }
            State::AwaitFirst { .. }
            | State::AwaitTls { .. }
            | State::AwaitStartup
            | State::Cancelling => None,
        }
    }

    fn first(
        &mut self,
        ssl_asked: bool,
        gss_asked: bool,
        unread: &[u8],
        said: &mut Said,
    ) -> Result<Step, Fault> {
        match unread.first() {
            None => return Ok(Step::Need { bytes: 1 }),
            Some(&TLS_HANDSHAKE) if self.tls_offered && !ssl_asked => {
                self.state = State::AwaitTls { direct: true };
                return Ok(Step::StartTls { bytes: 0, leg: Leg::Downstream });
            }
            Some(_) => {}
        }
        match startup::first(unread).map_err(by_bot)? {
            First::Need { bytes } => Ok(Step::Need { bytes }),
            First::Ssl { .. } if ssl_asked => Err(fault("TLS was asked for twice")),
            First::Gss { .. } if gss_asked => Err(fault("GSSAPI was asked for twice")),
            First::Ssl { bytes } if self.tls_offered => {
                // Bytes behind the request would be read as if they had come through TLS.
                if unread.len() > bytes {
                    return Err(fault("bytes follow the request for TLS"));
                }
                said.downstream.push(b'S');
                self.state = State::AwaitTls { direct: false };
                Ok(Step::StartTls { bytes, leg: Leg::Downstream })
            }
            First::Ssl { bytes } => {
                said.downstream.push(b'N');
                self.state = State::AwaitFirst { ssl_asked: true, gss_asked };
                Ok(Step::Drop { bytes })
            }
            First::Gss { bytes } => {
                if unread.len() > bytes {
                    return Err(fault("bytes follow the request for GSSAPI"));
                }
                said.downstream.push(b'N');
                self.state = State::AwaitFirst { ssl_asked, gss_asked: true };
                Ok(Step::Drop { bytes })
            }
            First::Cancel { key } => {
                self.state = State::Cancelling;
                Ok(Step::Cancel { key })
            }
            First::Startup { version, .. } if version >> 16 == 3 => {
                self.words = Some(if self.tls_offered {
                    Words::farewell(Farewell::TlsRequired)
                } else {
                    Words::new("28000", "this listener has no TLS, and takes no token without it")
                });
                Err(fault("a session was asked for without TLS"))
            }
            First::Startup { version, body, .. } => {
                self.words = startup::read(version, unread.get(body).unwrap_or_default()).err();
                Err(fault("the first packet is not of this protocol"))
            }
        }
    }

    fn inside_tls(&mut self, unread: &[u8], said: &mut Said) -> Result<Step, Fault> {
        match startup::first(unread).map_err(by_bot)? {
            First::Need { bytes } => Ok(Step::Need { bytes }),
            First::Ssl { .. } => Err(fault("TLS was asked for inside TLS")),
            First::Gss { .. } => Err(fault("GSSAPI was asked for inside TLS")),
            First::Cancel { key } => {
                self.state = State::Cancelling;
                Ok(Step::Cancel { key })
            }
            First::Startup { bytes, version, body } => {
                match startup::read(version, unread.get(body).unwrap_or_default()) {
                    Ok(asked) => {
                        let version = asked.startup.version;
                        if asked.negotiate {
                            encode::negotiate(&mut said.downstream, version, &asked.unknown);
                        }
                        encode::ask_password(&mut said.downstream);
                        self.state = State::AwaitPassword { startup: asked.startup };
                        Ok(Step::Drop { bytes })
                    }
                    Err(words) => {
                        self.words = Some(words);
                        Err(fault("the start-up packet asks for what is not allowed"))
                    }
                }
            }
        }
    }

    fn password(&mut self, unread: &[u8]) -> Result<Step, Fault> {
        let Some(header) = Header::read(unread).map_err(by_bot)? else {
            return Ok(Step::Need { bytes: HEADER_BYTES });
        };
        match header.tag {
            b'p' => {}
            b'X' if header.body_bytes == 0 => return Ok(Step::Finish { bytes: header.total() }),
            _ => return Err(fault("something else came in the place of the password")),
        }
        let body = match header.body(unread, PASSWORD_MESSAGE_BYTES_MAX).map_err(by_bot)? {
            Body::Need { bytes } => return Ok(Step::Need { bytes }),
            Body::Whole(body) => body,
        };
        let mut reader = Reader::new(body);
        let token = reader.string().map_err(by_bot)?;
        reader.finish().map_err(by_bot)?;
        let taken = std::mem::replace(&mut self.state, State::Cancelling);
        let State::AwaitPassword { startup } = taken else {
            return Err(fault("a password came unasked"));
        };
        let login = Login {
            user: startup.user.clone(),
            database: startup.database.clone(),
            token: Secret::new(token.to_vec()),
        };
        self.state = State::AwaitAdmission { startup };
        Ok(Step::Login { bytes: header.total(), login: Box::new(login) })
    }
}

const fn fault(what: &'static str) -> Fault {
    Fault { leg: Leg::Downstream, what }
}

const fn by_bot(malformed: message::Malformed) -> Fault {
    Malformed::by(malformed, Leg::Downstream)
}
