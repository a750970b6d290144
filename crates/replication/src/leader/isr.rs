//! The in-sync set: what the controller has committed, and the one change that may be under way.

use super::effect::IsrProposal;
use std::time::Duration;
use types::{ErrorCode, Monotonic, NodeId, PartitionEpoch};

/// How long a leader waits before it asks the controller again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The controller says that the partition epoch was right and nothing was applied: the only errors
/// after which the former ISR is known to hold.
const NOT_APPLIED: [ErrorCode; 2] =
    [ErrorCode::IneligibleReplica, ErrorCode::OperationNotAttempted];
/// The proposal may or may not be applied, and asking again cannot tell: newer metadata will.
const AWAIT_METADATA: [ErrorCode; 6] = [
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::UnknownTopicId,
    ErrorCode::FencedLeaderEpoch,
    ErrorCode::InvalidUpdateVersion,
    ErrorCode::InvalidRequest,
    ErrorCode::NewLeaderElected,
];

/// How an AlterPartition request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AlterPartitionAnswer {
    /// Committed; the partition as the controller now has it.
    Committed { isr: Vec<NodeId>, partition_epoch: PartitionEpoch },
    /// The controller's error for this partition or for the whole request.
    Refused(ErrorCode),
    /// No answer: it may or may not be committed. Asked again after a moment. The shell has ended
    /// the call: the request cannot reach the controller any more, since a late one could be applied
    /// after the repetition was refused.
    Lost,
}

/// The change that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Change {
    None,
    Sent(IsrProposal),
    /// To be sent again at this time.
    Again(IsrProposal, Monotonic),
    /// Only metadata can say what became of it.
    AwaitMetadata(IsrProposal),
}

/// The ISR of one partition, as its leader may rely on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Isr {
    partition_epoch: PartitionEpoch,
    committed: Vec<NodeId>,
    change: Change,
    /// No new proposal before this time: the last one was refused, and would be again.
    rest_until: Monotonic,
}

impl Isr {
    pub fn new(committed: Vec<NodeId>, partition_epoch: PartitionEpoch) -> Isr {
        Isr { partition_epoch, committed, change: Change::None, rest_until: Monotonic::ZERO }
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    pub fn committed(&self) -> &[NodeId] {
        &self.committed
    }

    pub fn proposed(&self) -> Option<&IsrProposal> {
        match &self.change {
            Change::None => None,
            Change::Sent(proposal)
            | Change::Again(proposal, _)
            | Change::AwaitMetadata(proposal) => Some(proposal),
        }
    }

    /// Whether `next` is what this side had proposed, to the letter.
    pub fn foresaw(&self, next: &Isr) -> bool {
        self.proposed().is_some_and(|proposal| {
            let isr: Vec<NodeId> = proposal.isr.iter().map(|member| member.broker).collect();
            next.partition_epoch.0 == proposal.partition_epoch.0.saturating_add(1)
                && isr == next.committed
        })
    }

    /// In the committed set or in the one that may already have replaced it.
    pub fn may_contain(&self, broker: NodeId) -> bool {
        let in_proposed =
            |proposal: &IsrProposal| proposal.isr.iter().any(|member| member.broker == broker);
        self.committed.contains(&broker) || self.proposed().is_some_and(in_proposed)
    }

    pub fn can_propose(&self, now: Monotonic) -> bool {
        self.change == Change::None && now >= self.rest_until
    }

    pub fn propose(&mut self, proposal: IsrProposal) {
        assert!(self.change == Change::None, "two changes of an ISR at once: {self:?}");
        self.change = Change::Sent(proposal);
    }

    /// The controller's state, if it is newer; ends whatever was under way. True if it was.
    pub fn commit(&mut self, isr: &[NodeId], partition_epoch: PartitionEpoch) -> bool {
        if partition_epoch <= self.partition_epoch {
            return false;
        }
        self.partition_epoch = partition_epoch;
        self.committed = isr.to_vec();
        self.change = Change::None;
        true
    }

    /// True if the committed set was learned anew.
    pub fn answered(
        &mut self,
        now: Monotonic,
        proposed_on: PartitionEpoch,
        answer: &AlterPartitionAnswer,
    ) -> bool {
        let Change::Sent(proposal) = &self.change else { return false };
        if proposal.partition_epoch != proposed_on {
            return false;
        }
        let proposal = proposal.clone();
        match answer {
            AlterPartitionAnswer::Committed { isr, partition_epoch } => {
                if *partition_epoch == self.partition_epoch {
                    // Nothing had to change: the controller's set is what we proposed.
                    self.committed = isr.clone();
                    self.change = Change::None;
                    return true;
                }
                return self.commit(isr, *partition_epoch);
            }
            AlterPartitionAnswer::Refused(code) if NOT_APPLIED.contains(code) => {
                self.change = Change::None;
                self.rest_until = now + RETRY_PAUSE;
            }
            AlterPartitionAnswer::Refused(code) if AWAIT_METADATA.contains(code) => {
                self.change = Change::AwaitMetadata(proposal);
            }
            AlterPartitionAnswer::Refused(_) | AlterPartitionAnswer::Lost => {
                self.change = Change::Again(proposal, now + RETRY_PAUSE);
            }
        }
        false
    }

    /// The proposal that is due to be sent again.
    pub fn take_retry(&mut self, now: Monotonic) -> Option<IsrProposal> {
        let Change::Again(proposal, at) = &self.change else { return None };
        if *at > now {
            return None;
        }
        let proposal = proposal.clone();
        self.change = Change::Sent(proposal.clone());
        Some(proposal)
    }

    /// When [`Isr::take_retry`] or, after a refusal, a new proposal is due.
    pub fn next_deadline(&self, now: Monotonic) -> Monotonic {
        match &self.change {
            Change::Again(_, at) => *at,
            Change::None if self.rest_until > now => self.rest_until,
            Change::None | Change::Sent(_) | Change::AwaitMetadata(_) => Monotonic::NEVER,
        }
    }
}
