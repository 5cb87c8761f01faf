//! What kind of value a column holds. Built-in types are known by number; what an operator made
//! comes from the catalogue.

use std::sync::Arc;

use crate::model::mask::Strategy;

/// What kind of value a column holds, as far as masking cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Text {
        /// What a declared length allows: `varchar(n)`.
        max_chars: Option<u32>,
        /// Whether shorter values are filled up with spaces: `char(n)`.
        pads: bool,
    },
    Json,
    /// Its binary format is a version byte and the text; `jsonpath` is one as well.
    Jsonb,
    Xml,
    Bytea,
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric {
        /// How many may stand before the point, where the column says so.
        whole_digits: Option<u32>,
    },
    Money,
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Inet,
    Cidr,
    Macaddr,
    Macaddr8,
    Bit,
    Varbit,
    TsVector,
    TsQuery,
    Point,
    Line,
    Lseg,
    Box,
    Path,
    Polygon,
    Circle,
    Range,
    Multirange,
    /// Elements, and their type's number.
    Array(Arc<Shape>, u32),
    Composite(Arc<[Field]>),
    /// Its labels in their order.
    Enum(Arc<[Box<str>]>),
    /// Nothing is known that could stand in: only NULL can.
    Opaque,
}

/// One field of a composite; dropped ones are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub type_oid: u32,
    pub shape: Shape,
    pub protection: Option<Strategy>,
}

impl Shape {
    /// The shape of a built-in type or of an array of one. `typmod` is what the column declares,
    /// -1 for nothing; an array's speaks of its elements.
    pub fn built_in(type_oid: u32, typmod: i32) -> Option<Self> {
        if let Some(shape) = scalar(type_oid, typmod) {
            return Some(shape);
        }
        let (_, element_oid) = ARRAYS.iter().find(|(array_oid, _)| *array_oid == type_oid)?;
        Some(Self::Array(Arc::new(scalar(*element_oid, typmod)?), *element_oid))
    }

    /// Whether something in it is protected although it is not itself.
    pub fn holds_protected(&self) -> bool {
        self.protected_within(super::DEPTH_MAX)
    }

    fn protected_within(&self, depth: usize) -> bool {
        // What nests deeper is not read either: it becomes NULL.
        let Some(depth) = depth.checked_sub(1) else { return true };
        if let Self::Array(element, _) = self {
            return element.protected_within(depth);
        }
        let Self::Composite(fields) = self else { return false };
        fields.iter().any(|field| field.protection.is_some() || field.shape.protected_within(depth))
    }
}

/// Type numbers are the server's own and never change.
fn scalar(type_oid: u32, typmod: i32) -> Option<Shape> {
    // A declared length is kept with the four bytes of a length word added.
    let declared = typmod.checked_sub(4).and_then(|chars| u32::try_from(chars).ok());
    let text = |max_chars, pads| Shape::Text { max_chars, pads };
    Some(match type_oid {
        16 => Shape::Bool,
        17 => Shape::Bytea,
        18 => text(Some(1), false),
        19 => text(Some(63), false),
        20 => Shape::Int8,
        21 => Shape::Int2,
        23 => Shape::Int4,
        25 | 705 | 1790 | 2275 => text(None, false),
        26 | 28 | 29 => Shape::Oid,
        114 => Shape::Json,
        142 => Shape::Xml,
        600 => Shape::Point,
        601 => Shape::Lseg,
        602 => Shape::Path,
        603 => Shape::Box,
        604 => Shape::Polygon,
        628 => Shape::Line,
        650 => Shape::Cidr,
        700 => Shape::Float4,
        701 => Shape::Float8,
        718 => Shape::Circle,
        774 => Shape::Macaddr8,
        790 => Shape::Money,
        829 => Shape::Macaddr,
        869 => Shape::Inet,
        1042 => text(declared, true),
        1043 => text(declared, false),
        1082 => Shape::Date,
        1083 => Shape::Time,
        1114 => Shape::Timestamp,
        1184 => Shape::Timestamptz,
        1186 => Shape::Interval,
        1266 => Shape::Timetz,
        1560 => Shape::Bit,
        1562 => Shape::Varbit,
        1700 => Shape::Numeric { whole_digits: whole_digits(typmod) },
        2950 => Shape::Uuid,
        3614 => Shape::TsVector,
        3615 => Shape::TsQuery,
        3802 | 4072 => Shape::Jsonb,
        3904 | 3906 | 3908 | 3910 | 3912 | 3926 => Shape::Range,
        4451 | 4532..=4536 => Shape::Multirange,
        _ => return None,
    })
}

/// A declared precision and scale are packed as two halves, the lower of them signed in eleven bits,
/// with the four bytes of a length word added.
fn whole_digits(typmod: i32) -> Option<u32> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    let (precision, scale) = (packed >> 16, ((packed & 0x7ff) ^ 0x400) - 0x400);
    Some(u32::try_from(precision - scale).unwrap_or(0))
}

/// Arrays of built-in types: their number, and their elements'.
const ARRAYS: &[(u32, u32)] = &[
    (143, 142),
    (199, 114),
    (629, 628),
    (651, 650),
    (719, 718),
    (775, 774),
    (791, 790),
    (1000, 16),
    (1001, 17),
    (1002, 18),
    (1003, 19),
    (1005, 21),
    (1007, 23),
    (1009, 25),
    (1011, 28),
    (1012, 29),
    (1014, 1042),
    (1015, 1043),
    (1016, 20),
    (1017, 600),
    (1018, 601),
    (1019, 602),
    (1020, 603),
    (1021, 700),
    (1022, 701),
    (1027, 604),
    (1028, 26),
    (1040, 829),
    (1041, 869),
    (1115, 1114),
    (1182, 1082),
    (1183, 1083),
    (1185, 1184),
    (1187, 1186),
    (1231, 1700),
    (1263, 2275),
    (1270, 1266),
    (1561, 1560),
    (1563, 1562),
    (2201, 1790),
    (2951, 2950),
    (3643, 3614),
    (3645, 3615),
    (3807, 3802),
    (3905, 3904),
    (3907, 3906),
    (3909, 3908),
    (3911, 3910),
    (3913, 3912),
    (3927, 3926),
    (4073, 4072),
    (6150, 4451),
    (6151, 4532),
    (6152, 4533),
    (6153, 4534),
    (6155, 4535),
    (6157, 4536),
];
