//! A keyed hash for tables whose keys strangers choose: without the secret nobody can pick values that collide.

use crate::error::{self, Error};

/// The secret of one table, fresh from the system.
pub(crate) struct Secret([u64; 3]);

impl Secret {
    pub(crate) fn new() -> Result<Self, Error> {
        let bytes: [u8; 24] = error::random()?;
        let word = |n: usize| word(&bytes[8 * n..]);
        Ok(Self([word(0), word(1), word(2)]))
    }

    /// The hash of a value in one of 256 rooms. Values must still be compared: two may have one hash.
    ///
    /// Folded 64 x 64 multiplications as in wyhash (Wang Yi, https://github.com/wangyi-fudan/wyhash), in two lanes of 16 bytes
    /// each that do not wait for each other; what is multiplied is hidden by the secret.
    #[inline(always)]
    pub(crate) fn hash(&self, room: u8, value: &[u8]) -> u64 {
        let [start, left, right] = self.0;
        let (mut one, mut two) = (start, !start);
        let mut rest = value;
        while let Some((now, later)) = rest.split_first_chunk::<32>().filter(|(_, later)| !later.is_empty()) {
            one = fold(word(now) ^ left, word(&now[8..]) ^ one);
            two = fold(word(&now[16..]) ^ right, word(&now[24..]) ^ two);
            rest = later;
        }
        let (first, last) = rest.split_at(rest.len().min(16));
        let (a, b) = words(first);
        let (c, d) = words(last);
        one = fold(a ^ left, b ^ one);
        two = fold(c ^ right, d ^ two);
        // The room and the length come last: no byte of a value can stand for them.
        fold(one ^ right, two ^ left ^ ((value.len() as u64) << 8 | u64::from(room)))
    }
}

/// Up to 16 bytes as two words, which may overlap.
#[inline(always)]
fn words(bytes: &[u8]) -> (u64, u64) {
    let half = |at: usize| bytes[at..].first_chunk().map_or(0, |half| u64::from(u32::from_le_bytes(*half)));
    match bytes.len() {
        8.. => (word(bytes), word(&bytes[bytes.len() - 8..])),
        4.. => (half(0), half(bytes.len() - 4)),
        1.. => {
            let [first, middle, last] = [0, bytes.len() / 2, bytes.len() - 1].map(|at| u64::from(bytes[at]));
            (first << 16 | middle << 8 | last, 0)
        }
        0 => (0, 0),
    }
}

/// The first eight bytes.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Values that differ in one bit, in their length or in their room have different hashes, and every bit of them is used.
    #[test]
    fn spreads() {
        let secret = Secret::new().expect("randomness");
        let (mut hashes, mut all, mut any) = (HashSet::new(), u64::MAX, 0);
        let mut count = 0;
        for length in 0..=70 {
            for bit in 0..8 * length {
                let mut value = vec![0; length];
                value[bit / 8] |= 1 << (bit % 8);
                let hash = secret.hash(0, &value);
                (all, any, count) = (all & hash, any | hash, count + 1);
                hashes.insert(hash);
            }
            for room in 0..=255 {
                hashes.insert(secret.hash(room, &vec![0; length]));
                count += 1;
            }
        }
        assert_eq!(hashes.len(), count);
        assert_eq!((all, any), (0, u64::MAX));
    }

    /// Two tables do not agree about a value.
    #[test]
    fn is_keyed() {
        let (one, two) = (Secret::new().expect("randomness"), Secret::new().expect("randomness"));
        assert_eq!(one.hash(1, b"value"), one.hash(1, b"value"));
        assert_ne!(one.hash(1, b"value"), two.hash(1, b"value"));
    }
}
