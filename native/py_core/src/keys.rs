//! BIP-340 keys and signatures for Python.

use crate::Result;
use crate::event_id::canonical;
use crate::events::VerifiedEvent;
use pylon_core::{error, event, keys, signed};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

#[pyfunction]
#[pyo3(signature = (pubkey, signature, message, /))]
pub(crate) fn verify(py: Python<'_>, pubkey: &[u8], signature: &[u8], message: &[u8]) -> Result<bool> {
    let pubkey = error::array(pubkey, "a public key")?;
    let signature = error::array(signature, "a signature")?;
    Ok(py.detach(|| keys::verify(pubkey, signature, message)))
}

#[pyfunction]
#[pyo3(signature = (secret, /))]
pub(crate) fn public_key<'py>(py: Python<'py>, secret: &[u8]) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &keys::public_key(secret)?))
}

/// A BIP-340 signer with its own blinded context.
#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct Signer {
    signer: keys::Signer,
    /// The public key as events have it.
    pubkey: String,
}

impl Signer {
    fn signature(&self, message: &[u8], aux: Option<&[u8]>, check: bool) -> Result<[u8; 64]> {
        let aux = match aux {
            Some(aux) => error::array(aux, "auxiliary randomness")?,
            None => error::random()?,
        };
        Ok(if check { self.signer.sign_checked(message, &aux)? } else { self.signer.sign(message, &aux) })
    }
}

#[pymethods]
impl Signer {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(secret: &[u8]) -> Result<Self> {
        let signer = keys::Signer::new(secret)?;
        let pubkey = faster_hex::hex_string(&signer.pubkey());
        Ok(Self { signer, pubkey })
    }

    #[getter]
    fn pubkey<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.signer.pubkey())
    }

    #[pyo3(signature = (message, aux=None, check=false, /))]
    fn sign<'py>(
        &self,
        py: Python<'py>,
        message: &[u8],
        aux: Option<&[u8]>,
        check: bool,
    ) -> Result<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.signature(message, aux, check)?))
    }

    #[pyo3(signature = (created_at, kind, tags, content, aux=None, check=false, /))]
    #[allow(clippy::too_many_arguments)] // the fields of an event
    fn sign_event(
        &self,
        py: Python<'_>,
        created_at: &Bound<'_, PyAny>,
        kind: &Bound<'_, PyAny>,
        tags: &Bound<'_, PyAny>,
        content: &str,
        aux: Option<&[u8]>,
        check: bool,
    ) -> Result<VerifiedEvent> {
        canonical(&self.pubkey, created_at, kind, tags, content, |canonical, id| {
            let signature = self.signature(&id, aux, check)?;
            let text = PyBackedBytes::from(PyBytes::new(py, &signed::json(canonical, &id, &signature)));
            let fields = event::scan(&text).map_err(|_| error::Error::Event("an event cannot be written"))?;
            VerifiedEvent::new(py, text, fields, None)
        })
    }
}
