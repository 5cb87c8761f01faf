//! One leg's end of a connection: TLS if there is any, the bytes that wait for their recording to
//! be durable, and the bytes that leave at the end of the turn.

use std::collections::VecDeque;

use crate::io::buf::Chunk;
use crate::io::tls::{Tls, TlsError};
use crate::io::{ConnKey, Driver, Shard};
use crate::record::{RecordFailure, Recorded, Tap};

pub(super) struct Socket {
    pub(super) conn: ConnKey,
    pub(super) tls: Option<Tls>,
    /// TLS was begun and its handshake is not over.
    pub(super) shaking_hands: bool,
    /// Bytes that stood here were given up: what follows them would be taken for their rest.
    muted: bool,
    /// Our own words have no proof, and wait for what stands before them.
    gate: VecDeque<(Option<Recorded>, Chunk)>,
    gated_bytes: usize,
    outgoing: Vec<Chunk>,
    /// Ciphertext of the handshake, or of alerts, that waits for the end of the turn.
    sealed: Vec<u8>,
}

impl Socket {
    pub(super) fn new(conn: ConnKey) -> Self {
        Self {
            conn,
            tls: None,
            shaking_hands: false,
            muted: false,
            gate: VecDeque::new(),
            gated_bytes: 0,
            outgoing: Vec::new(),
            sealed: Vec::new(),
        }
    }

    pub(super) fn begin_tls(&mut self, tls: Tls) {
        self.tls = Some(tls);
        self.shaking_hands = true;
    }

    /// Our own words, which wait for nothing but what stands before them.
    pub(super) fn greet(&mut self, chunk: Chunk) {
        if self.muted {
            return;
        }
        if self.gate.is_empty() {
            self.outgoing.push(chunk);
        } else {
            self.gated_bytes += chunk.len();
            self.gate.push_back((None, chunk));
        }
    }

    /// Recorded bytes; they leave once their record is as durable as the mode demands.
    pub(super) fn forward(&mut self, chunk: Chunk, proof: Recorded) {
        if self.muted {
            return;
        }
        self.gated_bytes += chunk.len();
        self.gate.push_back((Some(proof), chunk));
    }

    /// Lets through what is as durable as the mode demands.
    pub(super) fn release(&mut self, tap: &mut Tap) -> Result<(), RecordFailure> {
        while let Some((proof, _)) = self.gate.front() {
            if let Some(proof) = proof
                && !tap.durable(proof)?
            {
                break;
            }
            if let Some((_, chunk)) = self.gate.pop_front() {
                self.gated_bytes -= chunk.len();
                self.outgoing.push(chunk);
            }
        }
        Ok(())
    }

    /// Recorded bytes that will never be durable are not let through, nor is anything behind them.
    pub(super) fn abandon(&mut self) {
        self.muted |= !self.gate.is_empty();
        self.gate.clear();
        self.gated_bytes = 0;
    }

    pub(super) fn is_gated(&self) -> bool {
        !self.gate.is_empty()
    }

    /// Gives everything that may leave to the driver.
    pub(super) fn flush(&mut self, shard: &mut Shard) -> Result<(), TlsError> {
        let Some(tls) = &mut self.tls else {
            if !self.outgoing.is_empty() {
                shard.send(self.conn, self.outgoing.drain(..));
            }
            return Ok(());
        };
        let mut sealed = Ok(());
        // Application bytes wait until the peer can read them; handshake bytes do not.
        if !self.shaking_hands && !self.outgoing.is_empty() {
            sealed = tls.seal(self.outgoing.iter().map(|chunk| &**chunk), &mut self.sealed);
            self.outgoing.clear();
        }
        tls.drain(&mut self.sealed);
        if !self.sealed.is_empty() {
            let records = Chunk::from(std::mem::take(&mut self.sealed));
            shard.send(self.conn, std::iter::once(records));
        }
        sealed
    }

    /// Sends what is left, and that nothing follows.
    pub(super) fn say_goodbye(&mut self, shard: &mut Shard) {
        if let Err(error) = self.flush(shard) {
            tracing::debug!(%error, "the last bytes could not be sealed");
        }
        if let Some(tls) = &mut self.tls {
            let mut records = Vec::new();
            tls.close_notify(&mut records);
            shard.send(self.conn, std::iter::once(Chunk::from(records)));
        }
    }

    /// Bytes that this leg has not yet taken.
    pub(super) fn backlog_bytes(&self, shard: &Shard) -> usize {
        self.gated_bytes + shard.queued_bytes(self.conn)
    }

    /// Keeps queued chunks out of the buffer pool.
    pub(super) fn unpin(&mut self) {
        for (_, chunk) in &mut self.gate {
            *chunk = chunk.unpin();
        }
    }
}
