//! Replaces values as a plan says. Knows cells and texts, not the messages that they stand in.

use crate::judge::policy::Masks;
use crate::mask::cell::{self, Format, Keys, Replaced, Shape};
use crate::mask::over::{may_be_a_number, write_over};
use crate::mask::plan::{Manner, Plan, Treatment};
use crate::mask::reach::Reach;
use crate::model::entity::Entity;
use crate::model::mask::{Derived, Strategy};
use crate::scan::{Detector, Hit};
use crate::wire::{Edit, Editor, Part};

/// The editor of one piece of an answer.
pub struct Edits<'a> {
    pub plan: &'a Plan,
    pub masks: &'a Masks,
    pub keys: &'a Keys,
    /// Reused from cell to cell.
    pub hits: &'a mut Vec<Hit>,
}

impl Editor for Edits<'_> {
    fn cell(&mut self, column: usize, value: &[u8], out: &mut Vec<u8>) -> Edit {
        match self.plan.columns.get(column) {
            Some(Treatment::Pass) => Edit::Keep,
            Some(Treatment::Replace { strategy, shape, format }) => {
                edit(cell::replace(*strategy, shape, *format, value, self.keys, out))
            }
            Some(Treatment::Within { shape, format }) => {
                edit(cell::replace_fields(shape, *format, value, self.keys, out))
            }
            Some(Treatment::Search { manner }) => self.search(*manner, value, out),
            // A plan is made for the columns that there are.
            None => Edit::Null,
        }
    }

    fn passes(&self, column: usize) -> bool {
        matches!(self.plan.columns.get(column), Some(Treatment::Pass))
    }

    fn words(&mut self, part: Part<'_>, words: &[u8], out: &mut Vec<u8>) -> Edit {
        let strict = !self.plan.reach.is_clean() && self.masks.derived() == Derived::Strict;
        match part {
            Part::Message { code, points_at_text }
                if strict && !tells_no_value(code, points_at_text, &self.plan.reach) =>
            {
                out.extend(WITHHELD);
                Edit::Written
            }
            Part::Addition { .. } if strict => Edit::Null,
            Part::Addition { code, table } if self.is_of_others(code, table) => Edit::Null,
            Part::Message { .. } | Part::Addition { .. } | Part::Name | Part::Aside => {
                self.search(Manner::Text, words, out)
            }
            Part::Label => self.search(Manner::InPlace, words, out),
        }
    }
}

/// What stands for a message that may quote a protected value.
const WITHHELD: &[u8] = b"the message is withheld, for it may quote a protected value";

/// Errors whose message names objects and states, never values: broken constraints (the value
/// stands in the detail), transactions and cursors in a wrong state, lack of resources, operators'
/// doing. And what is wrong at a place in the bot's own text, unless other code ran: where a value was
/// taken for a name, there is no such place.
fn tells_no_value(code: &[u8], points_at_text: bool, reach: &Reach) -> bool {
    match code.first_chunk::<2>() {
        Some(
            b"23" | b"24" | b"25" | b"26" | b"34" | b"3B" | b"40" | b"53" | b"54" | b"55" | b"57",
        ) => true,
        Some(b"42" | b"3F" | b"0A") => {
            points_at_text && (names_nothing(code) || !matches!(reach, Reach::Anything { .. }))
        }
        _ => false,
    }
}

/// There is no such table, column or function where the text has one. Code that the statement calls may
/// find so too, but the server points into the code's own text then.
fn names_nothing(code: &[u8]) -> bool {
    matches!(code, b"42P01" | b"42703" | b"42883")
}

fn edit(replaced: Replaced) -> Edit {
    match replaced {
        Replaced::Null => Edit::Null,
        Replaced::Written => Edit::Written,
    }
}

