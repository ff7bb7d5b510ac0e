//! Cuts that the content decides, not where a span began: an edit changes the spans around it and no others.
//!
//! A place is a summit where it outranks every other within its reach (a quarter of the bound): by its kind, then by a hash of
//! the 32 bytes around it. Of equals the first counts. Text is cut at its summits, so spans are as long as the reach at least,
//! and about half the bound on average. Places of a lesser kind count only where none of a better kind is within reach; so
//! what is a summit depends on the text within four reaches and the few hundred bytes by which a heading is known. Between
//! summits that are further apart than the bound spans are cut as always; there, in a text that repeats itself above all, an
//! edit may change the spans up to the next summit.

use super::{boundary, grapheme};
use std::collections::VecDeque;

/// The bits of a rank that say the kind are the topmost, from this one on. The others are of the hash.
const KIND: u32 = 60;

/// The summits of `text`. None stands less than `reach` bytes from an end of it.
pub(super) fn summits(text: &[u8], reach: usize) -> Vec<usize> {
    let mut climb = Climb { text, reach, waiting: VecDeque::new(), summits: Vec::new() };
    if text.len() / 2 >= reach {
        climb.level(Level::Lines, 0, text.len());
        climb.waiting.drain(..).for_each(|place| place.count(text.len(), reach, &mut climb.summits));
    }
    climb.summits
}

/// Kinds of places, from the best: each counts only where there is nothing better.
#[derive(Clone, Copy)]
enum Level {
    Lines,
    Sentences,
    Spaces,
    Characters,
}

impl Level {
    fn next(self) -> Option<Self> {
        match self {
            Self::Lines => Some(Self::Sentences),
            Self::Sentences => Some(Self::Spaces),
            Self::Spaces => Some(Self::Characters),
            Self::Characters => None,
        }
    }

    /// The first place of this level between `low` and `high` (which are none).
    fn place(self, text: &[u8], low: usize, high: usize) -> Option<usize> {
        match self {
            Self::Lines => memchr::memchr(b'\n', &text[low..high - 1]).map(|found| low + found + 1),
            Self::Sentences => (low.saturating_sub(2)..high - 1)
                .filter_map(|at| boundary::sentence(text, at))
                .skip_while(|&cut| cut <= low)
                .take_while(|&cut| cut < high)
                .find(|&cut| grapheme::parts(text, cut)),
            Self::Spaces => memchr::memchr3_iter(b' ', b'\t', b'\r', &text[low..high - 1])
                .map(|found| low + found + 1)
                .find(|&cut| grapheme::parts(text, cut)),
            Self::Characters => (low + 1..high).find(|&at| grapheme::parts(text, at)),
        }
    }

    fn kind(self, text: &[u8], at: usize) -> u64 {
        match self {
            Self::Lines => 3 + boundary::line_kind(text, at),
            Self::Sentences => 2,
            Self::Spaces => 1,
            Self::Characters => 0,
        }
    }
}

/// What may be a summit.
struct Place {
    at: usize,
    rank: u64,
    /// Whether it outranks all that stand before it within reach.
    first: bool,
}

impl Place {
    /// Nothing behind it within reach outranks it.
    fn count(self, size: usize, reach: usize, summits: &mut Vec<usize>) {
        if self.first && (reach..=size - reach).contains(&self.at) {
            summits.push(self.at);
        }
    }
}

/// A walk over the text from its begin to its end.
struct Climb<'a> {
    text: &'a [u8],
    reach: usize,
    /// The places within reach of the last that nothing behind them outranks: each has the rank of the next at least.
    waiting: VecDeque<Place>,
    summits: Vec<usize>,
}

impl Climb<'_> {
    /// The places between `low` and `high` (which are none): those of this level, and of the next where none is within reach.
    fn level(&mut self, level: Level, low: usize, high: usize) {
        let (mut from, mut free) = (low, low);
        while from + 1 < high
            && let Some(at) = level.place(self.text, from, high)
        {
            self.below(level, free, at.saturating_sub(self.reach));
            self.add(at, level.kind(self.text, at) << KIND | hash(self.text, at) >> (64 - KIND));
            from = at;
            free = at + self.reach;
        }
        self.below(level, free, high);
    }

    fn below(&mut self, level: Level, low: usize, high: usize) {
        if low + 1 < high
            && let Some(next) = level.next()
        {
            self.level(next, low, high);
        }
    }

    /// The next place, behind all others.
    fn add(&mut self, at: usize, rank: u64) {
        while self.waiting.front().is_some_and(|place| place.at + self.reach < at)
            && let Some(place) = self.waiting.pop_front()
        {
            place.count(self.text.len(), self.reach, &mut self.summits);
        }
        while self.waiting.back().is_some_and(|place| place.rank < rank) {
            self.waiting.pop_back();
        }
        let first = self.waiting.is_empty();
        self.waiting.push_back(Place { at, rank, first });
    }
}

/// A hash of the 16 bytes before `at` and the 16 from there on; outside the text there are zeros.
fn hash(text: &[u8], at: usize) -> u64 {
    let mut around = [0; 32];
    let (before, after) = (&text[at.saturating_sub(16)..at], &text[at..text.len().min(at + 16)]);
    around[16 - before.len()..16].copy_from_slice(before);
    around[16..16 + after.len()].copy_from_slice(after);
    around.as_chunks::<8>().0.iter().fold(0, |hash, word| {
        let mixed = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    })
}
