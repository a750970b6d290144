//! What a run has done so far, for whoever watches it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use types::TopicPartition;

/// Counters of a running record. All only grow.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) acknowledged: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) commits: AtomicU64,
    /// How far each group was handed each partition: the next offset.
    pub(super) groups: Mutex<BTreeMap<(String, TopicPartition), i64>>,
}

impl Progress {
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Records handed to readers, each reading counted.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn group_came_to(&self, group: &str, partition: &TopicPartition, next: i64) {
        let mut groups = self.groups.lock().expect("progress lock");
        let key = (group.to_owned(), partition.clone());
        let position = groups.entry(key).or_insert(next);
        *position = (*position).max(next);
    }

    /// Whether a group was handed every partition up to its end.
    pub(super) fn group_is_past(&self, group: &str, ends: &BTreeMap<TopicPartition, i64>) -> bool {
        let groups = self.groups.lock().expect("progress lock");
        ends.iter().all(|(partition, end)| {
            *end == 0
                || groups
                    .get(&(group.to_owned(), partition.clone()))
                    .is_some_and(|position| position >= end)
        })
    }
}
