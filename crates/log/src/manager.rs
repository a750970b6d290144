//! All partitions' logs of a node.
//!
//! Promises: a partition is in one directory; a directory that fails takes only its own partitions
//! with it; nothing of a partition is removed unless it was asked for by its topic id.

mod compaction;
mod damage;
mod directories;
mod naming;
mod presence;

pub use compaction::{CompactedLog, CompactionStatus};
pub use damage::{ClosedLog, DamagedLog, Quarantined};
pub use directories::DirectoryView;
pub use naming::{FoundLogs, WantedLog};
pub use presence::Presence;

use crate::checkpoint::Offsets;
use crate::clean_shutdown;
use crate::dir_checkpoints::{DirCheckpoints, Which};
use crate::dirs::{check_cluster, join_cluster};
use crate::names::partition_dir;
use crate::opening::{OpenedDir, open_dir};
use crate::{
    LogConfig, LogDirError, LogDirs, LogHandle, MetaProperties, OpenError, OpenFiles, RemovalJob,
};
use env::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::{BrokerEpoch, DirectoryId, Offset, Timestamp, TopicId, TopicPartition};

/// How to open.
pub struct LogManagerOptions {
    /// `num.recovery.threads.per.data.dir`, on which new partitions are made, too.
    pub recovery_threads: usize,
    /// A topic's configuration, by name.
    pub config_of: Arc<dyn Fn(&str) -> LogConfig + Send + Sync>,
    pub now: Timestamp,
    /// `ottla.log.open.files.max`.
    pub open_files_max: usize,
}

/// What opening found.
#[derive(Debug, Default)]
pub struct OpenReport {
    pub partitions: usize,
    /// Partitions that were not shut down cleanly and had data to look at.
    pub recovered: usize,
    /// Bytes read to recover them.
    pub recovered_bytes: u64,
    /// Bytes of torn tails that were cut.
    pub cut_bytes: u64,
    /// Partitions with damage below the recovery point, or of unknown topic, which are not open.
    /// Their files are as they were. See [`LogManager::damaged`] and [`LogManager::quarantine`].
    pub damaged: Vec<ClosedLog>,
    /// Directories that failed.
    pub offline: Vec<LogDirError>,
}

/// What a retention run over all partitions did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RetentionReport {
    pub segments: usize,
    pub bytes: u64,
}

struct Dir {
    id: DirectoryId,
    path: PathBuf,
    meta: MetaProperties,
    checkpoints: Arc<DirCheckpoints>,
    online: bool,
    /// How many of the open logs lie in it.
    partitions: usize,
    /// Partitions whose directories are there and not open: their checkpoints are kept.
    closed: Vec<ClosedLog>,
    /// Partitions that were here once and whose directories are gone: their checkpoints are kept, so
    /// that the next start knows of them, too.
    missing: BTreeSet<TopicPartition>,
    _lock: Box<dyn Send + Sync>,
}

#[derive(Clone)]
struct Entry {
    topic_id: TopicId,
    log: LogHandle,
    dir: usize,
}

struct State {
    dirs: Vec<Dir>,
    logs: BTreeMap<TopicPartition, Entry>,
    /// Makes names unique: directories set aside in this life.
    aside_count: u64,
    /// Directories that could not be opened.
    unopened: Vec<PathBuf>,
}

impl State {
    fn insert(&mut self, partition: TopicPartition, entry: Entry) {
        self.dirs[entry.dir].partitions += 1;
        let former = self.logs.insert(partition, entry);
        assert!(former.is_none(), "a log takes the place of another one of its name");
    }

    fn remove(&mut self, partition: &TopicPartition) -> Option<Entry> {
        let entry = self.logs.remove(partition)?;
        self.dirs[entry.dir].partitions -= 1;
        Some(entry)
    }
}

/// Owns the log directories. All methods may be called from any thread; those that say "blocks"
/// belong on a blocking thread. A call that fails by I/O fences the directory.
pub struct LogManager {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// Held while a partition is made, deleted or set aside: one at a time.
    naming: Mutex<()>,
    compaction: Mutex<compaction::Compaction>,
    /// Files without their names, and when they go.
    removals: Mutex<Vec<(Timestamp, RemovalJob)>>,
    files: OpenFiles,
    /// Logs whose recovery points moved while they were opened, and are not checkpointed yet.
    synced_at_start: AtomicUsize,
    started: Timestamp,
    /// On which partitions are made.
    threads: usize,
}

