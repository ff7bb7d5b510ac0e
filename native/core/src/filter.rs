//! Filters (NIP-01, https://github.com/nostr-protocol/nips/blob/master/01.md): what a subscription asks of an event.

use crate::event::Scanned;
use crate::letters::letters;

pub use crate::index::Index;

/// What filters look at in an event.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The SHA-256 of the canonical bytes.
    pub id: &'a [u8; 32],
    /// The author's x-only key.
    pub pubkey: &'a [u8; 32],
    /// Unix seconds.
    pub created_at: u64,
    /// The kind.
    pub kind: u16,
    /// The JSON text of the array of tags, whose form was checked (`Scanned::tags`). Of another text some tags are seen or none.
    pub tags: &'a [u8],
}

impl<'a> View<'a> {
    /// Of an event that was scanned in `text`.
    #[must_use]
    pub fn new(text: &'a [u8], event: &'a Scanned) -> Self {
        let Scanned { id, pubkey, created_at, kind, .. } = event;
        Self { id, pubkey, created_at: *created_at, kind: *kind, tags: event.tags.of(text) }
    }
}

/// All conditions that are given must hold. None (of tags: a missing letter) is no condition; an empty list matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids of events.
    pub ids: Option<Vec<[u8; 32]>>,
    /// Public keys.
    pub authors: Option<Vec<[u8; 32]>>,
    /// Kinds.
    pub kinds: Option<Vec<u16>>,
    /// An ASCII letter, and the values of which an event must have one in a tag of that name. No event has another name.
    pub tags: Vec<(u8, Vec<Box<[u8]>>)>,
    /// Unix seconds, inclusive.
    pub since: Option<u64>,
    /// Unix seconds, inclusive.
    pub until: Option<u64>,
}

impl Filter {
    /// Whether the event meets every condition. The plain definition; `Index` finds the same.
    #[must_use]
    pub fn matches(&self, event: &View<'_>) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(event.id))
            && self.authors.as_ref().is_none_or(|authors| authors.contains(event.pubkey))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
            && self.since.is_none_or(|since| since <= event.created_at)
            && self.until.is_none_or(|until| event.created_at <= until)
            && self.tags.iter().all(|(letter, wanted)| {
                letters(event.tags)
                    .iter()
                    .any(|(name, value)| name == letter && wanted.iter().any(|one| **one == **value))
            })
    }
}
