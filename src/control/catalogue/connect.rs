//! A connection of the gateway's own to a target, under a connection's credential. Knows addresses,
//! TLS and how the session is set up; not what it is for.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};
use tokio_rustls::TlsConnector;

use crate::control::catalogue::{Place, ReadError};
use crate::control::dial;
use crate::identity::lease::Lessor;
use crate::io::tls;
use crate::limits::{CATALOGUE_CONNECT_MS_MAX, CATALOGUE_LOCK_MS_MAX, CATALOGUE_STATEMENT_MS_MAX};
use crate::model::target::Target;

/// A session that ends with its owner.
pub(in crate::control) struct Session {
    pub(in crate::control) client: Arc<Client>,
    driver: Driver,
}

/// Moves the session's bytes.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(in crate::control) async fn open(
        lessor: &Lessor,
        place: &Place,
    ) -> Result<Self, ReadError> {
        let (connection, target) = (&place.connection, &place.target);
        let dialled = dial::dial(lessor, target, Some(connection)).await?;
        let mut config = Config::new();
        config.user(&*connection.credential.username).dbname(&*place.database);
        config.application_name("narrows catalogue");
        // The client keeps a copy until the login is done, and does not wipe it.
        if let Some(password) = &dialled.password {
            password.with(|bytes| {
                config.password(bytes);
            });
        }
        let connector = Connector::to(target)?;
        let encrypted = connector.tls.is_some();
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        let stream = reach(&dialled.addresses).await?;
        let (client, connection) = config.connect_raw(stream, connector).await?;
        let driver = Driver(tokio::spawn(async move {
            // What ends the connection fails whatever waits for an answer, too.
            let _ended = connection.await;
        }));
        client.batch_execute(&settings()).await?;
        Ok(Self { client: Arc::new(client), driver })
    }

    /// Says goodbye, so that the server logs no broken connection.
    pub(in crate::control) async fn close(self) {
        let Self { client, mut driver } = self;
        drop(client);
        let within = Duration::from_millis(CATALOGUE_CONNECT_MS_MAX);
        let _ended = tokio::time::timeout(within, &mut driver.0).await;
    }
}

/// Names resolve to the server's own relations whatever the role's settings are, nothing is
/// written, and nobody else's lock is waited for.
fn settings() -> String {
    format!(
        "SET default_transaction_read_only = on; SET search_path = pg_catalog; \
         SET statement_timeout = {CATALOGUE_STATEMENT_MS_MAX}; \
         SET lock_timeout = {CATALOGUE_LOCK_MS_MAX}"
    )
}

async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, ReadError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the target's name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ReadError::Unreachable { source: last })
}

/// Wraps a connection as the target's `tls` setting demands.
struct Connector {
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Connector {
    fn to(target: &Target) -> Result<Self, ReadError> {
        let config = tls::client_config(&target.tls, target.client_cert.as_ref(), &[])?;
        let Some(config) = config else { return Ok(Self { tls: None }) };
        Ok(Self { tls: Some((config, tls::server_name(&target.tls, &target.host)?)) })
    }
}

impl TlsConnect<TcpStream> for Connector {
    type Stream = Channel;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Channel>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let absent = || io::Error::other("the target is to be reached without TLS");
            let (config, name) = self.tls.ok_or_else(absent)?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Channel { stream })
        })
    }
}

/// A TLS connection that a password exchange can be bound to.
struct Channel {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
}

impl TlsStream for Channel {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, connection) = self.stream.get_ref();
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        match certificate.and_then(|certificate| tls::server_end_point(certificate)) {
            Some(end_point) => ChannelBinding::tls_server_end_point(end_point),
            None => ChannelBinding::none(),
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
