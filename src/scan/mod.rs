//! Finds sensitive values in bytes. Knows what they look like and their check digits; not whose
//! bytes they are, nor what becomes of a value.
//!
//! One pass over the bytes names places at which a value may stand; what stands there is then
//! examined exactly, within the given slice alone. The pass exists three times, with vectors of two
//! widths and byte by byte: vectors may name more places, never fewer, so that all find the same.
//!
//! A value that is spelt in another way (encoded, split over strings, typed with look-alikes) is not
//! found: detectors show mistakes, they do not stop somebody who hides a value.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod class;
mod literal;
mod pattern;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod shape;
#[cfg(target_arch = "x86_64")]
mod ssse3;
#[cfg(test)]
mod tests;
mod validate;

use std::ops::Range;
use std::sync::Arc;

use crate::model::entity::{Entity, EntitySet};
use crate::scan::class::byte;
use crate::scan::literal::{LITERALS, MARK_BYTES, Marks, Shape};
use crate::scan::validate::{email, iban, jwt, pan, pem, phone, ssn, token, url};

pub use pattern::{Pattern, PatternError};

/// A value that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub entity: Entity,
    pub range: Range<usize>,
}

/// Finds values of some entities. Costs a few KiB and microseconds to make; then it only reads, but
/// for what operators' patterns cache.
#[derive(Clone, Debug)]
pub struct Detector {
    wanted: EntitySet,
    /// Operators' own among them.
    patterns: Box<[(Entity, Arc<Pattern>)]>,
    engine: Engine,
    marks: Marks,
}

/// How the bytes are passed over. One that is made can be run on this machine: `all` alone makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine(Vectors);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vectors {
    None,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Engine {
    /// Byte by byte: the reference that the others are held to.
    pub const SCALAR: Self = Self(Vectors::None);

    /// All that this machine can run, the fastest first.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [
            std::arch::is_x86_feature_detected!("avx2").then_some(Self(Vectors::Avx2)),
            std::arch::is_x86_feature_detected!("ssse3").then_some(Self(Vectors::Ssse3)),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors: [Option<Self>; 0] = [];
        vectors.into_iter().flatten().chain([Self::SCALAR])
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Vectors::None => "scalar",
            #[cfg(target_arch = "x86_64")]
            Vectors::Ssse3 => "ssse3",
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => "avx2",
        }
    }
}

impl Detector {
    /// The fastest that this machine can run. `own` are operators' patterns by their numbers.
    #[must_use]
    pub fn new(wanted: EntitySet, own: &[Arc<Pattern>]) -> Self {
        Self::with(Engine::all().next().unwrap_or(Engine::SCALAR), wanted, own)
    }

    /// One that passes over the bytes in a way of the caller's choice.
    #[must_use]
    pub fn with(engine: Engine, wanted: EntitySet, own: &[Arc<Pattern>]) -> Self {
        let patterns = (0..).map(Entity::Own).zip(own.iter().cloned());
        let patterns: Box<[_]> = patterns.filter(|(own, _)| wanted.contains(*own)).collect();
        Self { wanted, engine, marks: Marks::new(wanted, &patterns), patterns }
    }

    /// Writes all values in `cell` to `hits`, in order. Of values that overlap, the one that begins
    /// first is kept, and of those the longest; of the others, what is left behind it.
    pub fn scan(&self, cell: &[u8], hits: &mut Vec<Hit>) {
        hits.clear();
        let precedence = |hit: &Hit| (hit.range.start, usize::MAX - hit.range.end, hit.entity);
        // They come late.
        let mut own = Vec::new();
        self.examine(cell, |hit| {
            if matches!(hit.entity, Entity::Own(_)) {
                own.push(hit);
                return;
            }
            // Only places near one another come out of order, and few of them.
            if hits.last().is_none_or(|last| last.range.start < hit.range.start) {
                hits.push(hit);
                return;
            }
            let earlier = hits.iter().rposition(|other| precedence(other) <= precedence(&hit));
            hits.insert(earlier.map_or(0, |index| index + 1), hit);
        });
        if !own.is_empty() {
            hits.append(&mut own);
            hits.sort_by_key(precedence);
        }
        let mut free = 0;
        hits.retain_mut(|hit| {
            hit.range.start = hit.range.start.max(free);
            free = free.max(hit.range.end);
            hit.range.start < hit.range.end
        });
    }

    /// Which entities have a value in `cell`, those included that are part of another's value.
    #[must_use]
    pub fn entities(&self, cell: &[u8]) -> EntitySet {
        let mut found = EntitySet::NONE;
        self.examine(cell, |hit| found = found.with(hit.entity));
        found
    }

    /// What `entity` is called in policies.
    #[must_use]
    pub fn name(&self, entity: Entity) -> &str {
        let own = || self.patterns.iter().find(|(own, _)| *own == entity);
        entity.name().or_else(|| Some(own()?.1.name())).unwrap_or_default()
    }

    fn examine(&self, cell: &[u8], found: impl FnMut(Hit)) {
        let mut examiner =
            Examiner { detector: self, cell, found, pem_looked_until: 0, windows: Vec::new() };
        match self.engine.0 {
            Vectors::None => scalar::pass(&self.marks, cell, &mut examiner),
            #[cfg(target_arch = "x86_64")]
            Vectors::Ssse3 => {
                // SAFETY: `Engine::all` alone makes this engine, after it found the feature.
                unsafe { ssse3::pass(&self.marks.nibbles, cell, &mut examiner) };
            }
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => {
                // SAFETY: as above.
                unsafe { avx2::pass(&self.marks.nibbles, cell, &mut examiner) };
            }
        }
        examiner.finish();
    }
}

