//! Finds sensitive values in bytes. Knows what they look like and their check digits; not whose
//! bytes they are, nor what becomes of a value.
//!
//! One pass over the bytes names places at which a value may stand; what stands there is then
//! examined exactly, within the given slice alone. The pass exists twice, with vectors and byte by
//! byte: the vectors may name more places, never fewer, so that both find the same.
//!
//! A value that is spelt in another way (encoded, split over strings, typed with look-alikes) is not
//! found: detectors show mistakes, they do not stop somebody who hides a value.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod class;
mod literal;
mod scalar;
#[cfg(test)]
mod tests;
mod validate;

use std::ops::Range;

use crate::model::entity::{Entity, EntitySet};
use crate::scan::class::byte;
use crate::scan::literal::{LITERALS, MARK_BYTES, Marks, Shape};
use crate::scan::validate::{email, iban, jwt, pan, pem, phone, ssn, token, url};

/// A value that was found, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub entity: Entity,
    pub range: Range<usize>,
}

/// Finds values of some entities. Costs a few KiB and microseconds to make; then it only reads.
#[derive(Clone, Debug)]
pub struct Detector {
    wanted: EntitySet,
    engine: Engine,
    marks: Marks,
}

/// How the bytes are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Detector {
    /// The fastest that this machine can run.
    #[must_use]
    pub fn new(wanted: EntitySet) -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self { engine: Engine::Avx2, ..Self::scalar(wanted) };
        }
        Self::scalar(wanted)
    }

    /// One that uses no vectors: the reference that the others are held to.
    #[must_use]
    pub fn scalar(wanted: EntitySet) -> Self {
        Self { wanted, engine: Engine::Scalar, marks: Marks::new(wanted) }
    }

    /// Writes all values in `cell` to `hits`, in order. Of values that overlap, the one that begins
    /// first is kept, and of those the longest.
    pub fn scan(&self, cell: &[u8], hits: &mut Vec<Hit>) {
        hits.clear();
        let precedence = |hit: &Hit| (hit.range.start, usize::MAX - hit.range.end, hit.entity);
        self.examine(cell, |hit| {
            // Only places near one another come out of order.
            let earlier = hits.iter().rposition(|other| precedence(other) <= precedence(&hit));
            hits.insert(earlier.map_or(0, |index| index + 1), hit);
        });
        let mut free = 0;
        hits.retain(|hit| {
            let is_free = hit.range.start >= free;
            if is_free {
                free = hit.range.end;
            }
            is_free
        });
    }

    /// Which entities have a value in `cell`, those included that are part of another's value.
    #[must_use]
    pub fn entities(&self, cell: &[u8]) -> EntitySet {
        let mut found = EntitySet::NONE;
        self.examine(cell, |hit| found = found.with(hit.entity));
        found
    }

    fn examine(&self, cell: &[u8], found: impl FnMut(Hit)) {
        let mut examiner = Examiner { detector: self, cell, found, pem_looked_until: 0 };
        match self.engine {
            Engine::Scalar => scalar::pass(&self.marks, cell, &mut examiner),
            #[cfg(target_arch = "x86_64")]
            Engine::Avx2 => {
                // SAFETY: `new` alone chooses this engine, after it found the feature.
                unsafe { avx2::pass(&self.marks.nibbles, cell, &mut examiner) };
            }
        }
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
