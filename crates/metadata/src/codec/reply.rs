//! Replies as messages.

use super::DecodeError;
use super::shared::*;
use crate::*;
use proto::partition_alteration::Outcome as AlterationOutcome;
use proto::reply::Reply as Kind;
use proto::topic_creation::Outcome as CreationOutcome;
use rpc::metadata as proto;
use types::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, ProducerId, TopicPartition,
};

impl From<&Reply> for proto::Reply {
    fn from(reply: &Reply) -> proto::Reply {
        let kind = match reply {
            Reply::Refused(refusal) => Kind::Refused(refusal_out(refusal)),
            Reply::Done => Kind::Done(proto::Done {}),
            Reply::BrokerRegistered { broker_epoch } => {
                Kind::BrokerRegistered(proto::BrokerRegistered { broker_epoch: broker_epoch.0 })
            }
            Reply::TopicsCreated(topics) => {
                let topics = topics.iter().map(creation_out).collect();
                Kind::TopicsCreated(proto::TopicsCreated { topics })
            }
            Reply::TopicsDeleted(topics) => {
                let topics = topics.iter().map(deletion_out).collect();
                Kind::TopicsDeleted(proto::TopicsDeleted { topics })
            }
            Reply::PartitionsCreated(topics) => {
                let topics = topics.iter().map(|topic| proto::PartitionCreation {
                    name: topic.name.clone(),
                    error: outcome_out(&topic.outcome),
                });
                Kind::PartitionsCreated(proto::PartitionsCreated { topics: topics.collect() })
            }
            Reply::PartitionsAltered(partitions) => {
                let partitions = partitions.iter().map(alteration_out).collect();
                Kind::PartitionsAltered(proto::PartitionsAltered { partitions })
            }
            Reply::ConfigsAltered(resources) => {
                let resources = resources.iter().map(|outcome| proto::ConfigOutcome {
                    resource: resource_out(&outcome.resource),
                    error: outcome_out(&outcome.outcome),
                });
                Kind::ConfigsAltered(proto::ConfigsAltered { resources: resources.collect() })
            }
            Reply::ProducerIdsAllocated { first, count } => {
                Kind::ProducerIdsAllocated(proto::ProducerIdsAllocated {
                    first: first.0,
                    count: *count,
                })
            }
            Reply::LeadersElected(partitions) => {
                let partitions = partitions.iter().map(|election| proto::LeaderElection {
                    topic: election.partition.topic.clone(),
                    partition: election.partition.partition.0,
                    error: outcome_out(&election.outcome),
                });
                Kind::LeadersElected(proto::LeadersElected { partitions: partitions.collect() })
            }
        };
        proto::Reply { reply: Some(kind) }
    }
}

impl TryFrom<proto::Reply> for Reply {
    type Error = DecodeError;

    fn try_from(reply: proto::Reply) -> Result<Reply, DecodeError> {
        Ok(match missing("reply", reply.reply)? {
            Kind::Refused(error) => Reply::Refused(refusal_in(error)?),
            Kind::Done(proto::Done {}) => Reply::Done,
            Kind::BrokerRegistered(reply) => {
                Reply::BrokerRegistered { broker_epoch: BrokerEpoch(reply.broker_epoch) }
            }
            Kind::TopicsCreated(reply) => Reply::TopicsCreated(all(reply.topics, creation_in)?),
            Kind::TopicsDeleted(reply) => Reply::TopicsDeleted(all(reply.topics, deletion_in)?),
            Kind::PartitionsCreated(reply) => {
                Reply::PartitionsCreated(all(reply.topics, |topic| {
                    let outcome = outcome_in(topic.error)?;
                    Ok(PartitionCreation { name: topic.name, outcome })
                })?)
            }
            Kind::PartitionsAltered(reply) => {
                Reply::PartitionsAltered(all(reply.partitions, alteration_in)?)
            }
            Kind::ConfigsAltered(reply) => {
                Reply::ConfigsAltered(all(reply.resources, |resource| {
                    let outcome = outcome_in(resource.error)?;
                    Ok(ConfigOutcome { resource: resource_in(resource.resource)?, outcome })
                })?)
            }
            Kind::ProducerIdsAllocated(reply) => {
                Reply::ProducerIdsAllocated { first: ProducerId(reply.first), count: reply.count }
            }
            Kind::LeadersElected(reply) => {
                Reply::LeadersElected(all(reply.partitions, election_in)?)
            }
        })
    }
}

