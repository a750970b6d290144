//! CreatePartitions: topics grow, they never shrink.

use super::assignment::{manual_partition, place_partitions, push_new};
use super::create_topics::too_many_partitions;
use crate::draft::Draft;
use crate::{
    CreatePartitions, MorePartitions, Partition, PartitionCreation, Refusal, Reply, Topic,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{ErrorCode, PARTITIONS_PER_REQUEST_MAX, PartitionIndex, TopicIdPartition};

/// Each topic succeeds or fails on its own; too many partitions refuse the whole request.
pub fn create(draft: &mut Draft<'_>, command: &CreatePartitions) -> Result<Reply, Refusal> {
    check_partition_total(draft, &command.topics)?;
    let creations = if command.validate_only {
        draft.dry_run(|draft| create_all(draft, &command.topics))
    } else {
        create_all(draft, &command.topics)
    };
    Ok(Reply::PartitionsCreated(creations))
}

fn check_partition_total(draft: &Draft<'_>, topics: &[MorePartitions]) -> Result<(), Refusal> {
    let mut total: usize = 0;
    for more in topics {
        let topic = draft.image().topic_by_name(&more.name);
        let added = more.count.saturating_sub(topic.map_or(0, |topic| topic.partition_count()));
        total = total.saturating_add(usize::try_from(added).unwrap_or(0));
    }
    if total > PARTITIONS_PER_REQUEST_MAX {
        return Err(too_many_partitions(total));
    }
    Ok(())
}

fn create_all(draft: &mut Draft<'_>, topics: &[MorePartitions]) -> Vec<PartitionCreation> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for more in topics {
        *counts.entry(&more.name).or_default() += 1;
    }
    let mut creations = Vec::with_capacity(topics.len());
    for more in topics {
        let outcome = if counts.get(more.name.as_str()) > Some(&1) {
            let message = format!("topic {} is named twice in the request", more.name);
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        } else {
            create_one(draft, more)
        };
        creations.push(PartitionCreation { name: more.name.clone(), outcome });
    }
    creations
}

fn create_one(draft: &mut Draft<'_>, more: &MorePartitions) -> Result<(), Refusal> {
    let name = &more.name;
    let topic = draft.image().topic_by_name(name).cloned().ok_or_else(|| {
        let message = format!("topic {name} does not exist");
        Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
    })?;
    let current = topic.partition_count();
    if more.count <= current {
        let message = format!(
            "topic {name} has {current} partitions, {} would not be more: partitions can only be \
             added",
            more.count
        );
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    }
    let added = usize::try_from(more.count - current).unwrap_or(0);
    let partitions = new_partitions(draft, &topic, added, more)?;
    for (partition, state) in (current..).map(PartitionIndex).zip(partitions) {
        push_new(draft, TopicIdPartition { topic_id: topic.id, partition }, state);
    }
    Ok(())
}

fn new_partitions(
    draft: &mut Draft<'_>,
    topic: &Arc<Topic>,
    added: usize,
    more: &MorePartitions,
) -> Result<Vec<Partition>, Refusal> {
    let factor = usize::try_from(topic.replication_factor()).unwrap_or(0);
    let Some(assignments) = &more.assignments else {
        return place_partitions(draft, added, factor);
    };
    if assignments.len() != added {
        let message = format!("{added} partitions are added, {} are assigned", assignments.len());
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    let indexes = (topic.partition_count()..).map(PartitionIndex);
    let assigned = indexes.zip(assignments);
    assigned
        .map(|(index, replicas)| manual_partition(draft, index, replicas, Some(factor)))
        .collect()
}
