//! One partition's log.

use crate::{
    AppendError, LogConfig, LogDirError, ReadError, ReadPlan, SyncJob, Synced, TimestampSearch,
};
use bytes::Bytes;
use records::ProducedBatch;
use std::path::Path;
use types::{
    EpochOffset, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
};

/// An append that is in the log (page cache), or was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base_offset: Offset,
    /// Inclusive.
    pub last_offset: Offset,
    /// `Timestamp::NONE` where the topic's timestamps are CreateTime.
    pub log_append_time: Timestamp,
    pub log_start_offset: Offset,
    /// The batch was appended before (the same producer, epoch and sequences): the offsets are
    /// those of then, and nothing was written. It may still be above the high watermark.
    pub is_duplicate: bool,
}

/// Files to remove, outside the lock.
#[must_use = "the files stay on disk until the job runs (or the log is opened again)"]
pub struct RemovalJob {}

impl RemovalJob {
    /// Removes the files. Blocks.
    pub fn run(self) -> Result<(), LogDirError> {
        todo!()
    }
}

/// What retention did.
pub struct Retained {
    pub segments: usize,
    pub bytes: u64,
    pub start_offset: Offset,
    pub job: RemovalJob,
}

/// One partition's log in its directory. Methods take microseconds (page cache) unless they say
/// otherwise; those that touch the disk for long hand out a job.
pub struct PartitionLog {}

impl PartitionLog {
    pub fn topic_partition(&self) -> &TopicPartition {
        todo!()
    }
    pub fn topic_id(&self) -> TopicId {
        todo!()
    }
    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        todo!()
    }
    pub fn config(&self) -> &LogConfig {
        todo!()
    }
    /// Takes effect from the next operation on.
    pub fn set_config(&mut self, config: LogConfig) {
        let _ = config;
        todo!()
    }

    /// The offset after the last record (exclusive).
    pub fn end_offset(&self) -> Offset {
        todo!()
    }
    /// The first readable offset.
    pub fn start_offset(&self) -> Offset {
        todo!()
    }
    /// Everything below has been synced.
    pub fn recovery_point(&self) -> Offset {
        todo!()
    }
    /// The same as the recovery point: what a synced topic's replica may report.
    pub fn synced_offset(&self) -> Offset {
        todo!()
    }
    /// The high watermark last set (after opening: the checkpointed one), within start..=end.
    pub fn high_watermark(&self) -> Offset {
        todo!()
    }
    /// Told by the replica's machine; bounds retention and goes into the checkpoint.
    pub fn set_high_watermark(&mut self, offset: Offset) {
        let _ = offset;
        todo!()
    }
    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        todo!()
    }
    /// Why the log takes no more appends, if so.
    pub fn failure(&self) -> Option<&LogDirError> {
        todo!()
    }

    /// Appends a client's (or a coordinator's own) batch as leader: checks the producer's
    /// sequence (window of five batches), stamps base offset and leader epoch, writes once.
    pub fn append_as_leader(
        &mut self,
        batch: &ProducedBatch,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let _ = (batch, leader_epoch, now);
        todo!()
    }

    /// Appends what a leader sent: one or more whole batches, kept byte for byte; the first must
    /// continue the log. CRCs are checked; producers' histories and epochs follow. Returns the new
    /// end offset.
    pub fn append_as_follower(
        &mut self,
        records: &Bytes,
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        let _ = (records, now);
        todo!()
    }

    /// The newest leader epoch that the log knows; `LeaderEpoch::NONE` if none.
    pub fn latest_epoch(&self) -> LeaderEpoch {
        todo!()
    }
    /// Notes that this leader epoch starts at the end offset (on becoming leader, before the
    /// first append). Epochs not above the latest change nothing.
    pub fn assign_epoch_start(&mut self, epoch: LeaderEpoch) -> Result<(), LogDirError> {
        let _ = epoch;
        todo!()
    }
    /// Kafka's `endOffsetFor`: for the latest epoch (epoch, end offset); above it
    /// (`LeaderEpoch::NONE`, `Offset::NONE`); below all known (epoch, start of the first);
    /// else (the largest epoch not above it, start of the next).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochOffset {
        let _ = epoch;
        todo!()
    }
    /// The leader epoch that wrote the record at this offset, if known.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let _ = offset;
        todo!()
    }

    /// Removes records from `offset` on. In the middle of a batch, the whole batch goes. Syncs,
    /// since what replaces the removed must not be mistaken for it after a crash. Does nothing if
    /// the log ends there or earlier.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<(), LogDirError> {
        let _ = offset;
        todo!()
    }
    /// Removes everything and goes on at `offset` (a follower whose leader starts above its end).
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), LogDirError> {
        let _ = offset;
        todo!()
    }
    /// Makes records below `offset` unreadable (DeleteRecords, or the leader's start offset); the
    /// files go with the next retention run. Never goes back, nor past the high watermark.
    pub fn advance_start_offset(&mut self, offset: Offset) -> Offset {
        let _ = offset;
        todo!()
    }

    /// Plans a read of whole batches from the one that holds `from`, ending at or before
    /// `upper_bound` (exclusive; high watermark for consumers, end offset for followers), of at
    /// most `max_bytes`; with `min_one_batch` the first batch is in it even if it is larger. Stays
    /// within one segment. `from` at the end offset (or at the bound) is an empty plan.
    pub fn read_plan(
        &self,
        from: Offset,
        upper_bound: Offset,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<ReadPlan, ReadError> {
        let _ = (from, upper_bound, max_bytes, min_one_batch);
        todo!()
    }

    /// A search for the first record whose timestamp is `timestamp` or later.
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> TimestampSearch {
        let _ = timestamp;
        todo!()
    }
    /// A search for the record with the largest timestamp.
    pub fn max_timestamp_offset(&self) -> TimestampSearch {
        todo!()
    }

    /// Drops whole segments below the high watermark that are too old, too many, or below the
    /// start offset, as the policy says.
    pub fn retention(&mut self, now: Timestamp) -> Result<Retained, LogDirError> {
        let _ = now;
        todo!()
    }

    /// Whether a sync is wanted: a segment was rolled, or `flush.messages`/`flush.ms` is due.
    pub fn wants_sync(&self, now: Timestamp) -> bool {
        let _ = now;
        todo!()
    }
    /// A job that syncs what is in the log now. See also `LogHandle::sync`.
    pub fn sync(&mut self) -> SyncJob {
        todo!()
    }
    /// Moves the recovery point after a job ran; an error poisons the log.
    pub fn complete_sync(&mut self, synced: Synced) -> Result<(), LogDirError> {
        let _ = synced;
        todo!()
    }
    /// Syncs under the lock, for callers that own the log alone. Blocks.
    pub fn flush(&mut self) -> Result<(), LogDirError> {
        let job = self.sync();
        self.complete_sync(job.run())
    }

    /// The last batch kept of a producer: epoch, last sequence, last offset. For DescribeProducers.
    pub fn producer(&self, id: ProducerId) -> Option<(ProducerEpoch, i32, Offset)> {
        let _ = id;
        todo!()
    }
    /// Forgets producers that were silent for `producer_expiration_ms`.
    pub fn expire_producers(&mut self, now: Timestamp) {
        let _ = now;
        todo!()
    }
    /// The offset of the first record of a transaction still open; the end offset if none is. With
    /// the high watermark it bounds what read_committed consumers see.
    pub fn first_unstable_offset(&self) -> Offset {
        todo!()
    }
}
