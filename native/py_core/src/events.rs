//! Events for Python: what was verified is a type of its own, and only this file makes it.

use crate::filter::FilterIndex;
use crate::seen::Seen;
use crate::{Fault, Result};
use pylon_core::event::Part;
use pylon_core::filter::View;
use pylon_core::ingest::{self, Arrival};
use pylon_core::{Error, event};
use pyo3::basic::CompareOp;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// An event whose form, id and signature hold. What everybody reads is made with it, and reading it is reading a slot; the
/// content, which may be long, is made when it is asked for, from the text that the event keeps.
#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct VerifiedEvent {
    text: PyBackedBytes,
    fields: event::Scanned,
    #[pyo3(get)]
    id: Py<PyString>,
    #[pyo3(get)]
    pubkey: Py<PyString>,
    #[pyo3(get)]
    kind: Py<PyInt>,
    #[pyo3(get)]
    tags: Py<PyTuple>,
    content: PyOnceLock<Py<PyString>>,
    raw: PyOnceLock<Py<PyBytes>>,
}

impl VerifiedEvent {
    /// The event; what it has in common with the one before it is shared.
    pub(crate) fn new(
        py: Python<'_>,
        text: PyBackedBytes,
        fields: event::Scanned,
        before: Option<&VerifiedEvent>,
    ) -> Result<Self> {
        let pubkey = match before {
            Some(other) if other.fields.pubkey == fields.pubkey => other.pubkey.clone_ref(py),
            _ => hex::<64>(py, &fields.pubkey)?.unbind(),
        };
        let kind = match before {
            Some(other) if other.fields.kind == fields.kind => other.kind.clone_ref(py),
            _ => PyInt::new(py, fields.kind).unbind(),
        };
        Ok(Self {
            id: hex::<64>(py, &fields.id)?.unbind(),
            pubkey,
            kind,
            tags: tags(py, fields.tags.of(&text))?.unbind(),
            content: PyOnceLock::new(),
            raw: PyOnceLock::new(),
            text,
            fields,
        })
    }

    /// What filters look at.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(&self.text, &self.fields)
    }
}

/// The tags in the JSON text of their array.
fn tags<'py>(py: Python<'py>, raw: &[u8]) -> Result<Bound<'py, PyTuple>> {
    let (mut tags, mut values) = (Vec::with_capacity(8), Vec::with_capacity(8));
    for part in event::tags(raw) {
        match part {
            Part::Value(value) => values.push(string(py, raw, value)?),
            Part::End => tags.push(PyTuple::new(py, values.drain(..))?),
        }
    }
    Ok(PyTuple::new(py, tags)?)
}

/// A Python string of checked UTF-8.
fn string<'py>(py: Python<'py>, raw: &[u8], text: event::Text) -> Result<Bound<'py, PyString>> {
    let text = event::unescaped(raw, text);
    // Of one character Python has a string already, which all names of tags share; the other way would make a new one.
    if text.len() > 1 && text.is_ascii() { ascii(py, &text) } else { Ok(PyString::from_bytes(py, &text)?) }
}

/// A Python string of ASCII: its bytes are copied as they are.
fn ascii<'py>(py: Python<'py>, text: &[u8]) -> Result<Bound<'py, PyString>> {
    let length = ffi::Py_ssize_t::try_from(text.len()).map_err(|_| Error::Event("a string is too long"))?;
    // SAFETY: `PyUnicode_New` gives a new reference or null with an error set, which `from_owned_ptr_or_err` turns into an
    // error. Nobody else has the string yet, it holds `length` bytes of one character each (the largest is 127), and every
    // one of them is written; `text` is ASCII, as the callers have seen to.
    unsafe {
        let string = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, 127))?;
        ffi::PyUnicode_DATA(string.as_ptr()).cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        Ok(string.cast_into_unchecked())
    }
}

/// Lower-case hexadecimal digits.
fn hex<'py, const N: usize>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyString>> {
    let mut digits = [0; N];
    let _ = faster_hex::hex_encode(bytes, &mut digits); // it has the room
    ascii(py, &digits)
}

#[pymethods]
impl VerifiedEvent {
    #[getter]
    fn created_at(&self) -> u64 {
        self.fields.created_at
    }

    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> Result<&Bound<'py, PyString>> {
        Ok(self
            .content
            .get_or_try_init(py, || string(py, &self.text, self.fields.content).map(Bound::unbind))?
            .bind(py))
    }

    #[getter]
    fn sig<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyString>> {
        hex::<128>(py, &self.fields.signature)
    }

    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Result<&Bound<'py, PyBytes>> {
        let make = || -> Result<Py<PyBytes>> {
            let (start, end) = self.fields.object;
            if end - start == self.text.len() {
                // Nothing stands around it: the text itself, not a copy.
                let Ok(text) = (&self.text).into_pyobject(py);
                return Ok(text.unbind());
            }
            Ok(PyBytes::new(py, &self.text[start..end]).unbind())
        };
        Ok(self.raw.get_or_try_init(py, make)?.bind(py))
    }

    #[pyo3(signature = (name, /))]
    fn first<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> Result<Option<Bound<'py, PyTuple>>> {
        for tag in self.tags.bind_borrowed(py).iter_borrowed() {
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
        for tag in self.tags.bind_borrowed(py).iter_borrowed() {
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
    let found = PyList::empty(py);
    let mut before: Option<Bound<'_, VerifiedEvent>> = None;
    for (text, result) in texts.into_iter().zip(checked) {
        match result {
            Ok(fields) => {
                let event = VerifiedEvent::new(py, text, fields, before.as_ref().map(Bound::get))?;
                let event = Bound::new(py, event)?;
                found.append(&event)?;
                before = Some(event);
            }
            Err(code) => found.append(code)?,
        }
    }
    Ok(found)
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
    let text = PyBackedBytes::from(raw.clone());
    match event::scan(&text) {
        Ok(fields) => VerifiedEvent::new(raw.py(), text, fields, None),
        Err(_) => Err(Fault::Core(Error::Event("what was kept is not an event"))),
    }
}
