//! Which of many filters want an event, without asking each of them.
//!
//! Every filter stands under the values of one of its fields, in a list for each value, and an event looks only into the lists of
//! its own values. There each filter is tested in full but for that field. Of the fields (ids, tags, authors) it is the one whose
//! values have the shortest lists at the time; kinds, of which there are few, serve only where nothing else is asked. A filter
//! whose `until` is over costs nothing: those with an end stand in the order of their ends.

use crate::conditions::{AUTHORS, Conditions, Event, IDS, NONE, Value};
use crate::error::Error;
use crate::filter::{Filter, View};
use crate::lists::{Entry, List, Lists, is_sparse};
use crate::slab::Slab;
use std::collections::HashMap;

/// In so many lists of an event's tags a filter may be tested again: most events have fewer, for which nothing need be kept.
const FEW: usize = 8;

/// A filter, and where it stands.
struct Watch {
    until: Option<u64>,
    /// What is left besides the field of its lists. None: no event can match, and it stands in no list.
    conditions: Option<Conditions>,
    places: Box<[Place]>,
}

/// One of a filter's lists, and the position among the lasting ones.
struct Place {
    list: u32,
    position: usize,
}

/// Filters under keys. Several may share a key: a subscription has many.
pub struct Index {
    lists: Lists,
    watches: Slab<Watch>,
    keys: HashMap<u64, Vec<u32>>,
    len: usize,
}

