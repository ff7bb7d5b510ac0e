//! Any bytes as a text, after two that say how long a span may be: the spans keep the chunker's promise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::chunk::{MIN_BYTES, ends};
use unicode_segmentation::UnicodeSegmentation;

fuzz_target!(|input: (u16, &[u8])| {
    let (extra, text) = input;
    let most = MIN_BYTES + usize::from(extra % 1024);
    let ends = ends(text, most).expect("a bound that is large enough");
    assert_eq!(ends.last().copied().unwrap_or(0), text.len());
    let mut start = 0;
    for &end in &ends {
        assert!(start < end && end - start <= most, "{start}..{end}");
        if end < text.len() {
            assert!(!(text[end - 1] == b'\r' && text[end] == b'\n'));
            if let Ok(text) = std::str::from_utf8(&text[start..]) {
                ends_well(text, end - start, most);
            }
        }
        start = end;
    }
    // What is cut is as much as fits, but for the window in which natural boundaries are looked for.
    assert!(ends.len() <= 1 + 2 * text.len().div_ceil(most));
});

/// A cut of a text stands between two characters, and in no grapheme that would fit.
fn ends_well(text: &str, cut: usize, most: usize) {
    assert!(text.is_char_boundary(cut));
    let around = text.grapheme_indices(true).find(|(at, grapheme)| *at < cut && cut < at + grapheme.len());
    if let Some((at, grapheme)) = around {
        assert!(at == 0 && grapheme.len() > most, "{cut} is in {grapheme:?}");
    }
}
