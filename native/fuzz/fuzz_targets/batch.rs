//! Batches of signatures, right and wrong, by keys and with nonces that are related: every member gets the verdict that
//! libsecp256k1 gives it alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::batch::{Item, verify_portable, verify_seeded};
use pylon_fuzz::related::{Member, holds};

fuzz_target!(|input: (Vec<Member>, [u8; 32])| {
    let (members, seed) = input;
    let items: Vec<Item> = members.into_iter().take(20).filter_map(Member::item).collect();
    let alone: Vec<bool> = items.iter().map(holds).collect();
    assert_eq!(verify_seeded(&items, &seed), alone);
    assert_eq!(verify_portable(&items, &seed), alone);
});
