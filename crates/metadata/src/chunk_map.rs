//! A sorted map that is cheap to copy, and to change after it was copied: what an image keeps by id and
//! by name.
//!
//! ```text
//!  chunks: [a .. f] [g .. k] [l .. z]     copies share the chunks that neither has changed
//! ```
//!
//! Why: each image is kept while the next one is made from it. With plain maps n topics that are made
//! one after the other copied the map of all topics n times, on every node several times over.
//!
//! Promises:
//! - a copy costs a reference count for each chunk; the first change of a chunk after it copies at most
//!   [`CHUNK_MAX`] entries, and no other chunk;
//! - two maps are equal if their entries are, however these came to lie in chunks;
//! - what differs between two maps is found without a look into the chunks that they share.
//!
//! Does not: join small chunks. There are never more chunks than entries.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Most entries of a chunk. With some ten thousand entries, a copy and a change cost about the same.
const CHUNK_MAX: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

#[derive(Clone)]
pub(crate) struct ChunkMap<K, V> {
    /// None of them is empty. Keys rise within chunks, and from each to the next.
    chunks: Vec<Chunk<K, V>>,
}

/// An entry that two maps do not share: its key, its value here, and its value there.
pub(crate) type Difference<'a, K, V> = (&'a K, Option<&'a V>, Option<&'a V>);

impl<K, V> Default for ChunkMap<K, V> {
    fn default() -> ChunkMap<K, V> {
        ChunkMap { chunks: Vec::new() }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for ChunkMap<K, V> {
    fn eq(&self, other: &ChunkMap<K, V>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for ChunkMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> ChunkMap<K, V> {
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// In order of key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord + Clone, V: Clone> ChunkMap<K, V> {
    /// The chunk that has the key, or would have it, and the place in it. Of an empty map, the first,
    /// which is not there.
    fn find<Q>(&self, wanted: &Q) -> (usize, Result<usize, usize>)
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let order = |key: &K| {
            let key: &Q = key.borrow();
            key.cmp(wanted)
        };
        let begins_before = |chunk: &Chunk<K, V>| order(&chunk[0].0) != Ordering::Greater;
        let index = self.chunks.partition_point(begins_before).saturating_sub(1);
        let place = match self.chunks.get(index) {
            Some(chunk) => chunk.binary_search_by(|(key, _)| order(key)),
            None => Err(0),
        };
        (index, place)
    }

    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (index, place) = self.find(key);
        let place = place.ok()?;
        Some(&self.chunks[index][place].1)
    }

    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (index, place) = self.find(key);
        let place = place.ok()?;
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        Some(&mut chunk[place].1)
    }

    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.get(key).is_some()
    }

    /// Puts a value in, in the place of another one of the key.
    pub fn insert(&mut self, key: K, value: V) {
        let (index, place) = self.find(&key);
        if self.chunks.is_empty() {
            self.chunks.push(Arc::new(vec![(key, value)]));
            return;
        }
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        match place {
            Ok(place) => chunk[place].1 = value,
            Err(place) => {
                chunk.insert(place, (key, value));
                if chunk.len() > CHUNK_MAX {
                    let rest = chunk.split_off(CHUNK_MAX / 2);
                    self.chunks.insert(index + 1, Arc::new(rest));
                }
            }
        }
    }

    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (index, place) = self.find(key);
        let place = place.ok()?;
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(index);
        }
        Some(value)
    }

    /// The entries from a key (inclusive) on, in order.
    pub fn range_from<Q>(&self, key: &Q) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (index, place) = self.find(key);
        let skipped = match place {
            Ok(place) | Err(place) => place,
        };
        let chunks = self.chunks.iter().skip(index).flat_map(|chunk| chunk.iter());
        chunks.skip(skipped).map(|(key, value)| (key, value))
    }

    /// Entries that may differ, in order of key: of the chunks that the maps do not share.
    pub fn differences<'a>(&'a self, other: &'a ChunkMap<K, V>) -> Vec<Difference<'a, K, V>> {
        let (mut here, mut there) = (Cursor::new(&self.chunks), Cursor::new(&other.chunks));
        let mut found = Vec::new();
        loop {
            if here.is_at_same_chunk(&there) {
                here.skip_chunk();
                there.skip_chunk();
                continue;
            }
            let order = match (here.entry(), there.entry()) {
                (None, None) => return found,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((own, _)), Some((its, _))) => own.cmp(its),
            };
            let own = here.entry().filter(|_| order != Ordering::Greater);
            let its = there.entry().filter(|_| order != Ordering::Less);
            if let Some((key, _)) = own.or(its) {
                found.push((key, own.map(|(_, value)| value), its.map(|(_, value)| value)));
            }
            if own.is_some() {
                here.step();
            }
            if its.is_some() {
                there.step();
            }
        }
    }
}

