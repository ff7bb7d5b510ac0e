//! Values under small numbers, which are used again.

/// A number is given with each value that goes in, and free again when the value is taken out.
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// The number of a new value. The room of 2^32 values is never there: each takes 16 bytes and more.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let number = self.free.pop().unwrap_or(self.places.len() as u32);
        match self.places.get_mut(number as usize) {
            Some(place) => *place = Some(value),
            None => self.places.push(Some(value)),
        }
        number
    }

    /// Takes a value out. When it was the last of all, the room goes back too.
    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.places.get_mut(number as usize)?.take()?;
        self.free.push(number);
        if self.free.len() == self.places.len() {
            *self = Self::new();
        }
        Some(value)
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.places.get(number as usize)?.as_ref()
    }

    /// Every number is below.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// All values, for tests.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    /// How many places there is room for, for tests.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity() + self.free.capacity()
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.places.get_mut(number as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are used again, and nothing is kept when nothing is left.
    #[test]
    fn numbers_are_used_again() {
        let mut slab = Slab::new();
        assert_eq!([slab.insert('a'), slab.insert('b'), slab.insert('c')], [0, 1, 2]);
        assert_eq!((slab.remove(1), slab.remove(1), slab.remove(9)), (Some('b'), None, None));
        assert_eq!(slab.insert('d'), 1);
        assert_eq!([0, 1, 2, 3].map(|n| slab.get(n).copied()), [Some('a'), Some('d'), Some('c'), None]);
        for number in 0..3 {
            slab.remove(number);
        }
        assert_eq!(slab.capacity(), 0);
    }
}
