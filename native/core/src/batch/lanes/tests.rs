//! Eight lanes against the portable code, on numbers at the edges of words, limbs and p.

use super::super::addition::{self, Pair};
use super::super::msm::Handle;
use super::*;

const MAX: u64 = u64::MAX;
const EDGES: [u64; 8] = [0, 1, (1 << 52) - 1, 1 << 52, MAX - ((1 << 32) + 977), MAX - ((1 << 32) + 976), MAX - 1, MAX];

/// Elements below 2^256, also from p on.
fn samples() -> Vec<Fe> {
    let mut samples = Vec::new();
    for low in EDGES {
        for high in [0, 1, (1 << 48) - 1, 1 << 63, MAX] {
            samples.push(Fe([low, high, high, high]));
            samples.push(Fe([low, low, MAX, high]));
        }
    }
    let mut x = Fe([0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210, 0x1111_2222_3333_4444, 0x8765_4321]);
    for _ in 0..160 {
        samples.push(x);
        x = x.square().add(&Fe::ONE);
    }
    samples
}

/// Powers of every number, whether it is a square or not.
#[test]
fn roots_are_the_portable_ones() {
    if let Some(lanes) = Lanes::detect() {
        for squares in samples().as_chunks().0 {
            let square = |x: &Fe, times| (0..times).fold(*x, |x, _| x.square());
            let expected = squares.map(|x| root_chain(x, Fe::mul, square).normal());
            assert_eq!(lanes.roots(squares).map(|root| root.normal()), expected);
        }
    }
}

/// Pairs of everything with everything, in groups that are not full too. The formulas ask for no curve, only that no point
/// is its own opposite.
#[test]
fn sums_are_the_portable_ones() {
    if let Some(lanes) = Lanes::detect() {
        let samples = samples();
        let points = samples.iter().zip(samples.iter().rev()).filter(|(_, y)| !y.is_zero());
        let mut arena: Vec<Affine> = points.map(|(x, y)| Affine { x: *x, y: *y }).collect();
        arena.push(Affine::INFINITY);
        let points = arena.len();
        let handles = || (0..points).step_by(5).flat_map(|i| [Handle::new(i, false), Handle::new(i, true)]);
        let all: Vec<(Handle, Handle)> = handles().flat_map(|left| handles().map(move |right| (left, right))).collect();
        // Sums in new places, and in that of the left point.
        for pairs in all.chunks(601) {
            let pair = |(i, &(left, right)): (usize, &_)| Pair { left, right, sum: points + i };
            agrees(lanes, &arena, &pairs.iter().enumerate().map(pair).collect::<Vec<_>>());
        }
        let in_place =
            |i: usize| Pair { left: Handle::new(i, false), right: Handle::new(points - 1 - i, true), sum: i };
        agrees(lanes, &arena, &(0..points / 2).map(in_place).collect::<Vec<_>>());
    }
}

#[track_caller]
fn agrees(lanes: Lanes, arena: &[Affine], pairs: &[Pair]) {
    let mut arena = arena.to_vec();
    arena.resize(arena.len() + pairs.len(), Affine::INFINITY);
    let mut portable = arena.clone();
    addition::add_pairs(&mut portable, pairs);
    lanes.add_pairs(&mut arena, pairs);
    let words = |points: &[Affine]| points.iter().map(|point| (point.x.normal(), point.y.normal())).collect::<Vec<_>>();
    assert!(words(&arena) == words(&portable), "of {} pairs", pairs.len());
}
