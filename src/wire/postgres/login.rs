//! The target's side of a connection up to its AuthenticationOk: TLS, start-up, and the login
//! with a credential that the bot never sees. The other errand here is a cancel request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};

use crate::limits::LOGIN_MESSAGE_BYTES_MAX;
use crate::model::hex::hex;
use crate::model::secret::Secret;
use crate::model::session::Leg;
use crate::wire::postgres::encode;
use crate::wire::postgres::frame::{Body, HEADER_BYTES, Header};
use crate::wire::postgres::message::{self, Malformed, Reader};
use crate::wire::postgres::scram::{self, Binding, ScramError};
use crate::wire::postgres::startup::Startup;
use crate::wire::{CancelKey, Fault, Report, Said, Step, TlsFacts, UpstreamLogin};

/// What is to be delivered once the connection stands.
pub enum Purpose {
    Session(Startup),
    Cancel(CancelKey),
}

pub struct LoginUpstream {
    purpose: Purpose,
    username: String,
    password: Option<Secret<Vec<u8>>>,
    seed: [u8; 32],
    tls: Option<TlsFacts>,
    awaits: Awaits,
}

enum Awaits {
    TlsAnswer,
    Tls,
    Request,
    Challenge(scram::AwaitChallenge),
    Signature(scram::AwaitSignature),
    /// Everything that was asked for has been shown.
    Admission,
    /// A cancel request is never answered.
    End,
}

/// A step of the login, or its end.
pub enum Progress {
    Step(Step),
    Opened {
        bytes: usize,
    },
    /// The target's own words, for the log.
    Refused(Report),
}

impl LoginUpstream {
    /// `seed` is secret and used by nobody else; the nonce is made of it.
    pub fn begin(purpose: Purpose, login: UpstreamLogin, seed: [u8; 32], said: &mut Said) -> Self {
        let mut this = Self {
            purpose,
            username: login.username,
            password: login.password,
            seed,
            tls: None,
            awaits: Awaits::TlsAnswer,
        };
        if login.tls {
            encode::ssl_request(&mut said.upstream);
        } else {
            this.introduce(said);
        }
        this
    }

    pub fn tls_started(&mut self, facts: &TlsFacts, said: &mut Said) -> Result<(), Fault> {
        if !matches!(self.awaits, Awaits::Tls) {
            return Err(fault("TLS began where nobody asked for it"));
        }
        self.tls = Some(facts.clone());
        self.introduce(said);
        Ok(())
    }

    pub const fn is_session(&self) -> bool {
        matches!(self.purpose, Purpose::Session(_))
    }

    /// The bot's start-up packet, once the login is done.
    pub fn startup(self) -> Option<Startup> {
        match self.purpose {
            Purpose::Session(startup) => Some(startup),
            Purpose::Cancel(_) => None,
        }
    }

    pub fn step(&mut self, unread: &[u8], said: &mut Said) -> Result<Progress, Fault> {
        match self.awaits {
            Awaits::TlsAnswer => self.tls_answer(unread).map(Progress::Step),
            Awaits::Tls => Ok(Progress::Step(Step::Wait)),
            Awaits::End => Ok(Progress::Step(match unread.len() {
                0 => Step::Need { bytes: 1 },
                bytes => Step::Drop { bytes },
            })),
            Awaits::Request | Awaits::Challenge(_) | Awaits::Signature(_) | Awaits::Admission => {
                self.message(unread, said)
            }
        }
    }

    fn introduce(&mut self, said: &mut Said) {
        match &self.purpose {
            Purpose::Session(startup) => {
                encode::startup(&mut said.upstream, &self.username, startup);
                self.awaits = Awaits::Request;
            }
            Purpose::Cancel(key) => {
                encode::cancel_request(&mut said.upstream, key);
                self.awaits = Awaits::End;
            }
        }
    }

    fn tls_answer(&mut self, unread: &[u8]) -> Result<Step, Fault> {
        match unread {
            [] => Ok(Step::Need { bytes: 1 }),
            [b'S'] => {
                self.awaits = Awaits::Tls;
                Ok(Step::StartTls { bytes: 1, leg: Leg::Upstream })
            }
            [b'S', ..] => Err(fault("bytes follow the consent to TLS")),
            [b'N', ..] => Err(fault("the target does not offer TLS")),
            _ => Err(fault("the request for TLS was not answered")),
        }
    }

    fn message(&mut self, unread: &[u8], said: &mut Said) -> Result<Progress, Fault> {
        let Some(header) = Header::read(unread).map_err(by_target)? else {
            return Ok(Progress::Step(Step::Need { bytes: HEADER_BYTES }));
        };
        let body = match header.body(unread, LOGIN_MESSAGE_BYTES_MAX).map_err(by_target)? {
            Body::Need { bytes } => return Ok(Progress::Step(Step::Need { bytes })),
            Body::Whole(body) => body,
        };
        let bytes = header.total();
        match header.tag {
            b'R' => self.request(body, bytes, said),
            b'N' => Ok(Progress::Step(Step::Drop { bytes })),
            b'E' => {
                let head = message::error(body, true).map_err(by_target)?;
                Ok(Progress::Refused(Report::UpstreamLoginFailed {
                    code: head.code.unwrap_or_default(),
                    message: head.message.unwrap_or_default(),
                }))
            }
            _ => Err(fault("the login was answered by something else")),
        }
    }

