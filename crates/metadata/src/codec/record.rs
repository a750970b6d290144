//! Records as messages.

use super::DecodeError;
use super::shared::*;
use crate::{Broker, Partition, Record};
use proto::record::Record as Kind;
use rpc::metadata as proto;
use types::{
    BrokerEpoch, LeaderEpoch, MetadataVersion, NodeId, PartitionEpoch, PartitionIndex, ProducerId,
};

impl From<&Record> for proto::Record {
    fn from(record: &Record) -> proto::Record {
        let kind = match record {
            Record::Cluster { cluster_id } => {
                Kind::Cluster(proto::ClusterRecord { cluster_id: cluster_id.clone() })
            }
            Record::BrokerEpoch { last } => {
                Kind::BrokerEpoch(proto::BrokerEpochRecord { last_broker_epoch: last.0 })
            }
            Record::Broker(broker) => Kind::Broker(broker_out(broker)),
            Record::BrokerRemoved { broker_id } => {
                Kind::BrokerRemoved(proto::BrokerRemovedRecord { broker_id: broker_id.0 })
            }
            Record::Topic { topic_id, name } => {
                Kind::Topic(proto::TopicRecord { topic_id: id_out(*topic_id), name: name.clone() })
            }
            Record::TopicRemoved { topic_id } => {
                Kind::TopicRemoved(proto::TopicRemovedRecord { topic_id: id_out(*topic_id) })
            }
            Record::Partition { topic_id, partition, state } => Kind::Partition({
                let state = partition_out(state);
                proto::PartitionRecord {
                    topic_id: id_out(*topic_id),
                    partition: partition.0,
                    ..state
                }
            }),
            Record::Config { resource, name, value } => Kind::Config(proto::ConfigRecord {
                resource: resource_out(resource),
                name: name.clone(),
                value: value.clone(),
            }),
            Record::ProducerIds { next } => {
                Kind::ProducerIds(proto::ProducerIdsRecord { next_producer_id: next.0 })
            }
        };
        proto::Record { record: Some(kind) }
    }
}

impl TryFrom<proto::Record> for Record {
    type Error = DecodeError;

    fn try_from(record: proto::Record) -> Result<Record, DecodeError> {
        Ok(match missing("record", record.record)? {
            Kind::Cluster(record) => Record::Cluster { cluster_id: record.cluster_id },
            Kind::BrokerEpoch(record) => {
                Record::BrokerEpoch { last: BrokerEpoch(record.last_broker_epoch) }
            }
            Kind::Broker(record) => Record::Broker(broker_in(record)?),
            Kind::BrokerRemoved(record) => {
                Record::BrokerRemoved { broker_id: NodeId(record.broker_id) }
            }
            Kind::Topic(record) => {
                Record::Topic { topic_id: id_in("topic_id", &record.topic_id)?, name: record.name }
            }
            Kind::TopicRemoved(record) => {
                Record::TopicRemoved { topic_id: id_in("topic_id", &record.topic_id)? }
            }
            Kind::Partition(record) => Record::Partition {
                topic_id: id_in("topic_id", &record.topic_id)?,
                partition: PartitionIndex(record.partition),
                state: partition_in(record)?,
            },
            Kind::Config(record) => Record::Config {
                resource: resource_in(record.resource)?,
                name: record.name,
                value: record.value,
            },
            Kind::ProducerIds(record) => {
                Record::ProducerIds { next: ProducerId(record.next_producer_id) }
            }
        })
    }
}

fn broker_out(broker: &Broker) -> proto::BrokerRecord {
    proto::BrokerRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        incarnation_id: id_out(broker.incarnation_id),
        endpoints: broker.endpoints.iter().map(endpoint_out).collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.iter().copied().map(id_out).collect(),
        failed_log_dirs: broker.failed_log_dirs.iter().copied().map(id_out).collect(),
        lost_log_dirs: broker.lost_log_dirs.iter().copied().map(id_out).collect(),
        features: broker.features.iter().map(feature_out).collect(),
        previous_broker_epoch: broker.previous_epoch.0,
        registered_version: broker.registered_version.0,
    }
}

fn broker_in(record: proto::BrokerRecord) -> Result<Broker, DecodeError> {
    Ok(Broker {
        id: NodeId(record.broker_id),
        epoch: BrokerEpoch(record.broker_epoch),
        incarnation_id: id_in("incarnation_id", &record.incarnation_id)?,
        endpoints: record.endpoints.into_iter().map(endpoint_in).collect::<Result<_, _>>()?,
        rack: record.rack,
        fenced: record.fenced,
        in_controlled_shutdown: record.in_controlled_shutdown,
        log_dirs: ids_in("log_dirs", &record.log_dirs)?,
        failed_log_dirs: ids_in("failed_log_dirs", &record.failed_log_dirs)?,
        lost_log_dirs: ids_in("lost_log_dirs", &record.lost_log_dirs)?,
        features: record.features.into_iter().map(feature_in).collect::<Result<_, _>>()?,
        previous_epoch: BrokerEpoch(record.previous_broker_epoch),
        registered_version: MetadataVersion(record.registered_version),
    })
}

fn partition_out(state: &Partition) -> proto::PartitionRecord {
    proto::PartitionRecord {
        topic_id: bytes::Bytes::new(),
        partition: 0,
        replicas: nodes_out(&state.replicas),
        isr: nodes_out(&state.isr),
        leader: state.leader.0,
        leader_epoch: state.leader_epoch.0,
        partition_epoch: state.partition_epoch.0,
        leader_recovery: recovery_out(state.leader_recovery),
        elr: nodes_out(&state.elr),
        last_known_elr: nodes_out(&state.last_known_elr),
    }
}

fn partition_in(record: proto::PartitionRecord) -> Result<Partition, DecodeError> {
    Ok(Partition {
        replicas: nodes_in(record.replicas),
        isr: nodes_in(record.isr),
        elr: nodes_in(record.elr),
        last_known_elr: nodes_in(record.last_known_elr),
        leader: NodeId(record.leader),
        leader_epoch: LeaderEpoch(record.leader_epoch),
        partition_epoch: PartitionEpoch(record.partition_epoch),
        leader_recovery: recovery_in(record.leader_recovery)?,
    })
}
