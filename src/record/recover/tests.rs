use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::model::session::{CloseReason, SessionId, Totals};
use crate::record::segment::node_id;
use crate::record::tests::{config, exchange, idle_waker, now, start, told};
use crate::record::verify::verify;
use crate::record::{Durability, Recorder, RunKind};

/// A directory as a killed recorder leaves it, its segment cut down to `file_bytes`, with one ended
/// and one open session.
fn crashed(file_bytes: u64) -> (tempfile::TempDir, PathBuf, SessionId) {
    let live = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(live.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("ended")).unwrap();
    let _ = tap.append(RunKind::Forwarded, now(), b"select 1").unwrap();
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    let open = start("open");
    let mut tap = link.open(now(), &open).unwrap();
    for number in 0..3_u64 {
        let _ = tap.append(RunKind::Forwarded, now(), &[number as u8; 200]).unwrap();
        let _ = tap.exchange(now(), &exchange(number, "select pg_sleep(1)")).unwrap();
        tap.cut();
        while recorder.stats().queue_bytes > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    let source = segments(live.path()).unwrap().pop().unwrap();
    let dir = scratch();
    let copy = dir.path().join(source.strip_prefix(live.path()).unwrap());
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::copy(&source, &copy).unwrap();
    fs::OpenOptions::new().write(true).open(&copy).unwrap().set_len(file_bytes).unwrap();
    drop(tap);
    recorder.stop();
    (dir, copy, open.session)
}

/// A directory whose syncs cost nothing, where the machine has one: some tests repair a thousand
/// times.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Where each block begins, and where the last one ends.
fn places(path: &Path) -> Vec<u64> {
    let mut blocks = Blocks::new(Segment::open(path).unwrap(), u64::MAX);
    let mut places = vec![blocks.at()];
    while blocks.skim().unwrap().is_some() {
        places.push(blocks.at());
    }
    places
}

fn forget_repair(path: &Path) {
    let _ = fs::remove_file(Seal::path(path));
    let _ = fs::remove_file(path.with_extension("torn"));
}

#[test]
fn a_cut_at_any_byte_of_the_tail_keeps_every_whole_block() {
    let (dir, path, open) = crashed(16 * 1024);
    let whole = fs::read(&path).unwrap();
    let places = places(&path);
    assert!(places.len() > 7, "{places:?}");
    let from = places[places.len() - 4];
    let end = *places.last().unwrap();
    for cut in from..=end {
        let mut bytes = whole.clone();
        bytes[cut as usize..].fill(0);
        fs::write(&path, &bytes).unwrap();
        let repaired = repair(dir.path(), node_id("node")).unwrap();
        let seal = &repaired.record.as_ref().unwrap().seals[0];
        // A block whose cut off bytes are zeros anyway is still whole.
        let kept = places
            .iter()
            .copied()
            .filter(|&place| bytes[..place as usize] == whole[..place as usize]);
        let kept = kept.max().unwrap();
        assert_eq!(seal.valid_bytes, kept, "cut at {cut}");
        assert_eq!(repaired.last_valid_bytes, kept);
        assert_eq!(seal.damaged, vec![]);
        let last = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
        assert_eq!(seal.torn_bytes, last.saturating_sub(kept), "cut at {cut}");
        let torn = fs::read(path.with_extension("torn")).unwrap_or_default();
        assert_eq!(torn, bytes[kept as usize..kept as usize + seal.torn_bytes as usize]);
        assert_eq!(repaired.open_sessions.len(), 1);
        assert_eq!(repaired.open_sessions[0].session, open);
        assert_eq!(fs::read(&path).unwrap(), bytes, "the segment itself is left alone");
        forget_repair(&path);
    }
}

#[test]
fn a_file_that_ends_early_is_a_torn_tail_too() {
    let (dir, path, _) = crashed(16 * 1024);
    let whole = fs::read(&path).unwrap();
    let places = places(&path);
    for end in (places[2]..*places.last().unwrap()).step_by(11) {
        fs::write(&path, &whole[..end as usize]).unwrap();
        let repaired = repair(dir.path(), node_id("node")).unwrap();
        let kept = places.iter().copied().filter(|&place| place <= end).max().unwrap();
        assert_eq!(repaired.last_valid_bytes, kept, "ends at {end}");
        forget_repair(&path);
    }
}

#[test]
fn damage_before_the_tail_is_told_from_a_torn_tail() {
    let (dir, path, _) = crashed(16 * 1024);
    let whole = fs::read(&path).unwrap();
    let places = places(&path);
    let end = *places.last().unwrap();
    for damaged in 0..places.len() - 2 {
        let (from, to) = (places[damaged], places[damaged + 1]);
        for at in (from..to).step_by(13) {
            let mut bytes = whole.clone();
            bytes[at as usize] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            let repaired = repair(dir.path(), node_id("node")).unwrap();
            let seal = &repaired.record.unwrap().seals[0];
            assert_eq!(seal.valid_bytes, end, "flipped at {at}");
            assert_eq!(seal.damaged, vec![Damage { at: from, bytes: to - from }]);
            forget_repair(&path);
        }
    }
}

#[test]
fn a_restart_ends_the_sessions_that_a_crash_cut_off() {
    let (dir, path, open) = crashed(64 * 1024);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness.len(), 2, "{:?}", report.completeness);
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    recorder.stop();
    let told = told(dir.path());
    assert_eq!(told[&open].last().unwrap(), &("end".into(), b"gateway_crash".to_vec()));
    assert_eq!(told.len(), 2);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness, vec![]);
    assert_eq!(report.notes.len(), 1);
    // The segment as the crash left it has not changed, and the next start has nothing to repair.
    assert_eq!(fs::metadata(&path).unwrap().len(), 64 * 1024);
    Recorder::start(config(dir.path(), Durability::Group)).unwrap().stop();
    assert_eq!(verify(dir.path()).unwrap().notes.len(), 1);
}

