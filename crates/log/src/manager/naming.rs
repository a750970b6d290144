//! Making, deleting and setting aside partitions: whatever takes or gives a partition's name.
//!
//! Promises:
//! - one caller at a time;
//! - many partitions cost what each of them costs: the names of those that are made, deleted or set
//!   aside together share one sync of their log directory;
//! - nobody is handed a log before its name is synced, and nothing of a deleted one is removed before
//!   its new name is;
//! - a new partition finds no offsets of an older one of its name in the checkpoints.

use super::{Dir, Entry, LogManager};
use crate::dir_checkpoints::DirCheckpoints;
use crate::names::{DELETE_DIR, STRAY_DIR, aside_dir, partition_dir};
use crate::threads::on_threads;
use crate::{LogConfig, LogDirError, LogHandle, OpenLog, OpenLogError, RemovalJob};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{DirectoryId, Offset, TopicId, TopicPartition};

/// A partition whose log is wanted.
pub struct WantedLog {
    pub partition: TopicPartition,
    pub topic_id: TopicId,
    pub config: LogConfig,
    /// Where to make it if it is absent; `None`: where the fewest partitions are.
    pub directory: Option<DirectoryId>,
}

/// What became of logs that were wanted together.
pub struct FoundLogs {
    /// One for each, in order.
    pub logs: Vec<Result<LogHandle, LogDirError>>,
    /// Directories that failed on the way, besides those that these errors name.
    pub failed: Vec<LogDirError>,
}

/// How many partitions are to be made in each directory.
type Planned = BTreeMap<usize, usize>;

/// Where a partition is to be made.
struct Place {
    dir: usize,
    topic_id: TopicId,
    open: OpenLog,
}

/// A partition that was made, and whose name is not synced yet.
struct Made {
    partition: TopicPartition,
    dir: usize,
}

/// A partition whose name was taken away. That is not synced yet.
struct Renamed {
    partition: TopicPartition,
    log_dir: PathBuf,
    to: PathBuf,
}

impl LogManager {
    /// The partition's log, made if absent, in `directory` or that with the fewest partitions.
    /// A log of the same name and another topic id is first set aside as stray. Blocks (directory
    /// syncs) if it makes one. One that is there, damaged, and so not open, is an error that names the
    /// damage ([`LogDirError::damage`]): it may be the only copy; see [`LogManager::quarantine`].
    pub fn get_or_create(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
        directory: Option<DirectoryId>,
    ) -> Result<LogHandle, LogDirError> {
        let partition = partition.clone();
        let _one = self.naming();
        self.get_or_make(&WantedLog { partition, topic_id, config, directory })
    }

    /// [`LogManager::get_or_create`] for many: what costs the same for one and for all of them is done
    /// once, and what waits for the disk waits on several threads.
    pub fn get_or_create_all(&self, wanted: &[WantedLog]) -> FoundLogs {
        let _one = self.naming();
        let failed = self.forget_offsets(wanted);
        let mut logs: BTreeMap<usize, Result<LogHandle, LogDirError>> = BTreeMap::new();
        let (mut places, mut planned) = (Vec::new(), Planned::new());
        for (index, one) in wanted.iter().enumerate() {
            if let Some(log) = self.known(one) {
                logs.insert(index, Ok(log));
                continue;
            }
            match self.place(one, &mut planned) {
                Ok(place) => places.push((index, place)),
                Err(error) => {
                    logs.insert(index, Err(error));
                }
            }
        }
        let make = |(index, place): (usize, Place)| (index, place.dir, self.make(place));
        let mut made = Vec::new();
        for (index, dir, log) in on_threads(self.threads, places, make) {
            if log.is_ok() {
                made.push(Made { partition: wanted[index].partition.clone(), dir });
            }
            logs.insert(index, log);
        }
        let mut logs: Vec<Result<LogHandle, LogDirError>> = logs.into_values().collect();
        let lost = self.sync_made(&made);
        for (one, log) in wanted.iter().zip(&mut logs) {
            if let Some(error) = lost.get(&one.partition) {
                *log = Err(error.clone());
            }
        }
        FoundLogs { logs, failed }
    }

