//! The cache of what was verified and delivered, for Python.

use crate::{Result, integer};
use pylon_core::seen;
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One cache, which several threads may use at once.
#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct Seen(pub(crate) Mutex<seen::Seen>);

impl Seen {
    /// The cache itself. Whoever holds it must not ask for the GIL: another thread may wait for the cache and have it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, seen::Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Seen {
    #[new]
    #[pyo3(signature = (capacity, /))]
    fn new(capacity: &Bound<'_, PyAny>) -> Result<Self> {
        // What fits no machine word is too much, and what is below zero too little, like nothing at all.
        let capacity = usize::try_from(integer(capacity, seen::CAPACITY)?).unwrap_or(0);
        Ok(Self(Mutex::new(seen::Seen::new(capacity)?)))
    }

    #[getter]
    fn verified(&self) -> usize {
        self.lock().verified()
    }

    #[getter]
    fn delivered(&self) -> usize {
        self.lock().delivered()
    }
}
