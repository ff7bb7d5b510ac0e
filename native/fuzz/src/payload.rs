//! NIP-44 payloads put together step by step, with a body of the caller's choice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A payload whose MAC is right, whatever its padded plaintext is.
#[must_use]
pub fn seal(conversation_key: &[u8; 32], nonce: &[u8; 32], padded: &[u8]) -> String {
    let mut keys = [0; 76];
    let hkdf = Hkdf::<Sha256>::from_prk(conversation_key).expect("a key of 32 bytes");
    hkdf.expand(nonce, &mut keys).expect("76 bytes");
    let (cipher, mac) = keys.split_at(44);
    let mut body = padded.to_vec();
    ChaCha20::new_from_slices(&cipher[..32], &cipher[32..]).expect("32 and 12 bytes").apply_keystream(&mut body);
    let mut hmac = Hmac::<Sha256>::new_from_slice(mac).expect("a key of any length");
    hmac.update(nonce);
    hmac.update(&body);
    STANDARD.encode([&[2], &nonce[..], &body, &hmac.finalize().into_bytes()].concat())
}

/// The plaintext in a padded one, if its length prefix is the shortest and the padding as long as NIP-44 says.
#[must_use]
pub fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match padded {
        [0, 0, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest),
        [a, b, rest @ ..] if (*a, *b) != (0, 0) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        _ => return None,
    };
    let extended = padded.len() - rest.len() == 6;
    (extended == (length >= 65_536) && rest.len() == padded_len(length)).then(|| &rest[..length])
}

/// The smallest of the lengths that NIP-44 pads to which is not below `length`.
fn padded_len(length: usize) -> usize {
    let mut step = 32;
    while 8 * step < length {
        step *= 2;
    }
    length.max(1).next_multiple_of(step)
}
