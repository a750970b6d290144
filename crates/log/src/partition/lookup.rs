//! Finding places: for reads by offset and by timestamp.

use super::PartitionLog;
use crate::damage::Damage;
use crate::read::{SearchGoal, SearchPart};
use crate::walk::{Found, WalkError};
use crate::{AbortedTransaction, Behind, LogDirError, ReadError, ReadPlan, TimestampSearch};
use types::{Offset, Timestamp};

impl PartitionLog {
    /// Plans a read of whole batches from the one that holds `from`, ending at or before
    /// `upper_bound` (exclusive; high watermark for consumers, end offset for followers), of at
    /// most `max_bytes`; with `min_one_batch` the first batch is in it even if it is larger. Stays
    /// within one segment. `from` at the end offset, or at or above the bound, is an empty plan. It
    /// ends before damage that is known, and is refused where it would start in it.
    pub fn read_plan(
        &self,
        from: Offset,
        upper_bound: Offset,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<ReadPlan, ReadError> {
        self.check_open()?;
        let (start_offset, end_offset) = (self.start_offset, self.end_offset);
        if from < start_offset || from > end_offset {
            return Err(ReadError::OutOfRange { offset: from, start_offset, end_offset });
        }
        let sound = self.check_damage(from)?.unwrap_or(end_offset);
        let upper = upper_bound.min(end_offset).min(sound);
        let first = match from < upper {
            true => self.find(from)?.filter(|(_, found)| found.header.end_offset() <= upper),
            false => None,
        };
        let Some((index, found)) = first else {
            let segment = &self.segments[self.segment_index(from)];
            let empty = ReadPlan::new(segment, from, 0..0);
            return empty.map_err(|error| self.io_failed(error));
        };
        let segment = &self.segments[index];
        let limit = found.position.saturating_add(max_bytes as u64);
        let mut end = if segment.size <= limit && self.segment_end(index) <= upper {
            segment.size
        } else if found.end() > limit {
            found.position
        } else {
            match self.recent_boundary(index, limit, upper) {
                Some(end) => end,
                None => segment
                    .boundary(found.position, limit, upper)
                    .map_err(|error| self.read_failed(index, error))?,
            }
        };
        if end == found.position && min_one_batch {
            end = found.end();
        }
        let behind = self.behind(index, end, upper);
        let plan = ReadPlan::new(segment, from, found.position..end);
        let plan = plan.map_err(|error| self.io_failed(error))?;
        Ok(plan.with_behind(behind))
    }

    /// What can be read behind `end` in a segment, without a look at a file.
    fn behind(&self, index: usize, end: u64, upper: Offset) -> Behind {
        let is_active = index + 1 == self.segments.len();
        if end >= self.segments[index].size {
            return if is_active { Behind::Nothing } else { Behind::Segment };
        }
        let is_next = || {
            let at = self.recent.partition_point(|found| found.position < end);
            let next = self.recent.get(at).filter(|next| next.position == end);
            next.is_some_and(|next| next.header.end_offset() <= upper)
        };
        match self.segment_end(index) <= upper || (is_active && is_next()) {
            true => Behind::Batch,
            false => Behind::Nothing,
        }
    }

    /// The first batch whose last offset is at or after `offset`, with its segment's index.
    fn find(&self, offset: Offset) -> Result<Option<(usize, Found)>, ReadError> {
        let active = self.segments.len() - 1;
        if self.recent.front().is_some_and(|first| first.header.base_offset <= offset) {
            let at = self.recent.partition_point(|found| found.header.last_offset() < offset);
            return Ok(self.recent.get(at).map(|found| (active, *found)));
        }
        for index in self.segment_index(offset)..self.segments.len() {
            let found = self.segments[index].find(offset, None);
            if let Some(found) = found.map_err(|error| self.read_failed(index, error))? {
                return Ok(Some((index, found)));
            }
        }
        Ok(None)
    }

    /// `Segment::boundary` from the batches in memory, if they reach back far enough.
    fn recent_boundary(&self, index: usize, limit: u64, upper: Offset) -> Option<u64> {
        if index + 1 != self.segments.len() {
            return None;
        }
        let fits = |found: &Found| found.end() <= limit && found.header.end_offset() <= upper;
        let count = self.recent.partition_point(fits);
        count.checked_sub(1).map(|last| self.recent[last].end())
    }

    fn read_failed(&self, index: usize, error: WalkError) -> ReadError {
        match error {
            WalkError::Bad { position, error } => {
                let Damage { offset, error, .. } = self.damage_met(index, position, error);
                ReadError::Damaged { offset, error }
            }
            WalkError::Io(error) => self.io_failed(error),
        }
    }

    fn io_failed(&self, error: std::io::Error) -> ReadError {
        let doing = format!("read in {}", self.id.dir.display());
        ReadError::Io(LogDirError::new(&self.id.log_dir, doing, error))
    }

    /// A search for the first record whose timestamp is `timestamp` or later. It goes over the log
    /// as it is now.
    pub fn offset_for_timestamp(
        &mut self,
        timestamp: Timestamp,
    ) -> Result<TimestampSearch, ReadError> {
        self.check_open()?;
        let mut parts = Vec::new();
        for index in self.segment_index(self.start_offset)..self.segments.len() {
            let max = self.segments[index].max_timestamp();
            if max.map_err(|error| self.io_failed(error))?.timestamp < timestamp {
                continue;
            }
            let position = match parts.is_empty() {
                true => self.timestamp_position(index, timestamp)?,
                // Rarely reached: only if the records found first are below the start offset.
                false => 0,
            };
            parts.push(self.search_part(index, position)?);
        }
        let goal = SearchGoal::AtOrAfter(timestamp);
        Ok(self.search(parts, goal))
    }

    /// A search for the first of the records with the largest timestamp.
    pub fn max_timestamp_offset(&mut self) -> Result<TimestampSearch, ReadError> {
        self.check_open()?;
        let mut best: Option<(usize, crate::segment::MaxTimestamp)> = None;
        for index in self.segment_index(self.start_offset)..self.segments.len() {
            let max = self.segments[index].max_timestamp();
            let max = max.map_err(|error| self.io_failed(error))?;
            let better = best.is_none_or(|(_, known)| max.timestamp > known.timestamp);
            if max.timestamp.0 >= 0 && better {
                best = Some((index, max));
            }
        }
        let Some((index, max)) = best else {
            return Ok(self.search(Vec::new(), SearchGoal::Exactly(Timestamp::NONE)));
        };
        let position = self.segments[index].position_hint(max.offset);
        let position = position.map_err(|error| self.io_failed(error))?;
        let parts = vec![self.search_part(index, position)?];
        Ok(self.search(parts, SearchGoal::Exactly(max.timestamp)))
    }

    /// The aborted transactions with records from `from` on and below `to`, for readers that see
    /// committed records only.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut aborted = Vec::new();
        for segment in self.segments.range(self.segment_index(from)..) {
            let entries = segment.transactions.entries().map_err(|error| self.io_failed(error))?;
            let touches = |e: &&AbortedTransaction| e.last_offset >= from && e.first_offset < to;
            aborted.extend(entries.iter().filter(touches).copied());
            if entries.iter().any(|entry| entry.last_stable_offset >= to) {
                break;
            }
        }
        Ok(aborted)
    }

    fn timestamp_position(&self, index: usize, timestamp: Timestamp) -> Result<u64, ReadError> {
        let segment = &self.segments[index];
        let entry = segment.times.last_where(|entry| entry.timestamp <= timestamp);
        let entry = entry.map_err(|error| self.io_failed(error))?;
        let known = entry.map_or(segment.base, |e| segment.base.plus(i64::from(e.relative)));
        // A search never starts above the batch that holds the start offset, nor much below it.
        let position = segment.position_hint(known.max(self.start_offset));
        position.map_err(|error| self.io_failed(error))
    }

    fn search_part(&self, index: usize, position: u64) -> Result<SearchPart, ReadError> {
        let segment = &self.segments[index];
        let file = segment.file().map_err(|error| self.io_failed(error))?;
        Ok(SearchPart { file, position, end: segment.size })
    }

    fn search(&self, parts: Vec<SearchPart>, goal: SearchGoal) -> TimestampSearch {
        TimestampSearch::new(parts, goal, self.start_offset, self.id.log_dir.clone())
    }
}
