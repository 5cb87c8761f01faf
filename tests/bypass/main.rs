//! A museum of bypasses: what hostile bots, strangers and targets try, and what comes of it. A case
//! that once worked stays here for good.
//!
//! The server's role is a superuser, so nothing but the gateway stands between a bot and the deed;
//! a superuser's own look at the database afterwards is the proof, beside the answers.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the other suite uses what this one does not")]
mod support;

mod doors;
mod frames;
mod masks;
mod masks_forms;
mod masks_steps;
mod names;
mod screens;
mod settings;
mod statements;
mod targets;
mod transactions;
mod world;
