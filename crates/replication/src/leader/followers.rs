//! What the leader knows of each follower.

use types::{BrokerEpoch, EpochOffset, LeaderEpoch, NodeId, Offset};

/// A follower's report of where it stands, as it came over its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerPosition {
    pub broker: NodeId,
    /// From the stream's hello.
    pub broker_epoch: BrokerEpoch,
    /// The leader epoch it follows.
    pub leader_epoch: LeaderEpoch,
    /// Its log end: everything below is appended there (for synced topics: synced).
    pub offset: Offset,
    /// Epoch of its last record; -1 for an empty log.
    pub last_epoch: LeaderEpoch,
    pub log_start_offset: Offset,
    /// What this leader's epoch cache answers for `last_epoch` (its largest epoch at or below it,
    /// and where that ends); `None` if it has no answer. The shell looks it up.
    pub epoch_end: Option<EpochOffset>,
}

/// A follower as the leader sees it, for metrics, admin calls and replica selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerView {
    pub broker: NodeId,
    /// -1 until it was heard in this leader epoch.
    pub end_offset: Offset,
    pub log_start_offset: Offset,
    pub in_isr: bool,
}
