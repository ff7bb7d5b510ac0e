//! The three parts of a batch that take nearly all its time, eight at a time: square roots, sums of pairs of points, and
//! the weighing of buckets. For x86-64 with AVX-512 IFMA; the portable code gives the same.

mod addition;
mod field;
mod point;
mod single;
mod weighing;

use super::Signature;
use super::addition::Pair;
use super::buckets::Buckets;
use super::field::{Fe, root_chain};
use super::point::{Affine, Jacobian};
use field::{Fe8, Square, row, transpose, words};

/// The proof that this machine has what the code of this module is compiled for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes(());

impl Lanes {
    pub(super) fn detect() -> Option<Lanes> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")).then_some(Lanes(()))
    }

    /// The square roots of those that have one, as `root_chain` gives them.
    pub(super) fn roots(self, squares: &[Fe; 16]) -> [Fe; 16] {
        // SAFETY: `Lanes` exists only where the features were detected.
        unsafe { roots(squares) }
    }

    /// See `addition::add_pairs`.
    pub(super) fn add_pairs(self, arena: &mut [Affine], pairs: &[Pair]) {
        // SAFETY: `Lanes` exists only where the features were detected.
        let special = unsafe { addition::add_pairs(arena, pairs) };
        super::addition::add_pairs(arena, &special);
    }

    /// See `Buckets::window_sums`; None in the rare case that two sums on the way are equal or opposite.
    pub(super) fn window_sums(self, buckets: &Buckets) -> Option<Vec<Jacobian>> {
        // SAFETY: `Lanes` exists only where the features were detected.
        unsafe { weighing::window_sums(buckets) }
    }

    /// Whether each signature holds, by the keys that are numbered in it; None in the rare case of `window_sums`.
    pub(super) fn singles(self, keys: &[Affine], signatures: &[&Signature]) -> Vec<Option<bool>> {
        let tables = single::tables(self, keys);
        let targets = single::targets(self, signatures);
        let eight = |(signatures, targets): (&[&Signature], &[Affine])| {
            let ends = signatures.len();
            // SAFETY: `Lanes` exists only where the features were detected.
            let verdicts = unsafe { single::verify(&tables, signatures, targets) };
            (0..ends).map(move |i| verdicts.map(|verdicts| verdicts[i]))
        };
        signatures.chunks(8).zip(targets.chunks(8)).flat_map(eight).collect()
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn roots(squares: &[Fe; 16]) -> [Fe; 16] {
    // Elements i and i + 8 are row i.
    let rows: Square = std::array::from_fn(|i| {
        let (a, b) = (squares[i].0, squares[i + 8].0);
        row([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    });
    let [a, b, c, d, e, f, g, h] = transpose(&rows);
    // Two chains beside each other, so that one works while the other waits for its carries.
    let (first, second) = root_chain(
        (Fe8::from_words([a, b, c, d]), Fe8::from_words([e, f, g, h])),
        |a, b| (a.0.mul(&b.0), a.1.mul(&b.1)),
        |pair, times| {
            let (mut first, mut second) = *pair;
            for _ in 0..times {
                (first, second) = (first.square(), second.square());
            }
            (first, second)
        },
    );
    let ([a, b, c, d], [e, f, g, h]) = (first.to_words(), second.to_words());
    let rows = transpose(&[a, b, c, d, e, f, g, h]).map(|row| words(row));
    std::array::from_fn(|i| {
        let row = rows[i % 8];
        Fe(std::array::from_fn(|word| row[word + i / 8 * 4]))
    })
}

#[cfg(test)]
mod tests;
