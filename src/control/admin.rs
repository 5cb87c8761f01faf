//! The admin endpoints: JSON for the operator's commands on a Unix socket, and metrics and health
//! alone on an optional TCP address, which has no authentication and therefore changes nothing.
//! Knows HTTP and whom to ask; what is asked is the fleet's business.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::control::api::{self, KillRequest, Problem, RecorderState};
use crate::control::approvals::{Approvals, Human, Undecided};
pub use crate::control::socket::Reach;
use crate::control::socket::{AdminSocket, SocketError};
use crate::control::{Fleet, desk};
use crate::limits::{
    ADMIN_BODY_BYTES_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_CONVERSATION_MS_MAX, ADMIN_HEAD_BYTES_MAX,
    ADMIN_HEADERS_MAX, ADMIN_REQUEST_MS_MAX,
};
use crate::observe::prometheus;
use crate::observe::sink::EventQueue;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot bind the admin address {address}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("cannot register the admin sockets with the runtime")]
    Register { source: std::io::Error },
}

/// Bound and not yet serving, so that a start that must fail does so before anything else runs.
#[derive(Debug)]
pub struct Admin {
    socket: AdminSocket,
    tcp: Option<std::net::TcpListener>,
}

impl Admin {
    pub fn bind(
        socket: &Path,
        address: Option<SocketAddr>,
        reach: Reach,
    ) -> Result<Self, AdminError> {
        let socket = AdminSocket::bind(socket, reach)?;
        let tcp = match address {
            None => None,
            Some(address) => {
                let failed = |source| AdminError::Bind { address, source };
                let listener = std::net::TcpListener::bind(address).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Some(listener)
            }
        };
        Ok(Self { socket, tcp })
    }

    /// Where the TCP endpoint listens: tells the port that the kernel chose for port 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` turns true or its sender is gone; requests under way are finished.
    /// Runs on any tokio runtime with I/O, time and blocking threads.
    pub async fn serve(
        self,
        fleet: Arc<dyn Fleet>,
        events: EventQueue,
        approvals: Arc<Approvals>,
        shutdown: watch::Receiver<bool>,
    ) -> Result<(), AdminError> {
        let registered = |source| AdminError::Register { source };
        let unix = self.socket.listener.try_clone().map_err(registered)?;
        let unix = Entrance::Unix(UnixListener::from_std(unix).map_err(registered)?);
        let tcp = self.tcp.map(TcpListener::from_std).transpose().map_err(registered)?;
        let desk = Arc::new(desk::Desk::new(fleet, events, approvals));
        let by_tcp = async {
            if let Some(listener) = tcp {
                attend(Entrance::Tcp(listener), Arc::clone(&desk), shutdown.clone()).await;
            }
        };
        tokio::join!(attend(unix, Arc::clone(&desk), shutdown.clone()), by_tcp);
        drop(self.socket);
        Ok(())
    }
}

/// Accepts until the end and sees every connection out. Each entrance has room of its own: who
/// fills the one cannot keep the operator out of the other.
async fn attend(entrance: Entrance, desk: Arc<desk::Desk>, mut shutdown: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while !*shutdown.borrow() {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, entrance.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            changed = shutdown.changed() => if changed.is_err() { break } else { continue },
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, door)) => {
                let conversation = converse(stream, door, Arc::clone(&desk), shutdown.clone());
                connections.spawn(async move {
                    if tokio::time::timeout(CONVERSATION, conversation).await.is_err() {
                        tracing::debug!("an admin connection was cut off");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: to try again at once would spin.
                tracing::warn!(%error, "cannot accept an admin connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(PARTING, ended).await.is_err() {
        tracing::warn!("admin requests were cut off at the end");
    }
}

enum Entrance {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Entrance {
    async fn accept(&self) -> std::io::Result<(Box<dyn Stream>, Door)> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let door = Door::Unix { operator: operator(&stream), human: human(&stream) };
                Ok((Box::new(stream), door))
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Door::Tcp))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Which way a request came in; it decides what may be asked.
#[derive(Clone)]
enum Door {
    /// The operator, root, or a reviewer. Names the peer for the audit event.
    Unix { operator: String, human: Human },
    /// Anybody who reaches the address.
    Tcp,
}

/// What a request asks for, once method and path are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Status,
    Sessions,
    Kill,
    Reload,
    Approvals,
    Decide,
    Metrics,
    Health,
}

impl Asked {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            api::STATUS => Self::Status,
            api::SESSIONS => Self::Sessions,
            api::KILL => Self::Kill,
            api::RELOAD => Self::Reload,
            api::APPROVALS => Self::Approvals,
            api::DECIDE => Self::Decide,
            api::METRICS => Self::Metrics,
            api::HEALTH => Self::Health,
            _ => return None,
        })
    }

    const fn method(self) -> Method {
        match self {
            Self::Kill | Self::Reload | Self::Decide => Method::POST,
            Self::Status | Self::Sessions | Self::Approvals | Self::Metrics | Self::Health => {
                Method::GET
            }
        }
    }

    const fn needs(self) -> Needs {
        match self {
            Self::Metrics | Self::Health => Needs::Nothing,
            Self::Approvals | Self::Decide => Needs::Reviewer,
            Self::Status | Self::Sessions | Self::Kill | Self::Reload => Needs::Operator,
        }
    }
}

