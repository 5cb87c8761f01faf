//! Narrows: one passage between bots and infrastructure, and nothing crosses it unseen.
//!
//! The modules stand in the order in which a chunk of bytes meets them.

/// Every bound, its reason, and the relations between them.
pub mod limits;
/// The vocabulary: identities, targets, commands, facts, verdicts, sessions, events.
pub mod model;
/// Sockets, buffers and TLS: two drivers, io_uring and epoll, behind one trait.
pub mod io;
/// Wire protocols as sans-IO machines: bytes in, steps out.
pub mod wire;
/// Sensitive values in bytes, found by what they look like.
pub mod scan;
/// Command text to facts, facts to a verdict.
pub mod judge;
/// Answers without the values that policy protects.
pub mod mask;
/// Both directions of every session, in append-only segments.
pub mod record;
/// Tokens to principals, and the credentials that upstream logins lease.
pub mod identity;
/// The one order of things: open, judge, record, forward, answer, close.
pub mod session;
/// Audit events, metrics and logs.
pub mod observe;
/// Files to model types; refuses what it does not know.
pub mod config;
/// A pinned thread, its driver and its sessions.
pub mod worker;
/// Everything slow: key sets, reload, the admin socket, name resolution.
pub mod control;
/// The operator's commands.
pub mod cli;
/// What must hold for every input: shared by fuzz targets and the replay of their corpus.
#[doc(hidden)]
pub mod fuzzing;
