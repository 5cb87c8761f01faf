//! Stand-ins of values too large to be held: as many bytes as there were, piece by piece. They tell
//! the length, and nothing else.

use super::Format;
use super::Shape;

/// What fills a cell's place, of whatever length it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filler {
    head: &'static [u8],
    fill: u8,
    tail: &'static [u8],
    /// What fills it where head and tail do not fit.
    bare: u8,
    /// Whether what is between them comes in pairs.
    pairs: bool,
}

/// The stand-in of a cell that cannot be held whole; `None` where the type has none of every length.
pub fn same_length_filler(shape: &Shape, format: Format) -> Option<Filler> {
    let plain = |fill| Filler { head: b"", fill, tail: b"", bare: fill, pairs: false };
    let string = |head| Filler { head, fill: b'*', tail: b"\"", bare: b'0', pairs: false };
    Some(match (shape, format) {
        (Shape::Text { .. }, _) => plain(b'*'),
        (Shape::Json, _) | (Shape::Jsonb, Format::Text) => string(b"\""),
        (Shape::Jsonb, Format::Binary) => string(b"\x01\""),
        (Shape::Xml, _) => {
            Filler { head: b"<a>", fill: b'*', tail: b"</a>", bare: b'*', pairs: false }
        }
        (Shape::Bytea, Format::Binary) => plain(0),
        // An odd length is none of the `hex` form; zeros are a value of the other one.
        (Shape::Bytea, Format::Text) => {
            Filler { head: b"\\x", fill: b'0', tail: b"", bare: b'0', pairs: true }
        }
        (Shape::Bit | Shape::Varbit, Format::Text) => plain(b'0'),
        (
            Shape::Bool
            | Shape::Int2
            | Shape::Int4
            | Shape::Int8
            | Shape::Oid
            | Shape::Float4
            | Shape::Float8
            | Shape::Numeric { .. }
            | Shape::Money
            | Shape::Date
            | Shape::Time
            | Shape::Timetz
            | Shape::Timestamp
            | Shape::Timestamptz
            | Shape::Interval
            | Shape::Uuid
            | Shape::Inet
            | Shape::Cidr
            | Shape::Macaddr
            | Shape::Macaddr8
            | Shape::Bit
            | Shape::Varbit
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
            | Shape::Array(..)
            | Shape::Composite(_)
            | Shape::Enum(_)
            | Shape::Opaque,
            _,
        ) => return None,
    })
}

impl Filler {
    /// Overwrites `piece`, which stands `at` so many bytes of a cell of `total`.
    pub fn fill(&self, total: usize, at: usize, piece: &mut [u8]) {
        let around = self.head.len() + self.tail.len();
        if total < around || (self.pairs && !(total - around).is_multiple_of(2)) {
            piece.fill(self.bare);
            return;
        }
        piece.fill(self.fill);
        put(self.head, 0, at, piece);
        put(self.tail, total - self.tail.len(), at, piece);
    }
}

/// Copies what of `text`, which begins at `from`, lies in `piece`, which begins at `at`.
fn put(text: &[u8], from: usize, at: usize, piece: &mut [u8]) {
    for (place, byte) in (from..).zip(text) {
        let inside = place.checked_sub(at).and_then(|place| piece.get_mut(place));
        if let Some(to) = inside {
            *to = *byte;
        }
    }
}
