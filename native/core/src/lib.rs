//! Events, keys, NIP-44, BOLT11 and the spans of texts of Pylon: bytes in, bytes out, no Python and no I/O.

pub mod bip32;
pub mod bolt11;
mod canonical;
pub mod chunk;
pub mod error;
pub mod event;
mod hash;
mod json;
pub mod keys;
pub mod nip44;
pub mod seal;
pub mod seen;
mod tags;

pub use error::Error;
