//! Strings as NIP-01 writes them.

use crate::simd::Isa;
use std::mem::MaybeUninit;

/// Room for a text is made in steps, since every character may take six bytes and almost none does.
const STEP: usize = 4096;

/// Appends a string with its quotes, and what stands before it.
#[inline(always)]
pub(crate) fn quote<I: Isa, const N: usize>(isa: I, before: &[u8; N], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    out.push(b'"');
    for step in text.chunks(STEP) {
        escape(isa, step, out);
    }
    out.push(b'"');
}

/// Appends a text with its special characters escaped.
#[inline(always)]
fn escape<I: Isa>(isa: I, text: &[u8], out: &mut Vec<u8>) {
    // What is written as a whole block or two is written over by the next where it was too much.
    out.reserve(6 * text.len() + 128);
    let spare = out.spare_capacity_mut();
    let mut length = 0;
    for start in (0..text.len()).step_by(64) {
        let block = isa.load(text, start);
        let rest = (text.len() - start).min(64);
        let marks = isa.marks(block);
        let control = marks.control & (u64::MAX >> (64 - rest)); // the zeros behind the text are none
        let hits = marks.quote | marks.slash | control;
        // Where nothing is special, the processor need not wait for the marks to know where it goes on.
        if hits == 0 {
            put(isa, block, spare, length);
            length += rest;
        } else if let Some(to) = spare[length..].first_chunk_mut()
            && let Some(written) = isa.escape(block, hits, control, to)
        {
            length += written - (64 - rest);
        } else {
            length += pieces(isa, &text[start..], rest, hits, &mut spare[length..]);
        }
    }
    assert!(length <= spare.len());
    // SAFETY: so many bytes have been written there, one piece after another.
    unsafe { out.set_len(out.len() + length) };
}

/// Writes the first `rest` bytes of a text, those that are hit escaped: how many bytes that takes.
#[inline(always)]
fn pieces<I: Isa>(isa: I, text: &[u8], rest: usize, mut hits: u64, spare: &mut [MaybeUninit<u8>]) -> usize {
    let (mut at, mut length) = (0, 0);
    while hits != 0 {
        let clean = hits.trailing_zeros() as usize;
        put(isa, isa.load(text, at), spare, length);
        length += clean;
        length += put_escape(text[at + clean], spare, length);
        at += clean + 1;
        hits = hits >> clean >> 1;
    }
    put(isa, isa.load(text, at), spare, length);
    length + rest - at
}

/// Appends a part of a text as it is.
#[inline(always)]
pub(crate) fn copy<I: Isa>(isa: I, text: &[u8], start: usize, end: usize, out: &mut Vec<u8>) {
    let length = end - start;
    if length > 512 {
        return out.extend_from_slice(&text[start..end]);
    }
    // Block by block: most parts are copied in less time than a call of memcpy takes.
    out.reserve(length + 64);
    let spare = out.spare_capacity_mut();
    for at in (0..length).step_by(64) {
        put(isa, isa.load(text, start + at), spare, at);
    }
    assert!(length <= spare.len());
    // SAFETY: so many bytes have been written there, block after block.
    unsafe { out.set_len(out.len() + length) };
}

/// Writes a whole block.
#[inline(always)]
fn put<I: Isa>(isa: I, block: I::Block, spare: &mut [MaybeUninit<u8>], at: usize) {
    if let Some(to) = spare[at..].first_chunk_mut() {
        isa.store(block, to);
    }
}

/// Writes the escape of a special character: how many bytes that takes.
#[inline(always)]
fn put_escape(c: u8, spare: &mut [MaybeUninit<u8>], at: usize) -> usize {
    let (escape, length) = &ESCAPES[usize::from(c)];
    if let Some(to) = spare[at..].first_chunk_mut() {
        *to = escape.map(MaybeUninit::new);
    }
    *length
}

/// How each character is written, and the bytes that takes.
static ESCAPES: [([u8; 8], usize); 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut all = [([0; 8], 1); 256];
    let mut c = 0;
    while c < 256 {
        let short = match c as u8 {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            _ => 0,
        };
        all[c] = if short != 0 {
            ([b'\\', short, 0, 0, 0, 0, 0, 0], 2)
        } else if c < 0x20 {
            ([b'\\', b'u', b'0', b'0', HEX[c >> 4], HEX[c & 15], 0, 0], 6)
        } else {
            ([c as u8, 0, 0, 0, 0, 0, 0, 0], 1)
        };
        c += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Task, on_each};

    #[derive(Clone)]
    struct Quoted<'a>(&'a [u8]);

    impl Task for Quoted<'_> {
        type Output = Vec<u8>;

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Vec<u8> {
            let mut out = b"[".to_vec();
            quote(isa, b",", self.0, &mut out);
            copy(isa, self.0, self.0.len() / 3, self.0.len(), &mut out);
            out
        }
    }

    /// One byte after another.
    fn plainly(text: &[u8]) -> Vec<u8> {
        let escaped = text.iter().flat_map(|&c| {
            let (escape, length) = ESCAPES[usize::from(c)];
            escape.into_iter().take(length)
        });
        let mut out = b"[,\"".to_vec();
        out.extend(escaped);
        out.push(b'"');
        out.extend_from_slice(&text[text.len() / 3..]);
        out
    }

    /// Every set of instructions writes every byte at every place, and many special ones beside each other, the same.
    #[test]
    fn all_agree() {
        for length in [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 600, 5_000] {
            for start in 0..=255 {
                let growing: Vec<u8> = (0..length).map(|i| (start + i) as u8).collect();
                let one: Vec<u8> =
                    (0..length).map(|i| if i == start % (length + 1) { start as u8 } else { b'a' }).collect();
                let special = b"\"\\\n\r\t\x08\x0ca";
                let dense: Vec<u8> = (0..length).map(|i| special[(i * i + start) % 8]).collect();
                for text in [growing, one, dense] {
                    let expected = plainly(&text);
                    assert!(on_each(&Quoted(&text)).iter().all(|written| *written == expected), "{text:?}");
                }
            }
        }
    }
}
