//! OffsetDelete: a group forgets what it has consumed of partitions that it reads no longer; answered
//! when that is committed.

use super::RequestContext;
use coordinator::Reply;
use metadata::Image;
use std::collections::{BTreeMap, BTreeSet};
use types::{ErrorCode, PartitionIndex, TopicPartition};
use wire::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

type Codes = BTreeMap<TopicPartition, Option<ErrorCode>>;

pub async fn handle(ctx: &RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = ctx.broker.image.load();
    let partitions = partitions_of(&image, &request.topics);
    let codes = match delete(ctx, &request.group_id, partitions).await {
        Ok(codes) => codes,
        // The group's error leaves nothing to say of the topics.
        Err(code) => {
            let error_code = code.into();
            return OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() };
        }
    };
    let topics = request.topics.into_iter().map(|topic| respond(topic, &codes));
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}

/// Those that there are, each once however often it is named.
fn partitions_of(image: &Image, topics: &[OffsetDeleteRequestTopic]) -> BTreeSet<TopicPartition> {
    let mut partitions = BTreeSet::new();
    for topic in topics {
        let Some(known) = image.topic_by_name(&topic.name) else { continue };
        for asked in &topic.partitions {
            let partition = PartitionIndex(asked.partition_index);
            if known.partition(partition).is_some() {
                partitions.insert(TopicPartition { topic: known.name.clone(), partition });
            }
        }
    }
    partitions
}

async fn delete(
    ctx: &RequestContext,
    group_id: &str,
    partitions: BTreeSet<TopicPartition>,
) -> Result<Codes, ErrorCode> {
    let shard = ctx.broker.groups.shard_of_members(group_id)?;
    let reply = shard
        .ask(|groups, _, token, effects| {
            groups.delete_offsets(token, group_id, partitions, effects);
        })
        .await?;
    match reply {
        Reply::OffsetsDeleted(results) => Ok(results.into_iter().collect()),
        _ => Err(ErrorCode::UnknownServerError),
    }
}

fn respond(topic: OffsetDeleteRequestTopic, codes: &Codes) -> OffsetDeleteResponseTopic {
    let code_of = |partition_index: i32| {
        let partition = PartitionIndex(partition_index);
        let at = TopicPartition { topic: topic.name.to_string(), partition };
        let unknown = Some(ErrorCode::UnknownTopicOrPartition);
        codes.get(&at).copied().unwrap_or(unknown).map_or(0, i16::from)
    };
    let partitions = topic.partitions.iter().map(|asked| OffsetDeleteResponsePartition {
        partition_index: asked.partition_index,
        error_code: code_of(asked.partition_index),
    });
    OffsetDeleteResponseTopic { partitions: partitions.collect(), name: topic.name }
}
