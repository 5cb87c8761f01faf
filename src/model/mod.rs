//! The vocabulary of the house: identities, targets, commands, facts, verdicts, sessions, events.
//! Knows shapes and their invariants; no behaviour, no bytes of any wire.

pub mod approval;
pub mod command;
pub mod entity;
pub mod event;
pub mod facts;
pub mod hex;
pub mod identity;
pub mod inert;
pub mod mask;
pub mod recording;
pub mod secret;
pub mod session;
pub mod target;
pub mod time;
pub mod units;
pub mod verdict;
