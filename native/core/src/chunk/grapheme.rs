//! Where characters and grapheme clusters begin (UAX #29), in bytes that need not be UTF-8: what is not stands alone, as a
//! control character does. Only as much of the text is read as the answer needs.

use unicode_segmentation::{GraphemeCursor, GraphemeIncomplete};

/// How much is read at a time where a cluster depends on what stands before it.
const CONTEXT: usize = 64;

/// The character that begins at `at`. None where the bytes are no UTF-8. They are copied first: a file that is mapped may
/// change between the look at its form and the reading.
fn character(text: &[u8], at: usize) -> Option<char> {
    let width = match text.get(at)? {
        0x00..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return None,
    };
    let mut copy = [0; 4];
    copy[..width].copy_from_slice(text.get(at..at + width)?);
    std::str::from_utf8(&copy[..width]).ok()?.chars().next()
}

/// Where the character that holds the byte at `at` begins; a byte that is part of none is one.
pub(super) fn begin(text: &[u8], at: usize) -> usize {
    if text[at] & 0xc0 != 0x80 {
        return at;
    }
    let lead = (1..=at.min(3)).map(|back| at - back).find(|&lead| text[lead] & 0xc0 != 0x80);
    lead.filter(|&lead| character(text, lead).is_some_and(|found| lead + found.len_utf8() > at)).unwrap_or(at)
}

/// A character that joins no other of these: of the property Other, a whole syllable of Hangul, or a pictograph. Between two
/// of them there is always a boundary.
fn alone(character: char) -> bool {
    matches!(
        character,
        ' '..='~'
            | '\u{b0}'..='\u{2ff}'
            | '\u{370}'..='\u{482}'
            | '\u{48a}'..='\u{590}'
            | '\u{2010}'..='\u{2027}'
            | '\u{2190}'..='\u{2bff}'
            | '\u{3000}'..='\u{3029}'
            | '\u{3030}'..='\u{3098}'
            | '\u{309b}'..='\u{a66e}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{ff01}'..='\u{ff9d}'
            | '\u{1f300}'..='\u{1f3fa}'
            | '\u{1f400}'..='\u{1faff}'
    )
}

/// Whether a grapheme begins at `at`, for one who sees the text from `start` (`start < at < text.len()`).
#[inline(always)]
pub(super) fn starts(text: &[u8], start: usize, at: usize) -> bool {
    let (before, after) = (text[at - 1], text[at]);
    if before == b'\n' || before < 128 && after < 128 {
        return !(before == b'\r' && after == b'\n');
    }
    begin(text, at) == at && apart(text, start, at)
}

/// Whether the character at `at` begins a grapheme.
fn apart(text: &[u8], start: usize, at: usize) -> bool {
    let first = begin(text, at - 1).max(start);
    let (Some(before), Some(after)) = (character(text, first), character(text, at)) else {
        return true; // what is no UTF-8 stands alone
    };
    let regional = matches!(after, '\u{1f1e6}'..='\u{1f1ff}');
    (alone(before) && (alone(after) || regional)) || by_rules(text, start, at, at + after.len_utf8())
}

/// Whether a grapheme begins at `at` whatever stands before the character before it (`0 < at < text.len()`).
pub(super) fn parts(text: &[u8], at: usize) -> bool {
    if text[at - 1] < 128 && text[at] < 128 {
        return starts(text, 0, at);
    }
    let first = begin(text, at - 1);
    if !starts(text, first, at) {
        return false;
    }
    let Some(before) = character(text, first).filter(|&before| !alone(before)) else {
        return true;
    };
    // What joins a letter before it is a mark or a joiner, behind which more of the text may count.
    let mut pair = [b'x', 0, 0, 0, 0];
    let end = 1 + before.encode_utf8(&mut pair[1..]).len();
    by_rules(&pair, 0, 1, end)
}

/// The rules, read from the end of the character at `at` backward as far as they ask.
fn by_rules(text: &[u8], start: usize, at: usize, end: usize) -> bool {
    let mut cursor = GraphemeCursor::new(at - start, end - start, true);
    let mut buffer = [0; CONTEXT + 4];
    let (seen, from) = before(text, start, end, &mut buffer);
    if !seen.is_char_boundary(at - from) {
        return true; // the text changed since the character at `at` was read
    }
    let mut earlier = [0; CONTEXT + 4];
    loop {
        match cursor.is_boundary(seen, from - start) {
            Ok(boundary) => return boundary,
            Err(GraphemeIncomplete::PreContext(upto)) => {
                let (more, from) = before(text, start, start + upto, &mut earlier);
                cursor.provide_context(more, from - start);
            }
            Err(_) => return true, // it asks for nothing else
        }
    }
}

/// The characters before `end`, about `CONTEXT` bytes of them, and where they begin. They are copied, so that they stay UTF-8
/// whatever happens to a file that is mapped; bytes that are no UTF-8 are read as control characters.
fn before<'a>(text: &[u8], start: usize, end: usize, buffer: &'a mut [u8; CONTEXT + 4]) -> (&'a str, usize) {
    let from = begin(text, end.saturating_sub(CONTEXT).max(start)).max(start);
    let copy = &mut buffer[..end - from];
    copy.copy_from_slice(&text[from..end]);
    while let Err(error) = std::str::from_utf8(copy) {
        copy[error.valid_up_to()] = 0;
    }
    (std::str::from_utf8(copy).unwrap_or_default(), from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_joins_nothing_never_does() {
        for first in (0..=0x10_ffff).filter_map(char::from_u32).filter(|&character| alone(character)) {
            for second in ['x', '字', '각', '🦊', '\u{1f1e9}', first] {
                for pair in [format!("{first}{second}"), format!("{second}{first}")] {
                    let at = pair.chars().next().map_or(0, char::len_utf8);
                    let regional = second == '\u{1f1e9}' && pair.starts_with(second);
                    assert!(regional || by_rules(pair.as_bytes(), 0, at, pair.len()), "{pair:?}");
                }
            }
        }
    }

    #[test]
    fn clusters_longer_than_what_is_read_at_a_time() {
        let flags = "🇩".repeat(101);
        assert!(starts(flags.as_bytes(), 0, 400) && !starts(flags.as_bytes(), 0, 396));
        assert!(!starts(flags.as_bytes(), 4, 400));
        let marks = format!("🦊{}\u{200d}🦊", "\u{301}".repeat(99));
        assert!(!starts(marks.as_bytes(), 0, marks.len() - 4));
        assert!(starts(marks.as_bytes(), 4, marks.len() - 4));
    }

    #[test]
    fn bytes_that_are_no_characters() {
        for text in [
            &b"a\xff\xcc\x81"[..],
            b"\xe5\xad\x97\xe5\xad",
            b"\xf0\x9f\xa6\x8a\x8a\x8a",
            b"\xed\xa0\x80",
            b"\x80\x80\x80\x80\x80",
        ] {
            let all: Vec<_> = (1..text.len()).filter(|&at| starts(text, 0, at)).collect();
            let lossy: Vec<_> = text
                .utf8_chunks()
                .flat_map(|chunk| {
                    let valid = chunk.valid().chars().map(char::len_utf8).collect::<Vec<_>>();
                    valid.into_iter().chain(chunk.invalid().iter().map(|_| 1))
                })
                .scan(0, |at, size| {
                    *at += size;
                    Some(*at)
                })
                .filter(|&at| at < text.len())
                .collect();
            assert_eq!(all, lossy, "{text:?}");
        }
    }
}
