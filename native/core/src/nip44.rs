//! NIP-44 version 2 with the extended length prefix (nips 733a0471): encrypted payloads between two keys.

use crate::error::{Error, array};
use crate::keys::secret_key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secp256k1::{Parity, PublicKey, XOnlyPublicKey, ecdh};
use sha2::Sha256;

const VERSION: u8 = 2;
const NONCE: usize = 32;
const MAC: usize = 32;
/// From this length on the prefix has six bytes: two zeros and the length in four.
const EXTENDED: usize = 65_536;
/// The largest padded plaintext that is decrypted. NIP-44 asks for a limit that is checked before the base64 decoding;
/// the format itself goes to 4 GiB.
pub const MAX_PADDED: usize = 16 << 20;
const MAX_PAYLOAD: usize = (1 + NONCE + 6 + MAX_PADDED + MAC).div_ceil(3) * 4;

/// The keys of one message.
struct MessageKeys {
    chacha_key: [u8; 32],
    chacha_nonce: [u8; 12],
    hmac_key: [u8; 32],
}

impl MessageKeys {
    fn new(conversation_key: &[u8; 32], nonce: &[u8; NONCE]) -> Self {
        let mut okm = [0; 76];
        Hkdf::<Sha256>::from_prk(conversation_key)
            .expect("32 bytes are a pseudorandom key of SHA-256")
            .expand(nonce, &mut okm)
            .expect("76 bytes are less than 255 blocks");
        let mut keys = Self { chacha_key: [0; 32], chacha_nonce: [0; 12], hmac_key: [0; 32] };
        keys.chacha_key.copy_from_slice(&okm[..32]);
        keys.chacha_nonce.copy_from_slice(&okm[32..44]);
        keys.hmac_key.copy_from_slice(&okm[44..]);
        keys
    }

    fn apply(&self, data: &mut [u8]) {
        ChaCha20::new(&self.chacha_key.into(), &self.chacha_nonce.into()).apply_keystream(data);
    }

    fn mac(&self, nonce: &[u8], ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.hmac_key).expect("HMAC takes a key of any length");
        mac.update(nonce);
        mac.update(ciphertext);
        mac
    }
}

/// The length that a plaintext is padded to.
fn padded_len(len: usize) -> usize {
    if len <= 32 {
        return 32;
    }
    let next_power = len.next_power_of_two();
    let chunk = if next_power <= 256 { 32 } else { next_power / 8 };
    chunk * len.div_ceil(chunk)
}

/// The key that two keys share, from our secret key and their x-only public key.
pub fn conversation_key(secret: &[u8], pubkey: &[u8]) -> Result<[u8; 32], Error> {
    let mut secret = secret_key(secret)?;
    let x_only = XOnlyPublicKey::from_byte_array(array(pubkey, "a public key")?).map_err(|_| Error::PublicKey)?;
    let public = PublicKey::from_x_only_public_key(x_only, Parity::Even);
    // The x coordinate alone, not hashed (NIP-44 "Calculate a conversation key").
    let point = ecdh::shared_secret_point(&public, &secret);
    secret.non_secure_erase();
    let (key, _) = Hkdf::<Sha256>::extract(Some(b"nip44-v2"), &point[..32]);
    Ok(key.into())
}

/// The payload in base64.
pub fn encrypt(conversation_key: &[u8], plaintext: &[u8], nonce: &[u8]) -> Result<String, Error> {
    let key: [u8; 32] = array(conversation_key, "a conversation key")?;
    let nonce: [u8; NONCE] = array(nonce, "a nonce")?;
    let length = u32::try_from(plaintext.len()).ok().filter(|&n| n > 0).ok_or(Error::Plaintext)?;
    let keys = MessageKeys::new(&key, &nonce);
    let prefix = if plaintext.len() < EXTENDED { 2 } else { 6 };
    let head = 1 + NONCE;
    let end = head + prefix + padded_len(plaintext.len());
    let mut payload = Vec::with_capacity(end + MAC);
    payload.push(VERSION);
    payload.extend_from_slice(&nonce);
    if prefix == 6 {
        payload.extend_from_slice(&[0, 0]);
    }
    payload.extend_from_slice(&length.to_be_bytes()[if prefix == 6 { 0 } else { 2 }..]);
    payload.extend_from_slice(plaintext);
    payload.resize(end, 0);
    keys.apply(&mut payload[head..]);
    let tag = keys.mac(&nonce, &payload[head..]).finalize().into_bytes();
    payload.extend_from_slice(&tag);
    Ok(STANDARD.encode(payload))
}

/// The plaintext. Every failure after the length of the key is `Error::Decrypt`.
pub fn decrypt(conversation_key: &[u8], payload: &str) -> Result<Vec<u8>, Error> {
    let key: [u8; 32] = array(conversation_key, "a conversation key")?;
    open(&key, payload).ok_or(Error::Decrypt)
}

fn open(key: &[u8; 32], payload: &str) -> Option<Vec<u8>> {
    // A payload that begins with # is of a version that does not use base64.
    if payload.len() > MAX_PAYLOAD || payload.starts_with('#') {
        return None;
    }
    let mut data = STANDARD.decode(payload).ok()?;
    // The smallest: version, nonce, prefix of two bytes, 32 padded bytes, MAC.
    if data.len() < 1 + NONCE + 2 + 32 + MAC || data[0] != VERSION {
        return None;
    }
    let tag = data.split_off(data.len() - MAC);
    let (head, body) = data.split_at_mut(1 + NONCE);
    let nonce = &head[1..];
    let keys = MessageKeys::new(key, nonce.try_into().ok()?);
    keys.mac(nonce, body).verify_slice(&tag).ok()?; // in constant time
    keys.apply(body);
    unpad(body).map(<[u8]>::to_vec)
}

fn unpad(body: &[u8]) -> Option<&[u8]> {
    let short = usize::from(u16::from_be_bytes(body.get(..2)?.try_into().ok()?));
    let (prefix, length) = if short > 0 {
        (2, short)
    } else {
        let long = usize::try_from(u32::from_be_bytes(body.get(2..6)?.try_into().ok()?)).ok()?;
        if long < EXTENDED {
            return None; // a length that fits the short prefix must use it
        }
        (6, long)
    };
    if body.len() != prefix + padded_len(length) {
        return None;
    }
    body.get(prefix..prefix + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paddings of the vectors of NIP-44, and the first of each new size.
    #[test]
    fn pads() {
        for (len, padded) in [
            (1, 32),
            (32, 32),
            (33, 64),
            (64, 64),
            (65, 96),
            (320, 320),
            (321, 384),
            (1020, 1024),
            (65_535, 65_536),
            (65_536, 65_536),
            (65_537, 81_920),
        ] {
            assert_eq!(padded_len(len), padded, "{len}");
        }
    }
}
