//! Spans of texts through the public face of the core.

use pylon_core::Error;
use pylon_core::chunk::{ends, is_utf8};

/// Spans follow each other without a gap, within the bound, at the best boundary.
#[test]
fn cuts_at_paragraphs() {
    let text = format!("{}\n\n{}. {}", "a".repeat(40), "b".repeat(50), "字".repeat(30));
    let found = ends(text.as_bytes(), 64, false).expect("a bound");
    assert_eq!(found[..2], [42, 94]);
    assert_eq!(found.last(), Some(&text.len()));
    assert!(
        found.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] <= 64 && text.is_char_boundary(pair[0]))
    );
}

/// A bound that is too small is refused; the largest is none.
#[test]
fn bounds() {
    assert_eq!(ends(b"text", 63, false), Err(Error::Text("a span has 64 bytes at least and 2^63-1 at most")));
    assert_eq!(ends(b"", 64, false), Ok(vec![]));
    assert_eq!(ends(b"\xff", usize::MAX, false), Ok(vec![1]));
    assert!(is_utf8("字".as_bytes()) && !is_utf8(b"\xe5\xad"));
}
