//! A partition's log on one disk: what is appended, what of it is synced, and the epoch cache.

use types::{EpochOffset, LeaderEpoch, Offset};

/// A record: who wrote it under which leader, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModelRecord {
    pub epoch: LeaderEpoch,
    /// Unique to one send of one client.
    pub value: u64,
}

/// Offsets start at 0 and have no gaps.
#[derive(Clone, Debug, Default)]
pub struct ModelLog {
    records: Vec<ModelRecord>,
    /// `hashes[i]` covers the records `0..=i`, so that prefixes compare at once.
    hashes: Vec<u64>,
    epochs: Vec<EpochOffset>,
    durable_end: usize,
    /// What a start finds in the checkpoint file.
    pub watermark_checkpoint: Offset,
    /// The end before a crash that lost the page cache: these records were here once.
    pub end_before_loss: Offset,
}

impl ModelLog {
    pub fn end(&self) -> Offset {
        Offset(self.records.len() as i64)
    }

    pub fn durable_end(&self) -> Offset {
        Offset(self.durable_end as i64)
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.records.last().map_or(LeaderEpoch::NONE, |record| record.epoch)
    }

    pub fn get(&self, offset: Offset) -> Option<ModelRecord> {
        self.records.get(usize::try_from(offset.0).ok()?).copied()
    }

    pub fn slice(&self, from: Offset, to: Offset) -> &[ModelRecord] {
        let to = (to.0.max(0) as usize).min(self.records.len());
        &self.records[(from.0.max(0) as usize).min(to)..to]
    }

    /// The hash of the records below `end`; `None` if there are fewer.
    pub fn prefix(&self, end: Offset) -> Option<u64> {
        if end <= Offset::ZERO {
            return Some(0);
        }
        self.hashes.get(end.0 as usize - 1).copied()
    }

    /// A later epoch that started here without records (this broker led it, briefly) is no part of
    /// this log's history once a record of an earlier epoch follows: its start would cut that
    /// epoch short for every follower that asks.
    pub fn append(&mut self, record: ModelRecord) {
        while self.epochs.last().is_some_and(|last| last.epoch > record.epoch) {
            self.epochs.pop();
        }
        self.begin_epoch(record.epoch);
        let former = self.hashes.last().copied().unwrap_or(0);
        let word = record.value ^ (record.epoch.0 as u64).rotate_left(48);
        let hash = (former.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        self.records.push(record);
        self.hashes.push(hash);
    }

    /// Notes that this epoch starts at the end, with or without records to come.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) {
        if self.epochs.last().is_none_or(|last| last.epoch < epoch) {
            let offset = self.end();
            self.epochs.push(EpochOffset { epoch, offset });
        }
    }

    /// The largest epoch at or below `epoch` and where it ends (Kafka's `endOffsetFor`).
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochOffset> {
        let latest = self.epochs.last()?;
        if latest.epoch == epoch {
            return Some(EpochOffset { epoch, offset: self.end() });
        }
        let above = self.epochs.iter().find(|start| start.epoch > epoch)?;
        let floor = self.epochs.iter().rfind(|start| start.epoch <= epoch);
        Some(EpochOffset { epoch: floor.map_or(epoch, |floor| floor.epoch), offset: above.offset })
    }

    pub fn truncate(&mut self, end: Offset) {
        let count = end.0.max(0) as usize;
        self.records.truncate(count);
        self.hashes.truncate(count);
        self.epochs.retain(|start| start.offset < end);
        self.durable_end = self.durable_end.min(count);
        self.watermark_checkpoint = self.watermark_checkpoint.min(end);
    }

    pub fn sync(&mut self) {
        self.durable_end = self.records.len();
    }

    /// The disk is another one.
    pub fn lose_everything(&mut self) {
        self.end_before_loss = self.end_before_loss.max(self.end());
        self.durable_end = 0;
        self.truncate(Offset::ZERO);
    }

    /// For the simulator's tests of itself: an epoch cache that a truncation leaves as it is.
    pub fn truncate_but_keep_epochs(&mut self, end: Offset) {
        let epochs = self.epochs.clone();
        self.truncate(end);
        self.epochs = epochs;
    }

    /// For the simulator's tests of itself: an append that leaves later, empty epochs in place.
    pub fn append_but_keep_epochs(&mut self, record: ModelRecord) {
        let epochs = self.epochs.clone();
        let is_later = |start: &&EpochOffset| start.epoch > record.epoch;
        let later: Vec<EpochOffset> = epochs.iter().filter(is_later).copied().collect();
        self.append(record);
        self.epochs.extend(later);
    }

    /// The machine lost power: what was not synced may go, down to `end`.
    pub fn lose_page_cache(&mut self, end: Offset) {
        self.end_before_loss = self.end_before_loss.max(self.end());
        self.truncate(end.max(self.durable_end()));
    }
}
