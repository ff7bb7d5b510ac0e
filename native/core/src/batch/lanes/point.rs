//! Sums of points, eight side by side.
//!
//! The formulas have no case for the point at infinity, nor for two points that are equal or opposite. So a sum begins with
//! a point that has nothing to do with the others, `OFFSET`; and where two points meet all the same, there is none.

use super::super::field::Fe;
use super::super::point::{Affine, Finite, Jacobian};
use super::field::{Fe8, words};

/// A point nobody knows a factor of: x is the SHA-256 of "pylon/batch/offset/1", y is even.
pub(super) const OFFSET: Affine = Affine {
    x: Fe([0x99E4_DD6A_1D8E_B904, 0x4862_BB29_70AE_A87F, 0xD382_874C_4D1D_7CAF, 0x8094_9540_7ACC_9143]),
    y: Fe([0x4DD0_AF51_4C30_CEDC, 0xF69C_6156_F875_43B3, 0xF71C_8DCD_74B7_B017, 0x6CCD_8234_1E97_B826]),
};

/// Eight points as (x / z^2, y / z^3).
#[derive(Clone, Copy)]
pub(super) struct Jacobian8 {
    pub(super) x: Fe8,
    pub(super) y: Fe8,
    pub(super) z: Fe8,
}

impl Jacobian8 {
    /// One point in all lanes; None for the point at infinity.
    #[target_feature(enable = "avx512f")]
    pub(super) fn splat(point: &Jacobian) -> Option<Jacobian8> {
        let Finite { x, y, z } = point.0.as_ref()?;
        Some(Jacobian8 { x: Fe8::splat(x), y: Fe8::splat(y), z: Fe8::splat(z) })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn to_points(self) -> [Jacobian; 8] {
        let [x, y, z] = [self.x, self.y, self.z].map(|coordinate| coordinate.to_words().map(|column| words(column)));
        let element = |words: &[[u64; 8]; 4], lane: usize| Fe(words.map(|column| column[lane]));
        std::array::from_fn(|lane| {
            Jacobian(Some(Finite { x: element(&x, lane), y: element(&y, lane), z: element(&z, lane) }))
        })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn double(&self) -> Jacobian8 {
        let xx = self.x.square();
        let slope = xx.plus([&xx, &xx]);
        let yy = self.y.square();
        let yy = yy.plus([&yy]);
        let middle = self.x.mul(&yy); // 2 x y^2
        let x = slope.square().less([&middle, &middle, &middle, &middle]);
        let square = yy.square();
        let y = slope.mul(&middle.plus([&middle]).sub(&x)).less([&square, &square]);
        Jacobian8 { x, y, z: self.z.mul(&self.y.plus([&self.y])) }
    }

    /// The sums with the points (x, y), but in the lanes of `absent`; None where two points are equal or opposite.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add_affine(&self, x: &Fe8, y: &Fe8, absent: u8) -> Option<Jacobian8> {
        let zz = self.z.square();
        let (x, y) = (x.mul(&zz), y.mul(&zz).mul(&self.z));
        let sum = sum(&self.x, &self.y, &x, &y, &self.z, absent)?;
        Some(if absent == 0 { sum } else { sum.replaced(absent, self) })
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add(&self, other: &Jacobian8) -> Option<Jacobian8> {
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
