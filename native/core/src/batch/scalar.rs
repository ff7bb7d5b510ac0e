//! Numbers modulo n, the order of secp256k1's group, in variable time: for public data only.

use super::field::words;

/// n in words of 64 bits, the lowest first.
const N: [u64; 4] = [0xBFD2_5E8C_D036_4141, 0xBAAE_DCE6_AF48_A03B, 0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFF];
/// 2^256 - n.
const FOLD: [u64; 3] = [0x402D_A173_2FC9_BEBF, 0x4551_2319_50B7_5FC4, 1];
/// n / 2, rounded up: from here on the negative is smaller.
const HALF: [u64; 4] = [0xDFE9_2F46_681B_20A1, 0x5D57_6E73_57A4_501D, 0xFFFF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF];

/// A number below n in words of 64 bits, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scalar([u64; 4]);

/// A number of 128 bits with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) negative: bool,
    pub(super) value: u128,
}

/// lambda, a cube root of 1: lambda (x, y) = (beta x, y) for every point.
const LAMBDA: Scalar =
    Scalar([0xDF02_967C_1B23_BD72, 0x122E_22EA_2081_6678, 0xA526_1C02_8812_645A, 0x5363_AD4C_C05C_30E0]);
// The lattice of all (x, y) with x + lambda y = 0 has the short basis (A1, B1), (A2, B2) (Gallant, Lambert, Vanstone, 2001).
const MINUS_B1: Scalar = Scalar([0x6F54_7FA9_0ABF_E4C3, 0xE443_7ED6_010E_8828, 0, 0]);
const MINUS_B2: Scalar =
    Scalar([0xD765_CDA8_3DB1_562C, 0x8A28_0AC5_0774_346D, 0xFFFF_FFFF_FFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFF]);
/// 2^384 B2 / n and -2^384 B1 / n, rounded.
const B2_BY_N: [u64; 4] = [0xE893_209A_45DB_B031, 0x3DAA_8A14_71E8_CA7F, 0xE86C_90E4_9284_EB15, 0x3086_D221_A7D4_6BCD];
const MINUS_B1_BY_N: [u64; 4] =
    [0x1571_B4AE_8AC4_7F71, 0x2212_08AC_9DF5_06C6, 0x6F54_7FA9_0ABF_E4C4, 0xE443_7ED6_010E_8828];

impl Scalar {
    pub(super) const ZERO: Scalar = Scalar([0; 4]);

    /// The number in big-endian bytes; None from n on.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Scalar> {
        let number = words(bytes);
        (!at_least(&number, &N)).then_some(Scalar(number))
    }

    /// The number in big-endian bytes modulo n.
    pub(super) fn reduced(bytes: &[u8; 32]) -> Scalar {
        Scalar(below_n(words(bytes)))
    }

    pub(super) fn is_zero(self) -> bool {
        self.0 == [0; 4]
    }

    pub(super) fn add(self, other: Scalar) -> Scalar {
        let (sum, carry) = add(&self.0, &other.0);
        Scalar(if carry { subtract(&sum, &N) } else { below_n(sum) })
    }

    pub(super) fn negate(self) -> Scalar {
        if self.is_zero() { self } else { Scalar(subtract(&N, &self.0)) }
    }

    pub(super) fn mul(self, other: Scalar) -> Scalar {
        let [a, b, c, d, upper @ ..] = product(&self.0, &other.0);
        let (mut number, mut above) = ([a, b, c, d], upper);
        // 2^256 is FOLD modulo n, which has 129 bits: three rounds, seldom four.
        while above != [0; 4] {
            let [a, b, c, d, upper @ ..] = product(&above, &[FOLD[0], FOLD[1], FOLD[2], 0]);
            let (sum, carry) = add(&number, &[a, b, c, d]);
            (number, above) = (sum, if carry { add(&upper, &[1, 0, 0, 0]).0 } else { upper });
        }
        Scalar(below_n(number))
    }

    /// (k, l) with `self` = k + lambda l, both below 2^128.
    pub(super) fn split(self) -> (Half, Half) {
        let l = self.times_rounded(&B2_BY_N).mul(MINUS_B1).add(self.times_rounded(&MINUS_B1_BY_N).mul(MINUS_B2));
        let k = self.add(l.mul(LAMBDA).negate());
        (k.half(), l.half())
    }

    /// The product divided by 2^384 and rounded.
    fn times_rounded(self, factor: &[u64; 4]) -> Scalar {
        let product = product(&self.0, factor);
        let half = u128::from(product[5] >> 63);
        Scalar::from((u128::from(product[7]) << 64 | u128::from(product[6])) + half)
    }

    /// The number or its negative, whichever is small.
    fn half(self) -> Half {
        let negative = at_least(&self.0, &HALF);
        let number = if negative { self.negate() } else { self };
        debug_assert_eq!(number.0[2] | number.0[3], 0, "the basis is short enough for 128 bits");
        Half { negative, value: u128::from(number.0[1]) << 64 | u128::from(number.0[0]) }
    }
}

