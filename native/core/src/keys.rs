//! Keys and BIP-340 signatures, thin over libsecp256k1.

use crate::error::{Error, array, random};
use crate::sha256::{self, Block, State};
use secp256k1::ffi::{self, CPtr};
use secp256k1::{All, Keypair, PublicKey, Secp256k1, SecretKey, XOnlyPublicKey};
use std::ffi::c_void;
use std::slice;
use std::sync::LazyLock;

/// For verifying, and what every signer's own context is a copy of.
static CONTEXT: LazyLock<Secp256k1<All>> = LazyLock::new(context);

/// libsecp256k1, made to hash by our SHA-256, which uses the machine's instructions for it where there are some; its own does not.
fn context() -> Secp256k1<All> {
    let context = Secp256k1::new();
    // SAFETY: the context is proper, and nobody else has it yet; `compress` does what is asked for, which libsecp256k1 tests.
    unsafe { set_sha256_compression(context.ctx().as_ptr(), Some(compress)) };
    context
}

type Compress = unsafe extern "C" fn(*mut u32, *const u8, usize);

unsafe extern "C" {
    // The crate has it compiled, under its prefix, and does not declare it.
    #[link_name = "rustsecp256k1_v0_14_context_set_sha256_compression"]
    fn set_sha256_compression(context: *mut ffi::Context, compress: Option<Compress>);
}

/// Eight words of state, and so many blocks of 64 bytes.
unsafe extern "C" fn compress(state: *mut u32, blocks: *const u8, count: usize) {
    // SAFETY: libsecp256k1 gives eight words that it has for itself, and `count` blocks; bytes need no alignment.
    let (state, blocks) =
        unsafe { (&mut *state.cast::<State>(), slice::from_raw_parts(blocks.cast::<Block>(), count)) };
    sha256::compress(state, blocks);
}

/// A secret key in 1..n-1.
pub(crate) fn secret_key(bytes: &[u8]) -> Result<SecretKey, Error> {
    SecretKey::from_secret_bytes(array(bytes, "a secret key")?).map_err(|_| Error::SecretKey)
}

/// Whether `signature` is a BIP-340 signature of `message` (any length) by the x-only key.
#[must_use]
pub fn verify(pubkey: [u8; 32], signature: [u8; 64], message: &[u8]) -> bool {
    XOnlyPublicKey::from_byte_array(pubkey).is_ok_and(|key| verify_by(&key, signature, message))
}

/// The same by a key that is read already.
pub(crate) fn verify_by(key: &XOnlyPublicKey, signature: [u8; 64], message: &[u8]) -> bool {
    // SAFETY: the context and the key are proper, `signature` has 64 bytes and `message` the length given.
    let right = unsafe {
        ffi::secp256k1_schnorrsig_verify(
            CONTEXT.ctx().as_ptr(),
            signature.as_ptr(),
            message.as_ptr(),
            message.len(),
            key.as_c_ptr(),
        )
    };
    right == 1
}

/// The key with these coordinates (big-endian bytes): without the square root that `verify` takes for y.
pub(crate) fn at(x: [u8; 32], y: [u8; 32]) -> Option<XOnlyPublicKey> {
    let mut bytes = [4; 65];
    bytes[1..33].copy_from_slice(&x);
    bytes[33..].copy_from_slice(&y);
    PublicKey::from_byte_array_uncompressed(bytes).ok().map(|key| key.x_only_public_key().0)
}

/// The compressed public key of a secret key.
pub fn public_key(secret: &[u8]) -> Result<[u8; 33], Error> {
    let mut secret = secret_key(secret)?;
    let public = PublicKey::from_secret_key(&secret).serialize();
    secret.non_secure_erase();
    Ok(public)
}

/// Signs with a context of its own, blinded once with fresh randomness. The crate's own `schnorr::sign_*` blinds a
/// global context again after each signature, which doubles the cost.
pub struct Signer {
    context: Secp256k1<All>,
    keypair: Keypair,
}

impl Signer {
    /// A signer for a secret key of 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        let keypair = Keypair::from_secret_bytes(array(secret, "a secret key")?).map_err(|_| Error::SecretKey)?;
        let mut context = CONTEXT.clone();
        context.seeded_randomize(&random()?);
        Ok(Self { context, keypair })
    }

    /// The x-only public key.
    #[must_use]
    pub fn pubkey(&self) -> [u8; 32] {
        self.keypair.x_only_public_key().0.to_byte_array()
    }

    /// A BIP-340 signature of a message of any length with the given auxiliary randomness.
    #[must_use]
    pub fn sign(&self, message: &[u8], aux: &[u8; 32]) -> [u8; 64] {
        let mut signature = [0; 64];
        let extra = ffi::SchnorrSigExtraParams::new(None, aux.as_ptr().cast::<c_void>());
        // SAFETY: the context and the keypair live as long as `self`; `signature` has the 64 bytes that are written,
        // `message` the length given, and `aux` the 32 bytes that the default nonce function (None) reads.
        let done = unsafe {
            ffi::secp256k1_schnorrsig_sign_custom(
                self.context.ctx().as_ptr(),
                signature.as_mut_ptr(),
                message.as_ptr(),
                message.len(),
                self.keypair.as_c_ptr(),
                &raw const extra,
            )
        };
        // libsecp256k1 fails only when the nonce function does, and the default one cannot.
        assert_eq!(done, 1, "libsecp256k1 refused to sign with a valid keypair");
        signature
    }

    /// The same, verified before it leaves: "it is recommended to verify the signature computed by the signing algorithm",
    /// against attacks that provoke faults (BIP-340, "Default Signing").
    pub fn sign_checked(&self, message: &[u8], aux: &[u8; 32]) -> Result<[u8; 64], Error> {
        let signature = self.sign(message, aux);
        let key = self.keypair.x_only_public_key().0;
        if verify_by(&key, signature, message) { Ok(signature) } else { Err(Error::SelfCheck) }
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.keypair.non_secure_erase();
    }
}
