//! The kinds of natural boundaries, each known by the few bytes around it.

use super::lanes::Lanes;

/// What a line at column 0 begins with where a definition begins, in the languages most source code is written in.
const DEFINITIONS: [&[u8]; 26] = [
    b"def ",
    b"class ",
    b"async ",
    b"fn ",
    b"pub ",
    b"pub(",
    b"impl ",
    b"impl<",
    b"func ",
    b"function ",
    b"struct ",
    b"enum ",
    b"trait ",
    b"mod ",
    b"type ",
    b"interface ",
    b"export ",
    b"const ",
    b"static ",
    b"unsafe ",
    b"extern ",
    b"public ",
    b"private ",
    b"protected ",
    b"namespace ",
    b"template",
];

/// With what a definition or a fence begins.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let mut word = 0;
    while word < DEFINITIONS.len() {
        first[DEFINITIONS[word][0] as usize] = true;
        word += 1;
    }
    first[b'`' as usize] = true;
    first[b'~' as usize] = true;
    first
};

/// The most signs that a fence is made of.
const FENCE: usize = 16;

/// How far back the start of the line before a heading is looked for.
const LINE: usize = 256;

/// A kind of boundary: marks that are found many bytes at a time, and which of them make a cut.
pub(super) trait Kind {
    /// The bytes where such a boundary may be; `next` and `third` are the bytes one and two places further on.
    fn marks<L: Lanes>(bytes: L, next: L, third: L) -> L;

    /// The cut of the mark at `at`, if it makes one.
    fn cut(text: &[u8], at: usize) -> Option<usize>;
}

/// Before a heading.
pub(super) struct Heading;

impl Kind for Heading {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, next: L, _: L) -> L {
        bytes.equal(b'\n').and(next.equal(b'#'))
    }

    #[inline(always)]
    fn cut(text: &[u8], at: usize) -> Option<usize> {
        heading(text, at + 1).then_some(at + 1)
    }
}

/// Behind an empty line, before something at column 0.
pub(super) struct Outermost;

impl Kind for Outermost {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, next: L, third: L) -> L {
        // Most of what does not stand at column 0 is indented by spaces.
        let empty = next.equal(b'\n').but(third.equal(b' ')).or(next.equal(b'\r'));
        bytes.equal(b'\n').and(empty)
    }

    #[inline(always)]
    fn cut(text: &[u8], at: usize) -> Option<usize> {
        empty(text, at).filter(|&cut| outermost(text, cut))
    }
}

/// Behind any empty line.
pub(super) struct Empty;

impl Kind for Empty {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, next: L, _: L) -> L {
        bytes.equal(b'\n').and(next.equal(b'\n').or(next.equal(b'\r')))
    }

    #[inline(always)]
    fn cut(text: &[u8], at: usize) -> Option<usize> {
        empty(text, at)
    }
}

/// Before a definition, or a fenced block of code.
pub(super) struct Opening;

impl Kind for Opening {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, next: L, _: L) -> L {
        // A small letter, `` ` `` or `~`.
        bytes.equal(b'\n').and(next.masked(0xe0).equal(0x60))
    }

    #[inline(always)]
    fn cut(text: &[u8], at: usize) -> Option<usize> {
        opening(text, at + 1).then_some(at + 1)
    }
}

/// Behind any line.
pub(super) struct Line;

impl Kind for Line {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, _: L, _: L) -> L {
        bytes.equal(b'\n')
    }

    #[inline(always)]
    fn cut(_: &[u8], at: usize) -> Option<usize> {
        Some(at + 1)
    }
}

/// Behind the space after a sentence, or behind a full stop of Chinese or Japanese (`。`, `！`, `？`), which no space follows.
pub(super) struct Sentence;

impl Kind for Sentence {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, next: L, third: L) -> L {
        let signs = bytes.equal(b'.').or(bytes.equal(b'!')).or(bytes.equal(b'?'));
        let full = bytes.equal(0xe3).and(next.equal(0x80)).and(third.equal(0x82));
        let wide = bytes.equal(0xef).and(next.equal(0xbc)).and(third.equal(0x81).or(third.equal(0x9f)));
        signs.and(next.equal(b' ')).or(full).or(wide)
    }

    #[inline(always)]
    fn cut(text: &[u8], at: usize) -> Option<usize> {
        sentence(text, at)
    }
}

/// Behind a space, a tab or a carriage return.
pub(super) struct Space;

impl Kind for Space {
    #[inline(always)]
    fn marks<L: Lanes>(bytes: L, _: L, _: L) -> L {
        bytes.equal(b' ').or(bytes.equal(b'\t')).or(bytes.equal(b'\r'))
    }

    #[inline(always)]
    fn cut(_: &[u8], at: usize) -> Option<usize> {
        Some(at + 1)
    }
}

/// Of which kind the place at `at` is, behind a line end: 0 for any line, 1 before a block, 2 behind an empty line, 3 behind one
/// before something at column 0, 4 before a heading.
pub(super) fn line_kind(text: &[u8], at: usize) -> u64 {
    let line = &text[..at - 1];
    if heading(text, at) {
        4
    } else if line.strip_suffix(b"\r").unwrap_or(line).ends_with(b"\n") {
        2 + u64::from(outermost(text, at))
    } else {
        u64::from(opening(text, at))
    }
}

/// Where the sentence ends whose last sign is at `at`, if one is.
pub(super) fn sentence(text: &[u8], at: usize) -> Option<usize> {
    match text[at..] {
        [b'.' | b'!' | b'?', b' ', ..] => Some(at + 2),
        [0xe3, 0x80, 0x82, ..] | [0xef, 0xbc, 0x81 | 0x9f, ..] => Some(at + 3),
        _ => None,
    }
}

/// Whether the line that begins at `at` is a heading of Markdown (ATX), and the first line of its kind: of the lines of a
/// comment in a script, which look the same, only the first counts.
fn heading(text: &[u8], at: usize) -> bool {
    let line = &text[at..text.len().min(at + 7)];
    let level = line.iter().take_while(|&&byte| byte == b'#').count();
    if !(1..7).contains(&level) || !matches!(line.get(level), Some(b' ' | b'\t')) {
        return false;
    }
    let from = at.saturating_sub(LINE + 1);
    let before = memchr::memrchr(b'\n', &text[from..at - 1]);
    before.is_none_or(|found| text[from + found + 1] != b'#')
}

/// Where the empty line ends that follows the line end at `line`, if one does.
fn empty(text: &[u8], line: usize) -> Option<usize> {
    match text.get(line + 1) {
        Some(b'\n') => Some(line + 2),
        Some(b'\r') if text.get(line + 2) == Some(&b'\n') => Some(line + 3),
        _ => None,
    }
}

/// Whether something begins at column 0: a paragraph of prose, or a definition at the top level of source code.
fn outermost(text: &[u8], at: usize) -> bool {
    !matches!(text.get(at), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'}' | b')' | b']'))
}

/// Whether the line that begins at `at` begins a definition, or a fenced block of code whose language is named: a bare fence
/// may as well be the end of one.
fn opening(text: &[u8], at: usize) -> bool {
    let line = &text[at..];
    FIRST[usize::from(line[0])] && (fence(line) || DEFINITIONS.iter().any(|word| line.starts_with(word)))
}

fn fence(line: &[u8]) -> bool {
    let ticks = line.iter().take(FENCE).take_while(|&&byte| byte == line[0]).count();
    matches!(line[0], b'`' | b'~')
        && ticks >= 3
        && line.get(ticks).is_some_and(|&next| next != line[0] && !next.is_ascii_whitespace())
}
