//! What a leader asks of its shell.

use super::waits::WaitToken;
use types::{BrokerEpoch, ErrorCode, LeaderEpoch, NodeId, Offset, PartitionEpoch};

/// What a leader asks of its shell, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaderEffect {
    /// The high watermark is now this: wake fetches, tell every follower's stream. Only upwards.
    HighWatermark(Offset),
    /// Send this to the controller as AlterPartition and answer with
    /// [`super::Leader::alter_partition_answered`]. Replaces nothing: none other is under way.
    ProposeIsr(IsrProposal),
    /// The controller's ISR as this leader knows it changed (for logs and metrics).
    IsrChanged { isr: Vec<NodeId>, partition_epoch: PartitionEpoch },
    /// The controller changed the partition and left this follower out of the ISR: it must say anew
    /// where it stands. The shell ends its flow with a refusal that makes it restart.
    AskAnew(NodeId),
    /// This follower keeps produces waiting: the proposal that follows leaves it out.
    SlowFollower(NodeId),
    /// Answer the produce that waited under this token.
    Complete { token: WaitToken, outcome: WaitOutcome },
}

/// An AlterPartition request for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrProposal {
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that the proposal rests on (compare and set).
    pub partition_epoch: PartitionEpoch,
    /// The whole new ISR, in the order of the replicas.
    pub isr: Vec<IsrMember>,
}

/// A member of a proposed ISR and the registration it was seen under (KIP-903).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsrMember {
    pub broker: NodeId,
    /// -1 checks nothing: only for the leader itself, if the image does not hold it.
    pub broker_epoch: BrokerEpoch,
}

/// How a produce with acks=all ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitOutcome {
    /// Below the high watermark, and enough replicas are in sync.
    Committed,
    /// Below the high watermark, but the ISR has fallen below the minimum.
    NotEnoughReplicasAfterAppend,
    /// The deadline came first; the records stay.
    TimedOut,
    /// This broker no longer leads the partition in this epoch; the records may or may not stay.
    NotLeader,
}

impl WaitOutcome {
    /// Kafka's code for the partition's answer; `None` for success.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            WaitOutcome::Committed => None,
            WaitOutcome::NotEnoughReplicasAfterAppend => {
                Some(ErrorCode::NotEnoughReplicasAfterAppend)
            }
            WaitOutcome::TimedOut => Some(ErrorCode::RequestTimedOut),
            WaitOutcome::NotLeader => Some(ErrorCode::NotLeaderOrFollower),
        }
    }
}
