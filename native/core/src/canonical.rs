//! The serialisation of NIP-01 that is hashed: `[0,pubkey,created_at,kind,tags,content]` without white space. Control
//! characters without a short escape become `\u00xx` in lower case, as every JSON library writes them.

use crate::error::Error;
use crate::escapes::unescaped;
use crate::event::{MAX_CREATED_AT, Scanned};
use crate::json::{Reader, Text};
use crate::sha256;
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
fn head(pubkey: &[u8; 64], created_at: u64, kind: u16, out: &mut Vec<u8>) {
    let mut head = [0; 128];
    head[..4].copy_from_slice(b"[0,\"");
    head[4..68].copy_from_slice(pubkey);
    head[68..70].copy_from_slice(b"\",");
    let mut at = 70;
    for value in [created_at, u64::from(kind)] {
        let (digits, first) = number(value);
        head[at..at + 21].copy_from_slice(&digits[first..first + 21]);
        at += 21 - first;
    }
    out.clear();
    out.extend_from_slice(&head[..at]);
}

/// A decimal number and a comma, which end at byte 21, and the byte where they begin.
#[inline(always)]
fn number(mut value: u64) -> ([u8; 42], usize) {
    let mut digits = [b','; 42];
    let mut first = 20;
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return (digits, first);
        }
    }
}

/// Appends JSON text of strings, brackets and commas, whose form was checked, as NIP-01 writes it.
#[inline(always)]
fn piece<I: Isa>(isa: I, text: &[u8], piece: Text, out: &mut Vec<u8>) {
    if !piece.canonical {
        return rewrite(piece.of(text), out);
    }
    let length = piece.end - piece.start;
    if length > 512 {
        return out.extend_from_slice(piece.of(text));
    }
    // Block by block: most pieces are copied in less time than a call of memcpy takes.
    out.reserve(length + 64);
    for at in (piece.start..piece.end).step_by(64) {
        append(isa, isa.load(text, at), (piece.end - at).min(64), out);
    }
}

/// Appends a string with its quotes.
#[inline]
fn string(s: &[u8], out: &mut Vec<u8>) {
    on_best(Quote { s, out });
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
                Some(part) => quote(isa, &unescaped(text, part), out),
                None => {
                    out.push(c);
                    reader.at += 1;
                }
            }
        }
    }
}

struct Quote<'a> {
    s: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Task for Quote<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        quote(isa, self.s, self.out);
    }
}

/// The most bytes that a block of 64 becomes, its last piece written as a whole block, and the two quotes.
const ROOM: usize = 64 * 6 + 64 + 2;

#[inline(always)]
fn quote<I: Isa>(isa: I, s: &[u8], out: &mut Vec<u8>) {
    out.reserve(s.len() + ROOM);
    out.push(b'"');
    let mut at = 0;
    // Pieces are copied as whole blocks, the next piece over what was too much.
    while at + 128 <= s.len() {
        out.reserve(ROOM);
        let mut hits = special(isa, isa.load(s, at));
        let end = at + 64;
        while hits != 0 {
            let clean = hits.trailing_zeros() as usize;
            append(isa, isa.load(s, at), clean, out);
            append_escape(s[at + clean], out);
            at += clean + 1;
            hits = hits >> clean >> 1;
        }
        append(isa, isa.load(s, at), end - at, out);
        at = end;
    }
    while at < s.len() {
        out.reserve(ROOM);
        let block = isa.load(s, at);
        let clean = (special(isa, block).trailing_zeros() as usize).min(s.len() - at);
        append(isa, block, clean, out);
        at += clean;
        if clean < 64 && at < s.len() {
            append_escape(s[at], out);
            at += 1;
        }
    }
    out.push(b'"');
}

/// The bytes that have to be escaped.
#[inline(always)]
fn special<I: Isa>(isa: I, block: I::Block) -> u64 {
    let marks = isa.marks(block);
    marks.quote | marks.slash | marks.control
}

/// Appends the first `length` bytes of a block (64 at most). `out` has room for all of it.
#[inline(always)]
fn append<I: Isa>(isa: I, block: I::Block, length: usize, out: &mut Vec<u8>) {
    let spare = out.spare_capacity_mut();
    debug_assert!(length <= 64 && spare.len() >= 64);
    // SAFETY: the callers reserved the room; the bytes that are counted in have been written.
    unsafe {
        isa.store(block, &mut *spare.as_mut_ptr().cast::<[u8; 64]>());
        out.set_len(out.len() + length);
    }
}

/// Appends the escape of a special character. `out` has room for 8 bytes.
#[inline(always)]
fn append_escape(c: u8, out: &mut Vec<u8>) {
    let (escape, length) = &ESCAPES[usize::from(c)];
    let spare = out.spare_capacity_mut();
    debug_assert!(spare.len() >= 8);
    // SAFETY: as in `append`.
    unsafe {
        spare.as_mut_ptr().cast::<[u8; 8]>().write(*escape);
        out.set_len(out.len() + *length);
    }
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

/// Builds the canonical bytes of an event of our own, piece by piece.
pub struct Canonical<'a> {
    out: &'a mut Vec<u8>,
    tags: usize,
    values: usize,
}

impl<'a> Canonical<'a> {
    /// Everything up to the tags, in `out`, which is emptied first. `pubkey` is 64 lower-case hexadecimal digits.
    pub fn new(out: &'a mut Vec<u8>, pubkey: &str, created_at: i64, kind: i64) -> Result<Self, Error> {
        let pubkey: &[u8; 64] = pubkey
            .as_bytes()
            .try_into()
            .ok()
            .filter(|digits: &&[u8; 64]| digits.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
            .ok_or(Error::Event("the pubkey of an event is 64 lower-case hex characters"))?;
        let created_at = u64::try_from(created_at)
            .ok()
            .filter(|&time| time <= MAX_CREATED_AT)
            .ok_or(Error::Event("the created_at of an event is 0 at least and 2^53 at most"))?;
        let kind =
            u16::try_from(kind).map_err(|_| Error::Event("the kind of an event is 0 at least and 65535 at most"))?;
        head(pubkey, created_at, kind, out);
        out.push(b'[');
        Ok(Self { out, tags: 0, values: 0 })
    }

    /// Starts the next tag.
    pub fn tag(&mut self) {
        self.out.extend_from_slice(if self.tags == 0 { b"[" } else { b"],[" });
        self.tags += 1;
        self.values = 0;
    }

    /// The next value of the tag.
    pub fn value(&mut self, value: &str) {
        if self.values > 0 {
            self.out.push(b',');
        }
        self.values += 1;
        string(value.as_bytes(), self.out);
    }

    /// The id of the event with this content.
    #[must_use]
    pub fn id(self, content: &str) -> [u8; 32] {
        self.out.extend_from_slice(if self.tags == 0 { b"]," } else { b"]]," });
        string(content.as_bytes(), self.out);
        self.out.push(b']');
        sha256::digest(self.out)
    }
}
