//! FF1 over decimal digits and over bits, without big integers: a half of at most 28 digits fits a
//! machine's own numbers, and longer texts are encrypted piece by piece.

use aes::Aes256;
use fpe::ff1::{FF1, NumeralString, Operations};

/// Fewer could be tried out (SP 800-38G, revision 1 draft: at least a million values).
pub(super) const DIGITS_MIN: usize = 6;
/// Both halves of so many digits stay below 2^94, and what is added to them below 2^128.
const DIGITS_MAX: usize = 56;
/// As `DIGITS_MIN`, for bits.
const BITS_MIN: usize = 20;
const BITS_MAX: usize = 64;

/// ASCII digits, in place.
pub(super) fn encrypt_digits(ff1: &FF1<Aes256>, tweak: &[u8], digits: &mut [u8]) -> Option<()> {
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
        return None;
    }
    let (left, right) = digits.split_at(digits.len() / 2);
    let whole = Numerals { left: Half::read(left)?, right: Half::read(right)? };
    let whole = ff1.encrypt(tweak, &whole).ok()?;
    let (left, right) = digits.split_at_mut(digits.len() / 2);
    whole.left.write(left);
    whole.right.write(right);
    Some(())
}

pub(super) fn encrypt_bits(
    ff1: &FF1<Aes256>,
    tweak: &[u8],
    bits: usize,
    number: u64,
) -> Option<u64> {
    if !(BITS_MIN..=BITS_MAX).contains(&bits) {
        return None;
    }
    let (upper, lower) = (bits / 2, bits - bits / 2);
    let number = u128::from(number);
    let whole = Numerals {
        left: Half { value: number >> lower, numerals: upper },
        right: Half { value: number & ((1 << lower) - 1), numerals: lower },
    };
    let whole = ff1.encrypt(tweak, &whole).ok()?;
    u64::try_from((whole.left.value << lower) | whole.right.value).ok()
}

/// All digits of `text`, wherever they stand; nothing else changes. With `leads`, what begins with
/// another digit than zero does so afterwards.
pub(super) fn encrypt_within(keys: &super::Keys, text: &mut [u8], leads: bool) -> Option<()> {
    let total = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if total < DIGITS_MIN {
        return None;
    }
    let pieces = total.div_ceil(DIGITS_MAX);
    let (mut read, mut write, mut left) = (0, 0, total);
    for piece in 0..pieces {
        // Pieces of nearly one size: none is too short to be encrypted.
        let count = left.div_ceil(pieces - piece);
        left -= count;
        let mut digits = [0; DIGITS_MAX];
        let digits = digits.get_mut(..count)?;
        for digit in digits.iter_mut() {
            let (at, found) = next_digit(text, read)?;
            (*digit, read) = (*found, at + 1);
        }
        let number = u32::try_from(piece).ok()?.to_be_bytes();
        let tweak: &[u8] = if pieces == 1 { &[] } else { &number };
        if leads && piece == 0 {
            walk(
                digits,
                |digits| keys.encrypt_digits(tweak, digits),
                |digits| !digits.starts_with(b"0"),
            )?;
        } else {
            keys.encrypt_digits(tweak, digits)?;
        }
        for digit in digits.iter() {
            let (at, found) = next_digit(text, write)?;
            (*found, write) = (*digit, at + 1);
        }
    }
    Some(())
}

/// Encrypts until the result is one of those that are allowed. As the first value is one of them,
/// this is a permutation of the allowed values.
pub(super) fn walk(
    digits: &mut [u8],
    encrypt: impl Fn(&mut [u8]) -> Option<()>,
    is_allowed: impl Fn(&[u8]) -> bool,
) -> Option<()> {
    for _ in 0..STEPS_MAX {
        encrypt(digits)?;
        if is_allowed(digits) {
            return Some(());
        }
    }
    None
}

/// The sparsest range, ten-digit numbers of 32 bits, is met by every ninth step: no walk is so long.
const STEPS_MAX: usize = 512;

fn next_digit(text: &mut [u8], from: usize) -> Option<(usize, &mut u8)> {
    text.iter_mut().enumerate().skip(from).find(|(_, byte)| byte.is_ascii_digit())
}

struct Numerals {
    left: Half,
    right: Half,
}

