//! Replays every seed and every mended finding of the fuzz targets, so that what was found once
//! stays found without a fuzzer. Each input is also cut and damaged at a few places.

use std::fs;
use std::path::Path;

use narrows::fuzzing;

/// Runs `check` over the inputs of `fuzz/corpus/<name>`.
fn replay(name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let Ok(input) = fs::read(entry.path()) else { continue };
        println!("{}", entry.path().display());
        check(&input);
        let step = (input.len() / PLACES).max(1);
        for place in (0..input.len()).step_by(step) {
            check(input.get(..place).unwrap_or_default());
            let mut damaged = input.clone();
            if let Some(byte) = damaged.get_mut(place) {
                *byte = byte.wrapping_add(1);
            }
            check(&damaged);
        }
        inputs += 1;
    }
    assert!(inputs > 0, "{} holds no inputs; run fuzz/seeds", folder.display());
}

#[test]
fn postgres_frames_hold() {
    replay("postgres_frames", fuzzing::postgres_frames);
}

#[test]
fn postgres_bot_leg_holds() {
    replay("postgres_bot_leg", fuzzing::postgres_bot_leg);
}

#[test]
fn postgres_target_leg_holds() {
    replay("postgres_target_leg", fuzzing::postgres_target_leg);
}

#[test]
fn lex_diff_holds() {
    // What nests deeply is walked over by recursion.
    let checked = std::thread::Builder::new()
        .stack_size(narrows::limits::CLASSIFIER_STACK_BYTES)
        .spawn(|| replay("lex_diff", fuzzing::lex_diff))
        .map(|thread| thread.join());
    assert!(matches!(checked, Ok(Ok(()))));
}

#[test]
fn dialect_scan_holds() {
    let checked = std::thread::Builder::new()
        .stack_size(narrows::limits::CLASSIFIER_STACK_BYTES)
        .spawn(|| replay("dialect_scan", fuzzing::dialect_scan))
        .map(|thread| thread.join());
    assert!(matches!(checked, Ok(Ok(()))));
}

#[test]
fn segment_reader_holds() {
    replay("segment_reader", fuzzing::segment_reader);
}

#[test]
fn config_holds() {
    replay("config", fuzzing::config);
}

#[test]
fn scan_diff_holds() {
    replay("scan_diff", fuzzing::scan_diff);
}

#[test]
fn mask_cell_holds() {
    replay("mask_cell", fuzzing::mask_cell);
}

/// Places at which an input is cut and damaged.
const PLACES: usize = 64;
