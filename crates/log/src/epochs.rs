//! Which leader epoch wrote which offsets.
//!
//! Promises: entries rise in epoch and do not fall in offset; an epoch's records lie from its entry's
//! offset up to the next entry's (exclusive). Pure: who persists it compares `version`.

use types::{EpochOffset, LeaderEpoch, Offset};

/// The start offset of every leader epoch that the log knows.
#[derive(Debug, Default, Clone)]
pub struct EpochCache {
    entries: Vec<EpochOffset>,
    version: u64,
}

impl EpochCache {
    pub fn new(entries: Vec<EpochOffset>) -> EpochCache {
        EpochCache { entries, version: 0 }
    }

    pub fn entries(&self) -> &[EpochOffset] {
        &self.entries
    }

    /// Changes with every change of the entries.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn latest(&self) -> LeaderEpoch {
        self.entries.last().map_or(LeaderEpoch::NONE, |entry| entry.epoch)
    }

    /// Notes that `epoch` starts at `offset`, if it is above the latest. Entries at or after the
    /// offset are epochs that wrote nothing and go, also where they are above `epoch`: a broker
    /// that led briefly and then follows gets records of earlier epochs, and its own empty epoch
    /// would cut theirs short for every follower that asks it later.
    pub fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if epoch.0 < 0 {
            return;
        }
        while self.entries.last().is_some_and(|last| last.epoch > epoch && last.offset >= offset) {
            self.entries.pop();
            self.version += 1;
        }
        if epoch <= self.latest() {
            return;
        }
        self.entries.retain(|entry| entry.offset < offset);
        self.entries.push(EpochOffset { epoch, offset });
        self.version += 1;
    }

    /// Forgets epochs that start at or after the end of a cut log.
    pub fn truncate_end(&mut self, end_offset: Offset) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.offset < end_offset);
        self.version += u64::from(before != self.entries.len());
    }

    /// Forgets epochs that end at or before the start of the log; that of the first record starts
    /// there now.
    pub fn truncate_start(&mut self, start_offset: Offset) {
        let below = self.entries.partition_point(|entry| entry.offset <= start_offset);
        if below == 0 || (below == 1 && self.entries[0].offset == start_offset) {
            return;
        }
        self.entries.drain(..below - 1);
        self.entries[0].offset = start_offset;
        self.version += 1;
    }

    pub fn clear(&mut self) {
        self.replace(EpochCache::default());
    }

    /// Takes the other's entries. The version goes on: who has persisted one never takes another for
    /// it.
    pub fn replace(&mut self, other: EpochCache) {
        self.version += u64::from(self.entries != other.entries);
        self.entries = other.entries;
    }

    /// Kafka's `endOffsetFor`.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, end_offset: Offset) -> EpochOffset {
        let none = EpochOffset { epoch: LeaderEpoch::NONE, offset: Offset::NONE };
        let Some(last) = self.entries.last() else {
            return none;
        };
        if epoch.0 < 0 || epoch > last.epoch {
            return none;
        }
        if epoch == last.epoch {
            return EpochOffset { epoch, offset: end_offset };
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let offset = self.entries[above].offset;
        let floor = above.checked_sub(1).map_or(epoch, |index| self.entries[index].epoch);
        EpochOffset { epoch: floor, offset }
    }

    /// The epoch whose records include this offset.
    pub fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.offset <= offset);
        above.checked_sub(1).map(|index| self.entries[index].epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, offset) in entries {
            cache.assign(LeaderEpoch(*epoch), Offset(*offset));
        }
        cache
    }

    fn list(cache: &EpochCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|e| (e.epoch.0, e.offset.0)).collect()
    }

    fn end(cache: &EpochCache, epoch: i32) -> (i32, i64) {
        let found = cache.end_offset_for(LeaderEpoch(epoch), Offset(100));
        (found.epoch.0, found.offset.0)
    }

    #[test]
    fn end_offsets_follow_kafkas_rules() {
        let cache = cache(&[(2, 10), (4, 20), (7, 50)]);
        assert_eq!(end(&cache, 7), (7, 100), "the latest ends at the log's end");
        assert_eq!(end(&cache, 8), (-1, -1), "above the latest nothing is known");
        assert_eq!(end(&cache, 5), (4, 50), "between two, the lower one's end");
        assert_eq!(end(&cache, 2), (2, 20));
        assert_eq!(end(&cache, 1), (1, 10), "below the first, its start");
        assert_eq!(end(&cache, -1), (-1, -1));
        assert_eq!(end(&EpochCache::default(), 0), (-1, -1));
    }

    #[test]
    fn an_empty_epoch_goes_when_records_of_an_earlier_one_follow() {
        // It led epoch 7 from offset 10 on, wrote nothing, and then follows a leader of epoch 9
        // that sends records of epoch 2.
        let mut cache = cache(&[(2, 0), (7, 10)]);
        cache.assign(LeaderEpoch(2), Offset(10));
        assert_eq!(list(&cache), [(2, 0)]);
        assert_eq!(end(&cache, 2), (2, 100));
        let mut empty = EpochCache::default();
        empty.assign(LeaderEpoch(7), Offset(0));
        empty.assign(LeaderEpoch(0), Offset(0));
        assert_eq!(list(&empty), [(0, 0)]);
    }

    #[test]
    fn epochs_only_rise_and_empty_ones_are_replaced() {
        let mut cache = cache(&[(1, 0), (2, 10), (2, 15), (1, 20)]);
        assert_eq!(list(&cache), [(1, 0), (2, 10)]);
        cache.assign(LeaderEpoch(5), Offset(10));
        assert_eq!(list(&cache), [(1, 0), (5, 10)]);
        assert_eq!(cache.at(Offset(9)), Some(LeaderEpoch(1)));
        assert_eq!(cache.at(Offset(10)), Some(LeaderEpoch(5)));
    }

    #[test]
    fn a_cut_log_forgets_what_it_lost() {
        let mut cache = cache(&[(1, 0), (2, 10), (3, 20)]);
        cache.truncate_end(Offset(20));
        assert_eq!(list(&cache), [(1, 0), (2, 10)]);
        cache.truncate_start(Offset(5));
        assert_eq!(list(&cache), [(1, 5), (2, 10)]);
        cache.truncate_start(Offset(10));
        assert_eq!(list(&cache), [(2, 10)]);
        cache.truncate_start(Offset(30));
        assert_eq!(list(&cache), [(2, 30)]);
        assert_eq!(cache.at(Offset(29)), None);
    }
}
