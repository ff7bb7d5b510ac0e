//! Spans of texts through the public face of the core.

use pylon_core::Error;
use pylon_core::chunk::spans;

/// Spans follow each other without a gap, within the bound, at the best boundary.
#[test]
fn cuts_at_paragraphs() {
    let text = format!("{}\n\n{}. {}", "a".repeat(40), "b".repeat(50), "字".repeat(30));
    let found = spans(text.as_bytes(), 64).expect("a text");
    assert_eq!(found[..2], [(0, 42), (42, 94)]);
    assert_eq!(found.last().map(|span| span.1), Some(text.len()));
    assert!(found.iter().all(|&(start, end)| end - start <= 64 && text.is_char_boundary(end)));
}

/// A bound that is too small and bytes that are no text are refused.
#[test]
fn refuses() {
    assert_eq!(spans(b"text", 63), Err(Error::Text("a span has 64 bytes at least and 2^63-1 at most")));
    assert_eq!(spans(b"\xff", 64), Err(Error::Text("the text is not UTF-8")));
    assert_eq!(spans(b"", 64), Ok(vec![]));
}
