//! DeleteGroups: groups without members go, with their offsets; answered when that is committed.

use super::RequestContext;
use futures::future::join_all;
use types::ErrorCode;
use wire::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

pub async fn handle(ctx: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let deletions = request.groups_names.into_iter().map(|group_id| async move {
        let deleted = delete(ctx, &group_id).await;
        let error_code = deleted.err().map_or(0, i16::from);
        DeletableGroupResult { group_id, error_code, error_message: None }
    });
    DeleteGroupsResponse { results: join_all(deletions).await, ..DeleteGroupsResponse::default() }
}

async fn delete(ctx: &RequestContext, group_id: &str) -> Result<(), ErrorCode> {
    let shard = ctx.broker.groups.shard_of(group_id)?;
    shard.ask(|groups, _, token, effects| groups.delete(token, group_id, effects)).await?;
    Ok(())
}
