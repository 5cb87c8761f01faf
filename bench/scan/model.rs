//! The one part of the vocabulary that `scan` uses.

#[path = "../../src/model/entity.rs"]
#[expect(dead_code, reason = "only sets of entities are needed here")]
pub mod entity;
