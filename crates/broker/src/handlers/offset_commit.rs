//! OffsetCommit: how far a group has consumed; answered once it is replicated.

use super::RequestContext;
use coordinator::{CommittedOffset, OffsetCommit, OffsetCommitItem, Reply};
use metadata::Image;
use std::collections::BTreeMap;
use types::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicPartition};
use wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

/// The version from which topics are named by id.
const TOPIC_IDS_FROM: i16 = 10;
/// The version from which a commit to a group that is not there says so (KIP-848).
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;

pub async fn handle(ctx: &RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = ctx.broker.image.load();
    let names: Vec<Option<String>> =
        request.topics.iter().map(|topic| name_of(ctx, &image, topic)).collect();
    let (items, mut codes) = sort_out(ctx, &image, &request, &names);
    if !items.is_empty() {
        let partitions: Vec<TopicPartition> =
            items.iter().map(|item| item.partition.clone()).collect();
        let results = commit(ctx, &request, items).await;
        match results {
            Ok(results) => {
                codes.extend(results.into_iter().map(|(at, code)| (at, code.map_or(0, i16::from))))
            }
            Err(code) => codes.extend(partitions.into_iter().map(|at| (at, code.into()))),
        }
    }
    let mut response = OffsetCommitResponse::default();
    for (topic, name) in request.topics.into_iter().zip(names) {
        let code_of = |index: i32| match &name {
            None => ErrorCode::UnknownTopicId.into(),
            Some(name) => {
                let partition = PartitionIndex(index);
                let at = TopicPartition { topic: name.clone(), partition };
                let code = codes.get(&at).copied();
                code.unwrap_or_else(|| ErrorCode::UnknownServerError.into())
            }
        };
        let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: code_of(partition.partition_index),
        });
        response.topics.push(OffsetCommitResponseTopic {
            partitions: partitions.collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        });
    }
    response
}

fn name_of(
    ctx: &RequestContext,
    image: &Image,
    topic: &OffsetCommitRequestTopic,
) -> Option<String> {
    match ctx.api_version >= TOPIC_IDS_FROM {
        true => image.topic(topic.topic_id).map(|topic| topic.name.clone()),
        false => Some(topic.name.to_string()),
    }
}

type Codes = BTreeMap<TopicPartition, i16>;

/// What can be committed, and the codes of what cannot.
fn sort_out(
    ctx: &RequestContext,
    image: &Image,
    request: &OffsetCommitRequest,
    names: &[Option<String>],
) -> (Vec<OffsetCommitItem>, Codes) {
    let commit_timestamp: Timestamp = ctx.broker.env.clock.wall();
    let mut items = Vec::new();
    let mut codes = BTreeMap::new();
    for (topic, name) in request.topics.iter().zip(names) {
        let Some(name) = name else { continue };
        let known = image.topic_by_name(name);
        for asked in &topic.partitions {
            let index = PartitionIndex(asked.partition_index);
            let partition = TopicPartition { topic: name.clone(), partition: index };
            let Some(topic) = known.filter(|topic| topic.partition(index).is_some()) else {
                codes.insert(partition, ErrorCode::UnknownTopicOrPartition.into());
                continue;
            };
            items.push(OffsetCommitItem {
                partition,
                committed: CommittedOffset {
                    offset: Offset(asked.committed_offset),
                    leader_epoch: LeaderEpoch(asked.committed_leader_epoch),
                    metadata: asked.committed_metadata.as_deref().unwrap_or_default().to_owned(),
                    commit_timestamp,
                    topic_id: topic.id,
                },
            });
        }
    }
    (items, codes)
}

async fn commit(
    ctx: &RequestContext,
    request: &OffsetCommitRequest,
    items: Vec<OffsetCommitItem>,
) -> Result<Vec<coordinator::OffsetResult>, ErrorCode> {
    let shard = ctx.broker.groups.shard_of(&request.group_id)?;
    let commit = OffsetCommit {
        token: coordinator::Token(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
        items,
    };
    let is_new = ctx.api_version >= GROUP_ID_NOT_FOUND_FROM;
    let is_missing = |code: Option<ErrorCode>, has_group: bool| match code {
        Some(ErrorCode::IllegalGeneration) if is_new && !has_group => {
            Some(ErrorCode::GroupIdNotFound)
        }
        code => code,
    };
    let group_id = request.group_id.to_string();
    let has_group = shard.call(|groups, _, _| groups.group(&group_id).is_some())?;
    let reply = shard
        .ask(|groups, now, token, effects| {
            groups.commit(now, OffsetCommit { token, ..commit }, effects);
        })
        .await?;
    match reply {
        Reply::Commit(results) => {
            Ok(results.into_iter().map(|(at, code)| (at, is_missing(code, has_group))).collect())
        }
        _ => Err(ErrorCode::UnknownServerError),
    }
}
