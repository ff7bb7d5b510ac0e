//! Events for Python: what was verified is a type of its own, and only this file makes it.

use crate::filter::FilterIndex;
use crate::seen::Seen;
use crate::{Fault, Result};
use pylon_core::filter::View;
use pylon_core::ingest::{self, Arrival};
use pylon_core::{Error, event};
use pyo3::basic::CompareOp;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// An event whose form, id and signature hold. It keeps the text that it came in; a field becomes a Python value when it
/// is asked for, and stays.
#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct VerifiedEvent {
    text: PyBackedBytes,
    fields: event::Scanned,
    id: PyOnceLock<Py<PyString>>,
    pubkey: PyOnceLock<Py<PyString>>,
    tags: PyOnceLock<Py<PyTuple>>,
    content: PyOnceLock<Py<PyString>>,
    raw: PyOnceLock<Py<PyBytes>>,
}

impl VerifiedEvent {
    pub(crate) fn new(text: PyBackedBytes, fields: event::Scanned) -> Self {
        Self {
            text,
            fields,
            id: PyOnceLock::new(),
            pubkey: PyOnceLock::new(),
            tags: PyOnceLock::new(),
            content: PyOnceLock::new(),
            raw: PyOnceLock::new(),
        }
    }

    /// What filters look at.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(&self.text, &self.fields)
    }

    fn make_tags<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyTuple>> {
        let raw = self.fields.tags.of(&self.text);
        let tags = event::tags(raw)
            .map(|tag| {
                let values = tag.map(|value| string(py, raw, value)).collect::<Result<Vec<_>>>()?;
                Ok(PyTuple::new(py, values)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(PyTuple::new(py, tags)?)
    }

    fn tag_list<'py>(&self, py: Python<'py>) -> Result<&Bound<'py, PyTuple>> {
        Ok(self.tags.get_or_try_init(py, || self.make_tags(py).map(Bound::unbind))?.bind(py))
    }
}

fn string<'py>(py: Python<'py>, raw: &[u8], text: event::Text) -> Result<Bound<'py, PyString>> {
    Ok(PyString::from_bytes(py, &event::unescaped(raw, text))?)
}

fn hex<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    PyString::new(py, &faster_hex::hex_string(bytes))
}

#[pymethods]
impl VerifiedEvent {
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.id.get_or_init(py, || hex(py, &self.fields.id).unbind()).bind(py)
    }

    #[getter]
    fn pubkey<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        self.pubkey.get_or_init(py, || hex(py, &self.fields.pubkey).unbind()).bind(py)
    }

    #[getter]
    fn created_at(&self) -> u64 {
        self.fields.created_at
    }

    #[getter]
    fn kind(&self) -> u16 {
        self.fields.kind
    }

    #[getter]
    fn tags<'py>(&self, py: Python<'py>) -> Result<&Bound<'py, PyTuple>> {
        self.tag_list(py)
    }

    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Result<&Bound<'py, PyString>> {
        Ok(self
            .content
            .get_or_try_init(py, || string(py, &self.text, self.fields.content).map(Bound::unbind))?
            .bind(py))
    }

    #[getter]
    fn sig<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        hex(py, &self.fields.signature)
    }

    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> &Bound<'py, PyBytes> {
        self.raw
            .get_or_init(py, || {
                let (start, end) = self.fields.object;
                PyBytes::new(py, &self.text[start..end]).unbind()
            })
            .bind(py)
    }

    #[pyo3(signature = (name, /))]
    fn first<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> Result<Option<Bound<'py, PyTuple>>> {
        for tag in self.tag_list(py)?.iter_borrowed() {
            let tag = tag.cast::<PyTuple>().map_err(PyErr::from)?;
            if !tag.is_empty() && tag.get_borrowed_item(0)?.eq(name)? {
                return Ok(Some(tag.to_owned()));
            }
        }
        Ok(None)
    }

    #[pyo3(signature = (name, /))]
    fn values<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> Result<Bound<'py, PyTuple>> {
        let mut found = Vec::new();
        for tag in self.tag_list(py)?.iter_borrowed() {
            let tag = tag.cast::<PyTuple>().map_err(PyErr::from)?;
            if tag.len() > 1 && tag.get_borrowed_item(0)?.eq(name)? {
                found.push(tag.get_item(1)?);
            }
        }
        Ok(PyTuple::new(py, found)?)
    }

    fn __richcmp__(&self, py: Python<'_>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let (CompareOp::Eq | CompareOp::Ne, Ok(other)) = (op, other.cast::<Self>()) else {
            return Ok(py.NotImplemented());
        };
        // The id stands for everything but the signature.
        let other = &other.get().fields;
        let equal = self.fields.id == other.id && self.fields.signature == other.signature;
        Ok((equal == matches!(op, CompareOp::Eq)).into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one(self.fields.id)
    }

    fn __repr__(&self) -> String {
        let fields = &self.fields;
        format!("VerifiedEvent(id={:?}, kind={})", faster_hex::hex_string(&fields.id), fields.kind)
    }
}

