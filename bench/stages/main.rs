//! Times the stages of the path that have no bench of their own, each alone, in processor time: judging
//! (`judge.rs`), rows framed and masked (`rows.rs`), recording (`record.rs`). Absolute figures hold for
//! this machine at this load; compare lines of one run only.
//!
//! `cargo bench --bench stages -- [judge|rows|record]`; QUICK=1 in the environment makes it a smoke test.

#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at what it did not expect"
)]

mod judge;
mod meter;
mod policies;
mod record;
mod rows;

use crate::meter::Meter;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let wants = |stage: &str| words.is_empty() || words.iter().any(|word| word == stage);
    let meter = Meter::new(std::env::var_os("QUICK").is_some_and(|value| !value.is_empty()));
    if wants("judge") {
        on_a_workers_stack(move || judge::print(meter));
    }
    if wants("rows") {
        rows::print(meter);
    }
    if wants("record") {
        record::print(meter);
    }
}

/// The grammar needs more stack than a thread has by default.
fn on_a_workers_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(narrows::limits::CLASSIFIER_STACK_BYTES);
    let thread = thread.spawn(work).expect("a thread can be started");
    thread.join().expect("the stage has been measured");
}
