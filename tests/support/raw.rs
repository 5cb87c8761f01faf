//! A PostgreSQL client that sends exactly what a test says and shows exactly what came back.
//!
//! Knows framing and the cleartext login, nothing else. Answers are written as a short transcript:
//! `T D D C(SELECT 2) Z(I)`; an error is `E(42501)`, a fatal one `E(FATAL 57P01)`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::endpoint::Endpoint;

pub struct Raw {
    stream: Box<dyn Stream>,
    /// The process id and the secret of BackendKeyData.
    pub key: Option<(u32, Vec<u8>)>,
    /// The stream ended by an error, a reset perhaps, and not by a farewell.
    broken: bool,
}

trait Stream: Read + Write + Send {
    /// What the other side showed of itself, DER.
    fn certificate(&self) -> Option<Vec<u8>>;
}

impl Stream for TcpStream {
    fn certificate(&self) -> Option<Vec<u8>> {
        None
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn certificate(&self) -> Option<Vec<u8>> {
        Some(self.conn.peer_certificates()?.first()?.to_vec())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Raw {
    /// TCP alone, nothing said.
    pub fn plain(port: u16) -> Self {
        Self { stream: Box::new(tcp(port)), key: None, broken: false }
    }

    /// TLS after an SSLRequest.
    pub fn tls(port: u16, ca: &Path) -> Self {
        let mut tcp = tcp(port);
        tcp.write_all(&SSL_REQUEST).unwrap();
        let mut answer = [0];
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"S", "the answer to SSLRequest");
        Self { stream: Box::new(shake_hands(tcp, ca, &[])), key: None, broken: false }
    }

    /// TLS from the first byte, with these protocols offered (ALPN).
    pub fn direct_tls(port: u16, ca: &Path, alpn: &[&[u8]]) -> Self {
        Self { stream: Box::new(shake_hands(tcp(port), ca, alpn)), key: None, broken: false }
    }

    /// Logged in and idle.
    pub fn login(endpoint: &Endpoint) -> Self {
        let mut raw = Self::tls(endpoint.port, &endpoint.ca);
        let answers = raw.authenticate(endpoint);
        assert_eq!(answers.last().map(|last| last.tag), Some(b'Z'), "{}", transcript(&answers));
        raw
    }

    /// Start-up and password; everything that came back, to ReadyForQuery or the end.
    pub fn authenticate(&mut self, endpoint: &Endpoint) -> Vec<Message> {
        self.send(&startup(&[("user", &endpoint.user), ("database", &endpoint.database)]));
        let Some(request) = self.read() else { return Vec::new() };
        if request.tag == b'R' && request.body == AUTHENTICATION_CLEARTEXT {
            self.send(&password(&endpoint.password));
        } else if request.tag != b'R' {
            return vec![request];
        }
        let answers = self.until_ready();
        if let Some(key) = answers.iter().find(|message| message.tag == b'K') {
            let (pid, secret) = key.body.split_first_chunk().unwrap();
            self.key = Some((u32::from_be_bytes(*pid), secret.to_vec()));
        }
        answers
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// As `send`, for a peer that may have hung up already.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Bytes as they come, for what is no message: the answer to an SSLRequest.
    pub fn read_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.fill(&mut byte).then_some(byte[0])
    }

    /// The next message; `None` at the end of the stream.
    pub fn read(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        if !self.fill(&mut header) {
            return None;
        }
        let [tag, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        assert!(self.fill(&mut body), "the stream ends inside a message");
        Some(Message { tag, body })
    }

    /// Every byte up to the end of the stream, whole messages or not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // An end without a farewell of TLS comes as an error, behind the bytes.
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// All messages up to and with ReadyForQuery, or up to the end of the stream.
    pub fn until_ready(&mut self) -> Vec<Message> {
        self.until(b'Z')
    }

    /// All messages up to and with the first of this type, or up to the end of the stream.
    pub fn until(&mut self, tag: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.read() {
            let last = message.tag == tag;
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }

    /// A simple query and the transcript of its answer.
    pub fn query(&mut self, sql: &str) -> String {
        self.send(&query(sql));
        transcript(&self.until_ready())
    }

    /// The certificate that the other side showed, DER; `None` before anything was said inside TLS.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.stream.certificate()
    }

    /// True if the other side has hung up, and politely: end of stream, not a reset.
    pub fn is_finished(&mut self) -> bool {
        self.read().is_none() && !self.broken
    }

    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer in time"),
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }
}

fn tcp(port: u16) -> TcpStream {
    let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_write_timeout(Some(PATIENCE)).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp
}

fn shake_hands(
    tcp: TcpStream,
    ca: &Path,
    alpn: &[&[u8]],
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp)
}

/// One message of the given type.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A start-up message of protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    startup_version(0x0003_0000, parameters)
}

