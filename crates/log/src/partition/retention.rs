//! Deleting old segments.

use super::PartitionLog;
use crate::names::{SNAPSHOT, segment_file};
use crate::{LogDirError, RemovalJob};
use std::io;
use types::{Offset, Timestamp};

/// What retention did.
pub struct Retained {
    pub segments: usize,
    pub bytes: u64,
    pub start_offset: Offset,
    pub job: RemovalJob,
}

impl PartitionLog {
    /// Drops whole segments below the high watermark that are too old, too many, or below the
    /// start offset, as the policy says. The active segment is rolled first if it is too old. Segments above the
    /// recovery point on disk wait for the next run.
    pub fn retention(&mut self, now: Timestamp) -> Result<Retained, LogDirError> {
        self.check_open()?;
        if self.swap.is_some() {
            // Compaction is about to put a segment in the place of others: the next run is soon.
            return self.drop_front(0).map_err(|error| self.poison("delete segments", error));
        }
        let count = self.expired(now).map_err(|error| self.unread("read an index", error))?;
        if count == self.segments.len() {
            self.roll_now(now)?;
        }
        let durable = self.id.recovery_points.durable(&self.id.partition);
        let synced = (0..self.segments.len() - 1).take_while(|i| self.segment_end(*i) <= durable);
        let count = count.min(synced.count());
        self.drop_front(count).map_err(|error| self.poison("delete segments", error))
    }

    /// How many of the oldest segments are to go, the active one included.
    fn expired(&mut self, now: Timestamp) -> io::Result<usize> {
        let mut count = 0;
        let mut size = self.size();
        let delete = self.config.cleanup.delete;
        for index in 0..self.segments.len() {
            let end = self.segment_end(index);
            let active = index + 1 == self.segments.len();
            let bytes = self.segments[index].size;
            if end > self.high_watermark || (active && bytes == 0) {
                break;
            }
            let below_start = end <= self.start_offset && !active;
            let over_size = delete && !active && self.is_over_size(size, bytes);
            let is_due = below_start || over_size || (delete && self.is_old(index, now)?);
            if !is_due {
                break;
            }
            size -= bytes;
            count += 1;
        }
        Ok(count)
    }

    fn is_over_size(&self, size: u64, segment: u64) -> bool {
        // As long as what is left without the segment is still enough.
        u64::try_from(self.config.retention_bytes)
            .is_ok_and(|limit| size.saturating_sub(segment) >= limit)
    }

    /// By the newest record's timestamp; for records without one, or dated in the future, by the
    /// time at which this node saw the segment change: no date pins data for ever.
    fn is_old(&mut self, index: usize, now: Timestamp) -> io::Result<bool> {
        if self.config.retention_ms < 0 {
            return Ok(false);
        }
        let newest = self.segments[index].newest(now)?;
        Ok(now.0.saturating_sub(newest.0) > self.config.retention_ms)
    }

    fn drop_front(&mut self, count: usize) -> io::Result<Retained> {
        let mut files = Vec::new();
        let mut bytes = 0;
        if count > 0 && self.owes_names() {
            // Or a crash could keep the removals and forget the segment that stays: the log would
            // begin at offset 0 again, and give out offsets a second time.
            self.id.disk.sync_dir(&self.id.dir)?;
            self.sync.names_synced = self.sync.names_changed;
        }
        for _ in 0..count {
            let base = self.segments[0].base;
            files.extend(self.take_names_away(base)?);
            let segment = self.segments.pop_front().expect("the active segment stays");
            bytes += segment.size;
        }
        let first = self.segments[0].base;
        self.start_offset = self.start_offset.max(first);
        self.high_watermark = self.high_watermark.max(self.start_offset);
        if count > 0 {
            self.epochs.truncate_start(self.start_offset);
            self.damages.keep_within(self.start_offset, self.end_offset);
            let old = self.snapshots()?.into_iter().filter(|at| *at < first);
            files.extend(old.map(|at| segment_file(&self.id.dir, at, SNAPSHOT)));
            self.sync.names_changed += 1;
        }
        let (disk, log_dir) = (self.id.disk.clone(), self.id.log_dir.clone());
        let job = RemovalJob::files(disk, log_dir, files);
        Ok(Retained { segments: count, bytes, start_offset: self.start_offset, job })
    }
}
