//! TLS fed with bytes. Knows records and handshakes through rustls; no socket, no policy. Whoever
//! holds it moves ciphertext between it and a connection.

mod binding;
mod config;
mod verifier;

use std::fmt;
use std::io::{BufRead, IoSlice, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::limits::TLS_BUFFER_BYTES;

pub use binding::server_end_point;
pub use config::{TlsConfigError, client_config, server_config, server_name};

/// One TLS connection, either side of it.
pub struct Tls {
    connection: Connection,
    flow: Flow,
}

/// What the peer's bytes did to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// The peer said that it sends no more. An end of the stream without this was cut off.
    PeerClosed,
}

/// Why TLS ended. What rustls says is the source, for it may quote the peer's certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("a TLS connection cannot be started")]
    Start { source: rustls::Error },
    #[error("the peer's certificate was not accepted")]
    PeerCertificate { source: rustls::Error },
    #[error("the peer refused with a TLS alert")]
    PeerAlert { source: rustls::Error },
    #[error("the peer offered no application protocol of ours")]
    Alpn { source: rustls::Error },
    #[error("no TLS version or cipher suite in common")]
    NothingInCommon { source: rustls::Error },
    #[error("the peer broke the TLS protocol")]
    Protocol { source: rustls::Error },
    #[error("plaintext was to be sent before the handshake was done")]
    TooEarly,
    #[error("the TLS buffers did not take what was given")]
    Buffers,
}

impl Tls {
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection =
            ServerConnection::new(config).map_err(|source| TlsError::Start { source })?;
        Ok(Self::bounded(connection.into()))
    }

    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection =
            ClientConnection::new(config, name).map_err(|source| TlsError::Start { source })?;
        Ok(Self::bounded(connection.into()))
    }

    /// Takes the peer's bytes, all of them, and gives what they decrypt to, piece by piece.
    /// `drain` afterwards, also after an error: handshakes answer, and failures send an alert.
    pub fn feed(
        &mut self,
        mut ciphertext: &[u8],
        plain: &mut impl FnMut(&[u8]),
    ) -> Result<Flow, TlsError> {
        while !ciphertext.is_empty() {
            // Reading from a slice does not fail; rustls does when its own buffers are full, and
            // it takes nothing once the peer has closed.
            match self.connection.read_tls(&mut ciphertext) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return Err(TlsError::Buffers),
            }
            let state = self.connection.process_new_packets().map_err(TlsError::from_peer)?;
            if state.peer_has_closed() {
                self.flow = Flow::PeerClosed;
            }
            self.take_plaintext(plain);
        }
        Ok(self.flow)
    }

    /// Encrypts all of `plain`, one piece behind the other, into as few records as hold them, and appends
    /// these to `out`.
    pub fn seal<'p>(
        &mut self,
        plain: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        if !self.handshake_done() {
            return Err(TlsError::TooEarly);
        }
        let mut pieces: Vec<_> = plain.map(IoSlice::new).collect();
        let mut rest = pieces.as_mut_slice();
        // Drops empty pieces.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let taken = self.connection.writer().write_vectored(rest).unwrap_or(0);
            self.drain(out);
            if taken == 0 {
                return Err(TlsError::Buffers);
            }
            IoSlice::advance_slices(&mut rest, taken);
        }
        Ok(())
    }

    /// Appends to `out` the bytes that wait for the peer: handshake messages, alerts, key updates.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to a vector does not fail.
            if self.connection.write_tls(out).unwrap_or(0) == 0 {
                return;
            }
        }
    }

    /// Says that nothing more will be sent.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.drain(out);
    }

    #[must_use]
    pub fn handshake_done(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// The protocol agreed on; `None` where the client offered none.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The peer's own certificate, without its chain.
    #[must_use]
    pub fn peer_certificate_der(&self) -> Option<&[u8]> {
        self.connection.peer_certificates()?.first().map(AsRef::as_ref)
    }

    /// `tls-server-end-point` channel binding of the peer's certificate. `None` before there is
    /// one, and where RFC 5929 leaves it undefined.
    #[must_use]
    pub fn peer_end_point(&self) -> Option<Vec<u8>> {
        server_end_point(self.peer_certificate_der()?)
    }

    /// Version and cipher suite, for the audit trail.
    #[must_use]
    pub fn parameters(&self) -> Option<String> {
        let version = self.connection.protocol_version()?;
        let suite = self.connection.negotiated_cipher_suite()?.suite();
        Some(format!("{version:?} {suite:?}"))
    }

    fn bounded(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Self { connection, flow: Flow::Open }
    }

    fn take_plaintext(&mut self, plain: &mut impl FnMut(&[u8])) {
        let mut reader = self.connection.reader();
        // The error is that nothing more has been decrypted yet.
        while let Ok(piece) = reader.fill_buf() {
            let bytes = piece.len();
            if bytes == 0 {
                return;
            }
            plain(piece);
            reader.consume(bytes);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.connection {
            Connection::Client(_) => "client",
            Connection::Server(_) => "server",
        };
        f.debug_struct("Tls").field("side", &side).finish_non_exhaustive()
    }
}

impl TlsError {
    fn from_peer(source: rustls::Error) -> Self {
        if matches!(source, rustls::Error::InvalidCertificate(_)) {
            Self::PeerCertificate { source }
        } else if matches!(source, rustls::Error::AlertReceived(_)) {
            Self::PeerAlert { source }
        } else if matches!(source, rustls::Error::NoApplicationProtocol) {
            Self::Alpn { source }
        } else if matches!(source, rustls::Error::PeerIncompatible(_)) {
            Self::NothingInCommon { source }
        } else {
            Self::Protocol { source }
        }
    }
}

#[cfg(test)]
mod tests;
