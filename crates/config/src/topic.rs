//! A topic's configuration, typed.

use crate::Layers;
use std::time::Duration;

/// `cleanup.policy`. Neither set: records are kept for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// `compression.type`. `Producer` keeps each batch as it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    #[default]
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `ottla.durability`: what a replica must have done before it counts for acks=all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// The batch is in its page cache (Kafka's meaning).
    #[default]
    Replicated,
    /// The batch is synced to its disk.
    Synced,
}

/// Every value that the log and the replicas of a topic work with. `None` = no limit.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    pub cleanup_policy: CleanupPolicy,
    pub retention: RetentionConfig,
    pub segment: SegmentConfig,
    pub flush: FlushConfig,
    pub compaction: CompactionConfig,
    pub message: MessageConfig,
    pub min_insync_replicas: u32,
    pub unclean_leader_election: bool,
    pub durability: Durability,
}

/// When whole old segments go.
#[derive(Clone, PartialEq, Debug)]
pub struct RetentionConfig {
    /// `retention.ms`; `None` = keep (-1).
    pub retention_ms: Option<i64>,
    /// `retention.bytes` per partition; `None` = no limit (-1).
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`
    pub file_delete_delay: Duration,
}

/// How segments are cut.
#[derive(Clone, PartialEq, Debug)]
pub struct SegmentConfig {
    /// `segment.bytes`, or `internal.segment.bytes` where a test set it.
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `preallocate`
    pub preallocate: bool,
}

/// When the log is synced beyond what rolling and shutdown do.
#[derive(Clone, PartialEq, Debug)]
pub struct FlushConfig {
    /// `flush.messages`; `None` = never by count.
    pub flush_messages: Option<u64>,
    /// `flush.ms`; `None` = never by time.
    pub flush_ms: Option<i64>,
}

/// How compaction chooses.
#[derive(Clone, PartialEq, Debug)]
pub struct CompactionConfig {
    /// `delete.retention.ms`: how long tombstones stay.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`; `None` = no bound.
    pub max_compaction_lag_ms: Option<i64>,
}

/// What a batch must look like.
#[derive(Clone, PartialEq, Debug)]
pub struct MessageConfig {
    /// `max.message.bytes`: largest batch.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `None` = any age.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`; `None` = any.
    pub timestamp_after_max_ms: Option<i64>,
    /// `compression.type`
    pub compression: Compression,
    /// `compression.gzip.level`
    pub gzip_level: i32,
    /// `compression.lz4.level`
    pub lz4_level: i32,
    /// `compression.zstd.level`
    pub zstd_level: i32,
}

impl TopicConfig {
    /// The values in force for a topic. Total: a stored value that no longer passes its check is
    /// skipped, and the next layer counts, so that an image can always be served.
    pub fn resolve(layers: &Layers<'_>) -> TopicConfig {
        let _ = layers;
        todo!()
    }
}
