//! What a place in a text is, seen from there: the natural boundaries, each known by the few bytes around it.

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

/// Whether the line that begins at `at` is a heading of Markdown (ATX), and the first line of its kind: of the lines of a
/// comment in a script, which look the same, only the first counts.
pub(super) fn heading(text: &[u8], at: usize) -> bool {
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
pub(super) fn blank(text: &[u8], line: usize) -> Option<usize> {
    match text.get(line + 1) {
        Some(b'\n') => Some(line + 2),
        Some(b'\r') if text.get(line + 2) == Some(&b'\n') => Some(line + 3),
        _ => None,
    }
}

/// Whether something begins at column 0: a paragraph of prose, or a definition at the top level of source code.
pub(super) fn outermost(text: &[u8], at: usize) -> bool {
    !matches!(text[at], b' ' | b'\t' | b'\r' | b'\n' | b'}' | b')' | b']')
}

/// Whether the line that begins at `at` begins a definition, or a fenced block of code whose language is named: a bare fence
/// may as well be the end of one.
pub(super) fn block(text: &[u8], at: usize) -> bool {
    let line = &text[at..];
    FIRST[usize::from(line[0])] && (fence(line) || DEFINITIONS.iter().any(|word| line.starts_with(word)))
}

fn fence(line: &[u8]) -> bool {
    let ticks = line.iter().take(FENCE).take_while(|&&byte| byte == line[0]).count();
    matches!(line[0], b'`' | b'~')
        && ticks >= 3
        && line.get(ticks).is_some_and(|&next| next != line[0] && !next.is_ascii_whitespace())
}

/// Where the sentence ends whose last sign is at `at`: after the space that follows it, or after the full stop of Chinese or
/// Japanese, which no space follows.
pub(super) fn sentence(text: &[u8], at: usize) -> usize {
    at + if text[at] < 128 { 2 } else { 3 }
}
