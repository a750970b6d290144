//! Whether this node holds a partition's records, held them once, or never did.
//!
//! A checkpoint names every partition that was here for a few seconds. One that is named and has no
//! directory was removed by somebody, or lies behind a link that leads nowhere: a new log in its place
//! would be empty, while the cluster may count on what was in it.
//!
//! Promises: what is missing stays known over restarts until it is made anew or
//! [forgotten](LogManager::forget_missing). Does not: know topic ids of what is missing.

use super::{Dir, LogManager};
use crate::LogDirError;
use types::{TopicId, TopicPartition};

/// Where a partition's records are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Here, in an open log or in one that is damaged and stays closed.
    Here,
    /// They were here once and are not any more.
    Missing,
    /// Never here, as far as anything in the directories that are open tells.
    Unknown,
}

impl Dir {
    /// The partitions that have checkpoints to keep and no open log.
    pub(super) fn without_log(&self) -> Vec<TopicPartition> {
        let closed = self.closed.iter().map(|closed| &closed.partition);
        closed.chain(&self.missing).cloned().collect()
    }
}

impl LogManager {
    pub fn presence(&self, partition: &TopicPartition, topic_id: TopicId) -> Presence {
        let state = self.state();
        let is_open = state.logs.get(partition).is_some_and(|entry| entry.topic_id == topic_id);
        let is_damaged = |dir: &Dir| {
            let mut closed = dir.closed.iter().filter(|closed| closed.damage.is_some());
            closed.any(|closed| closed.partition == *partition)
        };
        let is_emptied = |dir: &Dir| dir.closed.iter().any(|one| one.partition == *partition);
        let online = || state.dirs.iter().filter(|dir| dir.online);
        if is_open || online().any(is_damaged) {
            Presence::Here
        } else if online().any(|dir| dir.missing.contains(partition) || is_emptied(dir)) {
            Presence::Missing
        } else {
            Presence::Unknown
        }
    }

    /// What is missing of these partitions is not looked for any more. Blocks.
    pub fn forget_missing(
        &self,
        is_over: impl Fn(&TopicPartition) -> bool,
    ) -> Result<(), LogDirError> {
        for (index, path, checkpoints) in self.online_dirs() {
            let over: Vec<TopicPartition> = {
                let missing = &self.state().dirs[index].missing;
                missing.iter().filter(|partition| is_over(partition)).cloned().collect()
            };
            if over.is_empty() {
                continue;
            }
            let forgotten = checkpoints.forget(&over, || self.names_in(index));
            forgotten.map_err(|error| {
                self.fenced(LogDirError::new(&path, "write checkpoints", error))
            })?;
            self.state().dirs[index].missing.retain(|partition| !over.contains(partition));
        }
        Ok(())
    }
}
