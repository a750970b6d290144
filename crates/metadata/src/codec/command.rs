//! Commands as messages.

use super::DecodeError;
use super::shared::*;
use crate::*;
use proto::command::Command as Kind;
use proto::config_change::Operation;
use proto::topic_selector::By;
use rpc::metadata as proto;
use types::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicIdPartition,
    TopicPartition,
};

impl From<&Command> for proto::Command {
    fn from(command: &Command) -> proto::Command {
        proto::Command { command: Some(kind_out(command)) }
    }
}

fn kind_out(command: &Command) -> Kind {
    match command {
        Command::NameCluster { cluster_id } => {
            Kind::NameCluster(proto::NameCluster { cluster_id: cluster_id.clone() })
        }
        Command::RegisterBroker(command) => Kind::RegisterBroker(register_out(command)),
        Command::UnregisterBroker { broker_id } => {
            Kind::UnregisterBroker(proto::UnregisterBroker { broker_id: broker_id.0 })
        }
        Command::FenceBroker { broker_id, broker_epoch } => Kind::FenceBroker(proto::FenceBroker {
            broker_id: broker_id.0,
            broker_epoch: broker_epoch.0,
        }),
        Command::UnfenceBroker { broker_id, broker_epoch } => {
            let (broker_id, broker_epoch) = (broker_id.0, broker_epoch.0);
            Kind::UnfenceBroker(proto::UnfenceBroker { broker_id, broker_epoch })
        }
        Command::BeginControlledShutdown { broker_id, broker_epoch } => {
            let (broker_id, broker_epoch) = (broker_id.0, broker_epoch.0);
            let command = proto::BeginControlledShutdown { broker_id, broker_epoch };
            Kind::BeginControlledShutdown(command)
        }
        Command::FailReplicas(command) => Kind::FailReplicas(fail_out(command)),
        Command::StepDown(command) => Kind::StepDown(step_down_out(command)),
        Command::CreateTopics(command) => Kind::CreateTopics(proto::CreateTopics {
            topics: command.topics.iter().map(new_topic_out).collect(),
            validate_only: command.validate_only,
        }),
        Command::DeleteTopics { topics } => {
            let topics = topics.iter().map(selector_out).collect();
            Kind::DeleteTopics(proto::DeleteTopics { topics })
        }
        Command::CreatePartitions(command) => Kind::CreatePartitions(proto::CreatePartitions {
            topics: command.topics.iter().map(more_partitions_out).collect(),
            validate_only: command.validate_only,
        }),
        Command::AlterPartition(command) => Kind::AlterPartition(proto::AlterPartition {
            broker_id: command.broker_id.0,
            broker_epoch: command.broker_epoch.0,
            partitions: command.partitions.iter().map(alter_item_out).collect(),
        }),
        Command::IncrementalAlterConfigs { resources, validate_only } => {
            let resources = resources.iter().map(alteration_out).collect();
            let validate_only = *validate_only;
            let command = proto::IncrementalAlterConfigs { resources, validate_only };
            Kind::IncrementalAlterConfigs(command)
        }
        Command::AlterConfigs { resources, validate_only } => {
            let resources = resources.iter().map(replacement_out).collect();
            let validate_only = *validate_only;
            Kind::AlterConfigs(proto::AlterConfigs { resources, validate_only })
        }
        Command::AllocateProducerIds { broker_id, broker_epoch } => {
            let (broker_id, broker_epoch) = (broker_id.0, broker_epoch.0);
            Kind::AllocateProducerIds(proto::AllocateProducerIds { broker_id, broker_epoch })
        }
        Command::ElectLeaders { election, partitions } => {
            Kind::ElectLeaders(elect_out(*election, partitions))
        }
    }
}

impl TryFrom<proto::Command> for Command {
    type Error = DecodeError;

    fn try_from(command: proto::Command) -> Result<Command, DecodeError> {
        kind_in(missing("command", command.command)?)
    }
}

