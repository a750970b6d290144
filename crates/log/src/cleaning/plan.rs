//! What of a log is to be compacted, and in which portions. Pure: facts in, decisions out.
//!
//! ```text
//!  start_offset      first_dirty            until                active segment
//!      |-- clean ---------|-- dirty -----------|-- not yet ----------|---
//! ```
//!
//! Promises: only whole segments below the high watermark, the last stable offset and the recovery
//! point on disk are compacted, never the active one, and none with a dirty record younger than
//! `min.compaction.lag.ms`.

use crate::config::CompactionConfig;
use std::ops::Range;
use types::{Offset, Timestamp};

/// A segment, as the planner sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    pub base: Offset,
    /// Exclusive.
    pub end: Offset,
    pub bytes: u64,
    /// Of the larger index.
    pub index_bytes: u64,
    /// Time of the newest record; of the last append where records are not dated, or in the future.
    pub newest: Timestamp,
    /// Time of the first batch, likewise.
    pub oldest: Timestamp,
}

/// A log, as the planner sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFacts {
    /// Oldest first; the last is active.
    pub segments: Vec<SegmentFacts>,
    pub start_offset: Offset,
    /// Where the last compaction stopped.
    pub cleaned_to: Offset,
    /// Of high watermark and last stable offset the lower one.
    pub stable_end: Offset,
    /// The recovery point on disk.
    pub durable_end: Offset,
    pub now: Timestamp,
}

