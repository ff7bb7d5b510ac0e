//! Any bytes as a text, after two that say how long a span may be and one that says how it is cut: the spans keep the
//! chunker's promise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::chunk::{MIN_BYTES, ends};
use unicode_segmentation::UnicodeSegmentation;

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (extra, content_defined, text) = input;
    let most = MIN_BYTES + usize::from(extra % 1024);
    let ends = ends(text, most, content_defined).expect("a bound that is large enough");
    assert_eq!(ends.last().copied().unwrap_or(0), text.len());
    let mut start = 0;
    for &end in &ends {
        assert!(start < end && end - start <= most, "{start}..{end}");
        if end < text.len() {
            assert!(!(text[end - 1] == b'\r' && text[end] == b'\n'));
        }
        start = end;
    }
    end_well(text, &ends, most);
    // Spans are a quarter of the bound at least, but where a grapheme fills the next one.
    assert!(ends.len() <= 1 + 8 * text.len().div_ceil(most));
});

/// A cut stands between two characters, and in no grapheme that would fit.
fn end_well(text: &[u8], ends: &[usize], most: usize) {
    let mut start = 0;
    for chunk in text.utf8_chunks() {
        for (at, grapheme) in chunk.valid().grapheme_indices(true) {
            let inside = ends.iter().filter(|&&end| start + at < end && end < start + at + grapheme.len());
            for &end in inside {
                assert!(grapheme.len() > most, "{end} is in {grapheme:?}");
                assert!(chunk.valid().is_char_boundary(end - start));
            }
        }
        start += chunk.valid().len() + chunk.invalid().len();
    }
}
