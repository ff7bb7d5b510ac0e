//! Blocks as eight words of eight bytes, for machines whose vector instructions are not used here.

use super::{Isa, Marks};
use std::mem::MaybeUninit;

/// Plain 64-bit arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x80 * ONES;

/// Bit i for byte i of each word for which `test` leaves the byte's high bit.
#[inline(always)]
fn bits(words: [u64; 8], test: impl Fn(u64) -> u64) -> u64 {
    // The product brings the eight high bits together in the highest byte, in order.
    words.iter().rev().fold(0, |bits, &word| bits << 8 | (test(word) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56)
}

/// The high bit of each byte that is below `limit` (128 at most).
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    // With its own high bit set, no byte borrows from the next.
    !((word | HIGHS) - ONES * u64::from(limit)) & !word & HIGHS
}

/// The high bit of each byte that is `byte`.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

impl Isa for Portable {
    type Block = [u64; 8];

    #[inline(always)]
    fn load(self, text: &[u8], at: usize) -> [u64; 8] {
        let mut bytes = [0; 64];
        let text = text.get(at..).unwrap_or_default();
        let text = &text[..text.len().min(64)];
        bytes[..text.len()].copy_from_slice(text);
        let (words, _) = bytes.as_chunks::<8>();
        std::array::from_fn(|i| u64::from_le_bytes(words[i]))
    }

    #[inline(always)]
    fn store(self, block: [u64; 8], to: &mut [MaybeUninit<u8>; 64]) {
        for (to, word) in to.as_chunks_mut().0.iter_mut().zip(block) {
            *to = word.to_le_bytes().map(MaybeUninit::new);
        }
    }

    #[inline(always)]
    fn marks(self, block: [u64; 8]) -> Marks {
        Marks {
            quote: bits(block, |word| equal(word, b'"')),
            slash: bits(block, |word| equal(word, b'\\')),
            control: bits(block, |word| below(word, 0x20)),
        }
    }

    #[inline(always)]
    fn letters(self, block: [u64; 8]) -> u64 {
        bits(block, |word| b"bfnrt".iter().fold(0, |found, &letter| found | equal(word, letter)))
    }

    #[inline(always)]
    fn unhex(self, digits: &[u8; 64]) -> Option<[u8; 32]> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(bytes)
    }
}
