//! Points of secp256k1, y^2 = x^3 + 7, in variable time: for public data only.

use super::field::Fe;

/// A point by its coordinates. The point at infinity is (0, 0), which is not on the curve.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Affine {
    pub(super) x: Fe,
    pub(super) y: Fe,
}

/// A point as (x / z^2, y / z^3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Finite {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
}

/// A sum of points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jacobian(pub(super) Option<Finite>);

/// A cube root of 1: (beta x, y) is lambda times (x, y).
pub(super) const BETA: Fe =
    Fe([0xC139_6C28_7195_01EE, 0x9CF0_4975_12F5_8995, 0x6E64_479E_AC34_34E9, 0x7AE9_6A2B_657C_0710]);

impl Affine {
    pub(super) const INFINITY: Affine = Affine { x: Fe::ZERO, y: Fe::ZERO };
    /// The generator.
    pub(super) const G: Affine = Affine {
        x: Fe([0x59F2_815B_16F8_1798, 0x029B_FCDB_2DCE_28D9, 0x55A0_6295_CE87_0B07, 0x79BE_667E_F9DC_BBAC]),
        y: Fe([0x9C47_D08F_FB10_D4B8, 0xFD17_B448_A685_5419, 0x5DA4_FBFC_0E11_08A8, 0x483A_DA77_26A3_C465]),
    };

    #[inline(always)]
    pub(super) fn is_infinity(&self) -> bool {
        self.y.0 == [0; 4]
    }

    /// The point or, when `negative`, its opposite.
    #[inline(always)]
    pub(super) fn signed(&self, negative: bool) -> Affine {
        if negative && !self.is_infinity() { Affine { x: self.x, y: self.y.negate() } } else { *self }
    }

    /// lambda times the point, for `Scalar::split`.
    pub(super) fn endomorphism(&self) -> Affine {
        Affine { x: self.x.mul(&BETA), y: self.y }
    }
}

impl Jacobian {
    pub(super) const INFINITY: Jacobian = Jacobian(None);

    pub(super) fn is_infinity(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(super) fn double(&self) -> Jacobian {
        Jacobian(self.0.map(|point| point.double()))
    }

    /// The sum with a point given by its coordinates.
    #[inline]
    pub(super) fn add_affine(&self, other: &Affine) -> Jacobian {
        if other.is_infinity() {
            return *self;
        }
        let Some(point) = &self.0 else {
            return Jacobian(Some(Finite { x: other.x, y: other.y, z: Fe::ONE }));
        };
        let zz = point.z.square();
        let (x, y) = (other.x.mul(&zz), other.y.mul(&zz).mul(&point.z));
        point.add(&point.x, &point.y, &x, &y, &point.z)
    }

    #[inline]
    pub(super) fn add(&self, other: &Jacobian) -> Jacobian {
        let (Some(a), Some(b)) = (&self.0, &other.0) else {
            return if self.0.is_some() { *self } else { *other };
        };
        let (aa, bb) = (a.z.square(), b.z.square());
        let (ax, ay) = (a.x.mul(&bb), a.y.mul(&bb).mul(&b.z));
        let (bx, by) = (b.x.mul(&aa), b.y.mul(&aa).mul(&a.z));
        a.add(&ax, &ay, &bx, &by, &a.z.mul(&b.z))
    }
}

#[cfg(any(test, target_arch = "x86_64"))]
impl Jacobian {
    pub(super) fn to_affine(self) -> Affine {
        self.0.map_or(Affine::INFINITY, |point| {
            let inverse = point.z.invert();
            let square = inverse.square();
            Affine { x: point.x.mul(&square), y: point.y.mul(&square).mul(&inverse) }
        })
    }
}

impl Finite {
    /// Twice the point; none has an opposite that is itself, because n is odd.
    #[inline(always)]
    fn double(&self) -> Finite {
        let yy = self.y.square();
        let slope = self.x.square();
        let slope = slope.double().add(&slope).half(); // 3x^2 / 2
        let middle = yy.mul(&self.x).negate(); // -x y^2
        let x = slope.square().add(&middle.double());
        let y = middle.add(&x).mul(&slope).add(&yy.square()).negate();
        Finite { x, y, z: self.z.mul(&self.y) }
    }

    /// The sum of `self` = (ax, ay) and (bx, by), all brought to one denominator `z`.
    #[inline(always)]
    fn add(&self, ax: &Fe, ay: &Fe, bx: &Fe, by: &Fe, z: &Fe) -> Jacobian {
        let (dx, dy) = (bx.sub(ax), ay.sub(by));
        if dx.is_zero() {
            return Jacobian(dy.is_zero().then(|| self.double()));
        }
        let minus_dx2 = dx.square().negate();
        let minus_dx3 = minus_dx2.mul(&dx);
        let middle = ax.mul(&minus_dx2);
        let x = dy.square().add(&minus_dx3).add(&middle.double());
        let y = middle.add(&x).mul(&dy).add(&minus_dx3.mul(ay));
        Jacobian(Some(Finite { x, y, z: z.mul(&dx) }))
    }
}
