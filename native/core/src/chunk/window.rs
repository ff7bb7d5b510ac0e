//! One cut: the best boundary in the window before the bound.

use super::boundary::{Empty, Heading, Kind, Line, Opening, Outermost, Sentence, Space};
use super::grapheme;
use super::lanes::{Block, Lanes, marks};

/// So many bytes are looked at, for lines and headings, before anything is decided.
const GROUP: usize = 256;

/// The text from `start` on, of which at most `high - start` bytes may be taken; natural boundaries are looked for from `low`
/// on. A cut is where the next span begins. `start < low < high < text.len()`, and `high - start` is 64 at least.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) low: usize,
    pub(super) high: usize,
}

impl Window<'_> {
    /// Every kind is looked for by itself, the best first, from the end of the window on: most are found close to it.
    #[inline(always)]
    pub(super) fn cut<L: Lanes>(&self) -> usize {
        L::best_line(self)
            .or_else(|| L::last::<Sentence>(self))
            .or_else(|| L::last::<Space>(self))
            .unwrap_or_else(|| self.anywhere())
    }

    /// What stands at a line end: a heading, or else a lesser kind between the first lines and the last.
    #[inline(always)]
    pub(super) fn best_line<L: Lanes>(&self) -> Option<usize> {
        let first = self.high - (self.high - self.low).next_multiple_of(64);
        let mut lines: Option<Self> = None;
        let mut high = self.high;
        while high > first {
            let low = high.saturating_sub(GROUP).max(first);
            let holds = super::lanes::lines::<L>(&self.text[low..=high]);
            if holds.lines {
                let group = Self { low: low.max(self.low), high, ..*self };
                if holds.headings
                    && let Some(cut) = L::last::<Heading>(&group)
                {
                    return Some(cut);
                }
                lines = Some(Self { high: lines.map_or(high, |lines| lines.high), ..group });
            }
            high = low;
        }
        let lines = lines?;
        L::last::<Outermost>(&lines)
            .or_else(|| L::last::<Empty>(&lines))
            .or_else(|| L::last::<Opening>(&lines))
            .or_else(|| L::last::<Line>(&lines))
    }

    /// The last boundary of a kind.
    #[inline(always)]
    pub(super) fn last<L: Lanes, K: Kind>(&self) -> Option<usize> {
        let mut at = self.high;
        while at > self.low {
            at -= 64;
            let spare;
            let block = match self.text[at..].first_chunk() {
                Some(block) => block,
                None => {
                    spare = self.end(at);
                    &spare
                }
            };
            let mut marks = marks::<L, K>(block);
            if at < self.low {
                marks &= !0 << (self.low - at);
            }
            while let Some(bit) = marks.checked_ilog2() {
                let cut = K::cut(self.text, at + bit as usize);
                if let Some(cut) = cut.filter(|&cut| cut <= self.high && grapheme::starts(self.text, self.start, cut)) {
                    return Some(cut);
                }
                marks ^= 1 << bit;
            }
        }
        None
    }

    /// The block at `at`, behind which the text ends.
    #[cold]
    fn end(&self, at: usize) -> Block {
        let mut block = [0; 66];
        let rest = &self.text[at..];
        block[..rest.len()].copy_from_slice(rest);
        block
    }

    /// Between two graphemes, or between two characters of one that is longer than the whole span may be.
    fn anywhere(&self) -> usize {
        let character = grapheme::begin(self.text, self.high);
        (self.start + 1..=character)
            .rev()
            .find(|&cut| grapheme::starts(self.text, self.start, cut))
            .unwrap_or(character)
    }
}
