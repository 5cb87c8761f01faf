//! PostgreSQL.

mod cancelling;
mod clients;
mod cutting;
mod disk;
mod holding;
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
