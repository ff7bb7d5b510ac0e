//! The serialisation of NIP-01 that is hashed: `[0,pubkey,created_at,kind,tags,content]` without white space. Control
//! characters without a short escape become `\u00xx` in lower case, as every JSON library writes them.

use crate::escapes::unescaped;
use crate::event::Scanned;
use crate::json::{Reader, Text};
use crate::quote::{copy, quote};
use crate::simd::{Isa, Task, on_best};

/// Fills `out` with the canonical bytes of what was scanned in `text`.
#[inline]
pub(crate) fn of(text: &[u8], event: &Scanned, out: &mut Vec<u8>) {
    on_best(Rewritten { text, event, out });
}

struct Rewritten<'a> {
    text: &'a [u8],
    event: &'a Scanned,
    out: &'a mut Vec<u8>,
}

impl Task for Rewritten<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { text, event, out } = self;
        head(&hex(&event.pubkey), event.created_at, event.kind, out);
        piece(isa, text, event.tags, out);
        out.push(b',');
        let content = Text { start: event.content.start - 1, end: event.content.end + 1, ..event.content };
        piece(isa, text, content, out); // with its quotes
        out.push(b']');
    }
}

/// 64 lower-case digits.
#[inline(always)]
fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

/// Starts `out` with everything up to the tags.
#[inline(always)]
pub(crate) fn head(pubkey: &[u8; 64], created_at: u64, kind: u16, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"[0,\"");
    out.extend_from_slice(pubkey);
    out.extend_from_slice(b"\",");
    number(created_at, out);
    number(u64::from(kind), out);
}

/// Appends a decimal number below 10^16 and a comma.
#[inline(always)]
fn number(value: u64, out: &mut Vec<u8>) {
    let count = value.checked_ilog10().unwrap_or(0) as usize + 1;
    let digits = u128::from(eight_digits(value / 100_000_000)) | u128::from(eight_digits(value % 100_000_000)) << 64;
    // Without the zeros in front. Written at once: what is read in wider pieces than it was written in has to wait.
    let digits = digits >> (8 * (16 - count));
    let start = out.len();
    out.extend_from_slice(&digits.to_le_bytes());
    out.truncate(start + count);
    out.push(b',');
}

/// The eight decimal digits of a number below 10^8, the first in the lowest byte: halves, quarters and digits side by side in
/// one word, by multiplications with 1/100 and 1/10 as fractions of 2^20 and 2^10.
#[inline(always)]
fn eight_digits(value: u64) -> u64 {
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | (quarters - 10 * tens) << 8;
    digits | 0x3030_3030_3030_3030
}

/// Appends JSON text of strings, brackets and commas, whose form was checked, as NIP-01 writes it.
#[inline(always)]
fn piece<I: Isa>(isa: I, text: &[u8], piece: Text, out: &mut Vec<u8>) {
    if !piece.canonical {
        return rewrite(piece.of(text), out);
    }
    copy(isa, text, piece.start, piece.end, out);
}

/// The same for a piece that is not written so yet.
#[cold]
#[inline(never)]
fn rewrite(text: &[u8], out: &mut Vec<u8>) {
    on_best(Rewrite { text, out });
}

struct Rewrite<'a> {
    text: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Task for Rewrite<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { text, out } = self;
        let mut reader = Reader::new(isa, text);
        loop {
            reader.space();
            let Some(c) = reader.peek() else { return };
            match (c == b'"').then(|| reader.string()).flatten() {
                Some(part) if part.canonical => out.extend_from_slice(&text[part.start - 1..=part.end]),
                Some(part) => quote(isa, b"", &unescaped(text, part), out),
                None => {
                    out.push(c);
                    reader.at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of every length, and those around powers of ten, are written as Rust writes them.
    #[test]
    fn numbers() {
        let powers = (0..16).map(|n| 10u64.pow(n)).flat_map(|n| [n - 1, n, n + 1, n * 9, n + n / 7]);
        let some = (0..100_000_000).step_by(9_973);
        for value in powers.chain(some).chain(0..20_000).chain([1 << 53, 1_700_000_000, 9_999_999_999_999_999]) {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(out, format!("{value},").into_bytes());
        }
    }
}
