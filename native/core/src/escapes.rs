//! The escapes of JSON strings (RFC 8259 section 7).

use crate::json::Text;
use crate::quote::copy;
use crate::simd::{Isa, Task, on_best};
use std::borrow::Cow;

const BLOCK: usize = 64;

/// Which bytes of a block are escaped, from the bits of its backslashes and from whether its first byte is escaped. A
/// backslash that is escaped itself may be missing. Also whether the byte after the block is escaped.
#[inline(always)]
pub(crate) fn targets(slashes: u64, first: bool) -> (u64, bool) {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let first = u64::from(first);
    let slashes = slashes & !first;
    // A run of an odd number of backslashes escapes what comes after it. The sum carries each run's start to that place;
    // the run is odd if start and place are not both even or both odd.
    let starts = slashes & !(slashes << 1);
    let after_even = slashes.wrapping_add(starts & EVEN) & !slashes;
    let (after_odd, beyond) = slashes.overflowing_add(starts & !EVEN);
    ((after_even & !EVEN) | (after_odd & !slashes & EVEN) | first, beyond)
}

/// Skips escapes that NIP-01 writes differently, the first of which has its letter at `at`: the byte after them. None
/// unless they are escapes, with both halves of each surrogate pair.
#[cold]
#[inline(never)]
pub(crate) fn skip_unusual(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += match text.get(at)? {
            b'/' => 1,
            b'u' => character(text.get(at - 1..)?)?.1 - 1,
            _ => return None,
        };
        match text.get(at..at + 2) {
            Some(b"\\/" | b"\\u") => at += 1,
            _ => return Some(at),
        }
    }
}

/// The character of `\uXXXX` at the start of `s`, or of two of them that are a surrogate pair, and the bytes it takes.
/// None for anything else, half of a pair too, which no UTF-8 text can hold.
fn character(s: &[u8]) -> Option<(char, usize)> {
    let high = unit(s)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = unit(s.get(6..)?)?;
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?, 12))
}

/// The UTF-16 code unit of `\uXXXX` at the start of `s`.
fn unit(s: &[u8]) -> Option<u32> {
    let digits = s.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// What a string says, without its escapes: UTF-8 if `raw` is. `text` is where a reader found it in `raw`.
#[must_use]
pub fn unescaped(raw: &[u8], text: Text) -> Cow<'_, [u8]> {
    let raw = text.of(raw);
    match memchr::memchr(b'\\', raw) {
        None => Cow::Borrowed(raw),
        Some(first) => Cow::Owned(unescape(raw, first)),
    }
}

/// `s` without its escapes, the first of which stands at `at`.
fn unescape(s: &[u8], at: usize) -> Vec<u8> {
    on_best(Unescape { s, at })
}

struct Unescape<'a> {
    s: &'a [u8],
    at: usize,
}

impl Task for Unescape<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Vec<u8> {
        let Self { s, mut at } = self;
        let mut out = Vec::with_capacity(s.len() + BLOCK); // nothing gets longer, and pieces are written as whole blocks
        out.extend_from_slice(&s[..at]);
        while at < s.len() {
            let mut end = at;
            loop {
                let plain = isa.marks(isa.load(s, end)).slash.trailing_zeros() as usize;
                end += plain.min(s.len() - end);
                if plain < BLOCK || end == s.len() {
                    break;
                }
            }
            copy(isa, s, at, end, &mut out);
            at = end;
            if at < s.len() {
                let (character, length) = meaning(&s[at..]);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
            }
        }
        out
    }
}

/// The character of the escape at the start of `s`, which a reader let pass, and the bytes it takes.
#[inline(always)]
fn meaning(s: &[u8]) -> (char, usize) {
    match s.get(1) {
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => character(s).unwrap_or((char::REPLACEMENT_CHARACTER, 2)), // a reader lets no other pass
        Some(&c) => (char::from(c), 2),
        None => ('\\', 1),
    }
}
