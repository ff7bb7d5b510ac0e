//! The field of secp256k1, p = 2^256 - 2^32 - 977, in variable time: for public data only.
//!
//! An element is any number below 2^256 that is congruent to it: numbers from p on are reduced only where they are compared
//! or shown. Four words with carries beat libsecp256k1's five lazy limbs of 52 bits here: a third fewer products, and the
//! compiler keeps the carries in the flag.

use super::inverse;

/// 2^256 mod p.
pub(super) const FOLD: u64 = (1 << 32) + 977;
/// p in words of 64 bits, the lowest first.
const P: [u64; 4] = [FOLD.wrapping_neg(), u64::MAX, u64::MAX, u64::MAX];

/// An element of the field: a number in words of 64 bits, the lowest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fe(pub(super) [u64; 4]);

/// `a * b + sum + carry`, which fits two words: the low one, the high one becomes the carry.
#[inline(always)]
fn multiply_add(sum: u64, a: u64, b: u64, carry: &mut u64) -> u64 {
    let all = u128::from(a) * u128::from(b) + u128::from(sum) + u128::from(*carry);
    *carry = (all >> 64) as u64;
    all as u64
}

#[inline(always)]
fn add_words(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let (s0, carry) = a[0].carrying_add(b[0], false);
    let (s1, carry) = a[1].carrying_add(b[1], carry);
    let (s2, carry) = a[2].carrying_add(b[2], carry);
    let (s3, carry) = a[3].carrying_add(b[3], carry);
    ([s0, s1, s2, s3], carry)
}

#[inline(always)]
fn subtract_words(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let (d0, borrow) = a[0].borrowing_sub(b[0], false);
    let (d1, borrow) = a[1].borrowing_sub(b[1], borrow);
    let (d2, borrow) = a[2].borrowing_sub(b[2], borrow);
    let (d3, borrow) = a[3].borrowing_sub(b[3], borrow);
    ([d0, d1, d2, d3], borrow)
}

/// FOLD for a carry out of 2^256, else 0; without a branch, which would be guessed wrong half the time.
#[inline(always)]
fn fold_if(carry: bool) -> u64 {
    FOLD & 0u64.wrapping_sub(u64::from(carry))
}

/// A product of two numbers below 2^256 as an element.
#[inline(always)]
fn reduce(r: [u64; 8]) -> Fe {
    let mut above = 0;
    let low = [
        multiply_add(r[0], r[4], FOLD, &mut above),
        multiply_add(r[1], r[5], FOLD, &mut above),
        multiply_add(r[2], r[6], FOLD, &mut above),
        multiply_add(r[3], r[7], FOLD, &mut above),
    ];
    let above = u128::from(above) * u128::from(FOLD);
    let ([a, b, c, d], carry) = add_words(low, [above as u64, (above >> 64) as u64, 0, 0]);
    // After a carry the rest is below 2^67: another one ends in the second word.
    let (a, carry) = a.overflowing_add(fold_if(carry));
    Fe([a, b.wrapping_add(u64::from(carry)), c, d])
}

impl Fe {
    pub(super) const ZERO: Fe = Fe([0; 4]);
    pub(super) const ONE: Fe = Fe([1, 0, 0, 0]);
    pub(super) const SEVEN: Fe = Fe([7, 0, 0, 0]);

