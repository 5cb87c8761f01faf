//! The segment being written: gives each block its place, gathers blocks into batches, and knows
//! what is durable. Performs no input or output.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;
use zstd_safe::{CCtx, CParameter, DCtx};

use crate::limits::BLOCK_RAW_BYTES_MAX;
use crate::record::block::{self, BLOCK_HEADER_BYTES, BlockHeader, BlockKind, Codec};
use crate::record::disk::File;
use crate::record::index::{self, IndexEntry};
use crate::record::segment::{HEADER_BYTES, SegmentHeader, TRAILER_BYTES, Trailer};
use crate::record::sync::{Cut, Loss, Progress, Urgency};

pub(super) struct OpenSegment {
    pub header: SegmentHeader,
    pub path: PathBuf,
    pub file: Rc<File>,
    /// Invariant: durable_bytes <= gathering.at <= end_bytes <= limit_bytes.
    pub durable_bytes: u64,
    pub durable_blocks: u64,
    end_bytes: u64,
    limit_bytes: u64,
    next_block_seq: u64,
    last_at: HashMap<Uuid, u64>,
    index: Vec<IndexEntry>,
    pub gathering: Batch,
    /// Written, not yet synced; kept to be written elsewhere if the sync fails.
    pub unsynced: Vec<Batch>,
}

/// Blocks that lie together in the file.
pub(super) struct Batch {
    pub at: u64,
    pub bytes: Vec<u8>,
    pub blocks: Vec<Stored>,
    pub urgency: Urgency,
    /// When the first block came.
    pub since: Option<Instant>,
}

/// One block in a batch.
pub(super) struct Stored {
    pub progress: Option<Arc<Progress>>,
    pub header: BlockHeader,
    /// What it still counts for on its session's queue.
    pub queued_bytes: usize,
    pub loss: Option<Loss>,
    /// Where the payload lies in the batch.
    payload_at: usize,
}

/// A block without its place.
pub(super) struct Packed<'a> {
    pub progress: Option<Arc<Progress>>,
    pub header: BlockHeader,
    pub payload: &'a [u8],
    pub urgency: Urgency,
    pub queued_bytes: usize,
    pub loss: Option<Loss>,
}

impl OpenSegment {
    pub fn new(header: SegmentHeader, path: PathBuf, file: File, limit_bytes: u64) -> Self {
        let mut gathering = Batch::at(0, Vec::new());
        gathering.bytes = header.encode();
        Self {
            header,
            path,
            file: Rc::new(file),
            durable_bytes: 0,
            durable_blocks: 0,
            end_bytes: HEADER_BYTES as u64,
            limit_bytes,
            next_block_seq: 0,
            last_at: HashMap::new(),
            index: Vec::new(),
            gathering,
            unsynced: Vec::new(),
        }
    }

    /// Whether a block with this payload still leaves room for the footer.
    pub fn fits(&self, payload_bytes: usize) -> bool {
        let block = (BLOCK_HEADER_BYTES + payload_bytes).next_multiple_of(8) as u64;
        let footer = index::bytes_max(self.index.len() + 1, self.last_at.len() + 1);
        self.end_bytes + block + footer + TRAILER_BYTES as u64 <= self.limit_bytes
    }

    pub fn push(&mut self, packed: Packed<'_>, now: Instant) -> u64 {
        let Packed { progress, mut header, payload, urgency, queued_bytes, loss } = packed;
        header.block_seq = self.next_block_seq;
        self.next_block_seq += 1;
        header.back_bytes = 0;
        if !header.session.is_nil() {
            let before = self.last_at.insert(header.session, self.end_bytes);
            header.back_bytes = before.map_or(0, |at| self.end_bytes - at);
            self.index.push(IndexEntry {
                session: header.session,
                at: self.end_bytes,
                base_unix_ns: header.base_unix_ns,
                session_seq: header.session_seq,
            });
        }
        let payload_at = self.gathering.bytes.len() + BLOCK_HEADER_BYTES;
        header.encode(self.header.segment, payload, &mut self.gathering.bytes);
        self.gathering.blocks.push(Stored { progress, header, queued_bytes, loss, payload_at });
        self.gathering.since.get_or_insert(now);
        if urgency == Urgency::Awaited {
            self.gathering.urgency = Urgency::Awaited;
        }
        self.end_bytes += header.stored_bytes();
        header.stored_bytes()
    }

    /// The batch to write now; later blocks gather in a new one, in `buffer`.
    pub fn take_batch(&mut self, buffer: Vec<u8>) -> Batch {
        std::mem::replace(&mut self.gathering, Batch::at(self.end_bytes, buffer))
    }

