//! OffsetForLeaderEpoch: where a leader epoch ends, for consumers that look for truncation
//! (KIP-320).

use super::RequestContext;
use types::LeaderEpoch;
use wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};

pub async fn handle(
    ctx: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let image = ctx.broker.image.load();
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in request.topics {
        let partitions = topic.partitions.iter().map(|asked| {
            let current = Some(LeaderEpoch(asked.current_leader_epoch)).filter(|e| e.0 >= 0);
            let end = ctx
                .broker
                .replicas
                .find(&image, &topic.topic, asked.partition)
                .and_then(|p| p.end_of_epoch(current, LeaderEpoch(asked.leader_epoch)));
            let mut answer = EpochEndOffset {
                partition: asked.partition,
                leader_epoch: -1,
                end_offset: -1,
                ..EpochEndOffset::default()
            };
            match end {
                Ok(end) => (answer.leader_epoch, answer.end_offset) = (end.epoch.0, end.offset.0),
                Err(code) => answer.error_code = code.into(),
            }
            answer
        });
        let partitions = partitions.collect();
        response.topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    response
}
