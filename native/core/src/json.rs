//! A reader of the little JSON that an event needs (RFC 8259): objects, strings, unsigned integers, arrays of arrays of
//! strings. The input must be valid UTF-8; positions are byte offsets.

use std::borrow::Cow;

/// Where a value stands in the text, in bytes: a string without its quotes, or an array with its brackets.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// NIP-01 would write it the same: no other escape, no white space.
    pub canonical: bool,
}

impl Text {
    /// The value as it stands there.
    #[must_use]
    #[inline]
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.end]
    }
}

/// The next `"`, `\` or control character at or after `i`; the length if there is none.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn special(b: &[u8], mut i: usize) -> usize {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of x86_64, and each load of 16 bytes ends inside `b`.
    unsafe {
        let (quote, slash, control) =
            (_mm_set1_epi8(b'"'.cast_signed()), _mm_set1_epi8(b'\\'.cast_signed()), _mm_set1_epi8(0x1f));
        while i + 16 <= b.len() {
            let v = _mm_loadu_si128(b.as_ptr().add(i).cast::<__m128i>());
            let hit = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                _mm_cmpeq_epi8(_mm_min_epu8(v, control), v),
            );
            let mask = _mm_movemask_epi8(hit);
            if mask != 0 {
                return i + mask.trailing_zeros() as usize;
            }
            i += 16;
        }
    }
    special_plain(b, i)
}

/// The same for other machines.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn special(b: &[u8], i: usize) -> usize {
    special_plain(b, i)
}

#[inline(always)]
fn special_plain(b: &[u8], mut i: usize) -> usize {
    while i < b.len() && b[i] != b'"' && b[i] != b'\\' && b[i] >= 0x20 {
        i += 1;
    }
    i
}

/// A cursor over JSON text. Every method answers None where the text is not what it asks for.
pub(crate) struct Reader<'a> {
    pub text: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Skips white space; whether there was any.
    #[inline(always)]
    pub(crate) fn space(&mut self) -> bool {
        let start = self.at;
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.at != start
    }

    /// Exactly this byte.
    #[inline(always)]
    pub(crate) fn byte(&mut self, c: u8) -> Option<()> {
        (self.text.get(self.at) == Some(&c)).then(|| self.at += 1)
    }

    /// This byte after optional white space.
    #[inline(always)]
    pub(crate) fn mark(&mut self, c: u8) -> Option<()> {
        self.space();
        self.byte(c)
    }

    /// A string.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Option<Text> {
        self.byte(b'"')?;
        let start = self.at;
        let mut canonical = true;
        let mut i = special(self.text, start);
        loop {
            match *self.text.get(i)? {
                b'"' => {
                    self.at = i + 1;
                    return Some(Text { start, end: i, canonical });
                }
                b'\\' => match *self.text.get(i + 1)? {
                    b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f' => i += 2,
                    b'/' => {
                        canonical = false;
                        i += 2;
                    }
                    b'u' => {
                        canonical = false;
                        i += escaped(&self.text[i..])?.1;
                    }
                    _ => return None,
                },
                _ => return None, // RFC 8259 section 7: control characters must be escaped
            }
            i = special(self.text, i);
        }
    }

    /// An unsigned integer without sign, fraction, exponent or leading zero.
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at).copied() {
            value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.text[start] == b'0';
        (digits > 0 && !leading_zero && !matches!(self.text.get(self.at), Some(b'.' | b'e' | b'E'))).then_some(value)
    }

    /// A string of 2·N lower-case hexadecimal digits.
    pub(crate) fn hex<const N: usize>(&mut self) -> Option<[u8; N]> {
        let text = self.string()?;
        let digits = unescaped(self.text, text);
        let mut bytes = [0; N];
        if digits.len() != 2 * N || digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        faster_hex::hex_decode(&digits, &mut bytes).ok()?;
        Some(bytes)
    }

    /// An array of arrays of strings, brackets included.
    pub(crate) fn tags(&mut self) -> Option<Text> {
        let start = self.at;
        let mut canonical = true;
        self.byte(b'[')?;
        canonical &= !self.space();
        if self.byte(b']').is_none() {
            loop {
                canonical &= !self.space();
                canonical &= self.tag()?;
                canonical &= !self.space();
                if self.byte(b',').is_some() {
                    continue;
                }
                self.byte(b']')?;
                break;
            }
        }
        Some(Text { start, end: self.at, canonical })
    }

    fn tag(&mut self) -> Option<bool> {
        self.byte(b'[')?;
        let mut canonical = !self.space();
        if self.byte(b']').is_none() {
            loop {
                canonical &= !self.space();
                canonical &= self.string()?.canonical;
                canonical &= !self.space();
                if self.byte(b',').is_some() {
                    continue;
                }
                self.byte(b']')?;
                break;
            }
        }
        Some(canonical)
    }
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

/// The character of `\uXXXX` at the start of `s`, or of two of them that are a surrogate pair, and the bytes it takes.
/// None for anything else, half of a pair too, which no UTF-8 text can hold.
fn escaped(s: &[u8]) -> Option<(char, usize)> {
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

/// `s` without its escapes, the first of which stands at `at`.
fn unescape(s: &[u8], mut at: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(s.len());
    out.extend_from_slice(&s[..at]);
    while let Some(&c) = s.get(at + 1) {
        at += 2;
        match c {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                // What a reader let pass has no other.
                let (character, length) = escaped(&s[at - 2..]).unwrap_or((char::REPLACEMENT_CHARACTER, 2));
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += length - 2;
            }
            c => out.push(c),
        }
        let end = memchr::memchr(b'\\', &s[at..]).map_or(s.len(), |k| at + k);
        out.extend_from_slice(&s[at..end]);
        at = end;
    }
    out
}
