//! The gateway's own reading of a catalogue, against real servers: what is made there by SQL is
//! looked up here by the numbers and names that answers and statements bear.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the other suites use what this one does not")]
mod support;

mod keeping;
mod roads;
mod world;
