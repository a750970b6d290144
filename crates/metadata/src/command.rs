//! What may be asked of the cluster's metadata.

use crate::{ConfigChange, ConfigResource, Endpoint, FeatureRange, LeaderRecovery};
use types::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex,
    TopicId, TopicIdPartition, TopicPartition,
};

/// A command. Each variant says which [`crate::Reply`] it gets when it is not refused as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Gives a new cluster its id; again with the same id it changes nothing. `Done`.
    NameCluster { cluster_id: String },
    /// `BrokerRegistered`.
    RegisterBroker(RegisterBroker),
    /// Forgets a broker: it leaves every ISR except as the last member. `Done`.
    UnregisterBroker { broker_id: NodeId },
    /// The broker is silent: leaves every ISR except as the last member, leads nothing. `Done`.
    FenceBroker { broker_id: NodeId, broker_epoch: BrokerEpoch },
    /// The broker lives and has caught up: partitions without leader that it may lead get it.
    /// `Done`.
    UnfenceBroker { broker_id: NodeId, broker_epoch: BrokerEpoch },
    /// The broker wants to stop: leaves every ISR except as the last member, leads nothing. `Done`.
    BeginControlledShutdown { broker_id: NodeId, broker_epoch: BrokerEpoch },
    /// Log directories failed: the broker leaves the ISRs of the partitions in them, and what it led
    /// there is led by others, except where it is the last member and its records may come back.
    /// `Done`.
    FailReplicas(FailReplicas),
    /// The broker's disk is too slow for these partitions: it leaves their ISRs where enough others
    /// remain, and what it led there is led by others, except where it is the last member. Its
    /// records are whole. `Done`.
    StepDown(StepDown),
    /// `TopicsCreated`, in the order asked.
    CreateTopics(CreateTopics),
    /// `TopicsDeleted`, in the order asked.
    DeleteTopics { topics: Vec<TopicSelector> },
    /// `PartitionsCreated`, in the order asked.
    CreatePartitions(CreatePartitions),
    /// A leader's changes of ISRs. `PartitionsAltered`, in the order asked.
    AlterPartition(AlterPartition),
    /// `ConfigsAltered`, in the order asked.
    IncrementalAlterConfigs { resources: Vec<ConfigAlteration>, validate_only: bool },
    /// Replaces all values of each resource. `ConfigsAltered`, in the order asked.
    AlterConfigs { resources: Vec<ConfigReplacement>, validate_only: bool },
    /// `ProducerIdsAllocated`.
    AllocateProducerIds { broker_id: NodeId, broker_epoch: BrokerEpoch },
    /// `LeadersElected`.
    ElectLeaders { election: ElectionKind, partitions: ElectionScope },
}

impl Command {
    /// The command's name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Command::NameCluster { .. } => "NameCluster",
            Command::RegisterBroker(_) => "RegisterBroker",
            Command::UnregisterBroker { .. } => "UnregisterBroker",
            Command::FenceBroker { .. } => "FenceBroker",
            Command::UnfenceBroker { .. } => "UnfenceBroker",
            Command::BeginControlledShutdown { .. } => "BeginControlledShutdown",
            Command::FailReplicas(_) => "FailReplicas",
            Command::StepDown(_) => "StepDown",
            Command::CreateTopics(_) => "CreateTopics",
            Command::DeleteTopics { .. } => "DeleteTopics",
            Command::CreatePartitions(_) => "CreatePartitions",
            Command::AlterPartition(_) => "AlterPartition",
            Command::IncrementalAlterConfigs { .. } => "IncrementalAlterConfigs",
            Command::AlterConfigs { .. } => "AlterConfigs",
            Command::AllocateProducerIds { .. } => "AllocateProducerIds",
            Command::ElectLeaders { .. } => "ElectLeaders",
        }
    }
}

/// A broker can no longer serve some of its replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailReplicas {
    pub broker_id: NodeId,
    pub broker_epoch: BrokerEpoch,
    /// The directories that failed: the broker has them no longer.
    pub log_dirs: Vec<DirectoryId>,
    /// The replicas that were in them; those that are not the broker's are passed over.
    pub partitions: Vec<TopicIdPartition>,
    /// Nothing of these replicas is left and nothing comes back: the broker has no log for them
    /// though all of its directories are there. None of them is waited for.
    pub records_gone: bool,
}

/// A broker that cannot serve some of its replicas in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepDown {
    pub broker_id: NodeId,
    pub broker_epoch: BrokerEpoch,
    /// Those that are not the broker's are passed over.
    pub partitions: Vec<TopicIdPartition>,
}

/// A broker introduces itself, at every start and again when it got no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterBroker {
    pub broker_id: NodeId,
    /// The cluster that the broker believes it belongs to.
    pub cluster_id: String,
    pub incarnation_id: IncarnationId,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    pub log_dirs: Vec<DirectoryId>,
    pub features: Vec<FeatureRange>,
    /// The epoch that the broker stored when it last stopped cleanly, NONE if it did not.
    pub previous_epoch: BrokerEpoch,
    /// Set by the active controller: the registered incarnation sent a heartbeat within the session
    /// timeout, so another incarnation is a second process with the same id.
    pub session_alive: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    /// Decides and answers as if, but writes nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    /// -1: the cluster's default. Must be -1 where assignments are given.
    pub num_partitions: i32,
    /// -1: the cluster's default. Must be -1 where assignments are given.
    pub replication_factor: i16,
    /// Manual placement, or empty.
    pub assignments: Vec<NewTopicAssignment>,
    /// Kafka allows a null value on the wire; it is refused with INVALID_CONFIG.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic placed by the controller, with default configuration.
    pub fn placed(name: &str, num_partitions: i32, replication_factor: i16) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopicAssignment {
    pub partition: PartitionIndex,
    pub replicas: Vec<NodeId>,
}

/// A topic to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicSelector {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    pub topics: Vec<MorePartitions>,
    pub validate_only: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MorePartitions {
    pub name: String,
    /// The number of partitions afterwards.
    pub count: i32,
    /// Manual placement of each new partition, or `None`.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterPartition {
    /// The leader that asks.
    pub broker_id: NodeId,
    pub broker_epoch: BrokerEpoch,
    pub partitions: Vec<AlterPartitionItem>,
}

/// A leader's wish for one partition, with the epochs that it saw (compare and set).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterPartitionItem {
    pub partition: TopicIdPartition,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub new_isr: Vec<IsrMember>,
    pub leader_recovery: LeaderRecovery,
}

/// A member of the wished ISR, and the registration that the leader saw it in sync under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsrMember {
    pub broker_id: NodeId,
    /// NONE: not checked.
    pub broker_epoch: BrokerEpoch,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAlteration {
    pub resource: ConfigResource,
    pub changes: Vec<ConfigChange>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigReplacement {
    pub resource: ConfigResource,
    /// A null value removes the key, as if it were not named.
    pub configs: Vec<(String, Option<String>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElectionKind {
    /// The first replica, where it is live and in sync.
    Preferred,
    /// Any live replica, for partitions without leader; may lose records.
    Unclean,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ElectionScope {
    /// Every partition that needs it, at most [`crate::Image::ELECTIONS_PER_COMMAND_MAX`]; the
    /// reply leaves out those that need none. Whoever gets that many asks again.
    All,
    Partitions(Vec<TopicPartition>),
}
