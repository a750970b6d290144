//! [`Follower`] itself.

use super::chunk::Chunk;
use super::effect::FollowerEffect;
use types::{LeaderEpoch, Monotonic, NodeId, Offset};

/// Whom a follower follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerRole {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
}

/// The follower's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerLog {
    pub start_offset: Offset,
    /// What the follower reports: appended, for synced topics synced.
    pub end_offset: Offset,
    /// Epoch of the last record; -1 for an empty log.
    pub last_epoch: LeaderEpoch,
    pub high_watermark: Offset,
}

/// One partition's follower.
#[derive(Clone, Debug)]
pub struct Follower {
    role: FollowerRole,
    log: FollowerLog,
}

impl Follower {
    /// Begins to follow. Says nothing until its stream is open.
    pub fn new(role: FollowerRole, log: FollowerLog) -> Follower {
        Follower { role, log }
    }

    /// The stream to the leader is open (again): says where it stands, with a restart.
    pub fn stream_opened(&mut self, effects: &mut Vec<FollowerEffect>) {
        let _ = effects;
    }

    /// The stream broke; nothing is sent until it is open again.
    pub fn stream_broken(&mut self) {}

    /// The metadata image names another leader or leader epoch. An epoch that is not newer is
    /// ignored. `stream_open`: whether the stream to the new leader is open now.
    pub fn leader_changed(
        &mut self,
        role: FollowerRole,
        stream_open: bool,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let _ = (role, stream_open, effects);
    }

    /// A chunk came. The effects of the former chunk are done and reported (else this panics).
    pub fn chunk(&mut self, now: Monotonic, chunk: &Chunk, effects: &mut Vec<FollowerEffect>) {
        let _ = (now, chunk, effects);
    }

    /// The append that was asked for is done; the log is now like this (nothing may have been
    /// appended, if all batches were dropped).
    pub fn appended(
        &mut self,
        now: Monotonic,
        end_offset: Offset,
        last_epoch: LeaderEpoch,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let _ = (now, end_offset, last_epoch, effects);
    }

    /// The truncation that was asked for is done; the log is now like this.
    pub fn truncated(&mut self, log: FollowerLog, effects: &mut Vec<FollowerEffect>) {
        let _ = (log, effects);
    }

    /// The append or truncation failed without harm to the log (bad checksum, say): asks again
    /// after a pause.
    pub fn failed(&mut self, now: Monotonic) {
        let _ = now;
    }

    /// Time has passed: asks again if a pause is over.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<FollowerEffect>) {
        let _ = (now, effects);
    }

    /// When [`Follower::tick`] next has something to do; `Monotonic::NEVER` if nothing is due.
    pub fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }

    pub fn role(&self) -> FollowerRole {
        self.role
    }

    pub fn log(&self) -> FollowerLog {
        self.log
    }
}
