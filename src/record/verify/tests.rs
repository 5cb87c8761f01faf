use std::fs;
use std::path::PathBuf;

use super::*;
use crate::limits::SEGMENT_BYTES_MIN;
use crate::model::session::{CloseReason, Totals};
use crate::record::reader::segments;
use crate::record::tests::{Dice, config, exchange, idle_waker, now, start};
use crate::record::{Durability, Recorder, RunKind};

/// A few sessions in one sealed segment that can be written.
fn sealed() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    for number in 0..3 {
        let mut tap = link.open(now(), &start("bot")).unwrap();
        for _ in 0..2 {
            let _ = tap.append(RunKind::Forwarded, now(), &[b'q'; 100]).unwrap();
            let _ = tap.exchange(now(), &exchange(number, "select 1")).unwrap();
            tap.cut();
        }
        tap.end(now(), CloseReason::BotFinished, Totals::default());
    }
    recorder.stop();
    let path = segments(dir.path()).unwrap().pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn places(path: &Path) -> Vec<usize> {
    let mut blocks = Blocks::new(Segment::open(path).unwrap(), u64::MAX);
    let mut places = vec![blocks.at() as usize];
    while blocks.skim().unwrap().is_some() {
        places.push(blocks.at() as usize);
    }
    places
}

#[test]
fn every_flipped_bit_is_found() {
    let (dir, path) = sealed();
    let whole = fs::read(&path).unwrap();
    assert_eq!(verify(dir.path()).unwrap().integrity, vec![]);
    let header = (0..4096).step_by(17);
    let footer = whole.len() - 300;
    for at in header.chain((4092..footer).step_by(3)).chain(footer..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(!report.integrity.is_empty(), "bit {} of byte {at}", at % 8);
    }
}

#[test]
fn dropped_swapped_and_repeated_blocks_are_found() {
    let (dir, path) = sealed();
    let whole = fs::read(&path).unwrap();
    let places = places(&path);
    let block = |number: usize| &whole[places[number]..places[number + 1]];
    let blocks = places.len() - 1;
    for number in 0..blocks {
        let mut bytes = whole[..places[number]].to_vec();
        bytes.extend_from_slice(&whole[places[number + 1]..]);
        fs::write(&path, &bytes).unwrap();
        assert!(!verify(dir.path()).unwrap().integrity.is_empty(), "dropped {number}");
        let mut bytes = whole[..places[number + 1]].to_vec();
        bytes.extend_from_slice(block(number));
        bytes.extend_from_slice(&whole[places[number + 1]..]);
        fs::write(&path, &bytes).unwrap();
        assert!(!verify(dir.path()).unwrap().integrity.is_empty(), "repeated {number}");
    }
    for number in 0..blocks - 1 {
        let mut bytes = whole[..places[number]].to_vec();
        bytes.extend_from_slice(block(number + 1));
        bytes.extend_from_slice(block(number));
        bytes.extend_from_slice(&whole[places[number + 2]..]);
        fs::write(&path, &bytes).unwrap();
        assert!(!verify(dir.path()).unwrap().integrity.is_empty(), "swapped {number}");
    }
}

#[test]
fn a_removed_segment_leaves_a_gap_and_an_exchanged_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Async)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    let mut dice = Dice(11);
    for _ in 0..60 {
        let bytes: Vec<u8> = (0..200_000).map(|_| dice.roll(256) as u8).collect();
        let _ = tap.append(RunKind::Delivered, now(), &bytes).unwrap();
        while tap.congested() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    tap.end(now(), CloseReason::BotFinished, Totals::default());
    recorder.stop();
    let paths = segments(dir.path()).unwrap();
    assert!(paths.len() >= 3 && SEGMENT_BYTES_MIN < 5 << 20);
    let alone = verify(&paths[1]).unwrap();
    assert_eq!((alone.integrity, alone.completeness), (vec![], vec![]));
    let kept = fs::read(&paths[1]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.integrity, vec![]);
    assert_eq!(report.completeness.len(), 2, "{:?}", report.completeness);
    // The same bytes under the place of another segment.
    fs::write(&paths[1], fs::read(&paths[0]).unwrap()).unwrap();
    assert!(!verify(dir.path()).unwrap().integrity.is_empty());
    fs::write(&paths[1], kept).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.integrity, report.completeness), (vec![], vec![]));
}

#[test]
fn a_segment_cut_short_is_found() {
    let (dir, path) = sealed();
    let whole = fs::read(&path).unwrap();
    for end in (4096..whole.len()).step_by(29) {
        fs::write(&path, &whole[..end]).unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(!report.completeness.is_empty() || !report.integrity.is_empty(), "cut at {end}");
    }
}

#[test]
fn a_live_recording_is_neither_damaged_nor_incomplete() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(dir.path(), Durability::Group)).unwrap();
    let link = recorder.worker(0, idle_waker());
    let mut tap = link.open(now(), &start("bot")).unwrap();
    for _ in 0..50 {
        let _ = tap.append(RunKind::Forwarded, now(), b"select 1").unwrap();
        tap.cut();
        let report = verify(dir.path()).unwrap();
        assert!(report.live);
        assert_eq!((report.integrity, report.completeness), (vec![], vec![]));
    }
}