impl LogManager {
    /// Opens every partition found, in parallel. Blocks.
    pub fn open(
        dirs: LogDirs,
        options: LogManagerOptions,
    ) -> Result<(LogManager, OpenReport), OpenError> {
        let mut report = OpenReport { offline: dirs.offline, ..OpenReport::default() };
        let (logs, unopened) = (BTreeMap::new(), Vec::new());
        let mut state = State { dirs: Vec::new(), logs, aside_count: 0, unopened };
        let files = OpenFiles::new(options.open_files_max);
        let mut synced = 0;
        for dir in dirs.dirs {
            let files = files.of_dir(state.dirs.len());
            let opened = match open_dir(&dirs.disk, &dir, &files, &options) {
                Ok(opened) => opened,
                // The next start may have more of them: nobody is told that this disk has failed.
                Err(error) if error.is_want_of_descriptors() => return Err(OpenError::Io(error)),
                Err(error) => {
                    tracing::error!(%error, "log directory is offline");
                    report.offline.push(error);
                    continue;
                }
            };
            let OpenedDir { checkpoints, logs, closed, missing, synced: synced_here } = opened;
            synced += synced_here;
            let (index, partitions) = (state.dirs.len(), logs.len());
            for (log, recovered) in logs {
                report.partitions += 1;
                report.recovered += usize::from(recovered.unclean);
                report.recovered_bytes += recovered.read_bytes;
                report.cut_bytes += recovered.cut_bytes;
                let partition = log.topic_partition().clone();
                let topic_id = log.topic_id();
                let entry = Entry { topic_id, log: LogHandle::new(log), dir: index };
                if let Some(other) = state.logs.insert(partition.clone(), entry) {
                    let first = state.dirs[other.dir].path.join(partition_dir(&partition));
                    return Err(OpenError::TwicePresent { first, second: dir.path, partition });
                }
            }
            state.dirs.push(Dir {
                id: dir.meta.directory_id,
                path: dir.path,
                meta: dir.meta,
                checkpoints,
                online: true,
                partitions,
                closed: closed.clone(),
                missing,
                _lock: dir._lock,
            });
            report.damaged.extend(closed);
        }
        if state.dirs.is_empty() {
            return Err(OpenError::NoneUsable);
        }
        state.unopened = report.offline.iter().map(|error| error.dir.clone()).collect();
        let manager = LogManager {
            disk: dirs.disk,
            state: Mutex::new(state),
            naming: Mutex::new(()),
            compaction: Mutex::default(),
            removals: Mutex::default(),
            files,
            synced_at_start: AtomicUsize::new(synced),
            started: options.now,
            threads: options.recovery_threads,
        };
        Ok((manager, report))
    }

    /// The cluster that the directories belong to; `None` on a node that never joined one.
    pub fn cluster_id(&self) -> Option<String> {
        self.state().dirs.iter().find_map(|dir| dir.meta.cluster_id.clone())
    }

    /// Says which cluster this node is in: written where missing, refused where another. Blocks.
    pub fn join_cluster(&self, cluster_id: &str) -> Result<(), OpenError> {
        let mut state = self.state();
        for dir in &state.dirs {
            check_cluster(&dir.path, &dir.meta, cluster_id)?;
        }
        for dir in state.dirs.iter_mut().filter(|dir| dir.meta.cluster_id.is_none()) {
            dir.meta = join_cluster(&*self.disk, &dir.path, &dir.meta, cluster_id)?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked in the log manager")
    }

    fn compaction(&self) -> MutexGuard<'_, compaction::Compaction> {
        self.compaction.lock().expect("no thread panicked in compaction")
    }

