//! Topics: create, delete, describe, add partitions.

use std::time::Duration;

use types::{ErrorCode, NodeId, PartitionIndex, TopicId};
use wire::StrBytes;
use wire::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use wire::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use wire::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use wire::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, TopicRequest,
};

use crate::client::Client;
use crate::error::{ClientError, check};
use crate::metadata::{Topic, TopicSelection, error_of, nodes};

/// A topic to create. Absent counts mean the cluster's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication_factor: Option<i16>,
    /// Replicas of partition 0, 1, ..., instead of the two counts.
    pub assignment: Vec<Vec<NodeId>>,
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
}

/// Partitions to add to a topic: its new total, and where the new ones go if the caller cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPartitions {
    pub topic: String,
    pub total: i32,
    pub assignment: Vec<Vec<NodeId>>,
}

/// How a topic is named in a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicName {
    Name(String),
    Id(TopicId),
}

/// A topic as DescribeTopicPartitions (or Metadata, for brokers without it) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTopic {
    pub name: String,
    pub id: TopicId,
    pub is_internal: bool,
    pub error: Option<ErrorCode>,
    pub partitions: Vec<DescribedPartition>,
}

/// A partition; the eligible leaders are absent where the broker does not tell them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPartition {
    pub index: PartitionIndex,
    pub leader: Option<NodeId>,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
    pub eligible_leaders: Option<Vec<NodeId>>,
    pub last_known_eligible: Option<Vec<NodeId>>,
    pub offline: Vec<NodeId>,
}

/// A partition whose replicas are being moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassignment {
    pub topic: String,
    pub partition: PartitionIndex,
    pub replicas: Vec<NodeId>,
    pub adding: Vec<NodeId>,
    pub removing: Vec<NodeId>,
}

type PerTopic<T> = Vec<(String, Result<T, ClientError>)>;

impl Client {
    /// Creates topics; with `validate_only` only says whether it could.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<PerTopic<CreatedTopic>, ClientError> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(creatable).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
        };
        let mut attempts = self.attempts();
        loop {
            let response = self.call_any(&request).await?;
            let results = response.topics.into_iter().map(|topic| {
                let created = CreatedTopic {
                    id: topic.topic_id,
                    partitions: topic.num_partitions,
                    replication_factor: topic.replication_factor,
                };
                let result = check(topic.error_code, topic.error_message.as_deref());
                (topic.name.to_string(), result.map(|()| created))
            });
            let results: PerTopic<CreatedTopic> = results.collect();
            match lost_controller(&results) {
                Some(error) => attempts.pause(error).await?,
                None => return Ok(results),
            }
        }
    }

    /// Deletes topics by name.
    pub async fn delete_topics(&self, names: &[String]) -> Result<PerTopic<()>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            let connection = self.any().await?;
            let timeout_ms = self.timeout_ms();
            let request = match connection.version_of::<DeleteTopicsRequest>()? {
                0..=5 => DeleteTopicsRequest {
                    topic_names: names.iter().map(|name| StrBytes::from(name.as_str())).collect(),
                    timeout_ms,
                    ..Default::default()
                },
                _ => DeleteTopicsRequest {
                    topics: names.iter().map(|name| to_delete(name)).collect(),
                    timeout_ms,
                    ..Default::default()
                },
            };
            let response = match connection.call(&request).await {
                Ok(response) => response,
                Err(error) => {
                    attempts.pause(error).await?;
                    continue;
                }
            };
            let results = response.responses.into_iter().map(|topic| {
                let name = topic.name.map_or_else(String::new, |name| name.to_string());
                (name, check(topic.error_code, topic.error_message.as_deref()))
            });
            let results: PerTopic<()> = results.collect();
            match lost_controller(&results) {
                Some(error) => attempts.pause(error).await?,
                None => return Ok(results),
            }
        }
    }

    /// Adds partitions to topics.
    pub async fn create_partitions(
        &self,
        additions: &[NewPartitions],
    ) -> Result<PerTopic<()>, ClientError> {
        let request = CreatePartitionsRequest {
            topics: additions.iter().map(addition).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        let mut attempts = self.attempts();
        loop {
            let response = self.call_any(&request).await?;
            let results = response.results.into_iter().map(|topic| {
                (topic.name.to_string(), check(topic.error_code, topic.error_message.as_deref()))
            });
            let results: PerTopic<()> = results.collect();
            match lost_controller(&results) {
                Some(error) => attempts.pause(error).await?,
                None => return Ok(results),
            }
        }
    }

    /// Names of all topics, sorted; internal ones only if asked for.
    pub async fn list_topics(&self, with_internal: bool) -> Result<Vec<Topic>, ClientError> {
        let cluster = self.metadata(&TopicSelection::All).await?;
        Ok(cluster.topics.into_values().filter(|t| with_internal || !t.is_internal).collect())
    }

    /// Describes topics by name, in pages of at most `page_partitions` partitions.
    pub async fn describe_topics(
        &self,
        names: &[String],
        page_partitions: i32,
    ) -> Result<Vec<DescribedTopic>, ClientError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.any().await?;
        if connection.version_of::<DescribeTopicPartitionsRequest>().is_err() {
            let cluster = self.metadata(&TopicSelection::Named(names.to_vec())).await?;
            return Ok(cluster.topics.into_values().map(DescribedTopic::from).collect());
        }
        let mut described: Vec<DescribedTopic> = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let request = DescribeTopicPartitionsRequest {
                topics: names
                    .iter()
                    .map(|name| TopicRequest { name: name.as_str().into() })
                    .collect(),
                response_partition_limit: page_partitions,
                cursor,
            };
            let response: DescribeTopicPartitionsResponse = self.call_any(&request).await?;
            for topic in response.topics {
                merge(&mut described, topic.into());
            }
            cursor = response.next_cursor.map(|next| Cursor {
                topic_name: next.topic_name,
                partition_index: next.partition_index,
            });
            if cursor.is_none() {
                return Ok(described);
            }
        }
    }

    /// The wait that the cluster may spend on an administrative request.
    pub(crate) fn timeout_ms(&self) -> i32 {
        millis(self.options().request_timeout)
    }
}

