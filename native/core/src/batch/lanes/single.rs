//! Signatures checked each for itself, eight side by side: whether s G - e P is R.
//!
//! Of each factor the halves of `Scalar::split` are cut into windows of signed digits; from the highest window down, the sum
//! is doubled once a bit and the multiples that the digits name are added. It begins with `OFFSET`, so that in the end it is
//! compared with R plus what doubling has made of that.

use super::super::Signature;
use super::super::addition::Pair;
use super::super::buckets::{Handle, signed_digits};
use super::super::field::Fe;
use super::super::msm::windows;
use super::super::point::{Affine, BETA, Jacobian};
use super::super::scalar::{Half, Scalar};
use super::Lanes;
use super::addition::coordinates;
use super::field::{Fe8, words};
use super::point::{Jacobian8, OFFSET};

/// Bits of a window.
const WIDTH: u32 = 5;
const WINDOWS: usize = windows(WIDTH);
/// The highest digit.
const DIGITS: usize = 1 << (WIDTH - 1);

/// The multiples of G, then of each key, from 1 to `DIGITS`.
pub(super) fn tables(lanes: Lanes, keys: &[Affine]) -> Vec<Affine> {
    let mut tables = vec![Affine::INFINITY; DIGITS * (1 + keys.len())];
    for (table, point) in tables.chunks_exact_mut(DIGITS).zip([Affine::G].iter().chain(keys)) {
        table[0] = *point;
    }
    let mut known = 1;
    while known < DIGITS {
        let starts = (0..tables.len()).step_by(DIGITS);
        // Multiple m + known from m and known; the m-th stands at m - 1.
        let pair = |start: usize, m: usize| Pair {
            left: Handle::new(start + m - 1, false),
            right: Handle::new(start + known - 1, false),
            sum: start + m + known - 1,
        };
        let pairs: Vec<Pair> = starts.flat_map(|start| (1..=known).map(move |m| pair(start, m))).collect();
        lanes.add_pairs(&mut tables, &pairs);
        known *= 2;
    }
    tables
}

/// What each sum has to be: R and the offset after all doublings.
pub(super) fn targets(lanes: Lanes, signatures: &[&Signature]) -> Vec<Affine> {
    let offset = Jacobian::INFINITY.add_affine(&OFFSET);
    let offset = (0..WIDTH * WINDOWS as u32).fold(offset, |point, _| point.double()).to_affine();
    let mut targets: Vec<Affine> = signatures.iter().map(|signature| signature.r).collect();
    let last = targets.len();
    targets.push(offset);
    let pair = |i| Pair { left: Handle::new(i, false), right: Handle::new(last, false), sum: i };
    lanes.add_pairs(&mut targets, &(0..last).map(pair).collect::<Vec<_>>());
    targets.truncate(last);
    targets
}

/// One factor's digits and where the multiples of its point begin.
struct Part {
    digits: [i32; WINDOWS],
    table: usize,
}

impl Part {
    fn new(half: Half, table: usize) -> Part {
        let mut digits = [0; WINDOWS];
        for (digit, value) in digits.iter_mut().zip(signed_digits(half.value, WIDTH)) {
            *digit = if half.negative { -value } else { value };
        }
        Part { digits, table }
    }

    /// The point to add in a window; None for the digit 0.
    fn handle(&self, window: usize) -> Option<Handle> {
        let digit = self.digits[window];
        (digit != 0).then(|| Handle::new(self.table + digit.unsigned_abs() as usize - 1, digit < 0))
    }
}

/// The parts of G and of the key; of each the first comes as it is, the second times lambda.
fn parts(signature: &Signature) -> [[Part; 2]; 2] {
    let parts = |factor: Scalar, table| {
        let (k, l) = factor.split();
        [Part::new(k, table), Part::new(l, table)]
    };
    [parts(signature.s, 0), parts(signature.e.negate(), DIGITS * (1 + signature.key))]
}

/// One to eight verdicts, the rest means nothing; None where two points met.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn verify(tables: &[Affine], signatures: &[&Signature], targets: &[Affine]) -> Option<[bool; 8]> {
    let last = signatures.len() - 1;
    let parts: [_; 8] = std::array::from_fn(|lane| parts(signatures[lane.min(last)]));
    let beta = Fe8::splat(&BETA);
    let mut sum = Jacobian8::splat(&Jacobian::INFINITY.add_affine(&OFFSET))?;
    for window in (0..WINDOWS).rev() {
        for _ in 0..WIDTH {
            sum = sum.double();
        }
        for (point, half) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let handles: [Option<Handle>; 8] = std::array::from_fn(|lane| parts[lane][point][half].handle(window));
            let absent = (0..8).fold(0, |mask, lane| mask | u8::from(handles[lane].is_none()) << lane);
            let (x, y, _) = coordinates(tables, &handles.map(Option::unwrap_or_default));
            let x = if half == 0 { x } else { x.mul(&beta) };
            sum = sum.add_affine(&x, &y, absent)?;
        }
    }
    let (x, y, _) = coordinates(targets, &std::array::from_fn(|lane| Handle::new(lane.min(last), false)));
    let zz = sum.z.square();
    let (x, y) = (sum.x.sub(&x.mul(&zz)), sum.y.sub(&y.mul(&zz).mul(&sum.z)));
    let [x, y] = [x, y].map(|difference| difference.to_words().map(|column| words(column)));
    let zero = |words: &[[u64; 8]; 4], lane: usize| Fe(words.map(|column| column[lane])).is_zero();
    Some(std::array::from_fn(|lane| zero(&x, lane) && zero(&y, lane)))
}
