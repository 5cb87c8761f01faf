//! Answers without the values that policy protects: which columns those are, and what stands in
//! their place. Knows columns, types and texts, not the messages that they stand in nor who asks.

pub mod catalogue;
pub mod cell;
pub mod edit;
pub mod guard;
pub mod hide;
mod over;
pub mod plan;
pub mod reach;
mod types;
