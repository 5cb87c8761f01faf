//! The pass with AVX2: 64 bytes at a time become bit masks, bit `n` for byte `n`, and shapes of
//! digits become shifts of masks. A shift takes what it lacks from the block before, so every shape
//! is noticed at its end, wherever blocks part it.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_sub_epi8,
};

use crate::scan::Places;
use crate::scan::class::before;
use crate::scan::literal::{MARK_BYTES, Nibbles};

const LANE: usize = 32;
const BLOCK: usize = 2 * LANE;
/// A block, and what a mark that begins at its last byte goes on to.
const WINDOW: usize = BLOCK + MARK_BYTES - 1;

/// Names the places in `cell`.
#[target_feature(enable = "avx2")]
pub(super) fn pass(nibbles: &Nibbles, cell: &[u8], places: &mut impl Places) {
    let tables = Tables::new(nibbles);
    let mut shapes = Shapes { cell, last: Masks::default() };
    let mut offset = 0;
    while let Some(window) = cell.get(offset..).and_then(|rest| rest.first_chunk::<WINDOW>()) {
        block(&tables, window, offset, &mut shapes, places);
        offset += BLOCK;
    }
    // The rest, with NULs behind it: they are of no shape.
    let rest = cell.get(offset..).unwrap_or_default();
    let mut padded = [0; 2 * BLOCK + MARK_BYTES - 1];
    if let Some(front) = padded.get_mut(..rest.len()) {
        front.copy_from_slice(rest);
    }
    for from in [0, BLOCK] {
        if from < rest.len()
            && let Some(window) = padded.get(from..).and_then(|rest| rest.first_chunk::<WINDOW>())
        {
            block(&tables, window, offset + from, &mut shapes, places);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn block(
    tables: &Tables,
    window: &[u8; WINDOW],
    offset: usize,
    shapes: &mut Shapes<'_>,
    places: &mut impl Places,
) {
    let front = load(window, 0);
    let back = load(window, LANE);
    let anchors = joined(
        tables.anchors(front, load(window, 1), load(window, 2)),
        tables.anchors(back, load(window, LANE + 1), load(window, LANE + 2)),
    );
    each(anchors, |bit| places.anchor(offset + bit));
    let digits = joined(within(front, b'0', 10), within(back, b'0', 10));
    if digits | shapes.last.digits != 0 {
        shapes.next(digits, front, back, offset, places);
    }
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

/// What a block leaves to the next one: the last bits of each mask. They are kept moved down, which
/// also keeps the compiler from shifts over two registers; those are slow on some processors.
#[derive(Clone, Copy, Default)]
struct Masks {
    digits: u64,
    /// The last of so many digits, as are the others.
    two: u64,
    three: u64,
    four: u64,
    six: u64,
    twelve: u64,
    dashes: u64,
    /// Separators behind four digits.
    groups: u64,
}

struct Shapes<'c> {
    cell: &'c [u8],
    last: Masks,
}

impl Shapes<'_> {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn next(
        &mut self,
        digits: u64,
        front: __m256i,
        back: __m256i,
        offset: usize,
        places: &mut impl Places,
    ) {
        let last = self.last;
        let dashes = joined(mask(equal(front, b'-')), mask(equal(back, b'-')));
        let spaces = joined(mask(equal(front, b' ')), mask(equal(back, b' ')));
        let two = digits & moved(digits, last.digits, 1);
        let three = two & moved(digits, last.digits, 2);
        let four = two & moved(two, last.two, 2);
        let six = four & moved(two, last.two, 4);
        let twelve = six & moved(six, last.six, 6);
        let groups = (dashes | spaces) & moved(four, last.four, 1);

        let runs = twelve & !moved(twelve, last.twelve, 1);
        each(runs, |bit| places.digits((offset + bit).saturating_sub(11)));
        let fours = groups & moved(groups, last.groups, 5) & moved(groups, last.groups, 10);
        each(fours, |bit| places.groups((offset + bit).saturating_sub(14)));
        let sixes = (dashes | spaces) & moved(six, last.six, 1) & moved(groups, last.groups, 7);
        each(sixes, |bit| places.groups((offset + bit).saturating_sub(11)));
        let serials = dashes
            & moved(two, last.two, 1)
            & moved(dashes, last.dashes, 3)
            & moved(three, last.three, 4)
            & !moved(digits, last.digits, 7);
        each(serials, |bit| places.dashes((offset + bit).saturating_sub(6)));

        if two != 0 {
            self.countries(two, digits, front, back, offset, places);
        }
        // A block without digits parts all shapes.
        self.last = if digits == 0 {
            Masks::default()
        } else {
            Masks {
                digits: kept(digits),
                two: kept(two),
                three: kept(three),
                four: kept(four),
                six: kept(six),
                twelve: kept(twelve),
                dashes: kept(dashes),
                groups: kept(groups),
            }
        };
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn countries(
        &self,
        two: u64,
        digits: u64,
        front: __m256i,
        back: __m256i,
        offset: usize,
        places: &mut impl Places,
    ) {
        let letters = joined(letters(front), letters(back));
        let (letters_before, words_before) =
            if two & 0b1111 == 0 { (0, 0) } else { self.letters_before(offset) };
        let countries = two
            & moved(letters, letters_before, 2)
            & moved(letters, letters_before, 3)
            & !moved(letters | digits, words_before, 4);
        each(countries, |bit| places.country((offset + bit).saturating_sub(3)));
    }

    /// Letters, and letters and digits, among the four bytes before `offset`, as a block before would
    /// have them.
    fn letters_before(&self, offset: usize) -> (u64, u64) {
        (1..=4).fold((0, 0), |(letters, words), back| {
            let byte = before(self.cell, offset, back);
            let bit = 1 << (KEPT as usize - back);
            let letter = if byte.is_ascii_alphabetic() { bit } else { 0 };
            let digit = if byte.is_ascii_digit() { bit } else { 0 };
            (letters | letter, words | letter | digit)
        })
    }
}

/// Bits of a mask that the next block can ask for.
const KEPT: u32 = 16;

#[inline]
const fn kept(mask: u64) -> u64 {
    mask >> (u64::BITS - KEPT)
}

/// A mask moved on by `places`, with what the block before left of it.
#[inline]
const fn moved(mask: u64, last: u64, places: u32) -> u64 {
    assert!(places <= KEPT);
    mask << places | last >> (KEPT - places)
}

#[inline]
fn each(mut mask: u64, mut place: impl FnMut(usize)) {
    while mask != 0 {
        place(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
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
