//! The text of one command as rules ask for it. Values are looked for when the first rule asks, and
//! once, however many do.

use std::cell::OnceCell;

use crate::model::entity::EntitySet;
use crate::scan::Detector;

pub(super) struct Text<'t> {
    bytes: &'t [u8],
    /// Knows the entities of all rules; `None` where no rule has any.
    detector: Option<&'t Detector>,
    found: OnceCell<EntitySet>,
}

impl<'t> Text<'t> {
    pub(super) const fn new(bytes: &'t [u8], detector: Option<&'t Detector>) -> Self {
        Self { bytes, detector, found: OnceCell::new() }
    }

    pub(super) const fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// What the text holds of what rules ask for.
    pub(super) fn entities(&self) -> EntitySet {
        let look = || self.detector.map_or(EntitySet::NONE, |it| it.entities(self.bytes));
        *self.found.get_or_init(look)
    }

    /// The same, as policies call them.
    pub(super) fn entity_names(&self) -> Vec<String> {
        let names = |detector: &Detector| {
            self.entities().iter().map(|entity| detector.name(entity).to_owned()).collect()
        };
        self.detector.map(names).unwrap_or_default()
    }

    /// True if a rule has asked.
    #[cfg(test)]
    pub(super) fn is_looked_through(&self) -> bool {
        self.found.get().is_some()
    }
}
