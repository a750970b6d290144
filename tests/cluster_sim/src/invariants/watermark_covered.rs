//! I3: what any leader has shown as committed, the leader of the newest epoch has.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;
use types::{LeaderEpoch, Offset, TopicIdPartition};

#[derive(Default)]
pub struct WatermarkCovered {
    /// The highest watermark of any leader, and its epoch.
    shown: BTreeMap<TopicIdPartition, (Offset, LeaderEpoch)>,
}

impl Invariant for WatermarkCovered {
    fn check(&mut self, look: &Look, _: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (id, replica) in node.replicas.iter().filter(|(_, one)| one.view.is_leader) {
                let view = &replica.view;
                let shown = self.shown.entry(*id).or_insert((Offset::ZERO, LeaderEpoch::NONE));
                if view.leader_epoch >= shown.1 && view.end_offset < shown.0 {
                    let of = &replica.partition.name;
                    return Err(format!(
                        "{} leads {of} in epoch {} and ends at {}, but {} was committed in epoch {} (I3)",
                        node.name(),
                        view.leader_epoch,
                        view.end_offset,
                        shown.0,
                        shown.1
                    ));
                }
                if view.high_watermark > shown.0 {
                    *shown = (view.high_watermark, view.leader_epoch);
                }
            }
        }
        Ok(())
    }
}
