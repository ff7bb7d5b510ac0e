//! Any bytes as a payload, as what a payload decrypts to, and as a plaintext.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::Error;
use pylon_core::nip44::{decrypt, encrypt};
use pylon_fuzz::payload::{seal, unpad};

/// The key and the nonce of the vectors of the extended length prefix; the seeds of the corpus are encrypted with it.
const KEY: [u8; 32] = [
    0xc4, 0x1c, 0x77, 0x53, 0x56, 0xfd, 0x92, 0xea, 0xdc, 0x63, 0xff, 0x5a, 0x0d, 0xc1, 0xda, 0x21, 0x1b, 0x26, 0x8c,
    0xbe, 0xa2, 0x23, 0x16, 0x76, 0x70, 0x95, 0xb2, 0x87, 0x1e, 0xa1, 0x41, 0x2d,
];
const NONCE: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    // A payload that decrypts is one of ours, except for what stands in its padding.
    if let Ok(payload) = std::str::from_utf8(data) {
        match decrypt(&KEY, payload) {
            Ok(plaintext) => assert_eq!(encrypt(&KEY, &plaintext, &NONCE).map(|ours| ours.len()), Ok(payload.len())),
            Err(error) => assert_eq!(error, Error::Decrypt),
        }
    }
    opens(data);
    if let [0, 0, 0, high, middle, low, ..] = data {
        // Too long for a fuzzer to find by itself: as many bytes as the extended prefix claims.
        let length = u32::from_be_bytes([0, *high & 1, *middle, *low]) as usize;
        let mut body = data.to_vec();
        body.resize(6 + length.next_multiple_of(16_384), b'x');
        body[3] &= 1;
        opens(&body);
    }
    match encrypt(&KEY, data, &NONCE) {
        Ok(payload) => assert_eq!(decrypt(&KEY, &payload).as_deref(), Ok(data)),
        Err(error) => assert_eq!((error, data.len()), (Error::Plaintext, 0)),
    }
});

/// A body under a right MAC is read if the slow reader reads it.
fn opens(body: &[u8]) {
    assert_eq!(decrypt(&KEY, &seal(&KEY, &NONCE, body)).ok().as_deref(), unpad(body));
}