fn held(events: &Bound<'_, PyList>) -> Result<Vec<PyBackedBytes>> {
    events.iter().map(|text| Ok(PyBackedBytes::from(text.cast_into::<PyBytes>().map_err(PyErr::from)?))).collect()
}

#[pyfunction]
#[pyo3(signature = (events, seen=None, scopes=None, wanted=None, /))]
pub(crate) fn check_events<'py>(
    py: Python<'py>,
    events: &Bound<'py, PyList>,
    seen: Option<&Bound<'py, Seen>>,
    scopes: Option<Vec<Option<u64>>>,
    wanted: Option<Vec<Option<Py<FilterIndex>>>>,
) -> Result<Bound<'py, PyList>> {
    let texts = held(events)?;
    let lengths = [scopes.as_ref().map(Vec::len), wanted.as_ref().map(Vec::len)];
    if lengths.into_iter().flatten().any(|length| length != texts.len() || seen.is_none()) {
        return Err(Error::Event("with a cache, there is one scope and one filter index for each event").into());
    }
    let seen = seen.map(|seen| &seen.get().0);
    let checked = py.detach(|| match seen {
        None => ingest::check_all(&texts),
        Some(seen) => {
            let scope = |i: usize| scopes.as_ref().and_then(|scopes| scopes[i]);
            let index = |i: usize| wanted.as_ref().and_then(|wanted| wanted[i].as_ref()).map(|index| &index.get().0);
            let arrival = |(i, text)| Arrival { text, scope: scope(i), wanted: index(i) };
            let arrivals: Vec<_> = texts.iter().map(|text| &**text).enumerate().map(arrival).collect();
            ingest::check(&arrivals, seen)
        }
    });
    let found = texts.into_iter().zip(checked).map(|(text, result)| match result {
        Ok(fields) => Ok(Py::new(py, VerifiedEvent::new(text, fields))?.into_any()),
        Err(code) => Ok(PyInt::new(py, code).into_any().unbind()),
    });
    Ok(PyList::new(py, found.collect::<Result<Vec<_>>>()?)?)
}

#[pyfunction]
#[pyo3(signature = (events, signatures=true, /))]
pub(crate) fn check_codes<'py>(
    py: Python<'py>,
    events: &Bound<'py, PyList>,
    signatures: bool,
) -> Result<Bound<'py, PyBytes>> {
    let texts = held(events)?;
    let codes = py.detach(|| ingest::codes(&texts, signatures));
    Ok(PyBytes::new(py, &codes))
}

#[pyfunction]
#[pyo3(signature = (raw, /))]
pub(crate) fn load_event(raw: Bound<'_, PyBytes>) -> Result<VerifiedEvent> {
    let text = PyBackedBytes::from(raw);
    match event::scan(&text) {
        Ok(fields) => Ok(VerifiedEvent::new(text, fields)),
        Err(_) => Err(Fault::Core(Error::Event("what was kept is not an event"))),
    }
}