    /// One of the Authentication messages, told apart by their first field.
    fn request(&mut self, body: &[u8], bytes: usize, said: &mut Said) -> Result<Progress, Fault> {
        let mut reader = Reader::new(body);
        let kind = reader.u32().map_err(by_target)?;
        let state = std::mem::replace(&mut self.awaits, Awaits::End);
        self.awaits = match (state, kind) {
            (Awaits::Request | Awaits::Admission, 0) => {
                reader.finish().map_err(by_target)?;
                return Ok(Progress::Opened { bytes });
            }
            (Awaits::Request, 3) => {
                reader.finish().map_err(by_target)?;
                self.clear_password(said)?
            }
            (Awaits::Request, 5) => {
                let salt = reader.array::<4>().map_err(by_target)?;
                reader.finish().map_err(by_target)?;
                self.md5_password(salt, said)?
            }
            (Awaits::Request, 10) => self.begin_scram(reader, said)?,
            (Awaits::Challenge(scram), 11) => {
                let (next, response) = self
                    .password()?
                    .with(|password| scram.answer(reader.remaining(), password))
                    .map_err(by_scram)?;
                encode::sasl_response(&mut said.upstream, &response);
                Awaits::Signature(next)
            }
            (Awaits::Signature(scram), 12) => {
                scram.verify(reader.remaining()).map_err(by_scram)?;
                Awaits::Admission
            }
            (Awaits::Challenge(_) | Awaits::Signature(_), 0) => {
                return Err(fault(
                    "the target let us in without showing that it knows the password",
                ));
            }
            (Awaits::Request, 2 | 6 | 7 | 9) => {
                return Err(fault("the target asks for a method of login that is not supported"));
            }
            (_, _) => return Err(fault("the target's login request is out of place")),
        };
        Ok(Progress::Step(Step::Drop { bytes }))
    }

    fn clear_password(&self, said: &mut Said) -> Result<Awaits, Fault> {
        if self.tls.is_none() {
            return Err(fault("the target asks for the password in clear without TLS"));
        }
        self.password()?.with(|password| encode::password(&mut said.upstream, password));
        Ok(Awaits::Admission)
    }

    fn md5_password(&self, salt: [u8; 4], said: &mut Said) -> Result<Awaits, Fault> {
        let inner = self.password()?.with(|password| {
            Md5::new().chain_update(password).chain_update(&self.username).finalize()
        });
        let outer = Md5::new().chain_update(hex(&inner)).chain_update(salt).finalize();
        encode::password(&mut said.upstream, format!("md5{}", hex(&outer)).as_bytes());
        Ok(Awaits::Admission)
    }

    fn begin_scram(&self, mut offer: Reader<'_>, said: &mut Said) -> Result<Awaits, Fault> {
        self.password()?;
        let (mut plain, mut plus) = (false, false);
        loop {
            match offer.string().map_err(by_target)? {
                b"" => break,
                b"SCRAM-SHA-256" => plain = true,
                b"SCRAM-SHA-256-PLUS" => plus = true,
                _ => {}
            }
        }
        offer.finish().map_err(by_target)?;
        let end_point = self.tls.as_ref().map(|facts| facts.server_end_point.clone());
        let binding = match end_point {
            Some(Some(digest)) if plus => Binding::EndPoint(digest),
            Some(Some(_)) if plain => Binding::NotOffered,
            None if plus => return Err(fault("the target offers channel binding without TLS")),
            Some(None) | None if plain => Binding::Unsupported,
            Some(_) | None => {
                return Err(fault("the target offers no SASL mechanism that is supported"));
            }
        };
        let mechanism = binding.mechanism();
        let nonce = STANDARD_NO_PAD.encode(scram::derive(&self.seed, b"scram nonce"));
        let (state, first) = scram::begin(binding, "", nonce);
        encode::sasl_initial(&mut said.upstream, mechanism, &first);
        Ok(Awaits::Challenge(state))
    }

    fn password(&self) -> Result<&Secret<Vec<u8>>, Fault> {
        self.password.as_ref().ok_or(fault("the target asks for a password and there is none"))
    }
}

const fn by_scram(error: ScramError) -> Fault {
    fault(match error {
        ScramError::Malformed => "the target's SCRAM message is malformed",
        ScramError::Nonce => "the target's SCRAM nonce does not continue ours",
        ScramError::Extension => "the target asks for an unknown SCRAM extension",
        ScramError::Rounds => "the target asks for an impossible number of SCRAM rounds",
        ScramError::Refused => "the target refused the SCRAM proof",
        ScramError::Signature => "the target does not know the password either",
    })
}

const fn fault(what: &'static str) -> Fault {
    Fault { leg: Leg::Upstream, what }
}

const fn by_target(malformed: Malformed) -> Fault {
    Malformed::by(malformed, Leg::Upstream)
}
