//! Events, keys, NIP-44, BOLT11 and the spans of texts of Pylon: bytes in, bytes out, no Python and no I/O.

pub mod batch;
pub mod bip32;
pub mod bolt11;
mod canonical;
pub mod chunk;
mod conditions;
mod draft;
pub mod error;
mod escapes;
pub mod event;
pub mod filter;
mod hash;
mod ids;
mod index;
pub mod ingest;
mod json;
pub mod keys;
mod letters;
mod lists;
pub mod nip44;
mod quote;
pub mod seal;
pub mod seen;
pub mod sha256;
pub mod signed;
mod simd;
mod slab;
mod tags;

pub use error::Error;
