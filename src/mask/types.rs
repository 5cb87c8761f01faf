//! What a type's number stands for: the server's own by a list, others by the catalogue.

use std::sync::Arc;

use crate::mask::catalogue::{Catalogue, Column, TypeKind};
use crate::mask::cell::{Field, Shape};

/// Types may be made of types; deeper than this they are not followed.
const DEPTH_MAX: u32 = 8;

#[must_use]
pub fn shape(oid: u32, modifier: i32, catalogue: Option<&Catalogue>) -> Shape {
    followed(oid, modifier, catalogue, DEPTH_MAX)
}

fn followed(oid: u32, modifier: i32, catalogue: Option<&Catalogue>, depth: u32) -> Shape {
    if let Some(shape) = Shape::built_in(oid, modifier) {
        return shape;
    }
    let (Some(depth), Some(catalogue)) = (depth.checked_sub(1), catalogue) else {
        return Shape::Opaque;
    };
    let Some(info) = catalogue.type_of(oid) else { return Shape::Opaque };
    match &info.kind {
        // An extension's type that is text under another name.
        TypeKind::Base if &*info.name == "citext" => Shape::Text { max_chars: None, pads: false },
        TypeKind::Base => Shape::Opaque,
        TypeKind::Domain { base, typmod } => followed(*base, *typmod, Some(catalogue), depth),
        TypeKind::Enum { labels } => Shape::Enum(labels.iter().cloned().collect()),
        TypeKind::Array { element } => {
            Shape::Array(Arc::new(followed(*element, -1, Some(catalogue), depth)), *element)
        }
        TypeKind::Composite { relation, fields } => {
            let protected = match catalogue.column(*relation, 0) {
                Column::Row(row) => row.fields.iter().map(|field| field.strategy).collect(),
                Column::Free | Column::Unknown | Column::Protected(_) => Vec::new(),
            };
            let fields = fields.iter().enumerate().map(|(at, field)| Field {
                type_oid: field.type_oid,
                shape: followed(field.type_oid, field.typmod, Some(catalogue), depth),
                protection: protected.get(at).copied().flatten(),
            });
            Shape::Composite(fields.collect())
        }
        TypeKind::Range { .. } => Shape::Range,
        TypeKind::Multirange { .. } => Shape::Multirange,
    }
}
