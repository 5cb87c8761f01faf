//! Durations and sizes with their units: `"200ms"`, `"15m"`, `"64MiB"`.

use crate::model::time::NS_PER_MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("a number with a unit is needed")]
    NoNumber,
    #[error("the unit is missing or not known")]
    Unit,
    #[error("the number is too large")]
    TooLarge,
}

pub const DURATION_HINT: &str = "write a whole number and ms, s, m, h or d, such as \"15m\"";
pub const SIZE_HINT: &str = "write a whole number and B, KiB, MiB, GiB or TiB, such as \"64MiB\"";

/// A duration in milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, UnitError> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];
    let ms = number_with_unit(text, &units)?;
    // Deadlines are reckoned in nanoseconds.
    ms.checked_mul(NS_PER_MS).map(|_| ms).ok_or(UnitError::TooLarge)
}

/// A size in bytes.
pub fn size_bytes(text: &str) -> Result<u64, UnitError> {
    let units = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    number_with_unit(text, &units)
}

fn number_with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(UnitError::NoNumber)?;
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let number: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
    let (_, factor) =
        units.iter().find(|(name, _)| *name == unit.trim_start()).ok_or(UnitError::Unit)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}