    /// Everything up to the end of the last unsynced batch is durable.
    pub fn settle(&mut self) -> Vec<Batch> {
        let settled = std::mem::take(&mut self.unsynced);
        self.durable_bytes = self.gathering.at;
        self.durable_blocks += settled.iter().map(|batch| batch.blocks.len() as u64).sum::<u64>();
        settled
    }

    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced.iter().map(|batch| batch.bytes.len()).sum()
    }

    /// When the oldest block came that is not durable.
    pub fn oldest(&self) -> Option<Instant> {
        self.unsynced.iter().chain(Some(&self.gathering)).filter_map(|batch| batch.since).min()
    }

    pub fn take_index(&mut self) -> Vec<Vec<u8>> {
        index::encode(&mut std::mem::take(&mut self.index))
    }

    /// Appends the trailer to the gathering batch. `index_at` is where the INDEX blocks begin.
    pub fn push_trailer(&mut self, index_at: u64, open_sessions: u64) -> u64 {
        let trailer = Trailer {
            index_at,
            index_bytes: self.end_bytes - index_at,
            blocks: self.next_block_seq,
            valid_bytes: self.end_bytes,
            open_sessions,
        };
        self.gathering.bytes.extend_from_slice(&trailer.encode(self.header.segment));
        self.end_bytes + TRAILER_BYTES as u64
    }

    pub const fn end_bytes(&self) -> u64 {
        self.end_bytes
    }
}

impl Batch {
    fn at(at: u64, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { at, bytes, blocks: Vec::new(), urgency: Urgency::Gathered, since: None }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn payload(&self, stored: &Stored) -> &[u8] {
        let end = stored.payload_at + stored.header.payload_bytes();
        self.bytes.get(stored.payload_at..end).unwrap_or_default()
    }

    /// A block as its tap left it, to be noted as lost.
    pub fn unpack(&self, stored: &Stored) -> Cut {
        let header = &stored.header;
        let raw = unpack(header, self.payload(stored));
        let mut cut = Cut::of_record(header.kind, header.session_seq, header.base_unix_ns, raw);
        cut.run_count = header.run_count;
        cut.queued_bytes = stored.queued_bytes;
        cut.loss = stored.loss;
        cut
    }
}

/// Compresses with one context for the life of the thread.
pub(super) struct Compressor {
    context: CCtx<'static>,
    out: Vec<u8>,
}

impl Compressor {
    pub fn new() -> Option<Self> {
        let mut context = CCtx::try_create()?;
        for parameter in PARAMETERS {
            context.set_parameter(parameter).ok()?;
        }
        Some(Self { context, out: Vec::with_capacity(zstd_safe::compress_bound(PACK_BYTES)) })
    }

    /// The payload as it is stored: compressed where that makes it smaller.
    pub fn pack<'a>(&'a mut self, segment: Uuid, session: Uuid, cut: &'a Cut) -> Packed<'a> {
        let raw = cut.raw.as_slice();
        self.out.clear();
        self.out.reserve(zstd_safe::compress_bound(raw.len()));
        let (codec, payload) = match self.context.compress2(&mut self.out, raw) {
            Ok(bytes) if bytes < raw.len() => (Codec::Zstd, self.out.as_slice()),
            Ok(_) | Err(_) => (Codec::Raw, raw),
        };
        let header = BlockHeader {
            block_bytes: (BLOCK_HEADER_BYTES + payload.len()) as u32,
            payload_crc: block::payload_crc(segment, payload),
            kind: cut.kind,
            codec,
            raw_bytes: raw.len() as u32,
            block_seq: 0,
            session,
            session_seq: cut.session_seq,
            base_unix_ns: cut.base_unix_ns,
            span_us: cut.span_us,
            run_count: cut.run_count,
            from_bot_bytes: cut.from_bot_bytes,
            to_bot_bytes: cut.to_bot_bytes,
            back_bytes: 0,
        };
        Packed {
            progress: None,
            header,
            payload,
            urgency: cut.urgency,
            queued_bytes: cut.queued_bytes,
            loss: cut.loss,
        }
    }
}

fn unpack(header: &BlockHeader, payload: &[u8]) -> Vec<u8> {
    match header.codec {
        Codec::Raw => payload.to_vec(),
        Codec::Zstd => {
            let mut raw = Vec::with_capacity(header.raw_bytes as usize);
            let done = DCtx::try_create()
                .and_then(|mut context| context.decompress(&mut raw, payload).ok());
            // We compressed it ourselves a moment ago; were it broken, it would be lost, and the
            // reader would find a record that does not parse.
            done.map_or_else(Vec::new, |_| raw)
        }
    }
}

/// Kinds that a new segment writes anew instead of taking them over.
pub(super) const fn is_of_segment(kind: BlockKind) -> bool {
    matches!(kind, BlockKind::Carried | BlockKind::Index)
}

/// The fastest level that still codes literals, with matches of seven bytes and a table that stays
/// in the first cache: an eighth cheaper on rows of text, which grow by a hundredth.
const PARAMETERS: [CParameter; 3] =
    [CParameter::CompressionLevel(1), CParameter::MinMatch(7), CParameter::HashLog(12)];
const PACK_BYTES: usize = BLOCK_RAW_BYTES_MAX;
