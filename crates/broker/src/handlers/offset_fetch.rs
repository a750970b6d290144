//! OffsetFetch: what groups have committed. An offset that was never committed is -1, never 0; so is
//! one of a topic that is gone, whether or not another one has its name.

use super::RequestContext;
use crate::group::is_gone;
use coordinator::CommittedOffset;
use metadata::Image;
use std::collections::BTreeMap;
use types::{ErrorCode, PartitionIndex, TopicId, TopicPartition};
use wire::StrBytes;
use wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// The version from which several groups are asked for.
const BATCHED_FROM: i16 = 8;
/// The version from which topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;
/// The version from which a group's error has a place of its own.
const GROUP_ERROR_FROM: i16 = 2;

pub async fn handle(ctx: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let image = ctx.broker.image.load();
    let mut response = OffsetFetchResponse::default();
    if ctx.api_version >= BATCHED_FROM {
        let groups = request.groups.into_iter().map(|group| fetch(ctx, &image, group));
        response.groups = groups.collect();
        return response;
    }
    let topics = request.topics.map(|topics| {
        let topic = |topic: wire::offset_fetch::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        };
        topics.into_iter().map(topic).collect()
    });
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let fetched = fetch(ctx, &image, group);
    if ctx.api_version >= GROUP_ERROR_FROM {
        response.error_code = fetched.error_code;
    }
    response.topics = fetched.topics.into_iter().map(old_topic).collect();
    response
}

fn old_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

type Offsets = BTreeMap<TopicPartition, CommittedOffset>;

fn fetch(
    ctx: &RequestContext,
    image: &Image,
    group: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let offsets = offsets_of(ctx, &group.group_id);
    let code = offsets.as_ref().err().copied();
    let topics = match (group.topics, &offsets) {
        (None, Err(_)) => Vec::new(),
        (None, Ok(offsets)) => all(image, offsets),
        (Some(topics), offsets) => topics
            .into_iter()
            .map(|topic| some(ctx, image, topic, offsets.as_ref().ok(), code))
            .collect(),
    };
    OffsetFetchResponseGroup {
        group_id: group.group_id,
        topics,
        error_code: code.map_or(0, i16::from),
    }
}

fn offsets_of(ctx: &RequestContext, group_id: &str) -> Result<Offsets, ErrorCode> {
    let shard = ctx.broker.groups.shard_of(group_id)?;
    shard.call(|groups, _, _| groups.offsets(group_id).cloned().unwrap_or_default())
}

fn all(image: &Image, offsets: &Offsets) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: BTreeMap<&str, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
    for (at, committed) in offsets {
        if is_gone(image, &at.topic, committed.topic_id) {
            continue;
        }
        topics.entry(&at.topic).or_default().push(found(at.partition.0, committed));
    }
    topics
        .into_iter()
        .map(|(name, partitions)| OffsetFetchResponseTopics {
            name: StrBytes::from(name),
            topic_id: image.topic_id(name).unwrap_or_default(),
            partitions,
        })
        .collect()
}

fn some(
    ctx: &RequestContext,
    image: &Image,
    topic: OffsetFetchRequestTopics,
    offsets: Option<&Offsets>,
    code: Option<ErrorCode>,
) -> OffsetFetchResponseTopics {
    let name = match ctx.api_version >= TOPIC_IDS_FROM {
        true => name_of(image, topic.topic_id),
        false => Some(topic.name.to_string()),
    };
    let partitions = topic.partition_indexes.iter().map(|index| {
        let Some(name) = &name else { return missing(*index, Some(ErrorCode::UnknownTopicId)) };
        let at = TopicPartition { topic: name.clone(), partition: PartitionIndex(*index) };
        let committed = offsets.and_then(|offsets| offsets.get(&at));
        match committed.filter(|committed| !is_gone(image, name, committed.topic_id)) {
            Some(committed) => found(*index, committed),
            None => missing(*index, code),
        }
    });
    OffsetFetchResponseTopics {
        partitions: partitions.collect(),
        name: topic.name,
        topic_id: topic.topic_id,
    }
}

fn name_of(image: &Image, topic_id: TopicId) -> Option<String> {
    image.topic(topic_id).map(|topic| topic.name.clone())
}

fn found(index: i32, committed: &CommittedOffset) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.offset.0,
        committed_leader_epoch: committed.leader_epoch.0,
        metadata: Some(StrBytes::from(&committed.metadata)),
        error_code: 0,
    }
}

fn missing(index: i32, code: Option<ErrorCode>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(StrBytes::default()),
        error_code: code.map_or(0, i16::from),
    }
}
