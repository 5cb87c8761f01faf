//! `narrows dev-issuer`: an OIDC issuer for development and the demo. It publishes a discovery
//! document and a key set on loopback; tokens come from `narrows token dev`. Anybody who can read
//! its folder can be anybody, so it refuses to be reachable from elsewhere.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cli::dev_keys::{DevAlgorithm, DevFolder, DevKeyError};
use crate::cli::{Context, Exit, fail, waiting};

/// Serve a development OIDC issuer on a loopback address. Not for production.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  narrows dev-issuer --dir /tmp/issuer --listen 127.0.0.1:9400
  narrows token dev --dir /tmp/issuer --claim repository=acme/shop

Configure it as:
  [[issuer]]
  name      = \"dev\"
  issuer    = \"http://127.0.0.1:9400\"
  audiences = [\"narrows\"]")]
pub struct Args {
    /// Folder for its keys; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Signature algorithm of keys that it makes.
    #[arg(long, value_enum, default_value = "RS256")]
    pub algorithm: DevAlgorithm,
    /// Make a new signing key; the older ones stay published.
    #[arg(long)]
    pub rotate: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DevIssuerError {
    #[error("{address} is not a loopback address, and this issuer must not be reachable")]
    NotLoopback { address: SocketAddr },
    #[error(transparent)]
    Keys(#[from] DevKeyError),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

/// Serves until it is interrupted; prints the issuer's URL as the first line.
#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    match waiting(serve(args, context)) {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(error)) => fail(&error),
        Err(error) => fail(&error),
    }
}

async fn serve(args: &Args, context: &Context) -> Result<(), DevIssuerError> {
    let folder = DevFolder::at(&args.dir)?;
    if args.rotate || !folder.has_key()? {
        folder.add_key(args.algorithm)?;
    }
    let issuer = DevIssuer::bind(args.listen, folder).await?;
    // Whoever waits for the line sees if it could not be printed.
    let _printed = context.print(issuer.url());
    tokio::select! {
        served = issuer.serve() => served.map_err(DevIssuerError::Serve)?,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(DevIssuerError::Serve)?,
    }
    Ok(())
}

/// A development issuer that has its address.
pub struct DevIssuer {
    listener: TcpListener,
    url: Arc<str>,
    folder: Arc<DevFolder>,
}

impl DevIssuer {
    pub async fn bind(address: SocketAddr, folder: DevFolder) -> Result<Self, DevIssuerError> {
        if !address.ip().is_loopback() {
            return Err(DevIssuerError::NotLoopback { address });
        }
        let failed = |source| DevIssuerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        folder.set_url(&url)?;
        Ok(Self { listener, url: url.into(), folder: Arc::new(folder) })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers until it is dropped.
    pub async fn serve(self) -> io::Result<()> {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let (stream, _) = self.listener.accept().await?;
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return Ok(()) };
            let (url, folder) = (Arc::clone(&self.url), Arc::clone(&self.folder));
            tokio::spawn(async move {
                let _held = place;
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = answer(&request, &url, &folder);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                // A client that breaks off concerns nobody here.
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(IDLE_MAX)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }
}

fn answer(request: &Request<Incoming>, url: &str, folder: &DevFolder) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    }
    match request.uri().path() {
        "/.well-known/openid-configuration" => json(&serde_json::json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        })),
        "/jwks" => match folder.key_set().map(serde_json::to_value) {
            Ok(Ok(set)) => json(&set),
            Ok(Err(_)) | Err(_) => {
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the keys cannot be read\n")
            }
        },
        _ => plain(StatusCode::NOT_FOUND, "this is a development OIDC issuer\n"),
    }
}

fn json(value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(value.to_string().into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

const CONNECTIONS_MAX: usize = 64;
const IDLE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
