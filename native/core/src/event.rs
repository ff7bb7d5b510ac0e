//! Events as they come from the wire (NIP-01): their form. Values stay where they stand in the text, so that no object is
//! made before the checks pass.

use crate::json::{self, Reader};
use crate::simd::{Isa, Task, on_best};

pub use crate::draft::Canonical;
pub use crate::escapes::unescaped;
pub use crate::ids::{check_ids, id_codes, id_of};
pub use crate::json::Text;
pub use crate::tags::{Part, Tags, tags};

/// The event holds.
pub const OK: u8 = 0;
/// Not one JSON object with exactly the seven fields of NIP-01, once each.
pub const SYNTAX: u8 = 1;
/// The id is not the hash of the event.
pub const BAD_ID: u8 = 2;
/// The signature is not one of this id by this key.
pub const BAD_SIGNATURE: u8 = 3;
/// Not UTF-8.
pub const BAD_UTF8: u8 = 4;

/// The largest `created_at`: above it JavaScript loses whole seconds.
pub const MAX_CREATED_AT: u64 = 1 << 53;

/// An event whose form holds. Positions are those of the text that was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// What the event says its id is.
    pub id: [u8; 32],
    /// The x-only public key, which may be none of the curve.
    pub pubkey: [u8; 32],
    /// Seconds; `MAX_CREATED_AT` at most.
    pub created_at: u64,
    /// The kind.
    pub kind: u16,
    /// The array of tags, with its brackets.
    pub tags: Text,
    /// The content, without its quotes.
    pub content: Text,
    /// The signature, which nobody has checked yet.
    pub signature: [u8; 64],
    /// Start and end of the event's JSON object.
    pub object: (usize, usize),
    /// The subscription of an `EVENT` frame that names one.
    pub subscription: Option<Text>,
}

/// Reads an event object, or a whole frame `["EVENT",{...}]` or `["EVENT","subscription",{...}]`: `BAD_UTF8` or `SYNTAX`
/// unless the text is UTF-8 and nothing but that, and the event has exactly the seven fields of NIP-01, once each. Neither
/// the id nor the signature is checked.
pub fn scan(text: &[u8]) -> Result<Scanned, u8> {
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(BAD_UTF8);
    }
    on_best(Scan(text))
}

#[derive(Clone)]
struct Scan<'a>(&'a [u8]);

impl Task for Scan<'_> {
    type Output = Result<Scanned, u8>;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Result<Scanned, u8> {
        whole(&mut Reader::new(isa, self.0)).ok_or(SYNTAX)
    }
}

/// An event or a frame around one, and nothing else.
#[inline(always)]
fn whole<I: Isa>(reader: &mut Reader<'_, I>) -> Option<Scanned> {
    let mut subscription = None;
    reader.space();
    let framed = reader.byte(b'[').is_some();
    if framed {
        label(reader)?;
        reader.mark(b',')?;
        reader.space();
        if reader.peek() == Some(b'"') {
            subscription = Some(reader.string()?);
            reader.mark(b',')?;
            reader.space();
        }
    }
    let event = object(reader, subscription)?;
    if framed {
        reader.mark(b']')?;
    }
    reader.space();
    (reader.at == reader.text.len()).then_some(event)
}

/// The string `EVENT`.
#[inline(always)]
fn label<I: Isa>(reader: &mut Reader<'_, I>) -> Option<()> {
    reader.space();
    if reader.bytes(b"\"EVENT\"").is_some() {
        return Some(());
    }
    let (label, end) = json::meant(reader.text, reader.at)?;
    reader.at = end;
    (*label == *b"EVENT").then_some(())
}

/// The fields of an event, each a bit of its own.
#[derive(Clone, Copy)]
enum Field {
    Id = 1,
    Pubkey = 2,
    CreatedAt = 4,
    Kind = 8,
    Tags = 16,
    Content = 32,
    Sig = 64,
}

/// All of them.
const SEVEN: u8 = 127;

