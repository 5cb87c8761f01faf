//! Sockets, buffers and TLS. Knows descriptors and completions, no protocol and no policy.
//!
//! Two drivers stand behind one trait: `UringShard` and `EpollShard`. Each belongs to one worker
//! thread, owns that thread's chunks and connections, and speaks in completions: ask for one
//! receive, queue sends, then `wait`. The same suite of tests holds both to the same behaviour.

pub mod buf;
pub mod driver;
pub mod epoll;
pub mod probe;
pub mod tls;
pub mod uring;

mod outbox;
mod slots;
mod socket;
mod waker;

pub use buf::{Chunk, ChunkMut, Pool};
pub use driver::{
    Choice, Completion, ConnError, ConnKey, Driver, DriverError, DriverKind, ListenerKey, Shard,
};
pub use probe::{Report, UringUnavailable, probe};
pub use waker::Waker;

#[cfg(test)]
mod tests;
