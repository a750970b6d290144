//! Which log is compacted next, by whom, and what became of it.
//!
//! Promises: a log is compacted by one thread at a time; one that cannot be compacted is reported
//! once and left alone as long as this process runs, and the others go on.

use super::LogManager;
use crate::cleaning::compact;
use crate::dir_checkpoints::Which;
use crate::{
    Assessment, CompactError, CompactOptions, CompactReport, LogDirError, LogHandle, Pace,
};
use std::collections::{BTreeMap, BTreeSet};
use types::{Offset, Timestamp, TopicId, TopicPartition};

/// What the compacting threads share.
#[derive(Default)]
pub(super) struct Compaction {
    busy: BTreeSet<TopicPartition>,
    /// Logs that failed, with the reason.
    failed: BTreeMap<TopicPartition, (TopicId, String)>,
    status: CompactionStatus,
}

/// The state of compaction on this node, as of the last look at the logs.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CompactionStatus {
    /// Logs of compacted topics.
    pub logs: usize,
    /// Those that wait for their turn.
    pub due: usize,
    /// Those that cannot be compacted.
    pub failed: usize,
    /// Bytes of these.
    pub failed_bytes: u64,
    /// The largest dirty share of a log.
    pub dirty_ratio_max: f64,
    /// By how much the oldest dirty record is past `max.compaction.lag.ms`.
    pub overdue_ms_max: i64,
    pub looked_at: Option<Timestamp>,
}

/// A log that had its turn.
#[derive(Debug)]
pub struct CompactedLog {
    pub partition: TopicPartition,
    pub result: Result<CompactReport, CompactError>,
}

struct Candidate {
    partition: TopicPartition,
    topic_id: TopicId,
    log: LogHandle,
    found: Assessment,
}

impl LogManager {
    /// Brings what compaction may touch up to date: sealed segments are synced and the recovery
    /// points on disk. Blocks.
    pub fn prepare_compaction(&self, now: Timestamp) -> Result<(), LogDirError> {
        let compacted = |log: &LogHandle| log.lock().config().cleanup.compact;
        if !self.partitions().iter().any(|(_, _, log)| compacted(log)) {
            return Ok(());
        }
        self.sync_due(now)?;
        self.checkpoint_recovery_points()
    }

    /// Compacts the log that is due and has the largest dirty share; `None` if none is due. An I/O
    /// error takes its directory offline. Blocks; several threads may call it.
    pub fn compact_next(
        &self,
        now: Timestamp,
        options: &CompactOptions,
        pace: Pace<'_>,
    ) -> Result<Option<CompactedLog>, LogDirError> {
        let Some(next) = self.take_dirtiest(now)? else {
            return Ok(None);
        };
        let result = compact(&next.log, now, options, pace);
        let mut compaction = self.compaction();
        compaction.busy.remove(&next.partition);
        match &result {
            Ok(_) | Err(CompactError::Stopped | CompactError::Changed) => {}
            Err(error @ CompactError::NoSpace(_)) => {
                tracing::warn!(partition = %next.partition, %error, "compaction waits for space");
            }
            Err(error @ (CompactError::Damaged { .. } | CompactError::MapTooSmall(_))) => {
                tracing::error!(partition = %next.partition, %error, "log cannot be compacted");
                let reason = (next.topic_id, error.to_string());
                compaction.failed.insert(next.partition.clone(), reason);
            }
            Err(CompactError::Io(error)) => {
                drop(compaction);
                return Err(self.fenced(error.clone()));
            }
        }
        drop(compaction);
        if result.is_ok() {
            self.checkpoint_cleaned()?;
        }
        Ok(Some(CompactedLog { partition: next.partition, result }))
    }

    fn take_dirtiest(&self, now: Timestamp) -> Result<Option<Candidate>, LogDirError> {
        // Held while the logs are looked at: two threads never choose the same one.
        let mut compaction = self.compaction();
        let open = self.partitions();
        compaction.forget_others(&open);
        let mut status = CompactionStatus { looked_at: Some(now), ..CompactionStatus::default() };
        let mut best: Option<Candidate> = None;
        for (partition, topic_id, log) in open {
            let (found, config, size) = {
                let mut log = log.lock();
                match log.compactable(now) {
                    Ok(Some(found)) => (found, log.config().compaction, log.size()),
                    Ok(None) => continue,
                    Err(error) if error.is_closed() => continue,
                    Err(error) => return Err(self.fenced(error)),
                }
            };
            status.logs += 1;
            if compaction.failed.contains_key(&partition) {
                status.failed += 1;
                status.failed_bytes += size;
                continue;
            }
            status.dirty_ratio_max = status.dirty_ratio_max.max(found.dirty_ratio());
            status.overdue_ms_max = status.overdue_ms_max.max(found.overdue_ms);
            if compaction.busy.contains(&partition) || !found.is_due(&config) {
                continue;
            }
            status.due += 1;
            let ratio = found.dirty_ratio();
            if best.as_ref().is_none_or(|best| ratio > best.found.dirty_ratio()) {
                best = Some(Candidate { partition, topic_id, log, found });
            }
        }
        compaction.status = status;
        if let Some(best) = &best {
            compaction.busy.insert(best.partition.clone());
        }
        Ok(best)
    }

    /// How compaction stands.
    pub fn compaction_status(&self) -> CompactionStatus {
        self.compaction().status
    }

    /// The logs that cannot be compacted, with the reason.
    pub fn compaction_failures(&self) -> Vec<(TopicPartition, String)> {
        let compaction = self.compaction();
        compaction.failed.iter().map(|(name, (_, why))| (name.clone(), why.clone())).collect()
    }

    /// Writes `cleaner-offset-checkpoint` in each directory.
    fn checkpoint_cleaned(&self) -> Result<(), LogDirError> {
        self.checkpoint(Which::Cleaned, |log| match log.config().cleanup.compact {
            true => log.cleaned_to(),
            false => Offset::NONE,
        })
    }
}

impl Compaction {
    /// What is known of logs that are no longer here is forgotten.
    fn forget_others(&mut self, open: &[(TopicPartition, TopicId, LogHandle)]) {
        self.failed.retain(|partition, (topic_id, _)| {
            let at = open.binary_search_by(|(name, _, _)| name.cmp(partition));
            at.is_ok_and(|at| open[at].1 == *topic_id)
        });
    }
}