    fn naming(&self) -> MutexGuard<'_, ()> {
        self.naming.lock().expect("no thread panicked while it named a partition")
    }

    /// Files of segments that are open now.
    pub fn open_files(&self) -> usize {
        self.files.count()
    }

    pub fn get(&self, partition: &TopicPartition) -> Option<LogHandle> {
        self.state().logs.get(partition).map(|entry| entry.log.clone())
    }

    /// Every open partition, with its topic id, in order of name.
    pub fn partitions(&self) -> Vec<(TopicPartition, TopicId, LogHandle)> {
        let state = self.state();
        let copy = |(partition, entry): (&TopicPartition, &Entry)| {
            (partition.clone(), entry.topic_id, entry.log.clone())
        };
        state.logs.iter().map(copy).collect()
    }

    /// The directory that holds the partition.
    pub fn directory_of(&self, partition: &TopicPartition) -> Option<DirectoryId> {
        let state = self.state();
        state.logs.get(partition).map(|entry| state.dirs[entry.dir].id)
    }

    /// Online directories: id, path.
    pub fn directories(&self) -> Vec<(DirectoryId, PathBuf)> {
        let state = self.state();
        let online = state.dirs.iter().filter(|dir| dir.online);
        online.map(|dir| (dir.id, dir.path.clone())).collect()
    }

    /// For errors inside: the directory goes offline, and the caller learns why.
    fn fenced(&self, error: LogDirError) -> LogDirError {
        self.fence_directory(&error);
        error
    }

    fn online_dirs(&self) -> Vec<(usize, PathBuf, Arc<DirCheckpoints>)> {
        let state = self.state();
        let online = state.dirs.iter().enumerate().filter(|(_, dir)| dir.online);
        online.map(|(index, dir)| (index, dir.path.clone(), dir.checkpoints.clone())).collect()
    }

    fn logs_of(&self, dir: usize) -> Vec<(TopicPartition, LogHandle)> {
        let state = self.state();
        let inside = state.logs.iter().filter(|(_, entry)| entry.dir == dir);
        inside.map(|(partition, entry)| (partition.clone(), entry.log.clone())).collect()
    }

    /// Runs over all online directories, fences those that fail, and gives the first error.
    fn over_dirs(
        &self,
        mut each: impl FnMut(usize, &DirCheckpoints) -> io::Result<()>,
    ) -> Result<(), LogDirError> {
        let mut first = Ok(());
        for (index, path, checkpoints) in self.online_dirs() {
            if let Err(error) = each(index, &checkpoints) {
                let error = self.fenced(LogDirError::new(&path, "write checkpoints", error));
                first = first.and(Err(error));
            }
        }
        first
    }

    fn checkpoint(
        &self,
        which: Which,
        value: impl Fn(&crate::PartitionLog) -> Offset,
    ) -> Result<(), LogDirError> {
        self.over_dirs(|index, checkpoints| {
            checkpoints.checkpoint(which, || {
                let mut offsets: Offsets = Offsets::new();
                for (partition, log) in self.logs_of(index) {
                    let value = value(&log.lock());
                    if value != Offset::NONE {
                        offsets.insert(partition, value);
                    }
                }
                // The lock must not be held while the checkpoints' one is waited for.
                let without_log = self.state().dirs[index].without_log();
                for partition in without_log {
                    let kept = checkpoints.get(which, &partition);
                    offsets.insert(partition, kept);
                }
                offsets
            })
        })
    }

    /// Writes `replication-offset-checkpoint` in each directory. Blocks.
    pub fn checkpoint_high_watermarks(&self) -> Result<(), LogDirError> {
        self.checkpoint(Which::HighWatermark, |log| log.high_watermark())
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`. Blocks.
    pub fn checkpoint_recovery_points(&self) -> Result<(), LogDirError> {
        let points = self.checkpoint(Which::RecoveryPoint, |log| log.recovery_point());
        points.and(self.checkpoint(Which::StartOffset, |log| log.start_offset()))
    }

    /// Syncs the partitions that want it (rolled, or due by `flush.*`); returns how many. Blocks.
    pub fn sync_due(&self, now: Timestamp) -> Result<usize, LogDirError> {
        let mut count = 0;
        for (_, _, log) in self.partitions() {
            let due = log.lock().wants_sync(now);
            if due {
                match log.sync() {
                    Ok(_) => count += 1,
                    // Removed meanwhile.
                    Err(error) if error.is_closed() => {}
                    Err(error) => return Err(self.fenced(error)),
                }
            }
        }
        Ok(count)
    }

    /// Syncs what the logs hold above their recovery points, and writes those if that moved any:
    /// after a start, what recovery has looked through. Blocks.
    pub fn sync_recovered(&self) -> Result<(), LogDirError> {
        let mut count = self.synced_at_start.swap(0, Ordering::Relaxed);
        for (_, _, log) in self.partitions() {
            let is_synced = {
                let log = log.lock();
                log.recovery_point() >= log.end_offset() || log.failure().is_some()
            };
            if is_synced {
                continue;
            }
            match log.sync() {
                Ok(_) => count += 1,
                // Removed meanwhile.
                Err(error) if error.is_closed() => {}
                Err(error) => return Err(self.fenced(error)),
            }
        }
        if count == 0 {
            return Ok(());
        }
        self.checkpoint_recovery_points()
    }

    /// Forgets producers of all partitions that have been silent for too long, by a clock that does
    /// not jump: so much of it has passed since this was called last.
    pub fn expire_producers(&self, passed: Duration) {
        for (_, _, log) in self.partitions() {
            let mut log = log.lock();
            if log.failure().is_none() {
                log.expire_producers(passed);
            }
        }
    }

    /// Retention over all partitions. Blocks.
    pub fn run_retention(&self, now: Timestamp) -> Result<RetentionReport, LogDirError> {
        let mut report = RetentionReport::default();
        // Only what is below the recovery point on disk may go.
        self.sync_due(now)?;
        self.checkpoint_recovery_points()?;
        for (_, _, log) in self.partitions() {
            let retained = {
                let mut log = log.lock();
                if log.failure().is_some() {
                    continue;
                }
                log.retention(now)
            };
            let retained = retained.map_err(|error| self.fenced(error))?;
            report.segments += retained.segments;
            report.bytes += retained.bytes;
            let delay_ms = log.lock().config().file_delete_delay_ms;
            if retained.segments > 0 {
                let due = Timestamp(now.0.saturating_add(delay_ms));
                self.removals().push((due, retained.job));
            }
        }
        self.remove_due(now)?;
        Ok(report)
    }

    /// Removes the files of segments whose `file.delete.delay.ms` is over. What is left at the end of
    /// the process, the next opening removes. Blocks.
    pub fn remove_due(&self, now: Timestamp) -> Result<(), LogDirError> {
        let due: Vec<RemovalJob> = {
            let mut removals = self.removals();
            let (due, wait) =
                std::mem::take(&mut *removals).into_iter().partition(|(at, _)| *at <= now);
            *removals = wait;
            due.into_iter().map(|(_, job): (Timestamp, RemovalJob)| job).collect()
        };
        for job in due {
            job.run().map_err(|error| self.fenced(error))?;
        }
        Ok(())
    }

    fn removals(&self) -> MutexGuard<'_, Vec<(Timestamp, RemovalJob)>> {
        self.removals.lock().expect("no thread panicked with the removals")
    }

    /// Closes every log (sync, producer snapshot, indexes), writes the checkpoints and, where all
    /// went well and every partition was open, the clean-shutdown markers. Appends fail from here on.
    /// Blocks.
    pub fn shut_down(&self, broker_epoch: BrokerEpoch) -> Result<(), LogDirError> {
        let mut first = Ok(());
        for (_, _, log) in self.partitions() {
            let closed = log.lock().close();
            if let Err(error) = closed {
                first = first.and(Err(self.fenced(error)));
            }
        }
        let written = self
            .checkpoint_recovery_points()
            .and_then(|()| self.checkpoint_high_watermarks())
            .and_then(|()| {
                self.over_dirs(|index, _| {
                    let (path, whole) = {
                        let state = self.state();
                        let dir = &state.dirs[index];
                        (dir.path.clone(), dir.closed.is_empty())
                    };
                    if !whole {
                        // A damaged partition must be looked at again, not taken for clean.
                        return Ok(());
                    }
                    clean_shutdown::write(&*self.disk, &path, broker_epoch)
                })
            });
        first.and(written)
    }
}
