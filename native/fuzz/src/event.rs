//! Events read the slow way: serde_json makes every value, and its types say what NIP-01 allows.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The largest `created_at` that Pylon takes.
const MAX_CREATED_AT: u64 = 1 << 53;

/// The seven fields, once each and no other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "NIP-01 names them")]
pub struct Event {
    pub id: String,
    pub pubkey: String,
    pub created_at: u64,
    pub kind: u16,
    pub tags: Vec<Vec<String>>,
    pub content: String,
    pub sig: String,
}

impl Event {
    /// What is hashed.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let fields = (0, &self.pubkey, self.created_at, self.kind, &self.tags, &self.content);
        serde_json::to_vec(&fields).expect("strings and numbers have a JSON form")
    }

    /// The id that the fields have.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        Sha256::digest(self.canonical()).into()
    }
}

/// An event and where it stood.
#[derive(Debug)]
pub struct Found<'a> {
    /// The event.
    pub event: Event,
    /// Its JSON object.
    pub object: &'a str,
    /// The subscription of the frame around it, if it names one.
    pub subscription: Option<String>,
}

/// The event in a text, alone or in a frame, if there is nothing else in it and every field is in its range.
#[must_use]
pub fn read(text: &[u8]) -> Option<Found<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(frame) = serde_json::from_str::<Vec<&RawValue>>(text) {
        let string = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let (name, subscription, event) = match frame[..] {
            [name, event] => (name, None, event),
            [name, subscription, event] => (name, Some(string(subscription)?), event),
            _ => return None,
        };
        return Some(Found {
            subscription,
            ..object(event.get()).filter(|_| string(name).is_some_and(|name| name == "EVENT"))?
        });
    }
    object(text)
}

fn object(text: &str) -> Option<Found<'_>> {
    let object = text.trim_matches([' ', '\t', '\n', '\r']);
    if !object.starts_with('{') {
        return None; // serde takes an array for a struct
    }
    let event: Event = serde_json::from_str(object).ok()?;
    let fits = is_hex(&event.id, 64)
        && is_hex(&event.pubkey, 64)
        && is_hex(&event.sig, 128)
        && event.created_at <= MAX_CREATED_AT;
    fits.then_some(Found { event, object, subscription: None })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lower-case hexadecimal digits, as many as asked for.
#[must_use]
pub fn unhex<const N: usize>(digits: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).expect("digits");
    }
    bytes
}
