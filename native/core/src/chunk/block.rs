//! 64 bytes at a time: which of them are what, as the bits of a word, the lowest bit for the first byte.

/// 64 bytes of a text.
pub(super) type Bytes = [u8; 64];

/// A way to look at 64 bytes at once. `next` and `third` are the bytes one and two places further on.
pub(super) trait Block {
    /// The bytes that are `byte`.
    fn equal(bytes: &Bytes, byte: u8) -> u64;

    /// The line ends, and those of them that `#` or another line end follows.
    #[inline(always)]
    fn lines(bytes: &Bytes, next: &Bytes) -> (u64, u64) {
        let lines = Self::equal(bytes, b'\n');
        (lines, lines & (Self::equal(next, b'#') | Self::equal(next, b'\n') | Self::equal(next, b'\r')))
    }

    /// The last signs of sentences: `.`, `!` and `?` before a space, and the first bytes of `。`, `！` and `？`.
    #[inline(always)]
    fn sentences(bytes: &Bytes, next: &Bytes, third: &Bytes) -> u64 {
        let stop = Self::equal(bytes, b'.') | Self::equal(bytes, b'!') | Self::equal(bytes, b'?');
        let full = Self::equal(bytes, 0xe3) & Self::equal(next, 0x80) & Self::equal(third, 0x82);
        let wide = Self::equal(bytes, 0xef) & Self::equal(next, 0xbc);
        stop & Self::equal(next, b' ') | full | wide & (Self::equal(third, 0x81) | Self::equal(third, 0x9f))
    }

    /// Spaces, tabs and carriage returns.
    #[inline(always)]
    fn spaces(bytes: &Bytes) -> u64 {
        Self::equal(bytes, b' ') | Self::equal(bytes, b'\t') | Self::equal(bytes, b'\r')
    }
}

/// For every processor: eight bytes a word.
pub(super) struct Portable;

impl Block for Portable {
    #[inline(always)]
    fn equal(bytes: &Bytes, byte: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let mut mask = 0;
        for (number, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let other = u64::from_le_bytes(*word) ^ u64::from_ne_bytes([byte; 8]);
            // The top bit of every byte that is zero; no carry leaves its byte.
            let zero = !(((other & LOW) + LOW) | other | LOW);
            // The eight bits, gathered into the topmost byte.
            mask |= ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * number);
        }
        mask
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Block, Bytes};
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8, _mm512_cmpeq_epi8_mask,
        _mm512_loadu_epi8, _mm512_set1_epi8,
    };

    /// For processors that have AVX2: only `ends_avx2` may use it.
    pub(in super::super) struct Avx2;

    impl Block for Avx2 {
        #[inline(always)]
        fn equal(bytes: &Bytes, byte: u8) -> u64 {
            // SAFETY: only `ends_avx2` uses this, and both halves of the 64 bytes may be read.
            unsafe {
                let wanted = _mm256_set1_epi8(byte.cast_signed());
                let low = _mm256_cmpeq_epi8(_mm256_loadu_si256(bytes.as_ptr().cast()), wanted);
                let high = _mm256_cmpeq_epi8(_mm256_loadu_si256(bytes.as_ptr().add(32).cast()), wanted);
                let (low, high) = (_mm256_movemask_epi8(low), _mm256_movemask_epi8(high));
                u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
            }
        }
    }

    /// For processors that have AVX-512 (BW): only `ends_avx512` may use it.
    pub(in super::super) struct Avx512;

    impl Block for Avx512 {
        #[inline(always)]
        fn equal(bytes: &Bytes, byte: u8) -> u64 {
            // SAFETY: only `ends_avx512` uses this, and the 64 bytes may be read.
            unsafe {
                _mm512_cmpeq_epi8_mask(_mm512_loadu_epi8(bytes.as_ptr().cast()), _mm512_set1_epi8(byte.cast_signed()))
            }
        }
    }
}
