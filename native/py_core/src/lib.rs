//! The Python face of `pylon-core`: module `pylon._native.core`, described in `pylon/_native/core.pyi`. Bytes in, bytes
//! out; every error of the core becomes one `ValueError`.

mod batch;
mod event_id;
mod events;
mod filter;
mod invoice;
mod keys;
mod seen;
mod text;

use pylon_core::{Error, bip32, error, event, ingest, nip44, seal};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// An error of the core or of Python on its way out: the one place where errors are mapped.
pub(crate) enum Fault {
    Core(Error),
    Python(PyErr),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Core(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Fault::Python(error)
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Core(error) => PyValueError::new_err(error.to_string()),
            Fault::Python(error) => error,
        }
    }
}

/// A Python integer; one that does not fit is a wrong value, not an overflow.
pub(crate) fn integer(value: &Bound<'_, PyAny>, what: &'static str) -> Result<i64> {
    value.extract::<i64>().map_err(|error| no_overflow(value.py(), error, what))
}

/// A Python integer below 2^64.
pub(crate) fn unsigned(value: &Bound<'_, PyAny>, what: &'static str) -> Result<u64> {
    value.extract::<u64>().map_err(|error| no_overflow(value.py(), error, what))
}

fn no_overflow(py: Python<'_>, error: PyErr, what: &'static str) -> Fault {
    if error.is_instance_of::<pyo3::exceptions::PyOverflowError>(py) {
        Fault::Core(Error::Event(what))
    } else {
        Fault::Python(error)
    }
}

#[pyfunction]
#[pyo3(signature = (seed, path, /))]
fn bip32_derive<'py>(py: Python<'py>, seed: &[u8], path: &str) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &bip32::derive(seed, path)?))
}

#[pyfunction]
#[pyo3(signature = (secret, pubkey, /))]
fn nip44_conversation_key<'py>(py: Python<'py>, secret: &[u8], pubkey: &[u8]) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &nip44::conversation_key(secret, pubkey)?))
}

#[pyfunction]
#[pyo3(signature = (conversation_key, plaintext, nonce=None, /))]
fn nip44_encrypt(py: Python<'_>, conversation_key: &[u8], plaintext: &[u8], nonce: Option<&[u8]>) -> Result<String> {
    Ok(match nonce {
        Some(nonce) => py.detach(|| nip44::encrypt(conversation_key, plaintext, nonce))?,
        None => {
            let nonce: [u8; 32] = error::random()?;
            py.detach(|| nip44::encrypt(conversation_key, plaintext, &nonce))?
        }
    })
}

#[pyfunction]
#[pyo3(signature = (conversation_key, payload, /))]
fn nip44_decrypt<'py>(py: Python<'py>, conversation_key: &[u8], payload: &str) -> Result<Bound<'py, PyBytes>> {
    let plaintext = py.detach(|| nip44::decrypt(conversation_key, payload))?;
    Ok(PyBytes::new(py, &plaintext))
}

/// A decoded BOLT11 invoice.
#[pyfunction(name = "seal")]
#[pyo3(signature = (key, nonce, plaintext, aad, /))]
fn seal_<'py>(py: Python<'py>, key: &[u8], nonce: &[u8], plaintext: &[u8], aad: &[u8]) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &seal::seal(key, nonce, plaintext, aad)?))
}

#[pyfunction]
#[pyo3(signature = (key, nonce, ciphertext, aad, /))]
fn unseal<'py>(
    py: Python<'py>,
    key: &[u8],
    nonce: &[u8],
    ciphertext: &[u8],
    aad: &[u8],
) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &seal::unseal(key, nonce, ciphertext, aad)?))
}

/// What the Rust extension offers.
#[pymodule]
mod core {
    #[pymodule_export]
    use super::batch::verify_batch;
    #[pymodule_export]
    use super::event_id::event_id;
    #[pymodule_export]
    use super::events::{VerifiedEvent, check_codes, check_events, load_event};
    #[pymodule_export]
    use super::filter::FilterIndex;
    #[pymodule_export]
    use super::invoice::{Bolt11, bolt11_decode, bolt11_encode};
    #[pymodule_export]
    use super::keys::{Signer, public_key, verify};
    #[pymodule_export]
    use super::seen::Seen;
    #[pymodule_export]
    use super::text::{chunk_spans, is_utf8};
    use super::{Bound, PyModule, PyModuleMethods, PyResult, event, ingest};
    #[pymodule_export]
    use super::{bip32_derive, nip44_conversation_key, nip44_decrypt, nip44_encrypt, seal_, unseal};

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        m.add("BUILD_PROFILE", option_env!("PYLON_RUST_PROFILE").unwrap_or("release"))?;
        m.add("OK", event::OK)?;
        m.add("SYNTAX", event::SYNTAX)?;
        m.add("BAD_ID", event::BAD_ID)?;
        m.add("BAD_SIGNATURE", event::BAD_SIGNATURE)?;
        m.add("BAD_UTF8", event::BAD_UTF8)?;
        m.add("DUPLICATE", ingest::DUPLICATE)?;
        m.add("UNWANTED", ingest::UNWANTED)
    }
}