/// The name of a field and its colon.
#[inline(always)]
fn field<I: Isa>(reader: &mut Reader<'_, I>) -> Option<Field> {
    let usual = match reader.text.get(reader.at + 1)? {
        b'i' => reader.bytes(b"\"id\":").map(|()| Field::Id),
        b'p' => reader.bytes(b"\"pubkey\":").map(|()| Field::Pubkey),
        b'k' => reader.bytes(b"\"kind\":").map(|()| Field::Kind),
        b't' => reader.bytes(b"\"tags\":").map(|()| Field::Tags),
        b's' => reader.bytes(b"\"sig\":").map(|()| Field::Sig),
        b'c' if reader.bytes(b"\"content\":").is_some() => Some(Field::Content),
        b'c' => reader.bytes(b"\"created_at\":").map(|()| Field::CreatedAt),
        _ => None,
    };
    if usual.is_some() {
        return usual;
    }
    let (field, end) = unusual(reader.text, reader.at)?;
    reader.at = end;
    reader.mark(b':')?;
    Some(field)
}

/// The field that the string at `at` names, and the byte after it: written with escapes, or before white space.
#[cold]
#[inline(never)]
fn unusual(text: &[u8], at: usize) -> Option<(Field, usize)> {
    let (name, end) = json::meant(text, at)?;
    let field = match &*name {
        b"id" => Field::Id,
        b"pubkey" => Field::Pubkey,
        b"created_at" => Field::CreatedAt,
        b"kind" => Field::Kind,
        b"tags" => Field::Tags,
        b"content" => Field::Content,
        b"sig" => Field::Sig,
        _ => return None,
    };
    Some((field, end))
}

#[inline(always)]
fn object<I: Isa>(reader: &mut Reader<'_, I>, subscription: Option<Text>) -> Option<Scanned> {
    let mut event = Scanned {
        id: [0; 32],
        pubkey: [0; 32],
        created_at: 0,
        kind: 0,
        tags: Text::default(),
        content: Text::default(),
        signature: [0; 64],
        object: (reader.at, 0),
        subscription,
    };
    let mut seen = 0;
    reader.byte(b'{')?;
    loop {
        reader.space();
        let field = field(reader)?;
        // A name that comes twice means two things to two readers: refused.
        if seen & field as u8 != 0 {
            return None;
        }
        seen |= field as u8;
        reader.space();
        match field {
            Field::Id => event.id = reader.hex32()?,
            Field::Pubkey => event.pubkey = reader.hex32()?,
            Field::CreatedAt => event.created_at = reader.uint().filter(|&time| time <= MAX_CREATED_AT)?,
            Field::Kind => event.kind = u16::try_from(reader.uint()?).ok()?,
            Field::Tags => event.tags = reader.tags()?,
            Field::Content => event.content = reader.string()?,
            Field::Sig => event.signature = reader.hex64()?,
        }
        reader.space();
        if reader.byte(b',').is_none() {
            reader.byte(b'}')?;
            break;
        }
    }
    event.object.1 = reader.at;
    (seen == SEVEN).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_each;

    /// Every set of instructions reads a frame, and every frame with one byte of it changed, the same.
    #[test]
    fn all_agree() {
        let (id, sig) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(8));
        let content = r#"a \"quoted\" one,\n\u00e9 \/ é and more than sixty-four bytes, with \\\\ at the end\\"#;
        let frame = format!(
            r#"["EVENT","sub",{{"id":"{id}","pubkey":"{id}","created_at":1,"kind":1,"tags":[["e","{id}"],[]],"content":"{content}","sig":"{sig}"}}]"#
        );
        let mut read = 0;
        for at in 0..frame.len() {
            for byte in *b"\"\\/u0aAg, ]}\n\x00\xff" {
                let mut text = frame.clone().into_bytes();
                text[at] = byte;
                let found = on_each(&Scan(&text));
                assert!(found.iter().all(|other| *other == found[0]), "{byte} at {at}");
                read += usize::from(found[0].is_ok());
            }
        }
        assert!(read > 1_000);
    }
}
