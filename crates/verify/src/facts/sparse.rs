//! Values by index, dense in places: what offsets and counters need.
//!
//! Promises: about the size of the values for runs of indexes, and no more than one chunk for a
//! stray index, however large it is; iteration in order.

use std::collections::BTreeMap;

const CHUNK: u64 = 1024;

#[derive(Clone, Debug)]
pub struct Sparse<T> {
    chunks: BTreeMap<u64, Vec<Option<T>>>,
    len: u64,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Sparse { chunks: BTreeMap::new(), len: 0 }
    }
}

impl<T: Copy> Sparse<T> {
    pub fn get(&self, index: u64) -> Option<T> {
        let chunk = self.chunks.get(&(index / CHUNK))?;
        chunk.get((index % CHUNK) as usize).copied().flatten()
    }

    /// Sets a value and returns the one before it.
    pub fn insert(&mut self, index: u64, value: T) -> Option<T> {
        let chunk = self.chunks.entry(index / CHUNK).or_default();
        let at = (index % CHUNK) as usize;
        if chunk.len() <= at {
            chunk.resize(at + 1, None);
        }
        let before = chunk[at].replace(value);
        self.len += u64::from(before.is_none());
        before
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The largest index that has a value.
    pub fn last_index(&self) -> Option<u64> {
        self.iter_back().next()
    }

    /// All values with their indexes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, T)> {
        self.chunks.iter().flat_map(|(number, chunk)| {
            let values = chunk.iter().enumerate();
            values.filter_map(move |(at, value)| Some((number * CHUNK + at as u64, (*value)?)))
        })
    }

    fn iter_back(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().rev().flat_map(|(number, chunk)| {
            let values = chunk.iter().enumerate().rev();
            values.filter_map(move |(at, value)| value.map(|_| number * CHUNK + at as u64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_the_order_of_their_indexes() {
        let mut sparse = Sparse::default();
        for index in [5, 5000, 1, u64::MAX, 1023, 1024] {
            assert_eq!(sparse.insert(index, index), None);
        }
        assert_eq!(sparse.insert(5, 6), Some(5));
        let all: Vec<(u64, u64)> = sparse.iter().collect();
        let expected = [(1, 1), (5, 6), (1023, 1023), (1024, 1024), (5000, 5000)];
        assert_eq!(all[..5], expected);
        assert_eq!((all[5], sparse.len()), ((u64::MAX, u64::MAX), 6));
        assert_eq!(sparse.last_index(), Some(u64::MAX));
        assert_eq!((sparse.get(1025), sparse.get(6)), (None, None));
    }
}
