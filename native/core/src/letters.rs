//! The tags that filters can ask for, read in one pass over the text of an event's tags.

use crate::event::{Text, unescaped};
use crate::simd::{Isa, Task, on_best};
use std::borrow::Cow;

/// All letters and values of `raw`, in order; see `each_letter`.
pub(crate) fn letters(raw: &[u8]) -> Vec<(u8, Cow<'_, [u8]>)> {
    on_best(Letters(raw))
}

#[derive(Clone)]
struct Letters<'a>(&'a [u8]);

impl<'a> Task for Letters<'a> {
    type Output = Vec<(u8, Cow<'a, [u8]>)>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let mut found = Vec::new();
        each_letter(isa, self.0, |letter, value| found.push((letter, value)));
        found
    }
}

/// Calls `then` with letter and value of every tag whose name is one ASCII letter and which has a value: the string right after
/// the name, which may hold anything. `raw` is the text of the array of tags (`Scanned::tags`); of another text some tags are seen
/// or none.
#[inline(always)]
pub(crate) fn each_letter<'a, I: Isa>(isa: I, raw: &'a [u8], mut then: impl FnMut(u8, Cow<'a, [u8]>)) {
    let (mut letter, mut open, mut canonical) = (None, None, true);
    // Whether the first byte of the block stands behind a backslash, as a bit.
    let mut behind = 0;
    for block in (0..raw.len()).step_by(64) {
        let marks = isa.marks(isa.load(raw, block));
        let mut bits = (marks.quote | marks.slash) & !behind;
        behind = 0;
        while bits != 0 {
            let lowest = bits & bits.wrapping_neg();
            let at = block + bits.trailing_zeros() as usize;
            bits ^= lowest;
            if marks.slash & lowest != 0 {
                // A backslash takes the meaning of what follows it.
                canonical = false;
                bits &= !(lowest << 1);
                behind = lowest >> 63;
                continue;
            }
            let Some(start) = open.take() else {
                (open, canonical) = (Some(at + 1), true);
                continue;
            };
            let text = Text { start, end: at, canonical };
            if let Some(letter) = letter.take().filter(|_| !is_name(raw, text)) {
                then(letter, value(raw, text));
            } else if is_name(raw, text) {
                letter = if canonical && at - start == 1 { Some(raw[start]) } else { spelled(raw, text) };
                letter = letter.filter(u8::is_ascii_alphabetic);
            }
        }
    }
}

/// A name of one byte that is written in another way.
#[cold]
fn spelled(raw: &[u8], text: Text) -> Option<u8> {
    <[u8; 1]>::try_from(&*value(raw, text)).ok().map(|[letter]| letter)
}

/// What a string says. `unescaped` would look for escapes once more.
#[inline(always)]
fn value(raw: &[u8], text: Text) -> Cow<'_, [u8]> {
    if text.canonical { Cow::Borrowed(text.of(raw)) } else { unescaped(raw, text) }
}

/// Whether a string is the first of its tag: a bracket stands before it, and perhaps white space.
#[inline(always)]
fn is_name(raw: &[u8], text: Text) -> bool {
    let mut at = text.start - 1;
    loop {
        match at.checked_sub(1).and_then(|at| raw.get(at)) {
            Some(b'[') => return true,
            Some(b' ' | b'\t' | b'\n' | b'\r') => at -= 1,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_each;

    /// A backslash takes the meaning of what follows it wherever the blocks end.
    #[test]
    fn reads_across_blocks() {
        for pad in 0..200 {
            let text = format!(r#"[["t","{}\\\"\\"],["\u0065","\"]"],["e"],["ee","e"]]"#, "x".repeat(pad));
            let long = format!(r#"{}\"\"#, "x".repeat(pad));
            for found in on_each(&Letters(text.as_bytes())) {
                assert_eq!(found, [(b't', Cow::from(long.as_bytes())), (b'e', Cow::from(b"\"]".as_slice()))]);
            }
        }
    }
}
