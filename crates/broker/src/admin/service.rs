//! The Admin service: reads come from this broker's metadata image, writes go to the active
//! controller like those of the Kafka protocol.

use super::answers;
use crate::context::BrokerContext;
use crate::handlers::submit::{submit, unexpected};
use metadata::{
    Command, ConfigAlteration, ConfigChange, ConfigOperation, CreatePartitions, CreateTopics,
    MorePartitions, NewTopic, Refusal, Reply, TopicSelector,
};
use rpc::admin::admin_server::Admin;
use rpc::admin::*;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use types::TopicPartition;

/// How long a command may take.
const TIMEOUT_MS: i32 = 10_000;

type Answer<T> = Result<Response<T>, Status>;

/// Answers for one broker.
pub struct AdminService {
    pub context: Arc<BrokerContext>,
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn describe_cluster(
        &self,
        _: Request<DescribeClusterRequest>,
    ) -> Answer<DescribeClusterResponse> {
        let active = self.context.controller.describe_quorum().await;
        let image = self.context.image.load();
        Ok(Response::new(DescribeClusterResponse {
            cluster_id: image.cluster_id().unwrap_or_default().to_owned(),
            active_controller_id: active.map_or(-1, |quorum| quorum.leader_id),
            brokers: image.brokers().map(|broker| answers::broker(broker)).collect(),
            metadata_version: self.context.image.applied().0,
        }))
    }

    async fn list_topics(&self, _: Request<ListTopicsRequest>) -> Answer<ListTopicsResponse> {
        let image = self.context.image.load();
        let topics = image.topics_by_name().map(|topic| answers::summary(topic)).collect();
        Ok(Response::new(ListTopicsResponse { topics }))
    }

    async fn describe_topic(
        &self,
        request: Request<DescribeTopicRequest>,
    ) -> Answer<DescribeTopicResponse> {
        let image = self.context.image.load();
        let topic = answers::find_topic(&image, &request.get_ref().name);
        Ok(Response::new(answers::topic(topic.map_err(|status| *status)?)))
    }

    async fn create_topic(
        &self,
        request: Request<CreateTopicRequest>,
    ) -> Answer<CreateTopicResponse> {
        let request = request.into_inner();
        let validate_only = request.validate_only;
        let topics = vec![new_topic(request)?];
        let command = Command::CreateTopics(CreateTopics { topics, validate_only });
        let created = match self.submit(command).await? {
            Reply::TopicsCreated(mut topics) => topics.pop().map(|topic| topic.outcome),
            reply => return Err(answers::status(&unexpected(&reply))),
        };
        let created = only(created)?;
        Ok(Response::new(CreateTopicResponse { topic_id: created.topic_id.to_string() }))
    }

    async fn delete_topic(
        &self,
        request: Request<DeleteTopicRequest>,
    ) -> Answer<DeleteTopicResponse> {
        let topics = vec![TopicSelector::Name(request.into_inner().name)];
        match self.submit(Command::DeleteTopics { topics }).await? {
            Reply::TopicsDeleted(mut topics) => only(topics.pop().map(|topic| topic.outcome))?,
            reply => return Err(answers::status(&unexpected(&reply))),
        }
        Ok(Response::new(DeleteTopicResponse {}))
    }

    async fn create_partitions(
        &self,
        request: Request<CreatePartitionsRequest>,
    ) -> Answer<CreatePartitionsResponse> {
        let request = request.into_inner();
        let more = MorePartitions { name: request.topic, count: request.count, assignments: None };
        let command = Command::CreatePartitions(CreatePartitions {
            topics: vec![more],
            validate_only: false,
        });
        match self.submit(command).await? {
            Reply::PartitionsCreated(mut topics) => only(topics.pop().map(|topic| topic.outcome))?,
            reply => return Err(answers::status(&unexpected(&reply))),
        }
        Ok(Response::new(CreatePartitionsResponse {}))
    }

    async fn describe_configs(
        &self,
        request: Request<DescribeConfigsRequest>,
    ) -> Answer<DescribeConfigsResponse> {
        let resource = answers::resource(request.into_inner().resource);
        let resource = resource.map_err(|status| *status)?;
        let image = self.context.image.load();
        let entries =
            crate::handlers::describe_configs::entries(&self.context, &image, &resource, None);
        let entries = entries.map_err(|refusal| answers::status(&refusal))?;
        let configs = entries.into_iter().map(answers::config_entry).collect();
        Ok(Response::new(DescribeConfigsResponse { configs }))
    }

