//! The field against identities and slow arithmetic, also on numbers from p up to 2^256.

use super::*;

const SOME: Fe = Fe([0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89]);

/// Numbers at the edges of the words and of p, and others.
fn samples() -> Vec<Fe> {
    let edges = [0, 1, 2, FOLD - 1, FOLD, FOLD + 1, u64::MAX - FOLD, u64::MAX - FOLD + 1, u64::MAX - 1, u64::MAX];
    let mut samples: Vec<Fe> = edges
        .iter()
        .flat_map(|&low| [0, 1, u64::MAX].map(|middle| (low, middle)))
        .flat_map(|(low, middle)| [0, 1 << 63, u64::MAX].map(|top| Fe([low, middle, middle, top])))
        .collect();
    let mut x = SOME;
    for _ in 0..100 {
        samples.push(x);
        x = x.square().add(&Fe::ONE);
    }
    samples
}

fn equal(a: &Fe, b: &Fe) -> bool {
    a.normal() == b.normal()
}

/// By doubling and adding numbers below p, each reduced by a comparison.
fn slow_product(a: &Fe, b: &Fe) -> [u64; 4] {
    let add = |a: [u64; 4], b: [u64; 4]| {
        let (sum, carry) = add_words(a, b);
        let (reduced, below) = subtract_words(sum, P);
        if carry || !below { reduced } else { sum }
    };
    let (a, b) = (a.normal(), b.normal());
    (0..256).rev().fold([0; 4], |sum, bit| {
        let sum = add(sum, sum);
        if b[bit / 64] >> (bit % 64) & 1 == 1 { add(sum, a) } else { sum }
    })
}

#[test]
fn products_are_repeated_sums() {
    let samples = samples();
    for a in &samples {
        assert_eq!(a.square().normal(), slow_product(a, a));
        for b in samples.iter().step_by(7) {
            assert_eq!(a.mul(b).normal(), slow_product(a, b));
        }
    }
}

#[test]
fn sums_differences_halves() {
    let samples = samples();
    for a in &samples {
        assert!(a.add(&a.negate()).is_zero() && a.sub(a).is_zero());
        assert!(equal(&a.half().double(), a));
        assert_eq!(a.is_odd(), a.normal()[0] & 1 == 1);
        for b in &samples {
            assert!(equal(&a.add(b).sub(b), a));
            assert!(equal(&a.sub(b), &b.sub(a).negate()));
            assert!(equal(&a.add(b).mul(&SOME), &a.mul(&SOME).add(&b.mul(&SOME))));
        }
    }
}

#[test]
fn p_and_above_is_no_element() {
    let mut p = [0xFF; 32];
    p[24..].copy_from_slice(&P[0].to_be_bytes());
    assert!(Fe::from_bytes(&p).is_none());
    assert!(Fe::from_bytes(&[0xFF; 32]).is_none());
    let last = Fe::from_bytes(&Fe::ONE.negate().to_bytes()).expect("p - 1");
    assert!(last.add(&Fe::ONE).is_zero());
    assert!(equal(&Fe::from_bytes(&SOME.to_bytes()).expect("below p"), &SOME));
    assert!(Fe(P).is_zero() && !Fe::ONE.is_zero());
}

#[test]
fn inverses() {
    for x in samples() {
        assert_eq!(x.mul(&x.invert()).normal(), if x.is_zero() { [0; 4] } else { [1, 0, 0, 0] });
    }
}
