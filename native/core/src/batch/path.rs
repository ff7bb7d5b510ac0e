//! The code for this machine: in lanes of eight where it has AVX-512 IFMA, else the portable code.

use super::Signature;
use super::addition::{self, Pair};
use super::buckets::Buckets;
#[cfg(target_arch = "x86_64")]
use super::lanes::Lanes;
use super::lift;
use super::point::{Affine, Jacobian};

/// Which code runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Lanes(Lanes),
}

impl Path {
    /// The fastest one of this machine.
    pub(super) fn best() -> Path {
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = Lanes::detect() {
            return Path::Lanes(lanes);
        }
        Path::Portable
    }

    /// From how many signatures on one sum costs less than a check of each.
    pub(super) fn worth_while(self) -> usize {
        match self {
            Path::Portable => 5,
            #[cfg(target_arch = "x86_64")]
            Path::Lanes(_) => 3,
        }
    }

    /// All that this machine can run.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Path> {
        match Path::best() {
            Path::Portable => vec![Path::Portable],
            #[cfg(target_arch = "x86_64")]
            lanes @ Path::Lanes(_) => vec![Path::Portable, lanes],
        }
    }

    /// See `lift::lift_all`.
    pub(super) fn lift_all(self, coordinates: &[[u8; 32]]) -> Vec<Option<Affine>> {
        match self {
            Path::Portable => lift::lift_all(coordinates, lift::roots),
            #[cfg(target_arch = "x86_64")]
            Path::Lanes(lanes) => lift::lift_all(coordinates, |squares| lanes.roots(squares)),
        }
    }

    /// See `addition::add_pairs`.
    pub(super) fn add_pairs(self, arena: &mut [Affine], pairs: &[Pair]) {
        match self {
            Path::Portable => addition::add_pairs(arena, pairs),
            #[cfg(target_arch = "x86_64")]
            Path::Lanes(lanes) => lanes.add_pairs(arena, pairs),
        }
    }

    /// See `Buckets::window_sums`.
    pub(super) fn window_sums(self, buckets: &Buckets) -> Vec<Jacobian> {
        match self {
            Path::Portable => buckets.window_sums(),
            #[cfg(target_arch = "x86_64")]
            Path::Lanes(lanes) => lanes.window_sums(buckets).unwrap_or_else(|| buckets.window_sums()),
        }
    }

    /// Whether each signature holds by itself, by the keys that are numbered in it; None where libsecp256k1 has to say.
    pub(super) fn singles(self, keys: &[Affine], signatures: &[&Signature]) -> Vec<Option<bool>> {
        match self {
            Path::Portable => {
                let _ = keys; // libsecp256k1 makes its own tables of them
                vec![None; signatures.len()]
            }
            #[cfg(target_arch = "x86_64")]
            Path::Lanes(lanes) => lanes.singles(keys, signatures),
        }
    }
}
