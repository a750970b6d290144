//! All partitions' logs of a node.

use crate::{LogConfig, LogDirError, LogDirs, LogHandle, OpenError, RemovalJob};
use std::path::PathBuf;
use std::sync::Arc;
use types::{BrokerEpoch, DirectoryId, Timestamp, TopicId, TopicPartition};

/// How to open.
pub struct LogManagerOptions {
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// A topic's configuration, by name.
    pub config_of: Arc<dyn Fn(&str) -> LogConfig + Send + Sync>,
    pub now: Timestamp,
}

/// What opening found.
#[derive(Debug, Default)]
pub struct OpenReport {
    pub partitions: usize,
    /// Partitions that were not shut down cleanly.
    pub recovered: usize,
    /// Bytes read to recover them.
    pub recovered_bytes: u64,
    /// Bytes of torn tails that were cut.
    pub cut_bytes: u64,
    /// Partitions with damage below the recovery point, which are not open.
    pub damaged: Vec<(TopicPartition, String)>,
    /// Directories that failed.
    pub offline: Vec<LogDirError>,
}

/// What a retention run over all partitions did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RetentionReport {
    pub segments: usize,
    pub bytes: u64,
}

/// Owns the log directories. All methods may be called from any thread; those that say "blocks"
/// belong on a blocking thread.
pub struct LogManager {}

impl LogManager {
    /// Opens every partition found, in parallel. Blocks.
    pub fn open(
        dirs: LogDirs,
        options: LogManagerOptions,
    ) -> Result<(LogManager, OpenReport), OpenError> {
        let _ = (dirs, options);
        todo!()
    }

    pub fn get(&self, partition: &TopicPartition) -> Option<LogHandle> {
        let _ = partition;
        todo!()
    }

    /// Every open partition, with its topic id, in order of name.
    pub fn partitions(&self) -> Vec<(TopicPartition, TopicId, LogHandle)> {
        todo!()
    }

    /// The partition's log, made if absent, in `directory` or that with the fewest partitions.
    /// A log of the same name and another topic id is first set aside as stray. Blocks (two
    /// directory syncs) if it makes one.
    pub fn get_or_create(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        directory: Option<DirectoryId>,
    ) -> Result<LogHandle, LogDirError> {
        let _ = (partition, topic_id, config, directory);
        todo!()
    }

    /// Deletes a partition whose topic id matches: its directory is renamed to `-delete` at once
    /// (the name is free again) and removed by the job. `None` if there is no such partition. Blocks.
    pub fn delete(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<Option<RemovalJob>, LogDirError> {
        let _ = (partition, topic_id);
        todo!()
    }

    /// Sets a partition aside by renaming its directory to `-stray`; nothing is removed. Blocks.
    pub fn set_aside(&self, partition: &TopicPartition) -> Result<Option<PathBuf>, LogDirError> {
        let _ = partition;
        todo!()
    }

    /// The directory that holds the partition.
    pub fn directory_of(&self, partition: &TopicPartition) -> Option<DirectoryId> {
        let _ = partition;
        todo!()
    }

    /// Online directories: id, path.
    pub fn directories(&self) -> Vec<(DirectoryId, PathBuf)> {
        todo!()
    }

    /// Takes a directory offline after an I/O error (also done by every failing call of the
    /// manager itself): its partitions are dropped from the manager and returned.
    pub fn fence_directory(&self, error: &LogDirError) -> Vec<TopicPartition> {
        let _ = error;
        todo!()
    }

    /// Writes `replication-offset-checkpoint` in each directory. Blocks.
    pub fn checkpoint_high_watermarks(&self) -> Result<(), LogDirError> {
        todo!()
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`. Blocks.
    pub fn checkpoint_recovery_points(&self) -> Result<(), LogDirError> {
        todo!()
    }

    /// Syncs the partitions that want it (rolled, or due by `flush.*`). Blocks.
    pub fn sync_due(&self, now: Timestamp) -> Result<usize, LogDirError> {
        let _ = now;
        todo!()
    }

    /// Retention and producer expiry over all partitions. Blocks.
    pub fn run_retention(&self, now: Timestamp) -> Result<RetentionReport, LogDirError> {
        let _ = now;
        todo!()
    }

    /// Closes every log (sync, producer snapshot, indexes), writes the checkpoints and, if all went
    /// well, the clean-shutdown markers. Appends fail from here on. Blocks.
    pub fn shut_down(&self, broker_epoch: BrokerEpoch) -> Result<(), LogDirError> {
        let _ = broker_epoch;
        todo!()
    }
}