/// What could be compacted, and how urgently.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Assessment {
    /// Where the dirty part starts.
    pub first_dirty: Offset,
    /// Where it ends (exclusive): the start of a segment.
    pub until: Offset,
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`, by this much.
    pub overdue_ms: i64,
}

impl Assessment {
    /// Share of the bytes that is dirty.
    pub fn dirty_ratio(&self) -> f64 {
        match self.dirty_bytes {
            0 => 0.0,
            dirty => dirty as f64 / (dirty + self.clean_bytes) as f64,
        }
    }

    /// Whether it is to be compacted now.
    pub fn is_due(&self, config: &CompactionConfig) -> bool {
        self.dirty_bytes > 0 && (self.overdue_ms > 0 || self.dirty_ratio() > config.min_dirty_ratio)
    }
}

/// Looks at a log.
pub fn assess(log: &LogFacts, config: &CompactionConfig) -> Assessment {
    let end = log.segments.last().map_or(log.start_offset, |active| active.end);
    // A log that was cut, or lost records, is looked at from its start.
    let first_dirty = match log.cleaned_to < log.start_offset || log.cleaned_to > end {
        true => log.start_offset,
        false => log.cleaned_to,
    };
    let sealed = &log.segments[..log.segments.len().saturating_sub(1)];
    let young = |s: &SegmentFacts| {
        s.end > first_dirty
            && config.min_lag_ms > 0
            && s.newest.0 > log.now.0.saturating_sub(config.min_lag_ms)
    };
    let settled =
        |s: &&SegmentFacts| s.end <= log.stable_end && s.end <= log.durable_end && !young(s);
    let settled: Vec<&SegmentFacts> = sealed.iter().take_while(settled).collect();
    let until = settled.last().map_or(first_dirty, |last| last.end.max(first_dirty));
    let (dirty, clean): (Vec<&SegmentFacts>, Vec<&SegmentFacts>) =
        settled.into_iter().filter(|s| s.end > log.start_offset).partition(|s| s.end > first_dirty);
    let oldest = dirty.iter().map(|s| s.oldest.0).min();
    let overdue_ms = match (oldest, config.max_lag_ms) {
        (Some(oldest), Some(max)) => log.now.0.saturating_sub(max).saturating_sub(oldest).max(0),
        _ => 0,
    };
    let bytes = |of: &[&SegmentFacts]| of.iter().map(|s| s.bytes).sum();
    Assessment {
        first_dirty,
        until,
        clean_bytes: bytes(&clean),
        dirty_bytes: bytes(&dirty),
        overdue_ms,
    }
}

/// How large a segment may be that takes the place of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupLimits {
    pub bytes: u64,
    pub index_bytes: u64,
}

/// Portions of neighbouring segments (as index ranges), each to become one segment: from the one
/// that holds the start offset up to the one that holds the last offset below `until`.
pub fn groups(log: &LogFacts, until: Offset, limits: GroupLimits) -> Vec<Range<usize>> {
    let sealed = log.segments.len().saturating_sub(1);
    let first = log.segments[..sealed].partition_point(|s| s.end <= log.start_offset);
    let last = log.segments[..sealed].partition_point(|s| s.base < until);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut bytes, mut index_bytes) = (0, 0);
    for index in first..last {
        let segment = &log.segments[index];
        let joins = groups.last().is_some_and(|group| {
            let base = log.segments[group.start].base;
            bytes + segment.bytes <= limits.bytes
                && index_bytes + segment.index_bytes <= limits.index_bytes
                && segment.end.0 - 1 - base.0 <= i64::from(i32::MAX)
        });
        match groups.last_mut().filter(|_| joins) {
            Some(group) => {
                group.end = index + 1;
                bytes += segment.bytes;
                index_bytes += segment.index_bytes;
            }
            None => {
                groups.push(index..index + 1);
                (bytes, index_bytes) = (segment.bytes, segment.index_bytes);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of ten offsets and 100 bytes, written at times 0, 10, 20 ...; the last is active.
    fn log(segments: i64) -> LogFacts {
        let segment = |n: i64| SegmentFacts {
            base: Offset(n * 10),
            end: Offset(n * 10 + 10),
            bytes: 100,
            index_bytes: 8,
            newest: Timestamp(n * 10 + 9),
            oldest: Timestamp(n * 10),
        };
        LogFacts {
            segments: (0..segments).map(segment).collect(),
            start_offset: Offset(0),
            cleaned_to: Offset(0),
            stable_end: Offset(segments * 10),
            durable_end: Offset(segments * 10),
            now: Timestamp(1000),
        }
    }

    fn config() -> CompactionConfig {
        CompactionConfig { min_dirty_ratio: 0.5, ..CompactionConfig::default() }
    }

    fn range(log: &LogFacts, config: &CompactionConfig) -> (i64, i64) {
        let found = assess(log, config);
        (found.first_dirty.0, found.until.0)
    }

    #[test]
    fn only_sealed_stable_and_durable_segments_are_compacted() {
        assert_eq!(range(&log(5), &config()), (0, 40), "never the active segment");
        let unstable = LogFacts { stable_end: Offset(29), ..log(5) };
        assert_eq!(range(&unstable, &config()), (0, 20), "whole segments below the stable end");
        let unsynced = LogFacts { durable_end: Offset(30), ..log(5) };
        assert_eq!(range(&unsynced, &config()), (0, 30));
        assert_eq!(range(&log(1), &config()), (0, 0));
    }

    #[test]
    fn young_dirty_records_wait() {
        let lag = CompactionConfig { min_lag_ms: 985, ..config() };
        assert_eq!(range(&log(5), &lag), (0, 10), "the segment of times 10 to 19 is too young");
        let cleaned = LogFacts { cleaned_to: Offset(20), ..log(5) };
        assert_eq!(range(&cleaned, &lag), (20, 20), "what was compacted does not count");
        let later = LogFacts { now: Timestamp(2000), ..cleaned };
        assert_eq!(range(&later, &lag), (20, 40));
    }

    #[test]
    fn a_log_is_due_by_its_ratio_or_its_age() {
        let half = LogFacts { cleaned_to: Offset(20), ..log(5) };
        let found = assess(&half, &config());
        assert_eq!((found.clean_bytes, found.dirty_bytes), (200, 200));
        assert!(!found.is_due(&config()), "the ratio must be passed");
        let aged = CompactionConfig { max_lag_ms: Some(500), ..config() };
        let found = assess(&half, &aged);
        assert_eq!(found.overdue_ms, 1000 - 500 - 20);
        assert!(found.is_due(&aged));
        let more = LogFacts { cleaned_to: Offset(10), ..log(5) };
        assert!(assess(&more, &config()).is_due(&config()));
        let none = LogFacts { cleaned_to: Offset(40), ..log(5) };
        assert!(!assess(&none, &aged).is_due(&CompactionConfig { min_dirty_ratio: 0.0, ..aged }));
    }

    #[test]
    fn a_checkpoint_outside_the_log_counts_for_nothing() {
        for cleaned_to in [Offset(4), Offset(51)] {
            let log = LogFacts { start_offset: Offset(15), cleaned_to, ..log(5) };
            let found = assess(&log, &config());
            assert_eq!((found.first_dirty.0, found.until.0), (15, 40));
            assert_eq!(found.dirty_bytes, 300, "segments below the start are retention's");
        }
    }

    #[test]
    fn small_neighbours_become_one_segment() {
        let limits = GroupLimits { bytes: 200, index_bytes: 100 };
        assert_eq!(groups(&log(6), Offset(50), limits), [0..2, 2..4, 4..5]);
        assert_eq!(groups(&log(6), Offset(25), limits), [0..2, 2..3], "the partly read one too");
        let few = GroupLimits { bytes: 1000, index_bytes: 16 };
        assert_eq!(groups(&log(6), Offset(50), few), [0..2, 2..4, 4..5]);
        let started = LogFacts { start_offset: Offset(10), ..log(6) };
        assert_eq!(groups(&started, Offset(50), limits), [1..3, 3..5]);
        let mut sparse = log(4);
        sparse.segments[1].end = Offset(i64::from(i32::MAX) + 1);
        sparse.segments[2].base = sparse.segments[1].end;
        sparse.segments[2].end = sparse.segments[2].base.plus(1);
        let all = GroupLimits { bytes: 1000, index_bytes: 100 };
        assert_eq!(groups(&sparse, Offset(i64::MAX), all), [0..2, 2..3], "offsets fit 31 bits");
    }
}
