//! What is written to the metadata log, to snapshots and to the brokers' streams.

use crate::{Broker, ConfigResource, Partition};
use types::{BrokerEpoch, NodeId, PartitionIndex, ProducerId, TopicId};

/// One change of the image. It holds the whole new state of the thing that it names, so applying
/// it needs nothing else and applying it twice changes nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// The first record of a cluster: its id.
    Cluster {
        cluster_id: String,
    },
    /// The highest broker epoch given so far (in snapshots; [`Record::Broker`] implies it).
    BrokerEpoch {
        last: BrokerEpoch,
    },
    Broker(Broker),
    BrokerRemoved {
        broker_id: NodeId,
    },
    Topic {
        topic_id: TopicId,
        name: String,
    },
    /// Removes the topic, its partitions and its configuration.
    TopicRemoved {
        topic_id: TopicId,
    },
    Partition {
        topic_id: TopicId,
        partition: PartitionIndex,
        state: Partition,
    },
    /// One key of one resource; without a value the key goes.
    Config {
        resource: ConfigResource,
        name: String,
        value: Option<String>,
    },
    ProducerIds {
        next: ProducerId,
    },
}
