//! What can go wrong in a log, one enum per operation, and the codes clients see.

use crate::damage::Damage;
use records::BatchError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{ErrorCode, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicPartition};

/// Why an append did not happen. Nothing of the append is in the log, with two exceptions: a
/// follower's append of many batches may have taken in the first of them (see the end offset), and
/// after `Io` the log is closed, and what it holds is known when it is opened again.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("out of order sequence of producer {producer_id}: {got} where {expected} was expected")]
    OutOfOrderSequence { producer_id: ProducerId, got: i32, expected: i32 },
    #[error("producer {producer_id} has epoch {got}, but {current} was seen")]
    StaleProducerEpoch { producer_id: ProducerId, got: ProducerEpoch, current: ProducerEpoch },
    /// A batch outside the transaction that its producer has open, or the other way round.
    #[error("producer {producer_id} mixes transactional and plain batches")]
    InvalidTransactionState { producer_id: ProducerId },
    /// A marker from a transaction coordinator that has been replaced.
    #[error("marker of coordinator epoch {got}, but {current} was seen")]
    StaleCoordinatorEpoch { got: i32, current: i32 },
    /// A follower's batches do not continue its log.
    #[error("batch at offset {got} does not continue the log, which ends at {end_offset}")]
    OffsetMismatch { got: Offset, end_offset: Offset },
    /// A batch of a leader epoch below one already in the log.
    #[error("batch of leader epoch {got}, but the log has {latest}")]
    StaleLeaderEpoch { got: LeaderEpoch, latest: LeaderEpoch },
    #[error("batch is damaged: {0}")]
    Corrupt(#[from] BatchError),
    /// A batch that could not fit into an empty segment.
    #[error("batch of {size} bytes is larger than a segment of {limit}")]
    TooLargeForSegment { size: usize, limit: u32 },
    /// No space, or no descriptor left to open a file with: the partial write was cut back, a later
    /// append may succeed.
    #[error("no space left for the log: {0}")]
    NoSpace(io::Error),
    /// The disk failed, now or before: the log takes no more appends. The directory must be fenced.
    #[error("log directory {0}")]
    Io(#[from] LogDirError),
}

impl AppendError {
    /// The code that answers a producing client, as Kafka chooses it.
    pub fn code(&self) -> ErrorCode {
        match self {
            AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            AppendError::StaleProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            AppendError::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
            AppendError::StaleCoordinatorEpoch { .. } => ErrorCode::TransactionCoordinatorFenced,
            AppendError::OffsetMismatch { .. } => ErrorCode::UnknownServerError,
            AppendError::StaleLeaderEpoch { .. } => ErrorCode::NotLeaderOrFollower,
            AppendError::Corrupt(error) => error.code(),
            AppendError::TooLargeForSegment { .. } => ErrorCode::RecordListTooLarge,
            AppendError::Io(error) if error.is_closed() => ErrorCode::NotLeaderOrFollower,
            AppendError::NoSpace(_) | AppendError::Io(_) => ErrorCode::KafkaStorageError,
        }
    }
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {offset} is outside {start_offset}..={end_offset}")]
    OutOfRange { offset: Offset, start_offset: Offset, end_offset: Offset },
    /// Bytes that are not the batch which the log put there. The log knows of it from now on; see
    /// [`crate::LogHandle::damages`]. (Of a timestamp's search, which runs beside truncations, it is a
    /// suspicion: see [`crate::LogHandle::examine`].)
    #[error("log is damaged at offset {offset}: {error}")]
    Damaged { offset: Offset, error: BatchError },
    #[error("log directory {0}")]
    Io(#[from] LogDirError),
}

impl ReadError {
    pub fn code(&self) -> ErrorCode {
        match self {
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Io(error) if error.is_closed() => ErrorCode::NotLeaderOrFollower,
            ReadError::Damaged { .. } | ReadError::Io(_) => ErrorCode::KafkaStorageError,
        }
    }
}

/// A log directory's I/O error: all its partitions are to go offline, and nothing is retried.
/// Cheap to clone, so that each partition of the directory can keep the reason.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} failed: {doing}: {error}", .dir.display())]
pub struct LogDirError {
    /// The log directory (one of `log.dirs`).
    pub dir: PathBuf,
    /// What was tried, with the file.
    pub doing: String,
    pub error: Arc<io::Error>,
}

/// Why a node's log directories cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("log directory {} is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("log directory {} belongs to cluster {found}, not to {expected}", .dir.display())]
    OtherCluster { dir: PathBuf, found: String, expected: String },
    #[error("log directory {} belongs to node {found}, not to {expected}", .dir.display())]
    OtherNode { dir: PathBuf, found: NodeId, expected: NodeId },
    #[error("log directories {} and {} have the same directory id", .first.display(), .second.display())]
    SameDirectoryId { first: PathBuf, second: PathBuf },
    #[error("partition {partition} is both at {} and in {}", .first.display(), .second.display())]
    TwicePresent { first: PathBuf, second: PathBuf, partition: TopicPartition },
    #[error("{} is damaged: {reason}", .file.display())]
    BadFile { file: PathBuf, reason: String },
    #[error("log directory {0}")]
    Io(#[from] LogDirError),
    #[error("no log directory is usable")]
    NoneUsable,
}

/// Why a log that was closed or removed on purpose refuses.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Closed(&'static str);

impl LogDirError {
    /// For a log that was closed or removed on purpose: the directory is well.
    pub(crate) fn closed(dir: &Path, partition: &TopicPartition, why: &'static str) -> LogDirError {
        LogDirError::new(dir, format!("use {partition}"), io::Error::other(Closed(why)))
    }

    /// Whether this is no failure of the disk: the log was closed or its partition removed.
    pub fn is_closed(&self) -> bool {
        self.error.get_ref().is_some_and(|inner| inner.is::<Closed>())
    }

    /// Whether the reason is damage of one log. It is closed for good; the directory is well.
    pub fn damage(&self) -> Option<&Damage> {
        self.error.get_ref().and_then(|inner| inner.downcast_ref::<Damage>())
    }

    /// Whether the directory itself has failed: not if the log was closed, is damaged, or the disk
    /// was full, nor if the process had no descriptor left.
    pub fn is_of_directory(&self) -> bool {
        !self.is_closed() && !self.is_no_space() && self.damage().is_none()
    }

    /// Whether the disk was full, or the process had no descriptor left. Nothing was written by halves,
    /// and either may come back: the directory is well.
    pub fn is_no_space(&self) -> bool {
        is_no_space(&self.error)
    }

    /// Whether the process had no descriptor left to open a file with.
    pub fn is_want_of_descriptors(&self) -> bool {
        env::descriptors::is_shortage(&self.error)
    }

    /// For an error after which what is on disk is not known, whatever kind it is of. (That a file could
    /// not be opened for want of descriptors says nothing of the disk, whatever it was opened for.)
    pub(crate) fn fatal(dir: &Path, doing: impl Into<String>, error: io::Error) -> LogDirError {
        let error = match is_full(&error) {
            true => io::Error::other(error),
            false => error,
        };
        LogDirError::new(dir, doing, error)
    }

    pub(crate) fn new(dir: &Path, doing: impl Into<String>, error: io::Error) -> LogDirError {
        LogDirError { dir: dir.to_path_buf(), doing: doing.into(), error: Arc::new(error) }
    }
}

/// Whether a write failed for want of space, or of a descriptor: the failures that may pass.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    is_full(error) || env::descriptors::is_shortage(error)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
