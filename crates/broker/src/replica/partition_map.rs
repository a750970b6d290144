//! The partitions of a broker by id: looked up by every request, changed where the metadata says so.
//!
//! Promises:
//! - a change costs the same however many partitions there are, so that opening n of them costs n: no
//!   map is ever copied;
//! - a look-up takes one short lock, which many share; whoever changes the map holds one of many for a
//!   single entry, and nobody holds one while he does anything else;
//! - a walk over all sees each partition that is there from its beginning to its end, once, in an order
//!   that is the same in every run.
//!
//! Does not: give a moment at which all that a walk saw was there at once. Who changes the map
//! ([`super::ReplicaManager`]) does so one at a time.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use types::TopicIdPartition;

/// More than there are cores to look up at once.
const SHARDS: usize = 64;

type Shard<P> = BTreeMap<TopicIdPartition, P>;

/// `P` is cheap to clone.
pub struct PartitionMap<P> {
    shards: [RwLock<Shard<P>>; SHARDS],
}

impl<P> Default for PartitionMap<P> {
    fn default() -> PartitionMap<P> {
        PartitionMap { shards: std::array::from_fn(|_| RwLock::new(BTreeMap::new())) }
    }
}

/// Partitions of a topic lie in one shard after the other.
fn shard_of(id: &TopicIdPartition) -> usize {
    let topic = id
        .topic_id
        .0
        .iter()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let partition = u64::from(id.partition.0.unsigned_abs());
    (topic.wrapping_add(partition) % SHARDS as u64) as usize
}

impl<P: Clone> PartitionMap<P> {
    fn read(&self, id: &TopicIdPartition) -> RwLockReadGuard<'_, Shard<P>> {
        read(&self.shards[shard_of(id)])
    }

    fn write(&self, id: &TopicIdPartition) -> RwLockWriteGuard<'_, Shard<P>> {
        let shard = self.shards[shard_of(id)].write();
        shard.expect("no thread panicked while it changed the partitions")
    }

    pub fn get(&self, id: &TopicIdPartition) -> Option<P> {
        self.read(id).get(id).cloned()
    }

    pub fn contains(&self, id: &TopicIdPartition) -> bool {
        self.read(id).contains_key(id)
    }

    pub fn insert(&self, id: TopicIdPartition, partition: P) {
        self.write(&id).insert(id, partition);
    }

    pub fn remove(&self, id: &TopicIdPartition) -> Option<P> {
        self.write(id).remove(id)
    }

    /// Every partition, for who walks over them.
    pub fn all(&self) -> Vec<P> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(read(shard).values().cloned());
        }
        all
    }
}

fn read<P>(shard: &RwLock<Shard<P>>) -> RwLockReadGuard<'_, Shard<P>> {
    shard.read().expect("no thread panicked while it changed the partitions")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use types::{PartitionIndex, TopicId};

    /// Counts how often it is copied.
    struct Counted(i32, Arc<AtomicUsize>);

    impl Clone for Counted {
        fn clone(&self) -> Counted {
            self.1.fetch_add(1, Ordering::Relaxed);
            Counted(self.0, self.1.clone())
        }
    }

    fn id(index: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId::from_random(7), partition: PartitionIndex(index) }
    }

    const MANY: i32 = 10_000;

    #[test]
    fn a_partition_is_put_in_and_taken_out_without_a_copy_of_any_other() {
        let (map, copies) = (PartitionMap::default(), Arc::new(AtomicUsize::new(0)));
        for index in 0..MANY {
            map.insert(id(index), Counted(index, copies.clone()));
        }
        assert_eq!(copies.load(Ordering::Relaxed), 0);
        assert_eq!(map.get(&id(77)).map(|one| one.0), Some(77));
        assert_eq!(map.all().len(), MANY as usize);
        assert_eq!(copies.load(Ordering::Relaxed), 1 + MANY as usize, "those that were asked for");
        for index in 0..MANY {
            assert_eq!(map.remove(&id(index)).map(|one| one.0), Some(index));
            assert!(!map.contains(&id(index)));
        }
        assert_eq!(copies.load(Ordering::Relaxed), 1 + MANY as usize);
        assert!(map.all().is_empty() && map.get(&id(77)).is_none());
    }

    #[test]
    fn the_partitions_of_a_topic_lie_apart_and_those_of_many_topics_too() {
        let mut counts = [[0; SHARDS]; 2];
        for index in 0..MANY {
            counts[0][shard_of(&id(index))] += 1;
            let topic_id = TopicId::from_random(index as u128 * 0x9e37_79b9_7f4a_7c15_f39c_c060);
            let other = TopicIdPartition { topic_id, partition: PartitionIndex(0) };
            counts[1][shard_of(&other)] += 1;
        }
        let mean = MANY / SHARDS as i32;
        assert!(counts.iter().flatten().all(|count| *count < 2 * mean), "{counts:?}");
    }
}