/// Takes the places at which a value may stand. Each kind's places come in ascending order.
trait Places {
    /// At an `@`, a `+`, or a literal's mark.
    fn anchor(&mut self, at: usize);
    /// At the first of many digits.
    fn digits(&mut self, start: usize);
    /// At the first of four digits, with groups behind them.
    fn groups(&mut self, start: usize);
    /// At the first digit of `ddd-dd-`.
    fn dashes(&mut self, start: usize);
    /// At the first of two letters that begin a word and have two digits behind them.
    fn country(&mut self, start: usize);
}

/// Looks at places exactly and passes on what is there.
struct Examiner<'c, F> {
    detector: &'c Detector,
    cell: &'c [u8],
    found: F,
    /// Keys are long: what was once looked at is not looked at again.
    pem_looked_until: usize,
    /// By pattern, bytes that have yet to be searched. Windows that touch become one, so that no byte
    /// is searched twice. Empty until there is one.
    windows: Vec<Range<usize>>,
}

impl<F: FnMut(Hit)> Examiner<'_, F> {
    fn wants(&self, entity: Entity) -> bool {
        self.detector.wanted.contains(entity)
    }

    fn report(&mut self, entity: Entity, range: Option<Range<usize>>) {
        if let Some(range) = range {
            (self.found)(Hit { entity, range });
        }
    }

    fn at_sign(&mut self, at: usize) {
        let password = url::find(self.cell, at);
        // What is behind a password looks like an address, and is a host.
        if password.is_some() {
            if self.wants(Entity::UrlCredentials) {
                self.report(Entity::UrlCredentials, password);
            }
        } else if self.wants(Entity::Email) {
            self.report(Entity::Email, email::find(self.cell, at));
        }
    }

    fn literal(&mut self, at: usize) {
        let Some(mark) = self.cell.get(at..).and_then(|rest| rest.first_chunk::<MARK_BYTES>())
        else {
            return;
        };
        let mut candidates = self.detector.marks.candidates(*mark);
        while candidates != 0 {
            let index = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let Some(literal) = LITERALS.get(index) else { continue };
            let Some(start) = at.checked_sub(literal.mark) else { continue };
            if !self.cell.get(start..).is_some_and(|rest| rest.starts_with(literal.text)) {
                continue;
            }
            let value = match literal.shape {
                Shape::Token(body) => token::find(self.cell, start, literal.text.len(), body),
                Shape::Jwt => jwt::find(self.cell, start),
                Shape::Pem => self.key(start),
            };
            self.report(literal.entity, value);
        }
        let mut candidates = self.detector.marks.own_candidates(*mark);
        while candidates != 0 {
            self.own(candidates.trailing_zeros() as usize, at);
            candidates &= candidates - 1;
        }
    }

    /// A mark of this pattern may stand at `at`.
    fn own(&mut self, index: usize, at: usize) {
        let detector = self.detector;
        let Some((entity, pattern)) = detector.patterns.get(index) else { return };
        let Some(window) = pattern.window(self.cell, at) else { return };
        if self.windows.is_empty() {
            self.windows.resize(detector.patterns.len(), 0..0);
        }
        let Some(last) = self.windows.get_mut(index) else { return };
        if (last.start..=last.end).contains(&window.start) && last.end > 0 {
            last.end = window.end;
        } else {
            let last = std::mem::replace(last, window);
            self.search(*entity, pattern, last);
        }
    }

    fn search(&mut self, entity: Entity, pattern: &Pattern, part: Range<usize>) {
        if !part.is_empty() {
            pattern.values(self.cell, part).for_each(|range| (self.found)(Hit { entity, range }));
        }
    }

    /// Searches what is left of the windows, and all of the cell for what has no mark.
    fn finish(&mut self) {
        let detector = self.detector;
        let windows = std::mem::take(&mut self.windows);
        for ((entity, pattern), window) in detector.patterns.iter().zip(windows) {
            self.search(*entity, pattern, window);
        }
        for (entity, pattern) in &detector.patterns {
            if pattern.needles().is_empty() {
                self.search(*entity, pattern, 0..self.cell.len());
            }
        }
    }

    fn key(&mut self, start: usize) -> Option<Range<usize>> {
        if start < self.pem_looked_until {
            return None;
        }
        let pem::Found { looked_until, key } = pem::find(self.cell, start);
        self.pem_looked_until = looked_until;
        key
    }
}

impl<F: FnMut(Hit)> Places for Examiner<'_, F> {
    fn anchor(&mut self, at: usize) {
        match byte(self.cell, at) {
            b'@' => self.at_sign(at),
            b'+' if self.wants(Entity::Phone) => {
                self.report(Entity::Phone, phone::find(self.cell, at));
            }
            _ => self.literal(at),
        }
    }

    fn digits(&mut self, start: usize) {
        if self.wants(Entity::Pan) {
            self.report(Entity::Pan, pan::contiguous(self.cell, start));
        }
    }

    fn groups(&mut self, start: usize) {
        if self.wants(Entity::Pan) {
            self.report(Entity::Pan, pan::grouped(self.cell, start));
        }
    }

    fn dashes(&mut self, start: usize) {
        if self.wants(Entity::UsSsn) {
            self.report(Entity::UsSsn, ssn::find(self.cell, start));
        }
    }

    fn country(&mut self, start: usize) {
        if self.wants(Entity::Iban) {
            self.report(Entity::Iban, iban::find(self.cell, start));
        }
    }
}
