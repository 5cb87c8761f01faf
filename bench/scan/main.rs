//! Times the detector on six data sets, beside what else could search them. Prints gigabytes a
//! second of the thread's own CPU time: other processes take from the clock, not from that.
//!
//! Columns: the detector with vectors; the same byte by byte; one alternation of regular expressions
//! for the same entities, without check digits; the literals alone by the
//! vectors of `aho-corasick`.

#[path = "../../src/limits.rs"]
#[expect(dead_code, reason = "most bounds are of other rooms")]
mod limits;
mod model;
#[path = "../../src/scan/mod.rs"]
#[expect(dead_code, reason = "what only policy asks for is not measured")]
mod scan;
#[path = "../../src/scan/tests/generate.rs"]
#[expect(dead_code, reason = "not all kinds of values are in the sets")]
mod generate;
mod data;

use std::time::{Duration, Instant};

use aho_corasick::packed::Searcher;
use regex_automata::meta::Regex;

use crate::model::entity::EntitySet;
use crate::scan::{Detector, Hit};

/// Larger than a first-level cache, smaller than a third-level one.
const SET_BYTES: usize = 1024 * 1024;
const COLUMNS: [&str; 4] = ["vectors", "bytes", "regex", "literals"];

fn main() {
    let seconds: f64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(18.0);
    let cells = data::NAMES.len() * COLUMNS.len();
    let each = Duration::from_secs_f64(seconds / cells as f64);
    let vectors = Detector::new(EntitySet::ALL);
    let bytes = Detector::scalar(EntitySet::ALL);
    let regex = regex_automata::util::syntax::Config::new().utf8(false).unicode(false);
    let regex = Regex::builder()
        .syntax(regex)
        .configure(Regex::config().utf8_empty(false).hybrid_cache_capacity(64 * 1024 * 1024))
        .build_many(PATTERNS)
        .expect("the patterns are regular expressions");
    let literals = Searcher::new(LITERALS).expect("the literals are few enough for vectors");
    let mut hits: Vec<Hit> = Vec::new();
    println!(
        "{:12}{:>9}{:>9}{:>9}{:>9}   hits (vectors, regex)",
        "GB/s of CPU", "vectors", "bytes", "regex", "literals"
    );
    for (index, name) in data::NAMES.iter().enumerate() {
        let set = data::set(index, SET_BYTES);
        let (fast, found) = rate(&set, each, |set| {
            vectors.scan(set, &mut hits);
            hits.len()
        });
        let (slow, same) = rate(&set, each, |set| {
            bytes.scan(set, &mut hits);
            hits.len()
        });
        assert_eq!(found, same, "the two passes differ on {name}");
        let (patterns, matches) = rate(&set, each, |set| regex.find_iter(set).count());
        let (prefixes, _) = rate(&set, each, |set| literals.find_iter(set).count());
        println!("{name:12}{fast:9.2}{slow:9.2}{patterns:9.2}{prefixes:9.2}   {found}, {matches}");
    }
}

/// The best of many passes within `time`, and what a pass counts.
fn rate(set: &[u8], time: Duration, mut pass: impl FnMut(&[u8]) -> usize) -> (f64, usize) {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut count = 0;
    while begin.elapsed() < time || best == f64::INFINITY {
        let before = cpu_seconds();
        count = std::hint::black_box(pass(std::hint::black_box(set)));
        best = best.min(cpu_seconds() - before);
    }
    (set.len() as f64 / best / 1e9, count)
}

fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on Linux, and `time` is ours to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

const LITERALS: &[&str] = &[
    "eyJ",
    "-----BEGIN ",
    "AKIA",
    "ASIA",
    "ABIA",
    "ACCA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxe-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-AgE",
    "SG.",
    "hf_",
    "dop_v1_",
    "doo_v1_",
    "dor_v1_",
    "shpat_",
    "shpca_",
    "shppa_",
    "shpss_",
    "hvs.",
    "hvb.",
    "hvr.",
    "sk-proj-",
    "sk-svcacct-",
    "sk-admin-",
    "sk-ant-",
];

const PATTERNS: &[&str] = &[
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@",
    r"\b\d{12,19}\b",
    r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}(?:[ -]\d{3})?\b",
    r"\b\d{4}[ -]\d{6}[ -]\d{4,5}\b",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\+[1-9][0-9 ().-]{7,18}\d",
    r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b",
    r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*",
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
    r"\bglpat-[A-Za-z0-9_-]{20,}",
    r"\b(?:xox[abeprs]|xapp)-[A-Za-z0-9-]{10,}",
    r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"\bAIza[A-Za-z0-9_-]{35}\b",
    r"\bya29\.[A-Za-z0-9_-]{20,}",
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b",
    r"\bhf_[A-Za-z0-9]{34}\b",
    r"\bdo[por]_v1_[0-9a-f]{64}\b",
    r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b",
    r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}",
    r"\bsk-(?:proj|svcacct|admin|ant)-[A-Za-z0-9_-]{40,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
];
