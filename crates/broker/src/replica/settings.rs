//! A topic's configuration, as the log and the leader's machine take it.

use config::{Layers, NodeConfig, TimestampType, TopicConfig};
use log::LogConfig;
use metadata::{ConfigResource, Image};
use replication::LeaderConfig;
use std::sync::Arc;
use types::NodeId;

/// The values in force for a topic on this broker.
pub fn topic_config(image: &Image, node: &NodeConfig, topic: &str) -> Arc<TopicConfig> {
    let layers = Layers {
        topic: image.configs(&ConfigResource::Topic(topic.to_owned())),
        broker: image.configs(&ConfigResource::Broker(node.node_id)),
        cluster: image.configs(&ConfigResource::ClusterDefault),
        fixed: &node.properties,
    };
    Arc::new(TopicConfig::resolve(&layers))
}

/// What the log needs of it.
pub fn log_config(topic: &TopicConfig, node: &NodeConfig) -> LogConfig {
    let unlimited = |value: Option<i64>| value.unwrap_or(-1);
    let bytes = topic.retention.retention_bytes;
    LogConfig {
        segment_bytes: topic.segment.segment_bytes,
        segment_ms: topic.segment.segment_ms,
        segment_jitter_ms: topic.segment.segment_jitter_ms,
        index_bytes_max: topic.segment.segment_index_bytes,
        index_interval_bytes: topic.segment.index_interval_bytes,
        retention_ms: unlimited(topic.retention.retention_ms),
        retention_bytes: bytes.map_or(-1, |b| i64::try_from(b).unwrap_or(i64::MAX)),
        cleanup: log::CleanupPolicy {
            delete: topic.cleanup_policy.delete,
            compact: topic.cleanup_policy.compact,
        },
        compaction: log::CompactionConfig {
            min_dirty_ratio: topic.compaction.min_cleanable_dirty_ratio,
            min_lag_ms: topic.compaction.min_compaction_lag_ms,
            max_lag_ms: topic.compaction.max_compaction_lag_ms,
            delete_retention_ms: topic.compaction.delete_retention_ms,
        },
        file_delete_delay_ms: i64::try_from(topic.retention.file_delete_delay.as_millis())
            .unwrap_or(i64::MAX),
        timestamp_type: match topic.message.timestamp_type {
            TimestampType::CreateTime => records::TimestampType::CreateTime,
            TimestampType::LogAppendTime => records::TimestampType::LogAppendTime,
        },
        flush_messages: topic
            .flush
            .flush_messages
            .map_or(i64::MAX, |count| i64::try_from(count).unwrap_or(i64::MAX)),
        flush_ms: topic.flush.flush_ms.unwrap_or(i64::MAX),
        preallocate: topic.segment.preallocate,
        producer_expiration_ms: i64::try_from(node.storage.producer_id_expiration.as_millis())
            .unwrap_or(i64::MAX),
    }
}

/// The settings of the topic that was asked for last: partitions of one topic come one after the other.
pub struct TopicSettings<'a> {
    image: &'a Image,
    node: &'a NodeConfig,
    last: Option<(String, Arc<TopicConfig>, LogConfig)>,
}

impl<'a> TopicSettings<'a> {
    pub fn new(image: &'a Image, node: &'a NodeConfig) -> TopicSettings<'a> {
        TopicSettings { image, node, last: None }
    }

    /// The values in force for a topic, and what the log needs of them.
    pub fn of(&mut self, topic: &str) -> (Arc<TopicConfig>, LogConfig) {
        if let Some((name, config, log)) = &self.last
            && name == topic
        {
            return (config.clone(), log.clone());
        }
        let config = topic_config(self.image, self.node, topic);
        let log = log_config(&config, self.node);
        self.last = Some((topic.to_owned(), config.clone(), log.clone()));
        (config, log)
    }
}

/// What the leader's machine needs of it.
pub fn leader_config(topic: &TopicConfig, node: &NodeConfig) -> LeaderConfig {
    LeaderConfig {
        replica_lag_time_max: node.replication.lag_time_max,
        slow_follower_max: node.replication.slow_follower_max,
        min_insync_replicas: topic.min_insync_replicas as usize,
        synced: topic.is_synced(),
    }
}

/// host:port of the listener by which a broker serves replica streams.
pub fn replica_address(image: &Image, broker: NodeId, node: &NodeConfig) -> Option<String> {
    let endpoint = crate::registration::replica_endpoint(image.broker(broker)?, node)?;
    Some(types::host_port(&endpoint.host, endpoint.port))
}
