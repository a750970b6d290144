//! A topic's configuration, typed.

use crate::Layers;
use crate::key::split_list;
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
    /// `max.decompressed.message.bytes`: largest record of a compressed batch.
    pub max_decompressed_message_bytes: u32,
    /// `ottla.packed.validation` is `full`.
    pub walks_packed: bool,
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
    /// Whether a replica counts with what it has synced only. A sync after every message says the
    /// same in Kafka's words.
    pub fn is_synced(&self) -> bool {
        self.durability == Durability::Synced || self.flush.flush_messages == Some(1)
    }

    /// The values in force for a topic. Total: a stored value that no longer passes its check is
    /// skipped, and the next layer counts, so that an image can always be served.
    pub fn resolve(layers: &Layers<'_>) -> TopicConfig {
        let values = Values(layers);
        TopicConfig {
            cleanup_policy: values.cleanup_policy(),
            retention: values.retention(),
            segment: values.segment(),
            flush: values.flush(),
            compaction: values.compaction(),
            message: values.message(),
            min_insync_replicas: values.u32("min.insync.replicas"),
            unclean_leader_election: values.bool("unclean.leader.election.enable"),
            durability: match values.text("ottla.durability").as_str() {
                "synced" => Durability::Synced,
                _ => Durability::Replicated,
            },
        }
    }
}

/// Reads topic keys through the layers. Names are those of the table, whose defaults pass their
/// own checks (a test says so), so a value is always there.
struct Values<'a>(&'a Layers<'a>);

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        self.0.topic_value(name).unwrap_or_else(|| panic!("topic key {name} is in the table"))
    }

    fn i64(&self, name: &str) -> i64 {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("{name}={text} was checked to be a number"))
    }

    fn u32(&self, name: &str) -> u32 {
        u32::try_from(self.i64(name).max(0)).unwrap_or(u32::MAX)
    }

    fn i32(&self, name: &str) -> i32 {
        i32::try_from(self.i64(name)).unwrap_or(i32::MAX)
    }

    /// `None` for the largest number, which stands for "never".
    fn bounded(&self, name: &str) -> Option<i64> {
        Some(self.i64(name)).filter(|value| *value != i64::MAX)
    }

    fn bool(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    fn cleanup_policy(&self) -> CleanupPolicy {
        let text = self.text("cleanup.policy");
        let policies = split_list(&text);
        CleanupPolicy {
            delete: policies.contains(&"delete"),
            compact: policies.contains(&"compact"),
        }
    }

    fn retention(&self) -> RetentionConfig {
        RetentionConfig {
            retention_ms: Some(self.i64("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(self.i64("retention.bytes")).ok(),
            file_delete_delay: Duration::from_millis(self.i64("file.delete.delay.ms").max(0) as u64),
        }
    }

    fn segment(&self) -> SegmentConfig {
        let internal = self.u32("internal.segment.bytes");
        let segment_bytes = if internal > 0 { internal } else { self.u32("segment.bytes") };
        SegmentConfig {
            segment_bytes,
            segment_ms: self.i64("segment.ms"),
            segment_jitter_ms: self.i64("segment.jitter.ms"),
            segment_index_bytes: self.u32("segment.index.bytes"),
            index_interval_bytes: self.u32("index.interval.bytes"),
            preallocate: self.bool("preallocate"),
        }
    }

    fn flush(&self) -> FlushConfig {
        let flush_messages =
            self.bounded("flush.messages").and_then(|count| u64::try_from(count).ok());
        FlushConfig { flush_messages, flush_ms: self.bounded("flush.ms") }
    }

    fn compaction(&self) -> CompactionConfig {
        CompactionConfig {
            delete_retention_ms: self.i64("delete.retention.ms"),
            min_cleanable_dirty_ratio: self
                .text("min.cleanable.dirty.ratio")
                .parse()
                .unwrap_or(0.5),
            min_compaction_lag_ms: self.i64("min.compaction.lag.ms"),
            max_compaction_lag_ms: self.bounded("max.compaction.lag.ms"),
        }
    }

    fn message(&self) -> MessageConfig {
        MessageConfig {
            max_message_bytes: self.u32("max.message.bytes"),
            max_decompressed_message_bytes: self.u32("max.decompressed.message.bytes"),
            walks_packed: self.text("ottla.packed.validation") != "header",
            timestamp_type: match self.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: self.bounded("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: self.bounded("message.timestamp.after.max.ms"),
            compression: match self.text("compression.type").as_str() {
                "uncompressed" => Compression::Uncompressed,
                "gzip" => Compression::Gzip,
                "snappy" => Compression::Snappy,
                "lz4" => Compression::Lz4,
                "zstd" => Compression::Zstd,
                _ => Compression::Producer,
            },
            gzip_level: self.i32("compression.gzip.level"),
            lz4_level: self.i32("compression.lz4.level"),
            zstd_level: self.i32("compression.zstd.level"),
        }
    }
}
