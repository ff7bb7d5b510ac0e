//! BOLT11 for Python.

use crate::{Result, unsigned};
use pylon_core::bolt11;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct Bolt11(bolt11::Invoice);

#[pymethods]
impl Bolt11 {
    #[getter]
    fn currency(&self) -> &'static str {
        self.0.currency
    }
    #[getter]
    fn amount_msat(&self) -> Option<u64> {
        self.0.amount_msat
    }
    #[getter]
    fn timestamp(&self) -> u64 {
        self.0.timestamp
    }
    #[getter]
    fn expiry(&self) -> u64 {
        self.0.expiry
    }
    #[getter]
    fn payment_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payment_hash)
    }
    #[getter]
    fn payment_secret<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payment_secret)
    }
    #[getter]
    fn payee<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payee)
    }
    #[getter]
    fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }
    #[getter]
    fn description_hash<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.description_hash.map(|hash| PyBytes::new(py, &hash))
    }
    #[getter]
    fn min_final_cltv_expiry(&self) -> u64 {
        self.0.min_final_cltv_expiry
    }
    #[getter]
    fn fallback_addresses(&self) -> Vec<String> {
        self.0.fallback_addresses.clone()
    }
    #[getter]
    fn route_hints(&self) -> usize {
        self.0.route_hints
    }
}

#[pyfunction]
#[pyo3(signature = (invoice, /))]
pub(crate) fn bolt11_decode(py: Python<'_>, invoice: &str) -> Result<Bolt11> {
    Ok(Bolt11(py.detach(|| bolt11::decode(invoice))?))
}

#[pyfunction]
#[pyo3(signature = (
    secret, currency, amount_msat, payment_hash, payment_secret, description, timestamp, expiry, min_final_cltv_expiry, /
))]
#[expect(clippy::too_many_arguments, reason = "the signature of core.pyi")]
pub(crate) fn bolt11_encode(
    secret: &[u8],
    currency: &str,
    amount_msat: Option<&Bound<'_, PyAny>>,
    payment_hash: &[u8],
    payment_secret: &[u8],
    description: &str,
    timestamp: &Bound<'_, PyAny>,
    expiry: &Bound<'_, PyAny>,
    min_final_cltv_expiry: &Bound<'_, PyAny>,
) -> Result<String> {
    let draft = bolt11::Draft {
        currency,
        amount_msat: amount_msat
            .map(|amount| unsigned(amount, "an amount is 1 msat at least and below 2^64"))
            .transpose()?,
        payment_hash,
        payment_secret,
        description,
        timestamp: unsigned(timestamp, "the timestamp of an invoice is 0 at least and below 2^35")?,
        expiry: unsigned(expiry, "the expiry of an invoice is 0 at least and below 2^64")?,
        min_final_cltv_expiry: unsigned(min_final_cltv_expiry, "a number of blocks is 0 at least and below 2^64")?,
    };
    Ok(bolt11::encode(secret, &draft)?)
}
