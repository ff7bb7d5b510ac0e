//! Inverses modulo p by divisions of 2-adic numbers: Bernstein and Yang, "Fast constant-time gcd computation and modular
//! inversion", 2019, here in variable time. For public data only.
//!
//! The pair (f, g) begins as (p, x). A *division step* halves g, after it has made it even with f. Sixty-two steps look at
//! the low words alone; their matrix is then applied to the long numbers, and, modulo p, to the pair (d, e) for which
//! d x = f and e x = g. When g is 0, f is 1 or -1, and d the inverse or its negative.

use std::array::from_fn;

/// Steps a round, and bits a limb.
const STEPS: u32 = 62;
const LIMB: u64 = (1 << STEPS) - 1;
/// p in limbs of 62 bits.
const P: Long = Long([0x3FFF_FFFE_FFFF_FC2F, LIMB as i64, LIMB as i64, LIMB as i64, 0xFF]);
/// 1/p modulo 2^62.
const P_INVERSE: u64 = inverse_of_odd(0x3FFF_FFFE_FFFF_FC2F) & LIMB;

/// A signed number of five limbs of 62 bits: all within 0..2^62 but the top one, which has the sign.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Long([i64; 5]);

/// What the steps of a round make of (f, g): 2^62 (f', g') = ((u, v), (q, r)) (f, g).
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each doubles the bits that are right.
const fn inverse_of_odd(odd: u64) -> u64 {
    let mut inverse = odd; // right modulo 2^3
    let mut bits = 3;
    while bits < 64 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

/// The inverse of x modulo p in words of 64 bits, the lowest first; of 0 it is 0.
pub(super) fn modulo_p(x: [u64; 4]) -> [u64; 4] {
    let (mut f, mut g) = (P, Long::from_words(x));
    let (mut d, mut e) = (Long([0; 5]), Long([1, 0, 0, 0, 0]));
    let mut delta = 1;
    while g != Long([0; 5]) {
        let matrix = divide(&mut delta, f.low(), g.low());
        (f, g) = matrix.apply(&f, &g);
        (d, e) = matrix.apply_modulo_p(&d, &e);
    }
    d.to_words(f.0[4] < 0)
}

/// A round of steps, from the low 62 bits of f (odd) and g; delta, the paper's, is kept from round to round.
fn divide(delta: &mut i64, f: u64, g: u64) -> Matrix {
    let (mut f, mut g) = (f, g);
    let (mut u, mut v, mut q, mut r) = (1i64, 0i64, 0i64, 1i64);
    let mut left = STEPS;
    loop {
        // Steps that meet an even g only halve it; instead of the second row the first is doubled.
        let zeros = (g | 1 << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *delta += i64::from(zeros);
        left -= zeros;
        if left == 0 {
            return Matrix { u, v, q, r };
        }
        if *delta > 0 {
            (*delta, f, g) = (-*delta, g, f.wrapping_neg());
            (u, v, q, r) = (q, r, -u, -v);
        }
        // Until delta is positive again every step adds f to g or not: up to six of them are one multiple of f, which
        // clears as many bits of g. Of an odd f, f (2 - f^2) is the inverse modulo 2^6.
        let steps = u32::try_from(1 - *delta).unwrap_or(6).min(left).min(6);
        let multiple = g.wrapping_mul(f).wrapping_mul(f.wrapping_mul(f).wrapping_sub(2)) & ((1 << steps) - 1);
        g = g.wrapping_add(f.wrapping_mul(multiple));
        let multiple = multiple as i64;
        q += u * multiple;
        r += v * multiple;
    }
}

impl Matrix {
    /// The pair after a round; the division by 2^62 leaves nothing.
    fn apply(&self, f: &Long, g: &Long) -> (Long, Long) {
        (combine([(self.u, f), (self.v, g)]), combine([(self.q, f), (self.r, g)]))
    }

    /// The same modulo p, for numbers in -2p..p, to which the results belong again.
    fn apply_modulo_p(&self, d: &Long, e: &Long) -> (Long, Long) {
        // A negative number is raised by p, so that the combination stays in -p 2^62..p 2^62.
        let raised = |a: i64, b: i64| (a & d.sign()) + (b & e.sign());
        let row = |a: i64, b: i64| {
            // The multiple of p that makes the sum divisible by 2^62, from -2^62 + 1 to 0 on top of the raise.
            let low = (a as u64).wrapping_mul(d.low()).wrapping_add((b as u64).wrapping_mul(e.low()));
            let raise = raised(a, b);
            let multiple = raise - (P_INVERSE.wrapping_mul(low).wrapping_add(raise as u64) & LIMB) as i64;
            combine([(a, d), (b, e), (multiple, &P)])
        };
        (row(self.u, self.v), row(self.q, self.r))
    }
}

/// A sum of products divided by 2^62, where it leaves no rest.
fn combine<const N: usize>(terms: [(i64, &Long); N]) -> Long {
    let column =
        |i: usize| terms.iter().map(|(factor, long)| i128::from(*factor) * i128::from(long.0[i])).sum::<i128>();
    let mut sum = column(0) >> STEPS;
    let mut limbs = [0; 5];
    for i in 1..5 {
        sum += column(i);
        limbs[i - 1] = (sum as u64 & LIMB) as i64;
        sum >>= STEPS;
    }
    limbs[4] = sum as i64;
    Long(limbs)
}

impl Long {
    fn from_words(w: [u64; 4]) -> Long {
        Long(
            [w[0], w[0] >> 62 | w[1] << 2, w[1] >> 60 | w[2] << 4, w[2] >> 58 | w[3] << 6, w[3] >> 56]
                .map(|limb| (limb & LIMB) as i64),
        )
    }

    /// The lowest limb.
    fn low(&self) -> u64 {
        self.0[0] as u64
    }

    /// -1 of a negative number, else 0.
    fn sign(&self) -> i64 {
        self.0[4] >> 63
    }

    /// A number in -2p..p, or its negative, modulo p.
    fn to_words(self, negative: bool) -> [u64; 4] {
        let sign = if negative { -1 } else { 1 };
        let mut number = Long(from_fn(|i| sign * self.0[i])).plus_p(0);
        while number.sign() < 0 {
            number = number.plus_p(1);
        }
        while number.plus_p(-1).sign() == 0 {
            number = number.plus_p(-1);
        }
        let [a, b, c, d, e] = number.0.map(|limb| limb as u64);
        [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
    }

    /// The number and a small multiple of p, with its carries.
    fn plus_p(self, multiple: i64) -> Long {
        let mut limbs: [i64; 5] = from_fn(|i| self.0[i] + multiple * P.0[i]);
        for i in 0..4 {
            limbs[i + 1] += limbs[i] >> STEPS;
            limbs[i] &= LIMB as i64;
        }
        Long(limbs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::Fe;

    #[test]
    fn inverses() {
        let mut x = Fe([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, 0x1111_2222_3333_4444, 5]);
        for i in 1..2000 {
            for number in [x, Fe([i, 0, 0, 0]), Fe([i, 0, 0, 0]).negate()] {
                let inverse = Fe(super::modulo_p(number.normal()));
                assert_eq!(number.mul(&inverse).normal(), Fe::ONE.0);
                assert_eq!(inverse.normal(), inverse.0);
            }
            x = x.square().add(&Fe([i, 0, 0, 0]));
        }
        assert_eq!(super::modulo_p([0; 4]), [0; 4]);
    }
}
