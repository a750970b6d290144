//! I7: while a partition has its minimum in sync, whoever may be elected is one of those that the
//! leader waits for: no record is committed without a candidate (kafka_replication_kip_966.tla,
//! `ReplicationQuorumSupersetOfElectionQuorum`).

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use types::NodeId;

pub struct QuorumCoversCandidates {
    min_isr: usize,
}

impl QuorumCoversCandidates {
    pub fn new(min_isr: i32) -> QuorumCoversCandidates {
        QuorumCoversCandidates { min_isr: usize::try_from(min_isr).unwrap_or(1) }
    }
}

impl Invariant for QuorumCoversCandidates {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            let own = NodeId(node.host as i32 + 1);
            for (id, replica) in &node.replicas {
                let Some(leadership) = &replica.leadership else { continue };
                let Some(partition) = look.newest.partition(*id) else { continue };
                let is_current = partition.leader == own
                    && partition.leader_epoch == leadership.leader_epoch
                    && partition.isr.len() >= self.min_isr.min(partition.replicas.len());
                if !is_current {
                    continue;
                }
                counters.add("quorums compared with candidates", 1);
                let candidates = partition.isr.iter().chain(&partition.elr);
                let stray = candidates.copied().find(|id| !leadership.maximal_isr.contains(id));
                if let Some(stray) = stray {
                    return Err(format!(
                        "{}: {}: {stray} may be elected ({partition:?}) and is not waited for ({leadership:?}) (I7)",
                        node.name(),
                        replica.partition.name
                    ));
                }
            }
        }
        Ok(())
    }
}
