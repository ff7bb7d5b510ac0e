//! Signatures whose keys and nonces are equal, opposite, doubled, or images of each other under the endomorphism: the sums
//! meet every case that formulas for points treat apart, in whatever order.

use super::tests::holds;
use super::*;
use crate::keys::public_key;

/// A cube root of 1 modulo n.
const LAMBDA: [u8; 32] = [
    0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12, 0x2e, 0x22,
    0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
];

/// 1, 2, 3 and 4, times 1, lambda and lambda^2: each secret that has an even y, or its negative, and the x coordinate.
fn secrets() -> Vec<(Scalar, [u8; 32])> {
    let lambda = Scalar::from_bytes(&LAMBDA).expect("below n");
    let powers = [Scalar::from(1), lambda, lambda.mul(lambda)];
    let all = powers.into_iter().flat_map(|power| (1..=4u128).map(move |small| power.mul(Scalar::from(small))));
    all.map(|secret| {
        let public = public_key(&secret.to_bytes()).expect("not zero");
        let x = std::array::from_fn(|i| public[1 + i]);
        (if public[0] == 3 { secret.negate() } else { secret }, x)
    })
    .collect()
}

/// Every key with every nonce.
fn related() -> Vec<Item> {
    let secrets = secrets();
    let tag = Sha256::digest(b"BIP0340/challenge");
    let pairs = secrets.iter().flat_map(|key| secrets.iter().map(move |nonce| (key, nonce)));
    pairs
        .enumerate()
        .map(|(i, ((d, pubkey), (k, r)))| {
            let message = [i as u8; 32];
            let parts: [&[u8]; 5] = [&tag, &tag, r, pubkey, &message];
            let e = Scalar::reduced(&Sha256::digest(parts.concat()).into());
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(r);
            signature[32..].copy_from_slice(&k.add(e.mul(*d)).to_bytes());
            Item { pubkey: *pubkey, signature, message }
        })
        .collect()
}

/// They hold without a look at single signatures, in batches of any size, and with one of them wrong they do not.
#[test]
fn related_points_are_summed_up() {
    let mut items = related();
    assert!(items.iter().all(verify_one));
    for seed in 0..8 {
        for count in [6, 7, 12, 13, 40, 144] {
            assert!(holds(&items[..count], seed), "{count} signatures, seed {seed}");
            assert!(holds(&items[144 - count..], seed), "the last {count}, seed {seed}");
        }
    }
    items[77].signature[40] ^= 1;
    assert!(!holds(&items, 1));
    assert_eq!(verify(&items).iter().filter(|right| !**right).count(), 1);
}

/// So do many copies of each.
#[test]
fn copies_of_related_points_are_summed_up() {
    let items: Vec<Item> = related().into_iter().step_by(13).flat_map(|item| [item; 20]).collect();
    for seed in 0..4 {
        assert!(holds(&items, seed));
    }
}
