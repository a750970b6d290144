//! What a leader's chunk says, without its bytes.

use crate::Refusal;
use types::{EpochOffset, LeaderEpoch, Offset};

/// A chunk of the leader's stream for this partition, without its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// The epoch of the position that it answers, also in a refusal: a leader echoes the epoch that
    /// it refuses, so that a late refusal cannot stop a follower of a newer epoch.
    pub leader_epoch: LeaderEpoch,
    /// The position that it answers: the log end that its records continue.
    pub position: Offset,
    /// Whether it carries records.
    pub has_records: bool,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    /// From `error_code`, if that is not 0 ([`Refusal::from_code`]).
    pub refusal: Option<Refusal>,
    /// From `diverging`, if set.
    pub divergence: Option<Divergence>,
}

/// The leader's answer to a log that went another way, and what the own epoch cache says to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// The leader's epoch and its end there.
    pub leader: EpochOffset,
    /// What the follower's own epoch cache answers for `leader.epoch`: its largest epoch at or below
    /// it and where that ends. The shell looks it up.
    pub own: Option<EpochOffset>,
}
