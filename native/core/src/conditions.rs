//! A filter taken apart for the index: the field under which it stands there, and the conditions that are left to test.

use crate::filter::{Filter, View};
use crate::letters::letters;
use std::borrow::Cow;
use std::cell::OnceCell;

/// One value of a filter: the text of a tag, 32 bytes of an id or a key, a kind in two bytes.
pub(crate) type Value = Box<[u8]>;

/// The field that a value belongs to is the letter of a tag, or one of these, which are no letters.
pub(crate) const IDS: u8 = 0;
pub(crate) const AUTHORS: u8 = 1;
pub(crate) const KINDS: u8 = 2;
/// Of filters that ask for a time or for nothing at all.
pub(crate) const NONE: u8 = 3;
/// Every field is below.
pub(crate) const FIELDS: usize = 128;

/// What a filter asks for besides times. All values are sorted, and each stands once.
pub(crate) struct Conditions {
    kinds: Option<Box<[u16]>>,
    lists: Vec<(u8, Box<[Value]>)>,
}

impl Conditions {
    /// The conditions of a filter; None where no event can meet them.
    pub(crate) fn of(filter: Filter) -> Option<Self> {
        let mut lists: Vec<(u8, Box<[Value]>)> = Vec::new();
        let bytes = |values: Vec<[u8; 32]>| sorted(values.iter().map(|value| Box::from(value.as_slice())).collect());
        lists.extend(filter.ids.map(|ids| (IDS, bytes(ids))));
        for (letter, values) in filter.tags {
            if !letter.is_ascii_alphabetic() {
                return None;
            }
            lists.push((letter, sorted(values)));
        }
        lists.extend(filter.authors.map(|authors| (AUTHORS, bytes(authors))));
        let kinds = filter.kinds.map(sorted);
        let is_over = filter.until.is_some_and(|until| until < filter.since.unwrap_or(0));
        let is_empty =
            lists.iter().any(|(_, values)| values.is_empty()) || kinds.as_ref().is_some_and(|k| k.is_empty());
        (!is_over && !is_empty).then_some(Self { kinds, lists })
    }

    /// Takes out the field under which the filter is to stand, with its values: the one that `crowd` gives the least, the first of
    /// equals. Kinds are few and serve only where nothing else is asked.
    pub(crate) fn take_field(&mut self, crowd: impl Fn(u8, &[Value]) -> usize) -> (u8, Box<[Value]>) {
        let best = (0..self.lists.len()).min_by_key(|&n| crowd(self.lists[n].0, &self.lists[n].1));
        if let Some(best) = best {
            self.lists.remove(best)
        } else if let Some(kinds) = self.kinds.take() {
            (KINDS, kinds.iter().map(|kind| Box::from(kind.to_be_bytes().as_slice())).collect())
        } else {
            (NONE, Box::from([Value::default()]))
        }
    }

    /// Whether nothing is left to test.
    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_none() && self.lists.is_empty()
    }

    /// Whether the event meets what is left.
    pub(crate) fn hold(&self, event: &Event<'_, '_>) -> bool {
        #[cfg(test)]
        TESTS.set(TESTS.get() + 1);
        self.kinds.as_ref().is_none_or(|kinds| kinds.binary_search(&event.view.kind).is_ok())
            && self.lists.iter().all(|(field, values)| match *field {
                IDS => contains(values, event.view.id),
                AUTHORS => contains(values, event.view.pubkey),
                letter => event.has(letter, values),
            })
    }
}

#[cfg(test)]
thread_local! {
    /// How often conditions were tested in this thread.
    pub(crate) static TESTS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// An event whose tags are sorted when first asked for.
pub(crate) struct Event<'v, 'a> {
    pub(crate) view: &'v View<'a>,
    tags: OnceCell<Vec<(u8, Cow<'a, [u8]>)>>,
}

impl<'v, 'a> Event<'v, 'a> {
    pub(crate) fn new(view: &'v View<'a>) -> Self {
        Self { view, tags: OnceCell::new() }
    }

    /// Whether one of the values stands in a tag of that letter. The fewer are looked up among the more.
    fn has(&self, letter: u8, values: &[Value]) -> bool {
        let tags = self.tags.get_or_init(|| {
            let mut tags = letters(self.view.tags);
            tags.sort_unstable();
            tags
        });
        let tags = &tags[tags.partition_point(|(name, _)| *name < letter)..];
        let tags = &tags[..tags.partition_point(|(name, _)| *name == letter)];
        if tags.len() < values.len() {
            tags.iter().any(|(_, value)| contains(values, value))
        } else {
            values.iter().any(|value| tags.binary_search_by(|(_, tag)| (**tag).cmp(value)).is_ok())
        }
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Box<[T]> {
    values.sort_unstable();
    values.dedup();
    values.into_boxed_slice()
}

fn contains(sorted: &[Value], value: &[u8]) -> bool {
    sorted.binary_search_by(|one| (**one).cmp(value)).is_ok()
}
