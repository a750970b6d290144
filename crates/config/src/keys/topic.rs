//! Topic keys: the public ones of Apache Kafka 4.4, and our own.

use crate::Kind::*;
use crate::Unit::*;
use crate::Valid::{BetweenNot0, Off, OneOf, Ratio, RepeatedListOf, Replicas};
use crate::key::{Key, topic};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    topic("cleanup.policy", List, "delete", "What happens to old records: whole segments are deleted, or only the latest record of each key is kept, or both. An empty list keeps everything for ever.")
        .valid(RepeatedListOf(&["delete", "compact"])).under(&["log.cleanup.policy"]),
    topic("compression.type", String, "producer", "The codec that batches are stored in. `producer` keeps each batch as it was sent, which costs the broker nothing.")
        .valid(OneOf(COMPRESSION_TYPES)).both().dynamic().under(&["compression.type"]),
    topic("compression.gzip.level", Int, "-1", "Level of gzip where `compression.type` is `gzip`; -1 is the library's choice.").valid(BetweenNot0(-1, 9)).both().dynamic().under(&["compression.gzip.level"]),
    topic("compression.lz4.level", Int, "9", "Level of lz4 where `compression.type` is `lz4`: its encoder here has but one.").range(1, 17).both().dynamic().under(&["compression.lz4.level"]).unneeded(),
    topic("compression.zstd.level", Int, "3", "Level of zstd where `compression.type` is `zstd`.").range(-131072, 22).both().dynamic().under(&["compression.zstd.level"]),
    topic("delete.retention.ms", Long, "86400000", "How long a compacted topic keeps the mark of a deleted key, so that readers see the deletion.").min(0).ms().under(&["log.cleaner.delete.retention.ms"]),
    topic("file.delete.delay.ms", Long, "60000", "How long the files of a deleted segment stay on disk, so that reads in progress can end.").min(0).ms().under(&["log.segment.delete.delay.ms"]),
    topic("flush.messages", Long, "9223372036854775807", "Sync the log after this many records. The default leaves syncing to the system, to rolling and to shutdown: replication is what keeps records.").min(1).unit(Records).under(&["log.flush.interval.messages"]),
    topic("flush.ms", Long, "9223372036854775807", "Sync the log at least this often. See `flush.messages`.").min(0).ms().under(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]),
    topic("follower.replication.throttled.replicas", List, "", "Replicas whose fetching is throttled, as `partition:broker` pairs, or `*`.").valid(Replicas).later(),
    topic("leader.replication.throttled.replicas", List, "", "Replicas whose serving of followers is throttled, as `partition:broker` pairs, or `*`.").valid(Replicas).later(),
    topic("index.interval.bytes", Int, "4096", "An offset index entry is made about every this many bytes of log.").min(0).bytes().under(&["log.index.interval.bytes"]),
    topic("local.retention.bytes", Long, "-2", "Bytes kept on the broker's own disk where tiered storage is on; -2 follows `retention.bytes`.").min(-2).bytes().under(&["log.local.retention.bytes"]).later(),
    topic("local.retention.ms", Long, "-2", "Time kept on the broker's own disk where tiered storage is on; -2 follows `retention.ms`.").min(-2).ms().under(&["log.local.retention.ms"]).later(),
    topic("max.compaction.lag.ms", Long, "9223372036854775807", "The longest time that a record stays uncompacted.").min(1).ms().under(&["log.cleaner.max.compaction.lag.ms"]),
    topic("max.message.bytes", Int, "1048588", "The largest batch accepted, as it is sent (compressed).").min(0).bytes().under(&["message.max.bytes"]),
    topic("max.decompressed.message.bytes", Int, "2147483639", "The largest record of a compressed batch, as it is uncompressed. Not asked of batches that come uncompressed.").min(1).both().dynamic().bytes().under(&["max.decompressed.message.bytes"]),
    topic("message.timestamp.type", String, "CreateTime", "Whether a record's timestamp is the producer's, or the time when the leader appended it.").valid(OneOf(TIMESTAMP_TYPES)).under(&["log.message.timestamp.type"]),
    topic("message.timestamp.before.max.ms", Long, "9223372036854775807", "How far a producer's timestamp may lie before the broker's clock.").min(0).ms().under(&["log.message.timestamp.before.max.ms"]),
    topic("message.timestamp.after.max.ms", Long, "3600000", "How far a producer's timestamp may lie after the broker's clock. A timestamp in the far future would keep its segment from ever being deleted by age.").min(0).ms().under(&["log.message.timestamp.after.max.ms"]),
    topic("min.cleanable.dirty.ratio", Double, "0.5", "A log is compacted once this share of it is not yet compacted.").valid(Ratio).under(&["log.cleaner.min.cleanable.ratio"]),
    topic("min.compaction.lag.ms", Long, "0", "How long a record is safe from compaction.").min(0).ms().under(&["log.cleaner.min.compaction.lag.ms"]),
    topic("min.insync.replicas", Int, "1", "With acks=all a write succeeds only while at least this many replicas are in sync; each of them has it then. With three replicas, 2 survives the loss of any one broker without losing records or availability.")
        .min(1).both().dynamic().under(&["min.insync.replicas"]),
    topic("preallocate", Boolean, "false", "Reserve the disk space of a segment when it is made.").under(&["log.preallocate"]),
    topic("remote.storage.enable", Boolean, "false", "Move old segments to remote storage.").valid(Off("there is no tiered storage here")).later(),
    topic("remote.log.copy.disable", Boolean, "false", "Stop copying segments to remote storage.").later(),
    topic("remote.log.delete.on.disable", Boolean, "false", "Delete remote segments when tiered storage is turned off for the topic.").later(),
    topic("remote.copy.lag.ms", Long, "0", "How old a segment is before it is copied to remote storage; -1 follows the local retention.").min(-1).ms().under(&["log.remote.copy.lag.ms"]).later(),
    topic("remote.copy.lag.bytes", Long, "-1", "How much of the log is younger than a segment that is copied to remote storage; -1 follows the local retention.").min(-1).bytes().under(&["log.remote.copy.lag.bytes"]).later(),
    topic("errors.deadletterqueue.group.enable", Boolean, "false", "Whether share groups may use the topic as a dead-letter queue.").later(),
    topic("retention.bytes", Long, "-1", "The size at which a partition's oldest segments are deleted; -1, as any negative number, is no limit. It counts per partition.").bytes().under(&["log.retention.bytes"]),
    topic("retention.ms", Long, "604800000", "The age at which a segment is deleted, by its newest timestamp; -1 is never.").min(-1).ms().under(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"]),
    topic("segment.bytes", Int, "1073741824", "The size at which the active segment is closed and a new one is made.").min(1_048_576).bytes().under(&["log.segment.bytes"]),
    topic("segment.index.bytes", Int, "10485760", "The size of a full index; the segment is closed then, too.").min(4).bytes().under(&["log.index.size.max.bytes"]),
    topic("segment.jitter.ms", Long, "0", "At most this much is taken off `segment.ms`, at random, so that partitions do not roll all at once.").min(0).ms().under(&["log.roll.jitter.ms", "log.roll.jitter.hours"]),
    topic("segment.ms", Long, "604800000", "The age at which the active segment is closed even if it is small, so that retention can get at it.").min(1).ms().under(&["log.roll.ms", "log.roll.hours"]),
    topic("unclean.leader.election.enable", Boolean, "false", "Where no in-sync replica is alive: false keeps the partition offline until one returns; true makes any living replica the leader, and records may be lost.")
        .both().dynamic().under(&["unclean.leader.election.enable"]),
    topic("ottla.durability", String, "replicated", "What an in-sync replica must have done before it counts for acks=all: `replicated`, the record is in its page cache (Kafka's meaning); `synced`, the record is synced to its disk.")
        .valid(OneOf(DURABILITIES)).both().dynamic().under(&["ottla.durability"]),
    topic("ottla.packed.validation", String, "full", "How far a compressed batch is looked into before it is appended: `full`, every record is walked, so that what cannot be read is refused and timestamps are those of the records; `header`, the batch's header is believed, which costs less and is for those who own their producers: a faulty one stops the partition's readers and its compaction, and may hide or expire records by a wrong timestamp.")
        .valid(OneOf(PACKED_VALIDATIONS)).both().dynamic().under(&["ottla.packed.validation"]),
    topic("internal.segment.bytes", Int, "0", "Overrides `segment.bytes` without its minimum, so that tests roll often; 0 does not.").min(0).bytes().both().under(&["internal.segment.bytes"]).internal(),
];

pub(super) const COMPRESSION_TYPES: &[&str] =
    &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
const PACKED_VALIDATIONS: &[&str] = &["full", "header"];
const DURABILITIES: &[&str] = &["replicated", "synced"];
