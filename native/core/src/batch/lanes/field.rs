//! Eight elements of the field side by side, one a lane of AVX-512, with the multipliers of 52 bits (IFMA).
//!
//! An element is five limbs of 52 bits, the top one of 48 and perhaps a bit more: a value below 2^256 + 2^212. The
//! multipliers take the low 52 bits of a lane and no more, so every sum has its carries taken at once.

use super::super::field::{FOLD, Fe};
use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_cmpgt_epu64_mask,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_or_si512, _mm512_set1_epi64,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

/// The maximum of a limb.
const LIMB: u64 = (1 << 52) - 1;
/// The maximum of the top limb of a number below 2^256.
const TOP: u64 = LIMB >> 4;
/// 2^260 mod p: what a limb right above the top one counts for.
const FOLD_LIMB: u64 = FOLD << 4;
/// p.
const P: [u64; 5] = [LIMB + 1 - FOLD, LIMB, LIMB, LIMB, TOP];

/// Eight elements: limb by limb, the lowest first.
#[derive(Clone, Copy)]
pub(super) struct Fe8([__m512i; 5]);

/// Eight rows of eight words, or their columns.
pub(super) type Square = [__m512i; 8];

#[target_feature(enable = "avx512f")]
#[inline]
fn all(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

/// Eight words as a vector, the first in the lowest lane.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn row(words: [u64; 8]) -> __m512i {
    // SAFETY: both are 64 bytes, of which all values are valid, and the order of the lanes is that of the memory.
    unsafe { std::mem::transmute::<[u64; 8], __m512i>(words) }
}

/// The words of a vector.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn words(row: __m512i) -> [u64; 8] {
    // SAFETY: as for `row`.
    unsafe { std::mem::transmute::<__m512i, [u64; 8]>(row) }
}

/// Columns from rows, and rows from columns.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transpose(r: &Square) -> Square {
    /// Of four blocks of two words each, the even ones of both vectors, or the odd ones.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    // Words 2k of the rows 2i and 2i + 1 side by side, and words 2k + 1: what is left to transpose are blocks of two.
    let even = [0, 2, 4, 6].map(|i| _mm512_unpacklo_epi64(r[i], r[i + 1]));
    let odd = [0, 2, 4, 6].map(|i| _mm512_unpackhi_epi64(r[i], r[i + 1]));
    let blocks = |b: [__m512i; 4]| {
        let (a, c) = (_mm512_shuffle_i64x2::<EVEN>(b[0], b[1]), _mm512_shuffle_i64x2::<EVEN>(b[2], b[3]));
        let (d, e) = (_mm512_shuffle_i64x2::<ODD>(b[0], b[1]), _mm512_shuffle_i64x2::<ODD>(b[2], b[3]));
        [
            _mm512_shuffle_i64x2::<EVEN>(a, c),
            _mm512_shuffle_i64x2::<EVEN>(d, e),
            _mm512_shuffle_i64x2::<ODD>(a, c),
            _mm512_shuffle_i64x2::<ODD>(d, e),
        ]
    };
    let ([c0, c2, c4, c6], [c1, c3, c5, c7]) = (blocks(even), blocks(odd));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

