//! Asks others over HTTP: no redirects, bounded in size and time, https with the system's
//! certificates or a stated set. Knows nothing of what it asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use openidconnect::url::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::limits::{ISSUER_ANSWER_BYTES_MAX, ISSUER_REQUEST_MS_MAX};

/// A client for one issuer, receiver or gateway.
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    roots: usize,
}

/// How much of an answer is read, and for how long it is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub bytes_max: usize,
    pub ms_max: u64,
}

pub struct Answer {
    pub body: Vec<u8>,
    /// `max-age` of the answer.
    pub keep: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("cannot read certificates from {}", path.display())]
    Ca { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{} holds no usable certificate", path.display())]
    CaEmpty { path: PathBuf },
    #[error("this system has no certificates to trust; name some with `ca`")]
    NoSystemRoots,
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the request cannot be made")]
    Request(#[source] hyper::http::Error),
    #[error("no answer")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("the answer's status is {status}")]
    Status { status: StatusCode },
    #[error("the answer breaks off or is over {bytes_max} bytes")]
    Body { bytes_max: usize, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no whole answer within {ms_max} ms")]
    TimedOut { ms_max: u64 },
}

impl Fetcher {
    pub fn new(ca: Option<&Path>) -> Result<Self, FetchError> {
        let trusted = roots(ca)?;
        let roots = trusted.len();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(FetchError::Tls)?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), roots })
    }

    /// A document. The caller has made sure that `url` is one to trust.
    pub async fn get(&self, url: &Url) -> Result<Answer, FetchError> {
        let request = Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Full::default())
            .map_err(FetchError::Request)?;
        let answer = self.ask(request, ISSUER_PATIENCE).await?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { status: answer.status() });
        }
        let keep = max_age(answer.headers());
        Ok(Answer { body: answer.into_body().into(), keep })
    }

    /// Any question, and whatever is answered. As for trust, see `get`.
    pub async fn ask(
        &self,
        mut request: Request<Full<Bytes>>,
        patience: Patience,
    ) -> Result<Response<Bytes>, FetchError> {
        if self.roots == 0 && request.uri().scheme_str() == Some("https") {
            return Err(FetchError::NoSystemRoots);
        }
        let agent = HeaderValue::from_static(concat!("narrows/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let Patience { bytes_max, ms_max } = patience;
        let work = async {
            let answer = self.client.request(request).await.map_err(FetchError::Connect)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, bytes_max).collect().await;
            let body = body.map_err(|source| FetchError::Body { bytes_max, source })?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        tokio::time::timeout(Duration::from_millis(ms_max), work)
            .await
            .map_err(|_| FetchError::TimedOut { ms_max })?
    }
}

const ISSUER_PATIENCE: Patience =
    Patience { bytes_max: ISSUER_ANSWER_BYTES_MAX, ms_max: ISSUER_REQUEST_MS_MAX };

fn roots(ca: Option<&Path>) -> Result<RootCertStore, FetchError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        let failed = |source| FetchError::Ca { path: path.to_owned(), source };
        let certificates: Vec<CertificateDer<'_>> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(failed)?;
        roots.add_parsable_certificates(certificates);
        if roots.is_empty() {
            return Err(FetchError::CaEmpty { path: path.to_owned() });
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(roots)
}

/// `Cache-Control: max-age` (RFC 9111, section 5.2.2.1), where nothing forbids keeping at all.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                found = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
            }
        }
    }
    found
}