#[cfg(test)]
impl Scalar {
    pub(super) fn to_bytes(self) -> [u8; 32] {
        std::array::from_fn(|i| self.0[3 - i / 8].to_be_bytes()[i % 8])
    }
}

impl From<u128> for Scalar {
    fn from(number: u128) -> Scalar {
        Scalar([number as u64, (number >> 64) as u64, 0, 0])
    }
}

fn at_least(a: &[u64; 4], b: &[u64; 4]) -> bool {
    a.iter().rev().ge(b.iter().rev())
}

/// A number below 2n reduced.
fn below_n(number: [u64; 4]) -> [u64; 4] {
    if at_least(&number, &N) { subtract(&number, &N) } else { number }
}

/// The sum modulo 2^256, and the carry.
fn add(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], bool) {
    let (mut sum, mut carry) = ([0; 4], false);
    for i in 0..4 {
        let (first, over) = a[i].overflowing_add(b[i]);
        let (second, again) = first.overflowing_add(u64::from(carry));
        (sum[i], carry) = (second, over | again);
    }
    (sum, carry)
}

/// The difference modulo 2^256.
fn subtract(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let (mut difference, mut borrow) = ([0; 4], false);
    for i in 0..4 {
        let (first, under) = a[i].overflowing_sub(b[i]);
        let (second, again) = first.overflowing_sub(u64::from(borrow));
        (difference[i], borrow) = (second, under | again);
    }
    difference
}

fn product(a: &[u64; 4], b: &[u64; 4]) -> [u64; 8] {
    let mut result = [0; 8];
    for i in 0..4 {
        let mut carry = 0u128;
        for j in 0..4 {
            carry += u128::from(a[i]) * u128::from(b[j]) + u128::from(result[i + j]);
            result[i + j] = carry as u64;
            carry >>= 64;
        }
        result[i + 4] = carry as u64;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Scalar> {
        let mut samples =
            vec![Scalar::ZERO, Scalar::from(1), Scalar::from(1).negate(), Scalar(HALF), LAMBDA, MINUS_B1, MINUS_B2];
        let mut x =
            Scalar([0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89]);
        for _ in 0..300 {
            samples.push(x);
            x = x.mul(x).add(Scalar::from(7));
        }
        samples
    }

    /// By doubling and adding.
    fn slow_product(a: Scalar, b: Scalar) -> Scalar {
        (0..256).rev().fold(Scalar::ZERO, |sum, i| {
            let sum = sum.add(sum);
            if b.0[i / 64] >> (i % 64) & 1 == 1 { sum.add(a) } else { sum }
        })
    }

    #[test]
    fn products_are_repeated_sums() {
        for pair in samples().windows(2) {
            assert_eq!(pair[0].mul(pair[1]), slow_product(pair[0], pair[1]));
            assert_eq!(pair[0].add(pair[1]).add(pair[1].negate()), pair[0]);
        }
    }

    #[test]
    fn halves_make_the_whole() {
        let signed =
            |half: Half| if half.negative { Scalar::from(half.value).negate() } else { Scalar::from(half.value) };
        for x in samples() {
            let (k, l) = x.split();
            assert_eq!(signed(k).add(signed(l).mul(LAMBDA)), x);
        }
        assert_eq!(LAMBDA.mul(LAMBDA).mul(LAMBDA), Scalar::from(1));
    }

    #[test]
    fn n_and_above() {
        let bytes = |words| Scalar(words).to_bytes();
        assert_eq!(Scalar::from_bytes(&bytes(N)), None);
        assert_eq!(Scalar::reduced(&bytes(N)), Scalar::ZERO);
        assert_eq!(Scalar::reduced(&[0xFF; 32]), Scalar([FOLD[0] - 1, FOLD[1], FOLD[2], 0]));
        assert_eq!(Scalar::from_bytes(&bytes(subtract(&N, &[1, 0, 0, 0]))), Some(Scalar::from(1).negate()));
    }
}
