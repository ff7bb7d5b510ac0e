//! Private keys at a path from a seed (BIP-32).

use crate::error::{Error, array};
use bitcoin::NetworkKind;
use bitcoin::bip32::{ChildNumber, Xpriv};
use bitcoin::secp256k1::Secp256k1;

const DEPTH: usize = 255; // BIP-32 keeps the depth in one byte

fn step(part: &str) -> Result<ChildNumber, Error> {
    let digits = part.strip_suffix(['\'', 'h']);
    let (digits, hardened) = (digits.unwrap_or(part), digits.is_some());
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(Error::Path("a step is a number, hardened by ' or h"));
    }
    let index = digits.parse().map_err(|_| Error::Path("a step is below 2^31"))?;
    let child = if hardened { ChildNumber::from_hardened_idx(index) } else { ChildNumber::from_normal_idx(index) };
    child.map_err(|_| Error::Path("a step is below 2^31"))
}

/// The private key at `path` (`m/44'/1237'/0'/0/0`) from a BIP-39 seed of 64 bytes.
pub fn derive(seed: &[u8], path: &str) -> Result<[u8; 32], Error> {
    let seed: [u8; 64] = array(seed, "a seed")?;
    let mut parts = path.split('/');
    if parts.next() != Some("m") {
        return Err(Error::Path("it begins with m"));
    }
    let steps = parts.map(step).collect::<Result<Vec<_>, _>>()?;
    if steps.len() > DEPTH {
        return Err(Error::Path("it has more than 255 steps"));
    }
    let secp = Secp256k1::signing_only();
    let master = Xpriv::new_master(NetworkKind::Main, &seed).map_err(|_| Error::SecretKey)?;
    // An invalid child has a probability below 2^-127; BIP-32 says to take the next index, which is the caller's choice.
    let child = master.derive_priv(&secp, &steps).map_err(|_| Error::SecretKey)?;
    Ok(child.private_key.secret_bytes())
}
