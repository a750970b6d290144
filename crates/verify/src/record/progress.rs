//! What a run has done so far, for whoever watches it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use types::{Monotonic, TopicPartition};

use crate::history::At;

/// When partitions took records last.
#[derive(Debug, Default)]
struct Beats {
    last: BTreeMap<TopicPartition, At>,
    /// The longest time between two of one partition since somebody asked.
    longest: u64,
}

/// Counters of a running record. All but the stall only grow.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) acknowledged: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) read: AtomicU64,
    pub(super) commits: AtomicU64,
    /// How far each group was handed each partition: the next offset.
    pub(super) groups: Mutex<BTreeMap<(String, TopicPartition), i64>>,
    beats: Mutex<Beats>,
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

    /// The longest time for which any partition acknowledged nothing since the last call, or does not
    /// now.
    pub fn take_stall(&self, now: Monotonic) -> Duration {
        let mut beats = self.beats.lock().expect("progress lock");
        let silence = beats.last.values().map(|at| now.0.saturating_sub(at.0)).max();
        let longest = std::mem::take(&mut beats.longest).max(silence.unwrap_or(0));
        Duration::from_micros(longest)
    }

    pub(super) fn beat(&self, partition: &TopicPartition, at: At) {
        let mut beats = self.beats.lock().expect("progress lock");
        let gap = match beats.last.get_mut(partition) {
            Some(last) => at.0.saturating_sub(std::mem::replace(last, at.max(*last)).0),
            None => {
                beats.last.insert(partition.clone(), at);
                0
            }
        };
        beats.longest = beats.longest.max(gap);
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
