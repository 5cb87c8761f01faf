//! Arrays and composites in both formats: every element or field is replaced by what stands in for
//! it, and the structure around it stays.
//!
//! ```text
//! array:     | dimensions i32 | nulls i32 | element type u32 | (length i32, from i32)* | (bytes i32, element)* |
//! composite: | fields i32 | (type u32, bytes i32, field)* |
//! ```
//! A length of -1 is NULL. As text: `[0:1]={a,"b c",NULL}`, `(1,"b c",)`.
//!
//! Text in an encoding other than UTF-8 becomes NULL here: where its characters end is not known,
//! and one of their bytes may look like a quote.

use std::borrow::Cow;

use crate::model::mask::Strategy;

use super::Cell;
use super::Field;
use super::Format;
use super::Shape;
use super::keys::Keys;
use super::quoting::Item;
use super::quoting::Style;

/// Appends what stands in for `cell`; without a strategy, only protected fields are replaced.
/// `depth` is how many levels may follow. `None` leaves `out` in any state.
pub(super) fn replace(
    strategy: Option<Strategy>,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
    depth: usize,
) -> Option<()> {
    let Some(strategy) = strategy else {
        if cell.shape.holds_protected() {
            return descend(None, cell, keys, out, depth);
        }
        out.extend_from_slice(cell.bytes);
        return Some(());
    };
    if strategy == Strategy::Null {
        return None;
    }
    if let Shape::Array(_, element_oid) = cell.shape
        && strategy == Strategy::Redact
    {
        // How many elements there are is told by nothing.
        match cell.format {
            Format::Text => out.extend_from_slice(b"{}"),
            Format::Binary => {
                out.extend([0; 8]);
                out.extend(element_oid.to_be_bytes());
            }
        }
        return Some(());
    }
    if let Shape::Array(..) | Shape::Composite(_) = cell.shape {
        descend(Some(strategy), cell, keys, out, depth)
    } else {
        super::scalar(strategy, cell, keys, out)
    }
}

fn descend(
    strategy: Option<Strategy>,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
    depth: usize,
) -> Option<()> {
    let mut walk = Walk { keys, out, depth: depth.checked_sub(1)? };
    if cell.format == Format::Text {
        std::str::from_utf8(cell.bytes).ok()?;
    }
    if let Shape::Array(element, element_oid) = cell.shape {
        match cell.format {
            Format::Text => walk.text_array(strategy, element, cell.bytes),
            Format::Binary => walk.binary_array(strategy, element, *element_oid, cell.bytes),
        }
    } else if let Shape::Composite(fields) = cell.shape {
        match cell.format {
            Format::Text => walk.text_composite(strategy, fields, cell.bytes),
            Format::Binary => walk.binary_composite(strategy, fields, cell.bytes),
        }
    } else {
        None
    }
}

struct Walk<'a> {
    keys: &'a Keys,
    out: &'a mut Vec<u8>,
    depth: usize,
}

