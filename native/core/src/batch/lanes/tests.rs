//! Eight lanes against the portable code, on numbers at the edges of words, limbs and p.

use super::super::addition::{self, Pair};
use super::super::buckets::Handle;
use super::super::msm::Term;
use super::super::path::Path;
use super::super::scalar::Scalar;
use super::super::tests::signed;
use super::super::{Batch, verify_one};
use super::point::OFFSET;
use super::*;
use sha2::{Digest, Sha256};

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
    assert!(arena.iter().map(words).eq(portable.iter().map(words)), "of {} pairs", pairs.len());
}

fn words(point: &Affine) -> ([u64; 4], [u64; 4]) {
    (point.x.normal(), point.y.normal())
}

/// Terms whose buckets are full, or mostly empty, in windows that fill the lanes and that do not.
#[test]
fn weighed_buckets_are_the_portable_ones() {
    if let Some(lanes) = Lanes::detect() {
        let mut point = Jacobian::INFINITY.add_affine(&Affine::G);
        let terms: Vec<Term> = (0..200u128)
            .map(|i| {
                point = point.double().add_affine(&Affine::G);
                Term { point: point.to_affine(), factor: (u128::MAX / 7).wrapping_mul(i * i + 1) >> (i % 120) }
            })
            .collect();
        for width in 2..=9 {
            for count in [0, 1, 3, 200] {
                let buckets = Buckets::sorted(&terms[..count], width);
                let sums = lanes.window_sums(&buckets).expect("no two points meet");
                let affine = |sums: &[Jacobian]| sums.iter().map(|sum| words(&sum.to_affine())).collect::<Vec<_>>();
                assert!(affine(&sums) == affine(&buckets.window_sums()), "{count} terms, windows of {width} bits");
            }
        }
    }
}

/// A term that is the offset itself meets it: the portable code does the work.
#[test]
fn points_that_meet_are_left_to_the_portable_code() {
    if let Some(lanes) = Lanes::detect() {
        for negative in [false, true] {
            let buckets = Buckets::sorted(&[Term { point: OFFSET.signed(negative), factor: 2 }], 2);
            assert!(lanes.window_sums(&buckets).is_none());
            let sums = Path::Lanes(lanes).window_sums(&buckets);
            let twice = Jacobian::INFINITY.add_affine(&OFFSET.signed(negative)).double();
            assert_eq!(words(&sums[0].to_affine()), words(&twice.to_affine()));
        }
    }
}

/// Every verdict comes from the lanes, in groups that are full or not, whatever is wrong with a member.
#[test]
fn singles_get_the_verdicts_of_libsecp256k1() {
    if let Some(lanes) = Lanes::detect() {
        let mut items = signed(43, 5);
        for (i, item) in items.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
            match i % 4 {
                0 => item.signature[63] ^= 1,
                1 => item.message[7] ^= 1,
                2 => item.signature[32..].fill(0),
                _ => item.pubkey = Affine::G.x.to_bytes(),
            }
        }
        for count in [1, 7, 8, 43] {
            let batch = Batch::read(Path::Lanes(lanes), &items[..count]);
            let signatures: Vec<&Signature> = batch.signatures.iter().flatten().collect();
            let expected: Vec<Option<bool>> = items[..count].iter().map(|item| Some(verify_one(item))).collect();
            assert_eq!(lanes.singles(&batch.keys, &signatures), expected);
        }
    }
}

/// A key that meets the sum on its way gets no verdict from the lanes.
#[test]
fn a_single_that_meets_the_sum_is_left_to_libsecp256k1() {
    if let Some(lanes) = Lanes::detect() {
        let far = (0..130).fold(Jacobian::INFINITY.add_affine(&OFFSET), |point, _| point.double()).to_affine();
        let one = Scalar::from(1);
        for e in [one, one.negate()] {
            let signature = Signature { r: Affine::G, s: Scalar::ZERO, e, key: 0 };
            assert_eq!(lanes.singles(&[far], &[&signature]), [None]);
            assert_eq!(lanes.singles(&[OFFSET], &[&signature]), [Some(false)]);
        }
    }
}

#[test]
fn the_offset_is_what_it_says() {
    let x = Sha256::digest(b"pylon/batch/offset/1").into();
    let [point] = <[Option<Affine>; 1]>::try_from(Path::Portable.lift_all(&[x])).expect("one");
    assert_eq!(words(&point.expect("on the curve")), words(&OFFSET));
}
