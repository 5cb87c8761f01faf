//! Writes over a found value byte for byte, where something outside counts its bytes.

use crate::model::entity::Entity;

/// Nothing of the value is left but its length. One that may stand as a number stays a number, with
/// its separators, so that what is around it can still be read; any other becomes stars, which are
/// special in the text form of no type. Operators' own may reach over what is special there; that
/// stays.
pub(super) fn write_over(entity: Entity, value: &mut [u8]) {
    if may_be_a_number(entity, value) {
        value.iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'9');
    } else if matches!(entity, Entity::Own(_)) {
        value.iter_mut().filter(|byte| !is_special(**byte)).for_each(|byte| *byte = b'*');
    } else {
        value.fill(b'*');
    }
}

/// The value may stand without quotes.
pub(super) fn may_be_a_number(entity: Entity, value: &[u8]) -> bool {
    let is_plain = || value.iter().all(|byte| b"0123456789+-. ()/".contains(byte));
    matches!(entity, Entity::Pan | Entity::UsSsn | Entity::Phone)
        || (matches!(entity, Entity::Own(_)) && is_plain())
}

/// Parts the members of arrays, rows, ranges, documents and lines in their text forms.
fn is_special(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"{}()[],:;=<>&\"'\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::write_over;
    use crate::model::entity::Entity;

    #[test]
    fn what_is_around_a_value_can_still_be_read() {
        for (entity, value, expected) in [
            (Entity::Pan, "4111 1111", "9999 9999"),
            (Entity::Email, "a@b.example", "***********"),
            (Entity::Own(0), "CUST-12345678", "*************"),
            (Entity::Own(0), "12-345.6", "99-999.9"),
            (Entity::Own(0), "a\",{b}", "*\",{*}"),
            (Entity::Own(0), "größe 1", "******* *"),
        ] {
            let mut bytes = value.as_bytes().to_vec();
            write_over(entity, &mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), expected, "{value}");
        }
    }
}
