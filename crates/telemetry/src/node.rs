//! The node as a whole: connections, replicas, elections, metadata.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a partition got another leader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
pub enum ElectionKind {
    /// From the in-sync replicas, after the leader was fenced or stopped.
    Clean,
    /// Outside them: records may be lost.
    Unclean,
    /// Back to the first replica.
    Preferred,
}

/// Why a connection was closed by the broker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
pub enum RefusedConnection {
    /// `max.connections`, `max.connections.per.ip`, or the bounds of gRPC and HTTP connections.
    TooMany,
    /// The process has no descriptor left for it.
    NoDescriptor,
    /// A frame, header or body that does not parse, or an API that is not offered.
    BadRequest,
    /// `connections.max.idle.ms`
    Idle,
}

impl RefusedConnection {
    const ALL: [RefusedConnection; 4] = [
        RefusedConnection::TooMany,
        RefusedConnection::NoDescriptor,
        RefusedConnection::BadRequest,
        RefusedConnection::Idle,
    ];
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct ListenerLabel {
    pub(crate) listener: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct ElectionLabel {
    pub(crate) kind: ElectionKind,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(crate) struct RefusedLabel {
    pub(crate) reason: RefusedConnection,
}

/// The registered metrics.
#[derive(Default)]
pub(crate) struct NodeCells {
    pub(crate) connections: Family<ListenerLabel, Gauge>,
    pub(crate) connections_opened: Family<ListenerLabel, Counter>,
    pub(crate) connections_refused: Family<RefusedLabel, Counter>,
    pub(crate) descriptor_shortages: Gauge,
    pub(crate) request_memory_bytes: Gauge,
    pub(crate) request_memory_waits: Counter,
    pub(crate) replicas: ReplicaCells,
    pub(crate) cluster: ClusterCells,
}

/// This broker's replicas.
#[derive(Default)]
pub(crate) struct ReplicaCells {
    pub(crate) partitions: Gauge,
    pub(crate) leaders: Gauge,
    pub(crate) under_replicated: Gauge,
    pub(crate) under_min_isr: Gauge,
    pub(crate) isr_shrinks: Counter,
    pub(crate) isr_expands: Counter,
    pub(crate) offline_log_dirs: Gauge,
    pub(crate) disk_stalls: Counter,
    pub(crate) slow_followers: Counter,
    pub(crate) damage: DamageCells,
    pub(crate) tails: TailCells,
    pub(crate) unwell_log_dirs: Gauge,
}

/// Damage in logs, and what is done about it.
#[derive(Default)]
pub(crate) struct DamageCells {
    pub(crate) replicas: Gauge,
    pub(crate) quarantined: Counter,
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) scrub_rounds: Counter,
    pub(crate) scrub_findings: Counter,
}

/// What followers of partitions led here were sent, and from where.
#[derive(Default)]
pub(crate) struct TailCells {
    pub(crate) held_bytes: Gauge,
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) hit_bytes: Counter,
}

impl TailCells {
    fn register(&self, registry: &mut Registry) {
        let help = "Bytes of records in memory that followers in sync are about to fetch";
        registry.register("tail_cache_bytes", help, self.held_bytes.clone());
        let help = "Reads for followers that were answered from memory";
        registry.register("tail_cache_hits", help, self.hits.clone());
        let help = "Reads for followers that were answered from the log's files";
        registry.register("tail_cache_misses", help, self.misses.clone());
        let help = "Bytes that followers were sent from memory";
        registry.register("tail_cache_hit_bytes", help, self.hit_bytes.clone());
    }
}

impl DamageCells {
    fn register(&self, registry: &mut Registry) {
        let help = "Replicas with damage that is known and not repaired";
        registry.register("damaged_replicas", help, self.replicas.clone());
        let help = "Damaged replicas that were set aside to be built anew";
        registry.register("quarantined_replicas", help, self.quarantined.clone());
        let help = "Bytes that the scrubber has read";
        registry.register("scrubbed_bytes", help, self.scrubbed_bytes.clone());
        let help = "Times that the scrubber went over a whole log directory";
        registry.register("scrub_rounds", help, self.scrub_rounds.clone());
        let help = "Damaged places that the scrubber found";
        registry.register("scrub_findings", help, self.scrub_findings.clone());
    }
}

/// The cluster, as this node sees it.
#[derive(Default)]
pub(crate) struct ClusterCells {
    pub(crate) active_controller: Gauge,
    pub(crate) metadata_version: Gauge,
    pub(crate) offline_partitions: Gauge,
    pub(crate) active_brokers: Gauge,
    pub(crate) fenced_brokers: Gauge,
    pub(crate) elections: Family<ElectionLabel, Counter>,
}

impl NodeCells {
    pub(crate) fn register(registry: &mut Registry) -> NodeCells {
        let cells = NodeCells::default();
        registry.register("connections", "Client connections open", cells.connections.clone());
        let help = "Client connections accepted";
        registry.register("connections_opened", help, cells.connections_opened.clone());
        let help = "Connections of clients, of gRPC and of HTTP closed by the node";
        // From zero: a rate can be taken of the first one.
        for reason in RefusedConnection::ALL {
            drop(cells.connections_refused.get_or_create(&RefusedLabel { reason }));
        }
        registry.register("connections_refused", help, cells.connections_refused.clone());
        let help = "Times that the process had no descriptor left for a file";
        registry.register("descriptor_shortages", help, cells.descriptor_shortages.clone());
        let help = "Memory that client requests hold until they are done";
        registry.register("request_memory_bytes", help, cells.request_memory_bytes.clone());
        let help = "Times that reading from a connection waited for queued.max.request.bytes";
        registry.register("request_memory_waits", help, cells.request_memory_waits.clone());
        cells.replicas.register(registry);
        cells.cluster.register(registry);
        cells
    }
}

impl ReplicaCells {
    fn register(&self, registry: &mut Registry) {
        registry.register("partitions", "Replicas on this broker", self.partitions.clone());
        registry.register("leaders", "Partitions led by this broker", self.leaders.clone());
        let help = "Partitions led by this broker with fewer replicas in sync than assigned";
        registry.register("under_replicated_partitions", help, self.under_replicated.clone());
        let help =
            "Partitions led by this broker with fewer replicas in sync than min.insync.replicas";
        registry.register("under_min_isr_partitions", help, self.under_min_isr.clone());
        let help = "Times that a leader here asked to go on without a follower";
        registry.register("isr_shrinks", help, self.isr_shrinks.clone());
        let help = "Times that a leader here asked to let a follower join the in-sync replicas";
        registry.register("isr_expands", help, self.isr_expands.clone());
        let help = "Log directories that failed";
        registry.register("offline_log_dirs", help, self.offline_log_dirs.clone());
        self.damage.register(registry);
        self.tails.register(registry);
        let help = "Times that a leader here gave up a follower that kept produces waiting";
        registry.register("slow_followers", help, self.slow_followers.clone());
        let help = "Times that a log directory hung for ottla.disk.stall.ms";
        registry.register("disk_stalls", help, self.disk_stalls.clone());
        let help = "Log directories that hang, or did and are not trusted yet";
        registry.register("unwell_log_dirs", help, self.unwell_log_dirs.clone());
    }
}

impl ClusterCells {
    fn register(&self, registry: &mut Registry) {
        let help = "1 where this node is the active controller";
        registry.register("active_controller", help, self.active_controller.clone());
        let help = "Batches of metadata records applied by this node";
        registry.register("metadata_version", help, self.metadata_version.clone());
        let help = "Partitions without a leader";
        registry.register("offline_partitions", help, self.offline_partitions.clone());
        let help = "Brokers registered and not fenced";
        registry.register("active_brokers", help, self.active_brokers.clone());
        registry.register(
            "fenced_brokers",
            "Brokers registered and fenced",
            self.fenced_brokers.clone(),
        );
        let help = "Changes of a partition's leader, as this node applied them";
        // From zero: a rate can be taken of the first one.
        for kind in [ElectionKind::Clean, ElectionKind::Unclean, ElectionKind::Preferred] {
            drop(self.elections.get_or_create(&ElectionLabel { kind }));
        }
        registry.register("leader_elections", help, self.elections.clone());
    }
}
