//! Many BIP-340 signatures checked at once.
//!
//! Each signature (R, s) of a message by a key P asserts s G = R + e P, e a hash of R, P and the message. The batch checks
//! that the sum of all the differences, each times a random number a of 128 bits, is the point at infinity:
//!
//!   sum(a s) G - sum(a R) - sum over the keys P of (sum(a e) P) = 0.
//!
//! Equal keys are one term. G and the keys have factors of 256 bits, which the curve's endomorphism cuts in two of 128
//! (`Scalar::split`). If one signature is wrong, the sum is 0 with probability 2^-128. Then each member is checked by
//! itself, at once: halving a batch again and again costs whoever is sent two bad signatures more than it saves.
//!
//! `path` chooses between portable code and `lanes`, AVX-512 code for eight numbers at a time.

mod addition;
mod buckets;
mod field;
mod inverse;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod lift;
mod msm;
mod path;
mod point;
mod random;
mod scalar;

use crate::error::random;
use crate::keys;
use msm::Term;
use path::Path;
use point::Affine;
use random::Randomizers;
use scalar::Scalar;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// A signature to check: by the x-only key, of a message of 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// The x-only public key.
    pub pubkey: [u8; 32],
    /// The signature: the x coordinate of R, then s.
    pub signature: [u8; 64],
    /// What was signed.
    pub message: [u8; 32],
}

/// More are cut up: one bad member costs its own part only, and the points stay in the cache.
const MANY: usize = 1536;

/// One verdict an item, the same as `keys::verify` gives.
#[must_use]
pub fn verify(items: &[Item]) -> Vec<bool> {
    // Without randomness from the system a batch is not safe.
    match random() {
        Ok(seed) => verify_seeded(items, &seed),
        Err(_) => items.iter().map(verify_one).collect(),
    }
}

/// The same with a seed of the caller's, for measurements that must repeat; a batch is safe only if nobody knows it.
#[must_use]
pub fn verify_seeded(items: &[Item], seed: &[u8; 32]) -> Vec<bool> {
    verify_on(Path::best(), items, seed)
}

/// `verify_seeded` as machines without AVX-512 do it.
#[must_use]
pub fn verify_portable(items: &[Item], seed: &[u8; 32]) -> Vec<bool> {
    verify_on(Path::Portable, items, seed)
}

fn verify_on(path: Path, items: &[Item], seed: &[u8; 32]) -> Vec<bool> {
    let parts = items.len().div_ceil(MANY).max(1);
    items.chunks(items.len().div_ceil(parts).max(1)).flat_map(|part| verify_part(path, part, seed)).collect()
}

fn verify_one(item: &Item) -> bool {
    keys::verify(item.pubkey, item.signature, &item.message)
}

fn verify_part(path: Path, items: &[Item], seed: &[u8; 32]) -> Vec<bool> {
    if items.len() < path.worth_while() {
        return items.iter().map(verify_one).collect();
    }
    let batch = Batch::read(path, items);
    if batch.holds(path, seed) {
        batch.signatures.iter().map(Option::is_some).collect()
    } else {
        batch.singles(path, items)
    }
}

/// A signature taken apart.
struct Signature {
    r: Affine,
    s: Scalar,
    /// The challenge: the hash of R, the key and the message.
    e: Scalar,
    /// The index of the key in `Batch::keys`.
    key: usize,
}

struct Batch {
    /// One an item; None for what is wrong at first sight: a key or an R that is not on the curve, an s from n on.
    signatures: Vec<Option<Signature>>,
    /// The different keys; the point at infinity for one that is not on the curve.
    keys: Vec<Affine>,
    /// A hash of all the signatures, keys and messages.
    transcript: [u8; 32],
}

