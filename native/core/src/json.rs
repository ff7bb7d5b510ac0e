//! A reader of the little JSON that an event needs (RFC 8259): objects, strings, unsigned integers, arrays of arrays of
//! strings. The input must be valid UTF-8; positions are byte offsets.

use std::borrow::Cow;

/// A string as it stands in the text: what is between the quotes.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Text {
    pub start: usize,
    pub end: usize,
    /// No escape in it that NIP-01 would write differently.
    pub canonical: bool,
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

    /// A string, whose surrogate escapes are not looked at yet (`unescape` does).
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
                    b'u' if self.text.get(i + 2..i + 6)?.iter().all(u8::is_ascii_hexdigit) => {
                        canonical = false;
                        i += 6;
                    }
                    _ => return None,
                },
                _ => return None, // RFC 8259 section 7: control characters must be escaped
            }
            i = special(self.text, i);
        }
    }

    /// What a string says, without its escapes.
    pub(crate) fn unescaped(&self, text: Text) -> Option<Cow<'a, [u8]>> {
        let raw = &self.text[text.start..text.end];
        if memchr::memchr(b'\\', raw).is_none() { Some(Cow::Borrowed(raw)) } else { unescape(raw).map(Cow::Owned) }
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
        let digits = self.unescaped(text)?;
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

/// A string without its escapes; None for half of a surrogate pair, which no UTF-8 text can hold.
pub(crate) fn unescape(s: &[u8]) -> Option<Vec<u8>> {
    let unit = |at: usize| u32::from_str_radix(std::str::from_utf8(s.get(at..at + 4)?).ok()?, 16).ok();
    let mut out = Vec::with_capacity(s.len());
    let mut i = 0;
    while i < s.len() {
        if s[i] != b'\\' {
            let end = memchr::memchr(b'\\', &s[i..]).map_or(s.len(), |k| i + k);
            out.extend_from_slice(&s[i..end]);
            i = end;
            continue;
        }
        match *s.get(i + 1)? {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let mut code = unit(i + 2)?;
                if (0xD800..0xDC00).contains(&code) {
                    let low = if s.get(i + 6..i + 8)? == b"\\u" { unit(i + 8)? } else { return None };
                    if !(0xDC00..0xE000).contains(&low) {
                        return None;
                    }
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    i += 6;
                }
                out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                i += 4;
            }
            c => out.push(c),
        }
        i += 2;
    }
    Some(out)
}
