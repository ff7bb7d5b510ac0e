//! Four registers of SSE2.

use super::super::Marks;
use super::filled;
use std::arch::x86_64::{
    __m128i, _mm_add_epi8, _mm_and_si128, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8,
    _mm_movemask_epi8, _mm_or_si128, _mm_packus_epi16, _mm_set1_epi8, _mm_set1_epi16, _mm_setzero_si128,
    _mm_slli_epi16, _mm_srli_epi16, _mm_storeu_si128, _mm_sub_epi8,
};
use std::mem::MaybeUninit;

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load(rest: &[u8]) -> [__m128i; 4] {
    match rest.first_chunk() {
        Some(block) => read(block),
        None => read(&filled(rest)),
    }
}

#[inline]
#[target_feature(enable = "sse2")]
fn read(block: &[u8; 64]) -> [__m128i; 4] {
    // SAFETY: four times 16 bytes of 64.
    let part = |i: usize| unsafe { _mm_loadu_si128(block.as_ptr().add(16 * i).cast()) };
    [part(0), part(1), part(2), part(3)]
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn store(block: [__m128i; 4], to: &mut [MaybeUninit<u8>; 64]) {
    for (i, part) in block.into_iter().enumerate() {
        // SAFETY: four times 16 bytes of 64.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().add(16 * i).cast(), part) };
    }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn marks(block: [__m128i; 4]) -> Marks {
    let mut control = block;
    for part in &mut control {
        *part = _mm_cmpeq_epi8(_mm_min_epu8(*part, _mm_set1_epi8(0x1f)), *part);
    }
    Marks { quote: any(block, *b"\""), slash: any(block, *b"\\"), control: bits(control) }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn letters(block: [__m128i; 4]) -> u64 {
    any(block, *b"bfnrt")
}

/// The bytes that are one of these characters.
#[inline]
#[target_feature(enable = "sse2")]
fn any<const N: usize>(block: [__m128i; 4], characters: [u8; N]) -> u64 {
    let mut found = [_mm_setzero_si128(); 4];
    for c in characters {
        for (found, part) in found.iter_mut().zip(block) {
            *found = _mm_or_si128(*found, _mm_cmpeq_epi8(part, _mm_set1_epi8(c.cast_signed())));
        }
    }
    bits(found)
}

/// The highest bit of each byte.
#[inline]
#[target_feature(enable = "sse2")]
fn bits(block: [__m128i; 4]) -> u64 {
    let mut bits = 0;
    for part in block.into_iter().rev() {
        bits = bits << 16 | u64::from(_mm_movemask_epi8(part).cast_unsigned());
    }
    bits
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn escape(_: [__m128i; 4], _hits: u64, _control: u64, _to: &mut [MaybeUninit<u8>; 128]) -> Option<usize> {
    None
}

#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn unhex(digits: &[u8; 64]) -> Option<[u8; 32]> {
    let mut valid = _mm_set1_epi8(-1);
    let mut pairs = read(digits);
    for part in &mut pairs {
        let figure = _mm_sub_epi8(*part, _mm_set1_epi8(b'0'.cast_signed()));
        let letter = _mm_sub_epi8(*part, _mm_set1_epi8(b'a'.cast_signed()));
        let is_figure = _mm_cmpeq_epi8(_mm_min_epu8(figure, _mm_set1_epi8(9)), figure);
        let is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
        valid = _mm_and_si128(valid, _mm_or_si128(is_figure, is_letter));
        let letter = _mm_add_epi8(letter, _mm_set1_epi8(10));
        let value = _mm_or_si128(_mm_and_si128(is_figure, figure), _mm_andnot_si128(is_figure, letter));
        let pair = _mm_or_si128(_mm_slli_epi16(value, 4), _mm_srli_epi16(value, 8));
        *part = _mm_and_si128(pair, _mm_set1_epi16(0xff));
    }
    if _mm_movemask_epi8(valid) != 0xffff {
        return None;
    }
    let mut bytes = [0; 32];
    // SAFETY: twice 16 bytes of 32.
    unsafe {
        _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm_packus_epi16(pairs[0], pairs[1]));
        _mm_storeu_si128(bytes.as_mut_ptr().add(16).cast(), _mm_packus_epi16(pairs[2], pairs[3]));
    }
    Some(bytes)
}
