//! Writes over a found value byte for byte, where something outside counts its bytes.

use crate::model::entity::Entity;

/// Nothing of the value is left but its length. One that may stand as a number stays a number, with
/// its separators, so that what is around it can still be read; any other becomes stars, which are
/// special in the text form of no type.
pub(super) fn write_over(entity: Entity, value: &mut [u8]) {
    if may_be_a_number(entity) {
        value.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'9');
    } else {
        value.fill(b'*');
    }
}

/// A value of this kind may stand without quotes.
pub(super) const fn may_be_a_number(entity: Entity) -> bool {
    matches!(entity, Entity::Pan | Entity::UsSsn | Entity::Phone)
}
