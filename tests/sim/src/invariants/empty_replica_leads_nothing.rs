//! Whoever lost what the controller says it holds leads nothing by that: the others would cut what they
//! have. Source: KIP-858 (a replica whose directory is gone is offline), I9.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct EmptyReplicaLeadsNothing;

impl Invariant for EmptyReplicaLeadsNothing {
    fn name(&self) -> &'static str {
        "an empty replica leads nothing"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        match fact {
            Fact::LeaderBegan { partition, node, epoch, .. }
                if view.nodes[node].missing.contains(partition) =>
            {
                Err(format!("{node} leads {partition} in epoch {epoch}, its records are gone"))
            }
            _ => Ok(()),
        }
    }
}
