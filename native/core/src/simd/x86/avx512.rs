//! One register of AVX-512, whose comparisons answer in bits.

use super::super::Marks;
use std::arch::x86_64::{
    __m512i, _mm_setr_epi8, _mm256_storeu_si256, _mm512_broadcast_i32x4, _mm512_castsi512_si256,
    _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_cvtepi16_epi8, _mm512_cvtepu8_epi16,
    _mm512_extracti64x4_epi64, _mm512_loadu_si512, _mm512_maddubs_epi16, _mm512_mask_add_epi8,
    _mm512_mask_cmpge_epu8_mask, _mm512_mask_shuffle_epi8, _mm512_mask_testn_epi8_mask, _mm512_maskz_compress_epi8,
    _mm512_maskz_loadu_epi8, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_slli_epi16,
    _mm512_storeu_si512, _mm512_sub_epi8, _pdep_u64,
};
use std::mem::MaybeUninit;

#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn load(rest: &[u8]) -> __m512i {
    // SAFETY: 64 bytes if there are so many, else only those for which the mask has a bit.
    unsafe {
        if rest.len() >= 64 {
            _mm512_loadu_si512(rest.as_ptr().cast())
        } else {
            _mm512_maskz_loadu_epi8((1 << rest.len()) - 1, rest.as_ptr().cast())
        }
    }
}

#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn store(block: __m512i, to: &mut [MaybeUninit<u8>; 64]) {
    // SAFETY: 64 bytes of 64.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), block) };
}

#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn marks(block: __m512i) -> Marks {
    Marks {
        quote: equal(block, b'"'),
        slash: equal(block, b'\\'),
        control: _mm512_cmplt_epu8_mask(block, _mm512_set1_epi8(0x20)),
    }
}

#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn letters(block: __m512i) -> u64 {
    equal(block, b'b') | equal(block, b'f') | equal(block, b'n') | equal(block, b'r') | equal(block, b't')
}

#[inline]
#[target_feature(enable = "avx512bw")]
fn equal(block: __m512i, c: u8) -> u64 {
    _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(c.cast_signed()))
}

/// Each byte becomes two, a backslash and itself; then the backslashes that are not needed are taken out.
#[inline]
#[target_feature(enable = "avx512bw,avx512vbmi2,bmi2,popcnt")]
pub(super) fn escape(block: __m512i, hits: u64, control: u64, to: &mut [MaybeUninit<u8>; 128]) -> Option<usize> {
    // By the low four bits of a control character, the letter of its short escape: b, t, n, f or r.
    let letters = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 98, 116, 110, 0, 102, 114, 0, 0);
    let meant = _mm512_mask_shuffle_epi8(block, control, _mm512_broadcast_i32x4(letters), block);
    let long = _mm512_mask_cmpge_epu8_mask(control, block, _mm512_set1_epi8(16))
        | _mm512_mask_testn_epi8_mask(control, meant, meant);
    if long != 0 {
        return None;
    }
    let halves =
        [(_mm512_castsi512_si256(meant), hits & 0xffff_ffff), (_mm512_extracti64x4_epi64::<1>(meant), hits >> 32)];
    let mut written = 0;
    for (half, hits) in halves {
        let pairs = _mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(half));
        let pairs = _mm512_or_si512(pairs, _mm512_set1_epi16(i16::from(b'\\')));
        let needed = _pdep_u64(hits, 0x5555_5555_5555_5555) | 0xAAAA_AAAA_AAAA_AAAA;
        // SAFETY: 64 bytes at most 64 bytes into 128.
        unsafe {
            let to = to.as_mut_ptr().add(written);
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi8(needed, pairs));
        }
        written += 32 + hits.count_ones() as usize;
    }
    Some(written)
}

#[inline]
#[target_feature(enable = "avx512bw")]
pub(super) fn unhex(digits: &[u8; 64]) -> Option<[u8; 32]> {
    let digits = load(digits);
    let figure = _mm512_sub_epi8(digits, _mm512_set1_epi8(b'0'.cast_signed()));
    let letter = _mm512_sub_epi8(digits, _mm512_set1_epi8(b'a'.cast_signed()));
    let is_figure = _mm512_cmplt_epu8_mask(figure, _mm512_set1_epi8(10));
    let is_letter = _mm512_cmplt_epu8_mask(letter, _mm512_set1_epi8(6));
    if is_figure | is_letter != u64::MAX {
        return None;
    }
    let value = _mm512_mask_add_epi8(figure, is_letter, letter, _mm512_set1_epi8(10));
    let pairs = _mm512_maddubs_epi16(value, _mm512_set1_epi16(0x0110)); // 16 times the first digit, and the second
    let mut bytes = [0; 32];
    // SAFETY: 32 bytes of 32.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), _mm512_cvtepi16_epi8(pairs)) };
    Some(bytes)
}