fn kind_in(kind: Kind) -> Result<Command, DecodeError> {
    Ok(match kind {
        Kind::NameCluster(command) => Command::NameCluster { cluster_id: command.cluster_id },
        Kind::RegisterBroker(command) => Command::RegisterBroker(register_in(command)?),
        Kind::UnregisterBroker(command) => {
            Command::UnregisterBroker { broker_id: NodeId(command.broker_id) }
        }
        Kind::FenceBroker(command) => Command::FenceBroker {
            broker_id: NodeId(command.broker_id),
            broker_epoch: BrokerEpoch(command.broker_epoch),
        },
        Kind::UnfenceBroker(command) => Command::UnfenceBroker {
            broker_id: NodeId(command.broker_id),
            broker_epoch: BrokerEpoch(command.broker_epoch),
        },
        Kind::BeginControlledShutdown(command) => Command::BeginControlledShutdown {
            broker_id: NodeId(command.broker_id),
            broker_epoch: BrokerEpoch(command.broker_epoch),
        },
        Kind::FailReplicas(command) => Command::FailReplicas(fail_in(&command)?),
        Kind::StepDown(command) => Command::StepDown(step_down_in(&command)?),
        Kind::CreateTopics(command) => Command::CreateTopics(CreateTopics {
            topics: command.topics.into_iter().map(new_topic_in).collect::<Result<_, _>>()?,
            validate_only: command.validate_only,
        }),
        Kind::DeleteTopics(command) => Command::DeleteTopics {
            topics: command.topics.into_iter().map(selector_in).collect::<Result<_, _>>()?,
        },
        Kind::CreatePartitions(command) => Command::CreatePartitions(CreatePartitions {
            topics: command.topics.into_iter().map(more_partitions_in).collect(),
            validate_only: command.validate_only,
        }),
        Kind::AlterPartition(command) => Command::AlterPartition(AlterPartition {
            broker_id: NodeId(command.broker_id),
            broker_epoch: BrokerEpoch(command.broker_epoch),
            partitions: command
                .partitions
                .into_iter()
                .map(alter_item_in)
                .collect::<Result<_, _>>()?,
        }),
        Kind::IncrementalAlterConfigs(command) => Command::IncrementalAlterConfigs {
            resources: command
                .resources
                .into_iter()
                .map(alteration_in)
                .collect::<Result<_, _>>()?,
            validate_only: command.validate_only,
        },
        Kind::AlterConfigs(command) => Command::AlterConfigs {
            resources: command
                .resources
                .into_iter()
                .map(replacement_in)
                .collect::<Result<_, _>>()?,
            validate_only: command.validate_only,
        },
        Kind::AllocateProducerIds(command) => Command::AllocateProducerIds {
            broker_id: NodeId(command.broker_id),
            broker_epoch: BrokerEpoch(command.broker_epoch),
        },
        Kind::ElectLeaders(command) => elect_in(command)?,
    })
}

fn register_out(command: &RegisterBroker) -> proto::RegisterBroker {
    proto::RegisterBroker {
        broker_id: command.broker_id.0,
        cluster_id: command.cluster_id.clone(),
        incarnation_id: id_out(command.incarnation_id),
        endpoints: command.endpoints.iter().map(endpoint_out).collect(),
        rack: command.rack.clone(),
        log_dirs: command.log_dirs.iter().copied().map(id_out).collect(),
        features: command.features.iter().map(feature_out).collect(),
        previous_broker_epoch: command.previous_epoch.0,
        session_alive: command.session_alive,
    }
}

fn register_in(command: proto::RegisterBroker) -> Result<RegisterBroker, DecodeError> {
    Ok(RegisterBroker {
        broker_id: NodeId(command.broker_id),
        cluster_id: command.cluster_id,
        incarnation_id: id_in("incarnation_id", &command.incarnation_id)?,
        endpoints: command.endpoints.into_iter().map(endpoint_in).collect::<Result<_, _>>()?,
        rack: command.rack,
        log_dirs: ids_in("log_dirs", &command.log_dirs)?,
        features: command.features.into_iter().map(feature_in).collect::<Result<_, _>>()?,
        previous_epoch: BrokerEpoch(command.previous_broker_epoch),
        session_alive: command.session_alive,
    })
}

fn config_out((name, value): &(String, Option<String>)) -> proto::NewTopicConfig {
    proto::NewTopicConfig { name: name.clone(), value: value.clone() }
}

fn configs_in(configs: Vec<proto::NewTopicConfig>) -> Vec<(String, Option<String>)> {
    configs.into_iter().map(|config| (config.name, config.value)).collect()
}

fn new_topic_out(topic: &NewTopic) -> proto::NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| proto::NewTopicAssignment {
        partition: assignment.partition.0,
        broker_ids: nodes_out(&assignment.replicas),
    });
    proto::NewTopic {
        name: topic.name.clone(),
        num_partitions: topic.num_partitions,
        replication_factor: i32::from(topic.replication_factor),
        assignments: assignments.collect(),
        configs: topic.configs.iter().map(config_out).collect(),
    }
}

