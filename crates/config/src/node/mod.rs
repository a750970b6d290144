//! A node's configuration, typed, in groups by who needs it.

mod build;
mod listeners;
mod transfer;
mod values;

pub use transfer::FetchTransfer;

use crate::{
    CleanerConfig, ConfigErrors, Endpoint, HttpListener, Listener, ListenerRole, Properties,
};
use std::path::PathBuf;
use std::time::Duration;
use types::NodeId;

/// Everything that a node is started with.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeConfig {
    pub node_id: NodeId,
    pub roles: Roles,
    /// `broker.rack`
    pub rack: Option<String>,
    pub network: NetworkConfig,
    pub requests: RequestConfig,
    pub quorum: QuorumConfig,
    pub liveness: LivenessConfig,
    pub replication: ReplicationConfig,
    pub storage: StorageConfig,
    pub topics: TopicDefaults,
    pub groups: GroupConfig,
    pub internal_topics: InternalTopicConfig,
    /// The file, environment and overrides together: the static layer for topic configs and
    /// DescribeConfigs.
    pub properties: Properties,
    /// Keys that were accepted but do nothing (yet), one sentence each; to be logged at start.
    pub warnings: Vec<String>,
}

/// `process.roles`: at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

/// Listening and being found.
#[derive(Clone, PartialEq, Debug)]
pub struct NetworkConfig {
    /// All, in the order of `listeners`; a broker always has one of role Kafka and a gRPC one.
    pub listeners: Vec<Listener>,
    /// What clients and other nodes are told, one per listener, in the same order. An empty host is
    /// the machine's name (see [`NodeConfig::advertise_as`]), port 0 the port that was bound.
    pub advertised: Vec<Endpoint>,
    /// `ottla.http.listener` as host:port; `None` where it is empty (no HTTP).
    pub http: Option<HttpListener>,
    /// `max.connections`
    pub max_connections: u32,
    /// `max.connections.per.ip`
    pub max_connections_per_ip: u32,
    /// `max.connection.creation.rate`
    pub max_connection_creation_rate: u32,
    /// `ottla.grpc.connections.max`: of each gRPC listener.
    pub grpc_connections_max: u32,
    /// `ottla.http.connections.max`
    pub http_connections_max: u32,
    /// `connections.max.idle.ms`; `None` = never closed for idleness.
    pub connections_max_idle: Option<Duration>,
    /// `socket.send.buffer.bytes`; `None` = the system's default (-1).
    pub socket_send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`
    pub socket_receive_buffer_bytes: Option<u32>,
    /// `socket.listen.backlog.size`
    pub socket_listen_backlog: u32,
}

/// Bounds on what a request may be and take.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestConfig {
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: u32,
    /// `queued.max.requests`: requests in progress over all connections.
    pub queued_max_requests: u32,
    /// `queued.max.request.bytes`; `None` = no limit.
    pub queued_max_request_bytes: Option<u64>,
    /// `ottla.connection.inflight.max`: requests in progress on one connection.
    pub connection_inflight_max: u32,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: u32,
    /// `ottla.fetch.transfer`
    pub fetch_transfer: FetchTransfer,
    /// `max.request.partition.size.limit`
    pub max_request_partitions: u32,
    /// `request.timeout.ms`
    pub request_timeout: Duration,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `auto.create.topics.enable`
    pub auto_create_topics_enable: bool,
}

/// One voter of `controller.quorum.voters`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub node_id: NodeId,
    pub host: String,
    pub port: u16,
}

/// The controllers' quorum.
#[derive(Clone, PartialEq, Debug)]
pub struct QuorumConfig {
    /// `controller.quorum.voters`; empty where the node finds or is the quorum by `bootstrap`.
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`, host:port; empty with voters, or on a lone node.
    pub bootstrap: Vec<(String, u16)>,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
    /// `controller.quorum.request.timeout.ms`
    pub request_timeout: Duration,
    /// `ottla.raft.heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// `ottla.raft.election.timeout.min.ms`
    pub election_timeout_min: Duration,
    /// `ottla.raft.election.timeout.max.ms`
    pub election_timeout_max: Duration,
    /// `ottla.metadata.log.max.entries.between.snapshots`
    pub snapshot_entries: u64,
    /// `ottla.raft.log.segment.bytes`
    pub log_segment_bytes: u64,
    /// `metadata.log.dir`, or the first of `log.dirs`.
    pub metadata_dir: PathBuf,
}