impl Walk<'_> {
    /// Whether anything but NULL was written.
    fn item(&mut self, strategy: Option<Strategy>, cell: Cell<'_>) -> bool {
        let start = self.out.len();
        let written = replace(strategy, cell, self.keys, self.out, self.depth).is_some();
        if !written {
            self.out.truncate(start);
        }
        written
    }

    fn text_array(
        &mut self,
        strategy: Option<Strategy>,
        element: &Shape,
        text: &[u8],
    ) -> Option<()> {
        let delimiter = if element == &Shape::Box { b';' } else { b',' };
        let style = Style::Array { delimiter };
        let bounds = bounds(text)?;
        let (bounds, mut rest) = text.split_at(bounds);
        self.out.extend_from_slice(bounds);
        let mut level = 0_usize;
        loop {
            // An element or a list begins here.
            if let Some(after) = rest.strip_prefix(b"{") {
                level += 1;
                self.out.push(b'{');
                rest = after;
                if level > DIMENSIONS_MAX {
                    return None;
                }
                if !rest.starts_with(b"}") {
                    continue;
                }
            } else {
                if level == 0 {
                    return None;
                }
                let (item, after) = style.read(rest)?;
                self.text_item(strategy, element, style, item);
                rest = after;
            }
            // Lists end here, until another item follows.
            loop {
                let (sign, after) = rest.split_first()?;
                self.out.push(*sign);
                rest = after;
                if *sign == delimiter && level > 0 {
                    break;
                }
                if *sign != b'}' {
                    return None;
                }
                level = level.checked_sub(1)?;
                if level == 0 {
                    return rest.is_empty().then_some(());
                }
            }
        }
    }

    fn text_composite(
        &mut self,
        strategy: Option<Strategy>,
        fields: &[Field],
        text: &[u8],
    ) -> Option<()> {
        let style = Style::Composite;
        let mut rest = text.strip_prefix(b"(")?.strip_suffix(b")")?;
        self.out.push(b'(');
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                rest = rest.strip_prefix(b",")?;
                self.out.push(b',');
            }
            let (item, after) = style.read(rest)?;
            self.text_item(strictest(strategy, field), &field.shape, style, item);
            rest = after;
        }
        self.out.push(b')');
        rest.is_empty().then_some(())
    }

    fn text_item(
        &mut self,
        strategy: Option<Strategy>,
        shape: &Shape,
        style: Style,
        item: Item<'_>,
    ) {
        let start = self.out.len();
        let written = match &item {
            Item::Null => false,
            Item::Value(Cow::Borrowed(bytes)) => {
                self.item(strategy, Cell { shape, format: Format::Text, bytes })
            }
            Item::Value(Cow::Owned(bytes)) => {
                self.item(strategy, Cell { shape, format: Format::Text, bytes })
            }
        };
        match (written, style) {
            (true, _) => style.quote(start, self.out),
            (false, Style::Array { .. }) => self.out.extend_from_slice(b"NULL"),
            (false, Style::Composite) => {}
        }
    }

    fn binary_array(
        &mut self,
        strategy: Option<Strategy>,
        element: &Shape,
        element_oid: u32,
        mut rest: &[u8],
    ) -> Option<()> {
        let dimensions = usize::try_from(word(&mut rest)?).ok()?;
        let flags_at = self.out.len() + 4;
        let flags = word(&mut rest)?;
        let oid = word(&mut rest)?.cast_unsigned();
        if dimensions > DIMENSIONS_MAX || !(0..=1).contains(&flags) || oid != element_oid {
            return None;
        }
        self.out.extend(u32::try_from(dimensions).ok()?.to_be_bytes());
        self.out.extend(flags.to_be_bytes());
        self.out.extend(oid.to_be_bytes());
        let mut elements = usize::from(dimensions > 0);
        for _ in 0..dimensions {
            let (length, from) = (word(&mut rest)?, word(&mut rest)?);
            self.out.extend(length.to_be_bytes());
            self.out.extend(from.to_be_bytes());
            elements = elements.checked_mul(usize::try_from(length).ok()?)?;
        }
        // Every element has a length word at least: a count is judged before it is believed.
        if elements > rest.len() / 4 {
            return None;
        }
        let mut has_null = flags == 1;
        for _ in 0..elements {
            has_null |= !self.binary_item(strategy, element, &mut rest)?;
        }
        let flags = self.out.get_mut(flags_at..)?.first_chunk_mut::<4>()?;
        *flags = i32::from(has_null).to_be_bytes();
        rest.is_empty().then_some(())
    }

    fn binary_composite(
        &mut self,
        strategy: Option<Strategy>,
        fields: &[Field],
        mut rest: &[u8],
    ) -> Option<()> {
        let count = word(&mut rest)?;
        if usize::try_from(count).ok()? != fields.len() {
            return None;
        }
        self.out.extend(count.to_be_bytes());
        for field in fields {
            let oid = word(&mut rest)?;
            if oid.cast_unsigned() != field.type_oid {
                return None;
            }
            self.out.extend(oid.to_be_bytes());
            self.binary_item(strictest(strategy, field), &field.shape, &mut rest)?;
        }
        rest.is_empty().then_some(())
    }

    /// Whether it is anything but NULL now.
    fn binary_item(
        &mut self,
        strategy: Option<Strategy>,
        shape: &Shape,
        rest: &mut &[u8],
    ) -> Option<bool> {
        let length = word(rest)?;
        let start = self.out.len();
        self.out.extend((-1_i32).to_be_bytes());
        if length == -1 {
            return Some(false);
        }
        let (bytes, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        *rest = after;
        if !self.item(strategy, Cell { shape, format: Format::Binary, bytes }) {
            return Some(false);
        }
        let length = i32::try_from(self.out.len() - start - 4).ok()?;
        *self.out.get_mut(start..)?.first_chunk_mut::<4>()? = length.to_be_bytes();
        Some(true)
    }
}

/// Of what protects the whole and what protects the field.
fn strictest(strategy: Option<Strategy>, field: &Field) -> Option<Strategy> {
    match (strategy, field.protection) {
        (Some(whole), Some(field)) => Some(whole.min(field)),
        (whole, field) => whole.or(field),
    }
}

/// The length of `[1:2][0:1]=`, if it is there.
fn bounds(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"[") {
        return Some(0);
    }
    let end = text.iter().position(|byte| *byte == b'=')? + 1;
    let is_bound =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'[' | b']' | b':' | b'-' | b'=');
    text.get(..end)?.iter().all(is_bound).then_some(end)
}

fn word(rest: &mut &[u8]) -> Option<i32> {
    let (word, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(i32::from_be_bytes(*word))
}

/// The server's own bound.
const DIMENSIONS_MAX: usize = 6;
