//! Signatures whose keys and nonces stand in simple relations: equal, opposite, doubled, or images of each other under the
//! curve's endomorphism. Sums of such points meet the cases that formulas for points have to treat apart.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, Parity, Scalar, Secp256k1, SecretKey, VerifyOnly, XOnlyPublicKey};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use pylon_core::batch::Item;
use std::sync::LazyLock;

/// A cube root of 1 modulo the order of the group.
const LAMBDA: [u8; 32] = [
    0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12, 0x2e, 0x22,
    0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
];

/// One member of a batch.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Member {
    key: u8,
    nonce: u8,
    message: u8,
    damage: Damage,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Damage {
    None,
    AlsoNone,
    Bit(u16),
    /// A number at an end of a range in the place of the key, of R or of s.
    Number(u8, u8),
    /// The key of another, or its R, or its s.
    Foreign(u8, u8),
}

/// 1, 2, 3 and 4, times 1, lambda and lambda^2: the secret whose point has an even y, and the x coordinate. Their opposites
/// are there too, since x coordinates stand for both.
static SECRETS: LazyLock<Vec<(SecretKey, [u8; 32])>> = LazyLock::new(|| {
    let context = Secp256k1::signing_only();
    let lambda = Scalar::from_be_bytes(LAMBDA).expect("below n");
    let even = |which: u8| {
        let mut small = [0; 32];
        small[31] = 1 + which % 4;
        let small = SecretKey::from_slice(&small).expect("small");
        let secret = (0..which / 4).fold(small, |key, _| key.mul_tweak(&lambda).expect("not zero"));
        let (x, parity) = XOnlyPublicKey::from_keypair(&secret.keypair(&context));
        (if parity == Parity::Odd { secret.negate() } else { secret }, x.serialize())
    };
    (0..12).map(even).collect()
});

fn even(which: u8) -> (SecretKey, [u8; 32]) {
    SECRETS[usize::from(which % 12)]
}

/// A right signature; None where s would be 0 or e none of the field.
fn sign(key: u8, nonce: u8, message: u8) -> Option<Item> {
    let ((d, pubkey), (k, r), message) = (even(key), even(nonce), [message % 4; 32]);
    let tag = sha256::Hash::hash(b"BIP0340/challenge").to_byte_array();
    let mut engine = sha256::Hash::engine();
    for part in [tag, tag, r, pubkey, message] {
        engine.input(&part);
    }
    let e = Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array()).ok()?;
    let s = d.mul_tweak(&e).ok()?.add_tweak(&Scalar::from(k)).ok()?;
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r);
    signature[32..].copy_from_slice(&s.secret_bytes());
    Some(Item { pubkey, signature, message })
}

/// 0, 1, p and n and what is beside them, and the highest number.
fn number(which: u8) -> [u8; 32] {
    let mut n = [0xff; 32];
    match which % 8 {
        0 => return [0; 32],
        1 => n = [0; 32],
        2..=4 => n[27..].copy_from_slice(&[0xfe, 0xff, 0xff, 0xfc, 0x2d + which % 8]),
        5 | 6 => n[16..].copy_from_slice(&[
            0xba,
            0xae,
            0xdc,
            0xe6,
            0xaf,
            0x48,
            0xa0,
            0x3b,
            0xbf,
            0xd2,
            0x5e,
            0x8c,
            0xd0,
            0x36,
            0x41,
            0x3b + which % 8,
        ]),
        _ => {}
    }
    match which % 8 {
        1 => n[31] = 1,
        5 | 6 => n[15] = 0xfe,
        _ => {}
    }
    n
}

impl Member {
    /// The signature, damaged as it says.
    #[must_use]
    pub fn item(self) -> Option<Item> {
        let mut item = sign(self.key, self.nonce, self.message)?;
        let place = |item: &mut Item, part: u8, value: [u8; 32]| match part % 3 {
            0 => item.pubkey = value,
            1 => item.signature[..32].copy_from_slice(&value),
            _ => item.signature[32..].copy_from_slice(&value),
        };
        match self.damage {
            Damage::None | Damage::AlsoNone => {}
            Damage::Bit(bit) => {
                let at = usize::from(bit) % 1024;
                let byte = match at / 8 {
                    i @ 0..32 => &mut item.pubkey[i],
                    i @ 32..96 => &mut item.signature[i - 32],
                    i => &mut item.message[i - 96],
                };
                *byte ^= 1 << (at % 8);
            }
            Damage::Number(part, which) => place(&mut item, part, number(which)),
            Damage::Foreign(part, which) => {
                let other = sign(which, which / 12, self.message)?;
                let halves = [&other.pubkey[..], &other.signature[..32], &other.signature[32..]];
                place(&mut item, part, halves[usize::from(part % 3)].try_into().ok()?);
            }
        }
        Some(item)
    }
}

/// The verdict of another libsecp256k1 than the core's, with a SHA-256 of its own.
#[must_use]
pub fn holds(item: &Item) -> bool {
    static CONTEXT: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);
    let (key, signature) = (XOnlyPublicKey::from_slice(&item.pubkey), Signature::from_slice(&item.signature));
    let message = Message::from_digest(item.message);
    matches!((key, signature), (Ok(key), Ok(signature)) if CONTEXT.verify_schnorr(&signature, &message, &key).is_ok())
}
