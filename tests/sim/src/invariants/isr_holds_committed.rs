//! Every member of the controller's ISR, and every eligible leader, holds every committed record:
//! whoever of them is elected loses nothing.
//! Source: I6 (leader candidate completeness), the core of Kafka's replication model.

use super::{Committed, Invariant, View};
use crate::event::Fact;
use types::{NodeId, TopicIdPartition};

pub struct IsrHoldsCommitted;

impl Invariant for IsrHoldsCommitted {
    fn name(&self) -> &'static str {
        "isr holds committed"
    }

    fn observe(
        &mut self,
        fact: &Fact,
        view: &View<'_>,
        committed: &Committed,
    ) -> Result<(), String> {
        match fact {
            Fact::Committed(_) => {
                committed.keys().try_for_each(|partition| check(*partition, view, committed))
            }
            Fact::Watermark { partition, led: Some(_), .. } => check(*partition, view, committed),
            Fact::Shortened { partition, .. } => check(*partition, view, committed),
            Fact::Watermark { .. }
            | Fact::TookOver(_)
            | Fact::Applied { .. }
            | Fact::LeaderBegan { .. }
            | Fact::Acked { .. } => Ok(()),
        }
    }
}

fn check(
    partition: TopicIdPartition,
    view: &View<'_>,
    committed: &Committed,
) -> Result<(), String> {
    let Some(committed) = committed.get(&partition) else { return Ok(()) };
    let Some(state) = view.image.partition(partition) else { return Ok(()) };
    for member in
        state.isr.iter().chain(&state.elr).filter(|id| !has_just_lost(**id, partition, view))
    {
        let log = view.nodes[member].disk.get(&partition);
        let end = committed.end();
        if log.and_then(|log| log.prefix(end)) != committed.prefix(end) {
            let has = log.map(|log| log.end());
            return Err(format!(
                "{member} may lead {partition} {state:?}, has {has:?}, committed is {end}"
            ));
        }
    }
    Ok(())
}

/// Between losing records and leaving the ISR, with its old registration or by its own word.
fn has_just_lost(member: NodeId, partition: TopicIdPartition, view: &View<'_>) -> bool {
    let node = &view.nodes[&member];
    node.untold.contains(&partition) || node.is_registered_as_before_loss(view.image)
}
