//! Every bound of the product, with its reason; const assertions relate them.
//! A section a room, in the order of lib.rs.

// io

/// A receive buffer. Holds a full TLS record's plaintext, and most answers whole.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Receive buffers a worker: 16 MiB in one mapping.
pub const CHUNKS_PER_WORKER: usize = 1024;
/// Below this many free chunks, received bytes are copied out and the chunk returned at once.
pub const CHUNKS_FREE_LOW: usize = CHUNKS_PER_WORKER / 4;
const _: () = assert!(CHUNKS_FREE_LOW < CHUNKS_PER_WORKER);
/// A leg with more than this queued for sending makes the other leg stop receiving.
pub const SEND_QUEUE_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(SEND_QUEUE_BYTES_MAX >= 4 * CHUNK_BYTES);

// wire

/// Statement text above this is refused with the protocol's own error: nobody can judge half of it.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

// judge

// mask

// record

// session

// worker

// identity

/// A token longer than this is refused before it is parsed.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

// config

// observe

// control
