//! From texts to verified events: each signature once, each event once for a subscription, and nothing hidden by a forgery.

use pylon_core::event::{BAD_ID, BAD_SIGNATURE, Canonical, OK, SYNTAX};
use pylon_core::filter::{Filter, Index};
use pylon_core::ingest::{Arrival, DUPLICATE, UNWANTED, check, codes};
use pylon_core::keys::Signer;
use pylon_core::seen::Seen;
use pylon_core::signed;
use std::sync::{Mutex, RwLock};

/// A signed event, with the given auxiliary randomness.
fn event(content: &str, kind: i64, aux: u8) -> String {
    let signer = Signer::new(&[7; 32]).expect("a key");
    let pubkey: String = signer.pubkey().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut bytes = Vec::new();
    let id = Canonical::new(&mut bytes, &pubkey, 1, kind).expect("fields in range").id(content);
    let signature = signer.sign_checked(&id, &[aux; 32]).expect("a sound machine");
    String::from_utf8(signed::json(&bytes, &id, &signature)).expect("JSON")
}

/// The same event with another signature, which does not hold.
fn forged(event: &str) -> String {
    let at = event.len() - 3;
    let digit = if event.as_bytes()[at] == b'0' { "1" } else { "0" };
    format!("{}{digit}{}", &event[..at], &event[at + 1..])
}

fn verdicts(arrivals: &[Arrival<'_>], seen: &Mutex<Seen>) -> Vec<u8> {
    check(arrivals, seen).into_iter().map(|result| result.err().unwrap_or(OK)).collect()
}

fn seen() -> Mutex<Seen> {
    Mutex::new(Seen::new(100).expect("randomness"))
}

fn arrival(text: &str, scope: Option<u64>) -> Arrival<'_> {
    Arrival { text: text.as_bytes(), scope, wanted: None }
}

/// What we sign ourselves holds, whatever it says.
#[test]
fn signed_events_hold() {
    for content in ["", "plain", "\"\\\n\u{1}\u{7f}/é😀", &"x".repeat(5000)] {
        assert_eq!(codes(&[event(content, 65535, 3)], true), [OK], "{content:?}");
    }
}

/// Forgeries before, between and behind an event: it comes out once, they do not, and copies are copies.
#[test]
fn forgeries_hide_nothing() {
    let (good, other) = (event("a", 1, 1), event("b", 1, 1));
    let (bad, text) = (forged(&good), good.replace("\"a\"", "\"c\""));
    let texts = [&bad, &text, &good, &bad, &good, &other, &text];
    let expected = [BAD_SIGNATURE, BAD_ID, OK, BAD_SIGNATURE, DUPLICATE, OK, BAD_ID];
    let seen = seen();
    assert_eq!(verdicts(&texts.map(|text| arrival(text, Some(1))), &seen), expected);
    // Delivered: whatever claims the id and has its content is a copy; whatever has not is a forgery still.
    let expected = [DUPLICATE, BAD_ID, DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, BAD_ID];
    assert_eq!(verdicts(&texts.map(|text| arrival(text, Some(1))), &seen), expected);
}

/// Another subscription gets the event too; without a subscription it comes as often as it arrives.
#[test]
fn once_for_each_scope() {
    let good = event("a", 1, 1);
    let seen = seen();
    let scopes = [Some(1), Some(2), Some(1), None, None];
    assert_eq!(verdicts(&scopes.map(|scope| arrival(&good, scope)), &seen), [OK, OK, DUPLICATE, OK, OK]);
}

/// That an id was verified with one signature says nothing of another one.
#[test]
fn another_signature_is_verified() {
    let (one, two) = (event("a", 1, 1), event("a", 1, 2));
    let seen = seen();
    for text in [&one, &two, &one] {
        assert_eq!(verdicts(&[arrival(text, None), arrival(&forged(text), None)], &seen), [OK, BAD_SIGNATURE]);
    }
}

/// What nobody asked for is no event to deliver and none to remember, even if it is genuine.
#[test]
fn unwanted() {
    let (asked, other) = (event("a", 1, 1), event("a", 7, 1));
    let mut notes = Index::new().expect("randomness");
    notes.add(0, Filter { kinds: Some(vec![1]), ..Filter::default() });
    let notes = RwLock::new(notes);
    let seen = seen();
    let of = |text| Arrival { wanted: Some(&notes), ..arrival(text, Some(1)) };
    assert_eq!(verdicts(&[of(&asked), of(&other), of("{}")], &seen), [OK, UNWANTED, SYNTAX]);
    assert_eq!(verdicts(&[arrival(&other, Some(1))], &seen), [OK]);
}
