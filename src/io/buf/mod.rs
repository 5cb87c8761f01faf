//! The buffers that received bytes live in. Knows memory and who still uses it, not what it holds.

mod chunk;
mod mapping;
mod pool;

pub use chunk::{Chunk, ChunkMut};
pub use pool::Pool;

pub(in crate::io) use mapping::Mapping;
pub(in crate::io) use pool::BufferId;

#[cfg(test)]
mod tests;
