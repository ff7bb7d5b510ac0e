//! Texts: spans of what any buffer of Python holds, found where it stands.

use crate::{Result, integer};
use pylon_core::{Error, chunk};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// Calls `f` with the bytes of a buffer: `bytes`, a `memoryview`, a mapped file. The GIL is released where the buffer is read
/// only; one that Python code may write to is read while none can run.
fn with<T: Send>(text: &Bound<'_, PyAny>, f: impl FnOnce(&[u8]) -> T + Send) -> Result<T> {
    let py = text.py();
    if let Ok(bytes) = text.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        return Ok(py.detach(|| f(bytes)));
    }
    let buffer = PyUntypedBuffer::get(text)?;
    if !buffer.is_c_contiguous() {
        return Err(Error::Text("a text is one piece of memory").into());
    }
    let bytes = if buffer.len_bytes() == 0 {
        &[]
    } else {
        // SAFETY: the buffer holds so many bytes in one piece, and keeps them where they are until it is dropped below. Python
        // code cannot run meanwhile, or may only read; who writes all the same (another process to a file that is mapped, or
        // the owner behind a view that is read only) changes at most where it is cut: every index is held to the length, and no
        // text is made of these bytes without a copy. (Who makes a mapped file shorter ends the process, by SIGBUS.)
        unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>().cast_const(), buffer.len_bytes()) }
    };
    Ok(if buffer.readonly() { py.detach(|| f(bytes)) } else { f(bytes) })
}

#[pyfunction]
#[pyo3(signature = (text, max_bytes, content_defined=false, /))]
pub(crate) fn chunk_spans<'py>(
    text: &Bound<'py, PyAny>,
    max_bytes: &Bound<'py, PyAny>,
    content_defined: bool,
) -> Result<Bound<'py, PyList>> {
    // A bound that fits no machine word bounds nothing; one below zero is too small.
    let max_bytes = integer(max_bytes, "a span has 64 bytes at least and 2^63-1 at most")?;
    let max_bytes = usize::try_from(max_bytes).unwrap_or(0);
    let ends = with(text, |text| chunk::ends(text, max_bytes, content_defined))??;
    Ok(pairs(text.py(), &ends)?)
}

/// The list of (start, end): each end is the same number as the next start, made once.
fn pairs<'py>(py: Python<'py>, ends: &[usize]) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: every object is checked for null before it is used. A list and a tuple that are new and seen by nobody else are
    // filled within their lengths; each slot gets a reference of its own.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(ends.len().cast_signed()))?;
        let mut start = Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromSsize_t(0))?;
        for (number, &end) in ends.iter().enumerate() {
            let end = Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromSsize_t(end.cast_signed()))?;
            let pair = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(2))?;
            ffi::PyTuple_SET_ITEM(pair.as_ptr(), 0, start.into_ptr());
            ffi::PyTuple_SET_ITEM(pair.as_ptr(), 1, end.clone().into_ptr());
            ffi::PyList_SET_ITEM(list.as_ptr(), number.cast_signed(), pair.into_ptr());
            start = end;
        }
        Ok(list.cast_into_unchecked())
    }
}

#[pyfunction]
#[pyo3(signature = (text, /))]
pub(crate) fn is_utf8(text: &Bound<'_, PyAny>) -> Result<bool> {
    with(text, chunk::is_utf8)
}
