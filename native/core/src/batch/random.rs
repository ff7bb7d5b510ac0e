//! The randomizers of a batch: what keeps signatures that are wrong from making up for each other.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use sha2::{Digest, Sha256};

/// An endless stream of random numbers, by ChaCha20.
pub(super) struct Randomizers(ChaCha20);

impl Randomizers {
    /// A stream that nobody can foresee who lacks `seed`, and that is another one for any other batch (`transcript` is a
    /// hash of all that is checked): either alone would do, so that a weak one does no harm.
    pub(super) fn new(seed: &[u8; 32], transcript: &[u8; 32]) -> Randomizers {
        let key = Sha256::new().chain_update(b"pylon/batch").chain_update(seed).chain_update(transcript).finalize();
        Randomizers(ChaCha20::new(&key, &[0; 12].into()))
    }

    /// As many numbers of 128 bits, evenly distributed.
    pub(super) fn take(&mut self, count: usize) -> Vec<u128> {
        let mut bytes = vec![0; 16 * count];
        self.0.apply_keystream(&mut bytes);
        bytes.as_chunks().0.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect()
    }
}
