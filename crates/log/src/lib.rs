//! Partitions' logs on disk: segments, indexes, recovery, checkpoints, producers' histories and
//! leader epochs, in Kafka's file names and byte layouts.
//!
//! Promises: the bytes of a batch on disk are the bytes on the wire; an append is one vectored
//! write and no per-record work; the recovery point moves only after a sync; an append that fails
//! half-way leaves no trace (no space) or closes the log for good (any other error).
//! Does not: know replication, the network, async code or the clock: callers pass `now`.
//!
//! Who locks: [`LogManager`] owns the directories and hands out [`LogHandle`]s; a handle's lock
//! guards one [`PartitionLog`]. Reads ([`ReadPlan`]), timestamp searches ([`TimestampSearch`]),
//! syncs ([`SyncJob`]) and removals ([`RemovalJob`]) are planned under the lock and run outside it.
//!
//! ```text
//!  start_offset          high_watermark        recovery_point      end_offset
//!      |---------------------|----------------------|------------------|
//!      first readable        replicated to the ISR   synced below       exclusive
//! ```

mod checkpoint;
mod clean_shutdown;
mod cleaning;
mod cold;
mod config;
mod damage;
mod dir_checkpoints;
mod dirs;
mod epochs;
mod error;
mod handle;
mod index;
mod manager;
mod meta_properties;
mod names;
mod open_files;
mod opening;
mod partition;
mod partition_metadata;
mod producer_snapshot;
mod producers;
mod read;
mod removal;
mod segment;
mod sync;
mod tail;
mod threads;
mod transaction_index;
mod walk;

pub use cleaning::{Assessment, CompactError, CompactOptions, CompactReport, Pace, compact};
pub use config::{CleanupPolicy, CompactionConfig, LogConfig};
pub use damage::Damage;
pub use dirs::LogDirs;
pub use error::{AppendError, LogDirError, OpenError, ReadError};
pub use handle::LogHandle;
pub use manager::{
    ClosedLog, CompactedLog, CompactionStatus, DamagedLog, DirectoryView, FoundLogs, LogManager,
    LogManagerOptions, OpenReport, Presence, Quarantined, RetentionReport, WantedLog,
};
pub use meta_properties::MetaProperties;
pub use open_files::OpenFiles;
pub use partition::{
    Appended, OpenLog, OpenLogError, PartitionLog, Recovered, RecoveryPoints, Retained,
    ScrubCursor, Scrubbed,
};
pub use producers::{BatchMark, ProducerEntry, Producers};
pub use read::{Behind, ReadPlan, TimestampOffset, TimestampSearch};
pub use removal::RemovalJob;
pub use sync::{SyncJob, Synced};
pub use tail::TailLimits;
pub use transaction_index::AbortedTransaction;
