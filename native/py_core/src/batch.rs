//! Many signatures at once, for Python.

use crate::Result;
use pylon_core::Error;
use pylon_core::batch::{self, Item};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pyfunction]
#[pyo3(signature = (pubkeys, signatures, messages, /))]
pub(crate) fn verify_batch<'py>(
    py: Python<'py>,
    pubkeys: &[u8],
    signatures: &[u8],
    messages: &[u8],
) -> Result<Bound<'py, PyBytes>> {
    let count = pubkeys.len() / 32;
    let pubkeys = each(pubkeys, count, "the public keys")?;
    let signatures = each(signatures, count, "the signatures")?;
    let messages = each(messages, count, "the messages")?;
    let verdicts: Vec<u8> = py.detach(|| {
        let parts = pubkeys.iter().zip(signatures).zip(messages);
        let items: Vec<Item> = parts
            .map(|((pubkey, signature), message)| Item { pubkey: *pubkey, signature: *signature, message: *message })
            .collect();
        batch::verify(&items).into_iter().map(u8::from).collect()
    });
    Ok(PyBytes::new(py, &verdicts))
}

/// `count` arrays of N bytes that stand one after the other.
fn each<'a, const N: usize>(bytes: &'a [u8], count: usize, what: &'static str) -> Result<&'a [[u8; N]]> {
    let expected = count * N;
    if bytes.len() != expected {
        return Err(Error::Length { what, expected, got: bytes.len() }.into());
    }
    Ok(bytes.as_chunks().0)
}
