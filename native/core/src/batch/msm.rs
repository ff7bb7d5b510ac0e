//! Multi-scalar multiplication: the sum of many points, each times a number of 128 bits, by Pippenger's buckets.
//!
//! The numbers are cut into windows of signed digits. The points that have one digit in one window are one bucket's; each
//! bucket is summed up first, then the buckets of a window, weighted by their digits, then the windows. Nearly all the
//! work is the sums inside the buckets: `addition` takes them many at a time.

use super::addition::Pair;
use super::path::Path;
use super::point::{Affine, Jacobian};

/// A point and what it is multiplied by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) point: Affine,
    pub(super) factor: u128,
}

/// Below so many pairs their common inversion costs more than sums without one.
const FEW_PAIRS: usize = 20;

/// The sum of the terms.
pub(super) fn sum(path: Path, terms: &[Term]) -> Jacobian {
    sum_with(path, terms, best_width(terms.len()))
}

fn sum_with(path: Path, terms: &[Term], width: u32) -> Jacobian {
    let mut buckets = Buckets::sorted(terms, width);
    buckets.add_up(path);
    buckets.weighted_sum()
}

/// How many windows of `width` bits hold 128 bits and the carry of the last one.
fn windows(width: u32) -> usize {
    128 / width as usize + 1
}

/// The window with the least work, in additions of points: one a term and window, and about three a bucket, to weigh it.
fn best_width(terms: usize) -> u32 {
    let work = |width: &u32| windows(*width) * (terms + (3 << (width - 1)));
    (2..=14).min_by_key(work).unwrap_or(2)
}

/// A point in the arena of `Buckets`: twice its index, plus one when its opposite is meant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handle(u32);

impl Handle {
    pub(super) fn new(index: usize, negative: bool) -> Handle {
        Handle((index as u32) << 1 | u32::from(negative))
    }

    pub(super) fn index(self) -> usize {
        (self.0 >> 1) as usize
    }

    pub(super) fn negative(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The points sorted by window and digit.
struct Buckets {
    width: u32,
    /// The points of the terms, then sums of them.
    arena: Vec<Affine>,
    /// The contents of all the buckets, one after the other.
    contents: Vec<Handle>,
    /// Where each bucket begins in `contents`, and how many points it holds; `2^(width - 1)` buckets a window, for the
    /// digits from 1 on.
    spans: Vec<(usize, usize)>,
}

impl Buckets {
    /// A counting sort.
    fn sorted(terms: &[Term], width: u32) -> Buckets {
        let each = 1 << (width - 1);
        let mut spans = vec![(0, 0); windows(width) * each];
        let mut digits = Vec::with_capacity(terms.len() * windows(width));
        for term in terms {
            digits.extend(signed_digits(term.factor, width));
        }
        let bucket = |window: usize, digit: i32| window * each + digit.unsigned_abs() as usize - 1;
        let placed = || {
            digits.chunks_exact(windows(width)).enumerate().flat_map(|(term, digits)| {
                digits
                    .iter()
                    .enumerate()
                    .filter(|(_, digit)| **digit != 0)
                    .map(move |(window, digit)| (term, window, *digit))
            })
        };
        for (_, window, digit) in placed() {
            spans[bucket(window, digit)].1 += 1;
        }
        let mut total = 0;
        for (start, count) in &mut spans {
            *start = total;
            total += std::mem::take(count);
        }
        let mut contents = vec![Handle::default(); total];
        for (term, window, digit) in placed() {
            let (start, count) = &mut spans[bucket(window, digit)];
            contents[*start + *count] = Handle::new(term, digit < 0);
            *count += 1;
        }
        let mut arena = Vec::with_capacity(terms.len() + total / 2);
        arena.extend(terms.iter().map(|term| term.point));
        Buckets { width, arena, contents, spans }
    }

    /// Halves the contents of every bucket, round by round, until few buckets hold more than one point.
    fn add_up(&mut self, path: Path) {
        let terms = self.arena.len();
        let mut pairs = Vec::with_capacity(self.contents.len() / 2);
        loop {
            let count: usize = self.spans.iter().map(|(_, count)| count / 2).sum();
            if count < FEW_PAIRS {
                return;
            }
            pairs.clear();
            for (start, count) in &mut self.spans {
                let held = &mut self.contents[*start..*start + *count];
                for i in 0..*count / 2 {
                    let (left, right) = (held[2 * i], held[2 * i + 1]);
                    // A sum takes the place of a sum that went into it; only terms, which others need too, stay.
                    let sum = if left.index() >= terms { left.index() } else { self.arena.len() };
                    if sum == self.arena.len() {
                        self.arena.push(Affine::INFINITY);
                    }
                    pairs.push(Pair { left, right, sum });
                    held[i] = Handle::new(sum, false);
                }
                if *count % 2 == 1 {
                    held[*count / 2] = held[*count - 1];
                }
                *count = count.div_ceil(2);
            }
            path.add_pairs(&mut self.arena, &pairs);
        }
    }

    /// Every bucket times its digit and its window's weight, added up.
    fn weighted_sum(&self) -> Jacobian {
        let each = 1 << (self.width - 1);
        self.spans.chunks_exact(each).rev().fold(Jacobian::INFINITY, |sum, window| {
            let mut sum = (0..self.width).fold(sum, |sum, _| sum.double());
            // The running sum from the highest digit down is added once a digit: bucket d comes in d times.
            let (mut running, mut weighted) = (Jacobian::INFINITY, Jacobian::INFINITY);
            for &(start, count) in window.iter().rev() {
                for handle in &self.contents[start..start + count] {
                    running = running.add_affine(&self.arena[handle.index()].signed(handle.negative()));
                }
                weighted = weighted.add(&running);
            }
            sum = sum.add(&weighted);
            sum
        })
    }
}

/// The number as digits from -2^(width-1) + 1 to 2^(width-1), the lowest first.
fn signed_digits(number: u128, width: u32) -> impl Iterator<Item = i32> {
    let (mut rest, mut carry) = (number, 0);
    (0..windows(width)).map(move |_| {
        let digit = (rest & ((1 << width) - 1)) as i32 + carry;
        rest >>= width;
        carry = i32::from(digit > 1 << (width - 1));
        digit - (carry << width)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_make_the_number() {
        for number in [0, 1, u128::MAX, u128::MAX / 3, 1 << 127, 0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF] {
            for width in 2..=14 {
                let digits: Vec<i32> = signed_digits(number, width).collect();
                assert!(digits.iter().all(|digit| -(1 << (width - 1)) < *digit && *digit <= 1 << (width - 1)));
                // Modulo 2^128; the last digit says that nothing is lost above.
                let sum = digits.iter().rev().fold(0u128, |sum, digit| (sum << width).wrapping_add(*digit as u128));
                assert_eq!(sum, number);
                assert!(*digits.last().expect("there are digits") >= 0);
            }
        }
    }

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