/// Who is alive, and going down well.
#[derive(Clone, PartialEq, Debug)]
pub struct LivenessConfig {
    /// `broker.heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`
    pub session_timeout: Duration,
    /// `controlled.shutdown.enable`
    pub controlled_shutdown: bool,
    /// `ottla.shutdown.timeout.ms`: a clean stop takes no longer.
    pub shutdown_timeout: Duration,
}

/// Replicas and leaders.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicationConfig {
    /// `replica.lag.time.max.ms`
    pub lag_time_max: Duration,
    /// `ottla.replica.slow.max.ms`; `None`: a follower may be as slow as `lag_time_max` lets it.
    pub slow_follower_max: Option<Duration>,
    /// `replica.fetch.max.bytes`: per partition and chunk.
    pub fetch_max_bytes: u32,
    /// `replica.fetch.response.max.bytes`: per message of a replica stream.
    pub fetch_response_max_bytes: u32,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub high_watermark_checkpoint_interval: Duration,
    /// `auto.leader.rebalance.enable`
    pub auto_leader_rebalance: bool,
    /// `leader.imbalance.check.interval.seconds`
    pub leader_imbalance_check_interval: Duration,
}

/// Directories and upkeep of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct StorageConfig {
    /// `log.dirs`, else `log.dir`; at least one.
    pub log_dirs: Vec<PathBuf>,
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads_per_dir: u32,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub recovery_point_checkpoint_interval: Duration,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`
    pub producer_expiration_check_interval: Duration,
    /// `log.cleaner.enable`
    pub cleaner_enable: bool,
    /// As the node starts with it; see [`CleanerConfig::resolve`].
    pub cleaner: CleanerConfig,
    pub tail_cache: TailCacheConfig,
    pub disks: DiskConfig,
    /// `ottla.log.open.files.max`: segments kept open at most.
    pub open_files_max: u32,
}

/// The newest batches in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TailCacheConfig {
    /// `ottla.tail.cache.bytes`; 0: off.
    pub node_bytes: u64,
    /// `ottla.tail.cache.partition.bytes`; 0: off.
    pub partition_bytes: u64,
}

/// Disks that hang or forget.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DiskConfig {
    /// `ottla.disk.stall.ms`; `None`: disks may hang.
    pub stall: Option<Duration>,
    /// `ottla.scrub.bytes.per.second`; 0: off.
    pub scrub_bytes_per_second: u64,
    /// `ottla.scrub.interval.ms`
    pub scrub_interval: Duration,
}

/// What a new topic gets where the request does not say.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TopicDefaults {
    /// `num.partitions`
    pub partitions: u32,
    /// `default.replication.factor`
    pub replication_factor: u16,
}

/// Consumer groups.
#[derive(Clone, PartialEq, Debug)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`
    pub max_size: u32,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_max_bytes: u32,
    /// `offsets.commit.timeout.ms`
    pub offsets_commit_timeout: Duration,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval: Duration,
}

/// How the brokers' own topics are made.
#[derive(Clone, PartialEq, Debug)]
pub struct InternalTopicConfig {
    /// `offsets.topic.num.partitions`
    pub offsets_partitions: u32,
    /// `offsets.topic.replication.factor`; made with fewer where fewer brokers are alive.
    pub offsets_replication_factor: u16,
    /// `offsets.topic.segment.bytes`
    pub offsets_segment_bytes: u32,
    /// `transaction.state.log.num.partitions`
    pub transactions_partitions: u32,
    /// `transaction.state.log.replication.factor`
    pub transactions_replication_factor: u16,
    /// `transaction.state.log.min.isr`
    pub transactions_min_isr: u32,
    /// `transaction.state.log.segment.bytes`
    pub transactions_segment_bytes: u32,
}

impl NodeConfig {
    /// Checks and types what was given. All problems are reported together.
    pub fn from_properties(properties: Properties) -> Result<NodeConfig, ConfigErrors> {
        build::build(properties)
    }

    /// The listener of this role, if the node has one.
    pub fn listener(&self, role: ListenerRole) -> Option<&Listener> {
        self.network.listeners.iter().find(|listener| listener.role == role)
    }

    /// Whether the node is a whole cluster by itself: a controller that no other is named beside.
    pub fn is_alone(&self) -> bool {
        self.roles.controller && self.quorum.voters.is_empty() && self.quorum.bootstrap.is_empty()
    }

    /// Gives the machine's name to advertised addresses without a host (as for `PLAINTEXT://:9092`).
    pub fn advertise_as(&mut self, host: &str) {
        for endpoint in &mut self.network.advertised {
            if endpoint.host.is_empty() {
                endpoint.host = host.to_owned();
            }
        }
    }
}