/// A place in a map.
struct Cursor<'a, K, V> {
    chunks: &'a [Chunk<K, V>],
    /// In the first of these.
    place: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(chunks: &'a [Chunk<K, V>]) -> Cursor<'a, K, V> {
        Cursor { chunks, place: 0 }
    }

    fn entry(&self) -> Option<(&'a K, &'a V)> {
        let chunks: &'a [Chunk<K, V>] = self.chunks;
        let (key, value) = &chunks.first()?[self.place];
        Some((key, value))
    }

    fn is_at_same_chunk(&self, other: &Cursor<'_, K, V>) -> bool {
        match (self.chunks.first(), other.chunks.first()) {
            (Some(own), Some(its)) => self.place == 0 && other.place == 0 && Arc::ptr_eq(own, its),
            (Some(_), None) | (None, Some(_)) | (None, None) => false,
        }
    }

    fn skip_chunk(&mut self) {
        self.chunks = &self.chunks[1..];
        self.place = 0;
    }

    fn step(&mut self) {
        self.place += 1;
        if self.chunks.first().is_some_and(|chunk| self.place == chunk.len()) {
            self.skip_chunk();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix;
    use std::collections::BTreeMap;

    type Numbers = ChunkMap<u64, u64>;

    fn changed(before: &Numbers, after: &Numbers) -> Vec<(u64, Option<u64>, Option<u64>)> {
        let all = before.differences(after).into_iter();
        let all = all.map(|(key, own, its)| (*key, own.copied(), its.copied()));
        all.filter(|(_, own, its)| own != its).collect()
    }

    fn check(map: &Numbers, model: &BTreeMap<u64, u64>) {
        assert!(map.iter().eq(model.iter()));
        assert_eq!(map.len(), model.len());
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_MAX).contains(&chunk.len())));
    }

    #[test]
    fn it_holds_what_a_plain_map_holds_and_tells_what_changed() {
        let mut rng = SplitMix::new(7);
        let (mut map, mut model) = (Numbers::default(), BTreeMap::new());
        for round in 0..60 {
            let (before, former) = (map.clone(), model.clone());
            for _ in 0..rng.next_u64() % 300 {
                let (key, value) = (rng.next_u64() % 2000, rng.next_u64());
                // It grows first and shrinks then.
                if rng.next_u64() % 60 > round {
                    map.insert(key, value);
                    model.insert(key, value);
                } else {
                    assert_eq!(map.remove(&key), model.remove(&key));
                }
                assert_eq!(map.get(&key), model.get(&key));
            }
            check(&map, &model);
            check(&before, &former);
            let keys: std::collections::BTreeSet<u64> =
                model.keys().chain(former.keys()).copied().collect();
            let value = |map: &BTreeMap<u64, u64>, key: u64| map.get(&key).copied();
            let differ = keys.into_iter().map(|key| (key, value(&former, key), value(&model, key)));
            let differ: Vec<_> = differ.filter(|(_, old, new)| old != new).collect();
            assert_eq!(changed(&before, &map), differ);
            for from in [0, 500, 999, 2500] {
                assert!(map.range_from(&from).eq(model.range(from..)));
            }
        }
    }

    #[test]
    fn a_change_after_a_copy_copies_one_chunk_and_is_all_that_is_looked_at() {
        let mut map: Numbers = ChunkMap::default();
        (0..10_000).for_each(|key| map.insert(key * 2, 0));
        let before = map.clone();
        map.insert(5001, 1);
        *map.get_mut(&5002).expect("it is there") = 1;
        map.remove(&5004);
        let is_own =
            |chunk: &&Chunk<u64, u64>| !before.chunks.iter().any(|c| Arc::ptr_eq(c, chunk));
        let own = map.chunks.iter().filter(is_own).count();
        assert!(own <= 2, "{own} chunks were copied");
        assert!(before.differences(&map).len() <= 2 * CHUNK_MAX);
        let expected = [(5001, None, Some(1)), (5002, Some(0), Some(1)), (5004, Some(0), None)];
        assert_eq!(changed(&before, &map), expected);
        assert!(map.differences(&map).is_empty());
    }

    #[test]
    fn equal_entries_make_equal_maps_however_they_lie() {
        let (mut rising, mut falling) = (Numbers::default(), Numbers::default());
        (0..1000).for_each(|key| rising.insert(key, key));
        (0..1000).rev().for_each(|key| falling.insert(key, key));
        assert_eq!(rising, falling);
        falling.insert(7, 8);
        assert_ne!(rising, falling);
        falling.remove(&7);
        assert_ne!(rising, falling);
    }
}
