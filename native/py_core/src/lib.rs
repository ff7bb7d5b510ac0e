//! The Python face of `pylon-core`: module `pylon._native.core`, described in `pylon/_native/core.pyi`. Bytes in, bytes
//! out; every error of the core becomes one `ValueError`.

mod event_id;
mod invoice;
mod seen;

use pylon_core::{Error, bip32, chunk, error, event, keys, nip44, seal};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

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
    value.extract::<i64>().map_err(|error| {
        if error.is_instance_of::<pyo3::exceptions::PyOverflowError>(value.py()) {
            Fault::Core(Error::Event(what))
        } else {
            Fault::Python(error)
        }
    })
}

#[pyfunction]
#[pyo3(signature = (events, /))]
fn check_events<'py>(py: Python<'py>, events: &Bound<'py, PyList>) -> Result<Bound<'py, PyBytes>> {
    let held = events
        .iter()
        .map(|event| Ok(PyBackedBytes::from(event.cast_into::<PyBytes>().map_err(PyErr::from)?)))
        .collect::<Result<Vec<_>>>()?;
    let codes = py.detach(|| event::check_all(&held));
    Ok(PyBytes::new(py, &codes))
}

#[pyfunction]
#[pyo3(signature = (pubkey, signature, message, /))]
fn verify(py: Python<'_>, pubkey: &[u8], signature: &[u8], message: &[u8]) -> Result<bool> {
    let pubkey = error::array(pubkey, "a public key")?;
    let signature = error::array(signature, "a signature")?;
    Ok(py.detach(|| keys::verify(pubkey, signature, message)))
}

#[pyfunction]
#[pyo3(signature = (secret, /))]
fn public_key<'py>(py: Python<'py>, secret: &[u8]) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &keys::public_key(secret)?))
}

#[pyfunction]
#[pyo3(signature = (seed, path, /))]
fn bip32_derive<'py>(py: Python<'py>, seed: &[u8], path: &str) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &bip32::derive(seed, path)?))
}

/// A BIP-340 signer with its own blinded context.
#[pyclass(frozen, module = "pylon._native.core")]
struct Signer(keys::Signer);

#[pymethods]
impl Signer {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(secret: &[u8]) -> Result<Self> {
        Ok(Self(keys::Signer::new(secret)?))
    }

    #[getter]
    fn pubkey<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.pubkey())
    }

    #[pyo3(signature = (message, aux=None, /))]
    fn sign<'py>(&self, py: Python<'py>, message: &[u8], aux: Option<&[u8]>) -> Result<Bound<'py, PyBytes>> {
        let aux = match aux {
            Some(aux) => error::array(aux, "auxiliary randomness")?,
            None => error::random()?,
        };
        Ok(PyBytes::new(py, &self.0.sign(message, &aux)))
    }
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

#[pyfunction]
#[pyo3(signature = (text, max_bytes, /))]
fn chunk_spans(py: Python<'_>, text: &[u8], max_bytes: &Bound<'_, PyAny>) -> Result<Vec<(usize, usize)>> {
    // A bound that fits no machine word bounds nothing; one below zero is too small.
    let max_bytes = integer(max_bytes, "a span has 64 bytes at least and 2^63-1 at most")?;
    Ok(py.detach(|| chunk::spans(text, usize::try_from(max_bytes).unwrap_or(0)))?)
}

/// What the Rust extension offers.
#[pymodule]
mod core {
    #[pymodule_export]
    use super::event_id::event_id;
    #[pymodule_export]
    use super::invoice::{Bolt11, bolt11_decode, bolt11_encode};
    #[pymodule_export]
    use super::seen::Seen;
    use super::{Bound, PyModule, PyModuleMethods, PyResult, event};
    #[pymodule_export]
    use super::{
        Signer, bip32_derive, check_events, chunk_spans, nip44_conversation_key, nip44_decrypt, nip44_encrypt,
        public_key, seal_, unseal, verify,
    };

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        m.add("BUILD_PROFILE", option_env!("PYLON_RUST_PROFILE").unwrap_or("release"))?;
        m.add("OK", event::OK)?;
        m.add("SYNTAX", event::SYNTAX)?;
        m.add("BAD_ID", event::BAD_ID)?;
        m.add("BAD_SIGNATURE", event::BAD_SIGNATURE)?;
        m.add("BAD_UTF8", event::BAD_UTF8)
    }
}
