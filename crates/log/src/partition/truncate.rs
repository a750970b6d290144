//! Cutting records off: at the end, at the start, all of them.
//!
//! Order, so that a crash at any point leaves a log that opens: lower the recovery point on disk;
//! take newer files' names away; cut the file; sync file and directory. Only then may other records
//! take the place of those that went.

use super::PartitionLog;
use crate::error::AppendError;
use crate::names::{DELETED, LEADER_EPOCHS, SEGMENT_FILES, SNAPSHOT};
use crate::names::{segment_file, segment_offset, with_suffix};
use crate::producer_snapshot;
use crate::producers::{Producers, marker_of};
use crate::removal::gone_is_fine;
use crate::walk::{Walk, WalkError, read_batch};
use crate::{LogDirError, checkpoint};
use env::disk::{read_file, write_file_atomically};
use std::io;
use std::path::PathBuf;
use types::{Offset, Timestamp};

impl PartitionLog {
    /// Removes records from `offset` on. In the middle of a batch, the whole batch goes; so does a gap
    /// (of compaction) before it. If nothing above the start offset is left, the log starts anew
    /// there. Syncs,
    /// since what replaces the removed must not be mistaken for it after a crash: blocks. Does
    /// nothing if the log ends there or earlier.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<(), LogDirError> {
        self.check_open()?;
        if offset >= self.end_offset {
            return Ok(());
        }
        if offset < self.segments[0].base || offset < self.start_offset {
            return self.truncate_fully_and_start_at(offset);
        }
        self.try_truncate(offset).map_err(|error| self.poison("truncate", error))
    }

    fn try_truncate(&mut self, offset: Offset) -> io::Result<()> {
        self.settle_swap()?;
        let index = self.segment_index(offset);
        let found = self.segments[index].find(offset, None);
        let found = found.map_err(|error| self.walk_failed(index, error))?;
        let segment = &self.segments[index];
        let position = found.map_or(segment.size, |found| found.position);
        // No gap stays behind the last batch: recovery would take it for damage once synced.
        let end = segment.end_before(position);
        let end = end.map_err(|error| self.walk_failed(index, error))?;
        if end < self.start_offset {
            return self.try_start_at(self.start_offset);
        }
        self.lower_recovery_point(end)?;
        let mut gone = Vec::new();
        while self.segments.len() > index + 1 {
            let base = self.active().base;
            gone.extend(self.take_names_away(base)?);
            self.segments.pop_back();
        }
        self.active().truncate(position, end)?;
        self.end_offset = end;
        self.forget_recent();
        self.epochs.truncate_end(self.end_offset);
        self.reload_producers()?;
        self.write_producer_snapshot(self.end_offset)?;
        self.settle_truncation()?;
        self.remove(gone)
    }

    /// Removes everything and goes on at `offset` (a follower whose leader starts above its end).
    /// Blocks.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), LogDirError> {
        self.check_open()?;
        self.try_start_at(offset).map_err(|error| self.poison("truncate", error))
    }

    pub(super) fn try_start_at(&mut self, offset: Offset) -> io::Result<()> {
        self.settle_swap()?;
        self.lower_recovery_point(offset.min(self.segments[0].base))?;
        let mut gone = Vec::new();
        let now = self.active().touched;
        for index in (0..self.segments.len()).rev() {
            let base = self.segments[index].base;
            gone.extend(self.take_names_away(base)?);
        }
        for snapshot in self.snapshots()? {
            gone.push(segment_file(&self.id.dir, snapshot, SNAPSHOT));
        }
        self.remove(gone)?;
        // What is old must not come back beside what is new.
        self.id.disk.sync_dir(&self.id.dir)?;
        let fresh = self.id.segment_dir().create(offset, now)?;
        self.segments = [fresh].into();
        self.start_offset = offset;
        self.end_offset = offset;
        self.high_watermark = offset;
        self.forget_recent();
        self.epochs.clear();
        self.producers = Producers::default();
        self.write_producer_snapshot(offset)?;
        self.settle_truncation()
    }

    /// Makes the cut durable: the file's new length, the names, the epochs, the snapshot.
    fn settle_truncation(&mut self) -> io::Result<()> {
        self.high_watermark = self.high_watermark.clamp(self.start_offset, self.end_offset);
        let active = self.segments.back().expect("a log has an active segment");
        active.log.for_writing()?.sync_data()?;
        for file in self.unsynced_beside() {
            file?.sync_data()?;
        }
        self.sync.snapshots.clear();
        self.sync.sealed.clear();
        // Not beside a job that writes epochs too, and before every one that was planned earlier.
        let gate = self.sync.gate.clone();
        let mut gate = gate.lock().expect("no thread panicked in a sync");
        self.sync.generation += 1;
        gate.generation = self.sync.generation;
        let text = checkpoint::encode_epochs(self.epochs.entries());
        let path = self.id.dir.join(LEADER_EPOCHS);
        write_file_atomically(&*self.id.disk, &path, text.as_bytes())?;
        self.id.disk.sync_dir(&self.id.dir)?;
        self.untouched_at = None;
        self.cleaned_to = self.cleaned_to.min(self.end_offset);
        self.damages.keep_within(self.start_offset, self.end_offset);
        self.sync.names_synced = self.sync.names_changed;
        self.sync.epochs_saved = self.epochs.version();
        gate.epochs = self.epochs.version();
        Ok(())
    }

    fn lower_recovery_point(&mut self, offset: Offset) -> io::Result<()> {
        self.id.recovery_points.lower(&self.id.partition, offset)?;
        self.recovery_point = self.recovery_point.min(offset);
        Ok(())
    }

    /// Renames a segment's files so that no opening takes them for the log's.
    pub(super) fn take_names_away(&mut self, base: Offset) -> io::Result<Vec<PathBuf>> {
        let mut renamed = Vec::new();
        for suffix in SEGMENT_FILES {
            let path = segment_file(&self.id.dir, base, suffix);
            let aside = with_suffix(&path, DELETED);
            gone_is_fine(self.id.disk.rename(&path, &aside))?;
            renamed.push(aside);
        }
        self.sync.names_changed += 1;
        Ok(renamed)
    }

    pub(super) fn remove(&mut self, files: Vec<PathBuf>) -> io::Result<()> {
        self.sync.names_changed += 1;
        for path in files {
            gone_is_fine(self.id.disk.remove_file(&path))?;
        }
        Ok(())
    }

    /// Offsets of the producer snapshots on disk, in order.
    pub(super) fn snapshots(&self) -> io::Result<Vec<Offset>> {
        let names = self.id.disk.list(&self.id.dir)?;
        Ok(names.iter().filter_map(|entry| segment_offset(&entry.name, SNAPSHOT)).collect())
    }

    /// The newest sound snapshot at or below `offset`, with its offset; none: an empty state at the
    /// start of the log.
    pub(super) fn snapshot_before(&self, offset: Offset) -> io::Result<(Offset, Producers)> {
        for at in self.snapshots()?.into_iter().rev().filter(|at| *at <= offset) {
            if let Some(producers) = self.read_snapshot(at)? {
                return Ok((at, producers));
            }
        }
        Ok((self.segments[0].base, Producers::default()))
    }

    /// The snapshot of this offset; `None` if a crash has torn it: the one before it and the log say the
    /// same.
    pub(super) fn read_snapshot(&self, at: Offset) -> io::Result<Option<Producers>> {
        let path = segment_file(&self.id.dir, at, SNAPSHOT);
        match producer_snapshot::decode(&read_file(&*self.id.disk, &path)?) {
            Ok(producers) => Ok(Some(producers)),
            Err(reason) => {
                tracing::info!(path = %path.display(), reason, "snapshot skipped");
                Ok(None)
            }
        }
    }

    /// Makes the producers' state that of the log as it is, from a snapshot and the batches after
    /// it. Snapshots above the end go.
    pub(super) fn reload_producers(&mut self) -> io::Result<()> {
        let end = self.end_offset;
        let above = self.snapshots()?.into_iter().filter(|at| *at > end);
        let above = above.map(|at| segment_file(&self.id.dir, at, SNAPSHOT)).collect();
        self.remove(above)?;
        let (from, producers) = self.snapshot_before(end)?;
        self.producers = producers;
        self.replay_producers(from, end)
    }

    /// Applies the batches from `from` (inclusive) to `to` (exclusive).
    pub(super) fn replay_producers(&mut self, from: Offset, to: Offset) -> io::Result<()> {
        if from >= to {
            return Ok(());
        }
        for index in self.segment_index(from)..self.segments.len() {
            let segment = &self.segments[index];
            if segment.base >= to {
                // Not looked at: it may be torn.
                break;
            }
            let position = segment.position_hint(from)?;
            let file = segment.file()?;
            let mut walk = Walk::headers(&file, position, segment.size);
            while let Some(found) = walk.next().map_err(|error| self.walk_failed(index, error))? {
                let header = found.header;
                if header.base_offset >= to {
                    return Ok(());
                }
                if header.base_offset < from || !header.has_producer() {
                    continue;
                }
                let marker = match header.attributes.is_control() {
                    true => {
                        let batch = read_batch(&file, &found);
                        marker_of(&batch.map_err(|error| self.walk_failed(index, error))?)
                    }
                    false => None,
                };
                self.producers.apply(&header, marker);
            }
        }
        Ok(())
    }

    /// Makes records below `offset` unreadable (DeleteRecords, or the leader's start offset); the
    /// files go with the next retention run. Never goes back, nor past the high watermark (past
    /// the end offset for a follower, which tells its high watermark first). Returns the start
    /// offset.
    pub fn advance_start_offset(&mut self, offset: Offset) -> Offset {
        let offset = offset.min(self.high_watermark);
        if offset > self.start_offset {
            self.start_offset = offset;
            self.epochs.truncate_start(offset);
            self.damages.keep_within(offset, self.end_offset);
        }
        self.start_offset
    }

    /// An error that says of damage where it is ([`crate::LogDirError::damage`]).
    pub(super) fn walk_failed(&self, index: usize, error: WalkError) -> io::Error {
        match error {
            WalkError::Io(error) => error,
            WalkError::Bad { position, error } => {
                let damage = self.damage_met(index, position, error);
                io::Error::new(io::ErrorKind::InvalidData, damage)
            }
        }
    }

    /// Rolls, for callers inside that have no batch at hand.
    pub(super) fn roll_now(&mut self, now: Timestamp) -> Result<(), LogDirError> {
        match self.roll(self.end_offset, now) {
            Ok(()) => Ok(()),
            Err(AppendError::Io(error)) => Err(error),
            // No space for a new segment: the old one stays active.
            Err(other) => {
                tracing::warn!(log = %self.id.partition, error = %other, "segment not rolled");
                Ok(())
            }
        }
    }
}
