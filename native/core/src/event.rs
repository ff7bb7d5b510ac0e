//! Events as they come from the wire (NIP-01): form, id and signature. The canonical bytes are built from the event's own
//! text, so that no object is made before the checks pass.

use crate::canonical;
use crate::error::Error;
use crate::json::Reader;
use sha2::{Digest, Sha256};

pub use crate::json::{Text, unescaped};
pub use crate::tags::{Tag, Tags, tags};

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
/// unless the text is UTF-8 and nothing but that, and the event has exactly the seven fields of NIP-01, once each. The
/// id and the signature are not checked.
pub fn scan(text: &[u8]) -> Result<Scanned, u8> {
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(BAD_UTF8);
    }
    frame(text).ok_or(SYNTAX)
}

fn frame(text: &[u8]) -> Option<Scanned> {
    let mut reader = Reader::new(text);
    let mut subscription = None;
    reader.space();
    let framed = reader.byte(b'[').is_some();
    if framed {
        reader.space();
        let name = reader.string()?;
        if *unescaped(text, name) != *b"EVENT" {
            return None;
        }
        reader.mark(b',')?;
        reader.space();
        if text.get(reader.at) == Some(&b'"') {
            subscription = Some(reader.string()?);
            reader.mark(b',')?;
            reader.space();
        }
    }
    let mut event = object(&mut reader)?;
    event.subscription = subscription;
    if framed {
        reader.mark(b']')?;
    }
    reader.space();
    (reader.at == text.len()).then_some(event)
}

fn object(reader: &mut Reader<'_>) -> Option<Scanned> {
    let start = reader.at;
    let (mut id, mut pubkey, mut created_at, mut kind) = (None, None, None, None);
    let (mut tags, mut content, mut signature) = (None, None, None);
    reader.byte(b'{')?;
    loop {
        reader.space();
        let key = reader.string()?;
        let key = unescaped(reader.text, key);
        reader.mark(b':')?;
        reader.space();
        // A name that comes twice means two things to two readers: refused.
        let twice = match &*key {
            b"id" => id.replace(reader.hex::<32>()?).is_some(),
            b"pubkey" => pubkey.replace(reader.hex::<32>()?).is_some(),
            b"created_at" => created_at.replace(reader.uint().filter(|&t| t <= MAX_CREATED_AT)?).is_some(),
            b"kind" => kind.replace(u16::try_from(reader.uint()?).ok()?).is_some(),
            b"tags" => tags.replace(reader.tags()?).is_some(),
            b"content" => content.replace(reader.string()?).is_some(),
            b"sig" => signature.replace(reader.hex::<64>()?).is_some(),
            _ => return None,
        };
        if twice {
            return None;
        }
        reader.space();
        if reader.byte(b',').is_some() {
            continue;
        }
        reader.byte(b'}')?;
        break;
    }
    Some(Scanned {
        id: id?,
        pubkey: pubkey?,
        created_at: created_at?,
        kind: kind?,
        tags: tags?,
        content: content?,
        signature: signature?,
        object: (start, reader.at),
        subscription: None,
    })
}

fn canonical(text: &[u8], event: &Scanned, out: &mut Vec<u8>) {
    let mut pubkey = [0; 64];
    let _ = faster_hex::hex_encode(&event.pubkey, &mut pubkey); // it has the room
    canonical::head(&pubkey, event.created_at, event.kind, out);
    let tags = event.tags.of(text);
    if event.tags.canonical {
        out.extend_from_slice(tags);
    } else {
        canonical::rewrite(tags, out);
    }
    out.push(b',');
    let content = &text[event.content.start - 1..event.content.end + 1]; // with its quotes
    if event.content.canonical {
        out.extend_from_slice(content);
    } else {
        canonical::rewrite(content, out);
    }
    out.push(b']');
}

/// The NIP-01 id of what was scanned. `buffer` is working space, kept between calls.
#[must_use]
pub fn id_of(text: &[u8], event: &Scanned, buffer: &mut Vec<u8>) -> [u8; 32] {
    canonical(text, event, buffer);
    Sha256::digest(&buffer[..]).into()
}

/// Form and id of one event or frame, not its signature.
fn check_id(text: &[u8], buffer: &mut Vec<u8>) -> Result<Scanned, u8> {
    let event = scan(text)?;
    if id_of(text, &event, buffer) == event.id { Ok(event) } else { Err(BAD_ID) }
}

/// Form and id of each event or frame, not its signature.
#[must_use]
pub fn check_ids<T: AsRef<[u8]>>(texts: &[T]) -> Vec<Result<Scanned, u8>> {
    let mut buffer = Vec::with_capacity(4096);
    texts.iter().map(|text| check_id(text.as_ref(), &mut buffer)).collect()
}

/// One code for the form and id of each event or frame, not its signature.
#[must_use]
pub fn id_codes<T: AsRef<[u8]>>(texts: &[T]) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(4096);
    texts.iter().map(|text| check_id(text.as_ref(), &mut buffer).err().unwrap_or(OK)).collect()
}

/// Builds the canonical bytes of an event of our own, piece by piece.
pub struct Canonical<'a> {
    out: &'a mut Vec<u8>,
    tags: usize,
    values: usize,
}

impl<'a> Canonical<'a> {
    /// Everything up to the tags, in `out`, which is emptied first. `pubkey` is 64 lower-case hexadecimal digits.
    pub fn new(out: &'a mut Vec<u8>, pubkey: &str, created_at: i64, kind: i64) -> Result<Self, Error> {
        if pubkey.len() != 64 || !pubkey.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::Event("the pubkey of an event is 64 lower-case hex characters"));
        }
        let created_at = u64::try_from(created_at)
            .ok()
            .filter(|&time| time <= MAX_CREATED_AT)
            .ok_or(Error::Event("the created_at of an event is 0 at least and 2^53 at most"))?;
        let kind =
            u16::try_from(kind).map_err(|_| Error::Event("the kind of an event is 0 at least and 65535 at most"))?;
        canonical::head(pubkey.as_bytes(), created_at, kind, out);
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
        canonical::string(value.as_bytes(), self.out);
    }

    /// The id of the event with this content.
    #[must_use]
    pub fn id(self, content: &str) -> [u8; 32] {
        self.out.extend_from_slice(if self.tags == 0 { b"]," } else { b"]]," });
        canonical::string(content.as_bytes(), self.out);
        self.out.push(b']');
        Sha256::digest(&self.out[..]).into()
    }
}
