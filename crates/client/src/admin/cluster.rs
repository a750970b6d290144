//! The cluster itself: brokers, metadata quorum.

use types::{DirectoryId, NodeId, host_port};
use wire::describe_cluster::DescribeClusterRequest;
use wire::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, PartitionData, ReplicaState, TopicData,
};

use crate::client::Client;
use crate::error::{ClientError, check};
use crate::metadata::Broker;

/// The topic name by which DescribeQuorum knows the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// What DescribeCluster tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    pub cluster_id: String,
    pub controller_id: NodeId,
    pub brokers: Vec<Broker>,
}

/// What DescribeQuorum tells of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumDescription {
    pub leader_id: NodeId,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<QuorumReplica>,
    pub observers: Vec<QuorumReplica>,
    /// Where controllers are reached: `LISTENER://host:port` by node.
    pub endpoints: Vec<(NodeId, Vec<String>)>,
}

/// One member of the quorum, or an observer. Times in milliseconds since 1970; -1: unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    pub id: NodeId,
    pub directory_id: DirectoryId,
    pub log_end_offset: i64,
    pub last_fetch_ms: i64,
    pub last_caught_up_ms: i64,
}

impl Client {
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let response = self.call_any(&DescribeClusterRequest::default()).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let brokers = response.brokers.into_iter().map(|broker| Broker {
            id: NodeId(broker.broker_id),
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.map(|rack| rack.to_string()),
        });
        Ok(ClusterDescription {
            cluster_id: response.cluster_id.to_string(),
            controller_id: NodeId(response.controller_id),
            brokers: brokers.collect(),
        })
    }

    pub async fn describe_quorum(&self) -> Result<QuorumDescription, ClientError> {
        let partition = PartitionData { partition_index: 0 };
        let topic = TopicData { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
        let request = DescribeQuorumRequest { topics: vec![topic] };
        let mut attempts = self.attempts();
        loop {
            match quorum(self.call_any(&request).await?) {
                Ok(quorum) => return Ok(quorum),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }
}

fn quorum(response: DescribeQuorumResponse) -> Result<QuorumDescription, ClientError> {
    check(response.error_code, response.error_message.as_deref())?;
    let topic = response.topics.into_iter().next();
    let Some(partition) = topic.and_then(|topic| topic.partitions.into_iter().next()) else {
        return Err(ClientError::Invalid("the cluster tells nothing of its quorum".to_owned()));
    };
    check(partition.error_code, partition.error_message.as_deref())?;
    let endpoints = response.nodes.into_iter().map(|node| {
        let listeners = node.listeners.into_iter().map(|listener| {
            format!("{}://{}", listener.name, host_port(&listener.host, listener.port))
        });
        (NodeId(node.node_id), listeners.collect())
    });
    Ok(QuorumDescription {
        leader_id: NodeId(partition.leader_id),
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        voters: partition.current_voters.into_iter().map(QuorumReplica::from).collect(),
        observers: partition.observers.into_iter().map(QuorumReplica::from).collect(),
        endpoints: endpoints.collect(),
    })
}

impl From<ReplicaState> for QuorumReplica {
    fn from(replica: ReplicaState) -> QuorumReplica {
        QuorumReplica {
            id: NodeId(replica.replica_id),
            directory_id: replica.replica_directory_id,
            log_end_offset: replica.log_end_offset,
            last_fetch_ms: replica.last_fetch_timestamp,
            last_caught_up_ms: replica.last_caught_up_timestamp,
        }
    }
}
