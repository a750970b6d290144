//! Consumer groups: list, describe, committed offsets.

use bytes::Bytes;
use types::{LeaderEpoch, NodeId, Offset, PartitionIndex, TopicPartition};
use wire::StrBytes;
use wire::describe_groups::{DescribeGroupsRequest, DescribedGroupMember};
use wire::list_groups::ListGroupsRequest;
use wire::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse};

use crate::client::Client;
use crate::error::{ClientError, check};
use crate::metadata::TopicSelection;

/// A group as a coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    pub state: String,
    /// "classic", "consumer", ...; empty where the broker does not tell.
    pub kind: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub group_id: String,
    pub state: String,
    pub protocol_type: String,
    /// The assignor in use.
    pub protocol: String,
    pub coordinator: NodeId,
    pub members: Vec<GroupMemberDescription>,
}

/// A member; `assignment` is in the embedded consumer protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMemberDescription {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    pub assignment: Bytes,
}

/// An offset that a group committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub metadata: Option<String>,
}

impl Client {
    /// The groups of all coordinators, sorted. Asks every broker.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let cluster = self.metadata(&TopicSelection::None).await?;
        let mut groups = Vec::new();
        for broker in cluster.brokers.into_keys() {
            let response = self.broker(broker).await?.call(&ListGroupsRequest::default()).await?;
            check(response.error_code, None)?;
            groups.extend(response.groups.into_iter().map(|group| ListedGroup {
                group_id: group.group_id.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
                kind: group.group_type.to_string(),
            }));
        }
        groups.sort();
        Ok(groups)
    }

    /// Describes a group of the classic protocol.
    pub async fn describe_group(&self, group: &str) -> Result<DescribedGroup, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.describe_group_once(group).await {
                Ok(described) => return Ok(described),
                Err(error) => {
                    self.forget_coordinator(group);
                    attempts.pause(error).await?;
                }
            }
        }
    }

    async fn describe_group_once(&self, group: &str) -> Result<DescribedGroup, ClientError> {
        let (coordinator, connection) = self.coordinator_with_id(group).await?;
        let request =
            DescribeGroupsRequest { groups: vec![StrBytes::from(group)], ..Default::default() };
        let response = connection.call(&request).await?;
        let Some(described) = response.groups.into_iter().next() else {
            return Err(ClientError::Invalid(format!("no description of group {group}")));
        };
        check(described.error_code, None)?;
        Ok(DescribedGroup {
            group_id: described.group_id.to_string(),
            state: described.group_state.to_string(),
            protocol_type: described.protocol_type.to_string(),
            protocol: described.protocol_data.to_string(),
            coordinator,
            members: described.members.into_iter().map(member).collect(),
        })
    }

    /// All offsets that a group committed.
    pub async fn committed_offsets(
        &self,
        group: &str,
    ) -> Result<Vec<CommittedOffset>, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.committed_offsets_once(group).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => {
                    self.forget_coordinator(group);
                    attempts.pause(error).await?;
                }
            }
        }
    }

    pub(crate) async fn committed_offsets_once(
        &self,
        group: &str,
    ) -> Result<Vec<CommittedOffset>, ClientError> {
        let connection = self.coordinator(group).await?;
        // From version 10 topics go by id; names serve every cluster.
        let version = connection.version_of::<OffsetFetchRequest>()?.min(9);
        let request = match version {
            // Until version 7 a request names one group.
            0..=7 => {
                OffsetFetchRequest { group_id: group.into(), topics: None, ..Default::default() }
            }
            _ => OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: group.into(),
                    topics: None,
                    ..Default::default()
                }],
                ..Default::default()
            },
        };
        let time = self.options().request_timeout;
        committed(connection.submit(&request, version, time).await?.wait().await?)
    }
}

fn member(member: DescribedGroupMember) -> GroupMemberDescription {
    GroupMemberDescription {
        member_id: member.member_id.to_string(),
        group_instance_id: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: member.member_assignment,
    }
}

/// Both shapes of the response; partitions without a committed offset (-1) are left out.
fn committed(response: OffsetFetchResponse) -> Result<Vec<CommittedOffset>, ClientError> {
    check(response.error_code, None)?;
    let mut offsets = Vec::new();
    let mut add = |topic: &str, partition: i32, offset, epoch, metadata: Option<StrBytes>, code| {
        check(code, None)?;
        if offset >= 0 {
            let topic = topic.to_owned();
            offsets.push(CommittedOffset {
                partition: TopicPartition { topic, partition: PartitionIndex(partition) },
                offset: Offset(offset),
                leader_epoch: LeaderEpoch(epoch),
                metadata: metadata.map(|text| text.to_string()),
            });
        }
        Ok::<(), ClientError>(())
    };
    for topic in response.topics {
        for p in topic.partitions {
            let epoch = p.committed_leader_epoch;
            add(
                &topic.name,
                p.partition_index,
                p.committed_offset,
                epoch,
                p.metadata,
                p.error_code,
            )?;
        }
    }
    for group in response.groups {
        check(group.error_code, None)?;
        for topic in group.topics {
            for p in topic.partitions {
                let epoch = p.committed_leader_epoch;
                let offset = p.committed_offset;
                add(&topic.name, p.partition_index, offset, epoch, p.metadata, p.error_code)?;
            }
        }
    }
    Ok(offsets)
}