fn all<P, D>(
    items: Vec<P>,
    decode: impl Fn(P) -> Result<D, DecodeError>,
) -> Result<Vec<D>, DecodeError> {
    items.into_iter().map(decode).collect()
}

fn creation_out(creation: &TopicCreation) -> proto::TopicCreation {
    let outcome = match &creation.outcome {
        Ok(topic) => CreationOutcome::Created(proto::CreatedTopic {
            topic_id: id_out(topic.topic_id),
            num_partitions: topic.num_partitions,
            replication_factor: i32::from(topic.replication_factor),
            configs: topic.configs.iter().map(entry_out).collect(),
        }),
        Err(refusal) => CreationOutcome::Error(refusal_out(refusal)),
    };
    proto::TopicCreation { name: creation.name.clone(), outcome: Some(outcome) }
}

fn creation_in(creation: proto::TopicCreation) -> Result<TopicCreation, DecodeError> {
    let outcome = match missing("outcome", creation.outcome)? {
        CreationOutcome::Created(topic) => Ok(CreatedTopic {
            topic_id: id_in("topic_id", &topic.topic_id)?,
            num_partitions: topic.num_partitions,
            replication_factor: narrow("replication_factor", topic.replication_factor)?,
            configs: topic.configs.into_iter().map(|entry| (entry.name, entry.value)).collect(),
        }),
        CreationOutcome::Error(error) => Err(refusal_in(error)?),
    };
    Ok(TopicCreation { name: creation.name, outcome })
}

fn entry_out((name, value): (&String, &String)) -> proto::ConfigEntry {
    proto::ConfigEntry { name: name.clone(), value: value.clone() }
}

fn deletion_out(deletion: &TopicDeletion) -> proto::TopicDeletion {
    proto::TopicDeletion {
        name: deletion.name.clone(),
        topic_id: id_out(deletion.topic_id),
        error: outcome_out(&deletion.outcome),
    }
}

fn deletion_in(deletion: proto::TopicDeletion) -> Result<TopicDeletion, DecodeError> {
    Ok(TopicDeletion {
        name: deletion.name,
        topic_id: id_in("topic_id", &deletion.topic_id)?,
        outcome: outcome_in(deletion.error)?,
    })
}

fn alteration_out(alteration: &PartitionAlteration) -> proto::PartitionAlteration {
    let outcome = match &alteration.outcome {
        Ok(state) => AlterationOutcome::Altered(proto::AlteredPartition {
            leader: state.leader.0,
            leader_epoch: state.leader_epoch.0,
            isr: nodes_out(&state.isr),
            leader_recovery: recovery_out(state.leader_recovery),
            partition_epoch: state.partition_epoch.0,
        }),
        Err(refusal) => AlterationOutcome::Error(refusal_out(refusal)),
    };
    proto::PartitionAlteration {
        topic_id: id_out(alteration.partition.topic_id),
        partition: alteration.partition.partition.0,
        outcome: Some(outcome),
    }
}

fn alteration_in(
    alteration: proto::PartitionAlteration,
) -> Result<PartitionAlteration, DecodeError> {
    let outcome = match missing("outcome", alteration.outcome)? {
        AlterationOutcome::Altered(state) => Ok(AlteredPartition {
            leader: NodeId(state.leader),
            leader_epoch: LeaderEpoch(state.leader_epoch),
            isr: nodes_in(state.isr),
            leader_recovery: recovery_in(state.leader_recovery)?,
            partition_epoch: PartitionEpoch(state.partition_epoch),
        }),
        AlterationOutcome::Error(error) => Err(refusal_in(error)?),
    };
    let partition = id_partition_in(&alteration.topic_id, alteration.partition)?;
    Ok(PartitionAlteration { partition, outcome })
}

fn election_in(election: proto::LeaderElection) -> Result<LeaderElection, DecodeError> {
    let partition = PartitionIndex(election.partition);
    Ok(LeaderElection {
        partition: TopicPartition { topic: election.topic, partition },
        outcome: outcome_in(election.error)?,
    })
}
