//! What was verified and what was delivered, remembered in bounded room: the same event comes from many relays.
//!
//! Two generations: entries go into the young one; when that is full, the old one is forgotten and the young one becomes the
//! old. So the last `capacity` entries are always known, twice as many at most, and no clock is asked.

use crate::error::Error;
use crate::hash::Secret;
use hashbrown::HashTable;

/// The largest capacity: some 5 GB of room, and what the number of a place can hold.
pub const MAX_CAPACITY: usize = 1 << 24;

/// What is said of another capacity.
pub const CAPACITY: &str = "a cache has room for 1 entry at least and 2^24 at most";

/// Verified events and deliveries, whole.
pub struct Seen {
    verified: Generations<96>,
    delivered: Generations<40>,
}

impl Seen {
    /// Remembers at least the last `capacity` entries (1 to `MAX_CAPACITY`) of either sort and twice as many at most. All room is
    /// taken now: some 300 bytes an entry.
    pub fn new(capacity: usize) -> Result<Self, Error> {
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(Error::Seen(CAPACITY));
        }
        Ok(Self { verified: Generations::new(capacity)?, delivered: Generations::new(capacity)? })
    }

    /// Whether an event of this id was verified with this very signature. An id vouches for its content, not for another
    /// signature.
    #[must_use]
    pub fn is_verified(&self, id: &[u8; 32], signature: &[u8; 64]) -> bool {
        self.verified.contains(&verification(id, signature))
    }

    /// Notes that id and signature hold. False where that was known.
    pub fn note_verified(&mut self, id: &[u8; 32], signature: &[u8; 64]) -> bool {
        self.verified.insert(verification(id, signature))
    }

    /// Whether the event of this id went to `scope`, a subscription by a number that is never used again.
    #[must_use]
    pub fn is_delivered(&self, scope: u64, id: &[u8; 32]) -> bool {
        self.delivered.contains(&delivery(scope, id))
    }

    /// Notes that a verified event goes to `scope`. False where it went there before.
    pub fn note_delivered(&mut self, scope: u64, id: &[u8; 32]) -> bool {
        self.delivered.insert(delivery(scope, id))
    }

    /// How many verified events are remembered.
    #[must_use]
    pub fn verified(&self) -> usize {
        self.verified.len()
    }

    /// How many deliveries are remembered.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.delivered.len()
    }
}

fn verification(id: &[u8; 32], signature: &[u8; 64]) -> [u8; 96] {
    let mut entry = [0; 96];
    entry[..32].copy_from_slice(id);
    entry[32..].copy_from_slice(signature);
    entry
}

fn delivery(scope: u64, id: &[u8; 32]) -> [u8; 40] {
    let mut entry = [0; 40];
    entry[..8].copy_from_slice(&scope.to_le_bytes());
    entry[8..].copy_from_slice(id);
    entry
}

/// Entries of N bytes in two generations.
struct Generations<const N: usize> {
    secret: Secret,
    capacity: usize,
    young: Generation<N>,
    old: Generation<N>,
}

impl<const N: usize> Generations<N> {
    fn new(capacity: usize) -> Result<Self, Error> {
        let (young, old) = (Generation::new(capacity), Generation::new(capacity));
        Ok(Self { secret: Secret::new()?, capacity, young, old })
    }

    fn contains(&self, entry: &[u8; N]) -> bool {
        let hash = self.secret.hash(0, entry);
        self.young.contains(hash, entry) || self.old.contains(hash, entry)
    }

    fn insert(&mut self, entry: [u8; N]) -> bool {
        let hash = self.secret.hash(0, &entry);
        if self.young.contains(hash, &entry) || self.old.contains(hash, &entry) {
            return false;
        }
        if self.young.entries.len() == self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.entries.clear();
            self.young.places.clear();
        }
        self.young.insert(&self.secret, hash, entry);
        true
    }

    fn len(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }
}

/// Entries in the order in which they came, and the table that finds them.
struct Generation<const N: usize> {
    entries: Vec<[u8; N]>,
    places: HashTable<u32>,
}

impl<const N: usize> Generation<N> {
    fn new(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), places: HashTable::with_capacity(capacity) }
    }

    #[inline]
    fn contains(&self, hash: u64, entry: &[u8; N]) -> bool {
        self.places.find(hash, |&place| self.entries[place as usize] == *entry).is_some()
    }

    fn insert(&mut self, secret: &Secret, hash: u64, entry: [u8; N]) {
        let place = self.entries.len() as u32; // MAX_CAPACITY fits
        self.entries.push(entry);
        self.places.insert_unique(hash, place, |&place| secret.hash(0, &self.entries[place as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> [u8; 32] {
        let mut id = [0; 32];
        id[24..].copy_from_slice(&n.to_be_bytes());
        id
    }

    /// The last `capacity` entries are known whatever came before, and never more than twice as many.
    #[test]
    fn remembers_the_last() {
        let mut seen = Seen::new(10).expect("randomness");
        for n in 0..1000 {
            assert!(seen.note_verified(&id(n), &[1; 64]));
            assert!(seen.note_delivered(n % 3, &id(n)));
            for back in n.saturating_sub(9)..=n {
                assert!(seen.is_verified(&id(back), &[1; 64]));
                assert!(seen.is_delivered(back % 3, &id(back)));
                assert!(!seen.note_verified(&id(back), &[1; 64]));
            }
            assert!(seen.verified() <= 20 && seen.delivered() <= 20);
            assert!(n < 20 || !seen.is_verified(&id(n - 20), &[1; 64]));
        }
    }

    /// Every byte of id, signature and scope counts, and what was verified was not therefore delivered.
    #[test]
    fn compares_whole() {
        let mut seen = Seen::new(4).expect("randomness");
        seen.note_verified(&[7; 32], &[8; 64]);
        seen.note_delivered(9, &[7; 32]);
        for at in 0..32 {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert!(!seen.is_verified(&other, &[8; 64]));
            assert!(!seen.is_delivered(9, &other));
        }
        for at in 0..64 {
            let mut other = [8; 64];
            other[at] ^= 1;
            assert!(!seen.is_verified(&[7; 32], &other));
        }
        for bit in 0..64 {
            assert!(!seen.is_delivered(9 ^ (1 << bit), &[7; 32]));
        }
        assert!(seen.is_verified(&[7; 32], &[8; 64]) && seen.is_delivered(9, &[7; 32]));
    }

    /// No room is taken after the start, however many entries come.
    #[test]
    fn does_not_grow() {
        let mut seen = Seen::new(100).expect("randomness");
        let room = |seen: &Seen| {
            let both = [&seen.verified.young, &seen.verified.old];
            both.map(|one| one.entries.capacity() + one.places.capacity()).iter().sum::<usize>()
        };
        let before = room(&seen);
        for n in 0..10_000 {
            seen.note_verified(&id(n), &[0; 64]);
        }
        assert_eq!(room(&seen), before);
    }

    /// A capacity that cannot be had is refused.
    #[test]
    fn refuses_capacities() {
        assert_eq!(Seen::new(0).err(), Some(Error::Seen(CAPACITY)));
        assert_eq!(Seen::new(MAX_CAPACITY + 1).err(), Some(Error::Seen(CAPACITY)));
    }
}
