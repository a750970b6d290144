//! Opening all partitions of one log directory, in parallel.
//!
//! After a crash each partition has files to look through, which are open until they are synced: where
//! as many are open as may be, each is synced, and its files closed, before the next one is opened.

use crate::dir_checkpoints::{DirCheckpoints, Which};
use crate::dirs::LogDir;
use crate::manager::ClosedLog;
use crate::names::{DELETE_DIR, partition_of_dir};
use crate::{
    LogDirError, LogManagerOptions, OpenFiles, OpenLog, OpenLogError, PartitionLog, Recovered,
};
use env::Disk;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use types::TopicPartition;

/// What was found in a directory.
pub struct OpenedDir {
    pub checkpoints: Arc<DirCheckpoints>,
    pub logs: Vec<(PartitionLog, Recovered)>,
    /// Partitions that are there and cannot be opened.
    pub closed: Vec<ClosedLog>,
    /// Partitions that the checkpoints name and that are not there: somebody removed them.
    pub missing: BTreeSet<TopicPartition>,
    /// Logs that were synced after their recovery, to let go of their files.
    pub synced: usize,
}

/// Opens every partition of a directory on `recovery_threads` threads. Directories that wait for
/// their removal are removed; strays are left alone. An I/O error fails the whole directory.
pub fn open_dir(
    disk: &Arc<dyn Disk>,
    dir: &LogDir,
    files: &OpenFiles,
    options: &LogManagerOptions,
) -> Result<OpenedDir, LogDirError> {
    let failed = |doing: &str, error: io::Error| LogDirError::new(&dir.path, doing, error);
    let names = disk.list(&dir.path).map_err(|error| failed("list it", error))?;
    let mut partitions = BTreeSet::new();
    for entry in names.iter().filter(|entry| entry.is_dir) {
        if entry.name.ends_with(DELETE_DIR) && partition_of_dir(&entry.name).is_none() {
            let removed = disk.remove_dir_all(&dir.path.join(&entry.name));
            removed.map_err(|error| failed("remove a deleted partition", error))?;
            continue;
        }
        partitions.extend(partition_of_dir(&entry.name));
    }
    let checkpoints = DirCheckpoints::read(disk.clone(), &dir.path);
    let checkpoints = Arc::new(checkpoints.map_err(|error| failed("read checkpoints", error))?);
    let mut missing = checkpoints.partitions();
    missing.retain(|partition| !partitions.contains(partition));
    let synced = AtomicUsize::new(0);
    let opener = Opener { disk, dir, files, options, checkpoints: &checkpoints, synced: &synced };
    let results = opener.open_all(partitions.into_iter().collect());
    let synced = synced.into_inner();
    let mut opened =
        OpenedDir { checkpoints, logs: Vec::new(), closed: Vec::new(), missing, synced };
    for (partition, result) in results {
        match result {
            Ok(log) => opened.logs.push(log),
            Err(OpenLogError::Io(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%partition, %error, "partition stays closed");
                let found = ClosedLog::new(&**disk, &dir.path, partition, error);
                opened.closed.push(found.map_err(|error| failed("look at a partition", error))?);
            }
        }
    }
    Ok(opened)
}

struct Opener<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a LogDir,
    files: &'a OpenFiles,
    options: &'a LogManagerOptions,
    checkpoints: &'a Arc<DirCheckpoints>,
    synced: &'a AtomicUsize,
}

type Opened = (TopicPartition, Result<(PartitionLog, Recovered), OpenLogError>);

impl Opener<'_> {
    fn open_all(&self, mut partitions: Vec<TopicPartition>) -> Vec<Opened> {
        let threads = self.options.recovery_threads.clamp(1, partitions.len().max(1));
        if threads == 1 {
            return partitions.into_iter().map(|partition| self.open(partition)).collect();
        }
        partitions.reverse();
        let (queue, results) = (Mutex::new(partitions), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().expect("no opener panicked").pop();
                        let Some(partition) = next else {
                            return;
                        };
                        let opened = self.open(partition);
                        results.lock().expect("no opener panicked").push(opened);
                    }
                });
            }
        });
        results.into_inner().expect("no opener panicked")
    }

    fn open(&self, partition: TopicPartition) -> Opened {
        let checkpoints = self.checkpoints;
        let open = OpenLog {
            disk: self.disk.clone(),
            log_dir: self.dir.path.clone(),
            config: (self.options.config_of)(&partition.topic),
            now: self.options.now,
            clean: self.dir.clean.is_some(),
            recovery_point: checkpoints.get(Which::RecoveryPoint, &partition),
            start_offset: checkpoints.get(Which::StartOffset, &partition),
            high_watermark: checkpoints.get(Which::HighWatermark, &partition),
            recovery_points: checkpoints.clone(),
            files: self.files.clone(),
            partition: partition.clone(),
        };
        let cleaned_to = checkpoints.get(Which::Cleaned, &partition);
        let opened = open.open().and_then(|(mut log, recovered)| {
            log.set_cleaned_to(cleaned_to);
            if recovered.unclean && self.files.is_crowded() {
                log.flush()?;
                self.synced.fetch_add(1, Ordering::Relaxed);
            }
            Ok((log, recovered))
        });
        (partition, opened)
    }
}