    /// The number in big-endian bytes; None from p on.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Fe> {
        let number = words(bytes);
        subtract_words(number, P).1.then_some(Fe(number))
    }

    /// The number below p in big-endian bytes.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let words = self.normal();
        std::array::from_fn(|i| words[3 - i / 8].to_be_bytes()[i % 8])
    }

    #[inline(always)]
    pub(super) fn mul(&self, other: &Fe) -> Fe {
        let (a, b) = (&self.0, &other.0);
        let mut product = [0; 8];
        for i in 0..4 {
            let mut carry = 0;
            for j in 0..4 {
                product[i + j] = multiply_add(product[i + j], a[i], b[j], &mut carry);
            }
            product[i + 4] = carry;
        }
        reduce(product)
    }

    #[inline(always)]
    pub(super) fn square(&self) -> Fe {
        let [a, b, c, d] = self.0;
        // The products of different words, once: words 1 to 6.
        let mut carry = 0;
        let r1 = multiply_add(0, a, b, &mut carry);
        let r2 = multiply_add(0, a, c, &mut carry);
        let r3 = multiply_add(0, a, d, &mut carry);
        let r4 = std::mem::take(&mut carry);
        let r3 = multiply_add(r3, b, c, &mut carry);
        let r4 = multiply_add(r4, b, d, &mut carry);
        let r5 = std::mem::take(&mut carry);
        let r5 = multiply_add(r5, c, d, &mut carry);
        let r = [0, r1, r2, r3, r4, r5, carry, 0];
        // Twice those, and the squares of the words.
        let mut product = [0; 8];
        let (mut doubling, mut adding) = (false, false);
        for (i, &word) in self.0.iter().enumerate() {
            let square = u128::from(word) * u128::from(word);
            for (j, part) in [(2 * i, square as u64), (2 * i + 1, (square >> 64) as u64)] {
                let (double, carry) = r[j].carrying_add(r[j], doubling);
                doubling = carry;
                (product[j], adding) = double.carrying_add(part, adding);
            }
        }
        reduce(product)
    }

    #[inline(always)]
    pub(super) fn add(&self, other: &Fe) -> Fe {
        let (sum, carry) = add_words(self.0, other.0);
        let ([a, b, c, d], carry) = add_words(sum, [fold_if(carry), 0, 0, 0]);
        // After a second carry the rest is below FOLD.
        Fe([a.wrapping_add(fold_if(carry)), b, c, d])
    }

    #[inline(always)]
    pub(super) fn sub(&self, other: &Fe) -> Fe {
        let (difference, borrow) = subtract_words(self.0, other.0);
        let ([a, b, c, d], borrow) = subtract_words(difference, [fold_if(borrow), 0, 0, 0]);
        // After a second borrow the rest is 2^256 - FOLD at least.
        Fe([a.wrapping_sub(fold_if(borrow)), b, c, d])
    }

    #[inline(always)]
    pub(super) fn negate(&self) -> Fe {
        Fe::ZERO.sub(self)
    }

    #[inline(always)]
    pub(super) fn double(&self) -> Fe {
        self.add(self)
    }

    #[inline(always)]
    pub(super) fn half(&self) -> Fe {
        let odd = 0u64.wrapping_sub(self.0[0] & 1);
        let ([a, b, c, d], carry) = add_words(self.0, P.map(|word| word & odd));
        Fe([a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1 | u64::from(carry) << 63])
    }

    /// The number below p.
    pub(super) fn normal(&self) -> [u64; 4] {
        let (reduced, below) = subtract_words(self.0, P);
        if below { self.0 } else { reduced }
    }

    #[inline(always)]
    pub(super) fn is_zero(&self) -> bool {
        let [a, b, c, d] = self.0;
        (a | b | c | d == 0) || self.0 == P
    }

    pub(super) fn is_odd(&self) -> bool {
        self.normal()[0] & 1 == 1
    }

    /// The inverse; zero of zero.
    pub(super) fn invert(&self) -> Fe {
        Fe(inverse::modulo_p(self.normal()))
    }
}

/// A number in big-endian bytes as words of 64 bits, the lowest first.
pub(super) fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().rev().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

/// x^((p+1)/4), the square root of x if it has one, for one element or for many at a time: `square(x, n)` squares n
/// times. The exponent is 2^254 - 2^30 - 244: in binary 223 ones, a zero, 22 ones, 4 zeros, 2 ones, 2 zeros.
#[inline(always)]
pub(super) fn root_chain<T: Copy>(x: T, mul: impl Fn(&T, &T) -> T, square: impl Fn(&T, u32) -> T) -> T {
    // x_n is x^(2^n - 1), n ones.
    let x2 = mul(&square(&x, 1), &x);
    let x3 = mul(&square(&x2, 1), &x);
    let x6 = mul(&square(&x3, 3), &x3);
    let x11 = mul(&square(&mul(&square(&x6, 3), &x3), 2), &x2);
    let x22 = mul(&square(&x11, 11), &x11);
    let x44 = mul(&square(&x22, 22), &x22);
    let x88 = mul(&square(&x44, 44), &x44);
    let x176 = mul(&square(&x88, 88), &x88);
    let x220 = mul(&square(&x176, 44), &x44);
    let x223 = mul(&square(&x220, 3), &x3);
    square(&mul(&square(&mul(&square(&x223, 23), &x22), 6), &x2), 2)
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
