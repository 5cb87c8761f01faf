//! End to end: real clients, the real gateway, real servers. `world` holds what all tests share.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
mod support;

mod postgres;
mod world;
