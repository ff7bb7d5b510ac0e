//! Many bytes at once, and the questions about them that are asked of every byte of a window.

use super::boundary::Kind;
use super::window::Window;

/// 64 bytes of a text, and the two behind them.
pub(super) type Block = [u8; 66];

/// Some bytes side by side, or an answer for each of them.
pub(super) trait Lanes: Copy {
    /// How many bytes: a divisor of 64.
    const WIDTH: usize;

    /// The first bytes of a slice, which has so many.
    fn load(bytes: &[u8]) -> Self;
    /// No byte.
    fn none() -> Self;
    /// The bytes that are `byte`.
    fn equal(self, byte: u8) -> Self;
    /// What is left of the bytes under a mask.
    fn masked(self, mask: u8) -> Self;
    /// The bytes that both answers name.
    fn and(self, other: Self) -> Self;
    /// The bytes that one of the answers names.
    fn or(self, other: Self) -> Self;
    /// The bytes that this answer names and the other does not.
    fn but(self, other: Self) -> Self;
    /// An answer as bits, the lowest for the first byte.
    fn bits(self) -> u64;

    /// The last boundary of a kind in a window.
    fn last<K: Kind>(window: &Window<'_>) -> Option<usize> {
        window.last::<Self, K>()
    }

    /// The best boundary at a line end of a window.
    fn best_line(window: &Window<'_>) -> Option<usize> {
        window.best_line::<Self>()
    }
}

/// Whether there are line ends, and whether there is one before `#`.
pub(super) struct Lines {
    pub(super) lines: bool,
    pub(super) headings: bool,
}

/// What stands in a part of a window, which is given with the byte behind it.
#[inline(always)]
pub(super) fn lines<L: Lanes>(part: &[u8]) -> Lines {
    let (mut lines, mut headings) = (L::none(), L::none());
    for (bytes, next) in part.chunks_exact(L::WIDTH).zip(part[1..].chunks_exact(L::WIDTH)) {
        let here = L::load(bytes).equal(b'\n');
        lines = lines.or(here);
        headings = headings.or(here.and(L::load(next).equal(b'#')));
    }
    Lines { lines: lines.bits() != 0, headings: headings.bits() != 0 }
}

/// The marks of a kind in a block, as bits.
#[inline(always)]
pub(super) fn marks<L: Lanes, K: Kind>(block: &Block) -> u64 {
    let mut marks = 0;
    let mut at = 0;
    while at < 64 {
        marks |= K::marks(L::load(&block[at..]), L::load(&block[at + 1..]), L::load(&block[at + 2..])).bits() << at;
        at += L::WIDTH;
    }
    marks
}

/// For every processor: eight bytes in a word. An answer has the top bit of each byte that it names.
impl Lanes for u64 {
    const WIDTH: usize = 8;

    #[inline(always)]
    fn load(bytes: &[u8]) -> Self {
        bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
    }

    #[inline(always)]
    fn none() -> Self {
        0
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> Self {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let other = self ^ u64::from_ne_bytes([byte; 8]);
        !(((other & LOW) + LOW) | other | LOW) // no carry leaves its byte
    }

    #[inline(always)]
    fn masked(self, mask: u8) -> Self {
        self & u64::from_ne_bytes([mask; 8])
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline(always)]
    fn but(self, other: Self) -> Self {
        self & !other
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        (self >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 // the eight bits, gathered in the topmost byte
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Kind, Lanes, Window};
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    };

    /// 32 bytes, for processors that have AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256i);

    impl Avx2 {
        /// Whether this processor has what is used here.
        pub(in super::super) fn here() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt")
        }
    }

    #[target_feature(enable = "avx2,bmi2,lzcnt")]
    fn last_here<K: Kind>(window: &Window<'_>) -> Option<usize> {
        window.last::<Avx2, K>()
    }

    #[target_feature(enable = "avx2,bmi2,lzcnt")]
    fn best_line_here(window: &Window<'_>) -> Option<usize> {
        window.best_line::<Avx2>()
    }

    /// Only `last` and `lines` are called from without, and only where `here` says yes: that is what every block below relies on.
    impl Lanes for Avx2 {
        const WIDTH: usize = 32;

        fn last<K: Kind>(window: &Window<'_>) -> Option<usize> {
            // SAFETY: the processor has AVX2.
            unsafe { last_here::<K>(window) }
        }

        fn best_line(window: &Window<'_>) -> Option<usize> {
            // SAFETY: the processor has AVX2.
            unsafe { best_line_here(window) }
        }

        #[inline(always)]
        fn load(bytes: &[u8]) -> Self {
            let Some(bytes) = bytes.first_chunk::<32>() else { return Self::none() };
            // SAFETY: the processor has AVX2, and 32 bytes may be read.
            Self(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) })
        }

        #[inline(always)]
        fn none() -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_setzero_si256() })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_cmpeq_epi8(self.0, _mm256_set1_epi8(byte.cast_signed())) })
        }

        #[inline(always)]
        fn masked(self, mask: u8) -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_and_si256(self.0, _mm256_set1_epi8(mask.cast_signed())) })
        }

        #[inline(always)]
        fn and(self, other: Self) -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_and_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn or(self, other: Self) -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_or_si256(self.0, other.0) })
        }

        #[inline(always)]
        fn but(self, other: Self) -> Self {
            // SAFETY: the processor has AVX2.
            Self(unsafe { _mm256_andnot_si256(other.0, self.0) })
        }

        #[inline(always)]
        fn bits(self) -> u64 {
            // SAFETY: the processor has AVX2.
            u64::from(unsafe { _mm256_movemask_epi8(self.0) }.cast_unsigned())
        }
    }
}
