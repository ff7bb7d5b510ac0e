//! The weighted sums of windows, as `Buckets::window_sums` gives them, eight windows at a time.
//!
//! Each sum begins with `OFFSET`, as the formulas need it, and what comes of that is taken off in the end. Should two points
//! meet all the same, the portable code does the work.

use super::super::buckets::{Buckets, Handle};
use super::super::point::Jacobian;
use super::addition::coordinates;
use super::point::{Jacobian8, OFFSET};

/// None where two points met.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn window_sums(buckets: &Buckets) -> Option<Vec<Jacobian>> {
    let offset = Jacobian::INFINITY.add_affine(&OFFSET);
    // The running sum begins with one offset and is added once a digit; the weighted sum begins with two, so that the two
    // differ while the buckets are empty.
    let twice = offset.double();
    let opposite = Jacobian::INFINITY.add_affine(&OFFSET.signed(true));
    let doublings = buckets.digits().trailing_zeros();
    let correction = (0..doublings).fold(opposite, |sum, _| sum.double()).add(&opposite.double());
    let mut sums = Vec::with_capacity(buckets.windows().next_multiple_of(8));
    for first in (0..buckets.windows()).step_by(8) {
        let weighted = weighted_sums(buckets, first, Jacobian8::splat(&offset)?, Jacobian8::splat(&twice)?)?;
        sums.extend(weighted.to_points().map(|sum| sum.add(&correction)));
    }
    sums.truncate(buckets.windows());
    Some(sums)
}

/// The sums of eight windows, and what they begin with.
#[target_feature(enable = "avx512f,avx512ifma")]
fn weighted_sums(
    buckets: &Buckets,
    first: usize,
    mut running: Jacobian8,
    mut weighted: Jacobian8,
) -> Option<Jacobian8> {
    for digit in (1..=buckets.digits()).rev() {
        let held: [&[Handle]; 8] = std::array::from_fn(|lane| {
            if first + lane < buckets.windows() { buckets.bucket(first + lane, digit) } else { &[] }
        });
        let most = held.iter().map(|held| held.len()).max().unwrap_or(0);
        for i in 0..most {
            let absent = (0..8).fold(0, |mask, lane| mask | u8::from(i >= held[lane].len()) << lane);
            let handles = held.map(|held| held.get(i).copied().unwrap_or_default());
            let (x, y, infinite) = coordinates(&buckets.arena, &handles);
            running = running.add_affine(&x, &y, absent | infinite)?;
        }
        weighted = weighted.add(&running)?;
    }
    Some(weighted)
}
