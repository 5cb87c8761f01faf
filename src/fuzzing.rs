//! What must hold for every input: the checks that fuzz targets and corpus replay share.
//!
//! Each function takes any bytes and returns; a broken promise is a failed assertion. Knows the
//! rooms' interfaces and nothing of libFuzzer.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::fuzzing::passage::{COMMANDS, LOGIN, Passage, READY, TLS_HANDSHAKE, Trace};
use crate::judge::classify::{Dialect, dialect_twin, twin};
use crate::limits::BLOCK_RAW_BYTES_MAX;
use crate::mask::cell::{self, Field, Format, Keys, Replaced, Shape};
use crate::model::entity::{Entity, EntitySet};
use crate::model::mask::Strategy;
use crate::model::session::Leg;
use crate::record::BlockKind;
use crate::record::reader::{Blocks, Segment, Step as Place};
use crate::record::recover::repair;
use crate::record::run::Runs;
use crate::record::verify::verify;
use crate::scan::{Detector, Engine, Hit, Pattern};

mod passage;

/// Both legs of an open session, with bytes for each in turn: the first byte of a portion tells
/// the leg, the second its length. Frames relayed are frames received, and splitting changes
/// nothing. Where answers are shown, rows before a lie may be lost with it.
pub fn postgres_frames(input: &[u8]) {
    let portions = portions(input);
    let shown = portions.len() % 4 > 1;
    let (whole, is_over) = run(&portions, usize::MAX);
    for size in [1, 3, 7] {
        let (pieces, _) = run(&portions, size);
        let is_same = pieces == whole || (shown && is_over);
        assert!(is_same, "portions of {size} bytes change what is relayed");
    }

    fn run(portions: &[(Leg, &[u8])], size: usize) -> (Trace, bool) {
        let mut passage = Passage::opened();
        if portions.len() % 2 == 1 {
            passage.limit_rows();
        }
        if portions.len() % 4 > 1 {
            passage.show_answers(false);
        }
        if portions.len() % 8 > 5 {
            passage.limit_masked();
        }
        for (leg, bytes) in portions {
            // The other leg gets its turn after the whole portion: what it may do depends on how
            // far this one has come.
            let offered = bytes.chunks(size).try_for_each(|piece| {
                passage.unread(*leg).extend_from_slice(piece);
                passage.pump(*leg).map(|_moved| ())
            });
            if offered.and_then(|()| passage.settle(*leg)).is_err() {
                return (passage.trace, true);
            }
        }
        (passage.trace, false)
    }
}

/// Everything that a bot may say, from its first byte on. What reaches the target as statement text
/// was accepted; what comes before the login reaches nobody.
pub fn postgres_bot_leg(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut passage = match how % 4 {
        0 => Passage::accepted(false),
        1 => Passage::accepted(true),
        2 => Passage::scripted(&[(Leg::Downstream, &[TLS_HANDSHAKE])]),
        _ => Passage::opened(),
    };
    let size = usize::from(how / 4).max(1);
    for piece in bytes.chunks(size) {
        if passage.offer(Leg::Downstream, piece).is_err() {
            break;
        }
        // The target becomes ready whenever the bot waits for it.
        let _refused = passage.offer(Leg::Upstream, READY);
    }
    passage.farewell();
}

/// Everything that a target may say: to the login, and to commands under way. The first byte's
/// highest bit has answers shown, the next one has them edited.
pub fn postgres_target_leg(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let (shows, keeps) = (how & 128 != 0, how & 64 == 0);
    let mut passage = match how % 4 {
        0 | 2 => Passage::scripted(LOGIN.get(..3).unwrap_or_default()),
        how => {
            let mut passage = Passage::opened();
            if how == 3 {
                passage.limit_rows();
                passage.limit_masked();
            }
            if shows {
                passage.show_answers(keeps);
            }
            let sent = passage.offer(Leg::Downstream, COMMANDS);
            assert!(sent.is_ok(), "the scripted commands end the session");
            passage
        }
    };
    let size = usize::from(how / 4 % 16).max(1);
    for piece in bytes.chunks(size) {
        if passage.offer(Leg::Upstream, piece).is_err() {
            break;
        }
    }
    passage.farewell();
}

/// Statement text of any bytes: our lexer beside the server's own, and the facts that texts share
/// beside fresh ones. The first byte chooses how the text is varied.
pub fn lex_diff(input: &[u8]) {
    let Some((how, text)) = input.split_first() else { return };
    twin::lexes_alike(text);
    let seed = u64::from(*how).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    twin::shares_rightly(seed, text);
}

