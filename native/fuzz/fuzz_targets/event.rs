//! Any bytes as an event or a frame: the code must be the one that a slow reader gives, every field the one that it
//! reads, and with the id that the slow reader computes put in its place, the event must pass the check of its id.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pylon_core::event::{BAD_ID, BAD_SIGNATURE, BAD_UTF8, Canonical, OK, Part, SYNTAX, Text, scan, tags, unescaped};
use pylon_core::ingest::codes;
use pylon_core::keys;
use pylon_core::signed::json;
use pylon_fuzz::event::{Event, Found, hex, read, unhex};

fuzz_target!(|text: &[u8]| {
    let slow = read(text);
    agrees(text, slow.as_ref());
    // Not the tags of an event: some tags or none, and an end.
    assert!(tags(text).count() <= text.len());
    if let (Some(found), Ok(text)) = (slow, std::str::from_utf8(text)) {
        let repaired = text.replace(&found.event.id, &hex(&found.event.identity()));
        agrees(repaired.as_bytes(), read(repaired.as_bytes()).as_ref());
        writes(&found.event);
    }
});

fn agrees(text: &[u8], slow: Option<&Found<'_>>) {
    assert_eq!(codes(&[text], true)[0], verdict(text, slow.map(|found| &found.event)));
    let (Ok(fast), Some(slow)) = (scan(text), slow) else { return };
    let says = |value: Text| String::from_utf8(unescaped(text, value).into_owned()).expect("UTF-8");
    let event = &slow.event;
    assert_eq!((hex(&fast.id), hex(&fast.pubkey)), (event.id.clone(), event.pubkey.clone()));
    assert_eq!((fast.created_at, fast.kind, hex(&fast.signature)), (event.created_at, event.kind, event.sig.clone()));
    assert_eq!(says(fast.content), event.content);
    assert_eq!(fast.subscription.map(says), slow.subscription);
    assert_eq!(&text[fast.object.0..fast.object.1], slow.object.as_bytes());
    let array = fast.tags.of(text);
    let value = |value: Text| String::from_utf8(unescaped(array, value).into_owned()).expect("UTF-8");
    let mut found = Vec::new();
    let mut tag = Vec::new();
    for part in tags(array) {
        match part {
            Part::Value(text) => tag.push(value(text)),
            Part::End => found.push(std::mem::take(&mut tag)),
        }
    }
    assert_eq!(found, event.tags);
}

/// The same event, made of its values as one of our own.
fn writes(event: &Event) {
    let mut buffer = Vec::new();
    let (created_at, kind) = (event.created_at.cast_signed(), i64::from(event.kind));
    let mut draft = Canonical::new(&mut buffer, &event.pubkey, created_at, kind).expect("fields in their ranges");
    for tag in &event.tags {
        draft.tag();
        tag.iter().for_each(|value| draft.value(value));
    }
    let id = draft.id(&event.content);
    assert_eq!((&buffer, id), (&event.canonical(), event.identity()));
    let json = json(&buffer, &id, &unhex(&event.sig));
    let again = read(&json).expect("what we write is an event").event;
    assert_eq!((again.canonical(), again.id, &again.sig), (event.canonical(), hex(&id), &event.sig));
}

fn verdict(text: &[u8], read: Option<&Event>) -> u8 {
    match read {
        _ if std::str::from_utf8(text).is_err() => BAD_UTF8,
        None => SYNTAX,
        Some(event) if hex(&event.identity()) != event.id => BAD_ID,
        Some(event) if keys::verify(unhex(&event.pubkey), unhex(&event.sig), &event.identity()) => OK,
        Some(_) => BAD_SIGNATURE,
    }
}