impl Index {
    /// An empty index, with a secret of its own.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { lists: Lists::new()?, watches: Slab::new(), keys: HashMap::new(), len: 0 })
    }

    /// How many filters there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a filter to those of `key`.
    pub fn add(&mut self, key: u64, filter: Filter) {
        let (since, until) = (filter.since.unwrap_or(0), filter.until);
        let mut conditions = Conditions::of(filter);
        let field = conditions.as_mut().map(|left| left.take_field(|field, values| self.crowd(field, values)));
        let more = conditions.as_ref().is_some_and(|left| !left.is_empty());
        let number = self.watches.insert(Watch { until, conditions, places: Box::default() });
        self.keys.entry(key).or_default().push(number);
        self.len += 1;
        let Some((field, values)) = field else { return };
        let mut places = Vec::with_capacity(values.len());
        for (place, value) in values.into_iter().enumerate() {
            let list = self.lists.get_or_insert(field, value);
            let Some(watching) = self.lists.get_mut(list) else { continue };
            let entry = Entry { key, since, watch: number, place: place as u32, more };
            places.push(Place { list, position: watching.lasting.len() });
            match until {
                Some(until) => drop(watching.ending.insert((until, number), entry)),
                None => watching.lasting.push(entry),
            }
        }
        if let Some(watch) = self.watches.get_mut(number) {
            watch.places = places.into_boxed_slice();
        }
    }

    /// Removes all filters of `key`; returns how many they were. It takes as long as they are large.
    pub fn remove(&mut self, key: u64) -> usize {
        let numbers = self.keys.remove(&key).unwrap_or_default();
        for &number in &numbers {
            let Some(watch) = self.watches.remove(number) else { continue };
            for place in watch.places {
                self.leave(number, watch.until, &place);
            }
        }
        if is_sparse(self.keys.len(), self.keys.capacity()) {
            self.keys.shrink_to(2 * self.keys.len());
        }
        self.len -= numbers.len();
        numbers.len()
    }

    /// Puts the keys of all filters that match into `found`, each once, ascending. What was there before is dropped.
    pub fn matches(&self, event: &View<'_>, found: &mut Vec<u64>) {
        found.clear();
        let event = Event::new(event);
        let View { id, pubkey, kind, tags, .. } = *event.view;
        if let Some(list) = self.lists.find_kind(kind) {
            self.look(list, &event, found);
        }
        for (field, value) in [(NONE, [].as_slice()), (IDS, id), (AUTHORS, pubkey)] {
            if let Some(list) = self.lists.find(field, value) {
                self.look(list, &event, found);
            }
        }
        let (first, others) = self.lists.find_tags(tags);
        if others.len() < FEW {
            for list in first.into_iter().chain(others) {
                self.look(list, &event, found);
            }
        } else {
            self.look_once(first.into_iter().chain(others), &event, found);
        }
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    /// Whether any filter matches.
    #[must_use]
    pub fn matches_any(&self, event: &View<'_>) -> bool {
        let mut found = Vec::new();
        self.matches(event, &mut found);
        !found.is_empty()
    }

    /// Adds the key of every filter in a list that matches.
    fn look(&self, list: u32, event: &Event<'_, '_>, found: &mut Vec<u64>) {
        self.each(list, event, |entry| self.test(entry, event, found));
    }

    /// The same for many lists. A test takes as long as filter and event are large, and a filter may stand in as many lists as
    /// it has values: it is tested once, so that no event with a filter made for it takes the square of that time.
    #[cold]
    #[inline(never)]
    fn look_once(&self, lists: impl Iterator<Item = u32>, event: &Event<'_, '_>, found: &mut Vec<u64>) {
        let mut tested = vec![false; self.watches.places()];
        for list in lists {
            self.each(list, event, |entry| {
                if !std::mem::replace(&mut tested[entry.watch as usize], true) {
                    self.test(entry, event, found);
                }
            });
        }
    }

    /// Calls `then` with every filter in a list that is not over at the time of the event.
    #[inline(always)]
    fn each<'a>(&'a self, list: u32, event: &Event<'_, '_>, mut then: impl FnMut(&'a Entry)) {
        let Some(list) = self.lists.get(list) else { return };
        for entry in &list.lasting {
            then(entry);
        }
        if !list.ending.is_empty() {
            for (_, entry) in list.ending.range((event.view.created_at, 0)..) {
                then(entry);
            }
        }
    }

    #[inline(always)]
    fn test(&self, entry: &Entry, event: &Event<'_, '_>, found: &mut Vec<u64>) {
        let holds = |watch: &Watch| watch.conditions.as_ref().is_some_and(|conditions| conditions.hold(event));
        if entry.since <= event.view.created_at && (!entry.more || self.watches.get(entry.watch).is_some_and(holds)) {
            found.push(entry.key);
        }
    }

    /// Takes a filter out of one list, and the list away when it was the last in it.
    fn leave(&mut self, number: u32, until: Option<u64>, place: &Place) {
        let Some(list) = self.lists.get_mut(place.list) else { return };
        if let Some(until) = until {
            list.ending.remove(&(until, number));
        } else {
            list.lasting.swap_remove(place.position);
            let moved = list
                .lasting
                .get(place.position)
                .and_then(|entry| self.watches.get_mut(entry.watch)?.places.get_mut(entry.place as usize));
            if let Some(moved) = moved {
                moved.position = place.position;
            }
            if is_sparse(list.lasting.len(), list.lasting.capacity()) {
                list.lasting.shrink_to(2 * list.lasting.len());
            }
        }
        if list.len() == 0 {
            self.lists.remove(place.list);
        }
    }

    /// How long the lists of these values are with one filter more in each.
    fn crowd(&self, field: u8, values: &[Value]) -> usize {
        let length = |value: &Value| self.lists.get(self.lists.find(field, value)?).map(List::len);
        values.iter().map(|value| 1 + length(value).unwrap_or(0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::TESTS;

    fn room(index: &Index) -> usize {
        index.lists.room() + index.keys.capacity() + index.watches.capacity()
    }

    /// A filter with values of every sort, no two of which are like those of another number.
    fn filter(n: u64) -> Filter {
        let value = |tag: u8| Box::from([&[tag], n.to_be_bytes().as_slice()].concat());
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        match n % 5 {
            0 => Filter { ids: Some(vec![id]), ..Filter::default() },
            1 => Filter { authors: Some(vec![id, [7; 32]]), kinds: Some(vec![1, 1]), ..Filter::default() },
            2 => Filter { kinds: Some(vec![5050, n as u16]), until: Some(n), ..Filter::default() },
            3 => Filter { tags: vec![(b'e', vec![value(1), value(2), value(1)]), (b'p', vec![])], ..Filter::default() },
            _ => Filter { tags: vec![(b'e', vec![value(1), value(2), value(1)])], since: Some(n), ..Filter::default() },
        }
    }

    /// Filters that come and go leave nothing behind: neither room that grows nor, at the end, anything at all.
    #[test]
    fn leaves_nothing_behind() {
        let mut index = Index::new().expect("randomness");
        let mut most = 0;
        for n in 0..20_000 {
            index.add(n, filter(n));
            index.add(n, filter(n + 1));
            if n >= 500 {
                assert_eq!(index.remove(n - 500), 2);
            }
            if n == 2_000 {
                most = room(&index);
            }
            assert!(n < 2_000 || room(&index) <= 2 * most);
        }
        assert_eq!(index.len(), 1_000);
        for n in (19_500..20_000).rev() {
            index.remove(n);
        }
        assert!(index.is_empty() && index.lists.is_empty() && index.watches.capacity() == 0);
        assert!(room(&index) <= 200);
    }

    /// A filter under many values of one event is tested once, not once for each of them.
    #[test]
    fn tests_a_filter_once() {
        let mut index = Index::new().expect("randomness");
        let values = |start: u32, end| (start..end).map(|n: u32| Box::from(n.to_string().as_bytes())).collect();
        for key in 0..5 {
            let tags = vec![(b'e', values(1_000, 1_200)), (b'p', values(2_000, 4_000))]; // it stands under the fewer
            index.add(key, Filter { tags, until: (key > 2).then_some(9), ..Filter::default() });
        }
        let tags = |start: u32| {
            let tag = |n| format!(r#"["e","{}"],["p","{}"]"#, 1_000 + n, start + n);
            format!("[{}]", (0..200).map(tag).collect::<Vec<_>>().join(","))
        };
        for (start, wanted) in [(4_000, vec![]), (3_999, vec![0, 1, 2, 3, 4])] {
            let (tags, mut found) = (tags(start), Vec::new());
            let before = TESTS.get();
            let view = View { id: &[1; 32], pubkey: &[2; 32], created_at: 5, kind: 1, tags: tags.as_bytes() };
            index.matches(&view, &mut found);
            assert_eq!((found, TESTS.get() - before), (wanted, 5));
        }
    }

    /// A filter goes where the fewest others stand, and to a kind only where it asks for nothing else.
    #[test]
    fn spreads_filters() {
        let mut index = Index::new().expect("randomness");
        for n in 0..100 {
            let mut wanted = filter(5 * n + 1);
            wanted.tags = vec![(b't', vec![Box::from(b"popular".as_slice())])];
            index.add(n, wanted);
        }
        assert!(index.lists.iter().all(|list| list.field != crate::conditions::KINDS));
        let longest = index.lists.iter().map(List::len).max();
        assert!(longest.is_some_and(|longest| longest < 60), "{longest:?}");
    }
}
