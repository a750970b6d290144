//! What a log tells compaction, and gets from it.

use super::PartitionLog;
use super::swap::Source;
use crate::LogDirError;
use crate::cleaning::plan::{Assessment, GroupLimits, LogFacts, SegmentFacts, assess, groups};
use crate::cleaning::{CleaningJob, LastBatch};
use std::collections::BTreeMap;
use std::io;
use types::{LeaderEpoch, Offset, ProducerId, Timestamp};

impl PartitionLog {
    /// Where the last compaction stopped; what lies above is dirty.
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to
    }

    /// Told by the checkpoint at opening, and by every compaction.
    pub fn set_cleaned_to(&mut self, offset: Offset) {
        self.cleaned_to = offset;
    }

    /// What could be compacted now; `None` if the topic is not compacted. An active segment that
    /// holds records older than `max.compaction.lag.ms` is sealed first.
    pub fn compactable(&mut self, now: Timestamp) -> Result<Option<Assessment>, LogDirError> {
        self.check_open()?;
        if !self.config.cleanup.compact {
            return Ok(None);
        }
        self.seal_overdue(now)?;
        let facts = self.compaction_facts(now).map_err(|error| self.unread("read an index", error));
        Ok(Some(assess(&facts?, &self.config.compaction)))
    }

    /// Kafka seals a segment when the next record comes; a topic that rests would break its bound.
    fn seal_overdue(&mut self, now: Timestamp) -> Result<(), LogDirError> {
        let Some(max) = self.config.compaction.max_lag_ms else {
            return Ok(());
        };
        let oldest = self.active().oldest(now).map_err(|error| self.unread("read", error))?;
        if self.active().size > 0 && now.0.saturating_sub(oldest.0) > max {
            self.roll_now(now)?;
        }
        Ok(())
    }

    fn compaction_facts(&mut self, now: Timestamp) -> io::Result<LogFacts> {
        let last = self.segments.len() - 1;
        let mut segments = Vec::with_capacity(self.segments.len());
        for index in 0..=last {
            let end = self.segment_end(index);
            let segment = &mut self.segments[index];
            let active = index == last;
            segments.push(SegmentFacts {
                base: segment.base,
                end,
                bytes: segment.size,
                index_bytes: if active { 0 } else { segment.index_bytes()? },
                newest: if active { now } else { segment.newest(now)? },
                oldest: if active { now } else { segment.oldest(now)? },
            });
        }
        Ok(LogFacts {
            segments,
            start_offset: self.start_offset,
            cleaned_to: self.cleaned_to,
            stable_end: self.high_watermark.min(self.first_unstable_offset()),
            durable_end: self.id.recovery_points.durable(&self.id.partition),
            now,
        })
    }

    /// All that a run needs, taken at one moment. The files stay readable whatever becomes of the
    /// log; the swap finds out whether they are still its own.
    pub(crate) fn cleaning_job(&mut self, now: Timestamp) -> Result<CleaningJob, LogDirError> {
        self.check_open()?;
        let made = self.try_cleaning_job(now);
        made.map_err(|error| self.unread("plan a compaction", error))
    }

    fn try_cleaning_job(&mut self, now: Timestamp) -> io::Result<CleaningJob> {
        let facts = self.compaction_facts(now)?;
        let found = assess(&facts, &self.config.compaction);
        let limits = GroupLimits {
            bytes: u64::from(self.config.segment_bytes),
            index_bytes: u64::from(self.config.index_bytes_max),
        };
        let first = self.segment_index(self.start_offset);
        let before = self.segments[first].base.plus(-1);
        let mut aborted = Vec::new();
        for segment in self.segments.range(first..) {
            let entries = segment.transactions.entries()?;
            aborted.extend(entries.iter().filter(|e| e.first_offset < found.until).copied());
        }
        let groups = groups(&facts, found.until, limits);
        let source = |index: usize| {
            let segment = &self.segments[index];
            let (base, size) = (segment.base, segment.size);
            let (end, touched) = (facts.segments[index].end, segment.touched);
            Source { base, end, size, touched, path: segment.log.path().to_owned() }
        };
        Ok(CleaningJob {
            disk: self.id.disk.clone(),
            files: self.id.files.clone(),
            log_dir: self.id.log_dir.clone(),
            dir: self.id.dir.clone(),
            generation: self.sync.generation,
            first_dirty: found.first_dirty,
            until: found.until,
            groups: groups.into_iter().map(|group| group.map(source).collect()).collect(),
            epoch_before: self.epochs.at(before).unwrap_or(LeaderEpoch::NONE),
            producers: self.last_batches(found.until)?,
            aborted,
            delete_retention_ms: self.config.compaction.delete_retention_ms,
            index_interval_bytes: self.config.index_interval_bytes,
            now,
        })
    }

    /// Whether nothing was cut off since this number was taken.
    pub(crate) fn is_generation(&self, generation: u64) -> bool {
        generation == self.sync.generation
    }

    /// A run is through: what lies below `offset` is clean, if the log was not cut meanwhile.
    pub(crate) fn complete_compaction(&mut self, generation: u64, offset: Offset) {
        if generation == self.sync.generation {
            self.cleaned_to = offset;
        }
    }

    /// The last batch below `until` of each producer that is known now. Not the last of all: what
    /// lies above may be cut off yet, and then this one is the last.
    fn last_batches(&self, until: Offset) -> io::Result<BTreeMap<ProducerId, LastBatch>> {
        let (at, stable) = self.snapshot_before(until)?;
        // A segment starts at `until`, and a snapshot was written when it was made.
        let stable = if at == until { stable } else { self.producers.clone() };
        let last = |(id, entry): (ProducerId, &crate::producers::ProducerEntry)| {
            let last_offset = entry.batches.back().map(|mark| mark.last_offset);
            (id, LastBatch { epoch: entry.epoch, last_offset })
        };
        let known = stable.entries().filter(|(id, _)| self.producers.get(*id).is_some());
        Ok(known.map(last).collect())
    }
}
