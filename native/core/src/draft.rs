//! The canonical bytes of an event that is given as values, one after another.

use crate::canonical::head;
use crate::error::Error;
use crate::event::MAX_CREATED_AT;
use crate::quote::quote;
use crate::sha256;
use crate::simd::{Best, Isa, Task};

/// Builds the canonical bytes of an event of our own, piece by piece.
pub struct Canonical<'a> {
    best: Best,
    out: &'a mut Vec<u8>,
    tags: usize,
    values: usize,
}

impl<'a> Canonical<'a> {
    /// Everything up to the tags, in `out`, which is emptied first. `pubkey` is 64 lower-case hexadecimal digits.
    pub fn new(out: &'a mut Vec<u8>, pubkey: &str, created_at: i64, kind: i64) -> Result<Self, Error> {
        let best = Best::this();
        let created_at = u64::try_from(created_at)
            .ok()
            .filter(|&time| time <= MAX_CREATED_AT)
            .ok_or(Error::Event("the created_at of an event is 0 at least and 2^53 at most"))?;
        let kind =
            u16::try_from(kind).map_err(|_| Error::Event("the kind of an event is 0 at least and 65535 at most"))?;
        best.run(Head { pubkey: pubkey.as_bytes(), created_at, kind, out })
            .ok_or(Error::Event("the pubkey of an event is 64 lower-case hex characters"))?;
        Ok(Self { best, out, tags: 0, values: 0 })
    }

    /// Starts the next tag.
    #[inline]
    pub fn tag(&mut self) {
        if self.tags > 0 {
            self.out.extend_from_slice(b"],");
        }
        self.out.push(b'[');
        self.tags += 1;
        self.values = 0;
    }

    /// The next value of the tag.
    #[inline]
    pub fn value(&mut self, value: &str) {
        let text = value.as_bytes();
        if self.values > 0 {
            self.out.push(b',');
        }
        self.values += 1;
        if text.len() <= 8 && text.iter().all(u8::is_ascii_alphanumeric) {
            // Names of tags, markers, kinds: done before the other way has begun.
            self.out.push(b'"');
            text.iter().for_each(|&c| self.out.push(c));
            self.out.push(b'"');
        } else {
            self.best.run(Quote { before: b"", text, out: self.out });
        }
    }

    /// The id of the event with this content.
    #[must_use]
    pub fn id(self, content: &str) -> [u8; 32] {
        if self.tags > 0 {
            self.out.push(b']');
        }
        self.best.run(Quote { before: b"],", text: content.as_bytes(), out: self.out });
        self.out.push(b']');
        sha256::digest(self.out)
    }
}

struct Head<'a> {
    pubkey: &'a [u8],
    created_at: u64,
    kind: u16,
    out: &'a mut Vec<u8>,
}

impl Task for Head<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Option<()> {
        let pubkey = self.pubkey.try_into().ok()?;
        isa.unhex(pubkey)?;
        self.out.reserve(256);
        head(pubkey, self.created_at, self.kind, self.out);
        self.out.push(b'[');
        Some(())
    }
}

struct Quote<'a, const N: usize> {
    before: &'a [u8; N],
    text: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl<const N: usize> Task for Quote<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        quote(isa, self.before, self.text, self.out);
    }
}
