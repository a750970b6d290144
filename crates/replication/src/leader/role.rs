//! What a leader is told when it begins, and when the controller changes its partition.

use std::collections::BTreeMap;
use std::time::Duration;
use types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionEpoch};

/// The partition as the metadata image has it, on the broker that leads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderRole {
    /// This broker.
    pub id: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Distinct; contains `id`.
    pub replicas: Vec<NodeId>,
    /// Subset of `replicas`; contains `id`.
    pub isr: Vec<NodeId>,
    /// The replicas' brokers as the image has them; more brokers are ignored, a missing one counts
    /// as not registered. The leader itself need not be in it (its epoch is used if it is).
    pub brokers: BTreeMap<NodeId, BrokerState>,
}

/// One broker of the metadata image, as far as the ISR needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokerState {
    pub epoch: BrokerEpoch,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
}

/// A change of the partition's record in the same leader epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionChange {
    pub partition_epoch: PartitionEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    /// The settings of the same image. A former, higher `min.insync.replicas` kept the watermark
    /// back, and a new, lower one counts with the new ISR only; and the other way round. The
    /// controller takes its eligible leaders to hold what was committed by such pairs.
    pub config: LeaderConfig,
}

/// The leader's own log when it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderLog {
    pub start_offset: Offset,
    /// Also the start of this leader epoch.
    pub end_offset: Offset,
    /// Everything below is synced to disk. Only topics with durability `synced` look at it.
    pub durable_offset: Offset,
    /// What this broker knew as a follower or from its checkpoint.
    pub high_watermark: Offset,
}

/// The topic's settings; may change while leading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderConfig {
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max: Duration,
    /// `ottla.replica.slow.max.ms`: how long a follower may keep a produce waiting without progress;
    /// `None`: as long as it likes.
    pub slow_follower_max: Option<Duration>,
    /// `min.insync.replicas` as configured; never more than the number of replicas counts.
    pub min_insync_replicas: usize,
    /// `ottla.durability` = `synced`: the leader's own synced offset counts for the high watermark,
    /// not its log end. (Followers report synced offsets by themselves.)
    pub synced: bool,
}