    async fn alter_configs(
        &self,
        request: Request<AlterConfigsRequest>,
    ) -> Answer<AlterConfigsResponse> {
        let request = request.into_inner();
        let resource = answers::resource(request.resource).map_err(|status| *status)?;
        let set = request.set.into_iter().map(|(name, value)| {
            let value = Some(value);
            ConfigChange { name, operation: ConfigOperation::Set, value }
        });
        let remove = request.remove.into_iter().map(|name| {
            let operation = ConfigOperation::Delete;
            ConfigChange { name, operation, value: None }
        });
        let mut changes: Vec<ConfigChange> = set.chain(remove).collect();
        // A map has no order of its own; a command has one.
        changes.sort_by(|a, b| a.name.cmp(&b.name));
        let resources = vec![ConfigAlteration { resource, changes }];
        let validate_only = request.validate_only;
        let command = Command::IncrementalAlterConfigs { resources, validate_only };
        match self.submit(command).await? {
            Reply::ConfigsAltered(mut outcomes) => only(outcomes.pop().map(|item| item.outcome))?,
            reply => return Err(answers::status(&unexpected(&reply))),
        }
        Ok(Response::new(AlterConfigsResponse {}))
    }

    async fn describe_partitions(
        &self,
        request: Request<DescribePartitionsRequest>,
    ) -> Answer<DescribePartitionsResponse> {
        let wanted = request.into_inner().topic;
        let image = self.context.image.load();
        let mut partitions = Vec::new();
        let mut damaged = answers::damaged_ranges(self.context.replicas.logs());
        let mut held = self.context.replicas.partitions();
        held.sort_unstable_by_key(|partition| partition.id);
        for partition in &held {
            let id = &partition.id;
            let Some(topic) = image.topic(id.topic_id) else { continue };
            if !wanted.is_empty() && topic.name != wanted {
                continue;
            }
            let view = partition.view();
            let name = TopicPartition { topic: topic.name.clone(), partition: id.partition };
            partitions.push(PartitionState {
                topic: topic.name.clone(),
                topic_id: id.topic_id.to_string(),
                partition: id.partition.0,
                role: if view.is_leader { "leader" } else { "follower" }.to_owned(),
                leader_epoch: view.leader_epoch.0,
                log_start_offset: view.start_offset.0,
                high_watermark: view.high_watermark.0,
                log_end_offset: view.end_offset.0,
                damaged: damaged.remove(&name).unwrap_or_default(),
            });
        }
        // What is left could not be opened.
        damaged.retain(|name, _| wanted.is_empty() || name.topic == wanted);
        partitions.extend(damaged.into_iter().map(|(name, damaged)| PartitionState {
            topic_id: image.topic_id(&name.topic).map(|id| id.to_string()).unwrap_or_default(),
            partition: name.partition.0,
            topic: name.topic,
            role: "closed".to_owned(),
            leader_epoch: -1,
            log_start_offset: -1,
            high_watermark: -1,
            log_end_offset: -1,
            damaged,
        }));
        Ok(Response::new(DescribePartitionsResponse { partitions }))
    }
}

impl AdminService {
    async fn submit(&self, command: Command) -> Result<Reply, Status> {
        let reply = submit(&self.context, command, TIMEOUT_MS).await;
        reply.map_err(|refusal| answers::status(&refusal))
    }
}

fn new_topic(request: CreateTopicRequest) -> Result<NewTopic, Status> {
    let replicas = i16::try_from(request.replication_factor.unwrap_or(-1));
    let replicas =
        replicas.map_err(|_| Status::invalid_argument("replication_factor is absurd"))?;
    let mut topic = NewTopic::placed(&request.name, request.partitions.unwrap_or(-1), replicas);
    topic.configs = request.configs.into_iter().map(|(name, value)| (name, Some(value))).collect();
    topic.configs.sort();
    Ok(topic)
}

/// The outcome of a command that was about one thing.
fn only<T>(outcome: Option<Result<T, Refusal>>) -> Result<T, Status> {
    let missing = || Status::internal("the controller answered about nothing");
    outcome.ok_or_else(missing)?.map_err(|refusal| answers::status(&refusal))
}