/// What a peer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A local user who is named as one, or the operator.
    Reviewer,
    Operator,
}

type Answer = Response<Full<Bytes>>;

/// Serves one connection to its end.
async fn converse(
    stream: Box<dyn Stream>,
    door: Door,
    desk: Arc<desk::Desk>,
    mut shutdown: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let (door, desk) = (door.clone(), Arc::clone(&desk));
        async move { Ok::<_, Infallible>(answer(request, &door, &desk).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(ADMIN_REQUEST_MS_MAX))
        .max_buf_size(ADMIN_HEAD_BYTES_MAX)
        .max_headers(ADMIN_HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = shutdown.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that hangs up or stalls is its own business.
        tracing::debug!(%error, "an admin connection ended early");
    }
}

async fn answer(request: Request<Incoming>, door: &Door, desk: &desk::Desk) -> Answer {
    let Some(asked) = Asked::at(request.uri().path()) else {
        return problem(StatusCode::NOT_FOUND, "there is nothing at this path", Vec::new());
    };
    let (operator, human) = match door {
        Door::Unix { operator, human } => {
            let may = match asked.needs() {
                Needs::Nothing => true,
                Needs::Reviewer => human.operates || desk.approvals().is_reviewer(human),
                Needs::Operator => human.operates,
            };
            if !may {
                let text = format!("{} may not ask for this", human.name);
                return problem(StatusCode::FORBIDDEN, &text, Vec::new());
            }
            (operator.as_str(), Some(human))
        }
        Door::Tcp if asked.needs() != Needs::Nothing => {
            let text = "this address has no authentication and serves /metrics and /healthz only; \
                        ask over the admin socket";
            return problem(StatusCode::FORBIDDEN, text, Vec::new());
        }
        Door::Tcp => ("", None),
    };
    if request.method() != asked.method() {
        let text = format!("this path takes {} only", asked.method());
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, &text, Vec::new());
        if let Ok(value) = asked.method().as_str().parse() {
            answer.headers_mut().insert(ALLOW, value);
        }
        return answer;
    }
    match asked {
        Asked::Status => json(StatusCode::OK, &api::Status::from(&desk.snapshot().await)),
        Asked::Sessions => json(StatusCode::OK, &desk.sessions().await),
        Asked::Kill => match kill_request(request).await {
            Ok(scope) => json(StatusCode::OK, &desk.kill(scope.into(), operator).await),
            Err(refused) => refused,
        },
        Asked::Reload => match desk.reload(operator).await {
            Ok(reloaded) => json(StatusCode::OK, &reloaded),
            Err(details) => {
                let text = "the configuration was refused and the one in force stays";
                problem(StatusCode::UNPROCESSABLE_ENTITY, text, details)
            }
        },
        Asked::Approvals => match desk.requests().await {
            Ok(requests) => json(StatusCode::OK, &requests),
            Err(error) => {
                problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), Vec::new())
            }
        },
        Asked::Decide => match (decide_request(request).await, human) {
            (Ok(asked), Some(human)) => decided(desk.decide(asked, human.clone()).await),
            (Err(refused), _) => refused,
            (Ok(_), None) => problem(StatusCode::FORBIDDEN, "nobody is known to ask", Vec::new()),
        },
        Asked::Metrics => {
            let page = prometheus::render(&desk.snapshot().await);
            respond(StatusCode::OK, prometheus::CONTENT_TYPE, page.into())
        }
        Asked::Health => health(desk).await,
    }
}

