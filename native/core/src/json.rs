//! A reader of the little JSON that an event needs (RFC 8259): objects, strings, unsigned integers, arrays of arrays of
//! strings. The input must be valid UTF-8; positions are byte offsets. Nothing here calls itself, and each byte is looked
//! at a bounded number of times, so that no text is deep or slow.

use crate::escapes;
use crate::simd::{Isa, Portable, Task, on_best};
use std::borrow::Cow;

/// Where a value stands in the text, in bytes: a string without its quotes, or an array with its brackets.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// NIP-01 would write it the same: no other escape, no white space.
    pub canonical: bool,
}

impl Text {
    /// The value as it stands there.
    #[must_use]
    #[inline]
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.end]
    }
}

/// A cursor over JSON text. Every method answers None where the text is not what it asks for.
pub(crate) struct Reader<'a, I> {
    isa: I,
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a, I: Isa> Reader<'a, I> {
    #[inline(always)]
    pub(crate) fn new(isa: I, text: &'a [u8]) -> Self {
        Self { isa, text, at: 0 }
    }

    /// The byte that comes next.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Skips white space; whether there was any.
    #[inline(always)]
    pub(crate) fn space(&mut self) -> bool {
        let start = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.at != start
    }

    /// Exactly this byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self, c: u8) -> Option<()> {
        (self.peek() == Some(c)).then(|| self.at += 1)
    }

    /// This byte after optional white space.
    #[inline(always)]
    pub(crate) fn mark(&mut self, c: u8) -> Option<()> {
        self.space();
        self.byte(c)
    }

    /// Exactly these bytes.
    #[inline(always)]
    pub(crate) fn bytes<const N: usize>(&mut self, expected: &[u8; N]) -> Option<()> {
        (self.text.get(self.at..self.at + N)? == expected).then(|| self.at += N)
    }

    /// A string.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<Text> {
        self.byte(b'"')?;
        let (start, mut canonical) = (self.at, true);
        // Whether the byte at `i` comes after a backslash that escapes it.
        let (mut i, mut after_slash) = (start, false);
        loop {
            let block = self.isa.load(self.text, i);
            let marks = self.isa.marks(block);
            let mut escaped = 0;
            let mut unusual = marks.control;
            if marks.slash != 0 || after_slash {
                (escaped, after_slash) = escapes::targets(marks.slash, after_slash);
                unusual |= escaped & !(marks.quote | marks.slash | self.isa.letters(block));
            }
            let ends = marks.quote & !escaped;
            unusual &= ends ^ ends.wrapping_sub(1); // what comes after the end does not matter
            if unusual != 0 {
                i = escapes::skip_unusual(self.text, i + unusual.trailing_zeros() as usize)?;
                (after_slash, canonical) = (false, false);
            } else if ends != 0 {
                let end = i + ends.trailing_zeros() as usize;
                self.at = end + 1;
                return Some(Text { start, end, canonical });
            } else {
                i += 64;
            }
        }
    }

    /// An unsigned integer of 17 digits at most, without sign, fraction, exponent or leading zero.
    #[inline(always)]
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start == 17 {
                return None;
            }
            value = value * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.text[start] == b'0';
        (digits > 0 && !leading_zero && !matches!(self.peek(), Some(b'.' | b'e' | b'E'))).then_some(value)
    }

    /// A string of 64 lower-case hexadecimal digits.
    #[inline(always)]
    pub(crate) fn hex32(&mut self) -> Option<[u8; 32]> {
        if let Some(digits) = self.characters()
            && let Some(bytes) = self.isa.unhex(digits)
        {
            self.at += 66;
            return Some(bytes);
        }
        self.isa.unhex(&self.meant_characters()?)
    }

    /// A string of 128 lower-case hexadecimal digits.
    #[inline(always)]
    pub(crate) fn hex64(&mut self) -> Option<[u8; 64]> {
        if let Some(digits) = self.characters()
            && let Some(bytes) = unhex64(self.isa, digits)
        {
            self.at += 130;
            return Some(bytes);
        }
        unhex64(self.isa, &self.meant_characters()?)
    }

    /// What stands between two quotes `N` bytes apart, to which the cursor stays.
    #[inline(always)]
    fn characters<const N: usize>(&self) -> Option<&'a [u8; N]> {
        match self.text.get(self.at..)? {
            [b'"', rest @ ..] => match rest.split_first_chunk()? {
                (characters, [b'"', ..]) => Some(characters),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a string says, if that takes `N` bytes.
    #[inline(always)]
    fn meant_characters<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (meant, end) = meant(self.text, self.at)?;
        self.at = end;
        meant[..].try_into().ok()
    }

    /// An array of arrays of strings, brackets included.
    #[inline(always)]
    pub(crate) fn tags(&mut self) -> Option<Text> {
        let start = self.at;
        self.byte(b'[')?;
        let mut loose = self.space();
        if self.byte(b']').is_none() {
            loop {
                loose |= self.space();
                loose |= !self.tag()?;
                loose |= self.space();
                if self.byte(b',').is_none() {
                    self.byte(b']')?;
                    break;
                }
            }
        }
        Some(Text { start, end: self.at, canonical: !loose })
    }

    /// An array of strings; whether it is canonical.
    #[inline(always)]
    fn tag(&mut self) -> Option<bool> {
        self.byte(b'[')?;
        let mut loose = self.space();
        if self.byte(b']').is_none() {
            loop {
                loose |= self.space();
                loose |= !self.string()?.canonical;
                loose |= self.space();
                if self.byte(b',').is_none() {
                    self.byte(b']')?;
                    break;
                }
            }
        }
        Some(!loose)
    }
}

#[inline(always)]
fn unhex64<I: Isa>(isa: I, digits: &[u8; 128]) -> Option<[u8; 64]> {
    let (halves, _) = digits.as_chunks();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&isa.unhex(&halves[0])?);
    bytes[32..].copy_from_slice(&isa.unhex(&halves[1])?);
    Some(bytes)
}

/// What the string at `at` says, and the byte after it: for strings that are written in an unusual way.
#[cold]
#[inline(never)]
pub(crate) fn meant(text: &[u8], at: usize) -> Option<(Cow<'_, [u8]>, usize)> {
    let mut reader = Reader { isa: Portable, text, at };
    let string = reader.string()?;
    Some((escapes::unescaped(text, string), reader.at))
}

/// The byte after the array of tags at `at`.
pub(crate) fn after_tags(text: &[u8], at: usize) -> Option<usize> {
    on_best(AfterTags { text, at })
}

struct AfterTags<'a> {
    text: &'a [u8],
    at: usize,
}

impl Task for AfterTags<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<usize> {
        let mut reader = Reader { isa, text: self.text, at: self.at };
        reader.tags().map(|tags| tags.end)
    }
}
