//! ListPartitionReassignments: replicas are not moved yet, so none is on its way. The tools ask
//! for it whenever they describe topics.

use super::RequestContext;
use wire::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub async fn handle(
    _: &RequestContext,
    _: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
