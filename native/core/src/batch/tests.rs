//! Batches against single signatures.

use super::*;
use crate::keys::Signer;

const SEED: [u8; 32] = [7; 32];

/// `count` right signatures in turn by so many keys.
pub(super) fn signed(count: usize, keys: usize) -> Vec<Item> {
    let signers: Vec<Signer> = (1..=keys).map(|i| Signer::new(&secret(i)).expect("a secret key")).collect();
    (0..count)
        .map(|i| {
            let signer = &signers[i % keys];
            let message: [u8; 32] = Sha256::digest(i.to_le_bytes()).into();
            Item { pubkey: signer.pubkey(), signature: signer.sign(&message, &[0; 32]), message }
        })
        .collect()
}

/// Whether a batch holds as one, without singles: on every path the same.
#[track_caller]
pub(super) fn holds(items: &[Item], seed: u8) -> bool {
    let holds = |path| Batch::read(path, items).holds(path, &[seed; 32]);
    let verdicts: Vec<bool> = Path::all().into_iter().map(holds).collect();
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
    verdicts[0]
}

fn secret(i: usize) -> [u8; 32] {
    Sha256::digest(i.to_be_bytes()).into()
}

#[track_caller]
fn agrees(items: &[Item]) {
    let singles: Vec<bool> = items.iter().map(verify_one).collect();
    assert_eq!(verify(items), singles);
    for path in Path::all() {
        assert_eq!(verify_on(path, items, &SEED), singles, "{path:?}");
    }
}

#[test]
fn right_signatures_hold_without_singles() {
    for (count, keys) in [(1, 1), (6, 1), (40, 40), (40, 3), (300, 1), (300, 300)] {
        let items = signed(count, keys);
        assert!(holds(&items, 7), "{count} signatures of {keys} keys");
        agrees(&items);
    }
    agrees(&[]);
    assert_eq!(verify(&signed(2 * MANY + 1, 5)), [true; 2 * MANY + 1]);
}

#[test]
fn one_wrong_signature_anywhere_is_named() {
    for at in [0, 1, 17, 31] {
        let mut items = signed(32, 8);
        items[at].signature[63] ^= 1;
        assert!(!holds(&items, 7));
        let expected: Vec<bool> = (0..32).map(|i| i != at).collect();
        assert_eq!(verify(&items), expected);
    }
}

#[test]
fn errors_that_cancel_out_are_found() {
    // s + 1 and s - 1: without randomizers the sum would be right.
    let mut items = signed(24, 1);
    items[3].signature[63] = items[3].signature[63].wrapping_add(1);
    items[4].signature[63] = items[4].signature[63].wrapping_sub(1);
    assert!(items[3].signature[63] != 0 && items[4].signature[63] != 0xFF, "no carry, or other messages are due");
    assert!(!holds(&items, 7));
    agrees(&items);
    // Exchanged nonces: the sum of all the R is right.
    let mut items = signed(24, 2);
    let (first, second) = items.split_at_mut(1);
    first[0].signature[..32].swap_with_slice(&mut second[0].signature[..32]);
    agrees(&items);
}

#[test]
fn one_signature_many_times() {
    let mut items = vec![signed(1, 1)[0]; 64];
    assert!(holds(&items, 7));
    items[63].message[0] ^= 1;
    agrees(&items);
    items[0].signature = [0; 64];
    agrees(&items);
}

#[test]
fn numbers_outside_the_field_the_curve_and_the_group() {
    let p = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xfc\x2f";
    let n = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41";
    let mut not_on_the_curve = [0; 32];
    not_on_the_curve[31] = 5;
    for x in [p, n, not_on_the_curve, [0xFF; 32], [0; 32]] {
        let mut items = signed(16, 4);
        items[2].pubkey = x;
        items[5].signature[..32].copy_from_slice(&x);
        items[9].signature[32..].copy_from_slice(&x);
        agrees(&items);
        assert_eq!(verify(&items).iter().filter(|right| **right).count(), 13);
    }
}

#[test]
fn an_odd_r_is_no_signature() {
    // s G - e P = -R has the x coordinate of R: the sign of R must count.
    let mut items = signed(16, 1);
    let (key, s) = (items[3].pubkey, split(&items[3].signature).1);
    for at in [3, 4] {
        items[at].pubkey = key;
        let negative = Scalar::from_bytes(&s).expect("s is below n").negate();
        items[at].signature[32..].copy_from_slice(&negative.to_bytes());
    }
    agrees(&items);
}
