//! I6: every running member of the ISR and of the ELR has all that any leader has shown as
//! committed, so that each of them may lead.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;
use types::{NodeId, Offset, TopicIdPartition};

#[derive(Default)]
pub struct IsrHoldsCommitted {
    committed: BTreeMap<TopicIdPartition, Offset>,
}

impl Invariant for IsrHoldsCommitted {
    fn check(&mut self, look: &Look, _: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (id, replica) in node.replicas.iter().filter(|(_, one)| one.view.is_leader) {
                let committed = self.committed.entry(*id).or_insert(Offset::ZERO);
                *committed = (*committed).max(replica.view.high_watermark);
            }
        }
        for node in &look.nodes {
            let own = NodeId(node.host as i32 + 1);
            for (id, replica) in &node.replicas {
                let Some(partition) = look.newest.partition(*id) else { continue };
                let may_lead = partition.isr.contains(&own) || partition.elr.contains(&own);
                let committed = self.committed.get(id).copied().unwrap_or(Offset::ZERO);
                if may_lead && replica.view.end_offset < committed {
                    let of = &replica.partition.name;
                    let end = replica.view.end_offset;
                    return Err(format!(
                        "{} may lead {of} ({partition:?}) and ends at {end}, but {committed} was committed (I6)",
                        node.name()
                    ));
                }
            }
        }
        Ok(())
    }
}