#[derive(Clone, Copy)]
struct Half {
    value: u128,
    numerals: usize,
}

impl Half {
    fn read(digits: &[u8]) -> Option<Self> {
        let mut value: u128 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
        }
        Some(Self { value, numerals: digits.len() })
    }

    fn write(self, digits: &mut [u8]) {
        let mut value = self.value;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
        }
    }

    /// How many values so many numerals have.
    fn values(radix: u32, numerals: usize) -> u128 {
        let numerals = u32::try_from(numerals).unwrap_or(u32::MAX);
        u128::from(radix).saturating_pow(numerals)
    }

    /// `add`ed to or taken from, within the values of `numerals`.
    fn moved(self, by: impl Iterator<Item = u8>, radix: u32, numerals: usize, add: bool) -> Self {
        let values = Self::values(radix, numerals);
        let by = by.fold(0_u128, |number, byte| (number << 8) | u128::from(byte));
        let by = match (u64::try_from(by), u64::try_from(values)) {
            // The wide remainder is slow, and most halves are short.
            (Ok(by), Ok(values)) => u128::from(by % values),
            (Ok(_), Err(_)) | (Err(_), Ok(_) | Err(_)) => by % values,
        };
        let by = if add { by } else { values - by };
        Self { value: (self.value + by) % values, numerals }
    }
}

impl NumeralString for Numerals {
    type Ops = Half;

    fn is_valid(&self, radix: u32) -> bool {
        [self.left, self.right].iter().all(|half| half.value < Half::values(radix, half.numerals))
    }

    fn numeral_count(&self) -> usize {
        self.left.numerals + self.right.numerals
    }

    fn split(&self) -> (Half, Half) {
        (self.left, self.right)
    }

    fn concat(left: Half, right: Half) -> Self {
        Self { left, right }
    }
}

impl Operations for Half {
    type Bytes = BigEndian;

    fn numeral_count(&self) -> usize {
        self.numerals
    }

    fn to_be_bytes(&self, _radix: u32, length: usize) -> BigEndian {
        BigEndian { bytes: self.value.to_be_bytes(), length }
    }

    fn add_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, numerals: usize) -> Self {
        self.moved(other, radix, numerals, true)
    }

    fn sub_mod_exp(self, other: impl Iterator<Item = u8>, radix: u32, numerals: usize) -> Self {
        self.moved(other, radix, numerals, false)
    }
}

/// The last `length` bytes count.
struct BigEndian {
    bytes: [u8; 16],
    length: usize,
}

impl AsRef<[u8]> for BigEndian {
    fn as_ref(&self) -> &[u8] {
        let from = self.bytes.len().saturating_sub(self.length);
        self.bytes.get(from..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sample 1 of NIST's examples for FF1 with a key of 256 bits, radix 10, no tweak and with one.
    #[test]
    fn digits_agree_with_the_standards_samples() {
        let key: [u8; 32] = [
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
            0x4f, 0x3c, 0xef, 0x43, 0x59, 0xd8, 0xd5, 0x80, 0xaa, 0x4f, 0x7f, 0x03, 0x6d, 0x6f,
            0x04, 0xfc, 0x6a, 0x94,
        ];
        let ff1 = FF1::<Aes256>::new(&key, 10).unwrap();
        for (tweak, expected) in [("", "6657667009"), ("9876543210", "1001623463")] {
            let mut digits = *b"0123456789";
            encrypt_digits(&ff1, tweak.as_bytes(), &mut digits).unwrap();
            assert_eq!(std::str::from_utf8(&digits).unwrap(), expected, "tweak {tweak:?}");
        }
    }

    #[test]
    fn encryption_can_be_taken_back() {
        for radix in [2, 10] {
            let ff1 = FF1::<Aes256>::new(&[7; 32], radix).unwrap();
            for numerals in [20, 31, 56] {
                let whole = Numerals {
                    left: Half { value: 1, numerals: numerals / 2 },
                    right: Half { value: 5, numerals: numerals - numerals / 2 },
                };
                let there = ff1.encrypt(b"t", &whole).unwrap();
                let back = ff1.decrypt(b"t", &there).unwrap();
                assert_eq!((back.left.value, back.right.value), (1, 5));
            }
        }
    }
}
