//! Membership in a group by the classic protocol, with the range assignor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use types::{ErrorCode, Monotonic, Offset, TopicPartition};
use wire::StrBytes;
use wire::heartbeat::HeartbeatRequest;
use wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use wire::leave_group::{LeaveGroupRequest, MemberIdentity};
use wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::ConsumerOptions;
use super::assignor::range;
use super::protocol::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::admin::millis;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::{ClientError, check};

const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";

/// How a member stands after a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    Stable,
    /// The group rebalances: commit, then join again.
    Rebalancing,
    /// The group does not know the member (any more): join.
    Lost,
}

/// One member, as this client is it.
pub(super) struct GroupMember {
    client: Client,
    group: String,
    instance: Option<String>,
    topics: Vec<String>,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    heartbeat_interval: Duration,
    member_id: String,
    /// -1 while not joined.
    generation: i32,
    next_heartbeat: Monotonic,
}

/// Whether an error only says that the group moves on.
pub(super) fn is_rebalance(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId
        )
    )
}

impl GroupMember {
    pub(super) fn new(
        client: &Client,
        options: &ConsumerOptions,
        group: String,
        topics: Vec<String>,
    ) -> GroupMember {
        GroupMember {
            client: client.clone(),
            group,
            instance: options.group_instance.clone(),
            topics,
            session_timeout: options.session_timeout,
            rebalance_timeout: options.rebalance_timeout,
            heartbeat_interval: options.heartbeat_interval,
            member_id: String::new(),
            generation: -1,
            next_heartbeat: Monotonic::ZERO,
        }
    }

    pub(super) fn is_joined(&self) -> bool {
        self.generation >= 0
    }

    pub(super) fn generation(&self) -> Option<i32> {
        self.is_joined().then_some(self.generation)
    }

    fn instance(&self) -> Option<StrBytes> {
        self.instance.as_deref().map(StrBytes::from)
    }

    async fn coordinator(&self) -> Result<Arc<Connection>, ClientError> {
        self.client.coordinator(&self.group).await
    }

    /// Sends a heartbeat if one is due, and says what the group told.
    pub(super) async fn heartbeat_if_due(&mut self) -> Result<Membership, ClientError> {
        if !self.is_joined() {
            return Ok(Membership::Lost);
        }
        let now = self.client.env().clock.now();
        if now < self.next_heartbeat {
            return Ok(Membership::Stable);
        }
        self.next_heartbeat = now + self.heartbeat_interval;
        let request = HeartbeatRequest {
            group_id: self.group.as_str().into(),
            generation_id: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.instance(),
        };
        let response = match self.coordinator().await {
            Ok(connection) => connection.call(&request).await,
            Err(error) => Err(error),
        };
        let error = match response.and_then(|response| check(response.error_code, None)) {
            Ok(()) => return Ok(Membership::Stable),
            Err(error) => error,
        };
        match error.code() {
            Some(ErrorCode::RebalanceInProgress) => Ok(Membership::Rebalancing),
            Some(ErrorCode::IllegalGeneration) => {
                self.generation = -1;
                Ok(Membership::Lost)
            }
            Some(ErrorCode::UnknownMemberId) => {
                self.forget();
                Ok(Membership::Lost)
            }
            Some(_) | None if error.is_retriable() => {
                self.client.forget_coordinator(&self.group);
                // Soon again: the session runs.
                self.next_heartbeat = now + Duration::from_millis(100);
                Ok(Membership::Stable)
            }
            Some(_) | None => Err(error),
        }
    }

    fn forget(&mut self) {
        self.generation = -1;
        self.member_id.clear();
    }

