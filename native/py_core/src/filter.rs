//! The index of filters, for Python.
//!
//! An index may be asked by a thread without the GIL while another changes it: a lock inside lets in many readers or one writer.
//! Nobody holds it while running Python code or waiting for the GIL, so that the two cannot wait for each other.

use crate::events::VerifiedEvent;
use crate::{Fault, Result, integer};
use pylon_core::Error;
use pylon_core::filter;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMapping, PyString};
use std::cell::Cell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Filters under keys.
#[pyclass(frozen, module = "pylon._native.core")]
pub(crate) struct FilterIndex(pub(crate) RwLock<filter::Index>);

impl FilterIndex {
    fn read(&self) -> RwLockReadGuard<'_, filter::Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, filter::Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `then` with the keys that match, when the lock is given back.
    fn found<T>(&self, event: &VerifiedEvent, then: impl FnOnce(&[u64]) -> T) -> T {
        thread_local! {
            static FOUND: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
        }
        // Taken out while in use: `then` may come here again.
        let mut found = FOUND.take();
        self.read().matches(&event.view(), &mut found);
        let made = then(&found);
        if found.capacity() <= KEPT {
            FOUND.set(found);
        }
        made
    }
}

/// Keys for which room is kept between calls, in a thread.
const KEPT: usize = 1 << 12;

#[pymethods]
impl FilterIndex {
    #[new]
    #[pyo3(signature = ())]
    fn new() -> Result<Self> {
        Ok(Self(RwLock::new(filter::Index::new()?)))
    }

    #[pyo3(signature = (key, wanted, /))]
    fn add(&self, key: &Bound<'_, PyAny>, wanted: &Bound<'_, PyAny>) -> Result<()> {
        let (key, wanted) = (number(key, KEY)?, read_filter(wanted)?);
        self.write().add(key, wanted);
        Ok(())
    }

    #[pyo3(signature = (key, /))]
    fn remove(&self, key: &Bound<'_, PyAny>) -> Result<()> {
        let key = number(key, KEY)?;
        self.write().remove(key);
        Ok(())
    }

    #[pyo3(name = "match", signature = (event, /))]
    fn match_<'py>(&self, py: Python<'py>, event: &VerifiedEvent) -> PyResult<Bound<'py, PyList>> {
        // As signed numbers, from which Python makes its integers in a shorter way. `number` lets no larger key in.
        self.found(event, |keys| PyList::new(py, keys.iter().map(|key| key.cast_signed())))
    }

    #[pyo3(signature = (events, /))]
    fn match_many<'py>(&self, py: Python<'py>, events: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let found = PyList::empty(py);
        for event in events {
            found.append(self.match_(py, event.cast::<VerifiedEvent>()?.get())?)?;
        }
        Ok(found)
    }

    fn __len__(&self) -> usize {
        self.read().len()
    }
}

const KEY: &str = "a key is 0 at least and 2^63-1 at most";
const TIME: &str = "since and until are 0 at least and 2^63-1 at most";
const KIND: &str = "a kind is 0 at least and 65535 at most";
const HEX: &str = "ids and authors are 64 lower-case hex characters each";
const LETTER: &str = "the name of a tag to filter by is one letter of A-Z or a-z";

/// A `pylon.nostr.filter.Filter`, by its attributes. `limit` is no condition.
fn read_filter(wanted: &Bound<'_, PyAny>) -> Result<filter::Filter> {
    let py = wanted.py();
    let not_a_filter = || Fault::Python(PyTypeError::new_err("not a filter"));
    let attribute = |name| wanted.getattr_opt(name)?.ok_or_else(not_a_filter);
    let given = |name| Ok::<_, Fault>(Some(attribute(name)?).filter(|value| !value.is_none()));
    let time = |value: Option<Bound<'_, PyAny>>| value.map(|value| number(&value, TIME)).transpose();
    let mut tags = Vec::new();
    let by_letter = attribute(intern!(py, "tags"))?.cast_into::<PyMapping>().map_err(|_| not_a_filter())?;
    for item in by_letter.items()? {
        let (name, values) = item.extract::<(Bound<'_, PyString>, Bound<'_, PyAny>)>()?;
        let letter = match *name.to_str()?.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => letter,
            _ => return Err(Error::Filter(LETTER).into()),
        };
        tags.push((letter, list(&values, |value| Ok(text(value)?.to_str()?.as_bytes().into()))?));
    }
    let keys = |value: Option<Bound<'_, PyAny>>| value.map(|value| list(&value, hex)).transpose();
    let kind = |value: &Bound<'_, PyAny>| u16::try_from(number(value, KIND)?).map_err(|_| Error::Filter(KIND).into());
    Ok(filter::Filter {
        ids: keys(given(intern!(py, "ids"))?)?,
        authors: keys(given(intern!(py, "authors"))?)?,
        kinds: given(intern!(py, "kinds"))?.map(|kinds| list(&kinds, kind)).transpose()?,
        tags,
        since: time(given(intern!(py, "since"))?)?,
        until: time(given(intern!(py, "until"))?)?,
    })
}

/// What `read` makes of each item. A string is a sequence of strings, and never meant as one; bytes are none of integers.
fn list<T>(items: &Bound<'_, PyAny>, read: impl Fn(&Bound<'_, PyAny>) -> Result<T>) -> Result<Vec<T>> {
    if items.is_instance_of::<PyString>() || items.is_instance_of::<PyBytes>() {
        return Err(Fault::Python(PyTypeError::new_err("the values of a filter are a sequence")));
    }
    items.try_iter()?.map(|item| read(&item?)).collect()
}

fn text<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Result<&'a Bound<'py, PyString>> {
    Ok(value.cast::<PyString>().map_err(PyErr::from)?)
}

fn hex(value: &Bound<'_, PyAny>) -> Result<[u8; 32]> {
    let digits = text(value)?.to_str()?.as_bytes();
    let mut bytes = [0; 32];
    let lower = digits.len() == 64 && !digits.iter().any(u8::is_ascii_uppercase);
    if !lower || faster_hex::hex_decode(digits, &mut bytes).is_err() {
        return Err(Error::Filter(HEX).into());
    }
    Ok(bytes)
}

fn number(value: &Bound<'_, PyAny>, what: &'static str) -> Result<u64> {
    u64::try_from(integer(value, what)?).map_err(|_| Error::Filter(what).into())
}