    /// [`LogManager::get_or_create`] for who holds `naming`.
    pub(super) fn get_or_make(&self, wanted: &WantedLog) -> Result<LogHandle, LogDirError> {
        if let Some(log) = self.known(wanted) {
            return Ok(log);
        }
        let place = self.place(wanted, &mut Planned::new())?;
        let made = Made { partition: wanted.partition.clone(), dir: place.dir };
        let log = self.make(place)?;
        match self.sync_made(&[made]).remove(&wanted.partition) {
            Some(error) => Err(error),
            None => Ok(log),
        }
    }

    fn known(&self, wanted: &WantedLog) -> Option<LogHandle> {
        let state = self.state();
        let entry = state.logs.get(&wanted.partition);
        entry.filter(|entry| entry.topic_id == wanted.topic_id).map(|entry| entry.log.clone())
    }

    /// Makes room for a partition that is not there.
    fn place(&self, wanted: &WantedLog, planned: &mut Planned) -> Result<Place, LogDirError> {
        let (partition, topic_id) = (&wanted.partition, wanted.topic_id);
        // One of another topic id.
        self.rename_aside(partition, STRAY_DIR)?;
        self.clear_closed(partition, topic_id)?;
        let (dir, log_dir, checkpoints) = self.choose_dir(wanted.directory, planned)?;
        self.clear_way(partition, &log_dir)?;
        let forgotten = checkpoints.forget(std::slice::from_ref(partition), || self.names_in(dir));
        let failed = |error| LogDirError::new(&log_dir, "write checkpoints", error);
        forgotten.map_err(failed).map_err(|error| self.fenced(error))?;
        self.forget_missing(|missing| missing == partition)?;
        let open = OpenLog {
            disk: self.disk.clone(),
            log_dir,
            partition: partition.clone(),
            config: wanted.config.clone(),
            now: self.started,
            clean: false,
            recovery_point: Offset::ZERO,
            start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            recovery_points: checkpoints,
            files: self.files.of_dir(dir),
        };
        *planned.entry(dir).or_default() += 1;
        Ok(Place { dir, topic_id, open })
    }

    /// Makes a partition, whose name is not synced then.
    fn make(&self, place: Place) -> Result<LogHandle, LogDirError> {
        let Place { dir, topic_id, open } = place;
        let (log_dir, partition) = (open.log_dir.clone(), open.partition.clone());
        let log = open.create_unsynced(topic_id).map_err(|error| match error {
            OpenLogError::Io(error) => {
                if error.is_no_space() {
                    self.remove_half_made(&log_dir, &partition);
                }
                self.fenced(error)
            }
            OpenLogError::Damaged(_) | OpenLogError::Unidentified(_) => {
                let error = io::Error::other(error.to_string());
                self.fenced(LogDirError::new(&log_dir, "make a partition", error))
            }
        })?;
        let entry = Entry { topic_id, log: LogHandle::new(log), dir };
        let mut state = self.state();
        if !state.dirs[dir].online {
            // Another one of those that are made has found that out.
            let error = io::Error::other("the log directory is offline");
            return Err(LogDirError::new(&log_dir, "make a partition", error));
        }
        state.insert(partition, entry.clone());
        Ok(entry.log)
    }

    /// A half-made directory would be in the way of the next attempt; it holds nothing.
    fn remove_half_made(&self, log_dir: &Path, partition: &TopicPartition) {
        let _ = self.disk.remove_dir_all(&log_dir.join(partition_dir(partition)));
    }

    /// Syncs the names of new partitions. Those that a crash might take back are none; why is told.
    fn sync_made(&self, made: &[Made]) -> BTreeMap<TopicPartition, LogDirError> {
        let mut lost = BTreeMap::new();
        let dirs: BTreeSet<usize> = made.iter().map(|one| one.dir).collect();
        for dir in dirs {
            let log_dir = self.state().dirs[dir].path.clone();
            let Err(error) = self.sync_log_dir(&log_dir) else { continue };
            for one in made.iter().filter(|one| one.dir == dir) {
                // Not there any more where the directory has failed.
                let entry = self.state().remove(&one.partition);
                if let Some(entry) = entry {
                    entry.log.lock().retire();
                    self.remove_half_made(&log_dir, &one.partition);
                }
                lost.insert(one.partition.clone(), error.clone());
            }
        }
        lost
    }

