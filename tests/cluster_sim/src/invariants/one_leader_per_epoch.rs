//! I1: one leader per partition and leader epoch.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;
use types::{LeaderEpoch, TopicIdPartition};

#[derive(Default)]
pub struct OneLeaderPerEpoch(BTreeMap<(TopicIdPartition, LeaderEpoch), usize>);

impl Invariant for OneLeaderPerEpoch {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (id, replica) in node.replicas.iter().filter(|(_, one)| one.view.is_leader) {
                let key = (*id, replica.view.leader_epoch);
                if !self.0.contains_key(&key) {
                    counters.add("elections of a leader", 1);
                }
                let holder = *self.0.entry(key).or_insert(node.host);
                if holder != node.host {
                    let names = format!("n{} and {}", holder + 1, node.name());
                    let of = &replica.partition.name;
                    return Err(format!("{names} both lead {of} in epoch {} (I1)", key.1));
                }
            }
        }
        Ok(())
    }
}
