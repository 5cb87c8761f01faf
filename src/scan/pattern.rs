//! Values that operators describe themselves, by regular expressions. Knows what an expression must
//! be so that it can be searched for in all that passes: bounded in length, and best with some text
//! that every value has, which the pass over the bytes then looks for beside its own.
//!
//! Classes are those of ASCII: `\d` is ten digits, and a letter outside ASCII is of no word.

use std::error::Error;
use std::ops::Range;

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind, Look};

use crate::limits::{
    SCANNED_PATTERN_COMPILED_BYTES_MAX, SCANNED_PATTERN_DEPTH_MAX, SCANNED_PATTERN_TEXT_BYTES_MAX,
    SCANNED_PATTERN_VALUE_BYTES_MAX,
};
use crate::scan::literal::MARK_BYTES;

/// A kind of value, described by an operator.
#[derive(Debug)]
pub struct Pattern {
    name: Box<str>,
    source: Box<str>,
    search: Regex,
    /// One of them is in each value. None at all: every text has to be searched.
    needles: Box<[Needle]>,
    /// Bytes of the longest value.
    longest: usize,
}

/// A text, and where in it its mark is.
#[derive(Debug)]
pub(super) struct Needle {
    text: Box<[u8]>,
    offset: usize,
    pub(super) mark: [u8; MARK_BYTES],
}

/// Why an expression cannot be searched for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("it is longer than {SCANNED_PATTERN_TEXT_BYTES_MAX} bytes")]
    LongText,
    #[error("{reason}")]
    Malformed { reason: String },
    #[error("a value could be of any length")]
    Unbounded,
    #[error("a value could be of {bytes} bytes, which is over {SCANNED_PATTERN_VALUE_BYTES_MAX}")]
    LongValue { bytes: usize },
    #[error("nothing at all would be a value")]
    Empty,
    #[error("no value can match it")]
    Impossible,
    #[error("it asks for the begin or the end of a text or line")]
    Anchored,
    #[error("it is too large: {reason}")]
    TooLarge { reason: String },
}

impl Pattern {
    pub fn new(name: &str, source: &str) -> Result<Self, PatternError> {
        if source.len() > SCANNED_PATTERN_TEXT_BYTES_MAX {
            return Err(PatternError::LongText);
        }
        let hir = regex_syntax::ParserBuilder::new()
            .nest_limit(SCANNED_PATTERN_DEPTH_MAX)
            .unicode(false)
            .utf8(false)
            .build()
            .parse(source)
            .map_err(|error| PatternError::Malformed { reason: reason(&error) })?;
        let properties = hir.properties();
        let Some(shortest) = properties.minimum_len() else {
            return Err(PatternError::Impossible);
        };
        if shortest == 0 {
            return Err(PatternError::Empty);
        }
        let longest = properties.maximum_len().ok_or(PatternError::Unbounded)?;
        if longest > SCANNED_PATTERN_VALUE_BYTES_MAX {
            return Err(PatternError::LongValue { bytes: longest });
        }
        // In an error's words, or in a request, a value stands amid others.
        if properties.look_set().iter().any(is_anchor) {
            return Err(PatternError::Anchored);
        }
        let search = Regex::builder()
            .configure(
                Regex::config()
                    .utf8_empty(false)
                    .nfa_size_limit(Some(SCANNED_PATTERN_COMPILED_BYTES_MAX))
                    .onepass_size_limit(Some(SCANNED_PATTERN_COMPILED_BYTES_MAX))
                    .hybrid_cache_capacity(8 * SCANNED_PATTERN_COMPILED_BYTES_MAX),
            )
            .build_from_hir(&hir)
            .map_err(|error| {
                let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                PatternError::TooLarge { reason }
            })?;
        let needles = required(&hir).unwrap_or_default().into();
        Ok(Self { name: name.into(), source: source.into(), search, needles, longest })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn needles(&self) -> &[Needle] {
        &self.needles
    }

    /// The bytes in which a value can lie that has a needle whose mark is at `at`. Later marks have
    /// windows that begin and end later.
    pub(super) fn window(&self, cell: &[u8], at: usize) -> Option<Range<usize>> {
        let is_there = |needle: &Needle| {
            let start = at.checked_sub(needle.offset);
            let rest = start.and_then(|start| cell.get(start..));
            rest.is_some_and(|rest| rest.starts_with(&needle.text))
        };
        let window = at.saturating_sub(self.longest)..cell.len().min(at + self.longest);
        self.needles.iter().any(is_there).then_some(window)
    }

    /// Values in part of `cell`, from left to right; none overlaps another. What is around the part
    /// counts for where words begin and end.
    pub fn values<'s>(
        &'s self,
        cell: &'s [u8],
        part: Range<usize>,
    ) -> impl Iterator<Item = Range<usize>> + 's {
        self.search.find_iter(Input::new(cell).span(part)).map(|found| found.range())
    }
}

