//! From what a socket gave to events that may be acted on: the cheapest question first, and each signature at most once.

use crate::batch::{self, Item};
use crate::event::{self, BAD_SIGNATURE, Scanned};
use crate::filter::{Index, View};
use crate::seen::Seen;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// The event went to this scope before, or stands twice in the batch.
pub const DUPLICATE: u8 = 5;
/// No filter of the subscription matches the event.
pub const UNWANTED: u8 = 6;

/// One text, and whom it is for.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// An event object, or a frame with one.
    pub text: &'a [u8],
    /// The subscription's number. With one, an event comes out once; without one, as often as it arrives.
    pub scope: Option<u64>,
    /// What the subscription asks for; None: anything.
    pub wanted: Option<&'a RwLock<Index>>,
}

impl Arrival<'_> {
    fn wants(&self, event: &Scanned) -> bool {
        self.wanted.is_none_or(|index| {
            index.read().unwrap_or_else(PoisonError::into_inner).matches_any(&View::new(self.text, event))
        })
    }
}

impl AsRef<[u8]> for Arrival<'_> {
    fn as_ref(&self) -> &[u8] {
        self.text
    }
}

/// Each arrival in order: the event, or the code of what is wrong with it.
///
/// Form and id are always checked, "an id vouches only for its own content"; a signature is not where `seen` has this id with
/// this very signature. What holds is noted in `seen`, as verified and, where there is a scope, as delivered.
pub fn check(arrivals: &[Arrival<'_>], seen: &Mutex<Seen>) -> Vec<Result<Scanned, u8>> {
    let mut found = event::check_ids(arrivals);
    let mut open = Vec::with_capacity(found.len());
    {
        let seen = lock(seen);
        for (i, (arrival, result)) in arrivals.iter().zip(&mut found).enumerate() {
            let Ok(event) = result else { continue };
            if arrival.scope.is_some_and(|scope| seen.is_delivered(scope, &event.id)) {
                *result = Err(DUPLICATE);
            } else if !arrival.wants(event) {
                *result = Err(UNWANTED);
            } else if !seen.is_verified(&event.id, &event.signature) {
                open.push(i);
            }
        }
    }
    verify(&mut found, &open);
    let mut seen = lock(seen);
    for &i in &open {
        if let Ok(event) = &found[i] {
            seen.note_verified(&event.id, &event.signature);
        }
    }
    for (arrival, result) in arrivals.iter().zip(&mut found) {
        // A copy of this very batch, or of one that was checked meanwhile.
        if let (Some(scope), Ok(event)) = (arrival.scope, &result)
            && !seen.note_delivered(scope, &event.id)
        {
            *result = Err(DUPLICATE);
        }
    }
    found
}

/// The signatures of `open` in one batch, those of copies once.
fn verify(found: &mut [Result<Scanned, u8>], open: &[usize]) {
    let mut first: HashMap<(&[u8; 32], &[u8; 64]), usize> = HashMap::with_capacity(open.len());
    let mut items = Vec::with_capacity(open.len());
    let mut places = Vec::with_capacity(open.len());
    for &i in open {
        let Ok(Scanned { id, pubkey, signature, .. }) = &found[i] else { continue };
        let place = *first.entry((id, signature)).or_insert(items.len());
        if place == items.len() {
            items.push(Item { pubkey: *pubkey, signature: *signature, message: *id });
        }
        places.push((i, place));
    }
    let holds = batch::verify(&items);
    for (i, place) in places {
        if !holds[place] {
            found[i] = Err(BAD_SIGNATURE);
        }
    }
}

/// One code for each event or frame, with its signature or without. Nothing is remembered.
#[must_use]
pub fn codes<T: AsRef<[u8]>>(texts: &[T], signatures: bool) -> Vec<u8> {
    if !signatures {
        return event::id_codes(texts);
    }
    check_all(texts).into_iter().map(|result| result.err().unwrap_or(event::OK)).collect()
}

/// Each event or frame, checked in full. Nothing is remembered.
#[must_use]
pub fn check_all<T: AsRef<[u8]>>(texts: &[T]) -> Vec<Result<Scanned, u8>> {
    let mut found = event::check_ids(texts);
    let open: Vec<usize> = (0..found.len()).filter(|&i| found[i].is_ok()).collect();
    verify(&mut found, &open);
    found
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
