//! The lists of the filter index, found by field and value. Hashes are keyed and values compared whole, since strangers choose
//! them.

use crate::conditions::{FIELDS, KINDS, Value};
use crate::error::Error;
use crate::hash::Secret;
use crate::letters::each_letter;
use crate::simd::{Isa, Task, on_best};
use crate::slab::Slab;
use hashbrown::HashTable;
use std::collections::BTreeMap;

/// One filter in one list, with what decides most often.
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) since: u64,
    /// The filter's number.
    pub(crate) watch: u32,
    /// Which of the filter's places this is.
    pub(crate) place: u32,
    /// Whether the filter has conditions besides its times and the field of the list.
    pub(crate) more: bool,
}

/// Everything that stands under one value.
pub(crate) struct List {
    pub(crate) field: u8,
    value: Value,
    hash: u64,
    /// Filters without `until`, in no order.
    pub(crate) lasting: Vec<Entry>,
    /// Filters with it, by `until` and number.
    pub(crate) ending: BTreeMap<(u64, u32), Entry>,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.lasting.len() + self.ending.len()
    }
}

/// All lists, each under a number.
pub(crate) struct Lists {
    secret: Secret,
    lists: Slab<List>,
    table: HashTable<u32>,
    /// How many lists each field has: most events have tags that nobody asks for.
    watched: [u32; FIELDS],
    /// The lists of kinds once more, in pages of 256 or NOBODY: every event has a kind, and most are asked for.
    kinds: Vec<Option<Box<[u32; 256]>>>,
}

const NOBODY: u32 = u32::MAX;

impl Lists {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            secret: Secret::new()?,
            lists: Slab::new(),
            table: HashTable::new(),
            watched: [0; FIELDS],
            kinds: Vec::new(),
        })
    }

    /// The number of the list of a kind, if anything stands there.
    #[inline(always)]
    pub(crate) fn find_kind(&self, kind: u16) -> Option<u32> {
        let page = self.kinds.get(usize::from(kind >> 8))?.as_ref()?;
        Some(page[usize::from(kind & 255)]).filter(|&number| number != NOBODY)
    }

    /// Notes the number of the list of a kind, or NOBODY. Without kinds there are no pages.
    fn note_kind(&mut self, [high, low]: [u8; 2], number: u32) {
        if self.watched[usize::from(KINDS)] == 0 {
            self.kinds = Vec::new();
            return;
        }
        self.kinds.resize_with(256, || None);
        self.kinds[usize::from(high)].get_or_insert_with(|| Box::new([NOBODY; 256]))[usize::from(low)] = number;
    }

    /// The number of the list of a value, if anything stands there.
    #[inline(always)]
    pub(crate) fn find(&self, field: u8, value: &[u8]) -> Option<u32> {
        if self.watched[usize::from(field)] == 0 {
            return None;
        }
        self.look_up(field, value)
    }

    /// The lists of an event's tags, given as the text of their array, each once: the first that is met, and the others.
    pub(crate) fn find_tags(&self, tags: &[u8]) -> (Option<u32>, Vec<u32>) {
        on_best(ListsOfTags { lists: self, tags })
    }

    // Not copied into its callers, which would leave the hash outside.
    #[inline(never)]
    fn look_up(&self, field: u8, value: &[u8]) -> Option<u32> {
        self.find_hashed(self.secret.hash(field, value), field, value)
    }

    #[inline(always)]
    fn find_hashed(&self, hash: u64, field: u8, value: &[u8]) -> Option<u32> {
        let is_it =
            |&number: &u32| self.lists.get(number).is_some_and(|list| list.field == field && *list.value == *value);
        self.table.find(hash, is_it).copied()
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&List> {
        self.lists.get(number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut List> {
        self.lists.get_mut(number)
    }

    /// The number of the list of a value, which is made where there is none.
    pub(crate) fn get_or_insert(&mut self, field: u8, value: Value) -> u32 {
        let hash = self.secret.hash(field, &value);
        if let Some(number) = self.find_hashed(hash, field, &value) {
            return number;
        }
        let kind = kind(field, &value);
        let list = List { field, value, hash, lasting: Vec::with_capacity(1), ending: BTreeMap::new() };
        let number = self.lists.insert(list);
        self.table.insert_unique(hash, number, hasher(&self.lists));
        self.watched[usize::from(field)] += 1;
        if let Some(kind) = kind {
            self.note_kind(kind, number);
        }
        number
    }

    /// Takes a list away.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(list) = self.lists.get(number) else { return };
        let kind = kind(list.field, &list.value);
        self.watched[usize::from(list.field)] -= 1;
        if let Ok(found) = self.table.find_entry(list.hash, |&one| one == number) {
            found.remove();
        }
        self.lists.remove(number);
        if let Some(kind) = kind {
            self.note_kind(kind, NOBODY);
        }
        if is_sparse(self.table.len(), self.table.capacity()) {
            self.table.shrink_to(2 * self.table.len(), hasher(&self.lists));
        }
    }
}

/// The lists of an event's tags, each once: the first that is met, and the others, of which there are seldom any. An event may
/// have the same tag as often as there is room.
struct ListsOfTags<'a> {
    lists: &'a Lists,
    tags: &'a [u8],
}

impl Task for ListsOfTags<'_> {
    type Output = (Option<u32>, Vec<u32>);

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (mut first, mut others) = (None, Vec::new());
        each_letter(isa, self.tags, |letter, value| match (self.lists.find(letter, &value), first) {
            (None, _) => {}
            (found, None) => first = found,
            (Some(found), Some(first)) if found == first => {}
            (Some(found), Some(_)) => others.push(found),
        });
        others.sort_unstable();
        others.dedup();
        (first, others)
    }
}

/// The two bytes of a kind.
fn kind(field: u8, value: &[u8]) -> Option<[u8; 2]> {
    value.try_into().ok().filter(|_| field == KINDS)
}

fn hasher(lists: &Slab<List>) -> impl Fn(&u32) -> u64 {
    |&number| lists.get(number).map_or(0, |list| list.hash)
}

/// Whether so much of the room is unused that it is worth giving half of it back.
pub(crate) fn is_sparse(len: usize, capacity: usize) -> bool {
    capacity > 64 && len < capacity / 4
}

#[cfg(test)]
impl Lists {
    /// The lists themselves.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &List> {
        self.lists.iter()
    }

    /// The room taken, in no particular unit.
    pub(crate) fn room(&self) -> usize {
        let lists = self.iter().map(|list| list.lasting.capacity() + list.value.len()).sum::<usize>();
        lists + self.lists.capacity() + self.table.capacity()
    }

    /// Whether nothing is kept.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.capacity() + self.kinds.capacity() == 0 && self.table.is_empty() && self.watched == [0; FIELDS]
    }
}
