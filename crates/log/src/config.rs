//! What a log needs to know of its topic's configuration. May be replaced at run time.

use records::TimestampType;

/// `cleanup.policy`. Neither: kept for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// How a compacted topic is compacted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CompactionConfig {
    /// `min.cleanable.dirty.ratio`: due once more than this share is dirty.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`; `None`: no bound.
    pub max_lag_ms: Option<i64>,
    /// `delete.retention.ms`: how long tombstones and needless markers stay.
    pub delete_retention_ms: i64,
}

impl Default for CompactionConfig {
    fn default() -> CompactionConfig {
        CompactionConfig {
            min_dirty_ratio: 0.5,
            min_lag_ms: 0,
            max_lag_ms: None,
            delete_retention_ms: 24 * 3_600_000,
        }
    }
}

/// A topic's settings, under Kafka's names.
#[derive(Clone, PartialEq, Debug)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`.
    pub index_bytes_max: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`; -1: no limit.
    pub retention_ms: i64,
    /// `retention.bytes`; -1: no limit.
    pub retention_bytes: i64,
    pub cleanup: CleanupPolicy,
    pub compaction: CompactionConfig,
    /// `file.delete.delay.ms`: between a segment's renaming to `.deleted` and its removal.
    pub file_delete_delay_ms: i64,
    pub timestamp_type: TimestampType,
    /// `flush.messages`: a sync is due after this many records.
    pub flush_messages: i64,
    /// `flush.ms`: a sync is due after this time.
    pub flush_ms: i64,
    /// `preallocate`.
    pub preallocate: bool,
    /// `producer.id.expiration.ms`: a producer silent for this long is forgotten.
    pub producer_expiration_ms: i64,
}

impl LogConfig {
    /// How old the active segment may get: a compacted one must be sealed before its records pass
    /// `max.compaction.lag.ms`.
    pub fn roll_after_ms(&self) -> i64 {
        match self.compaction.max_lag_ms {
            Some(max) if self.cleanup.compact => self.segment_ms.min(max),
            _ => self.segment_ms,
        }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            index_bytes_max: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            cleanup: CleanupPolicy { delete: true, compact: false },
            compaction: CompactionConfig::default(),
            file_delete_delay_ms: 60_000,
            timestamp_type: TimestampType::CreateTime,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
            producer_expiration_ms: 24 * 3_600_000,
        }
    }
}
