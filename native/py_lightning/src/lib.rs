//! The Python face of `pylon-lightning`: module `pylon._native.lightning`, described in `pylon/_native/lightning.pyi`.
//! Every call that can wait releases the GIL; every error is one `LightningError`; no panic leaves as one.

use pylon_lightning::{Error, Node as Inner, Settings, settings};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};

pyo3::create_exception!(pylon._native.lightning, LightningError, PyException, "(code, message) of what went wrong.");

/// An error of the node on its way out.
struct Fault(Error);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Fault> for PyErr {
    fn from(Fault(error): Fault) -> Self {
        LightningError::new_err((error.code, error.message))
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// Runs without the GIL; what panics there is an error.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> pylon_lightning::Result<T> + Send) -> Result<T> {
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    Ok(done.unwrap_or_else(|panic| Err(Error::panic(&*panic)))?)
}

fn exactly<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N]> {
    Ok(bytes.try_into().map_err(|_| Error::invalid(what, format!("{N} bytes are wanted")))?)
}

fn bytes<'py>(
    py: Python<'py>,
    work: impl FnOnce() -> pylon_lightning::Result<Vec<u8>> + Send,
) -> Result<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &run(py, work)?))
}

/// A Lightning node.
#[pyclass(frozen, module = "pylon._native.lightning")]
struct Node(Arc<Inner>);

