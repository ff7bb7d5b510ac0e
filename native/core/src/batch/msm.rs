//! Multi-scalar multiplication: the sum of many points, each times a number of 128 bits, by Pippenger's buckets.
//!
//! The numbers are cut into windows of signed digits. The points that have one digit in one window are one bucket's; each
//! bucket is summed up first, then the buckets of a window, weighted by their digits, then the windows. Nearly all the
//! work is the sums inside the buckets: `addition` takes them many at a time.

use super::buckets::Buckets;
use super::path::Path;
use super::point::{Affine, Jacobian};

/// A point and what it is multiplied by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) point: Affine,
    pub(super) factor: u128,
}

/// The sum of the terms.
pub(super) fn sum(path: Path, terms: &[Term]) -> Jacobian {
    sum_with(path, terms, best_width(terms.len()))
}

fn sum_with(path: Path, terms: &[Term], width: u32) -> Jacobian {
    let mut buckets = Buckets::sorted(terms, width);
    buckets.add_up(path);
    path.window_sums(&buckets)
        .iter()
        .rev()
        .fold(Jacobian::INFINITY, |sum, window| (0..width).fold(sum, |sum, _| sum.double()).add(window))
}

/// How many windows of `width` bits hold 128 bits and the carry of the last one.
pub(super) const fn windows(width: u32) -> usize {
    128 / width as usize + 1
}

/// The window with the least work, in additions of points: one a term and window, and about three a bucket, to weigh it.
fn best_width(terms: usize) -> u32 {
    let work = |width: &u32| windows(*width) * (terms + (3 << (width - 1)));
    (2..=14).min_by_key(work).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By doubling and adding.
    fn slow_sum(terms: &[Term]) -> Jacobian {
        terms.iter().fold(Jacobian::INFINITY, |sum, term| {
            let product = (0..128).rev().fold(Jacobian::INFINITY, |product, bit| {
                let product = product.double();
                if term.factor >> bit & 1 == 1 { product.add_affine(&term.point) } else { product }
            });
            sum.add(&product)
        })
    }

    fn sum_is_infinity(terms: &[Term], width: u32) -> bool {
        let verdicts: Vec<bool> =
            Path::all().into_iter().map(|path| sum_with(path, terms, width).is_infinity()).collect();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
        verdicts[0]
    }

    /// The sum with one more term that must cancel it out, and without.
    fn is_right(terms: &[Term], width: u32) -> bool {
        let slow = slow_sum(terms).to_affine();
        let mut more = terms.to_vec();
        more.push(Term { point: slow.signed(true), factor: 1 });
        sum_is_infinity(&more, width) && sum_is_infinity(terms, width) == slow.is_infinity()
    }

    #[test]
    fn sums() {
        let mut point = Jacobian::INFINITY.add_affine(&Affine::G);
        let mut factor = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210u128;
        let terms: Vec<Term> = (0..70)
            .map(|i| {
                // Every third point comes again, every seventh is its neighbour's opposite: doublings and cancellations.
                if i % 3 != 0 {
                    point = point.double().add_affine(&Affine::G);
                    factor = factor.wrapping_mul(0x5851_F42D_4C95_7F2D_1405_7B7E_F767_814F).wrapping_add(1);
                }
                Term {
                    point: point.to_affine().signed(i % 7 == 0),
                    factor: if i % 5 == 0 { factor } else { factor >> i },
                }
            })
            .collect();
        for width in 2..=9 {
            for count in [0, 1, 2, 9, 70] {
                assert!(is_right(&terms[..count], width), "{count} terms, windows of {width} bits");
            }
        }
    }

    #[test]
    fn one_point_many_times() {
        let terms = [Term { point: Affine::G, factor: 0x7777_7777_7777_7777_7777_7777_7777_7777 }; 64];
        assert!(is_right(&terms, 4));
        let both: Vec<Term> =
            terms.iter().enumerate().map(|(i, term)| Term { point: term.point.signed(i % 2 == 1), ..*term }).collect();
        assert!(sum_is_infinity(&both, 4));
    }
}
