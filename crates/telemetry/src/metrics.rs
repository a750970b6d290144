//! The handle to all metrics of a node.

use crate::api::{ApiFamilies, ApiMetrics};
use crate::compaction::CompactionCells;
use crate::node::{
    ElectionKind, ElectionLabel, ListenerLabel, NodeCells, RefusedConnection, RefusedLabel,
};
use crate::topics::{PartitionMetrics, TopicFamilies, TopicMetrics};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use types::{MetadataVersion, PartitionIndex};

/// All metrics of a node. A clone is the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    apis: ApiFamilies,
    topics: Arc<TopicFamilies>,
    node: NodeCells,
    compaction: CompactionCells,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics at zero. Every name starts with `ottla_`.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("ottla");
        let apis = ApiFamilies::register(&mut registry);
        let topics = Arc::new(TopicFamilies::register(&mut registry));
        let node = NodeCells::register(&mut registry);
        let compaction = CompactionCells::register(&mut registry);
        Metrics(Arc::new(Inner { registry, apis, topics, node, compaction }))
    }

    /// The page that Prometheus reads (OpenMetrics text).
    pub fn render(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)
            .expect("writing to a string does not fail");
        text
    }

    /// The media type of [`Metrics::render`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// The handle of an API, by Kafka's name. Keep it: getting it takes locks.
    pub fn api(&self, api: &'static str) -> ApiMetrics {
        self.0.apis.of(api)
    }

    /// A handle of a topic: keep it as long as the topic is on this broker. It is on the page until the
    /// last one is dropped.
    pub fn topic(&self, topic: &str) -> TopicMetrics {
        self.0.topics.topic(topic)
    }

    /// A handle of a replica, as of a topic.
    pub fn partition(&self, topic: &str, partition: PartitionIndex) -> PartitionMetrics {
        self.0.topics.partition(topic, partition)
    }

    pub fn connection_opened(&self, listener: &str) {
        let label = ListenerLabel { listener: listener.to_owned() };
        self.0.node.connections.get_or_create(&label).inc();
        self.0.node.connections_opened.get_or_create(&label).inc();
    }

    pub fn connection_closed(&self, listener: &str) {
        let label = ListenerLabel { listener: listener.to_owned() };
        self.0.node.connections.get_or_create(&label).dec();
    }

    pub fn connection_refused(&self, reason: RefusedConnection) {
        self.0.node.connections_refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// How often the process had no descriptor left for a file, as of now.
    pub fn descriptor_shortages(&self, count: u64) {
        self.0.node.descriptor_shortages.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// What client requests hold.
    pub fn request_memory(&self, bytes: u64) {
        self.0.node.request_memory_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A connection is not read from, since requests hold all the memory that they may.
    pub fn request_waits_for_memory(&self) {
        self.0.node.request_memory_waits.inc();
    }

    /// Replicas on this broker, and how many of them lead.
    pub fn replicas(&self, partitions: usize, leaders: usize) {
        self.0.node.replicas.partitions.set(partitions as i64);
        self.0.node.replicas.leaders.set(leaders as i64);
    }

    pub fn under_replicated(&self, partitions: usize) {
        self.0.node.replicas.under_replicated.set(partitions as i64);
    }

    pub fn under_min_isr(&self, partitions: usize) {
        self.0.node.replicas.under_min_isr.set(partitions as i64);
    }

    pub fn isr_shrunk(&self) {
        self.0.node.replicas.isr_shrinks.inc();
    }

    pub fn isr_expanded(&self) {
        self.0.node.replicas.isr_expands.inc();
    }

    /// Logs that wait to be compacted, those that cannot be, and the largest dirty share of a log.
    pub fn compaction(&self, due: usize, failed: usize, dirty_ratio_max: f64) {
        let cells = &self.0.compaction;
        cells.logs_due.set(due as i64);
        cells.logs_failed.set(failed as i64);
        cells.dirty_ratio_max.set(dirty_ratio_max);
    }

    pub fn compaction_overdue(&self, overdue_ms_max: i64, failed_bytes: u64) {
        self.0.compaction.overdue_ms_max.set(overdue_ms_max);
        self.0.compaction.failed_bytes.set(i64::try_from(failed_bytes).unwrap_or(i64::MAX));
    }

    /// Compaction has read or written this.
    pub fn compaction_bytes(&self, bytes: u64) {
        self.0.compaction.io_bytes.inc_by(bytes);
    }

    /// A log was compacted: bytes of its segments before and after.
    pub fn compacted(&self, read_bytes: u64, written_bytes: u64) {
        self.0.compaction.runs.inc();
        self.0.compaction.read_bytes.inc_by(read_bytes);
        self.0.compaction.written_bytes.inc_by(written_bytes);
    }

    pub fn compacted_records(&self, read: u64, kept: u64) {
        self.0.compaction.records_read.inc_by(read);
        self.0.compaction.records_kept.inc_by(kept);
    }

    pub fn offline_log_dirs(&self, directories: usize) {
        self.0.node.replicas.offline_log_dirs.set(directories as i64);
    }

    /// Replicas with damage that is known.
    pub fn damaged_replicas(&self, replicas: usize) {
        self.0.node.replicas.damage.replicas.set(replicas as i64);
    }

    pub fn quarantined(&self) {
        self.0.node.replicas.damage.quarantined.inc();
    }

    /// The scrubber has read this, and found so many damaged places in it.
    pub fn scrubbed(&self, bytes: u64, findings: u64) {
        self.0.node.replicas.damage.scrubbed_bytes.inc_by(bytes);
        self.0.node.replicas.damage.scrub_findings.inc_by(findings);
    }

    pub fn scrub_round(&self) {
        self.0.node.replicas.damage.scrub_rounds.inc();
    }

    /// A follower's read was answered from memory.
    pub fn tail_cache_hit(&self, bytes: u64) {
        self.0.node.replicas.tails.hits.inc();
        self.0.node.replicas.tails.hit_bytes.inc_by(bytes);
    }

    /// Bytes of records that are kept in memory for followers.
    pub fn tail_cache(&self, held_bytes: u64) {
        self.0.node.replicas.tails.held_bytes.set(i64::try_from(held_bytes).unwrap_or(i64::MAX));
    }

    /// A follower's read was answered from the log's files.
    pub fn tail_cache_missed(&self) {
        self.0.node.replicas.tails.misses.inc();
    }

    pub fn slow_follower(&self) {
        self.0.node.replicas.slow_followers.inc();
    }

    pub fn disk_stalled(&self) {
        self.0.node.replicas.disk_stalls.inc();
    }

    /// So many more log directories are not well.
    pub fn unwell_log_dirs(&self, more: i64) {
        self.0.node.replicas.unwell_log_dirs.inc_by(more);
    }

    pub fn active_controller(&self, is_active: bool) {
        self.0.node.cluster.active_controller.set(i64::from(is_active));
    }

    pub fn metadata_version(&self, version: MetadataVersion) {
        let version = i64::try_from(version.0).unwrap_or(i64::MAX);
        self.0.node.cluster.metadata_version.set(version);
    }

    pub fn offline_partitions(&self, partitions: usize) {
        self.0.node.cluster.offline_partitions.set(partitions as i64);
    }

    pub fn brokers(&self, active: usize, fenced: usize) {
        self.0.node.cluster.active_brokers.set(active as i64);
        self.0.node.cluster.fenced_brokers.set(fenced as i64);
    }

    pub fn leader_elected(&self, kind: ElectionKind) {
        self.0.node.cluster.elections.get_or_create(&ElectionLabel { kind }).inc();
    }
}
