//! ListOffsets: where a timestamp, or one of the special ones, is in a partition.

use super::RequestContext;
use crate::replica::{FoundOffset, Partition};
use metadata::Image;
use std::sync::Arc;
use types::{ErrorCode, LeaderEpoch, Timestamp};
use wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The version that brought OFFSET_NOT_AVAILABLE; before it LEADER_NOT_AVAILABLE says the same.
const NOT_AVAILABLE_FROM: i16 = 5;
/// The version that brought the leader epoch into the answer; an older one cannot carry it.
const LEADER_EPOCH_FROM: i16 = 4;

pub async fn handle(ctx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let image = ctx.broker.image.load();
    let read_committed = request.isolation_level == 1;
    let mut response = ListOffsetsResponse::default();
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let found = find(ctx, &image, &topic.name, &asked, read_committed).await;
            partitions.push(answer(ctx, asked.partition_index, found));
        }
        response.topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
    }
    response
}

fn answer(
    ctx: &RequestContext,
    index: i32,
    found: Result<FoundOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let mut answer = ListOffsetsPartitionResponse {
        partition_index: index,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
        ..ListOffsetsPartitionResponse::default()
    };
    match found {
        Ok(found) => {
            answer.timestamp = found.timestamp.0;
            answer.offset = found.offset.0;
            if ctx.api_version >= LEADER_EPOCH_FROM {
                answer.leader_epoch = found.leader_epoch.0;
            }
        }
        Err(ErrorCode::OffsetNotAvailable) if ctx.api_version < NOT_AVAILABLE_FROM => {
            answer.error_code = ErrorCode::LeaderNotAvailable.into();
        }
        Err(code) => answer.error_code = code.into(),
    }
    answer
}

async fn find(
    ctx: &RequestContext,
    image: &Image,
    topic: &str,
    asked: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<FoundOffset, ErrorCode> {
    let partition = ctx.broker.replicas.find(image, topic, asked.partition_index)?;
    let epoch = Some(LeaderEpoch(asked.current_leader_epoch)).filter(|epoch| epoch.0 >= 0);
    match asked.timestamp {
        LATEST => partition.latest_offset(epoch, read_committed),
        // Without tiered storage the local log is the log.
        EARLIEST | EARLIEST_LOCAL => partition.earliest_offset(epoch),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => {
            partition.earliest_offset(epoch).map(|_| FoundOffset::NONE)
        }
        MAX_TIMESTAMP => search(&partition, epoch, read_committed, None).await,
        timestamp if timestamp >= 0 => {
            search(&partition, epoch, read_committed, Some(Timestamp(timestamp))).await
        }
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// May read and unpack batches, so it runs on a thread for such work.
async fn search(
    partition: &Arc<Partition>,
    epoch: Option<LeaderEpoch>,
    read_committed: bool,
    timestamp: Option<Timestamp>,
) -> Result<FoundOffset, ErrorCode> {
    let (search, end) = partition.timestamp_search(epoch, read_committed, timestamp)?;
    let found = env::tasks::blocking(move || search.run()).await;
    match found {
        Ok(Some(found)) if found.offset < end => Ok(FoundOffset {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch,
        }),
        Ok(_) => Ok(FoundOffset::NONE),
        Err(error) => {
            tracing::error!(partition = %partition.name, %error, "cannot search for a timestamp");
            Err(error.code())
        }
    }
}
