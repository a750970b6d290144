//! Leader epochs, partition epochs and broker epochs only rise; another leader means another leader
//! epoch, any change of a partition another partition epoch.
//! Source: I2; Kafka's compare and set on the partition epoch (KIP-497).

use super::{Committed, Invariant, View};
use crate::event::Fact;
use metadata::Partition;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{BrokerEpoch, NodeId, TopicIdPartition};

#[derive(Default)]
pub struct EpochsOnlyRise {
    partitions: BTreeMap<TopicIdPartition, Arc<Partition>>,
    brokers: BTreeMap<NodeId, BrokerEpoch>,
}

impl Invariant for EpochsOnlyRise {
    fn name(&self) -> &'static str {
        "epochs only rise"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        if !matches!(fact, Fact::Committed(_)) {
            return Ok(());
        }
        for (id, new) in view.image.partitions() {
            let Some(old) = self.partitions.insert(id, new.clone()) else { continue };
            let is_same = old == *new;
            let rises = old.partition_epoch < new.partition_epoch
                && old.leader_epoch <= new.leader_epoch
                && (old.leader == new.leader || old.leader_epoch < new.leader_epoch);
            if !is_same && !rises {
                return Err(format!("{id} went from {old:?} to {new:?}"));
            }
        }
        for broker in view.image.brokers() {
            let old = self.brokers.insert(broker.id, broker.epoch);
            if old.is_some_and(|old| old > broker.epoch) {
                return Err(format!("broker {} went back from {old:?}", broker.id));
            }
        }
        Ok(())
    }
}
