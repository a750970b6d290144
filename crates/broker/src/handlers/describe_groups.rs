//! DescribeGroups: state and members of classic groups.

use super::RequestContext;
use coordinator::{GroupDescription, GroupState};
use types::ErrorCode;
use wire::StrBytes;
use wire::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

/// Operations a client without an authorizer may do on a group: read, delete, describe, and describe
/// and alter its configuration, as bits of Kafka's numbers.
const GROUP_OPERATIONS: i32 = (1 << 3) | (1 << 6) | (1 << 8);
/// "Not asked for."
const NO_OPERATIONS: i32 = i32::MIN;
/// The version from which a group that is not there is an error.
const NOT_FOUND_FROM: i16 = 6;

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let operations =
        if request.include_authorized_operations { GROUP_OPERATIONS } else { NO_OPERATIONS };
    let groups = request.groups.into_iter().map(|group_id| {
        let described = ctx
            .broker
            .groups
            .shard_of(&group_id)
            .map_err(ErrorCode::from)
            .and_then(|shard| shard.call(|groups, _, _| groups.describe(&group_id)));
        let mut group = match described {
            Ok(group) => describe(ctx, group),
            Err(code) => {
                DescribedGroup { group_id, error_code: code.into(), ..DescribedGroup::default() }
            }
        };
        group.authorized_operations = operations;
        group
    });
    DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() }
}

fn describe(ctx: &RequestContext, group: GroupDescription) -> DescribedGroup {
    let is_missing = group.state == GroupState::Dead && ctx.api_version >= NOT_FOUND_FROM;
    let members = group.members.into_iter().map(|member| DescribedGroupMember {
        member_id: StrBytes::from(member.member_id),
        group_instance_id: member.group_instance_id.map(StrBytes::from),
        client_id: StrBytes::from(member.client_id),
        client_host: StrBytes::from(member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    let message =
        is_missing.then(|| StrBytes::from(format!("Group {} not found.", group.group_id)));
    DescribedGroup {
        error_code: if is_missing { ErrorCode::GroupIdNotFound.into() } else { 0 },
        error_message: message,
        group_state: StrBytes::from(group.state.to_string()),
        protocol_type: StrBytes::from(group.protocol_type),
        protocol_data: StrBytes::from(group.protocol_data),
        members: members.collect(),
        group_id: StrBytes::from(group.group_id),
        ..DescribedGroup::default()
    }
}
