//! Heartbeat of a classic group's member.

use super::RequestContext;
use types::ErrorCode;
use wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub async fn handle(ctx: &RequestContext, request: HeartbeatRequest) -> HeartbeatResponse {
    let heard = ctx
        .broker
        .groups
        .shard_of_members(&request.group_id)
        .map_err(ErrorCode::from)
        .and_then(|shard| {
            shard.call(|groups, now, _| {
                groups.heartbeat(
                    now,
                    &request.group_id,
                    &request.member_id,
                    request.group_instance_id.as_deref(),
                    request.generation_id,
                )
            })
        })
        .and_then(|heard| heard);
    HeartbeatResponse {
        error_code: heard.err().map_or(0, i16::from),
        ..HeartbeatResponse::default()
    }
}
