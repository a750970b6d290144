//! Why a leader does not accept a follower's position, and the code that says so on the stream.

use types::{EpochOffset, ErrorCode, LeaderEpoch};

/// Why a leader does not accept a follower's position. The follower's reaction is in
/// [`crate::Follower::chunk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The follower follows an older leader epoch: it waits for newer metadata.
    #[error("leader epoch is older than the leader's")]
    FencedLeaderEpoch,
    /// The follower follows a newer leader epoch than this leader has: it asks again later.
    #[error("leader epoch is newer than the leader's")]
    UnknownLeaderEpoch,
    /// This broker does not lead the partition, or the sender is not one of its replicas, or the
    /// position comes from an older registration than one seen before (KIP-903).
    #[error("not leader of the partition for this replica")]
    NotLeaderOrFollower,
    /// The partition is not (yet) known here.
    #[error("unknown partition")]
    UnknownPartition,
    /// The offset is below the leader's log start (or beyond what any epoch explains).
    #[error("offset out of range of the leader's log")]
    OffsetOutOfRange,
    /// The leader's log is not readable just now.
    #[error("storage error at the leader")]
    Storage,
    /// The follower's log goes another way than the leader's: it must truncate. The value is the
    /// leader's largest epoch at or below the follower's last one, and where it ends.
    #[error("log diverges at epoch {} offset {}", .0.epoch, .0.offset)]
    Diverging(EpochOffset),
}

impl Refusal {
    const CODED: [Refusal; 6] = [
        Refusal::FencedLeaderEpoch,
        Refusal::UnknownLeaderEpoch,
        Refusal::NotLeaderOrFollower,
        Refusal::UnknownPartition,
        Refusal::OffsetOutOfRange,
        Refusal::Storage,
    ];

    /// The code for `Chunk.error_code`; `None` for a divergence, which has a field of its own.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            Refusal::FencedLeaderEpoch => Some(ErrorCode::FencedLeaderEpoch),
            Refusal::UnknownLeaderEpoch => Some(ErrorCode::UnknownLeaderEpoch),
            Refusal::NotLeaderOrFollower => Some(ErrorCode::NotLeaderOrFollower),
            Refusal::UnknownPartition => Some(ErrorCode::UnknownTopicOrPartition),
            Refusal::OffsetOutOfRange => Some(ErrorCode::OffsetOutOfRange),
            Refusal::Storage => Some(ErrorCode::KafkaStorageError),
            Refusal::Diverging(_) => None,
        }
    }

    /// The refusal of this code. A code that no leader of ours sends counts as
    /// [`Refusal::NotLeaderOrFollower`]: the follower asks again later.
    pub fn from_code(code: ErrorCode) -> Refusal {
        let known = Self::CODED.into_iter().find(|refusal| refusal.code() == Some(code));
        known.unwrap_or(Refusal::NotLeaderOrFollower)
    }
}

/// Compares the leader epoch that a request names with the one in force here: an older one is
/// fenced, a newer one is not known yet (KIP-320). `None` (or negative on the wire) checks nothing.
pub fn check_leader_epoch(
    requested: Option<LeaderEpoch>,
    current: LeaderEpoch,
) -> Result<(), Refusal> {
    match requested {
        Some(requested) if requested < current => Err(Refusal::FencedLeaderEpoch),
        Some(requested) if requested > current => Err(Refusal::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
