//! Batches with forged members at random places: every verdict is that of the signature alone.

use super::tests::signed;
use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

static SIGNED: LazyLock<Vec<Item>> = LazyLock::new(|| signed(60, 7));

/// What is done to a member.
#[derive(Clone, Copy, Debug)]
enum Forgery {
    Key([u8; 32]),
    R([u8; 32]),
    S([u8; 32]),
    Message([u8; 32]),
    /// One bit of key, signature or message.
    Bit(usize),
    /// s becomes n - s.
    Opposite,
    /// R, s, key or message of another member.
    Foreign(usize, usize),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(Forgery::Key),
        any::<[u8; 32]>().prop_map(Forgery::R),
        any::<[u8; 32]>().prop_map(Forgery::S),
        any::<[u8; 32]>().prop_map(Forgery::Message),
        (0..1024usize).prop_map(Forgery::Bit),
        Just(Forgery::Opposite),
        (0..4usize, 0..60usize).prop_map(|(part, other)| Forgery::Foreign(part, other)),
    ]
}

fn forge(item: &mut Item, forgery: Forgery) {
    match forgery {
        Forgery::Key(key) => item.pubkey = key,
        Forgery::R(r) => item.signature[..32].copy_from_slice(&r),
        Forgery::S(s) => item.signature[32..].copy_from_slice(&s),
        Forgery::Message(message) => item.message = message,
        Forgery::Bit(bit) => {
            let flip = 1 << (bit % 8);
            match bit / 8 {
                i @ 0..32 => item.pubkey[i] ^= flip,
                i @ 32..96 => item.signature[i - 32] ^= flip,
                i => item.message[i - 96] ^= flip,
            }
        }
        Forgery::Opposite => {
            let s = Scalar::from_bytes(&split(&item.signature).1).unwrap_or(Scalar::ZERO);
            item.signature[32..].copy_from_slice(&s.negate().to_bytes());
        }
        Forgery::Foreign(part, other) => {
            let other = SIGNED[other];
            match part {
                0 => item.signature[..32].copy_from_slice(&other.signature[..32]),
                1 => item.signature[32..].copy_from_slice(&other.signature[32..]),
                2 => item.pubkey = other.pubkey,
                _ => item.message = other.message,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_member_gets_the_verdict_that_it_gets_alone(
        members in prop::collection::vec(0..60usize, 1..50),
        forgeries in prop::collection::vec((any::<prop::sample::Index>(), forgery()), 0..4),
        seed in any::<[u8; 32]>(),
    ) {
        let mut items: Vec<Item> = members.iter().map(|&i| SIGNED[i]).collect();
        for (place, forgery) in forgeries {
            forge(place.get_mut(&mut items), forgery);
        }
        let alone: Vec<bool> = items.iter().map(verify_one).collect();
        for path in Path::all() {
            prop_assert_eq!(&verify_on(path, &items, &seed), &alone);
            // The sum alone tells the same of all of them, without a look at single ones.
            let batch = Batch::read(path, &items);
            let holds = batch.holds(path, &seed) && batch.signatures.iter().all(Option::is_some);
            prop_assert_eq!(holds, alone.iter().all(|right| *right));
        }
    }
}
