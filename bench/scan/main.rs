//! Times the detector on seven data sets, also with patterns of an operator's own, beside what else could
//! search them.
//!
//! Each round times every way once, so that what disturbs the machine disturbs all; the best round of
//! each counts. Seconds are the thread's own CPU time, cycles that time by the highest clock rate that a
//! chain of multiplications showed. Instructions are counted by callgrind, which runs this program once
//! more for one way on one set: `scan --one SET WAY`.

#[path = "../../src/limits.rs"]
#[expect(dead_code, reason = "most bounds are of other rooms")]
mod limits;
mod model;
#[path = "../../src/scan/mod.rs"]
#[expect(dead_code, unused_imports, reason = "what only policy asks for is not measured")]
mod scan;
#[path = "../../src/scan/tests/generate.rs"]
#[expect(dead_code, reason = "not all kinds of values are in the sets")]
mod generate;
mod data;
mod others;

use std::fmt::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::entity::{Entity, EntitySet};
use crate::others::{Alternation, Prefiltered};
use crate::scan::{Detector, Engine, Hit, Pattern};

/// Larger than a first-level cache, smaller than a third-level one.
const SET_BYTES: usize = 1024 * 1024;

/// Described as an operator would: with text that all values have, and the last one without.
const OWN: [&str; 3] = [r"\bCUST-\d{8}\b", r"(?i)\bemp-\d{4,6}\b", r"\b[A-Z]{2}\d{6}\b"];

/// One way to search a set; gives how many values it finds.
struct Way {
    name: String,
    pass: Box<dyn FnMut(&[u8]) -> usize>,
    /// By set, seconds of the best round, and what it found.
    best: Vec<(f64, usize)>,
}

impl Way {
    fn new(name: impl Into<String>, pass: impl FnMut(&[u8]) -> usize + 'static) -> Self {
        let best = vec![(f64::INFINITY, 0); data::NAMES.len()];
        Self { name: name.into(), pass: Box::new(pass), best }
    }
}

fn ways() -> Vec<Way> {
    let own = OWN.map(|source| Arc::new(Pattern::new("own", source).expect("a pattern is sound")));
    let built_in = EntitySet::ALL;
    let marked = built_in.with(Entity::Own(0)).with(Entity::Own(1));
    let searched = marked.with(Entity::Own(2));
    let mut hits: Vec<Hit> = Vec::new();
    let mut ways: Vec<Way> = Engine::all()
        .map(|engine| {
            let detector = Detector::with(engine, built_in, &[]);
            let mut hits = Vec::new();
            Way::new(engine.name(), move |set| {
                detector.scan(set, &mut hits);
                hits.len()
            })
        })
        .collect();
    for (name, wanted) in [("own, marked", marked), ("own, all", searched)] {
        let detector = Detector::new(wanted, &own);
        let mut hits = std::mem::take(&mut hits);
        ways.push(Way::new(name, move |set| {
            detector.scan(set, &mut hits);
            hits.len()
        }));
    }
    let alternation = Alternation::new();
    ways.push(Way::new("regex", move |set| alternation.count(set)));
    let prefiltered = Prefiltered::new();
    ways.push(Way::new("aho-corasick", move |set| prefiltered.count(set)));
    ways
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--one", set, way] => one(number(set), number(way)),
        ["--write", set, file] => {
            std::fs::write(file, data::set(number(set), SET_BYTES)).expect("the file is writable");
        }
        [] => print(18.0),
        [seconds, ..] => print(seconds.parse().expect("the time is a number of seconds")),
    }
}

fn number(text: &str) -> usize {
    text.parse().expect("sets and ways are numbered from 0 on")
}

/// One pass, for a counter of instructions.
fn one(set: usize, way: usize) {
    let set = data::set(set, SET_BYTES);
    let mut ways = ways();
    // Caches of automata are filled before.
    let warm = (ways[way].pass)(&set);
    assert_eq!(warm, measured(&mut ways[way].pass, &set));
}

