//! The compression function by the SHA instructions of x86, for one message or for two at a time: `sha256rnds2` takes four
//! cycles to answer but can be asked every second one, so that a second message costs little.

use super::{Block, State};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_load_si128, _mm_loadu_si128, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_storeu_si128,
};

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
static K: Constants = Constants([
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]);

/// Aligned, so that an addition takes four of them straight from memory.
#[repr(align(16))]
struct Constants([u32; 64]);

/// Whether this machine has the instructions.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
}

/// Takes in blocks of `L` messages, as many of each as of the first.
#[expect(clippy::needless_range_loop, reason = "the messages go side by side")]
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) fn compress<const L: usize>(states: [&mut State; L], messages: [&[Block]; L]) {
    let count = messages[0].len();
    let mut halves = [[_mm_setzero_si128(); 2]; L];
    let mut words = [[_mm_setzero_si128(); 4]; L];
    for lane in 0..L {
        halves[lane] = load(states[lane]);
    }
    for n in 0..count {
        let before = halves;
        for lane in 0..L {
            words[lane] = big_endian(&messages[lane][n]);
        }
        macro_rules! rounds {
            ($($step:literal)*) => {$(
                for lane in 0..L {
                    let w = &mut words[lane];
                    if $step >= 4 {
                        let part = _mm_alignr_epi8(w[($step + 3) % 4], w[($step + 2) % 4], 4);
                        let part = _mm_add_epi32(_mm_sha256msg1_epu32(w[$step % 4], w[($step + 1) % 4]), part);
                        w[$step % 4] = _mm_sha256msg2_epu32(part, w[($step + 3) % 4]);
                    }
                    // SAFETY: four words at a multiple of 16 bytes in a table aligned so.
                    let k = unsafe { _mm_load_si128(K.0.as_ptr().add(4 * $step).cast::<__m128i>()) };
                    let wk = _mm_add_epi32(w[$step % 4], k);
                    let [abef, cdgh] = &mut halves[lane];
                    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, wk);
                    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(wk, 0x0E));
                }
            )*};
        }
        rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for lane in 0..L {
            for half in 0..2 {
                halves[lane][half] = _mm_add_epi32(halves[lane][half], before[lane][half]);
            }
        }
    }
    for (state, halves) in states.into_iter().zip(halves) {
        store(state, halves);
    }
}

/// The sixteen words of a block.
#[inline]
#[target_feature(enable = "ssse3")]
fn big_endian(block: &Block) -> [__m128i; 4] {
    let order = _mm_set_epi64x(0x0C0D_0E0F_0809_0A0B, 0x0405_0607_0001_0203);
    let mut words = [order; 4];
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: four times 16 bytes of 64.
        *word = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(block.as_ptr().add(16 * i).cast()) }, order);
    }
    words
}

/// The words a, b, e, f and c, d, g, h, as the instructions want them.
#[inline]
#[target_feature(enable = "ssse3,sse4.1")]
fn load(state: &State) -> [__m128i; 2] {
    // SAFETY: twice 16 bytes of eight words.
    let (dcba, hgfe) =
        unsafe { (_mm_loadu_si128(state.as_ptr().cast()), _mm_loadu_si128(state.as_ptr().add(4).cast())) };
    let (cdab, efgh) = (_mm_shuffle_epi32(dcba, 0xB1), _mm_shuffle_epi32(hgfe, 0x1B));
    [_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xF0)]
}

/// The other way.
#[inline]
#[target_feature(enable = "ssse3,sse4.1")]
fn store(state: &mut State, [abef, cdgh]: [__m128i; 2]) {
    let (feba, dchg) = (_mm_shuffle_epi32(abef, 0x1B), _mm_shuffle_epi32(cdgh, 0xB1));
    let both = [_mm_blend_epi16(feba, dchg, 0xF0), _mm_alignr_epi8(dchg, feba, 8)];
    for (i, half) in both.into_iter().enumerate() {
        // SAFETY: twice 16 bytes of eight words.
        unsafe { _mm_storeu_si128(state.as_mut_ptr().add(4 * i).cast(), half) };
    }
}
