//! The one secret of a site and what is derived from it: a key for each purpose, so that no
//! stand-in of one strategy tells anything about those of another.

use aes::Aes256;
use aws_lc_rs::hmac;
use fpe::ff1::FF1;
use zeroize::Zeroizing;

use super::numerals;
use crate::model::hex::hex;

/// Keys of all strategies. Has neither `Debug` nor `Clone`.
pub struct Keys {
    pseudonym: hmac::Key,
    hash: hmac::Key,
    request: hmac::Key,
    decimal: Option<FF1<Aes256>>,
    binary: Option<FF1<Aes256>>,
}

/// Which strategy's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Hash,
    Pseudonym,
}

/// What kind of value is digested: equal bytes of two kinds are not equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Text,
    Email,
    Document,
    Bytes,
    Integer,
    Numeric,
    Float,
    Date,
    Instant,
    Uuid,
    Address,
    Hardware,
}

impl Keys {
    pub fn new(site: &[u8; 32]) -> Self {
        let site = hmac::Key::new(hmac::HMAC_SHA256, site);
        let derive = |purpose: &str| {
            let mut key = Zeroizing::new([0; 32]);
            let tag = hmac::sign(&site, purpose.as_bytes());
            key.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
            key
        };
        let digest = |purpose| hmac::Key::new(hmac::HMAC_SHA256, &*derive(purpose));
        Self {
            pseudonym: digest("narrows mask 1 pseudonym"),
            hash: digest("narrows mask 1 hash"),
            request: digest("narrows mask 1 request"),
            decimal: FF1::new(&*derive("narrows mask 1 fpe"), 10).ok(),
            binary: FF1::new(&*derive("narrows mask 1 integer pseudonym"), 2).ok(),
        }
    }

    /// What ties a request to its exact bytes where only a part of them is kept: HMAC-SHA256 in
    /// hexadecimal.
    #[must_use]
    pub fn request_digest(&self, bytes: &[u8]) -> String {
        hex(hmac::sign(&self.request, bytes).as_ref())
    }

    /// A keyed stream that begins with a value's digest.
    pub(super) fn draw(&self, purpose: Purpose, kind: Kind, value: &[u8]) -> Draw<'_> {
        let mut digest = self.digest(purpose, kind);
        digest.update(value);
        digest.finish()
    }

    /// The same for a value that comes in pieces.
    pub(super) fn digest(&self, purpose: Purpose, kind: Kind) -> Digest<'_> {
        let key = match purpose {
            Purpose::Hash => &self.hash,
            Purpose::Pseudonym => &self.pseudonym,
        };
        let mut context = hmac::Context::with_key(key);
        context.update(&[kind as u8]);
        Digest { key, context }
    }

    /// FF1 over decimal digits, in place; `None` where there are too few or too many.
    pub(super) fn encrypt_digits(&self, tweak: &[u8], digits: &mut [u8]) -> Option<()> {
        numerals::encrypt_digits(self.decimal.as_ref()?, tweak, digits)
    }

    /// A permutation of the numbers of so many bits.
    pub(super) fn permute(&self, tweak: &[u8], bits: usize, number: u64) -> Option<u64> {
        numerals::encrypt_bits(self.binary.as_ref()?, tweak, bits, number)
    }
}

pub(super) struct Digest<'a> {
    key: &'a hmac::Key,
    context: hmac::Context,
}

impl<'a> Digest<'a> {
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    pub(super) fn finish(self) -> Draw<'a> {
        let mut seed = [0; 32];
        copy(&mut seed, self.context.sign().as_ref());
        Draw { key: self.key, seed, block: seed, used: 0, blocks: 0 }
    }
}

/// Bytes that nobody can tell from random ones without the key, the same for the same value. The
/// first 32 are the digest itself.
pub(super) struct Draw<'a> {
    key: &'a hmac::Key,
    seed: [u8; 32],
    block: [u8; 32],
    used: usize,
    blocks: u64,
}

impl Draw<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        if let Some(byte) = self.block.get(self.used) {
            self.used += 1;
            return *byte;
        }
        self.blocks += 1;
        let mut context = hmac::Context::with_key(self.key);
        // No kind has this number: what continues one stream begins no other.
        context.update(&[u8::MAX]);
        context.update(&self.seed);
        context.update(&self.blocks.to_be_bytes());
        copy(&mut self.block, context.sign().as_ref());
        self.used = 1;
        let [first, ..] = self.block;
        first
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number below `end`, which is not zero.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // Twice as wide as what is asked for: the remainder favours nothing that could be noticed.
        let wide = u128::from_be_bytes(self.bytes());
        u64::try_from(wide.checked_rem(u128::from(end)).unwrap_or_default()).unwrap_or_default()
    }
}

fn copy(to: &mut [u8; 32], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
