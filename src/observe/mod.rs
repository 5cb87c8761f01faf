//! What the outside learns of us: audit events, metrics and logs. Knows how to render and where to
//! write; decides nothing, and no failure here reaches a session.

/// Audit events as OCSF objects.
pub mod events;
/// Logs of our own doings, to standard error.
pub mod log;
/// What workers and other rooms report of themselves.
pub mod metrics;
/// Reports as Prometheus text.
pub mod prometheus;
/// Events to a file, by a thread of its own.
pub mod sink;
