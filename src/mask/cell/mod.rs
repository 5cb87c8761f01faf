//! One value, replaced by a stand-in of its own type, in text and in binary format. Knows types and
//! their encodings; not which column a value came from, nor the row around it.
//!
//! What cannot be read or has no stand-in becomes NULL, which every client accepts anywhere. `0`
//! below is also `false`, the first label, 1970-01-01, 00:00:00, an empty range, the origin.
//!
//! | shape | redact | mask | partial | hash | pseudonym | fpe | year |
//! |---|---|---|---|---|---|---|---|
//! | text | `[redacted]` | stars | ends, stars | `h-` and 16 hex | see `text` | digits | as redact |
//! | json, jsonb | `"[redacted]"` | `"***"` | as redact | `"h-…"` | `"h-…"` | as redact | as redact |
//! | xml | `<redacted/>` | as redact | as redact | `<redacted>h-…` | the same | as redact | as redact |
//! | bytea | empty | zeros | as redact | 32 bytes | 32 bytes | as redact | as redact |
//! | int2/4/8, oid | 0 | 0 | 0 | keyed | a permutation | digits | 0 |
//! | numeric | 0 | 0 | 0 | keyed | keyed | digits | 0 |
//! | float4/8 | 0 | 0 | 0 | 0 | keyed | 0 | 0 |
//! | date, timestamp(tz) | 0 | 0 | 0 | 0 | keyed, 1930 to 2029 | 0 | January 1st |
//! | uuid | zeros | zeros | zeros | version 8 | version 8 | zeros | zeros |
//! | inet, cidr | 0.0.0.0, :: | = | = | 240.0.0.0/4, 2001:db8::/32 | the same | = | = |
//! | macaddr(8) | zeros | zeros | zeros | local address | local address | zeros | zeros |
//! | bit, varbit | zeros, empty | zeros | as redact, as for all else | | | | |
//! | array | empty | each element | | | | | |
//! | composite | each field | | | | | | |
//! | all else | 0 | 0 | 0 | 0 | 0 | 0 | 0 |

mod address;
mod bytes;
mod document;
mod fixed;
mod integer;
mod keys;
mod moment;
mod nested;
mod numeric;
mod numerals;
mod ours;
mod quoting;
mod shape;
mod text;

use crate::model::mask::Strategy;

pub use keys::Keys;
pub use ours::is_ours;
pub use shape::Field;
pub use shape::Shape;

/// How the bytes of a value are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Binary,
}

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Replaced {
    /// It becomes NULL; `out` is as it was.
    Null,
    /// `out` got the new bytes.
    Written,
}

/// Appends what stands in for `cell`, which is not NULL.
pub fn replace(
    strategy: Strategy,
    shape: &Shape,
    format: Format,
    cell: &[u8],
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Replaced {
    write(Some(strategy), Cell { shape, format, bytes: cell }, keys, out)
}

/// Appends `cell` with those fields replaced that are protected, at any depth: a whole row of an
/// otherwise open relation.
pub fn replace_fields(
    shape: &Shape,
    format: Format,
    cell: &[u8],
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Replaced {
    write(None, Cell { shape, format, bytes: cell }, keys, out)
}

fn write(strategy: Option<Strategy>, cell: Cell<'_>, keys: &Keys, out: &mut Vec<u8>) -> Replaced {
    let start = out.len();
    match nested::replace(strategy, cell, keys, out, DEPTH_MAX) {
        Some(()) => Replaced::Written,
        None => {
            out.truncate(start);
            Replaced::Null
        }
    }
}

/// Arrays and composites in each other. Deeper ones become NULL: reading them takes the stack, and
/// no table is declared like this.
const DEPTH_MAX: usize = 8;

/// A value as it came.
#[derive(Clone, Copy)]
struct Cell<'a> {
    shape: &'a Shape,
    format: Format,
    bytes: &'a [u8],
}

/// Everything but arrays and composites. `None` leaves `out` in any state.
fn scalar(strategy: Strategy, cell: Cell<'_>, keys: &Keys, out: &mut Vec<u8>) -> Option<()> {
    match cell.shape {
        Shape::Text { max_chars, pads } => {
            text::replace(strategy, *max_chars, *pads, cell.bytes, keys, out)
        }
        Shape::Json | Shape::Jsonb => document::json(strategy, cell, keys, out),
        Shape::Xml => document::xml(strategy, cell.bytes, keys, out),
        Shape::Bytea => bytes::replace(strategy, cell, keys, out),
        Shape::Bit | Shape::Varbit => bytes::bits(strategy, cell, out),
        Shape::Int2 | Shape::Int4 | Shape::Int8 | Shape::Oid => {
            integer::replace(strategy, cell, keys, out)
        }
        Shape::Float4 | Shape::Float8 => integer::float(strategy, cell, keys, out),
        Shape::Numeric { whole_digits } => {
            numeric::replace(strategy, *whole_digits, cell, keys, out)
        }
        Shape::Date | Shape::Timestamp | Shape::Timestamptz => {
            moment::replace(strategy, cell, keys, out)
        }
        Shape::Uuid => address::uuid(strategy, cell, keys, out),
        Shape::Inet | Shape::Cidr => address::network(strategy, cell, keys, out),
        Shape::Macaddr => address::hardware::<6>(strategy, cell, keys, out),
        Shape::Macaddr8 => address::hardware::<8>(strategy, cell, keys, out),
        Shape::Bool
        | Shape::Money
        | Shape::Time
        | Shape::Timetz
        | Shape::Interval
        | Shape::TsVector
        | Shape::TsQuery
        | Shape::Point
        | Shape::Line
        | Shape::Lseg
        | Shape::Box
        | Shape::Path
        | Shape::Polygon
        | Shape::Circle
        | Shape::Range
        | Shape::Multirange
        | Shape::Enum(_) => fixed::write(cell, out),
        Shape::Array(..) | Shape::Composite(_) | Shape::Opaque => None,
    }
}

#[cfg(test)]
mod tests;