/// The same name for the same values.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.source) == (&other.name, &other.source)
    }
}

/// Texts of which each value has one; `None` where there are no such, or too short ones.
fn required(hir: &Hir) -> Option<Vec<Needle>> {
    let mut best = beginnings(hir);
    let mut consider = |other: Option<Vec<Needle>>| {
        if let Some(other) = other
            && best.as_ref().is_none_or(|best| worth(&other) > worth(best))
        {
            best = Some(other);
        }
    };
    match hir.kind() {
        HirKind::Capture(group) => consider(required(&group.sub)),
        HirKind::Repetition(repeated) if repeated.min > 0 => consider(required(&repeated.sub)),
        HirKind::Concat(parts) => {
            for from in 1..parts.len() {
                let rest = parts.get(from..).unwrap_or_default().to_vec();
                consider(beginnings(&Hir::concat(rest)));
            }
            parts.iter().for_each(|part| consider(required(part)));
        }
        HirKind::Alternation(branches) => {
            let branches: Option<Vec<_>> = branches.iter().map(required).collect();
            let all = branches.map(|branches| branches.into_iter().flatten().collect::<Vec<_>>());
            consider(all.filter(|all| all.len() <= NEEDLES_MAX));
        }
        HirKind::Repetition(_)
        | HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_) => {}
    }
    best
}

/// Texts with one of which everything begins that matches.
fn beginnings(hir: &Hir) -> Option<Vec<Needle>> {
    let mut extractor = Extractor::new();
    // Letters of either case are wanted, digits are not: they are in everything.
    extractor
        .kind(ExtractKind::Prefix)
        .limit_class(4)
        .limit_literal_len(16)
        .limit_total(NEEDLES_MAX);
    let found = extractor.extract(hir);
    let texts = found.literals()?;
    (!texts.is_empty() && texts.len() <= NEEDLES_MAX)
        .then(|| texts.iter().map(|text| Needle::new(text.as_bytes())).collect())?
}

/// What is long and one of few is seldom there by chance.
fn worth(needles: &[Needle]) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = needles.iter().map(|needle| needle.text.len()).min().unwrap_or_default();
    (shortest.min(LONG_ENOUGH), std::cmp::Reverse(needles.len()))
}

const NEEDLES_MAX: usize = 64;
const LONG_ENOUGH: usize = 6;

impl Needle {
    /// `None` where no three bytes of the text can be its mark.
    fn new(text: &[u8]) -> Option<Self> {
        let marks = text.windows(MARK_BYTES).enumerate();
        // The pass tells these by their first byte.
        let marks = marks.filter(|(_, mark)| !mark.starts_with(b"@") && !mark.starts_with(b"+"));
        let (offset, mark) =
            marks.min_by_key(|(_, mark)| mark.iter().map(commonness).sum::<u32>())?;
        Some(Self { text: text.into(), offset, mark: *mark.first_chunk()? })
    }
}

/// How often a byte stands in what passes, roughly.
const fn commonness(byte: &u8) -> u32 {
    match byte {
        b'0'..=b'9' | b' ' | 0 => 6,
        b'a'..=b'z' | b'"' | b'-' | b':' | b',' => 4,
        b'A'..=b'Z' => 2,
        _ => 1,
    }
}

/// The reason alone: the whole of it draws the expression over several lines.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        error => error.to_string(),
    }
}

const fn is_anchor(look: Look) -> bool {
    matches!(
        look,
        Look::Start | Look::End | Look::StartLF | Look::EndLF | Look::StartCRLF | Look::EndCRLF
    )
}
