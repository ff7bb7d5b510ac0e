//! The tags of an event that was scanned, read in place.

use crate::json::Text;

/// What stands in an array of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The next value of the tag, a string (`unescaped` says what it means).
    Value(Text),
    /// The tag has no more values.
    End,
}

/// The tags in the text of their array (`Scanned::tags`), value by value, in order. Positions are those of `raw`.
///
/// Any other text gives some parts or none; it does no harm.
#[must_use]
pub fn tags(raw: &[u8]) -> Tags<'_> {
    Tags { raw, at: 1, inside: false }
}

/// An iterator over the tags.
#[derive(Clone, Debug)]
pub struct Tags<'a> {
    raw: &'a [u8],
    at: usize,
    inside: bool,
}

impl Iterator for Tags<'_> {
    type Item = Part;

    #[inline]
    fn next(&mut self) -> Option<Part> {
        // Between strings and brackets stand only commas and white space.
        while let Some(&c) = self.raw.get(self.at) {
            self.at += 1;
            match c {
                b'"' if self.inside => {
                    let start = self.at;
                    let (end, plain) = closing(self.raw, start)?;
                    self.at = end + 1;
                    return Some(Part::Value(Text { start, end, canonical: plain }));
                }
                b'[' => self.inside = true,
                b']' if self.inside => {
                    self.inside = false;
                    return Some(Part::End);
                }
                _ => {}
            }
        }
        None
    }
}

/// The quote that closes the string that starts at `at`, and whether the string has no escape.
#[inline]
fn closing(text: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut plain = true;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some((at, plain));
        }
        plain = false;
        at += 2;
    }
}
