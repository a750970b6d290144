//! What a controller is told at its start. Times are durations; sizes are bounds with units in
//! their names. Everything here is fixed for the life of the controller.

use metadata::{ConfigRules, PlainConfigRules};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use types::NodeId;

/// A controller of `controller.quorum.voters`: its `node.id` and `host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub node_id: NodeId,
    pub address: String,
}

/// How a node finds the quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QuorumSource {
    /// `controller.quorum.voters`: all voters of a new cluster are named, this node among them.
    Voters(Vec<Voter>),
    /// `controller.quorum.bootstrap.servers`: `host:port` of controllers of a cluster to join.
    /// An empty list means that this node is alone and forms a cluster of one.
    Bootstrap(Vec<String>),
}

/// How Raft keeps time and space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftOptions {
    /// How often the active controller tells the others that it lives.
    pub heartbeat_interval: Duration,
    /// Another controller stands for election after a silence of `election_timeout_max` plus a
    /// random time between the two.
    pub election_timeout_min: Duration,
    /// See `election_timeout_min`.
    pub election_timeout_max: Duration,
    /// A snapshot is taken after this many Raft entries since the last one.
    pub snapshot_entries: u64,
    /// Entries kept behind a snapshot for followers that are a little late.
    pub keep_entries: u64,
    /// A log segment file is closed at this size; purging deletes whole files.
    pub log_segment_bytes: u64,
    /// The disk is a simulated one: no threads of our own, and no sled, which opens real files.
    pub simulated: bool,
}

impl Default for RaftOptions {
    fn default() -> RaftOptions {
        RaftOptions {
            heartbeat_interval: Duration::from_millis(200),
            election_timeout_min: Duration::from_millis(400),
            election_timeout_max: Duration::from_millis(700),
            snapshot_entries: 10_000,
            keep_entries: 2_000,
            log_segment_bytes: 16 << 20,
            simulated: false,
        }
    }
}

/// How the controller watches brokers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LivenessOptions {
    /// `broker.session.timeout.ms`: a broker silent for longer is fenced.
    pub session_timeout: Duration,
    /// The listener on which brokers serve each other, by name. A broker whose heartbeat stream
    /// ends is fenced at once if it refuses connections there. A broker that has no listener of
    /// this name must refuse on all that it has.
    pub probed_listener: Option<String>,
    /// `auto.leader.rebalance.enable` and `leader.imbalance.check.interval.seconds`; `None`: off.
    pub rebalance_interval: Option<Duration>,
}

impl Default for LivenessOptions {
    fn default() -> LivenessOptions {
        LivenessOptions {
            session_timeout: Duration::from_millis(1000),
            probed_listener: None,
            rebalance_interval: Some(Duration::from_secs(300)),
        }
    }
}

/// Cluster defaults that `metadata::decide` uses where a command does not say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `min.insync.replicas`: a cluster that has none for all brokers gets this one, so that the
    /// controller knows when a replica is an eligible leader (KIP-966). `None`: it gets none.
    pub min_insync_replicas: Option<u32>,
}

impl Default for TopicDefaults {
    fn default() -> TopicDefaults {
        TopicDefaults {
            partitions: 1,
            replication_factor: 1,
            unclean_leader_election: false,
            min_insync_replicas: None,
        }
    }
}

/// Everything [`crate::Controller::start`] needs.
#[derive(Clone)]
pub struct ControllerOptions {
    pub node_id: NodeId,
    /// Where this controller keeps its files; made if absent, locked while running.
    pub directory: PathBuf,
    pub quorum: QuorumSource,
    /// `host:port` at which other nodes reach this controller. Known only after the listener is
    /// bound where port 0 is asked for, so bind first.
    pub advertised_address: String,
    /// The cluster id to propose at birth; a random one where `None`. A directory that holds
    /// another id than this one makes the start fail.
    pub cluster_id: Option<String>,
    /// `controller.quorum.auto.join.enable`: the active controller takes in nodes that neither its
    /// configuration nor the quorum's membership names.
    pub auto_join: bool,
    pub raft: RaftOptions,
    pub liveness: LivenessOptions,
    pub topics: TopicDefaults,
    /// What keys there are and which values they take.
    pub config_rules: Arc<dyn ConfigRules + Send + Sync>,
    /// Most commands that wait for the batch in flight; more are refused with a retriable error.
    pub commands_queued_max: usize,
    /// Batches kept in memory for followers of the metadata.
    pub batches_kept_max: usize,
}

impl ControllerOptions {
    /// A controller with default times and bounds.
    pub fn new(
        node_id: NodeId,
        directory: PathBuf,
        quorum: QuorumSource,
        advertised_address: String,
    ) -> ControllerOptions {
        ControllerOptions {
            node_id,
            directory,
            quorum,
            advertised_address,
            cluster_id: None,
            auto_join: false,
            raft: RaftOptions::default(),
            liveness: LivenessOptions::default(),
            topics: TopicDefaults::default(),
            config_rules: Arc::new(PlainConfigRules),
            commands_queued_max: 4096,
            batches_kept_max: 10_000,
        }
    }
}
