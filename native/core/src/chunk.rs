//! Spans of bounded size over a text, cut at the best natural boundary; never inside a grapheme that fits (UAX #29).

use crate::error::Error;
use unicode_segmentation::GraphemeCursor;

/// The smallest bound: room for every grapheme that people write.
pub const MIN_BYTES: usize = 64;

/// What a line at column 0 begins with where a definition begins, in the languages most source code is written in.
const DEFINITIONS: [&[u8]; 26] = [
    b"def ",
    b"class ",
    b"async ",
    b"fn ",
    b"pub ",
    b"pub(",
    b"impl ",
    b"impl<",
    b"func ",
    b"function ",
    b"struct ",
    b"enum ",
    b"trait ",
    b"mod ",
    b"type ",
    b"interface ",
    b"export ",
    b"const ",
    b"static ",
    b"unsafe ",
    b"extern ",
    b"public ",
    b"private ",
    b"protected ",
    b"namespace ",
    b"template",
];

/// The full stops of Chinese and Japanese, after which no space stands.
const STOPS: [&str; 3] = ["。", "！", "？"];

/// One cut: the text from `start` on, of which at most `high - start` bytes may be taken. A cut is where the next span begins.
struct Window<'a> {
    text: &'a str,
    bytes: &'a [u8],
    start: usize,
    low: usize,
    high: usize,
}

impl Window<'_> {
    /// Whether a grapheme begins at `at`, seen from the start of the span: looking back further would not be linear.
    fn grapheme(&self, at: usize) -> bool {
        let (before, after) = (self.bytes[at - 1], self.bytes[at]);
        if before < 128 && after < 128 {
            return !(before == b'\r' && after == b'\n');
        }
        if !self.text.is_char_boundary(at) {
            return false;
        }
        let end = (at + 1..=self.bytes.len()).find(|&end| self.text.is_char_boundary(end)).unwrap_or(self.bytes.len());
        let seen = &self.text[self.start..end];
        GraphemeCursor::new(at - self.start, seen.len(), true).is_boundary(seen, 0).unwrap_or(false)
    }

    /// The last half of the window, where natural boundaries are looked for.
    fn half(&self) -> &[u8] {
        &self.bytes[self.low..self.high]
    }

    /// Every end of an empty line, the last first.
    fn paragraphs(&self) -> impl Iterator<Item = usize> {
        memchr::memrchr_iter(b'\n', self.half()).map(|found| self.low + found).filter_map(|at| {
            let line = self.bytes[self.start..at].strip_suffix(b"\r").unwrap_or(&self.bytes[self.start..at]);
            line.ends_with(b"\n").then_some(at + 1)
        })
    }

    /// An empty line before something at column 0: a paragraph of prose, or a definition at the top level of source code.
    fn block(&self) -> Option<usize> {
        self.paragraphs().find(|&cut| !matches!(self.bytes[cut], b' ' | b'\t' | b'\r' | b'\n' | b'}' | b')' | b']'))
    }

    fn definition(&self) -> Option<usize> {
        memchr::memrchr_iter(b'\n', self.half())
            .map(|found| self.low + found + 1)
            .find(|&cut| DEFINITIONS.iter().any(|word| self.bytes[cut..].starts_with(word)))
    }

    fn line(&self) -> Option<usize> {
        memchr::memrchr(b'\n', self.half()).map(|found| self.low + found + 1)
    }

    fn sentence(&self) -> Option<usize> {
        let latin = memchr::memrchr_iter(b' ', self.half())
            .map(|found| self.low + found + 1)
            .find(|&cut| matches!(self.bytes[cut - 2], b'.' | b'!' | b'?') && self.grapheme(cut));
        let wide = STOPS.iter().filter_map(|stop| {
            let stops = memchr::memmem::rfind_iter(self.half(), stop.as_bytes());
            stops.map(|found| self.low + found + stop.len()).find(|&cut| self.grapheme(cut))
        });
        latin.into_iter().chain(wide).max()
    }

    fn word(&self) -> Option<usize> {
        memchr::memrchr3_iter(b' ', b'\t', b'\r', self.half())
            .map(|found| self.low + found + 1)
            .find(|&cut| self.grapheme(cut))
    }

    /// Between two graphemes, or between two characters of one that is longer than the whole window.
    fn anywhere(&self) -> usize {
        let mut character = self.high;
        while !self.text.is_char_boundary(character) {
            character -= 1;
        }
        (self.start + 1..=character).rev().find(|&cut| self.grapheme(cut)).unwrap_or(character)
    }

    fn cut(&self) -> usize {
        self.block()
            .or_else(|| self.definition())
            .or_else(|| self.paragraphs().next())
            .or_else(|| self.line())
            .or_else(|| self.sentence())
            .or_else(|| self.word())
            .unwrap_or_else(|| self.anywhere())
    }
}

/// Where to cut `text` so that no span has more than `max_bytes`: the spans (start, end) follow each other without a gap.
///
/// The best boundary in the last half of each window is taken, in this order: an empty line before something at column 0, a
/// line that begins a definition, any empty line, any line, sentence, word, grapheme. Two spans that follow each other
/// cover `max_bytes` nearly, and each costs that much at most, so the whole is linear whatever the text.
pub fn spans(text: &[u8], max_bytes: usize) -> Result<Vec<(usize, usize)>, Error> {
    if max_bytes < MIN_BYTES {
        return Err(Error::Text("a span has 64 bytes at least and 2^63-1 at most"));
    }
    let bytes = text;
    let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Error::Text("the text is not UTF-8"))?;
    let mut spans = Vec::with_capacity(bytes.len() / max_bytes + 1);
    let mut start = 0;
    while bytes.len() - start > max_bytes {
        let window = Window { text, bytes, start, low: start + max_bytes / 2, high: start + max_bytes };
        let cut = window.cut();
        spans.push((start, cut));
        start = cut;
    }
    if start < bytes.len() {
        spans.push((start, bytes.len()));
    }
    Ok(spans)
}
