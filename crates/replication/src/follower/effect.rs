//! What a follower asks of its shell.

use types::{LeaderEpoch, Offset};

/// What a follower asks of its shell, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FollowerEffect {
    /// Send this position on the stream to the leader.
    SendPosition {
        leader_epoch: LeaderEpoch,
        offset: Offset,
        last_epoch: LeaderEpoch,
        log_start_offset: Offset,
        /// The leader is to send from here again, and to answer at once, even with an empty
        /// chunk. For a `synced` topic the shell syncs the log up to `offset` before it sends this.
        restart: bool,
    },
    /// Append the batches of the chunk just given, up to the first whose leader epoch is above
    /// `leader_epoch` ([`crate::epoch_batches_to_append`]), then call
    /// [`super::Follower::appended`] with the log's new end (for `synced` topics
    /// [`super::Follower::durable`] follows, once it is synced), or [`super::Follower::failed`] if
    /// the log refused.
    AppendChunk { leader_epoch: LeaderEpoch },
    /// Cut the log to this end; the local high watermark is at most this from now on. Then call
    /// [`super::Follower::truncated`].
    TruncateTo(Offset),
    /// Drop the whole log and begin an empty one at this offset. Then call
    /// [`super::Follower::truncated`].
    TruncateFullyAndStartAt(Offset),
    /// The leader's log starts here now: drop what is below. After the watermark of the same chunk.
    AdvanceLogStart(Offset),
    /// The local high watermark is now this; never above the log end.
    SetHighWatermark(Offset),
}
