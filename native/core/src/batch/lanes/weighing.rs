//! The weighted sums of windows, as `Buckets::window_sums` gives them, eight windows at a time.
//!
//! The formulas have no case for the point at infinity, nor for two points that are equal or opposite. So each sum begins
//! with a point that has nothing to do with the others, `OFFSET`, and what comes of that is taken off in the end. Should
//! two points meet all the same, the portable code does the work.

use super::super::buckets::{Buckets, Handle};
use super::super::field::Fe;
use super::super::point::{Affine, Finite, Jacobian};
use super::addition::coordinates;
use super::field::{Fe8, words};

/// A point nobody knows a factor of: x is the SHA-256 of "pylon/batch/offset/1", y is even.
pub(super) const OFFSET: Affine = Affine {
    x: Fe([0x99E4_DD6A_1D8E_B904, 0x4862_BB29_70AE_A87F, 0xD382_874C_4D1D_7CAF, 0x8094_9540_7ACC_9143]),
    y: Fe([0x4DD0_AF51_4C30_CEDC, 0xF69C_6156_F875_43B3, 0xF71C_8DCD_74B7_B017, 0x6CCD_8234_1E97_B826]),
};

/// Eight points as (x / z^2, y / z^3).
#[derive(Clone, Copy)]
struct Jacobian8 {
    x: Fe8,
    y: Fe8,
    z: Fe8,
}

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

impl Jacobian8 {
    /// One point in all lanes.
    #[target_feature(enable = "avx512f")]
    fn splat(point: &Jacobian) -> Option<Jacobian8> {
        let Finite { x, y, z } = point.0.as_ref()?;
        Some(Jacobian8 { x: Fe8::splat(x), y: Fe8::splat(y), z: Fe8::splat(z) })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn to_points(self) -> [Jacobian; 8] {
        let [x, y, z] = [self.x, self.y, self.z].map(|coordinate| coordinate.to_words().map(|column| words(column)));
        let element = |words: &[[u64; 8]; 4], lane: usize| Fe(words.map(|column| column[lane]));
        std::array::from_fn(|lane| {
            Jacobian(Some(Finite { x: element(&x, lane), y: element(&y, lane), z: element(&z, lane) }))
        })
    }

    /// The sums with the points (x, y), but in the lanes of `absent`; None where two points are equal or opposite.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_affine(&self, x: &Fe8, y: &Fe8, absent: u8) -> Option<Jacobian8> {
        let zz = self.z.square();
        let (x, y) = (x.mul(&zz), y.mul(&zz).mul(&self.z));
        let sum = sum(&self.x, &self.y, &x, &y, &self.z, absent)?;
        Some(if absent == 0 { sum } else { sum.replaced(absent, self) })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&self, other: &Jacobian8) -> Option<Jacobian8> {
        let (aa, bb) = (self.z.square(), other.z.square());
        let (ax, ay) = (self.x.mul(&bb), self.y.mul(&bb).mul(&other.z));
        let (bx, by) = (other.x.mul(&aa), other.y.mul(&aa).mul(&self.z));
        sum(&ax, &ay, &bx, &by, &self.z.mul(&other.z), 0)
    }

    /// `other` in the lanes of the mask.
    #[target_feature(enable = "avx512f")]
    fn replaced(&self, mask: u8, other: &Jacobian8) -> Jacobian8 {
        Jacobian8 {
            x: self.x.replaced(mask, &other.x),
            y: self.y.replaced(mask, &other.y),
            z: self.z.replaced(mask, &other.z),
        }
    }
}

/// The sums of (ax, ay) and (bx, by), all brought to one denominator `z`; None where they are equal or opposite, but in the
/// lanes of `absent`.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn sum(ax: &Fe8, ay: &Fe8, bx: &Fe8, by: &Fe8, z: &Fe8, absent: u8) -> Option<Jacobian8> {
    let (dx, dy) = (bx.sub(ax), by.sub(ay));
    if dx.zeros() & !absent != 0 {
        return None;
    }
    let dx2 = dx.square();
    let dx3 = dx2.mul(&dx);
    let middle = ax.mul(&dx2);
    let x = dy.square().less([&dx3, &middle, &middle]);
    let y = dy.mul(&middle.sub(&x)).sub(&dx3.mul(ay));
    Some(Jacobian8 { x, y, z: z.mul(&dx) })
}
