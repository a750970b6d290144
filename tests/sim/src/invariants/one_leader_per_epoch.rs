//! At most one process leads a partition in one leader epoch.
//! Source: I1; Raft's election safety, Kafka's leader epochs (KIP-101).

use super::{Committed, Invariant, View};
use crate::event::{Fact, Incarnation};
use std::collections::BTreeMap;
use types::{LeaderEpoch, NodeId, TopicIdPartition};

#[derive(Default)]
pub struct OneLeaderPerEpoch {
    leaders: BTreeMap<(TopicIdPartition, LeaderEpoch), (NodeId, Incarnation)>,
}

impl Invariant for OneLeaderPerEpoch {
    fn name(&self) -> &'static str {
        "one leader per epoch"
    }

    fn observe(&mut self, fact: &Fact, _: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::LeaderBegan { partition, node, incarnation, epoch } = fact else {
            return Ok(());
        };
        let new = (*node, *incarnation);
        let old = *self.leaders.entry((*partition, *epoch)).or_insert(new);
        if old == new {
            return Ok(());
        }
        Err(format!("{partition} epoch {epoch} is led by {new:?} and by {old:?}"))
    }
}
