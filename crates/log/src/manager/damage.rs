//! Damaged logs: which they are, and setting one aside.
//!
//! Promises: a damaged log's files are never removed here, only renamed on request; nothing takes
//! their place unless it was asked for; checkpoints of a replica that is set aside are forgotten.
//! Does not: know whether others hold the records. Its caller does, and quarantines only then.

use super::{LogManager, WantedLog};
use crate::damage::Damage;
use crate::names::{LOG, QUARANTINED_DIR, STRAY_DIR, partition_dir};
use crate::{LogConfig, LogDirError, LogHandle, OpenLogError};
use env::{Disk, disk::Open};
use records::BatchError;
use std::io;
use std::path::{Path, PathBuf};
use types::{Offset, TopicId, TopicPartition};

/// A partition that is there and could not be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedLog {
    pub partition: TopicPartition,
    /// `None` if nothing of it holds records: half-made, it only makes room.
    pub damage: Option<Damage>,
    pub reason: String,
}

/// A log that is damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DamagedLog {
    pub partition: TopicPartition,
    /// `None` if the log could not be opened.
    pub topic_id: Option<TopicId>,
    /// By rising offset, at least one.
    pub damages: Vec<Damage>,
}

/// What became of a damaged replica.
pub struct Quarantined {
    /// Where its files are now.
    pub aside: PathBuf,
    /// The empty log in its place.
    pub log: LogHandle,
}

impl ClosedLog {
    pub(crate) fn new(
        disk: &dyn Disk,
        log_dir: &Path,
        partition: TopicPartition,
        error: OpenLogError,
    ) -> io::Result<ClosedLog> {
        let dir = log_dir.join(partition_dir(&partition));
        let reason = error.to_string();
        let damage = match error {
            OpenLogError::Damaged(damage) => Some(damage),
            OpenLogError::Unidentified(_) | OpenLogError::Io(_) => {
                let held = holds_records(disk, &dir)?;
                held.then_some(Damage {
                    offset: Offset::ZERO,
                    end_offset: Offset(i64::MAX),
                    file: dir,
                    position: 0,
                    error: BatchError::BadRecord("it cannot be told whose records these are"),
                })
            }
        };
        Ok(ClosedLog { partition, damage, reason })
    }
}

fn holds_records(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    for entry in disk.list(dir)?.iter().filter(|entry| entry.name.ends_with(LOG)) {
        if !disk.open(&dir.join(&entry.name), Open::Read)?.is_empty()? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl LogManager {
    /// Every log that is known to be damaged: found at opening (these are not open), by reads, by
    /// compaction or by the scrubber. In no order.
    pub fn damaged(&self) -> Vec<DamagedLog> {
        let state = self.state();
        let closed = state.dirs.iter().filter(|dir| dir.online).flat_map(|dir| &dir.closed);
        let mut found: Vec<DamagedLog> = closed
            .filter_map(|closed| {
                let damages = vec![closed.damage.clone()?];
                Some(DamagedLog { partition: closed.partition.clone(), topic_id: None, damages })
            })
            .collect();
        for (partition, entry) in &state.logs {
            let damages = entry.log.damages();
            if !damages.is_empty() {
                let (partition, topic_id) = (partition.clone(), Some(entry.topic_id));
                found.push(DamagedLog { partition, topic_id, damages });
            }
        }
        found
    }

    /// Sets a replica aside, damaged or not, open or closed: its directory is renamed to
    /// `<topic>-<n>.<32 hex digits>-quarantined`, synced, and never touched again; an empty log of this
    /// topic id takes its place in the same log directory, and its checkpoints begin anew. Whoever
    /// holds the old log's handle finds it closed. `None` if there is no such replica (an open one of
    /// another topic id is none). Blocks.
    ///
    /// The records are gone from this node when it returns: the caller has left the ISR, and has seen
    /// that another member holds them. A crash in between leaves the old replica, or none, for which
    /// [`LogManager::get_or_create`] makes an empty one.
    pub fn quarantine(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
        config: LogConfig,
    ) -> Result<Option<Quarantined>, LogDirError> {
        let _one = self.naming();
        let open = self.state().logs.get(partition).cloned();
        let (dir, aside) = match open {
            Some(entry) if entry.topic_id != topic_id => return Ok(None),
            Some(entry) => match self.rename_aside(partition, QUARANTINED_DIR)? {
                Some(aside) => (entry.dir, aside),
                None => return Ok(None),
            },
            None => match self.closed_at(partition) {
                Some((dir, _)) => (dir, self.move_closed(partition, dir, QUARANTINED_DIR)?),
                None => return Ok(None),
            },
        };
        tracing::warn!(%partition, aside = %aside.display(), "damaged replica is set aside");
        let directory = Some(self.state().dirs[dir].id);
        let wanted = WantedLog { partition: partition.clone(), topic_id, config, directory };
        let log = self.get_or_make(&wanted)?;
        Ok(Some(Quarantined { aside, log }))
    }

    fn closed_at(&self, partition: &TopicPartition) -> Option<(usize, ClosedLog)> {
        let state = self.state();
        let here = |dir: &super::Dir| {
            dir.closed.iter().find(|closed| closed.partition == *partition).cloned()
        };
        let online = state.dirs.iter().enumerate().filter(|(_, dir)| dir.online);
        online.filter_map(|(index, dir)| Some((index, here(dir)?))).next()
    }

    fn move_closed(
        &self,
        partition: &TopicPartition,
        dir: usize,
        suffix: &str,
    ) -> Result<PathBuf, LogDirError> {
        let log_dir = self.state().dirs[dir].path.clone();
        let aside = self.move_aside(partition, &log_dir, suffix)?;
        self.state().dirs[dir].closed.retain(|closed| closed.partition != *partition);
        Ok(aside)
    }

    /// A closed partition that holds no records makes room; one that does stays, and is the error. One
    /// of another topic id is a stray, like an open one.
    pub(super) fn clear_closed(
        &self,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> Result<(), LogDirError> {
        let Some((dir, closed)) = self.closed_at(partition) else {
            return Ok(());
        };
        let log_dir = self.state().dirs[dir].path.clone();
        let Some(damage) = closed.damage else {
            return self.move_closed(partition, dir, STRAY_DIR).map(|_| ());
        };
        if self.is_of_other_topic(&log_dir, partition, topic_id) {
            return self.move_closed(partition, dir, STRAY_DIR).map(|_| ());
        }
        let error = io::Error::new(io::ErrorKind::InvalidData, damage);
        Err(LogDirError::new(&log_dir, format!("open {partition}"), error))
    }

    fn is_of_other_topic(
        &self,
        log_dir: &Path,
        partition: &TopicPartition,
        topic_id: TopicId,
    ) -> bool {
        let path = log_dir.join(partition_dir(partition)).join(crate::names::PARTITION_METADATA);
        let bytes = env::disk::read_file(&*self.disk, &path).ok();
        let found = bytes.and_then(|bytes| crate::partition_metadata::decode(&bytes).ok());
        found.is_some_and(|found| found != topic_id)
    }
}
