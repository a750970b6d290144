//! One partition's log.
//!
//! ```text
//!  segments[0]                     segments[n] (active)
//!  |base ............|base ........|base ...............|
//!      |start_offset       |high_watermark  |recovery_point |end_offset (exclusive)
//! ```
//!
//! Invariants: there is an active segment, the last; segments are sorted by base, and a segment's
//! records end at or before the next one's base; start <= high watermark <= end; recovery point <=
//! end, and everything below it is synced, its epochs, indexes and names included.

mod append;
mod compaction;
mod lookup;
mod open;
mod retention;
mod scrub;
mod swap;
mod sync;
mod tail;
mod truncate;

pub use open::{OpenLog, OpenLogError, Recovered};
pub use retention::Retained;
pub use scrub::{ScrubCursor, Scrubbed};
pub(crate) use swap::{Replacement, Source, SwapStep};

use crate::config::LogConfig;
use crate::damage::Damages;
use crate::epochs::EpochCache;
use crate::open_files::OpenFiles;
use crate::producers::Producers;
use crate::segment::{Segment, SegmentDir};
use crate::sync::SyncState;
use crate::tail::Tail;
use crate::walk::Found;
use crate::{AppendError, LogDirError};
use env::Disk;
use env::descriptors::is_shortage;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use types::{
    EpochOffset, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId, TopicPartition,
};

/// An append that is in the log (page cache), or was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base_offset: Offset,
    /// Inclusive.
    pub last_offset: Offset,
    /// `Timestamp::NONE` where the topic's timestamps are CreateTime; of a duplicate the largest
    /// timestamp of the batch.
    pub log_append_time: Timestamp,
    pub log_start_offset: Offset,
    /// The batch was appended before (the same producer, epoch and sequences): the offsets are
    /// those of then, and nothing was written. It may still be above the high watermark.
    pub is_duplicate: bool,
}

/// Where recovery points are kept, for the moments at which a log depends on what is on disk.
pub trait RecoveryPoints: Send + Sync {
    /// After `Ok` a crash finds a recovery point of this partition at or below `offset`. Without
    /// that, records appended after a truncation could be taken for synced.
    fn lower(&self, partition: &TopicPartition, offset: Offset) -> io::Result<()>;

    /// A crash finds a recovery point at or above this one. Only segments below it are deleted: if a
    /// crash undoes some of the deletions and not others, the hole lies below the recovery point,
    /// where no hole means a torn tail.
    fn durable(&self, partition: &TopicPartition) -> Offset;
}

/// Whose log it is and where.
struct Identity {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    dir: PathBuf,
    partition: TopicPartition,
    topic_id: TopicId,
    recovery_points: Arc<dyn RecoveryPoints>,
    files: OpenFiles,
}

impl Identity {
    fn segment_dir(&self) -> SegmentDir<'_> {
        SegmentDir { disk: &self.disk, dir: &self.dir, files: &self.files }
    }
}

/// One partition's log in its directory. Methods take microseconds (page cache) unless they say
/// otherwise; those that touch the disk for long hand out a job.
pub struct PartitionLog {
    id: Identity,
    config: LogConfig,
    segments: VecDeque<Segment>,
    start_offset: Offset,
    end_offset: Offset,
    high_watermark: Offset,
    recovery_point: Offset,
    epochs: EpochCache,
    producers: Producers,
    /// The newest batches of the active segment: reads of the tail need no index.
    recent: VecDeque<Found>,
    /// Their bytes, while followers are about to fetch them.
    tail: Tail,
    sync: SyncState,
    /// Compaction's: what lies below has been compacted.
    cleaned_to: Offset,
    /// A compacted segment on its way in.
    swap: Option<swap::Swap>,
    /// The snapshot that a clean shutdown left, as long as nothing has changed since.
    untouched_at: Option<Offset>,
    /// How often compacted segments have taken the place of others.
    replaced: u64,
    /// Shared with the log's handle, like the failure.
    damages: Damages,
    /// The first failure, after which nothing is appended. Shared with the log's handle: whoever finds
    /// that the directory failed may hold the lock of another log in it, or of this one.
    failure: Arc<OnceLock<LogDirError>>,
}

