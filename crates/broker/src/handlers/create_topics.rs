//! CreateTopics: passed on to the active controller.

use super::RequestContext;
use super::config_resources::TopicLayers;
use super::submit::{submit, unexpected};
use crate::context::BrokerContext;
use metadata::{Command, CreateTopics, CreatedTopic, NewTopic, NewTopicAssignment, Refusal, Reply};
use types::{ErrorCode, NodeId, PartitionIndex};
use wire::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};

/// The first version whose answer tells partitions, replicas and configuration.
const DETAILS_FROM: i16 = 5;

pub async fn handle(ctx: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let topics = request.topics.iter().map(new_topic).collect();
    let command =
        Command::CreateTopics(CreateTopics { topics, validate_only: request.validate_only });
    let reply = submit(&ctx.broker, command, request.timeout_ms).await;
    let creations = match reply {
        Ok(Reply::TopicsCreated(creations)) => Ok(creations),
        Ok(reply) => Err(unexpected(&reply)),
        Err(refusal) => Err(refusal),
    };
    let topics = match creations {
        Ok(creations) => creations
            .into_iter()
            .map(|creation| match creation.outcome {
                Ok(created) => made(ctx, &creation.name, &created),
                Err(refusal) => refused(&creation.name, &refusal),
            })
            .collect(),
        Err(refusal) => request.topics.iter().map(|topic| refused(&topic.name, &refusal)).collect(),
    };
    CreateTopicsResponse { topics, ..Default::default() }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| NewTopicAssignment {
        partition: PartitionIndex(assignment.partition_index),
        replicas: assignment.broker_ids.iter().copied().map(NodeId).collect(),
    });
    let configs = topic.configs.iter().map(|config| {
        (config.name.as_str().to_owned(), config.value.as_ref().map(|v| v.as_str().to_owned()))
    });
    NewTopic {
        name: topic.name.as_str().to_owned(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn made(ctx: &RequestContext, name: &str, created: &CreatedTopic) -> CreatableTopicResult {
    let mut result = CreatableTopicResult {
        name: name.into(),
        topic_id: created.topic_id,
        ..Default::default()
    };
    if ctx.api_version >= DETAILS_FROM {
        result.num_partitions = created.num_partitions;
        result.replication_factor = created.replication_factor;
        result.configs = Some(configs(&ctx.broker, created));
    }
    result
}

/// The new topic's configuration as DescribeConfigs would show it.
fn configs(ctx: &BrokerContext, created: &CreatedTopic) -> Vec<CreatableTopicConfigs> {
    let image = ctx.image.load();
    let layers = TopicLayers { image: &image, topic: &created.configs };
    let entries = config::describe_topic(&layers.on(ctx), None);
    let shown = entries.into_iter().map(|entry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
    });
    shown.collect()
}

fn refused(name: &str, refusal: &Refusal) -> CreatableTopicResult {
    // KIP-599's quota code exists from version 6 on, and no quota is kept here.
    debug_assert!(refusal.code != ErrorCode::ThrottlingQuotaExceeded);
    CreatableTopicResult {
        name: name.into(),
        error_code: refusal.code.into(),
        error_message: Some(refusal.message.as_str().into()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::create_topics::{CreatableReplicaAssignment, CreatableTopicConfig};

    #[test]
    fn a_request_is_passed_on_as_it_is() {
        let topic = CreatableTopic {
            name: "t".into(),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: vec![2, 1],
            }],
            configs: vec![CreatableTopicConfig { name: "retention.ms".into(), value: None }],
        };
        let new = new_topic(&topic);
        assert_eq!(new.name, "t");
        assert_eq!((new.num_partitions, new.replication_factor), (-1, -1));
        assert_eq!(new.assignments[0].replicas, [NodeId(2), NodeId(1)]);
        assert_eq!(new.configs, [("retention.ms".to_owned(), None)]);
    }
}
