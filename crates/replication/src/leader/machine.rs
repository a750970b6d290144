//! [`Leader`] itself.

use super::acks::{Acks, NotEnoughReplicas};
use super::effect::LeaderEffect;
use super::followers::{FollowerPosition, FollowerView};
use super::isr::AlterPartitionAnswer;
use super::role::{BrokerState, LeaderConfig, LeaderLog, LeaderRole, PartitionChange};
use super::waits::WaitToken;
use crate::Refusal;
use std::collections::BTreeMap;
use types::{LeaderEpoch, Monotonic, NodeId, Offset, PartitionEpoch};

/// One partition's leader in one leader epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    role: LeaderRole,
}

impl Leader {
    /// Begins to lead. ISR members count as caught up now, others as never (they must be heard
    /// first). Effects: a watermark move, if this leader alone decides it.
    pub fn new(
        role: LeaderRole,
        log: LeaderLog,
        config: LeaderConfig,
        now: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) -> Leader {
        let _ = (log, config, now, effects);
        Leader { role }
    }

    /// The local append ended at `end_offset` (page cache). Never below the former end.
    pub fn appended(
        &mut self,
        now: Monotonic,
        end_offset: Offset,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (now, end_offset, effects);
    }

    /// The local log is synced up to here. Only needed for `synced` topics.
    pub fn durable(&mut self, now: Monotonic, offset: Offset, effects: &mut Vec<LeaderEffect>) {
        let _ = (now, offset, effects);
    }

    /// The local log start moved (retention, DeleteRecords).
    pub fn log_start_moved(&mut self, offset: Offset) {
        let _ = offset;
    }

    /// A follower reports its position. `Ok`: it counts; on a restart send from there, and at once
    /// at least an empty chunk, which tells the follower that it is accepted. `Err`: answer with
    /// the code (and this leader's log start) or the divergence; the position does not count
    /// (KAFKA-13141), and nothing is sent until the follower restarts.
    pub fn position(
        &mut self,
        now: Monotonic,
        position: &FollowerPosition,
        effects: &mut Vec<LeaderEffect>,
    ) -> Result<(), Refusal> {
        let _ = (now, position, effects);
        Ok(())
    }

    /// Brokers of the image changed (registered, fenced, unfenced, shutting down). The map holds at
    /// least this partition's replicas, as in [`LeaderRole::brokers`].
    pub fn brokers_changed(
        &mut self,
        now: Monotonic,
        brokers: &BTreeMap<NodeId, BrokerState>,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (now, brokers, effects);
    }

    /// The image's partition record changed in the same leader epoch, with this broker still its
    /// leader. An epoch that is not newer than what this leader has is ignored (an AlterPartition
    /// answer may arrive before its metadata).
    pub fn metadata_changed(
        &mut self,
        now: Monotonic,
        change: &PartitionChange,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (now, change, effects);
    }

    /// Topic settings changed.
    pub fn config_changed(
        &mut self,
        now: Monotonic,
        config: LeaderConfig,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (now, config, effects);
    }

    /// The controller's answer to the proposal that rested on `proposed_on`. An answer to another
    /// proposal than the one under way is ignored.
    pub fn alter_partition_answered(
        &mut self,
        now: Monotonic,
        proposed_on: PartitionEpoch,
        answer: AlterPartitionAnswer,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (now, proposed_on, answer, effects);
    }

    /// Whether a produce may be appended.
    pub fn admit(&self, acks: Acks) -> Result<(), NotEnoughReplicas> {
        let _ = acks;
        Ok(())
    }

    /// Parks a produce until the high watermark reaches `offset` (the end, exclusive, of its
    /// records) or `deadline` passes. Completes at once if it is already there. How many waits
    /// there are is bounded by the requests that the shell has in flight.
    pub fn wait_for(
        &mut self,
        offset: Offset,
        token: WaitToken,
        deadline: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let _ = (offset, token, deadline, effects);
    }

    /// Time has passed: expires waits, takes lagging followers out of the ISR, asks again.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let _ = (now, effects);
    }

    /// When [`Leader::tick`] next has something to do; `Monotonic::NEVER` if nothing is due. May
    /// be asked after every input; calling `tick` early or often does no harm.
    pub fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }

    /// Leadership is over (new leader or epoch, deletion, shutdown): every wait ends with
    /// `NotLeader`. The machine is dropped afterwards.
    pub fn resign(&mut self, effects: &mut Vec<LeaderEffect>) {
        let _ = effects;
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.role.leader_epoch
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.role.partition_epoch
    }

    pub fn high_watermark(&self) -> Offset {
        Offset::ZERO
    }

    pub fn end_offset(&self) -> Offset {
        Offset::ZERO
    }

    /// Where this leader epoch starts: the log end when this leader began.
    pub fn epoch_start_offset(&self) -> Offset {
        Offset::ZERO
    }

    /// Whether ListOffsets "latest" may be answered: until the high watermark has reached the start
    /// of this epoch the answer is OFFSET_NOT_AVAILABLE, since it could seem to go back (KIP-207).
    pub fn is_latest_offset_known(&self) -> bool {
        self.high_watermark() >= self.epoch_start_offset()
    }

    /// The committed ISR.
    pub fn isr(&self) -> &[NodeId] {
        &self.role.isr
    }

    /// The ISR that the controller may have at most: what acks=all must satisfy.
    pub fn maximal_isr(&self) -> Vec<NodeId> {
        self.role.isr.clone()
    }

    pub fn replicas(&self) -> &[NodeId] {
        &self.role.replicas
    }

    /// min(`min.insync.replicas`, number of replicas), at least 1.
    pub fn effective_min_isr(&self) -> usize {
        1
    }

    pub fn is_under_min_isr(&self) -> bool {
        false
    }

    /// The smallest log start of the replicas whose brokers are live (DeleteRecords' answer).
    pub fn low_watermark(&self) -> Offset {
        Offset::ZERO
    }

    /// Every follower, in the order of the replicas.
    pub fn followers(&self) -> Vec<FollowerView> {
        Vec::new()
    }
}
