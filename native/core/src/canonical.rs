//! The serialisation of NIP-01 that is hashed: `[0,pubkey,created_at,kind,tags,content]` without white space. Control
//! characters without a short escape become `\u00xx` in lower case, as every JSON library writes them.

use crate::json::{Reader, special, unescaped};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a decimal number.
pub(crate) fn number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut i = digits.len();
    loop {
        i -= 1;
        digits[i] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[i..]);
}

/// Appends a string with its quotes.
pub(crate) fn string(s: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut i = 0;
    loop {
        let next = special(s, i);
        out.extend_from_slice(&s[i..next]);
        match s.get(next) {
            None => break,
            Some(b'"') => out.extend(b"\\\""),
            Some(b'\\') => out.extend(b"\\\\"),
            Some(b'\n') => out.extend(b"\\n"),
            Some(b'\r') => out.extend(b"\\r"),
            Some(b'\t') => out.extend(b"\\t"),
            Some(8) => out.extend(b"\\b"),
            Some(12) => out.extend(b"\\f"),
            Some(&c) => out.extend([b'\\', b'u', b'0', b'0', HEX[usize::from(c >> 4)], HEX[usize::from(c & 15)]]),
        }
        i = next + 1;
    }
    out.push(b'"');
}

/// Appends JSON text of strings, brackets and commas, whose form was checked, as NIP-01 writes it.
pub(crate) fn rewrite(text: &[u8], out: &mut Vec<u8>) {
    let mut reader = Reader::new(text);
    loop {
        reader.space();
        let Some(&c) = text.get(reader.at) else { return };
        match (c == b'"').then(|| reader.string()).flatten() {
            Some(part) => string(&unescaped(text, part), out),
            None => {
                out.push(c);
                reader.at += 1;
            }
        }
    }
}

/// Starts `out` with everything up to the tags.
pub(crate) fn head(pubkey: &[u8], created_at: u64, kind: u16, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(b"[0,\"");
    out.extend_from_slice(pubkey);
    out.extend_from_slice(b"\",");
    number(created_at, out);
    out.push(b',');
    number(u64::from(kind), out);
    out.push(b',');
}
