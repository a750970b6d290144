//! The high watermark that readers are told never goes back: a leader's own only rises, and none is
//! told before it covers all that leaders of earlier epochs showed.
//! Source: I3; KIP-207 (ListOffsets must not go back after an election).

use super::{Committed, Invariant, View};
use crate::event::{Fact, Led};
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
        let (partition, node, epoch) = match fact {
            Fact::Watermark { partition, node, led: Some(Led { epoch, .. }), offset } => {
                let own = self.shown.entry((*partition, *epoch)).or_insert(*offset);
                if *own > *offset {
                    return Err(format!(
                        "{node} in epoch {epoch} went back from {own} to {offset}"
                    ));
                }
                *own = *offset;
                (partition, node, epoch)
            }
            Fact::LeaderBegan { partition, node, epoch, .. } => (partition, node, epoch),
            _ => return Ok(()),
        };
        let led = view.nodes[node].led(*partition).filter(|(_, led)| led == epoch);
        let Some(told) = led.and_then(|(leader, _)| leader.told_high_watermark()) else {
            return Ok(());
        };
        let earlier = self.shown.range(..(*partition, *epoch)).rev();
        let mut earlier = earlier.take_while(|((other, _), _)| other == partition);
        match earlier.find(|(_, shown)| **shown > told) {
            Some(((_, before), shown)) => Err(format!(
                "{node} in epoch {epoch} tells {told}, epoch {before} had shown {shown}"
            )),
            None => Ok(()),
        }
    }
}