    /// Has the checkpoints forget what they say of those that are to be made. Which directory each
    /// comes to lie in is not chosen yet; of a partition that is in none of them, none has to know.
    fn forget_offsets(&self, wanted: &[WantedLog]) -> Vec<LogDirError> {
        let new: Vec<TopicPartition> = {
            let state = self.state();
            let closed = state.dirs.iter().flat_map(|dir| &dir.closed);
            let closed: BTreeSet<&TopicPartition> = closed.map(|one| &one.partition).collect();
            let is_open = |one: &WantedLog| {
                let entry = state.logs.get(&one.partition);
                entry.is_some_and(|entry| entry.topic_id == one.topic_id)
            };
            let absent = wanted.iter().filter(|one| !is_open(one));
            let names = absent.map(|one| &one.partition).filter(|name| !closed.contains(name));
            names.cloned().collect()
        };
        let mut failed = Vec::new();
        if new.is_empty() {
            return failed;
        }
        for (dir, path, checkpoints) in self.online_dirs() {
            if let Err(error) = checkpoints.forget(&new, || self.names_in(dir)) {
                failed.push(self.fenced(LogDirError::new(&path, "write checkpoints", error)));
            }
        }
        failed
    }

    /// The partitions whose checkpoints a directory keeps: closed and missing ones, too.
    pub(super) fn names_in(&self, dir: usize) -> BTreeSet<TopicPartition> {
        let state = self.state();
        let open = state.logs.iter().filter(|(_, entry)| entry.dir == dir).map(|(name, _)| name);
        let without_log = state.dirs[dir].without_log();
        open.cloned().chain(without_log).collect()
    }

    fn choose_dir(
        &self,
        wanted: Option<DirectoryId>,
        planned: &Planned,
    ) -> Result<(usize, PathBuf, Arc<DirCheckpoints>), LogDirError> {
        let state = self.state();
        let dirs = &state.dirs;
        let online = || dirs.iter().enumerate().filter(|(_, dir)| dir.online);
        let asked = online().find(|(_, dir)| Some(dir.id) == wanted);
        let partitions = |(index, dir): &(usize, &Dir)| {
            dir.partitions + planned.get(index).copied().unwrap_or_default()
        };
        let fewest = || online().min_by_key(partitions);
        match asked.or_else(fewest) {
            Some((index, dir)) => Ok((index, dir.path.clone(), dir.checkpoints.clone())),
            None => {
                let error = io::Error::other("every log directory is offline");
                Err(LogDirError::new(&dirs[0].path, "make a partition", error))
            }
        }
    }

    /// A leftover of the partition's name makes room.
    fn clear_way(&self, partition: &TopicPartition, log_dir: &Path) -> Result<(), LogDirError> {
        if self.disk.exists(&log_dir.join(partition_dir(partition))) {
            self.move_aside(partition, log_dir, STRAY_DIR)?;
        }
        Ok(())
    }

    pub(super) fn move_aside(
        &self,
        partition: &TopicPartition,
        log_dir: &Path,
        suffix: &str,
    ) -> Result<PathBuf, LogDirError> {
        let to = self.move_aside_unsynced(partition, log_dir, suffix)?;
        self.sync_log_dir(log_dir)?;
        Ok(to)
    }

    fn move_aside_unsynced(
        &self,
        partition: &TopicPartition,
        log_dir: &Path,
        suffix: &str,
    ) -> Result<PathBuf, LogDirError> {
        let from = log_dir.join(partition_dir(partition));
        // A name of an earlier life may be in the way.
        let to = loop {
            let mut state = self.state();
            state.aside_count += 1;
            let unique =
                (u128::from(self.started.0.unsigned_abs()) << 64) | u128::from(state.aside_count);
            let to = log_dir.join(aside_dir(partition, types::Uuid(unique.to_be_bytes()), suffix));
            if !self.disk.exists(&to) {
                break to;
            }
        };
        match self.disk.rename(&from, &to) {
            Ok(()) => Ok(to),
            Err(error) => {
                let doing = format!("rename {}", from.display());
                Err(self.fenced(LogDirError::new(log_dir, doing, error)))
            }
        }
    }

