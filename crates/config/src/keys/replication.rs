//! Keys of replicas and leaders.

use crate::Kind::*;
use crate::Unit::*;
use crate::key::{Key, key, unset};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("default.replication.factor", Int, "1", "Replicas of a new topic where the request does not say.").range(1, 32767),
    key("replica.lag.time.max.ms", Long, "30000", "A follower that has not caught up with its leader for this long leaves the in-sync replicas. A dead broker leaves them much sooner, when it is fenced.").min(1).ms(),
    key("ottla.replica.slow.max.ms", Long, "1500", "A follower that keeps a produce with acks=all waiting for this long, and for eight times its usual time, without any progress, leaves the in-sync replicas, if another one keeps up and enough remain for `min.insync.replicas`. It comes back after a rest that grows with each time. A busy follower moves, and stays. 0: never.").min(0).ms(),
    key("replica.fetch.max.bytes", Int, "1048576", "Bytes of one partition that a leader sends a follower at a time; a larger batch is still sent whole.").min(1).bytes(),
    key("replica.fetch.response.max.bytes", Int, "10485760", "Bytes of all partitions that a leader sends a follower at a time. More than 2 MiB are not sent in one message in any case: that would only delay the first of them.").min(1).bytes(),
    key("replica.fetch.wait.max.ms", Int, "500", "A leader sends what there is at once, and nothing where there is nothing.").min(1).ms().unneeded(),
    key("replica.fetch.min.bytes", Int, "1", "Followers are sent what there is at once.").min(0).bytes().unneeded(),
    key("replica.fetch.backoff.ms", Int, "1000", "A follower tries a leader whose stream broke again after 50 ms.").min(0).ms().unneeded(),
    key("num.replica.fetchers", Int, "1", "One stream from each leader's broker carries all of its partitions.").min(1).unneeded(),
    key("replica.socket.timeout.ms", Int, "30000", "Replica streams are gRPC, with keep-alives.").min(1).ms().unneeded(),
    key("replica.socket.receive.buffer.bytes", Int, "65536", "Replica streams are gRPC, with flow control by credit.").min(-1).bytes().unneeded(),
    key("controller.socket.timeout.ms", Int, "30000", "See `controller.quorum.request.timeout.ms`.").min(1).ms().unneeded(),
    key("replica.high.watermark.checkpoint.interval.ms", Long, "5000", "How often high watermarks are written down.").min(1).ms(),
    unset("replica.selector.class", Class, "How consumers are sent to the nearest replica.").later(),
    key("auto.leader.rebalance.enable", Boolean, "true", "Whether leaderships go back to the first replica of each partition when it is in sync."),
    key("leader.imbalance.check.interval.seconds", Long, "300", "How often the controller looks for leaderships to give back.").min(1).unit(Seconds),
    key("unclean.leader.election.interval.ms", Long, "300000", "How often the controller looks for offline partitions whose topics allow unclean election.").min(1).ms().later(),
    key("num.replica.alter.log.dirs.threads", Int, "1", "Threads that move replicas between log directories.").min(1).unneeded(),
    key("leader.replication.throttled.rate", Long, "9223372036854775807", "Bytes per second that leaders send to throttled followers.").min(0).unit(BytesPerSecond).per_broker().later(),
    key("follower.replication.throttled.rate", Long, "9223372036854775807", "Bytes per second that throttled followers fetch.").min(0).unit(BytesPerSecond).per_broker().later(),
    key("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", "Bytes per second for moves between log directories.").min(0).unit(BytesPerSecond).per_broker().later(),
    unset("inter.broker.protocol.version", String, "Nodes agree on features by themselves.").unneeded(),
];
