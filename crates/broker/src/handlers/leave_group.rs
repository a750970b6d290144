//! LeaveGroup: members go, and the group knows at once; that it is empty is answered when committed.

use super::RequestContext;
use coordinator::{LeaveItem, LeaveRequest, Reply};
use types::ErrorCode;
use wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

/// The version from which several members may leave at a time.
const BATCHED_FROM: i16 = 3;

pub async fn handle(ctx: &RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let members = match ctx.api_version >= BATCHED_FROM {
        true => request
            .members
            .iter()
            .map(|member| LeaveItem {
                member_id: member.member_id.to_string(),
                group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
            })
            .collect(),
        false => {
            let member_id = request.member_id.to_string();
            vec![LeaveItem { member_id, group_instance_id: None }]
        }
    };
    let leave = LeaveRequest { group_id: request.group_id.to_string(), members };
    let mut response = LeaveGroupResponse::default();
    match leave_members(ctx, leave).await {
        Err(code) => response.error_code = code.into(),
        Ok(results) if ctx.api_version < BATCHED_FROM => {
            let code = results.into_iter().flatten().next();
            response.error_code = code.map_or(0, i16::from);
        }
        Ok(results) => {
            let members = request.members.into_iter().zip(results);
            response.members = members
                .map(|(member, code)| MemberResponse {
                    member_id: member.member_id,
                    group_instance_id: member.group_instance_id,
                    error_code: code.map_or(0, i16::from),
                })
                .collect();
        }
    }
    response
}

async fn leave_members(
    ctx: &RequestContext,
    leave: LeaveRequest,
) -> Result<Vec<Option<ErrorCode>>, ErrorCode> {
    let shard = ctx.broker.groups.shard_of_members(&leave.group_id)?;
    match shard.ask(|groups, now, token, effects| groups.leave(now, token, &leave, effects)).await?
    {
        Reply::Leave(results) => Ok(results),
        _ => Err(ErrorCode::UnknownServerError),
    }
}
