//! Stand-ins of types of which nothing can be kept: one value each, in both formats.

use super::Cell;
use super::Format;
use super::Shape;

pub(super) fn write(cell: Cell<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (text, binary): (&[u8], &[u8]) = match cell.shape {
        Shape::Bool => (b"f", &[0]),
        Shape::Money => (money(cell.bytes), &[0; 8]),
        Shape::Time => (b"00:00:00", &[0; 8]),
        Shape::Timetz => (b"00:00:00+00", &[0; 12]),
        Shape::Interval => (interval(cell.bytes), &[0; 16]),
        // No lexemes, no nodes.
        Shape::TsVector | Shape::TsQuery => (b"", &[0; 4]),
        Shape::Point => (b"(0,0)", &[0; 16]),
        // The factors of x and y must not both be zero: this is the y axis.
        Shape::Line => (b"{1,0,0}", LINE),
        Shape::Lseg => (b"[(0,0),(0,0)]", &[0; 32]),
        Shape::Box => (b"(0,0),(0,0)", &[0; 32]),
        // Closed, and of one point.
        Shape::Path => (b"((0,0))", PATH),
        Shape::Polygon => (b"((0,0))", POLYGON),
        Shape::Circle => (b"<(0,0),0>", &[0; 24]),
        // The flag that says that it is empty.
        Shape::Range => (b"empty", &[1]),
        Shape::Multirange => (b"{}", &[0; 4]),
        Shape::Enum(labels) => {
            // Others would have to be in the client's encoding.
            let label = labels.first().filter(|label| label.is_ascii())?.as_bytes();
            (label, label)
        }
        Shape::Text { .. }
        | Shape::Json
        | Shape::Jsonb
        | Shape::Xml
        | Shape::Bytea
        | Shape::Int2
        | Shape::Int4
        | Shape::Int8
        | Shape::Oid
        | Shape::Float4
        | Shape::Float8
        | Shape::Numeric { .. }
        | Shape::Date
        | Shape::Timestamp
        | Shape::Timestamptz
        | Shape::Uuid
        | Shape::Inet
        | Shape::Cidr
        | Shape::Macaddr
        | Shape::Macaddr8
        | Shape::Bit
        | Shape::Varbit
        | Shape::Array(..)
        | Shape::Composite(_)
        | Shape::Opaque => return None,
    };
    out.extend_from_slice(match cell.format {
        Format::Text => text,
        Format::Binary => binary,
    });
    Some(())
}

/// As much of the session's locale as can be told.
fn money(text: &[u8]) -> &'static [u8] {
    if text.contains(&b'$') { b"$0.00" } else { b"0.00" }
}

/// Nothing, in the style of the session.
fn interval(text: &[u8]) -> &'static [u8] {
    match text.first() {
        Some(b'P') => b"PT0S",
        Some(b'@') => b"@ 0",
        Some(_) | None => b"00:00:00",
    }
}

const LINE: &[u8] = &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PATH: &[u8] = &[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const POLYGON: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
