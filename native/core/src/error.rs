//! Everything that can go wrong, as one enum; the Python face turns each into one `ValueError`.

use std::fmt;

/// Why a call was refused. The text is one sentence without a full stop, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// An argument has the wrong number of bytes.
    Length {
        /// What the argument is.
        what: &'static str,
        /// How many bytes it has to have.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// A secret key outside 1..n-1.
    SecretKey,
    /// An x-only public key that is not on the curve.
    PublicKey,
    /// A BIP-32 path that cannot be read or derived.
    Path(&'static str),
    /// An event field outside what NIP-01 allows.
    Event(&'static str),
    /// A NIP-44 plaintext that is empty or too long.
    Plaintext,
    /// Any failure of a decryption: one text for all causes, so that nothing leaks.
    Decrypt,
    /// A text that cannot be cut, or not so small.
    Text(&'static str),
    /// A cache of a size that cannot be had.
    Seen(&'static str),
    /// A filter that no event could be asked for by.
    Filter(&'static str),
    /// An invoice that BOLT11 forbids.
    Invoice(String),
    /// A signature of ours that does not hold: a fault of the machine.
    SelfCheck,
    /// The system has no randomness to give.
    Random,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Length { what, expected, got } => write!(f, "{what} must have {expected} bytes, not {got}"),
            Error::SecretKey => f.write_str("the secret key is outside 1..n-1"),
            Error::PublicKey => f.write_str("the public key is not on the curve"),
            Error::Path(why) => write!(f, "not a derivation path: {why}"),
            Error::Event(why) | Error::Text(why) | Error::Filter(why) | Error::Seen(why) => f.write_str(why),
            Error::Plaintext => f.write_str("a plaintext must have 1 byte at least and 2^32-1 bytes at most"),
            Error::Decrypt => f.write_str("cannot decrypt"),
            Error::Invoice(why) => write!(f, "not a payable BOLT11 invoice: {why}"),
            Error::SelfCheck => {
                f.write_str("a signature that was just made does not hold: this machine computes wrongly")
            }
            Error::Random => f.write_str("the system gives no randomness"),
        }
    }
}

impl std::error::Error for Error {}

/// The bytes as an array of the length asked for.
pub fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Length { what, expected: N, got: bytes.len() })
}

/// Fresh bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}
