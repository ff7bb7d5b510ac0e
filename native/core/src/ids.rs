//! The ids of events that were scanned, alone or many at a time.

use crate::canonical;
use crate::event::{BAD_ID, OK, SYNTAX, Scanned, scan};
use crate::sha256;
use std::cell::RefCell;

/// The NIP-01 id of what was scanned in `text`. `buffer` is working space, kept between calls.
#[must_use]
pub fn id_of(text: &[u8], event: &Scanned, buffer: &mut Vec<u8>) -> [u8; 32] {
    canonical::of(text, event, buffer);
    sha256::digest(buffer)
}

/// Form and id of each event or frame, not its signature.
#[must_use]
pub fn check_ids<T: AsRef<[u8]>>(texts: &[T]) -> Vec<Result<Scanned, u8>> {
    let mut verdicts = vec![Err(SYNTAX); texts.len()];
    each(texts, |event| event, |index, verdict| verdicts[index] = verdict);
    verdicts
}

/// One code for the form and id of each event or frame, not its signature.
#[must_use]
pub fn id_codes<T: AsRef<[u8]>>(texts: &[T]) -> Vec<u8> {
    let mut codes = vec![SYNTAX; texts.len()];
    each(texts, |_| (), |index, verdict| codes[index] = verdict.err().unwrap_or(OK));
    codes
}

/// Calls `found` with the place of each text and the verdict on its form and id, in any order. Of a scanned event no more
/// than `kept` is carried along until its hash is there.
fn each<T: AsRef<[u8]>, K>(texts: &[T], kept: impl Fn(Scanned) -> K, mut found: impl FnMut(usize, Result<K, u8>)) {
    let found = RefCell::new(&mut found);
    let mut texts = texts.iter().enumerate();
    let next = |message: &mut Vec<u8>| {
        for (index, text) in texts.by_ref() {
            match scan(text.as_ref()) {
                Ok(event) => {
                    canonical::of(text.as_ref(), &event, message);
                    return Some((index, event.id, kept(event)));
                }
                Err(code) => found.borrow_mut()(index, Err(code)),
            }
        }
        None
    };
    sha256::many(next, |(index, id, event), hash| {
        found.borrow_mut()(index, if hash == id { Ok(event) } else { Err(BAD_ID) });
    });
}
