//! Broker keys of the log: directories, the defaults under topic keys, retention, cleaning.

use super::topic::TIMESTAMP_TYPES;
use crate::Kind::*;
use crate::Unit::*;
use crate::Valid::{BetweenNot0, ListOf, OneOf, Ratio};
use crate::key::{Key, key, unset};

/// No records at all would be kept with 0.
const ANY_AGE: crate::Valid = BetweenNot0(i64::MIN, i64::MAX);

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    unset("log.dirs", List, "Directories for partitions, comma-separated; a new partition goes to the one with the fewest. Without it, `log.dir` counts."),
    key("log.dir", String, "./ottla-data", "The one directory for partitions, where `log.dirs` is not set."),
    key("num.partitions", Int, "1", "Partitions of a new topic where the request does not say.").min(1),
    key("auto.create.topics.enable", Boolean, "true", "Whether the first use of a topic's name makes the topic."),
    key("delete.topic.enable", Boolean, "true", "Whether topics can be deleted."),
    key("log.cleanup.policy", List, "delete", "Default of `cleanup.policy`.").valid(ListOf(&["delete", "compact"])).dynamic(),
    unset("log.retention.ms", Long, "Default of `retention.ms`; wins over minutes and hours. Negative: for ever.").valid(ANY_AGE).ms().dynamic(),
    unset("log.retention.minutes", Int, "Default of `retention.ms` in minutes; wins over hours. Negative: for ever.").valid(ANY_AGE).unit(Minutes),
    key("log.retention.hours", Int, "168", "Default of `retention.ms` in hours. Negative: for ever.").valid(ANY_AGE).unit(Hours),
    key("log.retention.bytes", Long, "-1", "Default of `retention.bytes`.").bytes().dynamic(),
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
    key("log.flush.start.offset.checkpoint.interval.ms", Int, "60000", "Log start offsets are written down with the recovery points: see `log.flush.offset.checkpoint.interval.ms`.").min(0).ms().unneeded(),
    key("log.segment.delete.delay.ms", Long, "60000", "Default of `file.delete.delay.ms`.").min(0).ms().dynamic(),
    key("log.preallocate", Boolean, "false", "Default of `preallocate`.").dynamic(),
    key("log.initial.task.delay.ms", Long, "30000", "Retention and checkpoints begin within one of their intervals.").min(0).ms().unneeded(),
    key("log.message.timestamp.type", String, "CreateTime", "Default of `message.timestamp.type`.").valid(OneOf(TIMESTAMP_TYPES)).dynamic(),
    key("log.message.timestamp.before.max.ms", Long, "9223372036854775807", "Default of `message.timestamp.before.max.ms`.").min(0).ms().dynamic(),
    key("log.message.timestamp.after.max.ms", Long, "3600000", "Default of `message.timestamp.after.max.ms`.").min(0).ms().dynamic(),
    key("log.local.retention.bytes", Long, "-2", "Default of `local.retention.bytes`.").min(-2).bytes().dynamic().later(),
    key("log.local.retention.ms", Long, "-2", "Default of `local.retention.ms`.").min(-2).ms().dynamic().later(),
    key("log.remote.copy.lag.ms", Long, "0", "Default of `remote.copy.lag.ms`.").min(-1).ms().dynamic().later(),
    key("log.remote.copy.lag.bytes", Long, "-1", "Default of `remote.copy.lag.bytes`.").min(-1).bytes().dynamic().later(),
    key("log.dir.failure.timeout.ms", Long, "30000", "How long the controller may take to accept the failure of a log directory before the broker stops.").min(1).ms().later(),
    key("message.max.bytes", Int, "1048588", "Default of `max.message.bytes`.").min(0).bytes().dynamic(),
    key("num.recovery.threads.per.data.dir", Int, "2", "Threads that recover logs at the start, for each log directory, and that make those of new partitions.").min(1),
    key("producer.id.expiration.ms", Int, "86400000", "How long a partition remembers an idempotent producer that it does not hear of. Counted by a clock that does not jump, while the broker runs; timestamps of records do not matter.").min(1).ms(),
    key("producer.id.expiration.check.interval.ms", Int, "600000", "How often idle idempotent producers are looked for.").min(1).ms(),
    key("log.cleaner.enable", Boolean, "true", "Whether compaction runs."),
    key("log.cleaner.threads", Int, "1", "Threads that compact. While the node runs, at least 1; a change of this, or of the memory of all threads, begins compactions anew that are under way.").range(0, 1000).dynamic(),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728", "Memory for the map of keys, over all cleaner threads.").min(0).bytes().dynamic(),
    key("log.cleaner.io.buffer.size", Int, "524288", "Memory for reading and writing, over all cleaner threads.").min(0).bytes().dynamic(),
    key("log.cleaner.io.buffer.load.factor", Double, "0.9", "How full the map of keys may get.").valid(Ratio).dynamic(),
    key("log.cleaner.io.max.bytes.per.second", Double, "1.7976931348623157E308", "Most that cleaning reads and writes.").unit(BytesPerSecond).dynamic(),
    key("log.cleaner.backoff.ms", Long, "15000", "How long a cleaner thread rests where nothing is to clean.").min(0).ms().dynamic(),
    key("log.cleaner.min.cleanable.ratio", Double, "0.5", "Default of `min.cleanable.dirty.ratio`.").valid(Ratio).dynamic(),
    key("log.cleaner.delete.retention.ms", Long, "86400000", "Default of `delete.retention.ms`.").min(0).ms().dynamic(),
    key("log.cleaner.min.compaction.lag.ms", Long, "0", "Default of `min.compaction.lag.ms`.").min(0).ms().dynamic(),
    key("log.cleaner.max.compaction.lag.ms", Long, "9223372036854775807", "Default of `max.compaction.lag.ms`.").min(1).ms().dynamic(),
    key("ottla.disk.stall.ms", Long, "2000", "A log directory in which an append, a read or an awaited sync is out for this long is stuck: its leaderships go to other brokers, and come back once it has answered quickly for a while. Longer than a healthy disk takes beside full writeback, shorter than clients wait. 0: never.").min(0).ms(),
    key("ottla.scrub.bytes.per.second", Long, "8388608", "How fast each log directory's closed segments are read in the background to find damage. 0: never.").min(0).unit(BytesPerSecond),
    key("ottla.scrub.interval.ms", Long, "604800000", "How long after the begin of a background check the next one begins, at the earliest.").min(1).ms(),
    key("ottla.tail.cache.bytes", Long, "67108864", "Memory for record batches that were appended here and that followers in sync have not all fetched yet, over all partitions: they are sent from there, not read from the log. 0: always from the log.").min(0).bytes(),
    key("ottla.tail.cache.partition.bytes", Long, "4194304", "Most of `ottla.tail.cache.bytes` that one partition takes; a follower that is further behind reads the log. 0: always from the log.").min(0).bytes(),
    key("ottla.log.open.files.max", Int, "10000", "Most segment files (logs and their indexes) that are kept open, over all partitions. Files are opened at their first use; beyond this bound the least recently used are closed, and opened again on demand. Those that were written and not yet synced are synced first. Never more than a share of the files that the process may open (`ulimit -n`): 1,805 of 4,096.").min(10),
];
