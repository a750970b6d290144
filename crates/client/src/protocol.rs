//! Which response answers which request.

use wire::Message;

/// A request, tied to the response that answers it.
pub trait Request: Message + Send + Sync + 'static {
    type Response: Message + Send + 'static;
}

macro_rules! requests {
    ($($module:ident: $request:ident => $response:ident,)*) => {
        $(impl Request for wire::$module::$request {
            type Response = wire::$module::$response;
        })*
    };
}

requests! {
    api_versions: ApiVersionsRequest => ApiVersionsResponse,
    metadata: MetadataRequest => MetadataResponse,
    produce: ProduceRequest => ProduceResponse,
    fetch: FetchRequest => FetchResponse,
    list_offsets: ListOffsetsRequest => ListOffsetsResponse,
    find_coordinator: FindCoordinatorRequest => FindCoordinatorResponse,
    create_topics: CreateTopicsRequest => CreateTopicsResponse,
    delete_topics: DeleteTopicsRequest => DeleteTopicsResponse,
    create_partitions: CreatePartitionsRequest => CreatePartitionsResponse,
    describe_configs: DescribeConfigsRequest => DescribeConfigsResponse,
    incremental_alter_configs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse,
    init_producer_id: InitProducerIdRequest => InitProducerIdResponse,
    describe_cluster: DescribeClusterRequest => DescribeClusterResponse,
    describe_topic_partitions: DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse,
    describe_quorum: DescribeQuorumRequest => DescribeQuorumResponse,
    delete_records: DeleteRecordsRequest => DeleteRecordsResponse,
    list_groups: ListGroupsRequest => ListGroupsResponse,
    describe_groups: DescribeGroupsRequest => DescribeGroupsResponse,
    offset_commit: OffsetCommitRequest => OffsetCommitResponse,
    offset_fetch: OffsetFetchRequest => OffsetFetchResponse,
    join_group: JoinGroupRequest => JoinGroupResponse,
    sync_group: SyncGroupRequest => SyncGroupResponse,
    heartbeat: HeartbeatRequest => HeartbeatResponse,
    leave_group: LeaveGroupRequest => LeaveGroupResponse,
}