/// Text of any bytes in each of the dialects that no server's own grammar is at hand for: what is
/// read does not depend on blanks, and what is written is seen. The first byte chooses the dialect
/// and the blanks.
pub fn dialect_scan(input: &[u8]) {
    let Some((how, text)) = input.split_first() else { return };
    let [mysql, sqlite, tsql] = Dialect::ALL;
    let dialect = match how % 3 {
        0 => mysql,
        1 => sqlite,
        _ => tsql,
    };
    let seed = u64::from(*how).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    dialect_twin::scans_soundly(dialect, seed, text);
}

/// A segment file of any bytes, read, verified and repaired. With an odd first byte its checksums
/// are made to fit first, so that what lies behind them is reached.
pub fn segment_reader(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how % 2 == 1 {
        checksums::mend(&mut bytes);
    }
    let Ok(dir) = tempfile::tempdir() else { return };
    let path = dir.path().join("segment.nrw");
    if std::fs::write(&path, &bytes).is_err() {
        return;
    }
    read_segment(&path, bytes.len() as u64);
    repair_segment(dir.path(), &path, &bytes);
}

/// Repair never changes a segment, never claims what is not there, and has nothing left to do after
/// it was done. Whatever it says of the end, a verifier can follow.
fn repair_segment(dir: &Path, path: &Path, bytes: &[u8]) {
    let _any = verify(dir);
    let Ok(Segment { header, .. }) = Segment::open(path) else { return };
    let Ok(first) = repair(dir, header.node) else { return };
    assert!(first.last_valid_bytes <= bytes.len() as u64, "more is valid than there is");
    assert!(std::fs::read(path).is_ok_and(|now| now == bytes), "the repair changed the segment");
    let second = repair(dir, header.node);
    assert!(second.is_ok_and(|second| {
        let seals = second.record.map_or(0, |record| record.seals.len());
        seals == 0 && second.last_valid_bytes == first.last_valid_bytes
    }));
    let report = verify(dir);
    assert!(report.is_ok(), "what was repaired cannot be verified");
}

fn read_segment(path: &Path, length: u64) {
    let Ok(segment) = Segment::open(path) else { return };
    let _any = segment.ending();
    let mut blocks = Blocks::new(segment, length);
    loop {
        let before = blocks.at();
        match blocks.step() {
            Ok(Place::Block(mut block)) => {
                let kind = block.header.kind;
                let stated = block.header.raw_bytes as usize;
                if let Ok(raw) = block.raw() {
                    assert!(raw.len() == stated, "a block decompresses to another length");
                    assert!(raw.len() <= BLOCK_RAW_BYTES_MAX, "a block exceeds its bound");
                    read_payload(kind, raw);
                }
            }
            Ok(Place::Bad(_)) => {
                if !blocks.resync(0).unwrap_or(false) {
                    return;
                }
            }
            Ok(Place::Vacant | Place::Trailer) | Err(_) => return,
        }
        assert!(blocks.at() > before, "the reader stands still at {before}");
        assert!(blocks.at() <= length, "the reader passed the end");
    }
}

fn read_payload(kind: BlockKind, raw: &[u8]) {
    match kind {
        BlockKind::Data => {
            let held: usize = Runs::new(raw).flatten().map(|run| run.bytes.len()).sum();
            assert!(held <= raw.len(), "runs hold more than their block");
        }
        BlockKind::Index => {
            let _any = crate::record::index::decode(raw);
        }
        BlockKind::SessionStart
        | BlockKind::SessionEnd
        | BlockKind::Recovery
        | BlockKind::Loss
        | BlockKind::Clock
        | BlockKind::Carried
        | BlockKind::Ignorable(_) => {}
    }
}

/// A configuration file of any text. Problems name lines that exist, and reading it again says the
/// same.
pub fn config(input: &[u8]) {
    let Ok(dir) = tempfile::tempdir() else { return };
    let path = dir.path().join("narrows.toml");
    if std::fs::write(&path, input).is_err() {
        return;
    }
    // Files elsewhere, which an include may name, change while they are read.
    let text = std::str::from_utf8(input).ok();
    let elsewhere = text.filter(|text| text.contains(['/', '\\']));
    let load = || match elsewhere {
        Some(text) => crate::config::load_text(&path, text),
        None => crate::config::load(&path),
    };
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let [first, second] = [(); 2].map(|()| load().map(|config| config.version));
    assert!(first == second, "the same text is read in two ways");
    if let Err(problems) = first {
        assert!(!problems.is_empty(), "refused without a problem");
        for problem in problems.iter().filter(|problem| problem.file == path) {
            assert!(problem.line <= lines, "line {} of {lines}", problem.line);
            assert!(!problem.message.is_empty(), "a problem without words");
        }
    }
}

