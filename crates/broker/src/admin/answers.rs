//! From the metadata's words to the admin service's, and from refusals to gRPC statuses.

use log::{Damage, LogManager};
use metadata::{Broker, ConfigResource, Image, Refusal, Topic};
use rpc::admin;
use std::collections::BTreeMap;
use tonic::{Code, Status};
use types::{ErrorCode, NodeId, TopicPartition, is_internal_topic};

pub fn broker(broker: &Broker) -> admin::Broker {
    let endpoints = broker.endpoints.iter().map(|endpoint| admin::Endpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: u32::from(endpoint.port),
    });
    admin::Broker {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        rack: broker.rack.clone().unwrap_or_default(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        endpoints: endpoints.collect(),
    }
}

/// What is damaged here, by partition.
pub fn damaged_ranges(logs: &LogManager) -> BTreeMap<TopicPartition, Vec<admin::DamagedRange>> {
    let range = |damage: &Damage| admin::DamagedRange {
        first_offset: damage.offset.0,
        end_offset: damage.end_offset.0,
        file: damage.file.display().to_string(),
        position: damage.position,
        reason: damage.error.to_string(),
    };
    let damaged = logs.damaged().into_iter();
    damaged.map(|one| (one.partition, one.damages.iter().map(range).collect())).collect()
}

pub fn summary(topic: &Topic) -> admin::TopicSummary {
    admin::TopicSummary {
        name: topic.name.clone(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions.len() as u32,
        internal: is_internal_topic(&topic.name),
    }
}

pub fn topic(topic: &Topic) -> admin::DescribeTopicResponse {
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    let partitions = topic.partitions.iter().map(|(index, partition)| admin::Partition {
        partition: index.0,
        leader_id: partition.leader.0,
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch.0,
        replicas: numbers(&partition.replicas),
        in_sync_replicas: numbers(&partition.isr),
    });
    admin::DescribeTopicResponse { topic: Some(summary(topic)), partitions: partitions.collect() }
}

pub fn config_entry(entry: config::Entry) -> admin::ConfigEntry {
    admin::ConfigEntry {
        name: entry.name.to_owned(),
        value: entry.value,
        source: source_name(entry.source).to_owned(),
        read_only: entry.read_only,
        sensitive: entry.sensitive,
        documentation: entry.doc.to_owned(),
    }
}

/// Kafka's names, as its tools print them.
fn source_name(source: config::Source) -> &'static str {
    match source {
        config::Source::Topic => "DYNAMIC_TOPIC_CONFIG",
        config::Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        config::Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        config::Source::StaticBroker => "STATIC_BROKER_CONFIG",
        config::Source::Default => "DEFAULT_CONFIG",
    }
}

pub fn resource(resource: Option<admin::ConfigResource>) -> Result<ConfigResource, Box<Status>> {
    use admin::config_resource::Type;
    let invalid = |message: &str| Box::new(Status::invalid_argument(message));
    let resource = resource.ok_or_else(|| invalid("resource is missing"))?;
    match resource.r#type() {
        Type::Unspecified => Err(invalid("resource.type is missing")),
        Type::Topic => Ok(ConfigResource::Topic(resource.name)),
        Type::Broker if resource.name.is_empty() => Ok(ConfigResource::ClusterDefault),
        Type::Broker => match resource.name.parse() {
            Ok(id) => Ok(ConfigResource::Broker(NodeId(id))),
            Err(_) => Err(invalid("resource.name of a broker is its id")),
        },
    }
}

pub fn find_topic<'a>(image: &'a Image, name: &str) -> Result<&'a Topic, Box<Status>> {
    let topic = image.topic_by_name(name).map(|topic| &**topic);
    topic.ok_or_else(|| {
        let message = format!("topic {name} does not exist");
        Box::new(status(&Refusal::new(ErrorCode::UnknownTopicOrPartition, message)))
    })
}

/// The status of a refusal: a code for programs, Kafka's name and the reason for people.
pub fn status(refusal: &Refusal) -> Status {
    Status::new(code(refusal.code), refusal.to_string())
}

/// Codes that callers tell apart. All others are refusals that only people understand.
fn code(error: ErrorCode) -> Code {
    let table = [
        (ErrorCode::UnknownTopicOrPartition, Code::NotFound),
        (ErrorCode::UnknownTopicId, Code::NotFound),
        (ErrorCode::BrokerIdNotRegistered, Code::NotFound),
        (ErrorCode::TopicAlreadyExists, Code::AlreadyExists),
        (ErrorCode::InvalidTopicException, Code::InvalidArgument),
        (ErrorCode::InvalidPartitions, Code::InvalidArgument),
        (ErrorCode::InvalidReplicationFactor, Code::InvalidArgument),
        (ErrorCode::InvalidReplicaAssignment, Code::InvalidArgument),
        (ErrorCode::InvalidConfig, Code::InvalidArgument),
        (ErrorCode::InvalidRequest, Code::InvalidArgument),
        (ErrorCode::RequestTimedOut, Code::Unavailable),
        (ErrorCode::NotController, Code::Unavailable),
        (ErrorCode::UnknownServerError, Code::Internal),
    ];
    let found = table.iter().find(|(known, _)| *known == error);
    found.map_or(Code::FailedPrecondition, |(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_begins_with_kafkas_name_of_the_error() {
        let status = status(&Refusal::new(ErrorCode::TopicAlreadyExists, "topic t exists"));
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(status.message(), "TOPIC_ALREADY_EXISTS: topic t exists");
    }
}