impl Edits<'_> {
    /// A constraint is broken of a relation that the statement does not name: a change went on to
    /// other rows by a foreign key, or was looked at only when its transaction ended. What is said of
    /// such a row may hold anything.
    fn is_of_others(&self, code: &[u8], table: &[u8]) -> bool {
        let named = self.plan.named.iter().any(|name| name.as_bytes() == table);
        code.starts_with(b"23")
            && !named
            && self.masks.has_columns()
            && self.masks.derived() == Derived::Strict
    }

    fn search(&mut self, manner: Manner, value: &[u8], out: &mut Vec<u8>) -> Edit {
        let Some(detector) = self.masks.detector() else { return Edit::Keep };
        detector.scan(value, self.hits);
        self.hits.retain(|hit| self.masks.entity(hit.entity).is_some());
        let hides = manner != Manner::Text && self.finds_more_unescaped(detector, value);
        if hides || (manner == Manner::Json && self.reaches_over_structure(value)) {
            if manner == Manner::InPlace {
                return Edit::Null;
            }
            // The version byte of the binary form is no text.
            out.extend(value.first().filter(|byte| **byte == 1));
            out.extend(b"\"[redacted]\"");
            return Edit::Written;
        }
        if self.hits.is_empty() {
            return Edit::Keep;
        }
        let mut kept = 0;
        for hit in &*self.hits {
            let Some(protection) = self.masks.entity(hit.entity) else { continue };
            let range = hit.range.clone();
            out.extend(value.get(kept..range.start).unwrap_or_default());
            let found = value.get(range.clone()).unwrap_or_default();
            match manner {
                Manner::Text => stand_in(protection.strategy, found, self.keys, out),
                Manner::Json if !may_be_a_number(hit.entity, found) => {
                    stand_in(protection.strategy, found, self.keys, out);
                }
                Manner::InPlace | Manner::Json => {
                    let start = out.len();
                    out.extend(found);
                    write_over(hit.entity, out.get_mut(start..).unwrap_or_default());
                }
            }
            kept = range.end;
        }
        out.extend(value.get(kept..).unwrap_or_default());
        Edit::Written
    }

    /// An operator's own value is not inside one string of a document, nor a number: it has a quote or
    /// an escape in it, or stands among what is between strings, as `true` does.
    fn reaches_over_structure(&self, value: &[u8]) -> bool {
        let mut looked = 0;
        let mut is_quoted = false;
        self.hits.iter().filter(|hit| matches!(hit.entity, Entity::Own(_))).any(|hit| {
            while looked < hit.range.start {
                match (value.get(looked), is_quoted) {
                    (Some(b'"'), _) => is_quoted = !is_quoted,
                    (Some(b'\\'), true) => looked += 1,
                    _ => {}
                }
                looked += 1;
            }
            let found = value.get(hit.range.clone()).unwrap_or_default();
            let is_inside = is_quoted && looked == hit.range.start;
            found.iter().any(|byte| matches!(byte, b'"' | b'\\'))
                || !(is_inside || may_be_a_number(hit.entity, found))
        })
    }

    /// A value may hide in JSON behind escapes, which the reader resolves; also beside values that hide
    /// behind nothing. In a list of such documents the escapes are escaped themselves.
    fn finds_more_unescaped(&self, detector: &Detector, value: &[u8]) -> bool {
        if memchr::memmem::find(value, b"\\u").is_none() {
            return false;
        }
        let once = unescaped(value);
        let twice = unescaped(&once);
        let mut more = Vec::new();
        [once, twice].iter().any(|text| {
            detector.scan(text, &mut more);
            more.retain(|hit| self.masks.entity(hit.entity).is_some());
            more.len() > self.hits.len()
        })
    }
}

/// What takes the place of a found value inside a text.
fn stand_in(strategy: Strategy, found: &[u8], keys: &Keys, out: &mut Vec<u8>) {
    let shape = Shape::Text { max_chars: None, pads: false };
    let _nothing_for_null = cell::replace(strategy, &shape, Format::Text, found, keys, out);
}

/// Resolves JSON's escapes of ASCII characters; everything else stays.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend(rest.get(..at).unwrap_or_default());
        let escape = rest.get(at..).unwrap_or_default();
        let (byte, length) = match escape {
            [b'\\', b'u', digits @ ..] if let Some(code) = digits.get(..4).and_then(ascii) => {
                (Some(code), 6)
            }
            [b'\\', byte, ..] => (Some(*byte), 2),
            _ => (None, 1),
        };
        out.extend(byte);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend(rest);
    out
}

fn ascii(digits: &[u8]) -> Option<u8> {
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    u8::try_from(code).ok().filter(u8::is_ascii)
}