/// The nodes that there are, to be stopped when the interpreter ends.
static NODES: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// Stops every node; `atexit` calls it, since an object that a module holds is not dropped at the end.
#[pyfunction]
fn stop_all(py: Python<'_>) -> Result<()> {
    run(py, || {
        let nodes = std::mem::take(&mut *NODES.lock().unwrap_or_else(PoisonError::into_inner));
        nodes.iter().filter_map(Weak::upgrade).for_each(|node| node.stop());
        Ok(())
    })
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (
        folder, seed, network, chain, *, listen=None, alias=None, trusted=None, lsps2=None, service=false,
        fee_base_msat=0, fee_ppm=0, full_sync=false, workers=2, log_level="info"
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        folder: String,
        seed: &[u8],
        network: &str,
        chain: String,
        listen: Option<String>,
        alias: Option<String>,
        trusted: Option<(String, String)>,
        lsps2: Option<(String, String, Option<String>)>,
        service: bool,
        fee_base_msat: u32,
        fee_ppm: u32,
        full_sync: bool,
        workers: usize,
        log_level: &str,
    ) -> Result<Self> {
        let peer =
            |(id, place): (String, String)| Ok::<_, Error>((settings::node_id(&id)?, settings::address(&place)?));
        let settings = Settings {
            folder: folder.into(),
            seed: exactly(seed, "seed")?,
            network: settings::network(network)?,
            chain,
            listen,
            alias,
            trusted: trusted.map(peer).transpose()?,
            lsps2: match lsps2 {
                Some((id, place, token)) => Some((settings::node_id(&id)?, settings::address(&place)?, token)),
                None => None,
            },
            service,
            fee_base_msat,
            fee_ppm,
            full_sync,
            workers,
            log_level: log_level.into(),
        };
        let node = Arc::new(run(py, || Inner::new(settings))?);
        let mut nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|node| node.strong_count() > 0);
        nodes.push(Arc::downgrade(&node));
        Ok(Self(node))
    }

    #[getter]
    fn node_id(&self) -> String {
        self.0.node_id()
    }

    fn start(&self, py: Python<'_>) -> Result<()> {
        run(py, || self.0.start())
    }

    fn stop(&self, py: Python<'_>) -> Result<()> {
        run(py, || {
            self.0.stop();
            Ok(())
        })
    }

    fn fileno(&self) -> i32 {
        self.0.waiting().fileno()
    }

    fn event<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.waiting().event().map(|event| PyBytes::new(py, &event))
    }

    fn acknowledge(&self) -> Result<()> {
        Ok(self.0.waiting().acknowledge()?)
    }

    fn status<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        bytes(py, || self.0.status())
    }

    #[pyo3(signature = (node_id, address, /))]
    fn connect(&self, py: Python<'_>, node_id: &str, address: &str) -> Result<()> {
        run(py, || self.0.connect(node_id, address))
    }

    #[pyo3(signature = (node_id, /))]
    fn disconnect(&self, py: Python<'_>, node_id: &str) -> Result<()> {
        run(py, || self.0.disconnect(node_id))
    }

    fn peers<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        bytes(py, || self.0.peers())
    }

    fn channels<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        bytes(py, || self.0.channels())
    }

    fn balances<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        bytes(py, || self.0.balances())
    }

    fn payments<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>> {
        bytes(py, || self.0.payments())
    }

    #[pyo3(signature = (payment_hash, /))]
    fn payment<'py>(&self, py: Python<'py>, payment_hash: &[u8]) -> Result<Option<Bound<'py, PyBytes>>> {
        let hash = exactly(payment_hash, "payment hash")?;
        Ok(run(py, || self.0.payment(hash))?.map(|text| PyBytes::new(py, &text)))
    }

    #[pyo3(signature = (payment_hash, /))]
    fn forget(&self, py: Python<'_>, payment_hash: &[u8]) -> Result<()> {
        let hash = exactly(payment_hash, "payment hash")?;
        run(py, || self.0.forget(hash))
    }

    #[pyo3(signature = (node_id, address, sats, push_msat=0))]
    fn open_channel(&self, py: Python<'_>, node_id: &str, address: &str, sats: u64, push_msat: u64) -> Result<String> {
        run(py, || self.0.open_channel(node_id, address, sats, push_msat))
    }

    #[pyo3(signature = (user_id, node_id, force=false))]
    fn close_channel(&self, py: Python<'_>, user_id: &str, node_id: &str, force: bool) -> Result<()> {
        run(py, || self.0.close_channel(user_id, node_id, force))
    }

    fn update_channel(&self, py: Python<'_>, user_id: &str, node_id: &str) -> Result<()> {
        run(py, || self.0.update_channel(user_id, node_id))
    }

    #[pyo3(signature = (amount_msat, memo, expires_in, payment_hash=None, jit=false))]
    fn invoice(
        &self,
        py: Python<'_>,
        amount_msat: u64,
        memo: &str,
        expires_in: u32,
        payment_hash: Option<&[u8]>,
        jit: bool,
    ) -> Result<String> {
        let hash = payment_hash.map(|hash| exactly(hash, "payment hash")).transpose()?;
        run(py, || self.0.invoice(amount_msat, memo, expires_in, hash, jit))
    }

    fn pay(&self, py: Python<'_>, bolt11: &str, max_fee_msat: u64) -> Result<()> {
        run(py, || self.0.pay(bolt11, max_fee_msat))
    }

    fn claim(&self, py: Python<'_>, preimage: &[u8], amount_msat: u64) -> Result<()> {
        let preimage = exactly(preimage, "preimage")?;
        run(py, || self.0.claim(preimage, amount_msat))
    }

    fn fail(&self, py: Python<'_>, payment_hash: &[u8]) -> Result<()> {
        let hash = exactly(payment_hash, "payment hash")?;
        run(py, || self.0.fail(hash))
    }

    fn address(&self, py: Python<'_>) -> Result<String> {
        run(py, || self.0.address())
    }

    #[pyo3(signature = (address, sats=None, sat_per_vbyte=None))]
    fn send_onchain(
        &self,
        py: Python<'_>,
        address: &str,
        sats: Option<u64>,
        sat_per_vbyte: Option<u64>,
    ) -> Result<String> {
        run(py, || self.0.send_onchain(address, sats, sat_per_vbyte))
    }

    fn sync(&self, py: Python<'_>) -> Result<()> {
        run(py, || self.0.sync())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let stop = || {
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.stop())); // nobody is left to tell
        };
        if Python::try_attach(|py| py.detach(stop)).is_none() {
            stop();
        }
    }
}

/// What the extension offers.
#[pymodule]
mod lightning {
    use super::{Bound, PyAnyMethods, PyModule, PyModuleMethods, PyResult, wrap_pyfunction};
    #[pymodule_export]
    use super::{LightningError, Node};

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        let stop = wrap_pyfunction!(super::stop_all, m)?;
        m.py().import("atexit")?.call_method1("register", (stop,))?;
        m.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