/// Any bytes, searched with vectors of each width and without, for what is built in and for patterns
/// beside it: all find the same, in order, and nothing of it overlaps. A NUL behind the end changes
/// nothing before it.
pub fn scan_diff(input: &[u8]) {
    static PATTERNS: LazyLock<Vec<Arc<Pattern>>> = LazyLock::new(|| {
        let sources = [
            r"CUST-\d{1,12}",
            r"(?i)\bemp\d{2,5}\b",
            r"[a-z]{0,9}(?:-\d\d)?::K[A-Z]{2}:{1,3}",
            r"\b[A-Z]{2}\d{6}\b",
            r"(?:4[01]|ab){2,20}=@x|[^a]{3}\x00\xff\x01",
        ];
        let named = sources.iter().zip(["a", "b", "c", "d", "e"]);
        named.flat_map(|(source, name)| Pattern::new(name, source).map(Arc::new)).collect()
    });
    let own = (0..PATTERNS.len()).filter_map(|number| u8::try_from(number).ok()).map(Entity::Own);
    let wanted = own.clone().fold(EntitySet::ALL, EntitySet::with);
    for wanted in [EntitySet::ALL, wanted] {
        let slow = Detector::with(Engine::SCALAR, wanted, &PATTERNS);
        let mut by_bytes = Vec::new();
        slow.scan(input, &mut by_bytes);
        for engine in Engine::all() {
            same_found(&Detector::with(engine, wanted, &PATTERNS), &slow, &by_bytes, input);
        }
    }
    // Windows leave out nothing that a search of everything finds.
    for (entity, pattern) in own.zip(&**PATTERNS) {
        let mut found = Vec::new();
        Detector::new(EntitySet::NONE.with(entity), &PATTERNS).scan(input, &mut found);
        let found = found.into_iter().map(|hit| hit.range);
        assert!(found.eq(pattern.values(input, 0..input.len())), "{} by windows", pattern.source());
    }
}

fn same_found(fast: &Detector, slow: &Detector, by_bytes: &Vec<Hit>, input: &[u8]) {
    let mut by_vectors = Vec::new();
    fast.scan(input, &mut by_vectors);
    assert!(by_vectors == *by_bytes, "{by_vectors:?} with vectors, {by_bytes:?} without");
    let mut free = 0;
    for hit in &by_vectors {
        assert!(free <= hit.range.start && hit.range.start < hit.range.end, "{hit:?} overlaps");
        assert!(hit.range.end <= input.len(), "{hit:?} is out of bounds");
        free = hit.range.end;
    }
    let found = by_vectors.iter().map(|hit| hit.entity).collect::<EntitySet>();
    let entities = fast.entities(input);
    assert!(entities == slow.entities(input), "the passes name other entities");
    assert!(entities.union(found) == entities, "{found:?} are found, {entities:?} named");
    let mut padded = input.to_vec();
    padded.resize(input.len() + 1, 0);
    fast.scan(&padded, &mut by_vectors);
    assert!(by_vectors == *by_bytes, "a NUL behind the text changes what is found in it");
}

/// A cell of any bytes, under any shape and strategy, which the first three bytes choose. What
/// stands in can be read as the shape again, the same cell has the same stand-in, and NULL leaves
/// nothing behind.
pub fn mask_cell(input: &[u8]) {
    let [shape, how, ends, bytes @ ..] = input else { return };
    let shape = mask_shape(*shape);
    let format = if how % 2 == 0 { Format::Text } else { Format::Binary };
    let strategy = match (how / 2) % 9 {
        0 => Some(Strategy::Null),
        1 => Some(Strategy::Redact),
        2 => Some(Strategy::Mask),
        3 => Some(Strategy::Hash),
        4 => Some(Strategy::Pseudonym),
        5 => Some(Strategy::Fpe),
        6 => Some(Strategy::Partial { keep_first: ends % 16, keep_last: ends / 16 }),
        7 => Some(Strategy::Year),
        _ => None,
    };
    let keys = Keys::new(&[7; 32]);
    let stand_in = |cell: &[u8], out: &mut Vec<u8>| match strategy {
        Some(strategy) => cell::replace(strategy, &shape, format, cell, &keys, out),
        None => cell::replace_fields(&shape, format, cell, &keys, out),
    };
    let mut out = b"before".to_vec();
    let replaced = stand_in(bytes, &mut out);
    let Some(written) = out.strip_prefix(b"before") else {
        unreachable!("what stood in front is gone")
    };
    let mut again = Vec::new();
    assert!(stand_in(bytes, &mut again) == replaced && again == written, "it is replaced twice");
    if replaced == Replaced::Null {
        assert!(written.is_empty(), "NULL leaves bytes behind");
    } else if strategy.is_some() {
        // Everything that reads its cell at all reads it here.
        let reads = cell::replace(Strategy::Pseudonym, &shape, format, written, &keys, &mut again);
        assert!(reads == Replaced::Written, "{strategy:?} of {shape:?} wrote what is none");
    }
    let _any = cell::is_ours(bytes);
}

