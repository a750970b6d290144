//! Broker keys of the log: directories, the defaults under topic keys, retention, cleaning.

use super::topic::TIMESTAMP_TYPES;
use crate::Kind::*;
use crate::Unit::*;
use crate::Valid::{ListOf, OneOf, Ratio};
use crate::key::{Key, key, unset};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    unset("log.dirs", List, "Directories for partitions, comma-separated; a new partition goes to the one with the fewest. Without it, `log.dir` counts."),
    key("log.dir", String, "./ottla-data", "The one directory for partitions, where `log.dirs` is not set."),
    key("num.partitions", Int, "1", "Partitions of a new topic where the request does not say.").min(1),
    key("auto.create.topics.enable", Boolean, "true", "Whether the first use of a topic's name makes the topic."),
    key("delete.topic.enable", Boolean, "true", "Whether topics can be deleted."),
    key("log.cleanup.policy", List, "delete", "Default of `cleanup.policy`.").valid(ListOf(&["delete", "compact"])).dynamic(),
    unset("log.retention.ms", Long, "Default of `retention.ms`; wins over minutes and hours.").min(-1).ms().dynamic(),
    unset("log.retention.minutes", Int, "Default of `retention.ms` in minutes; wins over hours.").min(-1).unit(Minutes),
    key("log.retention.hours", Int, "168", "Default of `retention.ms` in hours.").min(-1).unit(Hours),
    key("log.retention.bytes", Long, "-1", "Default of `retention.bytes`.").min(-1).bytes().dynamic(),
    key("log.retention.check.interval.ms", Long, "300000", "How often retention looks for segments to delete.").min(1).ms(),
    key("log.segment.bytes", Int, "1073741824", "Default of `segment.bytes`.").min(1_048_576).bytes().dynamic(),
    unset("log.roll.ms", Long, "Default of `segment.ms`; wins over hours.").min(1).ms().dynamic(),
    key("log.roll.hours", Int, "168", "Default of `segment.ms` in hours.").min(1).unit(Hours),
    unset("log.roll.jitter.ms", Long, "Default of `segment.jitter.ms`; wins over hours.").min(0).ms().dynamic(),
    key("log.roll.jitter.hours", Int, "0", "Default of `segment.jitter.ms` in hours.").min(0).unit(Hours),
    key("log.index.size.max.bytes", Int, "10485760", "Default of `segment.index.bytes`.").min(4).bytes().dynamic(),
    key("log.index.interval.bytes", Int, "4096", "Default of `index.interval.bytes`.").min(0).bytes().dynamic(),
    key("log.flush.interval.messages", Long, "9223372036854775807", "Default of `flush.messages`.").min(1).unit(Records).dynamic(),
    unset("log.flush.interval.ms", Long, "Default of `flush.ms`.").min(0).ms().dynamic(),
    key("log.flush.scheduler.interval.ms", Long, "9223372036854775807", "Default of `flush.ms` where `log.flush.interval.ms` is not set.").min(0).ms(),
    key("log.flush.offset.checkpoint.interval.ms", Int, "60000", "How often the recovery points are written down: recovery after a crash starts at them.").min(0).ms(),
    key("log.flush.start.offset.checkpoint.interval.ms", Int, "60000", "How often the log start offsets are written down.").min(0).ms(),
    key("log.segment.delete.delay.ms", Long, "60000", "Default of `file.delete.delay.ms`.").min(0).ms().dynamic(),
    key("log.preallocate", Boolean, "false", "Default of `preallocate`.").dynamic(),
    key("log.initial.task.delay.ms", Long, "30000", "How long after the start retention and checkpoints begin.").min(0).ms(),
    key("log.message.timestamp.type", String, "CreateTime", "Default of `message.timestamp.type`.").valid(OneOf(TIMESTAMP_TYPES)).dynamic(),
    key("log.message.timestamp.before.max.ms", Long, "9223372036854775807", "Default of `message.timestamp.before.max.ms`.").min(0).ms().dynamic(),
    key("log.message.timestamp.after.max.ms", Long, "3600000", "Default of `message.timestamp.after.max.ms`.").min(0).ms().dynamic(),
    key("log.local.retention.bytes", Long, "-2", "Default of `local.retention.bytes`.").min(-2).bytes().dynamic().later(),
    key("log.local.retention.ms", Long, "-2", "Default of `local.retention.ms`.").min(-2).ms().dynamic().later(),
    key("log.dir.failure.timeout.ms", Long, "30000", "How long the controller may take to accept the failure of a log directory before the broker stops.").min(1).ms().later(),
    key("message.max.bytes", Int, "1048588", "Default of `max.message.bytes`.").min(0).bytes().dynamic(),
    key("num.recovery.threads.per.data.dir", Int, "2", "Threads per log directory that recover logs at the start.").min(1),
    key("producer.id.expiration.ms", Int, "86400000", "How long a partition remembers an idle idempotent producer.").min(1).ms(),
    key("producer.id.expiration.check.interval.ms", Int, "600000", "How often idle idempotent producers are looked for.").min(1).ms().unneeded(),
    key("log.cleaner.enable", Boolean, "true", "Whether compaction runs."),
    key("log.cleaner.threads", Int, "1", "Threads that compact.").min(0),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728", "Memory for the map of keys, over all cleaner threads.").min(0).bytes(),
    key("log.cleaner.io.buffer.size", Int, "524288", "Memory for reading and writing, over all cleaner threads.").min(0).bytes(),
    key("log.cleaner.io.buffer.load.factor", Double, "0.9", "How full the map of keys may get.").valid(Ratio),
    key("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", "Most that cleaning reads and writes.").unit(BytesPerSecond),
    key("log.cleaner.backoff.ms", Long, "15000", "How long a cleaner thread rests where nothing is to clean.").min(0).ms(),
    key("log.cleaner.min.cleanable.ratio", Double, "0.5", "Default of `min.cleanable.dirty.ratio`.").valid(Ratio).dynamic(),
    key("log.cleaner.delete.retention.ms", Long, "86400000", "Default of `delete.retention.ms`.").min(0).ms().dynamic(),
    key("log.cleaner.min.compaction.lag.ms", Long, "0", "Default of `min.compaction.lag.ms`.").min(0).ms().dynamic(),
    key("log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", "Default of `max.compaction.lag.ms`.").min(1).ms().dynamic(),
    key("ottla.log.open.files.max", Int, "10000", "Most segments whose files are kept open; the least recently used are closed beyond it.").min(10).later(),
];
