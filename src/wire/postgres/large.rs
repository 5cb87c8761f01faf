//! Rows that are too large to be held whole. Knows how much of one is held, and what becomes of the
//! rest; not which of its values are protected.
//!
//! The length of a row stands before its cells. So only the cells at its front can be replaced, those
//! that end where a row of the largest size that is held would end: then all lengths are known, and
//! what is behind them streams through unseen. Where any of that would have to be looked at, nothing
//! of the row goes on.
//! +-----+--------+-------+----------------------+------------------------+
//! | 'D' | length | count | cells: held, editable | cells: relayed as come |
//! +-----+--------+-------+----------------------+------------------------+

use crate::limits::SHOWN_ROW_BYTES_MAX;
use crate::model::session::Leg;
use crate::wire::postgres::frame::{HEADER_BYTES, Header, Rest};
use crate::wire::postgres::message::{Malformed, Reader};
use crate::wire::postgres::relay::{Relay, by_target};
use crate::wire::postgres::reply::Words;
use crate::wire::{Editor, Fault, Said, Shown, Step};

/// A row up to this is held whole.
const HELD_BYTES_MAX: usize = HEADER_BYTES + SHOWN_ROW_BYTES_MAX;

impl Relay {
    /// Shows the beginning of a row that is too large to be held. The rest follows it, unless
    /// it is withheld after all.
    pub fn show_large(
        &mut self,
        header: Header,
        window: &[u8],
        said: &mut Said,
    ) -> Result<Step, Fault> {
        let number = self.running()?;
        if self.cut.is_some() || self.is_past_limit(header) {
            self.message(header, window, said)?;
            let bytes = header.total().min(window.len());
            self.target_rest = Rest::discard(header.total() - bytes);
            return Ok(Step::Drop { bytes });
        }
        let columns = self.columns_at_hand();
        let columns = columns.ok_or(by_target("a row came without a description"))?;
        let found = beginning(header, window, columns.len());
        let (bytes, held) = match found.map_err(|malformed| malformed.by(Leg::Upstream))? {
            Beginning::Need { bytes } => return Ok(Step::Need { bytes }),
            Beginning::Held { bytes, cells } => (bytes, cells),
        };
        self.message(header, window, said)?;
        let behind = header.total() - bytes;
        self.target_rest = Rest::relay(behind);
        Ok(Step::Show { bytes, shown: Shown::RowBegins { number, columns, held, behind } })
    }

    /// Whether something behind a row's beginning would have to be looked at. Then the row is withheld,
    /// and its result ends.
    pub fn refuses_rest(&mut self, shown: &Shown, bytes: usize, editor: &impl Editor) -> bool {
        let Shown::RowBegins { number, columns, held, behind } = shown else { return false };
        if (*held..columns.len()).all(|column| editor.passes(column)) {
            return false;
        }
        self.withhold_begun(*number, bytes + behind);
        self.cut_off(Words::row_too_large());
        true
    }

    /// A row whose beginning has been shown does not go on. Its bytes are offered anew.
    pub fn withhold_begun(&mut self, number: u64, row_bytes: usize) {
        self.exchanges.take_back(number, 1, 0, row_bytes as u64);
        self.target_rest = Rest::None;
    }
}

enum Beginning {
    Need {
        bytes: usize,
    },
    /// So many cells are within so many bytes of the message.
    Held {
        bytes: usize,
        cells: usize,
    },
}

/// The cells at the front of a row that can be held; the one behind them is too large for that. What
/// is found does not depend on how much of the row has come.
fn beginning(header: Header, window: &[u8], columns: usize) -> Result<Beginning, Malformed> {
    let mut at = HEADER_BYTES;
    let Some(field) = window.get(at..at + COUNT_BYTES) else {
        return Ok(Beginning::Need { bytes: at + COUNT_BYTES });
    };
    if Reader::new(field).count()? != columns {
        return Err(Malformed::Value);
    }
    at += COUNT_BYTES;
    for cells in 0..columns {
        let behind = at + LENGTH_BYTES;
        if behind > header.total() {
            return Err(Malformed::Short);
        }
        if behind > HELD_BYTES_MAX {
            return Ok(held(at, cells, window));
        }
        let Some(field) = window.get(at..behind) else {
            return Ok(Beginning::Need { bytes: behind });
        };
        let length = match Reader::new(field).i32()? {
            -1 => 0,
            length => usize::try_from(length).map_err(|_| Malformed::Value)?,
        };
        let end = behind + length;
        if end > header.total() {
            return Err(Malformed::Short);
        }
        if end > HELD_BYTES_MAX {
            return Ok(held(at, cells, window));
        }
        at = end;
    }
    // All cells were within what is held, and the row is larger than that.
    Err(Malformed::Trailing)
}

const fn held(bytes: usize, cells: usize, window: &[u8]) -> Beginning {
    if bytes <= window.len() { Beginning::Held { bytes, cells } } else { Beginning::Need { bytes } }
}

const COUNT_BYTES: usize = 2;
const LENGTH_BYTES: usize = 4;