/// One shape of each kind, and some in each other.
fn mask_shape(choice: u8) -> Shape {
    let built_in = |oid| Shape::built_in(oid, -1).unwrap_or(Shape::Opaque);
    let labels = || Shape::Enum(["sad", "it's \"ok\""].map(Box::from).into());
    let field = |type_oid, shape, protection| Field { type_oid, shape, protection };
    let row = |inner| {
        let masked = Some(Strategy::Mask);
        Shape::Composite(
            [
                field(23, built_in(23), None),
                field(25, built_in(25), masked),
                field(1700, built_in(1700), Some(Strategy::Fpe)),
                field(16384, inner, None),
            ]
            .into(),
        )
    };
    match choice {
        0 => Shape::Opaque,
        1 => labels(),
        2 => Shape::Array(Arc::new(labels()), 16384),
        3 => row(labels()),
        4 => Shape::Array(Arc::new(row(built_in(1009))), 16385),
        5 => row(Shape::Array(Arc::new(row(built_in(1231))), 16385)),
        6 => Shape::Text { max_chars: Some(8), pads: false },
        7 => Shape::Text { max_chars: Some(8), pads: true },
        choice => {
            let oids = MASK_OIDS.get(usize::from(choice - 8) % MASK_OIDS.len());
            oids.map_or(Shape::Opaque, |oid| built_in(*oid))
        }
    }
}

/// A built-in type of each shape, and arrays.
const MASK_OIDS: &[u32] = &[
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718,
    774, 790, 829, 869, 1042, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3614,
    3615, 3802, 3904, 4451, 1009, 1020, 1231, 1001, 1185, 3807, 2951,
];

fn portions(input: &[u8]) -> Vec<(Leg, &[u8])> {
    let mut portions = Vec::new();
    let mut rest = input;
    while let [leg, length, tail @ ..] = rest {
        let (bytes, after) = tail.split_at(tail.len().min(usize::from(*length)));
        let leg = if leg % 2 == 0 { Leg::Downstream } else { Leg::Upstream };
        portions.push((leg, bytes));
        rest = after;
    }
    portions
}

/// Makes a file's checksums fit what they stand for, by the format's description alone.
mod checksums {
    const HEADER_BYTES: usize = 4096;
    const BLOCK_HEADER_BYTES: usize = 96;

    pub(super) fn mend(bytes: &mut [u8]) {
        let Some((header, blocks)) = bytes.split_at_mut_checked(HEADER_BYTES) else { return };
        if let Some((fields, crc)) = header.split_last_chunk_mut::<4>() {
            *crc = crc32c::crc32c(fields).to_le_bytes();
        }
        let seed = crc32c::crc32c(header.get(56..72).unwrap_or_default());
        let mut rest = blocks;
        while rest.len() >= BLOCK_HEADER_BYTES && rest.starts_with(b"NBLK") {
            let Some(stored) = mend_block(seed, rest) else { return };
            let Some((_, after)) = rest.split_at_mut_checked(stored) else { return };
            rest = after;
        }
        if let Some((fields, crc)) = rest.split_last_chunk_mut::<4>()
            && let Some(from) = fields.len().checked_sub(60)
            && let Some(fields) = fields.get(from..)
        {
            *crc = crc32c::crc32c_append(seed, fields).to_le_bytes();
        }
    }

    /// The bytes that the block takes.
    fn mend_block(seed: u32, rest: &mut [u8]) -> Option<usize> {
        let (header, after) = rest.split_at_mut_checked(BLOCK_HEADER_BYTES)?;
        let length = header.get(4..8).and_then(|field| field.first_chunk::<4>().copied())?;
        let length = u32::from_le_bytes(length) as usize;
        let payload = after.get(..length.checked_sub(BLOCK_HEADER_BYTES)?)?;
        let crc = crc32c::crc32c_append(seed, payload);
        header.get_mut(12..16)?.copy_from_slice(&crc.to_le_bytes());
        let before = crc32c::crc32c_append(seed, header.get(..8)?);
        let crc = crc32c::crc32c_append(before, header.get(12..)?);
        header.get_mut(8..12)?.copy_from_slice(&crc.to_le_bytes());
        Some(length.next_multiple_of(8))
    }
}
