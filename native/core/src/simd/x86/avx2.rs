//! Two registers of AVX2.

use super::super::Marks;
use super::filled;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_maddubs_epi16, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_packus_epi16,
    _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_storeu_si256,
    _mm256_sub_epi8,
};
use std::mem::MaybeUninit;

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(rest: &[u8]) -> [__m256i; 2] {
    match rest.first_chunk() {
        Some(block) => read(block),
        None => read(&filled(rest)),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn read(block: &[u8; 64]) -> [__m256i; 2] {
    // SAFETY: twice 32 bytes of 64.
    unsafe { [_mm256_loadu_si256(block.as_ptr().cast()), _mm256_loadu_si256(block.as_ptr().add(32).cast())] }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(block: [__m256i; 2], to: &mut [MaybeUninit<u8>; 64]) {
    for (i, part) in block.into_iter().enumerate() {
        // SAFETY: twice 32 bytes of 64.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().add(32 * i).cast(), part) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn marks(block: [__m256i; 2]) -> Marks {
    let mut control = block;
    for part in &mut control {
        *part = _mm256_cmpeq_epi8(_mm256_min_epu8(*part, _mm256_set1_epi8(0x1f)), *part);
    }
    Marks { quote: any(block, *b"\""), slash: any(block, *b"\\"), control: bits(control) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn letters(block: [__m256i; 2]) -> u64 {
    any(block, *b"bfnrt")
}

/// The bytes that are one of these characters.
#[inline]
#[target_feature(enable = "avx2")]
fn any<const N: usize>(block: [__m256i; 2], characters: [u8; N]) -> u64 {
    let mut found = [_mm256_setzero_si256(); 2];
    for c in characters {
        for (found, part) in found.iter_mut().zip(block) {
            *found = _mm256_or_si256(*found, _mm256_cmpeq_epi8(part, _mm256_set1_epi8(c.cast_signed())));
        }
    }
    bits(found)
}

/// The highest bit of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(block: [__m256i; 2]) -> u64 {
    let mut bits = 0;
    for part in block.into_iter().rev() {
        bits = bits << 32 | u64::from(_mm256_movemask_epi8(part).cast_unsigned());
    }
    bits
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn escape(_: [__m256i; 2], _hits: u64, _control: u64, _to: &mut [MaybeUninit<u8>; 128]) -> Option<usize> {
    None
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn unhex(digits: &[u8; 64]) -> Option<[u8; 32]> {
    let mut valid = _mm256_set1_epi8(-1);
    let mut pairs = read(digits);
    for part in &mut pairs {
        let figure = _mm256_sub_epi8(*part, _mm256_set1_epi8(b'0'.cast_signed()));
        let letter = _mm256_sub_epi8(*part, _mm256_set1_epi8(b'a'.cast_signed()));
        let is_figure = _mm256_cmpeq_epi8(_mm256_min_epu8(figure, _mm256_set1_epi8(9)), figure);
        let is_letter = _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(5)), letter);
        valid = _mm256_and_si256(valid, _mm256_or_si256(is_figure, is_letter));
        let value = _mm256_blendv_epi8(_mm256_add_epi8(letter, _mm256_set1_epi8(10)), figure, is_figure);
        *part = _mm256_maddubs_epi16(value, _mm256_set1_epi16(0x0110)); // 16 times the first digit, and the second
    }
    if _mm256_movemask_epi8(valid) != -1 {
        return None;
    }
    // Packing works in each half of a register: the quarters in the middle have to change places.
    let packed = _mm256_permute4x64_epi64(_mm256_packus_epi16(pairs[0], pairs[1]), 0b11_01_10_00);
    let mut bytes = [0; 32];
    // SAFETY: 32 bytes of 32.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), packed) };
    Some(bytes)
}