impl Batch {
    fn read(path: Path, items: &[Item]) -> Batch {
        let mut coordinates: Vec<[u8; 32]> = items.iter().map(|item| split(&item.signature).0).collect();
        let keys = number_keys(items, &mut coordinates);
        let points = path.lift_all(&coordinates);
        let (rs, key_points) = points.split_at(items.len());

        let tag = Sha256::digest(b"BIP0340/challenge");
        let challenge = Sha256::new().chain_update(tag).chain_update(tag);
        let mut transcript = Sha256::new();
        let signatures = items.iter().zip(rs).zip(keys).map(|((item, r), key)| {
            let (r_bytes, s_bytes) = split(&item.signature);
            let (r, s) = ((*r)?, Scalar::from_bytes(&s_bytes)?);
            key_points[key]?;
            let hash =
                challenge.clone().chain_update(r_bytes).chain_update(item.pubkey).chain_update(item.message).finalize();
            transcript.update(hash);
            transcript.update(s_bytes);
            Some(Signature { r, s, e: Scalar::reduced(&hash.into()), key })
        });
        let signatures = signatures.collect();
        let keys = key_points.iter().map(|key| key.unwrap_or(Affine::INFINITY)).collect();
        Batch { signatures, keys, transcript: transcript.finalize().into() }
    }

    /// Whether all the signatures hold that are not wrong at first sight.
    fn holds(&self, path: Path, seed: &[u8; 32]) -> bool {
        let mut terms = Vec::with_capacity(self.signatures.len() + 2 * self.keys.len() + 2);
        let mut of_g = Scalar::ZERO;
        let mut of_keys = vec![Scalar::ZERO; self.keys.len()];
        let randomizers = Randomizers::new(seed, &self.transcript).take(self.signatures.len());
        for (signature, randomizer) in self.signatures.iter().flatten().zip(randomizers) {
            let a = Scalar::from(randomizer);
            of_g = of_g.add(a.mul(signature.s));
            let of_key = &mut of_keys[signature.key];
            *of_key = of_key.add(a.mul(signature.e));
            terms.push(Term { point: signature.r.signed(true), factor: randomizer });
        }
        let of_keys = self.keys.iter().zip(&of_keys).map(|(key, factor)| (key, factor.negate()));
        for (point, factor) in of_keys.chain([(&Affine::G, of_g)]) {
            let (k, l) = factor.split();
            terms.push(Term { point: point.signed(k.negative), factor: k.value });
            terms.push(Term { point: point.endomorphism().signed(l.negative), factor: l.value });
        }
        msm::sum(path, &terms).is_infinity()
    }

    /// Each signature alone.
    fn singles(&self, path: Path, items: &[Item]) -> Vec<bool> {
        let signatures: Vec<&Signature> = self.signatures.iter().flatten().collect();
        let mut verdicts = path.singles(&self.keys, &signatures).into_iter();
        let single = |(item, signature): (&Item, &Option<Signature>)| {
            let Some(signature) = signature else { return false };
            verdicts.next().flatten().unwrap_or_else(|| {
                // The key has both its coordinates already, which saves a square root.
                let Affine { x, y } = self.keys[signature.key];
                keys::at(x.to_bytes(), y.to_bytes())
                    .is_some_and(|key| keys::verify_by(&key, item.signature, &item.message))
            })
        };
        items.iter().zip(&self.signatures).map(single).collect()
    }
}

/// The number of each item's key, the same for the same key; each different key is put behind the `coordinates` once.
fn number_keys(items: &[Item], coordinates: &mut Vec<[u8; 32]>) -> Vec<usize> {
    // The standard map hashes with a secret of its own: whoever chooses the keys cannot make them collide.
    let mut numbers = HashMap::with_capacity(items.len());
    let number = |item: &Item| {
        let next = numbers.len();
        *numbers.entry(item.pubkey).or_insert_with(|| {
            coordinates.push(item.pubkey);
            next
        })
    };
    items.iter().map(number).collect()
}

/// The two halves of a signature.
fn split(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    (std::array::from_fn(|i| signature[i]), std::array::from_fn(|i| signature[32 + i]))
}

#[cfg(test)]
mod forged_tests;
#[cfg(test)]
mod related_tests;
#[cfg(test)]
mod tests;
