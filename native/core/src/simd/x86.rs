//! Blocks in the vector registers of x86: one of AVX-512 (with VBMI2), two of AVX2, four of SSE2, which every x86-64 has.

mod avx2;
mod avx512;
mod sse2;

use super::{Isa, Marks, Task};
use std::arch::x86_64::{__m128i, __m256i, __m512i};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// A set of instructions, whose functions stand in the module.
macro_rules! isa {
    ($name:ident, $block:ty, $functions:ident) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name(());

        impl Isa for $name {
            type Block = $block;

            #[inline(always)]
            fn load(self, text: &[u8], at: usize) -> $block {
                // SAFETY: only a machine that has the instructions makes a value of this type.
                unsafe { $functions::load(text.get(at..).unwrap_or_default()) }
            }

            #[inline(always)]
            fn store(self, block: $block, to: &mut [MaybeUninit<u8>; 64]) {
                // SAFETY: as in `load`.
                unsafe { $functions::store(block, to) }
            }

            #[inline(always)]
            fn marks(self, block: $block) -> Marks {
                // SAFETY: as in `load`.
                unsafe { $functions::marks(block) }
            }

            #[inline(always)]
            fn letters(self, block: $block) -> u64 {
                // SAFETY: as in `load`.
                unsafe { $functions::letters(block) }
            }

            #[inline(always)]
            fn unhex(self, digits: &[u8; 64]) -> Option<[u8; 32]> {
                // SAFETY: as in `load`.
                unsafe { $functions::unhex(digits) }
            }

            #[inline(always)]
            fn escape(self, block: $block, hits: u64, control: u64, to: &mut [MaybeUninit<u8>; 128]) -> Option<usize> {
                // SAFETY: as in `load`.
                unsafe { $functions::escape(block, hits, control, to) }
            }
        }
    };
}

isa!(Sse2, [__m128i; 4], sse2);
isa!(Avx2, [__m256i; 2], avx2);
isa!(Avx512, __m512i, avx512);

/// The widest of them that this machine has.
#[derive(Clone, Copy)]
pub(super) enum Best {
    Sse2(Sse2),
    Avx2(Avx2),
    Avx512(Avx512),
}

impl Best {
    /// Asked for once: each question to the processor's list takes a nanosecond.
    #[inline]
    pub(super) fn this() -> Self {
        static BEST: OnceLock<Best> = OnceLock::new();
        *BEST.get_or_init(|| {
            if has_avx512() {
                Self::Avx512(Avx512(()))
            } else if has_avx2() {
                Self::Avx2(Avx2(()))
            } else {
                Self::Sse2(Sse2(()))
            }
        })
    }

    #[inline]
    pub(super) fn run<T: Task>(self, task: T) -> T::Output {
        match self {
            Self::Sse2(isa) => task.run(isa),
            // SAFETY: only a machine that has the instructions makes a value of this type.
            Self::Avx2(isa) => unsafe { on_avx2(isa, task) },
            // SAFETY: only a machine that has the instructions makes a value of this type.
            Self::Avx512(isa) => unsafe { on_avx512(isa, task) },
        }
    }
}

/// With VBMI2, which the first machines with AVX-512 lack; those also slow down when they use it.
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2") && has_avx2()
}

fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
}

#[target_feature(enable = "avx512bw,avx512vbmi2,bmi1,bmi2,popcnt")]
fn on_avx512<T: Task>(isa: Avx512, task: T) -> T::Output {
    task.run(isa)
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn on_avx2<T: Task>(isa: Avx2, task: T) -> T::Output {
    task.run(isa)
}

/// The task done by every set of instructions that the machine has.
#[cfg(test)]
pub(super) fn on_each<T: Task + Clone>(task: &T) -> Vec<T::Output> {
    let mut all = vec![Best::Sse2(Sse2(()))];
    if has_avx2() {
        all.push(Best::Avx2(Avx2(())));
    }
    if has_avx512() {
        all.push(Best::Avx512(Avx512(())));
    }
    all.into_iter().map(|isa| isa.run(task.clone())).collect()
}

/// What is left of a text, fewer than 64 bytes, with zeros behind it.
#[inline(always)]
fn filled(rest: &[u8]) -> [u8; 64] {
    let mut copy = [0; 64];
    copy[..rest.len()].copy_from_slice(rest);
    copy
}
