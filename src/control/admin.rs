//! The admin endpoints: JSON for the operator's commands on a Unix socket; metrics, health and, for
//! reviewers who show a token, requests for approval on an optional TCP address. Knows HTTP and whom
//! to ask; what is asked is the fleet's business.

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
use rustls::ServerConfig;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::control::api::{self, ApprovalState, KillRequest, Problem, RecorderState};
use crate::control::approvals::{Approvals, Human, Page, StoreError, Undecided};
pub use crate::control::socket::Reach;
use crate::control::socket::{AdminSocket, SocketError};
use crate::control::{Fleet, bearer, desk};
use crate::limits::{
    ADMIN_BODY_BYTES_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_CONVERSATION_MS_MAX, ADMIN_HEAD_BYTES_MAX,
    ADMIN_HEADERS_MAX, ADMIN_REQUEST_MS_MAX,
};
use crate::model::approval::ApprovalId;
use crate::observe::prometheus;
use crate::observe::sink::EventQueue;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot bind the admin address {address}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("the admin address {address} is not on loopback and has no certificate")]
    Exposed { address: SocketAddr },
    #[error("cannot register the admin sockets with the runtime")]
    Register { source: std::io::Error },
}

/// Bound and not yet serving, so that a start that must fail does so before anything else runs.
pub struct Admin {
    socket: AdminSocket,
    tcp: Option<std::net::TcpListener>,
    tls: Option<TlsAcceptor>,
}

impl Admin {
    pub fn bind(
        socket: &Path,
        address: Option<SocketAddr>,
        tls: Option<Arc<ServerConfig>>,
        reach: Reach,
    ) -> Result<Self, AdminError> {
        // Tokens pass here.
        if let Some(address) = address.filter(|at| tls.is_none() && !at.ip().is_loopback()) {
            return Err(AdminError::Exposed { address });
        }
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
        Ok(Self { socket, tcp, tls: tls.map(TlsAcceptor::from) })
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
                let entrance = Entrance::Tcp(listener, self.tls);
                attend(entrance, Arc::clone(&desk), shutdown.clone()).await;
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
            Ok(caller) => {
                let conversation = converse(caller, Arc::clone(&desk), shutdown.clone());
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
    Tcp(TcpListener, Option<TlsAcceptor>),
}

impl Entrance {
    async fn accept(&self) -> std::io::Result<Caller> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let door = Door::Unix { operator: operator(&stream), human: human(&stream) };
                Ok(Caller { stream: Box::new(stream), tls: None, door })
            }
            Self::Tcp(listener, tls) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Caller { stream: Box::new(stream), tls: tls.clone(), door: Door::Tcp { peer } })
            }
        }
    }
}

/// Somebody who has connected and has not spoken yet.
struct Caller {
    stream: Box<dyn Stream>,
    /// What has to be agreed on first.
    tls: Option<TlsAcceptor>,
    door: Door,
}

impl Caller {
    async fn greet(self) -> std::io::Result<(Box<dyn Stream>, Door)> {
        let Some(tls) = self.tls else { return Ok((self.stream, self.door)) };
        let time = Duration::from_millis(ADMIN_REQUEST_MS_MAX);
        let agreed = tokio::time::timeout(time, tls.accept(self.stream)).await??;
        Ok((Box::new(agreed), self.door))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Which way a request came in; it decides what may be asked.
#[derive(Clone)]
enum Door {
    /// The operator, root, or a reviewer. Names the peer for the audit event.
    Unix { operator: String, human: Human },
    /// Anybody who reaches the address; a reviewer, if a token says so.
    Tcp { peer: SocketAddr },
}

/// What a request asks for, once method and path are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Status,
    Sessions,
    Kill,
    Reload,
    Approvals,
    Approval,
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
            path if approval_at(path).is_some() => Self::Approval,
            _ => return None,
        })
    }

    const fn method(self) -> Method {
        match self {
            Self::Kill | Self::Reload | Self::Decide => Method::POST,
            Self::Status
            | Self::Sessions
            | Self::Approvals
            | Self::Approval
            | Self::Metrics
            | Self::Health => Method::GET,
        }
    }

    const fn needs(self) -> Needs {
        match self {
            Self::Metrics | Self::Health => Needs::Nothing,
            Self::Approvals | Self::Approval | Self::Decide => Needs::Reviewer,
            Self::Status | Self::Sessions | Self::Kill | Self::Reload => Needs::Operator,
        }
    }
}

/// What a peer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A local user or the bearer of a token who is one, or the operator.
    Reviewer,
    Operator,
}

pub(super) type Answer = Response<Full<Bytes>>;

