//! Sums of pairs of points, as `addition` gives them, eight pairs at a time.

use super::super::addition::Pair;
use super::super::buckets::Handle;
use super::super::field::Fe;
use super::super::point::Affine;
use super::field::{Fe8, Square, row, transpose, words};
use std::arch::x86_64::{__m512i, _mm512_or_si512, _mm512_testn_epi64_mask};

/// Groups of eight pairs that share an inversion.
const SHARING: usize = 64;

/// Eight pairs on their way: what the second pass needs.
#[derive(Clone, Copy)]
struct Staged {
    ax: Fe8,
    ay: Fe8,
    bx: Fe8,
    dy: Fe8,
    /// The denominator of the slope; 1 where there is none.
    dx: Fe8,
    /// The product of the denominators before, lane by lane.
    product: Fe8,
    /// The lanes with a point at infinity, or with one x coordinate: to be added one by one.
    special: u8,
}

/// Puts the sums of the pairs into the arena, but for the pairs that are returned: they have no slope, or that of a tangent.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn add_pairs(arena: &mut [Affine], pairs: &[Pair]) -> Vec<Pair> {
    let mut special = Vec::new();
    let mut staged = Vec::with_capacity(SHARING.min(pairs.len().div_ceil(8)));
    for pairs in pairs.chunks(8 * SHARING) {
        staged.clear();
        let mut product = Fe8::splat(&Fe::ONE);
        for group in pairs.chunks(8) {
            let next = stage(arena, group, product);
            product = product.mul(&next.dx);
            special.extend((0..group.len()).filter(|i| next.special >> i & 1 == 1).map(|i| group[i]));
            staged.push(next);
        }
        let mut inverse = invert(product);
        for (group, staged) in pairs.chunks(8).zip(&staged).rev() {
            let slope = staged.dy.mul(&inverse.mul(&staged.product));
            inverse = inverse.mul(&staged.dx);
            let x = slope.square().less([&staged.ax, &staged.bx]);
            let y = slope.mul(&staged.ax.sub(&x)).sub(&staged.ay);
            let sums = points(&x, &y);
            for (i, pair) in group.iter().enumerate().filter(|(i, _)| staged.special >> i & 1 == 0) {
                arena[pair.sum] = sums[i];
            }
        }
    }
    special
}

/// One to eight pairs; the last one fills the lanes that are left.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn stage(arena: &[Affine], group: &[Pair], product: Fe8) -> Staged {
    let last = group.len() - 1;
    let (ax, ay, nowhere) = coordinates(arena, &std::array::from_fn(|i| group[i.min(last)].left));
    let (bx, by, nor_there) = coordinates(arena, &std::array::from_fn(|i| group[i.min(last)].right));
    let dx = bx.sub(&ax);
    let special = nowhere | nor_there | dx.zeros();
    let dx = if special == 0 { dx } else { dx.replaced(special, &Fe8::splat(&Fe::ONE)) };
    Staged { ax, ay, bx, dy: by.sub(&ay), dx, product, special }
}

/// x, y and the lanes of the points at infinity.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
pub(super) fn coordinates(arena: &[Affine], handles: &[Handle; 8]) -> (Fe8, Fe8, u8) {
    let rows: Square = std::array::from_fn(|i| {
        let Affine { x, y } = &arena[handles[i].index()];
        row([x.0[0], x.0[1], x.0[2], x.0[3], y.0[0], y.0[1], y.0[2], y.0[3]])
    });
    let negative = (0..8).fold(0, |mask, i| mask | u8::from(handles[i].negative()) << i);
    let [x0, x1, x2, x3, y0, y1, y2, y3] = transpose(&rows);
    let any = _mm512_or_si512(_mm512_or_si512(y0, y1), _mm512_or_si512(y2, y3));
    let mut y = Fe8::from_words([y0, y1, y2, y3]);
    if negative != 0 {
        y = y.replaced(negative, &Fe8::splat(&Fe::ZERO).sub(&y));
    }
    (Fe8::from_words([x0, x1, x2, x3]), y, _mm512_testn_epi64_mask(any, any))
}

/// Eight points from their coordinates.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn points(x: &Fe8, y: &Fe8) -> [Affine; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (x.to_words(), y.to_words());
    let rows: [__m512i; 8] = transpose(&[a, b, c, d, e, f, g, h]);
    std::array::from_fn(|i| {
        let [a, b, c, d, e, f, g, h] = words(rows[i]);
        Affine { x: Fe([a, b, c, d]), y: Fe([e, f, g, h]) }
    })
}

/// The inverse of every lane, by one inversion.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert(elements: Fe8) -> Fe8 {
    let columns = elements.to_words().map(|column| words(column));
    let elements: [Fe; 8] = std::array::from_fn(|i| Fe(columns.map(|column| column[i])));
    let mut inverses = [Fe::ONE; 8];
    let mut product = Fe::ONE;
    for (before, element) in inverses.iter_mut().zip(&elements) {
        *before = product;
        product = product.mul(element);
    }
    let mut inverse = product.invert();
    for (before, element) in inverses.iter_mut().zip(&elements).rev() {
        *before = before.mul(&inverse);
        inverse = inverse.mul(element);
    }
    Fe8::from_words(std::array::from_fn(|word| row(inverses.map(|inverse| inverse.0[word]))))
}