impl PartitionLog {
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.id.partition
    }

    pub fn topic_id(&self) -> TopicId {
        self.id.topic_id
    }

    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        &self.id.dir
    }

    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes effect from the next operation on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The offset after the last record (exclusive).
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// The first readable offset.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// Everything below has been synced.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// The same as the recovery point: what a synced topic's replica may report.
    pub fn synced_offset(&self) -> Offset {
        self.recovery_point
    }

    /// The high watermark last set (after opening: the checkpointed one), within start..=end.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Told by the replica's machine; bounds retention and goes into the checkpoint.
    pub fn set_high_watermark(&mut self, offset: Offset) {
        self.high_watermark = offset.clamp(self.start_offset, self.end_offset);
        self.release_tail();
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Base offsets of the segments, oldest first.
    pub fn segment_bases(&self) -> Vec<Offset> {
        self.segments.iter().map(|segment| segment.base).collect()
    }

    /// Why the log takes no more appends, if so.
    pub fn failure(&self) -> Option<&LogDirError> {
        self.failure.get()
    }

    /// The newest leader epoch that the log knows; `LeaderEpoch::NONE` if none.
    pub fn latest_epoch(&self) -> LeaderEpoch {
        self.epochs.latest()
    }

    /// Notes that this leader epoch starts at the end offset (on becoming leader, before the
    /// first append). Epochs not above the latest change nothing. It is on disk with the next sync;
    /// until then it can be told from the batches themselves.
    pub fn assign_epoch_start(&mut self, epoch: LeaderEpoch) -> Result<(), LogDirError> {
        self.check_open()?;
        self.epochs.assign(epoch, self.end_offset);
        Ok(())
    }

    /// Kafka's `endOffsetFor`: for the latest epoch (epoch, end offset); above it
    /// (`LeaderEpoch::NONE`, `Offset::NONE`); below all known (epoch, start of the first);
    /// else (the largest epoch not above it, start of the next).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochOffset {
        self.epochs.end_offset_for(epoch, self.end_offset)
    }

    /// The leader epoch that wrote the record at this offset, if known.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.at(offset)
    }

    /// Every leader epoch known with its start offset, oldest first.
    pub fn epoch_starts(&self) -> &[EpochOffset] {
        self.epochs.entries()
    }

    /// The last batch kept of a producer: epoch, last sequence (-1: none), last offset (-1: none).
    pub fn producer(&self, id: ProducerId) -> Option<(ProducerEpoch, i32, Offset)> {
        let entry = self.producers.get(id)?;
        let last = entry.batches.back();
        let sequence = last.map_or(-1, |mark| mark.last_sequence);
        Some((entry.epoch, sequence, last.map_or(Offset::NONE, |mark| mark.last_offset)))
    }

    /// All that is remembered of producers; for tests that make the same anew from the batches.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forgets producers that were silent for `producer_expiration_ms`; so much time has passed
    /// since this was called last.
    pub fn expire_producers(&mut self, passed: Duration) {
        let silent_ms_max = u64::try_from(self.config.producer_expiration_ms).unwrap_or(0);
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.producers.expire(passed_ms, silent_ms_max);
    }

    /// The offset of the first record of a transaction still open; the end offset if none is. With
    /// the high watermark it bounds what read_committed consumers see.
    pub fn first_unstable_offset(&self) -> Offset {
        self.producers.first_open_transaction().unwrap_or(self.end_offset)
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has an active segment")
    }

    /// Ends in `failure`: no append from now on, since what the disk holds is not known.
    fn poison(&mut self, doing: &str, error: io::Error) -> LogDirError {
        let doing = format!("{doing} in {}", self.id.dir.display());
        // What was begun is not done: that is a failure, whatever was wanting, or nobody would take
        // this log's place.
        let error = match is_shortage(&error) {
            true => io::Error::other(error),
            false => error,
        };
        let error = LogDirError::fatal(&self.id.log_dir, doing, error);
        let _ = self.failure.set(error.clone());
        error
    }

    /// For an error of work that only reads: one for want of descriptors changes nothing, any other
    /// poisons.
    fn unread(&mut self, doing: &str, error: io::Error) -> LogDirError {
        if is_shortage(&error) {
            let doing = format!("{doing} in {}", self.id.dir.display());
            return LogDirError::new(&self.id.log_dir, doing, error);
        }
        self.poison(doing, error)
    }

    pub(crate) fn failure_cell(&self) -> Arc<OnceLock<LogDirError>> {
        self.failure.clone()
    }

    pub(crate) fn damages_cell(&self) -> Damages {
        self.damages.clone()
    }

    fn check_open(&self) -> Result<(), LogDirError> {
        match self.failure.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// The segment that holds `offset`, or would: the last whose base is not above it.
    fn segment_index(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }

    /// Where a segment's records end (exclusive).
    fn segment_end(&self, index: usize) -> Offset {
        self.segments.get(index + 1).map_or(self.end_offset, |next| next.base)
    }
}
