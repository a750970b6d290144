//! What must hold at every moment, one file each; numbers are those of the fault catalogue.

mod committed_stays;
mod epochs_only_rise;
mod images_equal;
mod isr_holds_committed;
mod isr_is_sound;
mod offsets_in_order;
mod one_controller_per_term;
mod one_leader_per_epoch;
mod queues_bounded;
mod quorum_covers_candidates;
mod raft_is_sound;
mod state_follows_from_log;
mod watermark_covered;

use crate::counters::Counters;
use crate::look::Look;
use crate::plan::Plan;

/// A rule over what can be seen, with a memory.
pub trait Invariant {
    /// What is wrong, if something is. Called after every few ticks.
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String>;
}

/// All of them.
pub fn all(plan: &Plan) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<one_controller_per_term::OneControllerPerTerm>::default(),
        Box::<one_leader_per_epoch::OneLeaderPerEpoch>::default(),
        Box::<epochs_only_rise::EpochsOnlyRise>::default(),
        Box::<images_equal::ImagesEqual>::default(),
        Box::new(isr_is_sound::IsrIsSound::new(plan.min_isr)),
        Box::<offsets_in_order::OffsetsInOrder>::default(),
        Box::<watermark_covered::WatermarkCovered>::default(),
        Box::<isr_holds_committed::IsrHoldsCommitted>::default(),
        Box::<committed_stays::CommittedStays>::default(),
        Box::new(quorum_covers_candidates::QuorumCoversCandidates::new(plan.min_isr)),
        Box::<raft_is_sound::RaftIsSound>::default(),
        Box::<state_follows_from_log::StateFollowsFromLog>::default(),
        Box::new(queues_bounded::QueuesBounded::new(plan)),
    ]
}