fn new_topic_in(topic: proto::NewTopic) -> Result<NewTopic, DecodeError> {
    let assignments = topic.assignments.into_iter().map(|assignment| NewTopicAssignment {
        partition: PartitionIndex(assignment.partition),
        replicas: nodes_in(assignment.broker_ids),
    });
    Ok(NewTopic {
        name: topic.name,
        num_partitions: topic.num_partitions,
        replication_factor: narrow("replication_factor", topic.replication_factor)?,
        assignments: assignments.collect(),
        configs: configs_in(topic.configs),
    })
}

fn selector_out(selector: &TopicSelector) -> proto::TopicSelector {
    let by = match selector {
        TopicSelector::Name(name) => By::Name(name.clone()),
        TopicSelector::Id(id) => By::TopicId(id_out(*id)),
    };
    proto::TopicSelector { by: Some(by) }
}

fn selector_in(selector: proto::TopicSelector) -> Result<TopicSelector, DecodeError> {
    Ok(match missing("by", selector.by)? {
        By::Name(name) => TopicSelector::Name(name),
        By::TopicId(id) => TopicSelector::Id(id_in("topic_id", &id)?),
    })
}

fn more_partitions_out(more: &MorePartitions) -> proto::MorePartitions {
    let assignments = more.assignments.iter().flatten();
    proto::MorePartitions {
        name: more.name.clone(),
        count: more.count,
        assignments: assignments
            .map(|replicas| proto::Assignment { broker_ids: nodes_out(replicas) })
            .collect(),
        has_assignments: more.assignments.is_some(),
    }
}

fn more_partitions_in(more: proto::MorePartitions) -> MorePartitions {
    let assignments = more.assignments.into_iter().map(|one| nodes_in(one.broker_ids));
    let assignments: Vec<Vec<NodeId>> = assignments.collect();
    MorePartitions {
        name: more.name,
        count: more.count,
        assignments: more.has_assignments.then_some(assignments),
    }
}

fn alter_item_out(item: &AlterPartitionItem) -> proto::AlterPartitionItem {
    let new_isr = item.new_isr.iter().map(|member| proto::IsrMember {
        broker_id: member.broker_id.0,
        broker_epoch: member.broker_epoch.0,
    });
    proto::AlterPartitionItem {
        topic_id: id_out(item.partition.topic_id),
        partition: item.partition.partition.0,
        leader_epoch: item.leader_epoch.0,
        partition_epoch: item.partition_epoch.0,
        new_isr: new_isr.collect(),
        leader_recovery: recovery_out(item.leader_recovery),
    }
}

fn alter_item_in(item: proto::AlterPartitionItem) -> Result<AlterPartitionItem, DecodeError> {
    let new_isr = item.new_isr.into_iter().map(|member| IsrMember {
        broker_id: NodeId(member.broker_id),
        broker_epoch: BrokerEpoch(member.broker_epoch),
    });
    Ok(AlterPartitionItem {
        partition: id_partition_in(&item.topic_id, item.partition)?,
        leader_epoch: LeaderEpoch(item.leader_epoch),
        partition_epoch: PartitionEpoch(item.partition_epoch),
        new_isr: new_isr.collect(),
        leader_recovery: recovery_in(item.leader_recovery)?,
    })
}

fn alteration_out(alteration: &ConfigAlteration) -> proto::ConfigAlteration {
    let changes = alteration.changes.iter().map(|change| proto::ConfigChange {
        name: change.name.clone(),
        operation: operation_out(change.operation) as i32,
        value: change.value.clone(),
    });
    proto::ConfigAlteration {
        resource: resource_out(&alteration.resource),
        changes: changes.collect(),
    }
}

fn alteration_in(alteration: proto::ConfigAlteration) -> Result<ConfigAlteration, DecodeError> {
    let changes = alteration.changes.into_iter().map(|change| {
        let operation = operation_in(change.operation)?;
        Ok(ConfigChange { name: change.name, operation, value: change.value })
    });
    Ok(ConfigAlteration {
        resource: resource_in(alteration.resource)?,
        changes: changes.collect::<Result<_, DecodeError>>()?,
    })
}

fn operation_out(operation: ConfigOperation) -> Operation {
    match operation {
        ConfigOperation::Set => Operation::Set,
        ConfigOperation::Delete => Operation::Delete,
        ConfigOperation::Append => Operation::Append,
        ConfigOperation::Subtract => Operation::Subtract,
    }
}