#[inline(never)]
fn measured(pass: &mut dyn FnMut(&[u8]) -> usize, set: &[u8]) -> usize {
    std::hint::black_box(pass(std::hint::black_box(set)))
}

fn print(seconds: f64) {
    let sets: Vec<Vec<u8>> =
        (0..data::NAMES.len()).map(|index| data::set(index, SET_BYTES)).collect();
    let mut ways = ways();
    let begin = Instant::now();
    let mut rounds = 0;
    // The best rounds are those in which the processor was fastest.
    let mut clock = 0.0_f64;
    while rounds < 3 || begin.elapsed() < Duration::from_secs_f64(seconds) {
        for (index, set) in sets.iter().enumerate() {
            clock = clock.max(cycles_a_second());
            for way in &mut ways {
                let before = cpu_seconds();
                let found = measured(&mut way.pass, set);
                let took = cpu_seconds() - before;
                if took < way.best[index].0 {
                    way.best[index] = (took, found);
                }
            }
        }
        rounds += 1;
    }
    let sound = |way: &Way| way.best.iter().map(|(_, found)| *found).collect::<Vec<_>>();
    for way in ways.iter().take(Engine::all().count()) {
        assert_eq!(sound(way), sound(&ways[0]), "{} finds something else", way.name);
    }
    let mut json = format!("{{\"set_bytes\":{SET_BYTES},\"rounds\":{rounds},\"sets\":{{");
    for (index, name) in data::NAMES.iter().enumerate() {
        println!(
            "{name:14}{:>8}{:>10}{:>10}{:>8}{:>9}",
            "GB/s", "cycles/B", "instr/B", "found", "ratio"
        );
        let _ = write!(json, "{}\"{name}\":{{", if index > 0 { "," } else { "" });
        let reference = ways[0].best[index].0;
        for (number, way) in ways.iter().enumerate() {
            let (seconds, found) = way.best[index];
            let rate = SET_BYTES as f64 / seconds / 1e9;
            let cycles = seconds * clock / SET_BYTES as f64;
            let instructions = instructions(index, number);
            let shown = instructions.map_or_else(|| "-".to_owned(), |count| format!("{count:.2}"));
            println!(
                "  {:12}{rate:8.2}{cycles:10.2}{shown:>10}{found:8}{:8.1}x",
                way.name,
                seconds / reference
            );
            let _ = write!(
                json,
                "{}\"{}\":{{\"gb_s\":{rate:.3},\"cycles_byte\":{cycles:.3},\"instructions_byte\":{},\"found\":{found}}}",
                if number > 0 { "," } else { "" },
                way.name,
                instructions.map_or_else(|| "null".to_owned(), |count| format!("{count:.3}")),
            );
        }
        json.push('}');
    }
    json.push_str("}}\n");
    if let Ok(file) = std::env::var("SCAN_RESULT") {
        std::fs::write(file, json).expect("the result is written");
    }
}

/// Instructions a byte; `None` where there is no callgrind.
fn instructions(set: usize, way: usize) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured*")
        .arg(program)
        .args(["--one", &set.to_string(), &way.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8(output.stderr).ok()?;
    let count = report.lines().find_map(|line| line.split_once("Collected : "))?.1;
    Some(count.trim().parse::<f64>().ok()? / SET_BYTES as f64)
}

fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on Linux, and `time` is ours to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A multiplication takes three cycles and an XOR one, and each waits for the one before.
fn cycles_a_second() -> f64 {
    const LINKS: u32 = 300_000;
    let before = cpu_seconds();
    let factor = std::hint::black_box(0x9E37_79B9_7F4A_7C15_u64);
    let chain =
        (0..LINKS).fold(3_u64, |product, link| (product ^ u64::from(link)).wrapping_mul(factor));
    std::hint::black_box(chain);
    f64::from(4 * LINKS) / (cpu_seconds() - before)
}
