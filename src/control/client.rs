//! The operator's side of the admin socket. Blocking, for commands that ask one thing and end.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::control::api::{
    self, ApprovalLine, DecideRequest, KillRequest, Killed, Problem, Reloaded, Sessions, Status,
};
use crate::limits::{ADMIN_ANSWER_BYTES_MAX, ADMIN_ANSWER_MS_MAX};

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
    #[error("cannot speak over {}", path.display())]
    Io { path: PathBuf, source: io::Error },
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

/// A socket to ask over. Each question makes its own connection.
pub struct Client {
    path: PathBuf,
}

impl Client {
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
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

    pub fn approvals(&self) -> Result<api::Approvals, ClientError> {
        self.ask(Method::GET, api::APPROVALS, Bytes::new())
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
        path: &'static str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let io = |source| ClientError::Io { path: self.path.clone(), source };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
        let (status, body) = runtime.block_on(in_time(self.exchange(method, path, body)))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|source| ClientError::Unreadable { source });
        }
        let problem =
            serde_json::from_slice(&body).map_err(|source| ClientError::Unreadable { source })?;
        Err(ClientError::Refused { status: status.as_u16(), problem })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.path).await.map_err(|source| self.absent(source))?;
        let http = |source| ClientError::Http { source };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = hyper::Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(HOST, hyper::header::HeaderValue::from_static("narrows"));
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
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

    fn absent(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        if matches!(source.kind(), NotFound | ConnectionRefused) {
            ClientError::NotRunning { path }
        } else if source.kind() == PermissionDenied {
            ClientError::Forbidden { path }
        } else {
            ClientError::Io { path, source }
        }
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
