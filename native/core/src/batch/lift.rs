//! From x coordinates to points: a square root each, the largest part of a batch's work.

use super::field::{Fe, root_chain};
use super::point::Affine;

/// The points with these x coordinates (big-endian bytes) and an even y (`lift_x` of BIP-340); None for one that is p at
/// least or not on the curve. `roots` takes square roots, N at a time, of what has one.
pub(super) fn lift_all<const N: usize>(
    coordinates: &[[u8; 32]],
    roots: impl Fn(&[Fe; N]) -> [Fe; N],
) -> Vec<Option<Affine>> {
    let mut points = Vec::with_capacity(coordinates.len());
    for group in coordinates.chunks(N) {
        let mut xs = [None; N];
        let mut squares = [Fe::ZERO; N];
        for (i, bytes) in group.iter().enumerate() {
            xs[i] = Fe::from_bytes(bytes);
            squares[i] = xs[i].map_or(Fe::ZERO, |x| curve(&x));
        }
        let roots = roots(&squares);
        points.extend((0..group.len()).map(|i| point(xs[i]?, &squares[i], roots[i])));
    }
    points
}

/// x^3 + 7.
fn curve(x: &Fe) -> Fe {
    x.square().mul(x).add(&Fe::SEVEN)
}

/// The point with an even y, if `root` is a root of `square`.
fn point(x: Fe, square: &Fe, root: Fe) -> Option<Affine> {
    root.square().sub(square).is_zero().then(|| Affine { x, y: if root.is_odd() { root.negate() } else { root } })
}

/// The square roots of what has one, by two chains of squarings beside each other: alone, one waits for its own carries
/// most of the time.
pub(super) fn roots([a, b]: &[Fe; 2]) -> [Fe; 2] {
    let mul = |a: &(Fe, Fe), b: &(Fe, Fe)| (a.0.mul(&b.0), a.1.mul(&b.1));
    let square = |pair: &(Fe, Fe), times| {
        let (mut a, mut b) = *pair;
        for _ in 0..times {
            (a, b) = (a.square(), b.square());
        }
        (a, b)
    };
    let (a, b) = root_chain((*a, *b), mul, square);
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_squares() {
        let mut x = Fe([0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89]);
        for _ in 0..200 {
            let square = x.square();
            let [root, none] = roots(&[square, square.negate()]);
            assert!(root.square().sub(&square).is_zero());
            // -1 is no square modulo p.
            assert!(!none.square().add(&square).is_zero());
            x = square.add(&Fe::ONE);
        }
    }
}
