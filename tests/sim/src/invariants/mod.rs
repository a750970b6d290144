//! What must hold, one file each. Each names its source in `reference/faults.md`'s numbering of
//! invariants (I1 ...), which follows Kafka's own TLA+ models and KIPs.

mod acked_records_stay;
mod committed_is_on_min_isr;
mod committed_records_stay;
mod elr_is_sound;
mod empty_replica_leads_nothing;
mod epochs_only_rise;
mod images_equal;
mod isr_holds_committed;
mod isr_is_sound;
mod new_controller_knows_all;
mod new_topics_begin_empty;
mod one_leader_per_epoch;
mod replicas_equal_below_watermark;
mod watermark_monotonic;

use crate::config::SimConfig;
use crate::event::Fact;
use crate::model_log::ModelLog;
use crate::node::Node;
use metadata::Image;
use std::collections::BTreeMap;
use std::fmt;
use types::{NodeId, TopicIdPartition};

/// A broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    pub what: String,
}

impl Violation {
    pub fn new(invariant: &'static str, what: String) -> Violation {
        Violation { invariant, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// The whole cluster, seen from outside.
pub struct View<'a> {
    pub config: &'a SimConfig,
    /// The controller's.
    pub image: &'a Image,
    /// The controller's, by version.
    pub images: &'a [Image],
    pub nodes: &'a BTreeMap<NodeId, Node>,
}

/// The records of each partition that were ever below a leader's high watermark.
pub type Committed = BTreeMap<TopicIdPartition, ModelLog>;

/// One thing that must hold.
pub trait Invariant {
    fn name(&self) -> &'static str;

    /// Called for every fact, after `committed` has taken it in.
    fn observe(
        &mut self,
        fact: &Fact,
        view: &View<'_>,
        committed: &Committed,
    ) -> Result<(), String>;

    /// Called once, when the cluster is healed and quiet.
    fn finish(&mut self, _view: &View<'_>, _committed: &Committed) -> Result<(), String> {
        Ok(())
    }
}

/// All invariants, and what they share.
pub struct Checker {
    invariants: Vec<Box<dyn Invariant>>,
    committed: Committed,
}

impl Checker {
    pub fn new() -> Checker {
        Checker {
            invariants: vec![
                Box::new(one_leader_per_epoch::OneLeaderPerEpoch::default()),
                Box::new(epochs_only_rise::EpochsOnlyRise::default()),
                Box::new(watermark_monotonic::WatermarkMonotonic::default()),
                Box::new(committed_is_on_min_isr::CommittedIsOnMinIsr),
                Box::new(isr_holds_committed::IsrHoldsCommitted),
                Box::new(replicas_equal_below_watermark::ReplicasEqualBelowWatermark),
                Box::new(acked_records_stay::AckedRecordsStay::default()),
                Box::new(images_equal::ImagesEqual),
                Box::new(new_controller_knows_all::NewControllerKnowsAll::default()),
                Box::new(elr_is_sound::ElrIsSound),
                Box::new(new_topics_begin_empty::NewTopicsBeginEmpty),
                Box::new(empty_replica_leads_nothing::EmptyReplicaLeadsNothing),
                Box::new(isr_is_sound::IsrIsSound),
            ],
            committed: Committed::new(),
        }
    }

    pub fn observe(&mut self, fact: &Fact, view: &View<'_>) -> Result<(), Violation> {
        committed_records_stay::commit(&mut self.committed, fact, view)
            .map_err(|what| Violation::new(committed_records_stay::NAME, what))?;
        for invariant in &mut self.invariants {
            let checked = invariant.observe(fact, view, &self.committed);
            checked.map_err(|what| Violation::new(invariant.name(), what))?;
        }
        Ok(())
    }

    pub fn finish(&mut self, view: &View<'_>) -> Result<(), Violation> {
        for invariant in &mut self.invariants {
            let checked = invariant.finish(view, &self.committed);
            checked.map_err(|what| Violation::new(invariant.name(), what))?;
        }
        Ok(())
    }
}

impl Default for Checker {
    fn default() -> Checker {
        Checker::new()
    }
}
