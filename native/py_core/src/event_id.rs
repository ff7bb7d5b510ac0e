//! Ids of events that are given as Python values.

use crate::{Fault, Result, integer};
use pylon_core::event;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::cell::Cell;

/// Calls `f` with each item; lists and tuples without making an iterator.
#[inline(always)]
fn each<'py>(items: &Bound<'py, PyAny>, mut f: impl FnMut(&Bound<'py, PyAny>) -> Result<()>) -> Result<()> {
    if let Ok(list) = items.cast::<PyList>() {
        for item in list.iter() {
            f(&item)?;
        }
    } else if let Ok(tuple) = items.cast::<PyTuple>() {
        for item in tuple.iter_borrowed() {
            f(&item)?;
        }
    } else if items.is_instance_of::<PyString>() {
        // A string is a sequence of strings, and never meant as one.
        return Err(Fault::Python(PyTypeError::new_err("tags are a sequence of sequences of strings")));
    } else {
        for item in items.try_iter()? {
            f(&item?)?;
        }
    }
    Ok(())
}

/// Builds the canonical bytes of an event and calls `then` with them and their hash.
pub(crate) fn canonical<T>(
    pubkey: &str,
    created_at: &Bound<'_, PyAny>,
    kind: &Bound<'_, PyAny>,
    tags: &Bound<'_, PyAny>,
    content: &str,
    then: impl FnOnce(&[u8], [u8; 32]) -> Result<T>,
) -> Result<T> {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    let created_at = integer(created_at, "the created_at of an event is 0 at least and 2^53 at most")?;
    let kind = integer(kind, "the kind of an event is 0 at least and 65535 at most")?;
    // Taken out while in use: iterating `tags` may run Python code that comes here again.
    let mut buffer = BUFFER.take();
    let mut canonical = event::Canonical::new(&mut buffer, pubkey, created_at, kind)?;
    each(tags, |tag| {
        canonical.tag();
        each(tag, |value| {
            canonical.value(value.cast::<PyString>().map_err(PyErr::from)?.to_str()?);
            Ok(())
        })
    })?;
    let id = canonical.id(content);
    let result = then(&buffer, id);
    if buffer.capacity() <= 1 << 20 {
        BUFFER.set(buffer);
    }
    result
}

#[pyfunction]
#[pyo3(signature = (pubkey, created_at, kind, tags, content, /))]
pub(crate) fn event_id<'py>(
    py: Python<'py>,
    pubkey: &str,
    created_at: &Bound<'py, PyAny>,
    kind: &Bound<'py, PyAny>,
    tags: &Bound<'py, PyAny>,
    content: &str,
) -> Result<Bound<'py, PyBytes>> {
    canonical(pubkey, created_at, kind, tags, content, |_, id| Ok(PyBytes::new(py, &id)))
}
