//! XChaCha20-Poly1305 for secrets at rest (draft-irtf-cfrg-xchacha-03).

use crate::error::{Error, array};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

fn parts(key: &[u8], nonce: &[u8]) -> Result<(XChaCha20Poly1305, XNonce), Error> {
    let key = array::<32>(key, "a key")?;
    Ok((XChaCha20Poly1305::new(&key.into()), array::<24>(nonce, "a nonce")?.into()))
}

/// The ciphertext with its tag (16 bytes) at the end.
pub fn seal(key: &[u8], nonce: &[u8], plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
    let (cipher, nonce) = parts(key, nonce)?;
    cipher.encrypt(&nonce, Payload { msg: plaintext, aad }).map_err(|_| Error::Plaintext)
}

/// The plaintext; every failure after the lengths of key and nonce is `Error::Decrypt`.
pub fn unseal(key: &[u8], nonce: &[u8], ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
    let (cipher, nonce) = parts(key, nonce)?;
    cipher.decrypt(&nonce, Payload { msg: ciphertext, aad }).map_err(|_| Error::Decrypt)
}
