//! What else could do a detector's work: one alternation of regular expressions for the same kinds of
//! values, and the literals found by `aho-corasick` first, the expressions tried where one stands.
//! Neither checks digits.

use aho_corasick::packed::Searcher;
use regex_automata::meta::Regex;
use regex_automata::{Input, util};

pub struct Alternation(Regex);

impl Alternation {
    pub fn new() -> Self {
        Self(build(PATTERNS))
    }

    pub fn count(&self, set: &[u8]) -> usize {
        self.0.find_iter(set).count()
    }
}

/// Literals go by vectors, what has none by an alternation of its own.
pub struct Prefiltered {
    literals: Searcher,
    marked: Regex,
    unmarked: Regex,
}

impl Prefiltered {
    pub fn new() -> Self {
        let (unmarked, marked) = PATTERNS.split_at(UNMARKED);
        let literals = Searcher::new(LITERALS).expect("the literals are few enough for vectors");
        Self { literals, marked: build(marked), unmarked: build(unmarked) }
    }

    pub fn count(&self, set: &[u8]) -> usize {
        let mut free = 0;
        let mut found = self.unmarked.find_iter(set).count();
        for literal in self.literals.find_iter(set) {
            let input = Input::new(set).span(literal.start().max(free)..set.len());
            let value = self.marked.find(input.anchored(regex_automata::Anchored::Yes));
            if let Some(value) = value {
                free = value.end();
                found += 1;
            }
        }
        found
    }
}

fn build(patterns: &[&str]) -> Regex {
    Regex::builder()
        .syntax(util::syntax::Config::new().utf8(false).unicode(false))
        .configure(Regex::config().utf8_empty(false).hybrid_cache_capacity(64 * 1024 * 1024))
        .build_many(patterns)
        .expect("the patterns are regular expressions")
}

/// So many patterns, the first ones, begin with no literal.
const UNMARKED: usize = 8;

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
