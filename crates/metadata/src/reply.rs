//! What comes back from a command.

use crate::{ConfigResource, ConfigValues, LeaderRecovery};
use std::fmt;
use types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, NodeId, PartitionEpoch, ProducerId, TopicId,
    TopicIdPartition, TopicPartition,
};

/// A refusal as the client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    /// Names the field and the value; goes to the client as it is.
    pub message: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The answer to a [`crate::Command`]. It holds from the version of the image that has applied the
/// command's records on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The whole command was refused and wrote nothing.
    Refused(Refusal),
    Done,
    BrokerRegistered {
        broker_epoch: BrokerEpoch,
    },
    TopicsCreated(Vec<TopicCreation>),
    TopicsDeleted(Vec<TopicDeletion>),
    PartitionsCreated(Vec<PartitionCreation>),
    PartitionsAltered(Vec<PartitionAlteration>),
    ConfigsAltered(Vec<ConfigOutcome>),
    /// The ids `first .. first + count` belong to the asker.
    ProducerIdsAllocated {
        first: ProducerId,
        count: i32,
    },
    LeadersElected(Vec<LeaderElection>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicCreation {
    pub name: String,
    pub outcome: Result<CreatedTopic, Refusal>,
}

/// What CreateTopics tells about a topic. For `validate_only` the id is one that was not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub topic_id: TopicId,
    pub num_partitions: i32,
    pub replication_factor: i16,
    /// The topic's own values; defaults are the asker's business.
    pub configs: ConfigValues,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDeletion {
    /// The name, where it was given or is known.
    pub name: Option<String>,
    /// The id, where it was given or is known; else zero.
    pub topic_id: TopicId,
    pub outcome: Result<(), Refusal>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionCreation {
    pub name: String,
    pub outcome: Result<(), Refusal>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionAlteration {
    pub partition: TopicIdPartition,
    pub outcome: Result<AlteredPartition, Refusal>,
}

/// The partition as it is after an alteration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlteredPartition {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<NodeId>,
    pub leader_recovery: LeaderRecovery,
    pub partition_epoch: PartitionEpoch,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigOutcome {
    pub resource: ConfigResource,
    pub outcome: Result<(), Refusal>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderElection {
    pub partition: TopicPartition,
    pub outcome: Result<(), Refusal>,
}
