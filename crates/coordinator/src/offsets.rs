//! Committed offsets: what a group has consumed of a partition.

use crate::Token;
use std::collections::BTreeMap;
use types::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};

/// One committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: Offset,
    /// Of the last record read; `LeaderEpoch::NONE` when the client gave none.
    pub leader_epoch: LeaderEpoch,
    /// The client's own text.
    pub metadata: String,
    pub commit_timestamp: Timestamp,
    /// Whose offset it is: a topic made again under the name is another one. Zero in commits of
    /// builds that did not keep it.
    pub topic_id: TopicId,
}

/// OffsetCommit of a group.
#[derive(Clone, Debug)]
pub struct OffsetCommit {
    pub token: Token,
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    /// -1 for a commit from outside the group protocol.
    pub generation: i32,
    pub items: Vec<OffsetCommitItem>,
}

/// One partition of an OffsetCommit.
#[derive(Clone, Debug)]
pub struct OffsetCommitItem {
    pub partition: TopicPartition,
    pub committed: CommittedOffset,
}

/// The result for one partition, in the order of the request.
pub type OffsetResult = (TopicPartition, Option<ErrorCode>);

/// All offsets of one group.
pub type GroupOffsets = BTreeMap<TopicPartition, CommittedOffset>;
