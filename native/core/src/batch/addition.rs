//! Sums of pairs of points by their coordinates, many at a time: they share one inversion (Montgomery's trick), after which
//! a sum costs five products and a square.

use super::buckets::Handle;
use super::field::Fe;
use super::point::Affine;

/// Two points of an arena, and where in it their sum goes: nowhere that another pair of the same call reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) left: Handle,
    pub(super) right: Handle,
    pub(super) sum: usize,
}

/// Pairs that share an inversion: enough to make it cheap, few enough for their products to stay in the cache.
const SHARING: usize = 512;

/// Puts the sums of the pairs into the arena.
pub(super) fn add_pairs(arena: &mut [Affine], pairs: &[Pair]) {
    let mut products = Vec::with_capacity(SHARING.min(pairs.len()));
    for pairs in pairs.chunks(SHARING) {
        add_sharing(arena, pairs, &mut products);
    }
}

/// The slope of the line through two points (or of the tangent) as a fraction; or the sum where there is no slope.
enum Slope {
    Fraction(Fe, Fe),
    Sum(Affine),
}

#[inline(always)]
fn slope(a: &Affine, b: &Affine) -> Slope {
    if a.is_infinity() {
        return Slope::Sum(*b);
    }
    if b.is_infinity() {
        return Slope::Sum(*a);
    }
    let (dx, dy) = (b.x.sub(&a.x), b.y.sub(&a.y));
    if !dx.is_zero() {
        Slope::Fraction(dy, dx)
    } else if dy.is_zero() {
        let square = a.x.square();
        Slope::Fraction(square.double().add(&square), a.y.double())
    } else {
        Slope::Sum(Affine::INFINITY)
    }
}

fn add_sharing(arena: &mut [Affine], pairs: &[Pair], products: &mut Vec<Fe>) {
    let points = |arena: &[Affine], pair: &Pair| {
        let point = |handle: Handle| arena[handle.index()].signed(handle.negative());
        (point(pair.left), point(pair.right))
    };
    // products[i] is the product of the denominators before pair i.
    products.clear();
    let mut product = Fe::ONE;
    for pair in pairs {
        products.push(product);
        let (a, b) = points(arena, pair);
        if let Slope::Fraction(_, denominator) = slope(&a, &b) {
            product = product.mul(&denominator);
        }
    }
    // The inverse of the product of the denominators up to pair i.
    let mut inverse = product.invert();
    for (pair, product) in pairs.iter().zip(products.iter()).rev() {
        let (a, b) = points(arena, pair);
        arena[pair.sum] = match slope(&a, &b) {
            Slope::Sum(sum) => sum,
            Slope::Fraction(numerator, denominator) => {
                let slope = numerator.mul(&inverse.mul(product));
                inverse = inverse.mul(&denominator);
                let x = slope.square().sub(&a.x).sub(&b.x);
                let y = slope.mul(&a.x.sub(&x)).sub(&a.y);
                Affine { x, y }
            }
        };
    }
}