impl Fe8 {
    /// One element in all lanes.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn splat(element: &Fe) -> Fe8 {
        Fe8::from_words(element.0.map(|word| all(word)))
    }

    /// Eight elements from the four words of each, the lowest first.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn from_words(w: [__m512i; 4]) -> Fe8 {
        let limb = |word| _mm512_and_si512(word, all(LIMB));
        Fe8([
            limb(w[0]),
            limb(_mm512_or_si512(_mm512_srli_epi64::<52>(w[0]), _mm512_slli_epi64::<12>(w[1]))),
            limb(_mm512_or_si512(_mm512_srli_epi64::<40>(w[1]), _mm512_slli_epi64::<24>(w[2]))),
            limb(_mm512_or_si512(_mm512_srli_epi64::<28>(w[2]), _mm512_slli_epi64::<36>(w[3]))),
            _mm512_srli_epi64::<16>(w[3]),
        ])
    }

    /// The four words of each element.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn to_words(mut self) -> [__m512i; 4] {
        if _mm512_cmpgt_epu64_mask(self.0[4], all(TOP)) != 0 {
            // 2^256 and a bit more: seldom.
            self = self.carried();
        }
        let [a, b, c, d, e] = self.0;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }

    /// The lanes that may be zero: all that are, and hardly another one.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn zeros(&self) -> u8 {
        _mm512_cmpeq_epi64_mask(self.0[0], all(0)) | _mm512_cmpeq_epi64_mask(self.0[0], all(P[0]))
    }

    /// `other` in the lanes of the mask.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn replaced(&self, mask: u8, other: &Fe8) -> Fe8 {
        Fe8(std::array::from_fn(|i| _mm512_mask_mov_epi64(self.0[i], mask, other.0[i])))
    }

    /// Limbs below 2^62 with their carries taken, and what is above 2^256 folded.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn carried(&self) -> Fe8 {
        let [a, b, c, d, e] = self.0;
        let above = _mm512_srli_epi64::<48>(e);
        carries([_mm512_madd52lo_epu64(a, above, all(FOLD)), b, c, d, _mm512_and_si512(e, all(TOP))])
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn sub(&self, other: &Fe8) -> Fe8 {
        self.less([other])
    }

    /// `self` and up to seven others.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn plus<const N: usize>(&self, others: [&Fe8; N]) -> Fe8 {
        let limb = |i: usize| others.iter().fold(self.0[i], |limb, x| _mm512_add_epi64(limb, x.0[i]));
        Fe8(std::array::from_fn(limb)).carried()
    }

    /// `self` less up to seven others.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn less<const N: usize>(&self, others: [&Fe8; N]) -> Fe8 {
        // 4p - x is not negative in any limb.
        let minus = |x: &Fe8, limb: usize| _mm512_sub_epi64(all(4 * P[limb]), x.0[limb]);
        let limb = |i| others.iter().fold(self.0[i], |limb, x| _mm512_add_epi64(limb, minus(x, i)));
        Fe8(std::array::from_fn(limb)).carried()
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn mul(&self, other: &Fe8) -> Fe8 {
        let mut columns = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in 0..5 {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], self.0[i], other.0[j]);
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], self.0[i], other.0[j]);
            }
        }
        reduce(columns)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub(super) fn square(&self) -> Fe8 {
        let mut columns = [_mm512_setzero_si512(); 10];
        for i in 0..5 {
            for j in i + 1..5 {
                columns[i + j] = _mm512_madd52lo_epu64(columns[i + j], self.0[i], self.0[j]);
                columns[i + j + 1] = _mm512_madd52hi_epu64(columns[i + j + 1], self.0[i], self.0[j]);
            }
        }
        for i in 0..5 {
            let double = |column| _mm512_add_epi64(column, column);
            columns[2 * i] = _mm512_madd52lo_epu64(double(columns[2 * i]), self.0[i], self.0[i]);
            columns[2 * i + 1] = _mm512_madd52hi_epu64(double(columns[2 * i + 1]), self.0[i], self.0[i]);
        }
        reduce(columns)
    }
}

/// The limbs with their carries; the top one keeps its own.
#[target_feature(enable = "avx512f")]
#[inline]
fn carries([a, b, c, d, e]: [__m512i; 5]) -> Fe8 {
    let carry = |limb, to| _mm512_add_epi64(to, _mm512_srli_epi64::<52>(limb));
    let limb = |limb| _mm512_and_si512(limb, all(LIMB));
    let b = carry(a, b);
    let c = carry(b, c);
    let d = carry(c, d);
    Fe8([limb(a), limb(b), limb(c), limb(d), carry(d, e)])
}

/// Ten sums of products, the k-th of weight 2^(52k) and below 2^56, reduced.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn reduce(mut c: [__m512i; 10]) -> Fe8 {
    // The upper limbs get their carries, and count FOLD_LIMB five columns below. The multipliers mask them themselves.
    let fold = all(FOLD_LIMB);
    for i in 5..9 {
        c[i + 1] = _mm512_add_epi64(c[i + 1], _mm512_srli_epi64::<52>(c[i]));
    }
    for i in 0..5 {
        c[i] = _mm512_madd52lo_epu64(c[i], c[i + 5], fold);
    }
    for i in 0..4 {
        c[i + 1] = _mm512_madd52hi_epu64(c[i + 1], c[i + 5], fold);
    }
    let over = _mm512_madd52hi_epu64(_mm512_setzero_si512(), c[9], fold);
    // What is left above 2^256 is below 2^40.
    let above = _mm512_add_epi64(_mm512_srli_epi64::<48>(c[4]), _mm512_slli_epi64::<4>(over));
    carries([
        _mm512_madd52lo_epu64(c[0], above, all(FOLD)),
        _mm512_madd52hi_epu64(c[1], above, all(FOLD)),
        c[2],
        c[3],
        _mm512_and_si512(c[4], all(TOP)),
    ])
}
