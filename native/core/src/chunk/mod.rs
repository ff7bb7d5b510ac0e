//! Spans of bounded size over a text of any length, cut where it parts by itself; never inside a grapheme that fits (UAX #29).
//!
//! The spans are lossless (they cover every byte once, in order), bounded, and the same for the same bytes. No cut stands in a
//! character, in a grapheme cluster (but in one longer than the bound, between its characters), or in a CRLF. Only windows are
//! read, so a file that is mapped is cut without reading it whole; bytes that are no UTF-8 are characters of their own.

mod boundary;
mod content;
mod grapheme;
mod lanes;
mod window;

use crate::error::Error;
use lanes::Lanes;
use std::ops::Range;
use window::Window;

/// The smallest bound: room for every grapheme that people write.
pub const MIN_BYTES: usize = 64;

/// In how many bytes before the bound a natural boundary is looked for: a quarter of it, but `LEAST` at least (half of a small
/// bound) and `MOST` at most, so that a large span costs no more than a small one and yet can end at a heading.
fn window(max_bytes: usize) -> usize {
    const LEAST: usize = 256;
    const MOST: usize = 2048;
    (max_bytes / 4).clamp(LEAST, MOST).min(max_bytes / 2)
}

/// Where to cut `text` so that no span has more than `max_bytes`: the end of each span, the last being the end of the text.
///
/// The best boundary in the window before the bound is taken, the last of the best: a heading, an empty line (one before
/// something at column 0 first), the start of a block of code or of a definition at column 0, a line end, a sentence end, a
/// space, a grapheme. The window is a quarter of the bound: 256 bytes at least (half of a small bound), and 2048 at most.
///
/// With `content_defined` the text is cut first where its content says so (`content.rs`), so that an edit changes only the spans
/// around it. Such spans are shorter: half the bound on average.
///
/// # Errors
/// `Error::Text` where `max_bytes` is less than `MIN_BYTES`.
pub fn ends(text: &[u8], max_bytes: usize, content_defined: bool) -> Result<Vec<usize>, Error> {
    if max_bytes < MIN_BYTES {
        return Err(Error::Text("a span has 64 bytes at least and 2^63-1 at most"));
    }
    #[cfg(target_arch = "x86_64")]
    if lanes::Avx2::here() {
        return Ok(ends_by::<lanes::Avx2>(text, max_bytes, content_defined));
    }
    Ok(ends_by::<u64>(text, max_bytes, content_defined))
}

fn ends_by<L: Lanes>(text: &[u8], max_bytes: usize, content_defined: bool) -> Vec<usize> {
    let mut ends = Vec::with_capacity(text.len() / (max_bytes - window(max_bytes)) + 2);
    let mut start = 0;
    if content_defined {
        for summit in content::summits(text, max_bytes / 4) {
            cut::<L>(text, start..summit, max_bytes, true, &mut ends);
            start = summit;
        }
    }
    cut::<L>(text, start..text.len(), max_bytes, content_defined, &mut ends);
    ends
}

/// The spans of a part of the text; `even`, if the last two shall be of about one size.
///
/// Two spans that follow each other cover `max_bytes` nearly and cost that much at most, so the whole is linear whatever the
/// text: a span is short only where the next grapheme fills the bound.
fn cut<L: Lanes>(text: &[u8], part: Range<usize>, max_bytes: usize, even: bool, ends: &mut Vec<usize>) {
    let mut start = part.start;
    while part.end - start > max_bytes {
        let half = ((part.end - start) / 8 * 5).max(MIN_BYTES);
        let most = if even { half.min(max_bytes) } else { max_bytes };
        let within = |most| {
            let high = start + most;
            Window { text, start, low: high - window(most), high }.cut::<L>()
        };
        let mut end = within(most);
        if most < max_bytes && !grapheme::starts(text, start, end) {
            end = within(max_bytes); // the grapheme is longer than the half, and may fit the bound
        }
        start = end;
        ends.push(end);
    }
    if start < part.end {
        ends.push(part.end);
    }
}

/// Whether `text` is UTF-8 all through.
pub fn is_utf8(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [&str; 26] = [
        "a word ",
        ". ",
        "\n",
        "\n\n",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n# h\n",
        "\n#c\n",
        "\n```rust\n",
        "\nfn f() {\n",
        "\n    x\n",
        "\t",
        "。",
        "！",
        "字",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "e\u{301}",
        "\u{301}",
        "\0",
        "x",
        "クク",
        "? ",
        "각",
        "\n}\n",
    ];

    /// Texts of all kinds of boundaries, each kind more often in some of them.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        let mut state = 1u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        (0..300).map(move |number| {
            let kinds: Vec<_> = (0..1 + number % 9).map(|_| PARTS[random(PARTS.len())]).collect();
            let mut text: Vec<u8> = (0..random(900)).flat_map(|_| kinds[random(kinds.len())].bytes()).collect();
            if number % 5 == 0 {
                text.iter_mut().step_by(31).for_each(|byte| *byte = byte.wrapping_add(0x5d));
            }
            text
        })
    }

    #[test]
    fn every_processor_cuts_the_same() {
        for text in texts() {
            for (max_bytes, content) in
                [64, 65, 127, 128, 200, 1000, 9000].into_iter().flat_map(|most| [(most, false), (most, true)])
            {
                assert_eq!(ends(&text, max_bytes, content), Ok(ends_by::<u64>(&text, max_bytes, content)));
            }
        }
    }
}
