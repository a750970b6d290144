//! What the log directories hold, and which of them failed.
//!
//! Promises: a directory that failed stays offline until the node starts again; want of space is no
//! failure of a directory, since it may pass.

use super::LogManager;
use crate::{LogDirError, LogHandle};
use std::path::PathBuf;
use types::{DirectoryId, TopicPartition};

/// A directory as an operator asks for it.
pub struct DirectoryView {
    pub path: PathBuf,
    /// `None` for one that could not be opened.
    pub id: Option<DirectoryId>,
    pub is_online: bool,
    /// The open partitions in it, in order of name.
    pub logs: Vec<(TopicPartition, LogHandle)>,
}

impl LogManager {
    /// Every directory of the configuration: those that are open first, then those that failed
    /// when the node started.
    pub fn describe_directories(&self) -> Vec<DirectoryView> {
        let state = self.state();
        let mut views: Vec<DirectoryView> = state
            .dirs
            .iter()
            .map(|dir| DirectoryView {
                path: dir.path.clone(),
                id: Some(dir.id),
                is_online: dir.online,
                logs: Vec::new(),
            })
            .collect();
        for (partition, entry) in &state.logs {
            views[entry.dir].logs.push((partition.clone(), entry.log.clone()));
        }
        let unopened = state.unopened.iter().map(|path| DirectoryView {
            path: path.clone(),
            id: None,
            is_online: false,
            logs: Vec::new(),
        });
        views.extend(unopened);
        views
    }

    /// Ids of the directories that failed in this life.
    pub fn failed_directories(&self) -> Vec<DirectoryId> {
        let state = self.state();
        state.dirs.iter().filter(|dir| !dir.online).map(|dir| dir.id).collect()
    }

    /// Whether a directory of the configuration is offline: a partition that is not here may be in it.
    pub fn has_offline(&self) -> bool {
        let state = self.state();
        !state.unopened.is_empty() || state.dirs.iter().any(|dir| !dir.online)
    }

    /// Whether the log is still held under its partition's name: not once its directory failed.
    pub fn holds(&self, partition: &TopicPartition, log: &LogHandle) -> bool {
        let state = self.state();
        state.logs.get(partition).is_some_and(|entry| entry.log.is_same(log))
    }

    /// Takes a directory offline after an I/O error (also done by every failing call of the
    /// manager itself): its partitions are dropped from the manager and returned.
    /// Errors of logs that were closed or removed on purpose change nothing, nor does damage of one log,
    /// nor want of space.
    pub fn fence_directory(&self, error: &LogDirError) -> Vec<TopicPartition> {
        if !error.is_of_directory() {
            return Vec::new();
        }
        let mut state = self.state();
        let Some(index) = state.dirs.iter().position(|dir| dir.path == error.dir) else {
            return Vec::new();
        };
        if std::mem::replace(&mut state.dirs[index].online, false) {
            tracing::error!(%error, "log directory goes offline");
        }
        let lost: Vec<TopicPartition> = state
            .logs
            .iter()
            .filter(|(_, entry)| entry.dir == index)
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in &lost {
            if let Some(entry) = state.remove(partition) {
                entry.log.fail(error);
            }
        }
        lost
    }
}