#[test]
fn a_second_crash_before_the_repair_was_recorded_is_repaired_the_same() {
    let (dir, _, open) = crashed(64 * 1024);
    let first = repair(dir.path(), node_id("node")).unwrap();
    let second = repair(dir.path(), node_id("node")).unwrap();
    assert_eq!(first.open_sessions, second.open_sessions);
    assert_eq!(second.open_sessions[0].session, open);
    assert_eq!(first.last_valid_bytes, second.last_valid_bytes);
    assert!(second.record.is_some());
}

#[test]
fn a_segment_that_was_only_allocated_is_removed() {
    let (dir, path, _) = crashed(64 * 1024);
    let name = path.file_name().unwrap().to_str().unwrap().replace("0000000000", "0000000001");
    let blank = path.with_file_name(name);
    fs::write(&blank, vec![0; 1 << 20]).unwrap();
    let repaired = repair(dir.path(), node_id("node")).unwrap();
    assert_eq!(repaired.next_seq, 1);
    assert!(!blank.exists());
}

#[test]
fn a_block_that_a_bot_wrote_into_its_traffic_is_not_taken_for_one_of_ours() {
    let (_dir, path, _) = crashed(16 * 1024);
    let whole = fs::read(&path).unwrap();
    let places = places(&path);
    let forged = &whole[places[3] as usize..places[4] as usize];
    // The same block is one of ours in its own segment, and none in another.
    let header: &[u8; 96] = forged.first_chunk().unwrap();
    let ours = Segment::open(&path).unwrap().header.segment;
    assert!(BlockHeader::decode(ours, header).is_ok());
    let other = SessionId::at(now().unix_ns).0;
    let error = BlockHeader::decode(other, header).unwrap_err();
    assert_eq!(error, crate::record::block::BlockError::HeaderCrc);
}
