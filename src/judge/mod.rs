//! The judge: command text to facts, facts to a verdict. Knows no protocol, no socket, no clock.

pub mod classify;
pub mod policy;

pub use classify::Classifier;
