//! PostgreSQL.

mod cancelling;
mod clients;
mod disk;
mod hostile;
mod observing;
mod opening;
mod operating;
mod recording;
mod refusals;
mod reloading;
mod servers;
mod sqlx;
mod targets;
mod tokio_postgres;