pub fn startup_version(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    let mut bytes = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

pub fn password(password: &str) -> Vec<u8> {
    message(b'p', &[password.as_bytes(), b"\0"].concat())
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat())
}

/// Text parameters, text results.
pub fn bind(portal: &str, statement: &str, parameters: &[&str]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
    for parameter in parameters {
        body.extend(u32::try_from(parameter.len()).unwrap().to_be_bytes());
        body.extend(parameter.as_bytes());
    }
    body.extend([0, 0]);
    message(b'B', &body)
}

/// `what` is `S` for a statement, `P` for a portal.
pub fn describe(what: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{what}{name}\0").as_bytes())
}

pub fn close(what: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{what}{name}\0").as_bytes())
}

pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows_max.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub fn copy_data(data: &str) -> Vec<u8> {
    message(b'd', data.as_bytes())
}

pub fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', &[reason.as_bytes(), b"\0"].concat())
}

/// A call of `txid_current()` by the fast path: function 2943, no argument formats, no arguments.
pub fn function_call() -> Vec<u8> {
    message(b'F', &[&2943_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat())
}

/// Parse, Bind, Describe and Execute of the unnamed statement, without Sync.
pub fn extended(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), describe('P', ""), execute("", 0)].concat()
}

/// One word a message.
pub fn transcript(messages: &[Message]) -> String {
    let words: Vec<String> = messages.iter().map(word).collect();
    words.join(" ")
}

fn word(message: &Message) -> String {
    let tag = char::from(message.tag);
    match message.tag {
        b'C' => format!("C({})", text(message.body.split_last().unwrap().1)),
        b'Z' => format!("Z({})", text(&message.body)),
        b'E' if error_field(message, b'V').as_deref() == Some("ERROR") => {
            format!("E({})", error_field(message, b'C').unwrap_or_default())
        }
        b'E' => format!(
            "E({} {})",
            error_field(message, b'V').unwrap_or_default(),
            error_field(message, b'C').unwrap_or_default()
        ),
        _ => tag.to_string(),
    }
}

/// A field of an ErrorResponse or a NoticeResponse, by its letter.
pub fn error_field(message: &Message, letter: u8) -> Option<String> {
    message
        .body
        .split(|&byte| byte == 0)
        .find_map(|field| field.split_first().filter(|(first, _)| **first == letter))
        .map(|(_, value)| text(value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
pub const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
const AUTHENTICATION_CLEARTEXT: [u8; 4] = [0, 0, 0, 3];
/// Longer than the gateway's own patience with a target.
const PATIENCE: Duration = Duration::from_secs(30);

/// A CancelRequest with a key as BackendKeyData gave it.
pub fn cancel_request(pid: u32, secret: &[u8]) -> Vec<u8> {
    let length = u32::try_from(12 + secret.len()).unwrap();
    [&length.to_be_bytes()[..], &80_877_102_u32.to_be_bytes(), &pid.to_be_bytes(), secret].concat()
}
