//! ListOffsets: where a timestamp, or one of the special ones, is in a partition.

use super::RequestContext;
use crate::replica::{FoundOffset, Partition};
use metadata::Image;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{ErrorCode, LeaderEpoch, Timestamp};
use wire::StrBytes;
use wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopic, ListOffsetsTopicResponse,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
/// The version that brought each of them: an older client that sends one means something else.
const SPECIAL_FROM: [(i64, i16); 6] = [
    (LATEST, 1),
    (EARLIEST, 1),
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LATEST_TIERED, 9),
    (EARLIEST_PENDING_UPLOAD, 11),
];

/// The version that brought OFFSET_NOT_AVAILABLE; before it LEADER_NOT_AVAILABLE says the same.
const NOT_AVAILABLE_FROM: i16 = 5;
/// The version that brought the leader epoch into the answer; an older one cannot carry it.
const LEADER_EPOCH_FROM: i16 = 4;

/// What is asked of each partition, once; `None` of one that the request names twice, which may
/// have been asked different things.
type Asked = BTreeMap<StrBytes, BTreeMap<i32, Option<ListOffsetsPartition>>>;

pub async fn handle(ctx: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let image = ctx.broker.image.load();
    let read_committed = request.isolation_level == 1;
    let mut response = ListOffsetsResponse::default();
    for (name, asked) in by_partition(request.topics) {
        let mut partitions = Vec::with_capacity(asked.len());
        for (index, asked) in asked {
            let found = match asked {
                Some(asked) => find(ctx, &image, &name, &asked, read_committed).await,
                None => Err(ErrorCode::InvalidRequest),
            };
            partitions.push(answer(ctx, index, found));
        }
        response.topics.push(ListOffsetsTopicResponse { name, partitions });
    }
    response
}

fn by_partition(topics: Vec<ListOffsetsTopic>) -> Asked {
    let mut asked = Asked::new();
    for topic in topics {
        let partitions = asked.entry(topic.name).or_default();
        for one in topic.partitions {
            let known = partitions.entry(one.partition_index);
            known.and_modify(|known| *known = None).or_insert(Some(one));
        }
    }
    asked
}

/// Whether the version knows what the timestamp stands for.
fn is_known(timestamp: i64, version: i16) -> bool {
    let mut special = SPECIAL_FROM.iter();
    timestamp >= 0 || special.any(|(one, from)| *one == timestamp && version >= *from)
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
    if !is_known(asked.timestamp, ctx.api_version) {
        return Err(ErrorCode::UnsupportedVersion);
    }
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
    let found = partition.reads().blocking(move || search.run()).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_timestamp_is_known_from_its_version_on() {
        assert!(is_known(0, 1) && is_known(LATEST, 1));
        assert!(!is_known(MAX_TIMESTAMP, 6) && is_known(MAX_TIMESTAMP, 7));
        assert!(!is_known(EARLIEST_PENDING_UPLOAD, 10) && is_known(EARLIEST_PENDING_UPLOAD, 11));
        assert!(!is_known(-7, 11));
    }

    #[test]
    fn a_partition_that_is_named_twice_is_not_guessed_at() {
        let partition = |partition_index, timestamp| ListOffsetsPartition {
            partition_index,
            timestamp,
            ..Default::default()
        };
        let topic = |partitions| ListOffsetsTopic { name: "t".into(), partitions };
        let topics =
            [topic(vec![partition(0, -1), partition(1, -1)]), topic(vec![partition(0, -2)])];
        let asked = by_partition(topics.into());
        let asked: Vec<_> = asked["t"].iter().map(|(index, one)| (*index, one.is_some())).collect();
        assert_eq!(asked, [(0, false), (1, true)]);
    }
}
