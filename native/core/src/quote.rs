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
    // Pieces are written as whole blocks, the next piece over what was too much.
    out.reserve(6 * text.len() + 64 + 1);
    let spare = out.spare_capacity_mut();
    let (mut at, mut length) = (0, 0);
    while at + 128 <= text.len() {
        let end = at + 64;
        let mut hits = special(isa, isa.load(text, at));
        while hits != 0 {
            let clean = hits.trailing_zeros() as usize;
            put(isa, isa.load(text, at), spare, length);
            length += clean;
            length += put_escape(text[at + clean], spare, length);
            at += clean + 1;
            hits = hits >> clean >> 1;
        }
        put(isa, isa.load(text, at), spare, length);
        length += end - at;
        at = end;
    }
    while at < text.len() {
        let block = isa.load(text, at);
        put(isa, block, spare, length);
        let rest = (text.len() - at).min(64);
        let hits = special(isa, block) & (u64::MAX >> (64 - rest));
        // Where nothing is special, the processor need not wait for the marks to know where it goes on.
        let clean = if hits == 0 { rest } else { hits.trailing_zeros() as usize };
        length += clean;
        at += clean;
        if hits != 0 {
            length += put_escape(text[at], spare, length);
            at += 1;
        }
    }
    assert!(length <= spare.len());
    // SAFETY: so many bytes have been written there, one piece after another.
    unsafe { out.set_len(out.len() + length) };
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

/// The bytes that have to be escaped.
#[inline(always)]
fn special<I: Isa>(isa: I, block: I::Block) -> u64 {
    let marks = isa.marks(block);
    marks.quote | marks.slash | marks.control
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
