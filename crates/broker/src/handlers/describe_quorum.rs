//! DescribeQuorum: the controllers' Raft quorum, in the words of Kafka's metadata topic.

use super::RequestContext;
use rpc::controller::{DescribeQuorumResponse as Quorum, QuorumMember};
use types::{ErrorCode, Uuid, split_host_port};
use wire::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};

/// The topic under which Kafka's tools ask for the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// The listener's name that the controllers' addresses are told under.
const CONTROLLER: &str = "CONTROLLER";
/// The version that tells directories and addresses; an older answer cannot carry them.
const DIRECTORIES_FROM: i16 = 2;

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let known = |name: &str, partition: i32| name == METADATA_TOPIC && partition == 0;
    let all_known = request.topics.iter().all(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|p| p.partition_index).all(|index| known(&topic.topic_name, index))
    });
    if !all_known || request.topics.is_empty() {
        return unknown_partitions(&request);
    }
    match ctx.broker.controller.describe_quorum().await {
        Ok(quorum) => answer(&quorum, ctx.api_version),
        Err(error) => DescribeQuorumResponse {
            error_code: ErrorCode::RequestTimedOut.into(),
            error_message: Some(error.to_string().into()),
            ..Default::default()
        },
    }
}

fn answer(quorum: &Quorum, version: i16) -> DescribeQuorumResponse {
    let tells_directories = version >= DIRECTORIES_FROM;
    let state = |member: &QuorumMember| state(member, tells_directories);
    let partition = ResponsePartitionData {
        partition_index: 0,
        leader_id: quorum.leader_id,
        leader_epoch: i32::try_from(quorum.leader_epoch).unwrap_or(i32::MAX),
        high_watermark: quorum.high_watermark,
        current_voters: quorum.voters.iter().map(&state).collect(),
        observers: quorum.observers.iter().map(&state).collect(),
        ..Default::default()
    };
    let topic =
        ResponseTopicData { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
    DescribeQuorumResponse {
        topics: vec![topic],
        nodes: quorum.voters.iter().filter(|_| tells_directories).map(node).collect(),
        ..Default::default()
    }
}

fn state(member: &QuorumMember, tells_directories: bool) -> ReplicaState {
    let directory: Option<[u8; 16]> = member.directory_id.as_ref().try_into().ok();
    let directory = directory.filter(|_| tells_directories);
    ReplicaState {
        replica_id: member.node_id,
        replica_directory_id: directory.map_or(Uuid::ZERO, Uuid),
        log_end_offset: member.log_end_offset,
        last_fetch_timestamp: member.last_fetch_timestamp,
        last_caught_up_timestamp: member.last_caught_up_timestamp,
    }
}

fn node(member: &QuorumMember) -> Node {
    let (host, port) = split_host_port(&member.address).unwrap_or((&member.address, 0));
    Node {
        node_id: member.node_id,
        listeners: vec![Listener { name: CONTROLLER.into(), host: host.into(), port }],
    }
}

fn unknown_partitions(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| ResponseTopicData {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| ResponsePartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.into(),
                ..Default::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_told_with_its_host_and_port() {
        let member = QuorumMember {
            node_id: 3,
            directory_id: vec![7; 16].into(),
            address: "host:9093".to_owned(),
            ..Default::default()
        };
        let listener = node(&member).listeners.remove(0);
        assert_eq!((&*listener.host, listener.port), ("host", 9093));
        let listener = node(&QuorumMember { address: "[::1]:9093".to_owned(), ..member.clone() });
        let listener = &listener.listeners[0];
        assert_eq!((&*listener.host, listener.port), ("::1", 9093));
        assert_eq!(state(&member, true).replica_directory_id, Uuid([7; 16]));
    }

    #[test]
    fn every_version_can_carry_its_answer() {
        let voter = QuorumMember { directory_id: vec![7; 16].into(), ..Default::default() };
        let quorum = Quorum { voters: vec![voter], ..Default::default() };
        for version in 0..=2 {
            let mut writer = wire::Writer::new();
            let answer = answer(&quorum, version);
            assert_eq!(wire::Message::encode(&answer, &mut writer, version), Ok(()));
        }
    }
}