    /// Joins the group, as its leader shares out the partitions, and returns this member's.
    pub(super) async fn join(&mut self) -> Result<Vec<TopicPartition>, ClientError> {
        let time = self.rebalance_timeout + self.client.options().api_timeout;
        let mut attempts = self.client.attempts_within(time);
        loop {
            let error = match self.join_once().await {
                Ok(assigned) => return Ok(assigned),
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress) => {}
                Some(ErrorCode::UnknownMemberId) => self.forget(),
                Some(ErrorCode::IllegalGeneration) => self.generation = -1,
                Some(_) | None => {
                    self.client.forget_coordinator(&self.group);
                    attempts.pause(error).await?;
                }
            }
        }
    }

    async fn join_once(&mut self) -> Result<Vec<TopicPartition>, ClientError> {
        let connection = self.coordinator().await?;
        let protocol = JoinGroupRequestProtocol {
            name: ASSIGNOR.into(),
            metadata: encode_subscription(&self.topics),
        };
        let request = JoinGroupRequest {
            group_id: self.group.as_str().into(),
            session_timeout_ms: millis(self.session_timeout),
            rebalance_timeout_ms: millis(self.rebalance_timeout),
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.instance(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![protocol],
            reason: None,
        };
        let time = self.rebalance_timeout + Duration::from_secs(5);
        let joined = connection.call_within(&request, time).await?;
        let refused = check(joined.error_code, None);
        if refused.is_ok() || joined.error_code == ErrorCode::MemberIdRequired as i16 {
            self.member_id = joined.member_id.to_string();
        }
        refused?;
        let assignments = if joined.leader == joined.member_id && !joined.skip_assignment {
            self.share_out(&joined).await?
        } else {
            Vec::new()
        };
        let versioned = connection.version_of::<SyncGroupRequest>()? >= 5;
        let sync = SyncGroupRequest {
            group_id: self.group.as_str().into(),
            generation_id: joined.generation_id,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.instance(),
            protocol_type: versioned.then(|| PROTOCOL_TYPE.into()),
            protocol_name: versioned.then(|| ASSIGNOR.into()),
            assignments,
        };
        let synced = connection.call_within(&sync, time).await?;
        check(synced.error_code, None)?;
        self.generation = joined.generation_id;
        self.next_heartbeat = self.client.env().clock.now() + self.heartbeat_interval;
        decode_assignment(&synced.assignment)
    }

    /// The leader's part: every member's partitions.
    async fn share_out(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut members = BTreeMap::new();
        let mut counts = BTreeMap::new();
        for member in &joined.members {
            let topics = decode_subscription(&member.metadata)?;
            for name in &topics {
                if !counts.contains_key(name) {
                    counts.insert(name.clone(), self.partition_count(name).await?);
                }
            }
            members.insert(member.member_id.to_string(), topics);
        }
        let assigned = range(&members, &counts);
        let encode = |(member, partitions): (String, Vec<TopicPartition>)| {
            let assignment: Bytes = encode_assignment(&partitions);
            SyncGroupRequestAssignment { member_id: member.as_str().into(), assignment }
        };
        Ok(assigned.into_iter().map(encode).collect())
    }

    /// A topic that does not exist (yet) has no partitions to share out.
    async fn partition_count(&self, topic: &str) -> Result<i32, ClientError> {
        match self.client.topic_within(topic, false, Duration::from_secs(1)).await {
            Ok(topic) => Ok(topic.partitions.len() as i32),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The group's committed offsets of these partitions.
    pub(super) async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, ClientError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let offsets = self.client.committed_offsets(&self.group).await?;
        let ours = offsets.into_iter().filter(|offset| partitions.contains(&offset.partition));
        Ok(ours.map(|offset| (offset.partition, offset.offset)).collect())
    }

    /// Commits offsets, trying again while the coordinator moves.
    pub(super) async fn commit(
        &mut self,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut attempts = self.client.attempts();
        loop {
            match self.commit_once(offsets).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.client.forget_coordinator(&self.group);
                    attempts.pause(error).await?;
                }
            }
        }
    }

    async fn commit_once(
        &self,
        offsets: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (of, offset) in offsets {
            topics.entry(&of.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: of.partition.0,
                committed_offset: offset.0,
                ..Default::default()
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        });
        let connection = self.coordinator().await?;
        let request = OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.as_str().into(),
            group_instance_id: self.instance(),
            topics: topics.collect(),
            ..Default::default()
        };
        // From version 10 topics go by id; names serve every cluster.
        let version = connection.version_of::<OffsetCommitRequest>()?.min(9);
        let time = self.client.options().request_timeout;
        let response = connection.submit(&request, version, time).await?.wait().await?;
        for topic in response.topics {
            for partition in topic.partitions {
                check(partition.error_code, None)?;
            }
        }
        Ok(())
    }

    /// Leaves the group, so that others need not wait for the session to end. Static members stay.
    pub(super) async fn leave(&mut self) -> Result<(), ClientError> {
        if self.member_id.is_empty() || self.instance.is_some() {
            return Ok(());
        }
        let connection = self.coordinator().await?;
        let member_id = StrBytes::from(self.member_id.as_str());
        let request = match connection.version_of::<LeaveGroupRequest>()? {
            0..=2 => LeaveGroupRequest {
                group_id: self.group.as_str().into(),
                member_id,
                ..Default::default()
            },
            _ => LeaveGroupRequest {
                group_id: self.group.as_str().into(),
                members: vec![MemberIdentity { member_id, ..Default::default() }],
                ..Default::default()
            },
        };
        self.forget();
        let response = connection.call(&request).await?;
        check(response.error_code, None)
    }
}
