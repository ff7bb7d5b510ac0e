//! Points sorted by the digits of their factors, and summed up.

use super::addition::Pair;
use super::msm::{Term, windows};
use super::path::Path;
use super::point::{Affine, Jacobian};

/// Below so many pairs their common inversion costs more than sums without one.
const FEW_PAIRS: usize = 20;

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
pub(super) struct Buckets {
    width: u32,
    /// The points of the terms, then sums of them.
    pub(super) arena: Vec<Affine>,
    /// The contents of all the buckets, one after the other.
    contents: Vec<Handle>,
    /// Where each bucket begins in `contents`, and how many points it holds; `2^(width - 1)` buckets a window, for the
    /// digits from 1 on.
    spans: Vec<(usize, usize)>,
}

impl Buckets {
    /// A counting sort.
    pub(super) fn sorted(terms: &[Term], width: u32) -> Buckets {
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
    pub(super) fn add_up(&mut self, path: Path) {
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

    /// The sum of each window's buckets, every one times its digit: the lowest window first.
    pub(super) fn window_sums(&self) -> Vec<Jacobian> {
        let sum = |window| {
            // The running sum from the highest digit down is added once a digit: bucket d comes in d times.
            let (mut running, mut weighted) = (Jacobian::INFINITY, Jacobian::INFINITY);
            for digit in (1..=self.digits()).rev() {
                for handle in self.bucket(window, digit) {
                    running = running.add_affine(&self.arena[handle.index()].signed(handle.negative()));
                }
                weighted = weighted.add(&running);
            }
            weighted
        };
        (0..self.windows()).map(sum).collect()
    }

    /// How many windows there are.
    pub(super) fn windows(&self) -> usize {
        windows(self.width)
    }

    /// The highest digit.
    pub(super) fn digits(&self) -> usize {
        1 << (self.width - 1)
    }

    /// What is in a bucket.
    pub(super) fn bucket(&self, window: usize, digit: usize) -> &[Handle] {
        let (start, count) = self.spans[window * self.digits() + digit - 1];
        &self.contents[start..start + count]
    }
}

/// The number as digits from -2^(width-1) + 1 to 2^(width-1), the lowest first.
pub(super) fn signed_digits(number: u128, width: u32) -> impl Iterator<Item = i32> {
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
}
