//! The high watermark that readers are told never goes back: a leader's own only rises, and none is
//! told before it covers all that leaders of earlier epochs showed.
//! Source: I3; KIP-207 (ListOffsets must not go back after an election).

use super::{Committed, Invariant, View};
use crate::event::Fact;
use std::collections::BTreeMap;
use types::{LeaderEpoch, Offset, TopicIdPartition};

#[derive(Default)]
pub struct WatermarkMonotonic {
    shown: BTreeMap<(TopicIdPartition, LeaderEpoch), Offset>,
}

impl Invariant for WatermarkMonotonic {
    fn name(&self) -> &'static str {
        "high watermark monotonic"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::Watermark { partition, node, led: Some(epoch), offset } = fact else {
            return Ok(());
        };
        let own = self.shown.entry((*partition, *epoch)).or_insert(*offset);
        if *own > *offset {
            return Err(format!("{node} in epoch {epoch} went back from {own} to {offset}"));
        }
        *own = *offset;
        let is_known = view.nodes[node]
            .led(*partition)
            .is_some_and(|(leader, led)| led == *epoch && leader.told_high_watermark().is_some());
        let earlier = self.shown.range(..(*partition, *epoch)).rev();
        let mut earlier = earlier.take_while(|((other, _), _)| other == partition);
        match earlier.find(|(_, shown)| **shown > *offset) {
            Some(((_, before), shown)) if is_known => Err(format!(
                "{node} in epoch {epoch} shows {offset}, epoch {before} had shown {shown}"
            )),
            _ => Ok(()),
        }
    }
}
