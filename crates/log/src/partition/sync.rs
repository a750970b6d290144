//! Syncing and closing.

use super::PartitionLog;
use crate::names::LEADER_EPOCHS;
use crate::open_files::LazyFile;
use crate::sync::Covered;
use crate::{LogDirError, SyncJob, Synced};
use env::File;
use std::io;
use std::sync::Arc;
use types::Timestamp;

impl PartitionLog {
    /// Whether a sync is wanted: a segment was rolled, or `flush.messages`/`flush.ms` is due.
    pub fn wants_sync(&self, now: Timestamp) -> bool {
        if self.failure.get().is_some() {
            return false;
        }
        let unsynced = self.unsynced();
        let waited = self.sync.unsynced_since.map(|since| now.0.saturating_sub(since.0));
        self.sync.rolled
            || self.wants_flush()
            || (unsynced > 0 && waited.is_some_and(|ms| ms >= self.config.flush_ms))
    }

    fn unsynced(&self) -> i64 {
        self.end_offset.0 - self.recovery_point.0
    }

    /// Whether as many records as `flush.messages` wait for a sync: asked after every append.
    pub fn wants_flush(&self) -> bool {
        let unsynced = self.unsynced();
        self.failure.get().is_none() && unsynced > 0 && unsynced >= self.config.flush_messages
    }

    /// A job that syncs what is in the log now: the files that hold anything at or above the
    /// recovery point and were written since they were last synced (each of those is open), new epochs,
    /// new names. See also `LogHandle::sync`.
    pub fn sync(&mut self) -> SyncJob {
        let (mut files, mut unopened) = (Vec::new(), None);
        for file in self.unsynced_beside() {
            match file {
                Ok(file) => files.push(file),
                // A log that was removed has nothing to say.
                Err(error) => unopened = Some(error).filter(|_| self.failure.get().is_none()),
            }
        }
        let last = self.segments.len() - 1;
        for index in 0..=last {
            if self.segment_end(index) <= self.recovery_point && index != last {
                continue;
            }
            let segment = &self.segments[index];
            if index == last && self.end_offset <= self.recovery_point {
                continue;
            }
            match segment.log.unsynced() {
                None => {}
                Some(Ok(file)) => files.push(file),
                // A log that was removed has nothing to say.
                Some(Err(error)) => unopened = Some(error).filter(|_| self.failure.get().is_none()),
            }
            files.extend(segment.transactions.file().cloned());
        }
        if unopened.is_none() {
            self.sync.snapshots.clear();
            self.sync.sealed.clear();
        }
        let dirty = self.epochs.version() != self.sync.epochs_saved;
        let path = self.id.dir.join(LEADER_EPOCHS);
        SyncJob {
            disk: self.id.disk.clone(),
            log_dir: self.id.log_dir.clone(),
            dir: self.id.dir.clone(),
            gate: self.sync.gate.clone(),
            files,
            unopened,
            epochs: dirty.then(|| (path, self.epochs.entries().to_vec())),
            sync_names: self.sync.names_changed != self.sync.names_synced,
            covered: self.to_cover(),
            failure: self.failure.clone(),
        }
    }

    /// Producer snapshots, and indexes of segments from the moment they are complete, that were written
    /// and not synced.
    pub(super) fn unsynced_beside(&self) -> Vec<io::Result<Arc<dyn File>>> {
        let mut unsynced: Vec<_> =
            self.sync.snapshots.iter().filter_map(LazyFile::unsynced).collect();
        for base in &self.sync.sealed {
            // One that was removed meanwhile has nothing to sync.
            let Ok(index) = self.segments.binary_search_by_key(base, |segment| segment.base) else {
                continue;
            };
            let segment = &self.segments[index];
            unsynced.extend(segment.offsets.unsynced());
            unsynced.extend(segment.times.unsynced());
        }
        unsynced
    }

    /// All that there is to sync.
    pub(crate) fn to_cover(&self) -> Covered {
        Covered {
            end_offset: self.end_offset,
            generation: self.sync.generation,
            names: self.sync.names_changed,
            epochs: self.epochs.version(),
        }
    }

    /// Moves the recovery point after a job ran; an error poisons the log, unless it was want of
    /// descriptors. A job from before a truncation changes nothing.
    pub fn complete_sync(&mut self, synced: Synced) -> Result<(), LogDirError> {
        if let Err(error) = synced.result {
            if !error.is_no_space() {
                let _ = self.failure.set(error.clone());
            }
            return Err(error);
        }
        self.check_open()?;
        let covered = synced.covered;
        if covered.generation != self.sync.generation {
            return Ok(());
        }
        self.recovery_point = self.recovery_point.max(covered.end_offset.min(self.end_offset));
        self.sync.names_synced = self.sync.names_synced.max(covered.names);
        self.sync.epochs_saved = self.sync.epochs_saved.max(covered.epochs);
        if self.recovery_point == self.end_offset {
            self.sync.unsynced_since = None;
        }
        let active = self.segments.back().expect("a log has an active segment").base;
        if self.recovery_point >= active {
            self.sync.rolled = false;
        }
        self.let_files_close();
        Ok(())
    }

    /// Files of segments that are synced to their ends need not stay open.
    fn let_files_close(&mut self) {
        let last = self.segments.len() - 1;
        if self.recovery_point == self.end_offset {
            // Not its indexes, which are synced when they are complete.
            self.segments[last].log.synced();
        }
        for index in (0..last).rev() {
            // Its indexes were completed since the job was planned: the next one syncs them.
            if self.sync.sealed.contains(&self.segments[index].base) {
                continue;
            }
            let is_synced = self.segment_end(index) <= self.recovery_point;
            if is_synced && !self.segments[index].synced() {
                // Those before it were closed earlier.
                return;
            }
        }
    }

    /// Whether names, epochs or snapshots wait for a sync.
    pub(crate) fn owes_names(&self) -> bool {
        self.sync.names_changed != self.sync.names_synced
            || self.epochs.version() != self.sync.epochs_saved
            || !self.sync.snapshots.is_empty()
            || !self.sync.sealed.is_empty()
            || self.sync.rolled
    }

    /// Syncs under the lock, for callers that own the log alone. Blocks.
    pub fn flush(&mut self) -> Result<(), LogDirError> {
        self.check_open()?;
        let job = self.sync();
        self.complete_sync(job.run())
    }

    /// Writes out all that is in memory (indexes, epochs, producers), syncs, and takes no more
    /// appends. Opened again as clean, the log reads no segment. Blocks.
    pub fn close(&mut self) -> Result<(), LogDirError> {
        self.check_open()?;
        let is_as_found = self.untouched_at == Some(self.end_offset) && self.swap.is_none();
        if !is_as_found {
            let written = self
                .settle_swap()
                .and_then(|()| self.write_producer_snapshot(self.end_offset))
                .and_then(|()| self.seal_active());
            match written {
                Ok(sealed) => self.sync.sealed.push(sealed),
                Err(error) => return Err(self.poison("close", error)),
            }
        }
        if is_as_found && self.recovery_point == self.end_offset && !self.owes_names() {
            // Nothing was written since it was opened: thousands of idle logs end at once.
            self.shut("the log is closed");
            return Ok(());
        }
        self.flush()?;
        self.shut("the log is closed");
        Ok(())
    }

    /// Takes no more appends or reads: the partition is being deleted or set aside.
    pub(crate) fn retire(&mut self) {
        self.shut("the partition was removed");
    }

    fn shut(&mut self, why: &'static str) {
        let error = LogDirError::closed(&self.id.log_dir, &self.id.partition, why);
        let _ = self.failure.set(error);
    }
}
