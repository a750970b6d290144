//! Keys of the node, its place in the cluster, and the controllers' quorum.

use crate::Kind::*;
use crate::Valid::ListOf;
use crate::key::{Key, key, unset};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    unset("node.id", Int, "The node's number, its own in the whole cluster. Needed where a configuration is given.").min(0),
    unset("broker.id", Int, "An older name of `node.id`; both must agree where both are given.").min(-1),
    key("process.roles", List, "broker,controller", "What the node is: a broker serves clients and keeps partitions, a controller is a member of the quorum that keeps the cluster's metadata.")
        .valid(ListOf(&["broker", "controller"])),
    unset("broker.rack", String, "The rack, room or zone of the broker. Replicas of a partition are spread over racks."),
    key("controller.listener.names", List, "CONTROLLER", "Listeners that speak gRPC to controllers and the brokers that follow them."),
    unset("controller.quorum.voters", List, "The controllers, as `id@host:port` of their gRPC listeners, the same list on every node. A new cluster forms once all of them are up."),
    unset("controller.quorum.bootstrap.servers", List, "Where a node finds the quorum that it joins, as `host:port` of gRPC listeners. A controller for which it names only itself is a cluster of its own."),
    key("controller.quorum.request.timeout.ms", Int, "2000", "How long a request to a controller may take before another controller is tried.").min(1).ms(),
    key("controller.quorum.election.timeout.ms", Int, "1000", "Ottla's elections are timed by `ottla.raft.election.timeout.min.ms` and `.max.ms`.").min(1).ms().unneeded(),
    key("controller.quorum.fetch.timeout.ms", Int, "2000", "Raft here pushes instead of fetching; see `ottla.raft.election.timeout.max.ms`.").min(1).ms().unneeded(),
    key("controller.quorum.election.backoff.max.ms", Int, "1000", "Elections are spread by a random time; after one that nobody has won the next waits twice as long, eight times at most.").min(0).ms().unneeded(),
    key("controller.quorum.fetch.max.bytes", Int, "1048576", "Raft here pushes instead of fetching.").min(0).bytes().unneeded(),
    key("controller.quorum.fetch.snapshot.max.bytes", Int, "1048576", "Raft here pushes instead of fetching.").min(0).bytes().unneeded(),
    key("controller.quorum.append.linger.ms", Int, "25", "Commands that arrive while a batch is in flight form the next one, so nothing waits.").min(0).ms().unneeded(),
    key("controller.quorum.retry.backoff.ms", Int, "20", "The wait before a failed request to a controller is tried again.").min(0).ms().unneeded(),
    key("controller.quorum.auto.join.enable", Boolean, "false", "Whether the active controller makes voters of controllers that `controller.quorum.voters` does not name, which have found it by `controller.quorum.bootstrap.servers`. A known one whose disk was wiped or replaced always comes back. In any case the controller that joins has to answer at its address."),
    key("ottla.raft.heartbeat.interval.ms", Int, "200", "How often the leader of the controllers says that it lives. Raft's clock ticks five times as often, and most of what an idle node does hangs on it: at 100 an idle node takes half as much again of a core.").min(10).ms(),
    key("ottla.raft.election.timeout.min.ms", Int, "400", "A controller that has heard nothing from the leader for `ottla.raft.election.timeout.max.ms` plus a random time between this and that stands for election.").min(30).ms(),
    key("ottla.raft.election.timeout.max.ms", Int, "700", "See `ottla.raft.election.timeout.min.ms`. With the defaults, a leader that falls silent (a paused process, a cut network, a host without power) has a successor after 1.1 to 1.4 seconds, and one that is merely short of processor time for a second keeps its place. A leader whose process dies is not waited for: its connections close, and the others elect at once. Where a controller's own disk is slow it waits for four of its syncs more, since others have to sync their votes.").min(30).ms(),
    key("ottla.raft.log.segment.bytes", Long, "16777216", "Size of a file of the Raft log. All of it is reserved when the file is made, so that a sync has no file size to write.").range(65_536, 1 << 30).bytes(),
    key("broker.heartbeat.interval.ms", Int, "200", "How often a broker says to every controller that it lives. Five heartbeats fit in a session, so that one that is late or lost does not fence a broker; ten would double the idle traffic and gain nothing.").min(10).ms(),
    key("broker.session.timeout.ms", Int, "1000", "A broker that has been silent for this long is fenced, and its partitions get other leaders. It is nearly all of the time that clients of a dead broker wait, so it is short; Kafka's 9000 suits controllers that share threads with bulk work and brokers that stop for garbage collection, and neither is so here.").min(50).ms(),
    key("initial.broker.registration.timeout.ms", Int, "60000", "A starting broker tries to register for as long as it takes.").min(1).ms().unneeded(),
    key("controlled.shutdown.enable", Boolean, "true", "Whether a broker that is told to stop gives its leaderships away first."),
    key("controlled.shutdown.max.retries", Int, "3", "A controlled shutdown is bounded by time; see `ottla.shutdown.timeout.ms`.").min(0).unneeded(),
    key("controlled.shutdown.retry.backoff.ms", Long, "5000", "See `controlled.shutdown.max.retries`.").min(0).ms().unneeded(),
    key("ottla.shutdown.timeout.ms", Int, "5000", "A clean stop takes no longer than this: without a quorum, or without another replica to lead, the node flushes and exits.").min(0).ms(),
    unset("metadata.log.dir", String, "Where the Raft log, its snapshots and the applied state are kept; without it, the first of `log.dirs`."),
    key("metadata.log.segment.bytes", Int, "1073741824", "Ottla's Raft log is cut at snapshots instead.").min(12).bytes().unneeded(),
    key("metadata.log.segment.ms", Long, "604800000", "See `metadata.log.segment.bytes`.").min(0).ms().unneeded(),
    key("metadata.log.max.record.bytes.between.snapshots", Long, "20971520", "Snapshots follow the number of batches: see `ottla.metadata.log.max.entries.between.snapshots`.").min(1).bytes().unneeded(),
    key("ottla.metadata.log.max.entries.between.snapshots", Long, "5000", "A snapshot is made after this many batches of metadata records.").min(1),
    key("metadata.log.max.snapshot.interval.ms", Long, "3600000", "Snapshots follow the size of the log, not the clock.").min(0).ms().unneeded(),
    key("metadata.max.retention.bytes", Long, "104857600", "The log below the latest snapshot is dropped when the snapshot is made.").bytes().unneeded(),
    key("metadata.max.retention.ms", Long, "604800000", "See `metadata.max.retention.bytes`.").ms().unneeded(),
    key("metadata.max.idle.interval.ms", Int, "500", "Nothing has to be written for followers to know that the log is idle.").min(0).ms().unneeded(),
    key("server.max.startup.time.ms", Long, "9223372036854775807", "Longest time for a start.").min(0).ms().unneeded(),
    key("eligible.leader.replicas.enable", Boolean, "false", "Eligible leader replicas (KIP-966).").later(),
    key("background.threads", Int, "10", "Threads are made as needed.").min(1).dynamic().unneeded(),
    key("ottla.http.listener", String, "127.0.0.1:9095", "`host:port` for metrics (`/metrics`) and the checks `/livez` and `/readyz`; an empty host (`:9095`) is all interfaces, an empty value none."),
];
