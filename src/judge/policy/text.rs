//! The text of one command, and what it is bound to, as rules ask for them. Values are looked for when
//! the first rule asks, and once, however many do.

use std::cell::OnceCell;

use crate::model::entity::EntitySet;
use crate::model::session::Parameter;
use crate::scan::Detector;

pub(super) struct Text<'t> {
    bytes: &'t [u8],
    parameters: &'t [Parameter],
    /// Knows the entities of all rules; `None` where no rule has any.
    detector: Option<&'t Detector>,
    found: OnceCell<EntitySet>,
}

impl<'t> Text<'t> {
    pub(super) const fn new(
        bytes: &'t [u8],
        parameters: &'t [Parameter],
        detector: Option<&'t Detector>,
    ) -> Self {
        Self { bytes, parameters, detector, found: OnceCell::new() }
    }

    pub(super) const fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// What the text and its parameters hold of what rules ask for.
    pub(super) fn entities(&self) -> EntitySet {
        let Some(detector) = self.detector else { return EntitySet::NONE };
        *self.found.get_or_init(|| {
            let bound = self.parameters.iter().filter_map(Parameter::bytes);
            bound.fold(detector.entities(self.bytes), |all, value| {
                all.union(detector.entities(&value))
            })
        })
    }

    /// True if it is bound to what is too long to be looked through.
    pub(super) fn is_cut(&self) -> bool {
        self.parameters.iter().any(Parameter::is_long)
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
