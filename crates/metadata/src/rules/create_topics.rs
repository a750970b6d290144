//! CreateTopics.

use super::assignment::{manual_partition, place_partitions, push_new};
use crate::draft::Draft;
use crate::{
    ConfigResource, ConfigValues, CreateTopics, CreatedTopic, NewTopic, Partition, Record, Refusal,
    Reply, TopicCreation, names,
};
use std::collections::BTreeMap;
use types::{ErrorCode, PARTITIONS_PER_REQUEST_MAX, PartitionIndex, TopicIdPartition};

/// Each topic succeeds or fails on its own; too many partitions refuse the whole request.
pub fn create(draft: &mut Draft<'_>, command: &CreateTopics) -> Result<Reply, Refusal> {
    check_partition_total(draft, command)?;
    let creations = if command.validate_only {
        draft.dry_run(|draft| create_all(draft, &command.topics))
    } else {
        create_all(draft, &command.topics)
    };
    Ok(Reply::TopicsCreated(creations))
}

fn check_partition_total(draft: &Draft<'_>, command: &CreateTopics) -> Result<(), Refusal> {
    let mut total: usize = 0;
    for topic in &command.topics {
        let count = match (topic.assignments.is_empty(), topic.num_partitions) {
            (false, _) => topic.assignments.len(),
            (true, -1) => usize::try_from(draft.context.num_partitions).unwrap_or(0),
            (true, count) => usize::try_from(count).unwrap_or(0),
        };
        total = total.saturating_add(count);
    }
    if total > PARTITIONS_PER_REQUEST_MAX {
        return Err(too_many_partitions(total));
    }
    Ok(())
}

/// The refusal of a request that would create more than it may.
pub fn too_many_partitions(total: usize) -> Refusal {
    let message = format!(
        "the request creates {total} partitions, at most {PARTITIONS_PER_REQUEST_MAX} are allowed"
    );
    Refusal::new(ErrorCode::PolicyViolation, message)
}

fn create_all(draft: &mut Draft<'_>, topics: &[NewTopic]) -> Vec<TopicCreation> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in topics {
        *counts.entry(&topic.name).or_default() += 1;
    }
    let mut creations = Vec::with_capacity(topics.len());
    for topic in topics {
        let outcome = if counts.get(topic.name.as_str()) > Some(&1) {
            let message = format!("topic {} is named twice in the request", topic.name);
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        } else {
            create_one(draft, topic)
        };
        creations.push(TopicCreation { name: topic.name.clone(), outcome });
    }
    creations
}

fn create_one(draft: &mut Draft<'_>, topic: &NewTopic) -> Result<CreatedTopic, Refusal> {
    check_name(draft, &topic.name)?;
    let configs = check_configs(draft, topic)?;
    let partitions = if topic.assignments.is_empty() {
        place_topic(draft, topic)?
    } else {
        assign_topic(draft, topic)?
    };
    let topic_id = draft.new_topic_id();
    draft.push(Record::Topic { topic_id, name: topic.name.clone() });
    for (name, value) in &configs {
        draft.push(Record::Config {
            resource: ConfigResource::Topic(topic.name.clone()),
            name: name.clone(),
            value: Some(value.clone()),
        });
    }
    let num_partitions = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
    let replicas = partitions.first().map_or(0, |partition| partition.replicas.len());
    for (partition, state) in (0..).map(PartitionIndex).zip(partitions) {
        push_new(draft, TopicIdPartition { topic_id, partition }, state);
    }
    let replication_factor = i16::try_from(replicas).unwrap_or(i16::MAX);
    Ok(CreatedTopic { topic_id, num_partitions, replication_factor, configs })
}

fn check_name(draft: &Draft<'_>, name: &str) -> Result<(), Refusal> {
    let invalid = |message| Refusal::new(ErrorCode::InvalidTopicException, message);
    names::check_topic_name(name).map_err(invalid)?;
    if draft.image().topic_id(name).is_some() {
        let message = format!("topic {name} already exists");
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, message));
    }
    if let Some(other) = draft.image().colliding_topic(name) {
        return Err(invalid(format!(
            "topic name {name} collides with the existing topic {other}: '.' and '_' count as equal"
        )));
    }
    Ok(())
}

fn check_configs(draft: &Draft<'_>, topic: &NewTopic) -> Result<ConfigValues, Refusal> {
    let invalid = |message| Refusal::new(ErrorCode::InvalidConfig, message);
    let mut values = ConfigValues::new();
    for (name, value) in &topic.configs {
        let value = value.clone().ok_or_else(|| invalid(format!("{name} has a null value")))?;
        if values.insert(name.clone(), value).is_some() {
            let message = format!("{name} is given twice");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    }
    let resource = ConfigResource::Topic(topic.name.clone());
    draft.context.config_rules.validate(&resource, &values).map_err(invalid)?;
    Ok(values)
}

fn place_topic(draft: &mut Draft<'_>, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
    let factor = match topic.replication_factor {
        -1 => draft.context.replication_factor,
        given => given,
    };
    let factor = usize::try_from(factor).ok().filter(|factor| *factor > 0).ok_or_else(|| {
        let message = format!("replication factor {factor} must be at least 1, or -1 for default");
        Refusal::new(ErrorCode::InvalidReplicationFactor, message)
    })?;
    let count = match topic.num_partitions {
        -1 => draft.context.num_partitions,
        given => given,
    };
    let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
        let message = format!("number of partitions {count} must be at least 1, or -1 for default");
        Refusal::new(ErrorCode::InvalidPartitions, message)
    })?;
    place_partitions(draft, count, factor)
}

fn assign_topic(draft: &Draft<'_>, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
    let unset = |field: &str, value: i32| {
        let message = format!("{field} is {value}, it must be -1 where replicas are assigned");
        Err(Refusal::new(ErrorCode::InvalidRequest, message))
    };
    if topic.replication_factor != -1 {
        return unset("replication factor", i32::from(topic.replication_factor));
    }
    if topic.num_partitions != -1 {
        return unset("number of partitions", topic.num_partitions);
    }
    let refuse = |message| Refusal::new(ErrorCode::InvalidReplicaAssignment, message);
    let mut partitions: BTreeMap<PartitionIndex, Partition> = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition;
        let state = manual_partition(draft, index, &assignment.replicas, factor)?;
        factor = Some(state.replicas.len());
        if partitions.insert(index, state).is_some() {
            return Err(refuse(format!("partition {index} is assigned twice")));
        }
    }
    for (wanted, index) in (0..).map(PartitionIndex).zip(partitions.keys()) {
        if *index != wanted {
            let message = format!(
                "partition {index} is assigned, partition {wanted} is not: they must be numbered \
                 from 0 without gaps"
            );
            return Err(refuse(message));
        }
    }
    Ok(partitions.into_values().collect())
}
