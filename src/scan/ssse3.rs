//! The pass with SSSE3, for machines without AVX2: 64 bytes at a time, four vectors, become the same
//! bit masks.

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8,
    _mm_or_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_shuffle_epi8, _mm_srli_epi16, _mm_sub_epi8,
};

use crate::scan::Places;
use crate::scan::literal::{MARK_BYTES, Nibbles};
use crate::scan::shape::{Shapes, blocks, each};

const LANE: usize = 16;

/// Names the places in `cell`.
#[target_feature(enable = "ssse3")]
pub(super) fn pass(nibbles: &Nibbles, cell: &[u8], places: &mut impl Places) {
    let tables = Tables::new(nibbles);
    let mut shapes = Shapes::new(cell);
    blocks(cell, |window, offset| {
        let (a, b) = (load(window, 0), load(window, LANE));
        let (c, d) = (load(window, 2 * LANE), load(window, 3 * LANE));
        let anchors = joined([
            tables.anchors(a, load(window, 1), load(window, 2)),
            tables.anchors(b, load(window, LANE + 1), load(window, LANE + 2)),
            tables.anchors(c, load(window, 2 * LANE + 1), load(window, 2 * LANE + 2)),
            tables.anchors(d, load(window, 3 * LANE + 1), load(window, 3 * LANE + 2)),
        ]);
        each(anchors, |bit| places.anchor(offset + bit));
        let digit = |bytes| within(bytes, b'0', 10);
        let digits = joined([digit(a), digit(b), digit(c), digit(d)]);
        if shapes.concern(digits) {
            let equal =
                |sign| joined([equal(a, sign), equal(b, sign), equal(c, sign), equal(d, sign)]);
            let letters = || joined([letters(a), letters(b), letters(c), letters(d)]);
            shapes.next((digits, equal(b'-'), equal(b' ')), letters, offset, places);
        }
    });
}

struct Tables {
    low: [__m128i; MARK_BYTES],
    high: [__m128i; MARK_BYTES],
}

impl Tables {
    #[target_feature(enable = "ssse3")]
    fn new(nibbles: &Nibbles) -> Self {
        let [a, b, c] = &nibbles.low;
        let [d, e, f] = &nibbles.high;
        Self {
            low: [load(a, 0), load(b, 0), load(c, 0)],
            high: [load(d, 0), load(e, 0), load(f, 0)],
        }
    }

    /// Bytes that are an `@` or a `+`, or begin what may be a mark; `one` and `two` are the bytes one
    /// and two places on.
    #[target_feature(enable = "ssse3")]
    #[inline]
    fn anchors(&self, bytes: __m128i, one: __m128i, two: __m128i) -> __m128i {
        let [low_0, low_1, low_2] = self.low;
        let [high_0, high_1, high_2] = self.high;
        let marks = _mm_and_si128(
            _mm_and_si128(buckets(low_0, high_0, bytes), buckets(low_1, high_1, one)),
            buckets(low_2, high_2, two),
        );
        let no_mark = _mm_cmpeq_epi8(marks, _mm_setzero_si128());
        let mark = _mm_cmpeq_epi8(no_mark, _mm_setzero_si128());
        _mm_or_si128(mark, _mm_or_si128(equal(bytes, b'@'), equal(bytes, b'+')))
    }
}

/// The buckets whose marks may have these bytes.
#[target_feature(enable = "ssse3")]
#[inline]
fn buckets(low: __m128i, high: __m128i, bytes: __m128i) -> __m128i {
    let nibble = _mm_set1_epi8(0x0f);
    let upper = _mm_and_si128(_mm_srli_epi16::<4>(bytes), nibble);
    _mm_and_si128(
        _mm_shuffle_epi8(low, _mm_and_si128(bytes, nibble)),
        _mm_shuffle_epi8(high, upper),
    )
}

/// The four vectors' masks as one.
#[target_feature(enable = "ssse3")]
#[inline]
fn joined(block: [__m128i; 4]) -> u64 {
    let [a, b, c, d] = block;
    let (a, b) = (mask(a), mask(b));
    let (c, d) = (mask(c), mask(d));
    a | b << LANE | c << (2 * LANE) | d << (3 * LANE)
}

#[target_feature(enable = "ssse3")]
#[inline]
fn mask(bytes: __m128i) -> u64 {
    u64::from(_mm_movemask_epi8(bytes).cast_unsigned())
}

#[target_feature(enable = "ssse3")]
#[inline]
fn equal(bytes: __m128i, byte: u8) -> __m128i {
    _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()))
}

#[target_feature(enable = "ssse3")]
#[inline]
fn letters(bytes: __m128i) -> __m128i {
    within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), b'a', 26)
}

/// Bytes from `first` on, `count` of them.
#[target_feature(enable = "ssse3")]
#[inline]
fn within(bytes: __m128i, first: u8, count: u8) -> __m128i {
    let from_first = _mm_sub_epi8(bytes, _mm_set1_epi8(first.cast_signed()));
    let capped = _mm_min_epu8(from_first, _mm_set1_epi8((count - 1).cast_signed()));
    _mm_cmpeq_epi8(from_first, capped)
}

#[target_feature(enable = "ssse3")]
#[inline]
fn load<const N: usize>(bytes: &[u8; N], at: usize) -> __m128i {
    assert!(at + LANE <= N);
    // SAFETY: the 16 bytes from `at` on are in the array, as was just asserted; the load needs no
    // alignment, and the caller has the feature.
    unsafe { _mm_loadu_si128(bytes.as_ptr().add(at).cast::<__m128i>()) }
}