fn operation_in(value: i32) -> Result<ConfigOperation, DecodeError> {
    Ok(match Operation::try_from(value).map_err(|_| invalid("operation", value))? {
        Operation::Set => ConfigOperation::Set,
        Operation::Delete => ConfigOperation::Delete,
        Operation::Append => ConfigOperation::Append,
        Operation::Subtract => ConfigOperation::Subtract,
    })
}

fn replacement_out(replacement: &ConfigReplacement) -> proto::ConfigReplacement {
    proto::ConfigReplacement {
        resource: resource_out(&replacement.resource),
        configs: replacement.configs.iter().map(config_out).collect(),
    }
}

fn replacement_in(replacement: proto::ConfigReplacement) -> Result<ConfigReplacement, DecodeError> {
    let resource = resource_in(replacement.resource)?;
    Ok(ConfigReplacement { resource, configs: configs_in(replacement.configs) })
}

fn elect_out(election: ElectionKind, scope: &ElectionScope) -> proto::ElectLeaders {
    let election = match election {
        ElectionKind::Preferred => proto::ElectionKind::Preferred,
        ElectionKind::Unclean => proto::ElectionKind::Unclean,
    };
    let partitions = match scope {
        ElectionScope::All => &[][..],
        ElectionScope::Partitions(partitions) => partitions,
    };
    let partitions = partitions.iter().map(|partition| proto::NamedPartition {
        topic: partition.topic.clone(),
        partition: partition.partition.0,
    });
    proto::ElectLeaders {
        election: election as i32,
        all: *scope == ElectionScope::All,
        partitions: partitions.collect(),
    }
}

fn elect_in(command: proto::ElectLeaders) -> Result<Command, DecodeError> {
    let election = command.election;
    let kind =
        proto::ElectionKind::try_from(election).map_err(|_| invalid("election", election))?;
    let election = match kind {
        proto::ElectionKind::Preferred => ElectionKind::Preferred,
        proto::ElectionKind::Unclean => ElectionKind::Unclean,
    };
    let partitions = command.partitions.into_iter().map(|partition| TopicPartition {
        topic: partition.topic,
        partition: PartitionIndex(partition.partition),
    });
    let partitions = match command.all {
        true => ElectionScope::All,
        false => ElectionScope::Partitions(partitions.collect()),
    };
    Ok(Command::ElectLeaders { election, partitions })
}

fn fail_out(command: &FailReplicas) -> proto::FailReplicas {
    let replica = |id: &TopicIdPartition| proto::FailedReplica {
        topic_id: id_out(id.topic_id),
        partition: id.partition.0,
    };
    proto::FailReplicas {
        broker_id: command.broker_id.0,
        broker_epoch: command.broker_epoch.0,
        log_dirs: command.log_dirs.iter().copied().map(id_out).collect(),
        replicas: command.partitions.iter().map(replica).collect(),
        records_gone: command.records_gone,
    }
}

fn fail_in(command: &proto::FailReplicas) -> Result<FailReplicas, DecodeError> {
    let replica =
        |replica: &proto::FailedReplica| id_partition_in(&replica.topic_id, replica.partition);
    Ok(FailReplicas {
        broker_id: NodeId(command.broker_id),
        broker_epoch: BrokerEpoch(command.broker_epoch),
        log_dirs: ids_in("log_dirs", &command.log_dirs)?,
        partitions: command.replicas.iter().map(replica).collect::<Result<_, _>>()?,
        records_gone: command.records_gone,
    })
}

fn step_down_out(command: &StepDown) -> proto::StepDown {
    let replica = |id: &TopicIdPartition| proto::SlowReplica {
        topic_id: id_out(id.topic_id),
        partition: id.partition.0,
    };
    proto::StepDown {
        broker_id: command.broker_id.0,
        broker_epoch: command.broker_epoch.0,
        replicas: command.partitions.iter().map(replica).collect(),
    }
}

fn step_down_in(command: &proto::StepDown) -> Result<StepDown, DecodeError> {
    let replica =
        |replica: &proto::SlowReplica| id_partition_in(&replica.topic_id, replica.partition);
    Ok(StepDown {
        broker_id: NodeId(command.broker_id),
        broker_epoch: BrokerEpoch(command.broker_epoch),
        partitions: command.replicas.iter().map(replica).collect::<Result<_, _>>()?,
    })
}
