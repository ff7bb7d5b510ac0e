//! One cut: the best boundary in the window before the bound.

use super::block::{Block, Bytes};
use super::{WINDOW, boundary, grapheme};

/// The text from `start` on, of which at most `high - start` bytes may be taken; natural boundaries are looked for from `low`
/// on. A cut is where the next span begins. `start < low < high < text.len()`, and `high - start` is 64 at least.
pub(super) struct Window<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) low: usize,
    pub(super) high: usize,
}

/// What the first look finds.
enum Found {
    Cut(usize),
    Lines,
    Nothing,
}

impl Window<'_> {
    #[inline(always)]
    pub(super) fn cut<B: Block>(&self) -> usize {
        match self.first_look::<B>() {
            Found::Cut(cut) => cut,
            Found::Lines => self.line::<B>(),
            Found::Nothing => self.sentence::<B>().or_else(|| self.space::<B>()).unwrap_or_else(|| self.anywhere()),
        }
    }

    /// A heading or an empty line; else whether there are lines.
    #[inline(always)]
    fn first_look<B: Block>(&self) -> Found {
        let mut marks = [0; WINDOW / 64];
        let (mut lines, mut any) = (0, 0);
        let mut used = 0;
        for (mark, at) in marks.iter_mut().zip(self.blocks()) {
            let (mut here, mut marked) = B::lines(self.bytes(at, &mut [0; 64]), self.bytes(at + 1, &mut [0; 64]));
            if at < self.low {
                here &= !0 << (self.low - at);
                marked &= here;
            }
            *mark = marked;
            lines |= here;
            any |= marked;
            used += 1;
        }
        if lines == 0 {
            return Found::Nothing;
        }
        if any == 0 {
            return Found::Lines;
        }
        let (mut empty, mut outermost) = (None, None);
        for (at, &marked) in self.blocks().zip(&marks[..used]) {
            for line in places(at, marked) {
                if self.text[line + 1] == b'#' {
                    if boundary::heading(self.text, line + 1) {
                        return Found::Cut(line + 1);
                    }
                } else if let Some(cut) = boundary::blank(self.text, line).filter(|&cut| cut <= self.high) {
                    empty = empty.or(Some(cut));
                    if outermost.is_none() && boundary::outermost(self.text, cut) {
                        outermost = Some(cut);
                    }
                }
            }
        }
        outermost.or(empty).map_or(Found::Lines, Found::Cut)
    }

    /// The start of a block of code or a definition, else of any line.
    #[inline(always)]
    fn line<B: Block>(&self) -> usize {
        let mut last = self.high;
        for line in self.marked(|at| B::equal(self.bytes(at, &mut [0; 64]), b'\n')) {
            if boundary::block(self.text, line + 1) {
                return line + 1;
            }
            if last == self.high {
                last = line + 1;
            }
        }
        last
    }

    #[inline(always)]
    fn sentence<B: Block>(&self) -> Option<usize> {
        let marks = |at| {
            let (mut next, mut third) = ([0; 64], [0; 64]);
            B::sentences(self.bytes(at, &mut [0; 64]), self.bytes(at + 1, &mut next), self.bytes(at + 2, &mut third))
        };
        self.marked(marks)
            .map(|sign| boundary::sentence(self.text, sign))
            .find(|&cut| cut <= self.high && grapheme::starts(self.text, self.start, cut))
    }

    #[inline(always)]
    fn space<B: Block>(&self) -> Option<usize> {
        self.marked(|at| B::spaces(self.bytes(at, &mut [0; 64])))
            .map(|space| space + 1)
            .find(|&cut| grapheme::starts(self.text, self.start, cut))
    }

    /// Between two graphemes, or between two characters of one that is longer than the whole span may be.
    fn anywhere(&self) -> usize {
        let character = grapheme::begin(self.text, self.high);
        (self.start + 1..=character)
            .rev()
            .find(|&cut| grapheme::starts(self.text, self.start, cut))
            .unwrap_or(character)
    }

    /// Where the blocks of the window begin, the last first. The first of them may begin before `low`.
    #[inline(always)]
    fn blocks(&self) -> impl Iterator<Item = usize> + use<> {
        let (low, high) = (self.low, self.high);
        (1..=(high - low).div_ceil(64)).map(move |number| high - 64 * number)
    }

    /// The places in the window that `marks` finds in its blocks, the last first.
    #[inline(always)]
    fn marked(&self, marks: impl Fn(usize) -> u64) -> impl Iterator<Item = usize> {
        self.blocks().flat_map(move |at| {
            let here = if at < self.low { !0 << (self.low - at) } else { !0 };
            places(at, marks(at) & here)
        })
    }

    /// The block at `at`; behind the end of the text, zeros.
    #[inline(always)]
    fn bytes<'b>(&'b self, at: usize, spare: &'b mut Bytes) -> &'b Bytes {
        if let Some(block) = self.text.get(at..).and_then(|rest| rest.first_chunk()) {
            return block;
        }
        let rest = self.text.get(at..).unwrap_or_default();
        spare[..rest.len()].copy_from_slice(rest);
        spare
    }
}

/// The places of the bits of `marks`, the last first.
#[inline(always)]
fn places(at: usize, mut marks: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = marks.checked_ilog2()?;
        marks ^= 1 << bit;
        Some(at + bit as usize)
    })
}
