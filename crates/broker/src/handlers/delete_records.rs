//! DeleteRecords: raises the start of partitions; answers when the live replicas have followed.

use super::RequestContext;
use crate::replica::Partition;
use std::sync::Arc;
use std::time::Duration;
use types::{ErrorCode, Offset};
use wire::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// How often a raised start is compared with the followers'; they report within a round trip.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub async fn handle(ctx: &RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let image = ctx.broker.image.load();
    let deadline =
        ctx.broker.env.clock.now() + Duration::from_millis(request.timeout_ms.max(0) as u64);
    let mut started = Vec::new();
    for topic in request.topics {
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|asked| {
                let found = ctx.broker.replicas.find(&image, &topic.name, asked.partition_index);
                (asked.partition_index, found.and_then(|p| begin(p, asked.offset)))
            })
            .collect();
        started.push((topic.name, partitions));
    }
    let mut response = DeleteRecordsResponse::default();
    for (name, partitions) in started {
        let mut results = Vec::with_capacity(partitions.len());
        for (partition_index, begun) in partitions {
            let done = match begun {
                Ok((partition, start)) => followed(ctx, &partition, start, deadline).await,
                Err(code) => Err(code),
            };
            results.push(DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: done.map_or(-1, |offset| offset.0),
                error_code: done.err().map_or(0, i16::from),
            });
        }
        response.topics.push(DeleteRecordsTopicResult { name, partitions: results });
    }
    response
}

type Begun = (Arc<Partition>, Offset);

fn begin(partition: Arc<Partition>, offset: i64) -> Result<Begun, ErrorCode> {
    if types::is_internal_topic(&partition.name.topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if !partition.config().cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = Some(Offset(offset)).filter(|offset| offset.0 != HIGH_WATERMARK);
    let start = partition.delete_records(offset)?;
    Ok((partition, start))
}

async fn followed(
    ctx: &RequestContext,
    partition: &Partition,
    start: Offset,
    deadline: types::Monotonic,
) -> Result<Offset, ErrorCode> {
    loop {
        let low = partition.low_watermark()?;
        if low >= start {
            return Ok(low);
        }
        if ctx.broker.env.clock.now() >= deadline {
            return Err(ErrorCode::RequestTimedOut);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
