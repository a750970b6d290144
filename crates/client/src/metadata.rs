//! What the cluster looks like: brokers, topics, leaders.

use std::collections::BTreeMap;

use types::{ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId, host_port};
use wire::StrBytes;
use wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponsePartition,
    MetadataResponseTopic,
};

/// Which topics to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicSelection {
    /// Brokers only.
    None,
    All,
    Named(Vec<String>),
}

/// One answer to a Metadata request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    pub cluster_id: Option<String>,
    pub controller_id: NodeId,
    pub brokers: BTreeMap<NodeId, Broker>,
    pub topics: BTreeMap<String, Topic>,
}

/// A broker and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: NodeId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

/// A topic; `error` says why its partitions are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    pub is_internal: bool,
    pub error: Option<ErrorCode>,
    pub partitions: BTreeMap<PartitionIndex, Partition>,
}

/// A partition; `leader` is absent while there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: PartitionIndex,
    pub error: Option<ErrorCode>,
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub offline: Vec<NodeId>,
}

impl Broker {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn addr(&self) -> String {
        host_port(&self.host, self.port)
    }
}

/// An error code as an option; a code unknown to this client counts as a server error.
pub(crate) fn error_of(code: i16) -> Option<ErrorCode> {
    (code != 0).then(|| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError))
}

pub(crate) fn request(selection: &TopicSelection, auto_create: bool) -> MetadataRequest {
    let topics = match selection {
        TopicSelection::None => Some(Vec::new()),
        TopicSelection::All => None,
        TopicSelection::Named(names) => Some(names.iter().map(|name| named(name)).collect()),
    };
    MetadataRequest { topics, allow_auto_topic_creation: auto_create, ..Default::default() }
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(StrBytes::from(name)), ..Default::default() }
}

impl From<MetadataResponse> for Cluster {
    fn from(response: MetadataResponse) -> Cluster {
        let brokers = response.brokers.into_iter().map(|broker| {
            let id = NodeId(broker.node_id);
            let rack = broker.rack.map(|rack| rack.to_string());
            (id, Broker { id, host: broker.host.to_string(), port: broker.port, rack })
        });
        Cluster {
            cluster_id: response.cluster_id.map(|id| id.to_string()),
            controller_id: NodeId(response.controller_id),
            brokers: brokers.collect(),
            topics: response
                .topics
                .into_iter()
                .map(Topic::from)
                .map(|topic| (topic.name.clone(), topic))
                .collect(),
        }
    }
}

impl From<MetadataResponseTopic> for Topic {
    fn from(topic: MetadataResponseTopic) -> Topic {
        let partitions = topic.partitions.into_iter().map(|partition| {
            (PartitionIndex(partition.partition_index), Partition::from(partition))
        });
        Topic {
            name: topic.name.map_or_else(String::new, |name| name.to_string()),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            error: error_of(topic.error_code),
            partitions: partitions.collect(),
        }
    }
}

impl From<MetadataResponsePartition> for Partition {
    fn from(partition: MetadataResponsePartition) -> Partition {
        Partition {
            index: PartitionIndex(partition.partition_index),
            error: error_of(partition.error_code),
            leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            replicas: nodes(partition.replica_nodes),
            isr: nodes(partition.isr_nodes),
            offline: nodes(partition.offline_replicas),
        }
    }
}

pub(crate) fn nodes(ids: Vec<i32>) -> Vec<NodeId> {
    ids.into_iter().map(NodeId).collect()
}