/// A gateway that cannot record or whose workers hang should get no new connections.
async fn health(desk: &desk::Desk) -> Answer {
    let status = api::Status::from(&desk.snapshot().await);
    let (code, text) = if status.workers_silent > 0 {
        (StatusCode::SERVICE_UNAVAILABLE, format!("silent workers: {}\n", status.workers_silent))
    } else if status.recorder.state == RecorderState::Failed {
        (StatusCode::SERVICE_UNAVAILABLE, "the recorder has failed\n".to_owned())
    } else {
        (StatusCode::OK, "ok\n".to_owned())
    };
    respond(code, "text/plain; charset=utf-8", text.into())
}

fn decided(outcome: Result<api::ApprovalLine, Undecided>) -> Answer {
    match outcome {
        Ok(line) => json(StatusCode::OK, &line),
        Err(why) => {
            let code = match why {
                Undecided::Unknown { .. } => StatusCode::NOT_FOUND,
                Undecided::Settled { .. } | Undecided::Voted { .. } | Undecided::OtherHash => {
                    StatusCode::CONFLICT
                }
                Undecided::NotAReviewer { .. } | Undecided::OwnRequest { .. } => {
                    StatusCode::FORBIDDEN
                }
                Undecided::NoReason => StatusCode::BAD_REQUEST,
                Undecided::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            problem(code, &why.to_string(), Vec::new())
        }
    }
}

async fn kill_request(request: Request<Incoming>) -> Result<KillRequest, Answer> {
    let body = body(request).await?;
    serde_json::from_slice(&body).map_err(|_| {
        let text = "say whom to end: {\"session\": id}, {\"account\": name}, {\"target\": name} \
                    or \"all\"";
        problem(StatusCode::BAD_REQUEST, text, Vec::new())
    })
}

async fn decide_request(request: Request<Incoming>) -> Result<api::DecideRequest, Answer> {
    let body = body(request).await?;
    serde_json::from_slice(&body).map_err(|_| {
        let text = "say what is decided: {\"id\": \"apr_…\", \"approve\": true or false, \
                    \"reason\": text, \"hash\": its beginning}";
        problem(StatusCode::BAD_REQUEST, text, Vec::new())
    })
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let body = Limited::new(request.into_body(), ADMIN_BODY_BYTES_MAX).collect();
    let time = Duration::from_millis(ADMIN_REQUEST_MS_MAX);
    let refuse = |code, text| problem(code, text, Vec::new());
    match tokio::time::timeout(time, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not arrive")),
    }
}

fn problem(code: StatusCode, error: &str, details: Vec<String>) -> Answer {
    json(code, &Problem { error: error.to_owned(), details })
}

fn json(code: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => respond(code, "application/json", body.into()),
        Err(error) => {
            tracing::error!(%error, "an admin answer cannot be rendered");
            respond(StatusCode::INTERNAL_SERVER_ERROR, "application/json", Bytes::new())
        }
    }
}

fn respond(code: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    answer
}

/// Who sits at the other end, as the kernel tells.
fn operator(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => match peer.pid() {
            Some(pid) => format!("uid {}, pid {pid}", peer.uid()),
            None => format!("uid {}", peer.uid()),
        },
        Err(_) => "unknown".to_owned(),
    }
}

fn human(stream: &UnixStream) -> Human {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) => {
            let uid = peer.uid();
            Human { uid, name: user_name(uid), operates: uid == own || uid == 0 }
        }
        Err(_) => Human { uid: u32::MAX, name: "unknown".to_owned(), operates: false },
    }
}

/// The local user's name, or the number where the machine knows none.
fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

/// A connection that is still open then is cut off, so that idle and slow clients keep nobody out.
const CONVERSATION: Duration = Duration::from_millis(ADMIN_CONVERSATION_MS_MAX);
/// How long requests under way may take at the end.
const PARTING: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
