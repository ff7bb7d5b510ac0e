//! The tags of an event that was scanned, read in place.

use crate::json::Text;

/// The tags in the text of their array (`Scanned::tags`), in order. Positions are those of `raw`.
///
/// Any other text gives some tags or none; it does no harm.
#[must_use]
pub fn tags(raw: &[u8]) -> Tags<'_> {
    Tags { raw, at: 1 }
}

/// An iterator over the tags.
#[derive(Clone, Debug)]
pub struct Tags<'a> {
    raw: &'a [u8],
    at: usize,
}

/// One tag: an iterator over its values, each a string (`unescaped` says what it means).
#[derive(Clone, Debug)]
pub struct Tag<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.at + memchr::memchr(b'[', self.raw.get(self.at..)?)?;
        let tag = Tag { raw: self.raw, at: start + 1 };
        self.at = tag.end();
        Some(tag)
    }
}

impl Tag<'_> {
    /// The byte after the tag's closing bracket.
    fn end(&self) -> usize {
        let mut tag = self.clone();
        while tag.next().is_some() {}
        tag.at
    }
}

impl Iterator for Tag<'_> {
    type Item = Text;

    #[inline]
    fn next(&mut self) -> Option<Text> {
        // Between two strings stand only a comma and white space.
        while let Some(&c) = self.raw.get(self.at) {
            self.at += 1;
            if c == b'"' {
                let start = self.at;
                let (end, plain) = closing(self.raw, start)?;
                self.at = end + 1;
                return Some(Text { start, end, canonical: plain });
            }
            if c == b']' {
                self.raw = &self.raw[..self.at]; // nothing more, however often it is asked
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
