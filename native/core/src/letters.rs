//! The tags that filters can ask for, read in one pass over the text of an event's tags.

use crate::event::{Text, unescaped};
use std::borrow::Cow;

/// Letter and value of every tag whose name is one ASCII letter and which has a value: the string right after the name, which may
/// hold anything. `raw` is the text of the array of tags (`Scanned::tags`); of another text some tags are seen or none.
pub(crate) struct Letters<'a> {
    raw: &'a [u8],
    marks: Marks<'a>,
    /// The name of the tag, until its value comes.
    letter: Option<u8>,
}

impl<'a> Letters<'a> {
    #[inline]
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Self { raw, marks: Marks::new(raw), letter: None }
    }

    /// The next string, without its quotes.
    #[inline(always)]
    fn string(&mut self) -> Option<Text> {
        let start = self.marks.next()? + 1;
        let mut canonical = true;
        loop {
            let end = self.marks.next()?;
            if self.raw[end] == b'"' {
                return Some(Text { start, end, canonical });
            }
            canonical = false;
            self.marks.skip(end + 1);
        }
    }

    /// What the string says. `unescaped` would look for escapes once more.
    #[inline(always)]
    fn value(&self, text: Text) -> Cow<'a, [u8]> {
        if text.canonical { Cow::Borrowed(text.of(self.raw)) } else { unescaped(self.raw, text) }
    }

    /// Whether the string is the first of its tag: a bracket stands before it, and perhaps white space.
    #[inline(always)]
    fn is_name(&self, text: Text) -> bool {
        let mut at = text.start - 1;
        loop {
            match at.checked_sub(1).and_then(|at| self.raw.get(at)) {
                Some(b'[') => return true,
                Some(b' ' | b'\t' | b'\n' | b'\r') => at -= 1,
                _ => return false,
            }
        }
    }
}

impl<'a> Iterator for Letters<'a> {
    type Item = (u8, Cow<'a, [u8]>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = self.string()?;
            if self.is_name(text) {
                self.letter = match *self.value(text) {
                    [letter] if letter.is_ascii_alphabetic() => Some(letter),
                    _ => None,
                };
            } else if let Some(letter) = self.letter.take() {
                return Some((letter, self.value(text)));
            }
        }
    }
}

/// The positions of quotes and backslashes.
struct Marks<'a> {
    raw: &'a [u8],
    /// The next 64 bytes to look at.
    next: usize,
    /// Marks of the 64 bytes before, as bits.
    mask: u64,
}

impl<'a> Marks<'a> {
    fn new(raw: &'a [u8]) -> Self {
        Self { raw, next: 0, mask: 0 }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while self.mask == 0 {
            self.load()?;
        }
        let at = self.next - 64 + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(at)
    }

    /// Forgets a mark at `at`, which is right behind the last one: a backslash before it took its meaning.
    #[inline]
    fn skip(&mut self, at: usize) {
        if at < self.next || self.load().is_some() {
            self.mask &= !(1 << (at % 64));
        }
    }

    #[inline(always)]
    fn load(&mut self) -> Option<()> {
        let rest = self.raw.get(self.next..).filter(|rest| !rest.is_empty())?;
        self.mask = if let Some(block) = rest.first_chunk() {
            marks(block)
        } else if let Some(block) = self.raw.last_chunk() {
            // The last 64 bytes, without those that were looked at before.
            marks(block) >> (64 - rest.len())
        } else {
            let mut block = [0; 64];
            block[..rest.len()].copy_from_slice(rest);
            marks(&block)
        };
        self.next += 64;
        Some(())
    }
}

/// One bit for each quote and backslash.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn marks(block: &[u8; 64]) -> u64 {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8};
    let mut mask = 0;
    for n in 0..4 {
        // SAFETY: SSE2 is part of x86_64, and the four loads of 16 bytes are those of `block`.
        let bits = unsafe {
            let bytes = _mm_loadu_si128(block.as_ptr().add(16 * n).cast::<__m128i>());
            let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
            let slashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
            _mm_movemask_epi8(_mm_or_si128(quotes, slashes))
        };
        mask |= u64::from(bits.cast_unsigned()) << (16 * n);
    }
    mask
}

/// The same for other machines.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn marks(block: &[u8; 64]) -> u64 {
    marks_plain(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn marks_plain(block: &[u8; 64]) -> u64 {
    block.iter().rev().fold(0, |mask, &c| mask << 1 | u64::from(c == b'"' || c == b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways to find marks find the same.
    #[test]
    fn finds_marks() {
        for at in 0..64 {
            for c in 0..=255 {
                let mut block = [b'a'; 64];
                block[at] = c;
                block[63 - at] = c;
                assert_eq!(marks(&block), marks_plain(&block));
            }
        }
    }

    /// A backslash takes the meaning of what follows it wherever the blocks end.
    #[test]
    fn reads_across_blocks() {
        for pad in 0..200 {
            let text = format!(r#"[["t","{}\\\"\\"],["\u0065","\"]"],["e"],["ee","e"]]"#, "x".repeat(pad));
            let found: Vec<_> = Letters::new(text.as_bytes()).collect();
            let long = format!(r#"{}\"\"#, "x".repeat(pad));
            assert_eq!(found, [(b't', Cow::from(long.as_bytes())), (b'e', Cow::from(b"\"]".as_slice()))]);
        }
    }
}