/// Serves one connection to its end.
async fn converse(caller: Caller, desk: Arc<desk::Desk>, mut shutdown: watch::Receiver<bool>) {
    let (stream, door) = match caller.greet().await {
        Ok(greeted) => greeted,
        Err(error) => {
            tracing::debug!(%error, "an admin connection failed at TLS");
            return;
        }
    };
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
    let (operator, human) = match admit(&request, asked, door, desk).await {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
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
            Ok(scope) => json(StatusCode::OK, &desk.kill(scope.into(), &operator).await),
            Err(refused) => refused,
        },
        Asked::Reload => match desk.reload(&operator).await {
            Ok(reloaded) => json(StatusCode::OK, &reloaded),
            Err(details) => {
                let text = "the configuration was refused and the one in force stays";
                problem(StatusCode::UNPROCESSABLE_ENTITY, text, details)
            }
        },
        Asked::Approvals | Asked::Approval | Asked::Decide => match human {
            Some(human) => review(request, asked, human, desk).await,
            None => problem(StatusCode::FORBIDDEN, "nobody is known to ask", Vec::new()),
        },
        Asked::Metrics => {
            let page = prometheus::render(&desk.snapshot().await);
            respond(StatusCode::OK, prometheus::CONTENT_TYPE, page.into())
        }
        Asked::Health => health(desk).await,
    }
}

/// Whom the request comes from, if they may ask for this: the operator's name, and the human.
async fn admit(
    request: &Request<Incoming>,
    asked: Asked,
    door: &Door,
    desk: &desk::Desk,
) -> Result<(String, Option<Human>), Box<Answer>> {
    let (operator, human) = match (door, asked.needs()) {
        (Door::Unix { operator, human }, _) => (operator.clone(), human.clone()),
        (Door::Tcp { .. }, Needs::Nothing) => return Ok((String::new(), None)),
        (Door::Tcp { .. }, Needs::Operator) => {
            let text = "this address serves /metrics, /healthz and, for reviewers, /v1/approvals; \
                        ask over the admin socket";
            return Err(Box::new(problem(StatusCode::FORBIDDEN, text, Vec::new())));
        }
        (Door::Tcp { peer }, Needs::Reviewer) => {
            let shown = bearer::token(request.headers()).map_err(bearer::refused)?;
            let human = desk.identify(shown, *peer).await.map_err(bearer::unknown)?;
            (human.name.clone(), human)
        }
    };
    let may = match asked.needs() {
        Needs::Nothing => true,
        Needs::Reviewer => desk.approvals().is_reviewer(&human),
        Needs::Operator => human.operates,
    };
    if !may {
        let text = format!("{} may not ask for this", human.name);
        return Err(Box::new(problem(StatusCode::FORBIDDEN, &text, Vec::new())));
    }
    Ok((operator, Some(human)))
}

/// Requests for approval, to whoever decides on them.
async fn review(
    request: Request<Incoming>,
    asked: Asked,
    human: Human,
    desk: &desk::Desk,
) -> Answer {
    if asked == Asked::Decide {
        return match decide_request(request).await {
            Ok(asked) => decided(desk.decide(asked, human).await),
            Err(refused) => refused,
        };
    }
    let failed = |error: StoreError| {
        problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string(), Vec::new())
    };
    if let Some(id) = approval_at(request.uri().path()) {
        return match desk.request(id.to_owned(), human).await {
            Ok(Some(line)) => json(StatusCode::OK, &line),
            Ok(None) => decided(Err(Undecided::Unknown { id: id.to_owned() })),
            Err(error) => failed(error),
        };
    }
    let Some(page) = page(request.uri().query().unwrap_or_default()) else {
        let text = "ask by state=, before=apr_… and limit= alone";
        return problem(StatusCode::BAD_REQUEST, text, Vec::new());
    };
    desk.requests(page, human).await.map_or_else(failed, |page| json(StatusCode::OK, &page))
}

/// The request that a path names.
fn approval_at(path: &str) -> Option<&str> {
    path.strip_prefix(api::APPROVALS)?.strip_prefix('/').filter(|id| id.starts_with("apr_"))
}

fn page(query: &str) -> Option<Page> {
    let mut page = Page::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=')? {
            ("state", word) => page.state = Some(ApprovalState::named(word)?),
            ("before", id) => page.before = Some(ApprovalId::parse(id)?),
            ("limit", count) => page.limit = count.parse::<usize>().ok()?.clamp(1, page.limit),
            _ => return None,
        }
    }
    Some(page)
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
                Undecided::NoReason | Undecided::NoHash => StatusCode::BAD_REQUEST,
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

pub(super) fn problem(code: StatusCode, error: &str, details: Vec<String>) -> Answer {
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
            Human::local(uid, user_name(uid), uid == own || uid == 0)
        }
        Err(_) => Human::local(u32::MAX, "unknown".to_owned(), false),
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