    fn sync_log_dir(&self, log_dir: &Path) -> Result<(), LogDirError> {
        let failed = |error| LogDirError::new(log_dir, "sync the names of partitions", error);
        self.disk.sync_dir(log_dir).map_err(failed).map_err(|error| self.fenced(error))
    }

    /// Takes a partition's name away; `None` if it is not open.
    pub(super) fn rename_aside(
        &self,
        partition: &TopicPartition,
        suffix: &str,
    ) -> Result<Option<PathBuf>, LogDirError> {
        let Some(renamed) = self.rename_aside_unsynced(partition, suffix)? else {
            return Ok(None);
        };
        self.sync_log_dir(&renamed.log_dir)?;
        Ok(Some(renamed.to))
    }

    fn rename_aside_unsynced(
        &self,
        partition: &TopicPartition,
        suffix: &str,
    ) -> Result<Option<Renamed>, LogDirError> {
        let (entry, log_dir) = {
            let mut state = self.state();
            let Some(entry) = state.remove(partition) else {
                return Ok(None);
            };
            let log_dir = state.dirs[entry.dir].path.clone();
            (entry, log_dir)
        };
        entry.log.lock().retire();
        let to = self.move_aside_unsynced(partition, &log_dir, suffix)?;
        Ok(Some(Renamed { partition: partition.clone(), log_dir, to }))
    }

    /// Takes the names of all these away. Those of a directory that has failed meanwhile are not among
    /// the first: a crash may give them back.
    fn rename_all_aside<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
        suffix: &str,
    ) -> (Vec<Renamed>, Vec<LogDirError>) {
        let (mut renamed, mut failed) = (Vec::new(), Vec::new());
        for partition in partitions {
            match self.rename_aside_unsynced(partition, suffix) {
                Ok(one) => renamed.extend(one),
                Err(error) => failed.push(error),
            }
        }
        let log_dirs: BTreeSet<PathBuf> = renamed.iter().map(|one| one.log_dir.clone()).collect();
        for log_dir in log_dirs {
            if let Err(error) = self.sync_log_dir(&log_dir) {
                renamed.retain(|one| one.log_dir != log_dir);
                failed.push(error);
            }
        }
        (renamed, failed)
    }

    /// Deletes those partitions that are there with these topic ids: their directories are renamed to
    /// `-delete` at once (the names are free again) and removed by the jobs. Told beside them: what has
    /// failed. Blocks.
    pub fn delete(
        &self,
        partitions: &[(TopicPartition, TopicId)],
    ) -> (Vec<RemovalJob>, Vec<LogDirError>) {
        let _one = self.naming();
        let is_there = |(partition, topic_id): &&(TopicPartition, TopicId)| {
            let state = self.state();
            state.logs.get(partition).is_some_and(|entry| entry.topic_id == *topic_id)
        };
        let there = partitions.iter().filter(is_there).map(|(partition, _)| partition);
        let (renamed, failed) = self.rename_all_aside(there, DELETE_DIR);
        let job = |one: Renamed| RemovalJob::dir(self.disk.clone(), one.log_dir, one.to);
        (renamed.into_iter().map(job).collect(), failed)
    }

    /// Sets partitions aside by renaming their directories to `-stray`; nothing is removed. Returns
    /// their new names, and what has failed. Blocks.
    pub fn set_aside(
        &self,
        partitions: &[TopicPartition],
    ) -> (Vec<(TopicPartition, PathBuf)>, Vec<LogDirError>) {
        let _one = self.naming();
        let (renamed, failed) = self.rename_all_aside(partitions.iter(), STRAY_DIR);
        (renamed.into_iter().map(|one| (one.partition, one.to)).collect(), failed)
    }
}
