//! A bot's own words go on as they are, and are recorded without the values in them.

use crate::mask::hide::hidden;
use crate::model::session::Parameter;
use crate::session::Open;
use crate::session::exchange::Ended;

impl Open {
    /// What is kept of `bytes` where that is not all of them.
    pub(super) fn hidden(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        hidden(self.admission.policy.request_detector(), &mut self.hits, bytes)
    }

    /// Writes over the values in an exchange's record, and ties it to the exact text.
    pub(super) fn hide(&mut self, ended: &mut Ended) {
        let mut hid = false;
        if let Some(text) = self.hidden(ended.record.text.as_bytes()) {
            ended.record.text = String::from_utf8_lossy(&text).into_owned();
            hid = true;
        }
        for parameter in &mut ended.record.parameters {
            if let Parameter::Text(text) = parameter
                && let Some(kept) = self.hidden(text.as_bytes())
            {
                *text = String::from_utf8_lossy(&kept).into_owned();
                hid = true;
            }
        }
        if hid {
            ended.record.exact = Some(self.admission.mask_keys.request_digest(&ended.text));
        }
    }
}
