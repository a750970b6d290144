//! ListGroups: the groups that this broker coordinates.

use super::RequestContext;
use types::ErrorCode;
use wire::StrBytes;
use wire::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// The type of every group that this version serves.
const CLASSIC: &str = "Classic";

pub async fn handle(ctx: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut response = ListGroupsResponse::default();
    let (shards, is_loading) = ctx.broker.groups.all();
    if is_loading {
        response.error_code = ErrorCode::CoordinatorLoadInProgress.into();
    }
    let wants = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    if !wants(&request.types_filter, CLASSIC) {
        return response;
    }
    for shard in shards {
        // A shard that was unloaded meanwhile belongs to another broker's answer.
        let groups = shard.call(|groups, _, _| groups.list()).unwrap_or_default();
        for group in groups {
            let state = group.state.to_string();
            if wants(&request.states_filter, &state) {
                response.groups.push(ListedGroup {
                    group_id: StrBytes::from(group.group_id),
                    protocol_type: StrBytes::from(group.protocol_type),
                    group_state: StrBytes::from(state),
                    group_type: StrBytes::from_static("classic"),
                });
            }
        }
    }
    response
}
