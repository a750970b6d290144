//! The in-sync set: what the controller has committed, and the one change that may be under way.

use types::{ErrorCode, NodeId, PartitionEpoch};

/// How an AlterPartition request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AlterPartitionAnswer {
    /// Committed; the partition as the controller now has it.
    Committed { isr: Vec<NodeId>, partition_epoch: PartitionEpoch },
    /// The controller's error for this partition or for the whole request.
    Refused(ErrorCode),
    /// No answer: it may or may not be committed. Treated as "ask again".
    Lost,
}
