//! The operator's side of the admin socket, and the reviewer's of the admin address. Blocking, for commands that ask one thing and end.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use openidconnect::url::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::control::api::{
    self, ApprovalLine, DecideRequest, KillRequest, Killed, Problem, Reloaded, Sessions, Status,
};
use crate::control::fetch::{FetchError, Fetcher, Patience};
use crate::identity::{UrlError, trustworthy_url};
use crate::limits::{ADMIN_ANSWER_BYTES_MAX, ADMIN_ANSWER_MS_MAX};
use crate::model::approval::ApprovalId;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "nobody serves {}: is narrows running? Start it with `narrows run`, or name its socket with --socket",
        path.display()
    )]
    NotRunning { path: PathBuf },
    #[error(
        "{} may be used by its owner and root only: run this as the user that narrows runs as",
        path.display()
    )]
    Forbidden { path: PathBuf },
    #[error("no runtime to ask with")]
    Runtime { source: io::Error },
    #[error("this is no path to ask for")]
    Path,
    #[error("cannot speak over {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{url} cannot be asked")]
    Address { url: String, source: UrlError },
    #[error("the token cannot be sent: it has characters that no token has")]
    Token,
    #[error("cannot ask over {url}")]
    Fetch { url: String, source: FetchError },
    #[error("no answer within {seconds} seconds")]
    TimedOut { seconds: u64 },
    #[error("the connection ended within the answer")]
    Http { source: hyper::Error },
    #[error("the answer is over {ADMIN_ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error(
        "the answer is not what this version of narrows expects; is the other one of another version?"
    )]
    Unreadable { source: serde_json::Error },
    /// Narrows understood and refused.
    #[error("{}", problem.error)]
    Refused { status: u16, problem: Problem },
}

/// Whom to ask. Each question makes its own connection.
pub struct Client {
    way: Way,
}

enum Way {
    Socket(PathBuf),
    Address { url: Url, authorization: HeaderValue, fetcher: Box<Fetcher> },
}

impl Client {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { way: Way::Socket(path.to_owned()) }
    }

    /// Asks at an admin address, with a token, which goes over TLS or stays on this machine.
    pub fn at(url: &str, token: &str, ca: Option<&Path>) -> Result<Self, ClientError> {
        let address = trustworthy_url(url)
            .map_err(|source| ClientError::Address { url: url.to_owned(), source })?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| ClientError::Token)?;
        authorization.set_sensitive(true);
        let fetcher = Fetcher::new(ca)
            .map_err(|source| ClientError::Fetch { url: url.to_owned(), source })?;
        let fetcher = Box::new(fetcher);
        Ok(Self { way: Way::Address { url: address, authorization, fetcher } })
    }

    pub fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, api::STATUS, Bytes::new())
    }

    pub fn sessions(&self) -> Result<Sessions, ClientError> {
        self.ask(Method::GET, api::SESSIONS, Bytes::new())
    }

    pub fn kill(&self, scope: &KillRequest) -> Result<Killed, ClientError> {
        self.ask(Method::POST, api::KILL, encode(scope)?)
    }

    /// A page of requests, by what stands behind the `?` of the address.
    pub fn approvals(&self, query: &str) -> Result<api::Approvals, ClientError> {
        self.ask(Method::GET, &format!("{}?{query}", api::APPROVALS), Bytes::new())
    }

    pub fn approval(&self, id: ApprovalId) -> Result<ApprovalLine, ClientError> {
        self.ask(Method::GET, &format!("{}/{id}", api::APPROVALS), Bytes::new())
    }

    pub fn decide(&self, decision: &DecideRequest) -> Result<ApprovalLine, ClientError> {
        self.ask(Method::POST, api::DECIDE, encode(decision)?)
    }

    pub fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, api::RELOAD, Bytes::new())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ClientError::Runtime { source })?;
        let (status, body) = match &self.way {
            Way::Socket(socket) => runtime.block_on(in_time(over(socket, method, path, body)))?,
            Way::Address { url, authorization, fetcher } => {
                let failed = |source| ClientError::Fetch { url: url.to_string(), source };
                let place = url.join(path).map_err(|_| ClientError::Address {
                    url: url.to_string(),
                    source: UrlError::NotAUrl,
                })?;
                let request = Request::builder()
                    .method(method)
                    .uri(place.as_str())
                    .header(AUTHORIZATION, authorization)
                    .header(CONTENT_TYPE, JSON)
                    .body(Full::new(body))
                    .map_err(|source| failed(FetchError::Request(source)))?;
                let answer = runtime.block_on(fetcher.ask(request, PATIENCE)).map_err(failed)?;
                (answer.status(), answer.into_body())
            }
        };
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|source| ClientError::Unreadable { source });
        }
        let problem =
            serde_json::from_slice(&body).map_err(|source| ClientError::Unreadable { source })?;
        Err(ClientError::Refused { status: status.as_u16(), problem })
    }
}

async fn over(
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), ClientError> {
    let stream = UnixStream::connect(socket).await.map_err(|source| absent(socket, source))?;
    let http = |source| ClientError::Http { source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| ClientError::Path)?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("narrows"));
    headers.insert(CONTENT_TYPE, JSON);
    let asking = async {
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ADMIN_ANSWER_BYTES_MAX).collect().await;
        match body {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(source) => ClientError::Http { source: *source },
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>());
                    ClientError::TooLarge
                }
            }),
        }
    };
    // The connection does the reading and writing while the question is asked.
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = asking.as_mut() => answer,
        ended = connection => match ended {
            Ok(()) => asking.await,
            Err(source) => Err(http(source)),
        },
    }
}

fn absent(socket: &Path, source: io::Error) -> ClientError {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    let path = socket.to_owned();
    if matches!(source.kind(), NotFound | ConnectionRefused) {
        ClientError::NotRunning { path }
    } else if source.kind() == PermissionDenied {
        ClientError::Forbidden { path }
    } else {
        ClientError::Io { path, source }
    }
}

async fn in_time<T>(
    question: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let time = Duration::from_millis(ADMIN_ANSWER_MS_MAX);
    match tokio::time::timeout(time, question).await {
        Ok(answer) => answer,
        Err(_) => Err(ClientError::TimedOut { seconds: time.as_secs() }),
    }
}

fn encode(value: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| ClientError::Unreadable { source })
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PATIENCE: Patience =
    Patience { bytes_max: ADMIN_ANSWER_BYTES_MAX, ms_max: ADMIN_ANSWER_MS_MAX };