/// A duration as a request's field.
pub(crate) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The error to try again on: the broker reached no controller, so nothing was done.
fn lost_controller<T>(results: &PerTopic<T>) -> Option<ClientError> {
    results.iter().find_map(|(_, result)| match result {
        Err(error) if error.code() == Some(ErrorCode::NotController) => Some(error.clone()),
        _ => None,
    })
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assigned = !topic.assignment.is_empty();
    let assignments = topic.assignment.iter().enumerate().map(|(index, brokers)| {
        let partition_index = index as i32;
        CreatableReplicaAssignment { partition_index, broker_ids: ids(brokers) }
    });
    let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: name.as_str().into(),
        value: value.as_deref().map(StrBytes::from),
    });
    CreatableTopic {
        name: topic.name.as_str().into(),
        num_partitions: if assigned { -1 } else { topic.partitions.unwrap_or(-1) },
        replication_factor: if assigned { -1 } else { topic.replication_factor.unwrap_or(-1) },
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn to_delete(name: &str) -> DeleteTopicState {
    DeleteTopicState { name: Some(name.into()), ..Default::default() }
}

fn addition(addition: &NewPartitions) -> CreatePartitionsTopic {
    let assignments = addition
        .assignment
        .iter()
        .map(|brokers| CreatePartitionsAssignment { broker_ids: ids(brokers) })
        .collect::<Vec<_>>();
    CreatePartitionsTopic {
        name: addition.topic.as_str().into(),
        count: addition.total,
        assignments: (!assignments.is_empty()).then_some(assignments),
    }
}

fn ids(brokers: &[NodeId]) -> Vec<i32> {
    brokers.iter().map(|broker| broker.0).collect()
}

/// Adds a page's part of a topic to what earlier pages said.
fn merge(described: &mut Vec<DescribedTopic>, page: DescribedTopic) {
    match described.last_mut() {
        Some(last) if last.name == page.name => last.partitions.extend(page.partitions),
        _ => described.push(page),
    }
}

impl From<DescribeTopicPartitionsResponseTopic> for DescribedTopic {
    fn from(topic: DescribeTopicPartitionsResponseTopic) -> DescribedTopic {
        DescribedTopic {
            name: topic.name.map_or_else(String::new, |name| name.to_string()),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            error: error_of(topic.error_code),
            partitions: topic.partitions.into_iter().map(DescribedPartition::from).collect(),
        }
    }
}

impl From<DescribeTopicPartitionsResponsePartition> for DescribedPartition {
    fn from(partition: DescribeTopicPartitionsResponsePartition) -> DescribedPartition {
        DescribedPartition {
            index: PartitionIndex(partition.partition_index),
            leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
            replicas: nodes(partition.replica_nodes),
            isr: nodes(partition.isr_nodes),
            eligible_leaders: partition.eligible_leader_replicas.map(nodes),
            last_known_eligible: partition.last_known_elr.map(nodes),
            offline: nodes(partition.offline_replicas),
        }
    }
}

impl From<Topic> for DescribedTopic {
    fn from(topic: Topic) -> DescribedTopic {
        let partitions = topic.partitions.into_values().map(|partition| DescribedPartition {
            index: partition.index,
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            eligible_leaders: None,
            last_known_eligible: None,
            offline: partition.offline,
        });
        DescribedTopic {
            name: topic.name,
            id: topic.id,
            is_internal: topic.is_internal,
            error: topic.error,
            partitions: partitions.collect(),
        }
    }
}
