//! DeleteGroups: groups without members go, with their offsets.

use super::RequestContext;
use types::ErrorCode;
use wire::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

pub async fn handle(ctx: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|group_id| {
        let deleted = ctx
            .broker
            .groups
            .shard_of(&group_id)
            .map_err(ErrorCode::from)
            .and_then(|shard| shard.call(|groups, _, effects| groups.delete(&group_id, effects)))
            .and_then(|deleted| deleted);
        DeletableGroupResult { group_id, error_code: deleted.err().map_or(0, i16::from) }
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}
