//! SyncGroup: the leader brings the assignment, every member gets its own.

use super::RequestContext;
use coordinator::{Reply, SyncRequest};
use types::ErrorCode;
use wire::StrBytes;
use wire::sync_group::{SyncGroupRequest, SyncGroupResponse};

pub async fn handle(ctx: &RequestContext, request: SyncGroupRequest) -> SyncGroupResponse {
    let asked = match ctx.broker.groups.shard_of_members(&request.group_id) {
        Err(unrouted) => Err(unrouted.into()),
        Ok(shard) => {
            let request = to_rules(&request);
            shard
                .ask(|groups, now, token, effects| {
                    groups.sync(now, SyncRequest { token, ..request }, effects);
                })
                .await
        }
    };
    match asked {
        Ok(Reply::Sync(reply)) => SyncGroupResponse {
            error_code: reply.error.map_or(0, i16::from),
            protocol_type: reply.protocol_type.map(StrBytes::from),
            protocol_name: reply.protocol_name.map(StrBytes::from),
            assignment: reply.assignment,
            ..SyncGroupResponse::default()
        },
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}

fn failed(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: code.into(), ..SyncGroupResponse::default() }
}

fn to_rules(request: &SyncGroupRequest) -> SyncRequest {
    let text = |text: &Option<StrBytes>| text.as_ref().map(ToString::to_string);
    SyncRequest {
        token: coordinator::Token(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: text(&request.group_instance_id),
        generation: request.generation_id,
        protocol_type: text(&request.protocol_type),
        protocol_name: text(&request.protocol_name),
        assignments: request
            .assignments
            .iter()
            .map(|one| (one.member_id.to_string(), bytes::Bytes::copy_from_slice(&one.assignment)))
            .collect(),
    }
}
