//! The pass with AVX2: 64 bytes at a time, two vectors, become bit masks.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_sub_epi8,
};

use crate::scan::Places;
use crate::scan::literal::{MARK_BYTES, Nibbles};
use crate::scan::shape::{Shapes, WINDOW, blocks, each};

const LANE: usize = 32;

/// Names the places in `cell`.
#[target_feature(enable = "avx2")]
pub(super) fn pass(nibbles: &Nibbles, cell: &[u8], places: &mut impl Places) {
    let tables = Tables::new(nibbles);
    let mut shapes = Shapes::new(cell);
    blocks(cell, |window, offset| {
        let front = load(window, 0);
        let back = load(window, LANE);
        let anchors = joined(
            tables.anchors(front, load(window, 1), load(window, 2)),
            tables.anchors(back, load(window, LANE + 1), load(window, LANE + 2)),
        );
        each(anchors, |bit| places.anchor(offset + bit));
        let digits = joined(within(front, b'0', 10), within(back, b'0', 10));
        if shapes.concern(digits) {
            let equal = |byte| joined(mask(equal(front, byte)), mask(equal(back, byte)));
            let letters = || joined(letters(front), letters(back));
            shapes.next((digits, equal(b'-'), equal(b' ')), letters, offset, places);
        }
    });
}

/// Nibble tables, each twice: a shuffle looks up within 16 bytes.
struct Tables {
    low: [__m256i; MARK_BYTES],
    high: [__m256i; MARK_BYTES],
}

impl Tables {
    #[target_feature(enable = "avx2")]
    fn new(nibbles: &Nibbles) -> Self {
        let [a, b, c] = &nibbles.low;
        let [d, e, f] = &nibbles.high;
        Self { low: [twice(a), twice(b), twice(c)], high: [twice(d), twice(e), twice(f)] }
    }

    /// Bytes that are an `@` or a `+`, or begin what may be a mark; `one` and `two` are the bytes one
    /// and two places on.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn anchors(&self, bytes: __m256i, one: __m256i, two: __m256i) -> u32 {
        let [low_0, low_1, low_2] = self.low;
        let [high_0, high_1, high_2] = self.high;
        let marks = _mm256_and_si256(
            _mm256_and_si256(buckets(low_0, high_0, bytes), buckets(low_1, high_1, one)),
            buckets(low_2, high_2, two),
        );
        let no_mark = _mm256_cmpeq_epi8(marks, _mm256_setzero_si256());
        let signs = _mm256_or_si256(equal(bytes, b'@'), equal(bytes, b'+'));
        !mask(no_mark) | mask(signs)
    }
}

/// The buckets whose marks may have these bytes.
#[target_feature(enable = "avx2")]
#[inline]
fn buckets(low: __m256i, high: __m256i, bytes: __m256i) -> __m256i {
    let nibble = _mm256_set1_epi8(0x0f);
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
    _mm256_and_si256(
        _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble)),
        _mm256_shuffle_epi8(high, upper),
    )
}

#[inline]
fn joined(front: u32, back: u32) -> u64 {
    u64::from(front) | u64::from(back) << LANE
}

#[target_feature(enable = "avx2")]
#[inline]
fn equal(bytes: __m256i, byte: u8) -> __m256i {
    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()))
}

#[target_feature(enable = "avx2")]
#[inline]
fn letters(bytes: __m256i) -> u32 {
    within(_mm256_or_si256(bytes, _mm256_set1_epi8(0x20)), b'a', 26)
}

/// Bytes from `first` on, `count` of them.
#[target_feature(enable = "avx2")]
#[inline]
fn within(bytes: __m256i, first: u8, count: u8) -> u32 {
    let from_first = _mm256_sub_epi8(bytes, _mm256_set1_epi8(first.cast_signed()));
    let capped = _mm256_min_epu8(from_first, _mm256_set1_epi8((count - 1).cast_signed()));
    mask(_mm256_cmpeq_epi8(from_first, capped))
}

#[target_feature(enable = "avx2")]
#[inline]
fn mask(bytes: __m256i) -> u32 {
    _mm256_movemask_epi8(bytes).cast_unsigned()
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(window: &[u8; WINDOW], at: usize) -> __m256i {
    assert!(at <= WINDOW - LANE);
    // SAFETY: the 32 bytes from `at` on are in the window, as was just asserted; the load needs no
    // alignment, and the caller has the feature.
    unsafe { _mm256_loadu_si256(window.as_ptr().add(at).cast::<__m256i>()) }
}

#[target_feature(enable = "avx2")]
fn twice(table: &[u8; 16]) -> __m256i {
    // SAFETY: the table has the 16 bytes that are loaded; the load needs no alignment.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast::<__m128i>()) };
    _mm256_broadcastsi128_si256(table)
}
